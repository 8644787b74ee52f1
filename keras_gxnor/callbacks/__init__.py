"""Callbacks: kill-safe training, what kernels and activations do, exact batch statistics."""

from keras_gxnor.callbacks.checkpoint import Checkpoint
from keras_gxnor.callbacks.monitors import ActivationMonitor, KernelMonitor
from keras_gxnor.callbacks.normalization import (
    BatchNormalizationReestimation,
    reestimate_batch_normalization,
)

__all__ = [
    "ActivationMonitor",
    "BatchNormalizationReestimation",
    "Checkpoint",
    "KernelMonitor",
    "reestimate_batch_normalization",
]
