"""The bridge to tensorflow-model-optimization (to come)."""
