"""A kernel and the Threshold that follows it.

They are one int8 operator whose bias, scales and RELU_N1_TO_1 are the step (`rounding.py`), or
several of a space with more states. What int8 does not hold is compared in float32: whole
numbers, exact below 2^24.
"""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import rounding, tflite_sums
from keras_gxnor.converters.tflite_floats import as_int8
from keras_gxnor.converters.tflite_net import UNIT, Value, arithmetic, linear
from keras_gxnor.spaces import DiscreteSpace


def threshold(net, index):
    """Threshold, with the kernel before it.

    A space of 2 K + 1 states is the sum of K ternary steps: step j is +1 from the j-th
    threshold above the middle on, and -1 below the j-th one under it.
    """
    node = net.graph.nodes[index]
    steps = _ternary_steps(node.op)
    plans = [_plan(net, index, step) for step in steps]
    if None in plans:
        return _compared(net, index)
    total = None
    for j, (step, plan) in enumerate(zip(steps, plans), 1):
        made = _step(net, index, step, plan, f"/{j}" * (len(steps) > 1), len(steps))
        total = made if total is None else summed(net, index, [total, made], f"/sum{j}" * (j < len(steps)))
    return Value(total)


def _ternary_steps(op):
    if op.space.order < 2:
        return [op]
    middle, made = op.space.max_code, []
    for j in range(1, middle + 1):
        pair = np.ascontiguousarray(op.thresholds[:, [middle - j, middle - 1 + j]])
        made.append(g.Threshold(pair, op.flipped, DiscreteSpace(1)))
    return made


def _plan(net, index, step):
    """The constants of one int8 operator for a ternary or binary step; None if there are none."""
    below = net.graph.nodes[index].inputs[0]
    kernel, bounds = net.graph.nodes[below].op.kernel, net.types[below]
    if net.source(below).dtype != "int8":
        return None
    largest = int(np.abs(kernel.astype(np.int64)).max())
    return net.storage.plan(step.thresholds, bounds.low, bounds.high, largest)


def _step(net, index, step, plan, suffix, uses):
    """The tensor of a ternary or binary step of the kernel below node `index`.

    uses: how many steps of this node share the weights.
    """
    node = net.graph.nodes[index]
    below = node.inputs[0]
    kernel, source, bounds = net.graph.nodes[below], net.source(below), net.types[below]
    rounding.check(node.name, plan, step, bounds.low, bounds.high, np.float32(source.scale))
    scales = rounding.filter_scales(plan, np.float32(source.scale))
    result = net.tensor(index, "int8", UNIT, suffix)
    bias = plan.bias, scales * np.float32(source.scale)
    weights = kernel.op.kernel * np.int8(plan.gain)
    linear(net, kernel, source.tensor, result, weights, scales, bias, uses, clipped=True)
    return result


def _compared(net, index):
    """The same in float32: the count of thresholds t with min(max(sum - t + 1, 0), 1) = 1.

    Sums and thresholds are integers, so that sum - t + 1 is at least 1 or at most 0; where it is
    rounded, above 2^24, it stays on its side.
    """
    node = net.graph.nodes[index]
    bounds, op = net.types[node.inputs[0]], node.op
    x, total = tflite_sums.sums(net, node.inputs[0]).tensor, None
    reach = np.clip(op.thresholds.T, bounds.low, bounds.high + 1)
    for k, t in enumerate(reach):
        above = arithmetic(net, "ADD", x, (1 - t).astype(np.float32), f"{node.name}/above{k}", relu=True)
        reached = arithmetic(net, "MINIMUM", above, 1.0, f"{node.name}/reached{k}")
        total = reached if total is None else arithmetic(net, "ADD", total, reached, f"{node.name}/sum{k}")
    if op.space.code_step > 1:
        total = arithmetic(net, "MUL", total, float(op.space.code_step), f"{node.name}/doubled")
    codes = arithmetic(net, "ADD", total, float(op.space.codes()[0]), f"{node.name}/codes")
    return as_int8(net, index, codes)


def summed(net, index, tensors, suffix, quantization=UNIT):
    """The tensor of the sum of tensors of one kind, of the shape of node `index`."""
    total, dtype = tensors[0], "float32" if quantization is None else "int8"
    version = 1 if quantization is None else 2
    for k, tensor in enumerate(tensors[1:], 2):
        part = "" if k == len(tensors) else f"/sum{k}"
        result = net.tensor(index, dtype, quantization, suffix + part)
        net.file.operator("ADD", version, [total, tensor], result, net.file.schema.AddOptionsT())
        total = result
    return total
