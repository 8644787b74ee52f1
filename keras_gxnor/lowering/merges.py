"""Layers that read several codes."""

import dataclasses

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.lowering.advice import unsupported
from keras_gxnor.lowering.flow import small_sums

_L = keras.layers


def _merged(low, layer, flows, op):
    """A node on several codes, in the finest of their units."""
    flows = [small_sums(low, f"{layer.name}.codes", flow) for flow in flows]
    if any(flow.pending or flow.divisor > 1 for flow in flows):
        unsupported(
            layer,
            "it merges sums, not codes",
            "a DiscreteActivation at the end of each branch, before the merge",
        )
    unit = min(flow.unit for flow in flows)
    ratios = [flow.unit / unit for flow in flows]
    if not all(map(g.is_power_of_two, ratios)):
        unsupported(
            layer,
            f"its inputs have different units {sorted({flow.unit for flow in flows})}",
            "units that differ by a power of two, such as those of codes and of an input of scale 2^-k",
        )
    if isinstance(op, g.Add) and len({flow.type.shape for flow in flows}) > 1:
        unsupported(layer, "its inputs have different shapes", "inputs of one shape")
    flows = [_multiplied(low, layer, flow, int(ratio)) for flow, ratio in zip(flows, ratios)]
    return low.emit(layer.name, op, *flows)


def _multiplied(low, layer, flow, factor):
    """Codes times a power of two, their unit divided by it."""
    unit = flow.unit / factor
    while factor > 1:
        flow, factor = low.emit(f"{layer.name}.double", g.Add(), flow, flow), factor // 2
    return dataclasses.replace(flow, unit=unit)


def _add(low, layer, flows):
    return _merged(low, layer, flows, g.Add())


def _subtract(low, layer, flows):
    first, second = (small_sums(low, f"{layer.name}.codes", flow) for flow in flows)
    if second.pending or second.divisor > 1:
        return _merged(low, layer, [first, second], g.Add())  # refuses it
    return _merged(low, layer, [first, negated(low, f"{layer.name}.minus", second)], g.Add())


def negated(low, name, flow):
    """Codes times -1."""
    return low.emit(name, g.Sign(np.full(flow.channels, -1, np.int8)), flow)


def _average(low, layer, flows):
    return _merged(low, layer, flows, g.Add()).divided(len(flows))


def _concatenate(low, layer, flows):
    rank = len(flows[0].type.shape)
    if layer.axis not in (-1, rank):
        unsupported(layer, f"it joins along axis {layer.axis}", "axis=-1")
    return _merged(low, layer, flows, g.Concat())


MERGES = {_L.Add: _add, _L.Subtract: _subtract, _L.Average: _average, _L.Concatenate: _concatenate}
