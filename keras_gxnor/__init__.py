"""Train networks whose weights and activations are ternary; ship them exactly.

Importing this package registers its layers, quantizers and optimizer with Keras, so
that a saved `.keras` file loads with only `import keras_gxnor` before it.
"""

import pathlib

# In a plain checkout `converters/` lies beside this package; when installed, setup.py maps
# it to keras_gxnor/converters. Searching the checkout root as well makes both layouts work.
_root = pathlib.Path(__file__).resolve().parent.parent
if (_root / "converters" / "artifact.py").is_file():
    __path__.append(str(_root))

from keras_gxnor import (  # noqa: E402
    callbacks,
    converters,
    distribute,
    errors,
    increments,
    lowering,
    quantizers,
    reference,
    spaces,
)
from keras_gxnor.calibration import calibrate  # noqa: E402
from keras_gxnor.graph import Graph, InputSpec  # noqa: E402
from keras_gxnor.increments import (  # noqa: E402
    AdamIncrement,
    FireIncrement,
    GradientIncrement,
    KerasIncrement,
    MomentumIncrement,
)
from keras_gxnor.layers import DiscreteActivation, GXNORConv2D, GXNORDense  # noqa: E402
from keras_gxnor.memory import TrainingMemory, training_memory  # noqa: E402
from keras_gxnor.optimizers import DSTOptimizer  # noqa: E402
from keras_gxnor.quantizers import MultiStep, QuantizedReLU  # noqa: E402
from keras_gxnor.spaces import DiscreteSpace, GradedSpace, IntegerSpace  # noqa: E402
from keras_gxnor.version import __version__  # noqa: E402

__all__ = [
    "AdamIncrement",
    "DSTOptimizer",
    "DiscreteActivation",
    "DiscreteSpace",
    "FireIncrement",
    "GXNORConv2D",
    "GXNORDense",
    "GradedSpace",
    "GradientIncrement",
    "Graph",
    "InputSpec",
    "IntegerSpace",
    "KerasIncrement",
    "MomentumIncrement",
    "MultiStep",
    "QuantizedReLU",
    "TrainingMemory",
    "__version__",
    "calibrate",
    "callbacks",
    "converters",
    "distribute",
    "errors",
    "increments",
    "lowering",
    "quantizers",
    "reference",
    "spaces",
    "training_memory",
]
