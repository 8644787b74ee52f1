"""Graph -> .tflite: stock int8 operators that compute every integer of the graph exactly.

A hidden layer, its Threshold included, is one int8 CONV_2D, DEPTHWISE_CONV_2D or
FULLY_CONNECTED whose bias, scales and RELU_N1_TO_1 are the step (`rounding.py`). The
last layer, and one before an 8-bit ReLU, keeps its sums (`tflite_sums.py`), and what follows is
one float MUL and one ADD a stage.

The file is written straight with the schema classes of LiteRT; no converter, no
calibration. `weight_forms.py` stores the kernels. The logits are those of `reference.run`,
bit for bit, in every form.
"""

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters import flatbuffer, metadata, tflite_ends, weight_forms
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.tflite_emitters import EMITTERS
from keras_gxnor.converters.tflite_net import Net


def emit(
    graph: g.Graph,
    name: str,
    weights="int8",
    split=None,
    inputs="codes",
    outputs="float32",
    labels=None,
    version=None,
    sums="int16",
) -> Artifact:
    """Writes `graph` as a TFLite flatbuffer.

    The input tensor has the device's dtype and the declared scale and zero point, shape
    (batch, *input shape) with a dynamic batch; an output is float32 (batch, *output
    shape): the logits, or codes and sums as floats if the graph ends in them. Several inputs
    and outputs come in the order of the graph.

    Args:
        graph: Any sound `Graph`.
        name: Stem of the file.
        weights: `"int8"`: one byte a weight. `"int4"`: half a byte, on the same runtimes; the
            reference convolutions of TFLite Micro unpack an int4 kernel into the arena.
            `"decode"`: two bits a ternary and one bit a binary weight, for TFLite Micro alone
            (`AddDecode()`), which unpacks every kernel into the arena just before its layer. A
            kernel that the form does not hold, or that it would not make smaller, stays int8.
        split: None, or the largest number of bytes an unpacked kernel may take: larger ones
            are cut along their output channels, at some 400 bytes of file and 300 of arena a
            part, or stay int8 if they cannot be cut (grouped and depthwise convolutions).
        inputs: `"codes"`: the integers the device feeds. `"float32"`: the numbers that the
            first layer after any Rescaling is fed, scale * (q - zero_point) with the graph's
            own scale; the file rounds them to the nearest code first.
        outputs: `"float32"`: the logits. `"int16"`: the sums of the last layer, with their
            unit as the tensor's scale, where nothing but that unit makes logits of them (no
            bias or batch normalization after the last kernel). `"argmax"`: the class, int32,
            of two logits or more; of one logit (two classes) the second class is logit > 0.
        labels: None, or a sequence of unique strings, one a class: the places of the last
            axis of the (first) output. They ride in the file's metadata (see `metadata.py`).
        version: None, or a string that says which version of your model this is.
        sums: How kernels are summed whose sums floats are made of, before logits and 8-bit
            ReLUs. `"int16"`: by int16 operators on int8 weights wherever they are exact (see
            `tflite_sums.py`), made for microcontrollers. `"float32"`: by float32 operators
            whose int8 weights are unpacked first, by LiteRT once. Its convolutions are many
            times faster so; on TFLite Micro each takes 4 bytes of arena a weight.

    Returns:
        An `Artifact` with the file `<name>.tflite`; equal arguments give equal bytes. Its
        `sizes`, in bytes: `"weights"` and `"bias"` as stored, and, if `weights` is not
        `"int8"`, `"weights_kept"` (those that stayed int8 or float32) and `"decoded_largest"`
        (the largest kernel to unpack: by up to this the arena grows, and by some 200 bytes a
        kernel decoded). `runs_on` names the back ends of a file that LiteRT cannot read.

    Raises:
        InvalidArgumentError: if an option has the wrong value.
        GraphError: if the graph is not sound.
        UnsupportedGraphError: naming the node that has no exact TFLite form.
        VerificationError: if a step would round wrongly on some kernel.
        MissingExtraError: if LiteRT is not installed.
    """
    tflite_ends.check(inputs, outputs, sums)
    plain, units = rewrites.canonical(graph), {}
    if outputs == "int16":
        plain, units = tflite_ends.sums_and_units(plain)
    file = flatbuffer.File()
    storage = weight_forms.Storage(file, weights, split, unpack=sums == "float32")
    net = Net(plain, plain.check(), file, [], storage, inputs, units, sums)
    for index, node in enumerate(plain.nodes):
        net.values.append(EMITTERS[type(node.op)](net, index))
    fed = [value.fed for value in net.values if value and value.fed is not None]
    ends = [tflite_ends.end(net, last, outputs) for last in plain.outputs]
    about = metadata.entry(name, graph.inputs, net.types[plain.outputs[0]].shape, labels, version)
    data = file.finish(graph.name, fed, ends, about)
    files, sizes = {f"{name}.tflite": data}, {**file.sizes, **storage.sizes()}
    options = {"runs_on": storage.runs_on, "inputs": inputs, "outputs": outputs}
    return Artifact("tflite", name, graph, files, sizes, **options)
