"""The only bridge from Keras to `Graph`: layers become integer operations.

A hidden block is kernel -> (bias, pooling, batch normalization) -> activation. Its
kernel makes integer sums; everything up to the activation is folded into integer
thresholds on them (`thresholds.py`). Batch normalization before the logits or an 8-bit ReLU stays
float32, in the very order of operations that Keras uses.
"""

from keras_gxnor import graph as g
from keras_gxnor import rewrites, topology
from keras_gxnor.lowering.flow import Lowering
from keras_gxnor.lowering.handlers import lower
from keras_gxnor.lowering.inputs import check_dtypes, fold_rescaling, input_specs

__all__ = ["fold_rescaling", "from_keras", "input_specs"]


def from_keras(model, input_spec=None, name=None) -> g.Graph:
    """Lowers a trained Keras model to the integer graph that it computes.

    Supported: Sequential and Functional models, nested ones too, with branches, shared layers
    and several inputs and outputs, ending in logits with or without batch normalization, of

    - all GXNOR layers: Dense (on vectors, sequences and images), Conv1D with any padding, Conv2D,
      DepthwiseConv1D and 2D, SeparableConv1D and 2D, Conv2DTranspose without `output_padding` and
      dilation, Embedding as the first layer of at most 256 rows without a mask. One may read the
      sums of another without an activation between, if they stay within -64..64;
    - DiscreteActivation, or a quantizer as `activation=`, and BatchNormalization;
    - max and average pooling, global too, of images and sequences;
    - Add, Subtract, Average and Concatenate (last axis) of activations whose units differ by a
      power of two;
    - Rescaling anywhere: a factor of +-2^k on activations only changes their unit, any other
      must have an activation behind it;
    - Flatten and Reshape; Permute of axes of size 1; ZeroPadding, Cropping and nearest UpSampling
      of activations;
    - Dropout and other layers that do nothing at inference.

    An untrained model lowers as well: try it before a long training.

    Args:
        model: A built Keras model in float32.
        input_spec: The `InputSpec` of what the device feeds, before any Rescaling, for all
            inputs, a sequence of them in the order of `model.inputs`, or a dict by name. None:
            uint8 / 255, and of an input that a Rescaling reads the raw uint8,
            InputSpec(scale=1, zero_point=0).
        name: Name of the graph (None: the model's).

    Returns:
        A checked `Graph`. `reference.run(graph, q)` equals the model on
        scale * (q - zero_point) bit for bit if the input scales are powers of two, and so
        are the sizes of averages that a kernel reads.

    Raises:
        UnsupportedLayerError: naming the layer, why, and the nearest supported form.
        GraphError: if an accumulator could reach 2^24.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> [type(node.op).__name__ for node in from_keras(model, InputSpec(scale=1 / 128)).nodes]
    ['Input', 'Dense', 'Affine']
    """
    found = topology.read(model)
    check_dtypes(model, found)
    low, flows, done = Lowering(), {}, set()
    names = found.names if len(found.names) > 1 else ["input"]
    for tensor, (shape, spec) in enumerate(zip(found.inputs, input_specs(input_spec, found))):
        spec, folded = fold_rescaling(spec, found, tensor)
        flows[tensor] = low.emit(names[tensor], g.Input(shape, spec))
        done |= folded
    for call in found.calls:
        read = [flows[t] for t in call.inputs]
        flows[call.output] = read[0] if call.output in done else lower(low, call.layer, read)
    ends = zip(found.outputs, _ends(name or model.name, found))
    outputs = tuple(low.finish(flows[t], what) for t, what in ends)
    graph = rewrites.pruned(g.Graph(tuple(low.nodes), outputs, name or model.name))
    graph.check()
    return graph


def _ends(name, found) -> list[str]:
    """What to call each output of a model in a message."""
    count = len(found.outputs)
    return [f"Output {i} of model `{name}`" for i in range(count)] if count > 1 else [f"Model `{name}`"]
