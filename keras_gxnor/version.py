"""The version, alone so that setup.py and generated files can read it."""

__version__ = "0.1.0"
