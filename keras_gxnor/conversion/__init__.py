"""From float kernels to discrete ones: the numbers, and the models."""
