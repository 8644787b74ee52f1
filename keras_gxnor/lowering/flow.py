"""What is known of a tensor on its way from Keras to the graph, and the graph so far."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor import graph as g
from keras_gxnor import rewrites, thresholds
from keras_gxnor.errors import UnsupportedLayerError
from keras_gxnor.spaces import MAX_ORDER, DiscreteSpace


@dataclasses.dataclass(frozen=True, eq=False)
class Flow:
    """A Keras tensor: integers of a graph node, and what Keras has done to them since.

    Keras' value is stages(integer * unit / divisor), with everything but the stages and the
    division exact in float32.

    Attributes:
        node: Index of the node.
        type: Its `TensorType`.
        unit: Keras value of one unit of the integers.
        divisor: What an average has still to be divided by; 1 if nothing.
        stages: Biases (arrays), BatchNormalization and Rescaling layers, in order.
        late: (name, op) of pools and changes of shape that wait until the activation is done.
        feature_stages: Stages after a Flatten across pixels, of other channels.
    """

    node: int
    type: g.TensorType
    unit: float
    divisor: int = 1
    stages: tuple = ()
    late: tuple = ()
    feature_stages: tuple = ()

    @property
    def pending(self) -> bool:
        """Whether an activation must come before a kernel can read it."""
        return self.type.kind == "accumulator" or bool(self.stages or self.late or self.feature_stages)

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.type.shape[-1]

    @property
    def seen(self) -> g.TensorType:
        """Type of the Keras tensor: that of the node, with what waits for the activation."""
        found = self.type
        for name, op in self.late:
            found = g.infer(g.Node(name, op, (0,)), found)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the Keras tensor."""
        return self.seen.shape

    def divided(self, count: int) -> "Flow":
        """A sum as an average: the division goes into the unit where that is exact, else it waits."""
        if g.is_power_of_two(count):
            return dataclasses.replace(self, unit=self.unit / count)
        return dataclasses.replace(self, divisor=count)

    def normalize(self, x):
        """What Keras makes of float32 integers `x` of shape (rows, channels)."""
        x = tf.constant(x * np.float32(self.unit))
        if self.divisor > 1:
            x = x / np.float32(self.divisor)
        for stage in self.stages:
            x = _apply(stage, x, self.channels)
            if not isinstance(stage, np.ndarray):
                thresholds.check_finite(x.numpy(), stage.name)
        return x


class Lowering:
    """The nodes of the graph so far."""

    def __init__(self):
        self.nodes: list[g.Node] = []
        self._types: list[g.TensorType] = []
        self._names: set[str] = set()

    def emit(self, name, op, *sources: Flow, unit=None) -> Flow:
        """Appends a node under a unique name; the `Flow` of its integers.

        unit: Keras value of one unit; None: that of the first source (of an Input, its scale).
        """
        unique, count = name, 1
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        node = g.Node(unique, op, tuple(source.node for source in sources))
        found = g.infer(node, *(self._types[i] for i in node.inputs))
        self.nodes.append(node)
        self._types.append(found)
        self._names.add(unique)
        if unit is None:
            unit = sources[0].unit if sources else op.spec.scale
        return Flow(len(self.nodes) - 1, found, unit, sources[0].divisor if sources else 1)

    def follow(self, flow: Flow, *ops, late=False) -> Flow:
        """Appends operations (name, op) that leave the channels apart, so that the stages stay as they are.

        late: whether they must wait until the activation is done, as they do behind others that wait.
        """
        for name, op in ops:
            if late or flow.late:
                flow = dataclasses.replace(flow, late=(*flow.late, (name, op)))
            else:
                flow = dataclasses.replace(self.emit(name, op, flow), stages=flow.stages)
        return flow

    def resume(self, codes: Flow, waited: Flow) -> Flow:
        """What waited for the codes of a flow, done to them."""
        for name, op in waited.late:
            codes = self.emit(name, op, codes)
        return codes

    def finish(self, flow: Flow, what: str) -> int:
        """Makes the logits of a flow, and returns their node.

        Args:
            flow: What the model ends in.
            what: The model, or which of its outputs, for messages.

        Raises:
            UnsupportedLayerError: if the flow ends in codes, or pools logits.
        """
        pooled = [late for late, op in flow.late if isinstance(op, g.MaxPool2D)]
        if pooled or (not flow.pending and flow.divisor == 1):
            last = f"`{pooled[0]}` pools the logits" if pooled else "it ends in codes"
            raise UnsupportedLayerError(
                f"{what} must end in logits, but {last}. End it with GXNORDense(classes), "
                "with or without BatchNormalization after it."
            )
        features = flow.feature_stages
        end = self.floats(flow, "logits") if flow.stages or not features else self._divided(flow)
        end = self.resume(end, flow)
        return (self._settle(end, features, "logits") if features else end).node

    def floats(self, flow: Flow, name: str) -> Flow:
        """The float32 numbers of Keras after the stages of a flow, by Divide and Affine nodes."""
        return self._settle(self._divided(flow), flow.stages, name)

    def _divided(self, flow):
        return self.emit("mean", g.Divide(flow.divisor), flow) if flow.divisor > 1 else flow

    def _settle(self, flow, stages, name):
        """Turns stages into float Affine nodes called `name`; they leave the unit 1."""
        channels, unit = flow.channels, np.float32(flow.unit)
        pairs = [_affine(stage, channels) for stage in stages]
        if pairs and g.is_power_of_two(unit):  # commutes with every rounding
            pairs[0] = (pairs[0][0] * unit, pairs[0][1])
        elif unit != 1 or flow.type.kind != "float":
            pairs.insert(0, (np.full(channels, unit), np.zeros(channels, np.float32)))
        for scale, offset in pairs:
            flow = self.emit(name, g.Affine(scale, offset), flow, unit=1.0)
        return flow


def small_sums(low: Lowering, name: str, flow: Flow) -> Flow:
    """Sums of at most 64 as codes of a space whose step is their unit; any other flow as it is."""
    most = max(-int(flow.type.low.min()), int(flow.type.high.max())) if flow.type.low.size else 0
    bare = flow.type.kind == "accumulator" and not (flow.stages or flow.feature_stages)
    if not bare or most > DiscreteSpace(MAX_ORDER).max_code:
        return flow
    op = rewrites.keeping_step(most, flow.channels, flow.unit)
    return low.resume(low.emit(name, op, flow), flow)


def _apply(stage, x, channels):
    """What Keras computes on values x, of shape (rows, channels) or broadcastable to it."""
    if isinstance(stage, np.ndarray):
        return x + stage
    if isinstance(stage, keras.layers.Rescaling):
        return stage(x)
    ones = [1] * (stage.input_spec.ndim - 2)
    made = stage(tf.reshape(x, [-1, *ones, channels]), training=False)
    return tf.reshape(made, [-1, channels])


def _affine(stage, channels):
    """(scale, offset) of a stage, with Keras' own order of operations."""
    if isinstance(stage, np.ndarray):
        return np.ones(channels, np.float32), stage.astype(np.float32)
    if isinstance(stage, keras.layers.Rescaling):
        pair = (np.asarray(part, np.float32) for part in (stage.scale, stage.offset))
        return tuple(np.array(np.broadcast_to(part, channels)) for part in pair)
    scale = tf.math.rsqrt(tf.convert_to_tensor(stage.moving_variance) + stage.epsilon)
    if stage.scale:
        scale = scale * tf.convert_to_tensor(stage.gamma)
    shift = -tf.convert_to_tensor(stage.moving_mean) * scale
    if stage.center:
        shift = tf.convert_to_tensor(stage.beta) + shift
    for part in (scale, shift):
        thresholds.check_finite(keras.ops.convert_to_numpy(part), stage.name)
    return scale.numpy(), shift.numpy()
