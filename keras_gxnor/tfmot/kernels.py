"""Kernels of tfmot as codes of a space, and the layers that hold them."""

import keras
import numpy as np

from keras_gxnor.conversion.numbers import split, twn
from keras_gxnor.conversion.registry import SWAPS
from keras_gxnor.errors import UnsupportedLayerError
from keras_gxnor.spaces import IntegerSpace

_ARGUMENTS = {
    "Dense": ("units",),
    "Conv1D": ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups"),
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups"),
    "Conv2DTranspose": (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "output_padding",
        "data_format",
        "dilation_rate",
    ),
    "DepthwiseConv2D": (
        "kernel_size",
        "strides",
        "padding",
        "depth_multiplier",
        "data_format",
        "dilation_rate",
    ),
}
KERNELS = frozenset(_ARGUMENTS)


def discrete(source, approximate):
    """The layer for a source with a kernel, without bias and activation.

    Args:
        source: A `Source` whose kind is in `KERNELS`.
        approximate: Whether any kernel may become ternary.

    Returns:
        (unbuilt layer, int8 codes in the shape of its kernel, float32 scales of its channels in
        units of the layer's values, how they were found).

    Raises:
        UnsupportedLayerError: if the kernel has no codes and is not to be approximated.
    """
    swap = SWAPS[getattr(keras.layers, source.kind)]
    kernel, quantizer, variables = source.kernel()
    usual = swap.usual("kernel", kernel)
    space, found, why = "ternary", split(usual), "codes exact"
    if found is None and not (swap.depthwise or swap.transposed):
        found = _on_grid(usual, quantizer, variables)
        space, why = f"int{getattr(quantizer, 'num_bits', 0)}", "codes exact on the grid of steps"
    if found is None:
        if not approximate:
            raise UnsupportedLayerError(
                f"Layer `{source.name}` ({source.kind}) has a kernel of {len(np.unique(kernel))} values, "
                "expected -s, 0 and s in each channel. Train it with TernaryQuantizeConfig or "
                "DefaultNBitQuantizeScheme(num_bits_weight=2), or take the nearest codes by approximate=True."
            )
        space, found, why = "ternary", twn(usual), "not exact: the nearest codes"
    codes, scales = found
    config = source.layer.get_config()
    arguments = {name: config[name] for name in _ARGUMENTS[source.kind]}
    layer = swap.becomes(**arguments, use_bias=False, kernel_space=space, name=source.name)
    return layer, swap.own("kernel", codes, kernel.shape), scales, why


def _on_grid(kernel, quantizer, variables):
    """(codes, scales) of a kernel on tfmot's symmetric grid of 3 to 8 bits, or None."""
    bits = getattr(quantizer, "num_bits", 0)
    symmetric = getattr(quantizer, "symmetric", False) and getattr(quantizer, "narrow_range", False)
    if not (3 <= bits <= 8 and symmetric):
        return None
    space = IntegerSpace(bits)
    most = np.broadcast_to(variables["max_var"].numpy(), kernel.shape[-1:])
    step = np.where(most > 0, most, space.max_code) / np.float32(space.max_code)
    codes = np.rint(kernel / step)
    # tfmot's values are k * step + low in float32: off by a few roundings, never by half a step.
    if np.abs(codes).max() > space.max_code or (np.abs(codes * step - kernel) > step / 1000).any():
        return None
    return codes.astype(np.int8), (step / np.float32(space.scale)).astype(np.float32)
