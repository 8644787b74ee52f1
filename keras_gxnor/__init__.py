"""Train networks whose weights and activations are ternary; ship them exactly."""

import pathlib

# In a plain checkout `converters/` lies beside this package; when installed, setup.py maps
# it to keras_gxnor/converters. Searching the checkout root as well makes both layouts work.
_root = pathlib.Path(__file__).resolve().parent.parent
if (_root / "converters" / "artifact.py").is_file():
    __path__.append(str(_root))
