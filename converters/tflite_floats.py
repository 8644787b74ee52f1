"""What a .tflite computes in float32, operation by operation as the reference does."""

from keras_gxnor.converters.tflite_net import Value, arithmetic, as_floats, cast, floor

_BYTE = (1.0,), (-128,), 0  # codes 0..255 as int8


def divide(net, index):
    """Divide: one DIV."""
    node = net.graph.nodes[index]
    x = as_floats(net, node.inputs[0], f"{node.name}/input")
    return Value(arithmetic(net, "DIV", x, float(node.op.divisor), node.name), "float32")


def affine(net, index):
    """Affine: a MUL and an ADD."""
    node = net.graph.nodes[index]
    x = as_floats(net, node.inputs[0], f"{node.name}/input")
    product = arithmetic(net, "MUL", x, node.op.scale, f"{node.name}/product")
    return Value(arithmetic(net, "ADD", product, node.op.offset, node.name), "float32")


def quantize(net, index):
    """Quantize: floats to int8, which holds codes up to 127 as they are and up to 255 less 128.

    The negative are gone before FLOOR, and what is too large before the cast, which would
    overflow.
    """
    node = net.graph.nodes[index]
    name, x = node.name, net.source(index).tensor
    scaled = arithmetic(net, "MUL", x, float(node.op.gain), f"{name}/scaled")
    shifted = arithmetic(net, "ADD", scaled, 0.5, f"{name}/shifted", relu=True)
    whole = floor(net, shifted, f"{name}/whole")
    codes = arithmetic(net, "MINIMUM", whole, float(node.op.levels), f"{name}/codes")
    if node.op.levels <= 127:
        return as_int8(net, index, codes)
    result = net.tensor(index, "int8", _BYTE)
    net.file.operator("QUANTIZE", 2, [codes], result, net.file.schema.QuantizeOptionsT())
    return Value(result, zero_point=-128)


def as_int8(net, index, whole):
    """The `Value` of node `index` for its float32 tensor of whole numbers in -128..127."""
    result = net.tensor(index, "int8", ((1.0,), (0,), 0))
    cast(net, whole, "FLOAT32", result, "INT8")
    return Value(result)
