"""Names that the doctests of the package use without importing them."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_gxnor

    public = {name: getattr(keras_gxnor, name) for name in keras_gxnor.__all__}
    doctest_namespace.update(public, keras=keras, np=np, tf=tf)
