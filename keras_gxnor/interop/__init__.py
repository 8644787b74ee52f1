"""Networks trained with other tools, read into keras_gxnor layers.

`from_larq` and `from_qkeras` read HDF5 files, `from_keras_ternary` the ternary layers of
Keras 3.16. None of them needs the other tool. (`keras_gxnor.tfmot` is the bridge to
tensorflow-model-optimization.)
"""

from keras_gxnor.interop.keras_ternary import from_keras_ternary
from keras_gxnor.interop.larq import from_larq
from keras_gxnor.interop.qkeras import from_qkeras
from keras_gxnor.interop.rules import Binary, MagnitudeAwareSign, SteSign, SteTern, Ternary

__all__ = [
    "Binary",
    "MagnitudeAwareSign",
    "SteSign",
    "SteTern",
    "Ternary",
    "from_keras_ternary",
    "from_larq",
    "from_qkeras",
]
