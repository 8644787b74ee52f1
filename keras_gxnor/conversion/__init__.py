"""From float kernels to discrete ones: the numbers, and the models."""

from keras_gxnor.conversion.discretization import discretize, plan
from keras_gxnor.conversion.table import Decision, Table

__all__ = ["Decision", "Table", "discretize", "plan"]
