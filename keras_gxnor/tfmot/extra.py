"""The optional packages, imported when first asked for."""

import functools
import os

from keras_gxnor.errors import import_extra

_LEGACY = "TF_USE_LEGACY_KERAS"


@functools.cache
def tfmot():
    """The package tensorflow_model_optimization.

    Raises:
        MissingExtraError: if it is not installed.
    """
    before = os.environ.get(_LEGACY)
    try:
        return import_extra("tensorflow_model_optimization", "tfmot")
    finally:
        if before is None:  # child processes would inherit what tfmot sets
            os.environ.pop(_LEGACY, None)


@functools.cache
def tf_keras():
    """The package tf_keras, which is Keras 2.

    Raises:
        MissingExtraError: if it is not installed.
    """
    return import_extra("tf_keras", "tfmot")
