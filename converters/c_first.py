"""First convolutions, which read the image's bytes and end in a ternary step: sums looked up in tables."""

from keras_gxnor import graph as g
from keras_gxnor.converters import c_kernels, first_layer
from keras_gxnor.converters.c_calls import Program, Table, Value, input_bytes, struct

_FEW_GROUPS = 4  # whose tables are those of a kernel without groups


def first(program: Program, layer: c_kernels.Layer) -> Value | None:
    """Appends a convolution of the input's bytes with a ternary step; None if tables cannot do it."""
    if not isinstance(layer.node.op, g.Conv2D):
        return None
    op, spec = layer.node.op, program.graph.nodes[layer.source.buffer].op.spec
    flip, zero = input_bytes(spec)
    if op.groups > _FEW_GROUPS or not layer.is_ternary:
        return None
    kernel, place = c_kernels.spread(op), c_kernels.layer_window(layer)
    if not first_layer.fits(kernel, layer.steps, zero):
        return None
    if layer.source.type.shape[0] == kernel.shape[0] == 1:
        # Rows are computed in pairs: a sequence runs down an image of width 1, the same bytes.
        kernel = kernel.transpose(1, 0, 2, 3)
        place = [n for y, x in zip(place[::2], place[1::2]) for n in (x, y)]
    shape = [place, kernel.shape[2], kernel.shape[3], first_layer.groups(kernel), flip, zero]
    tables = [
        Table("shape", "gxnor_conv_u8", struct(shape)),
        Table("weights", "uint8_t", first_layer.weights(kernel)),
        Table("thresholds", "uint32_t", first_layer.steps(kernel, layer.steps, zero)),
    ]
    room = program.temporary("uint32_t *", first_layer.scratch_words(kernel))
    made = layer.made(program)
    arguments = ["&{name}_shape", layer.source.place, "{name}_weights", "{name}_thresholds", room, made.place]
    return program.call("conv", "gxnor_conv_u8_step", arguments, made, layer.source, tables, layer.note)
