"""What becomes of each layer, decided from the model's data flow alone: no weights, no data.

Lowering wants codes in front of kernels, merges and averages, and a normalization between a
kernel and its step; where a float model has none, one is inserted.
"""

import dataclasses
import enum

import keras

from keras_gxnor.conversion.registry import ACTIVATIONS, SWAPS, activation_of, is_softmax
from keras_gxnor.layers import DiscreteActivation
from keras_gxnor.layers.base import DiscreteKernel
from keras_gxnor.lowering.advice import NOTHING, nearest
from keras_gxnor.lowering.handlers import handles
from keras_gxnor.lowering.merges import MERGES
from keras_gxnor.lowering.pooling import AVERAGES, MAXIMA

_L = keras.layers
_MERGES, _AVERAGES, _MAXIMA = tuple(MERGES), tuple(AVERAGES), tuple(MAXIMA)
_SHAPES = (_L.Flatten, _L.Reshape)


class Kind(enum.Enum):
    """What a tensor of the new model holds."""

    RAW = "the input"
    CODES = "codes"
    SUMS = "sums of codes"
    NORMAL = "normalized sums"
    FLOAT = "floats"


class Role(enum.Enum):
    """What becomes of an activation."""

    NONE = "there is none"
    STEP = "a DiscreteActivation"
    DROP = "linear"


@dataclasses.dataclass
class Change:
    """What becomes of one layer.

    Attributes:
        layer: The float layer.
        space: Name of its kernel space, or None if its kernel (if any) stays.
        role: What becomes of its activation.
        left: Why it stays float, or "".
        remedy: What to use in the place of a layer that stays float, or "".
        raw: Whether it reads an input as the device feeds it.
        before, norm, step: Whether a BatchNormalization comes before it, one after it, and
            a DiscreteActivation after that.
        keeps: Whether its kernel keeps 8 bits by `keep`.
        ends: Whether codes that it makes are an output of the model.
        chosen: Whether it was left float by the user's own choice.
    """

    layer: keras.layers.Layer
    space: object = None
    role: Role = Role.NONE
    left: str = ""
    remedy: str = ""
    raw: bool = False
    before: bool = False
    norm: bool = False
    step: bool = False
    keeps: bool = False
    ends: bool = False
    chosen: bool = True

    @property
    def inner(self) -> bool:
        """Whether the layer is a kernel whose own `activation=` becomes a step after it."""
        return self.role is Role.STEP and not isinstance(self.layer, ACTIVATIONS)


class Planner:
    """Decides; see `keras_gxnor.discretize` for the arguments.

    Attributes:
        changes: {id of a layer: `Change`}, in the order of the data flow.
        kinds: {tensor: `Kind`}.
        owners: {tensor: key of the normalization it comes from}; a key is the id of a
            BatchNormalization, or (id of a layer, "norm" or "before") of an inserted one.
        steps: {key of a normalization: id of the layer whose step reads it}.
    """

    def __init__(self, found, kernel_space, chosen, keep):
        self.found, self._keep = found, keep
        self._uses = [call.layer for call in found.calls]
        self.changes = {}
        for call in found.calls:
            if id(call.layer) not in self.changes:
                self.changes[id(call.layer)] = self._first_look(call, kernel_space, chosen)
        before = None
        while before != (before := [dataclasses.astuple(_flags(c)) for c in self.changes.values()]):
            self._pass()

    def _first_look(self, call, kernel_space, chosen):
        layer = call.layer
        change = Change(layer)
        if type(layer) in SWAPS:
            change.chosen = chosen(layer)
            if not change.chosen:
                change.left = "not chosen by `filters`"
            elif getattr(layer, "data_format", "channels_last") != "channels_last":
                change.left, change.remedy = f"its data_format is {layer.data_format!r}", "channels_last"
            else:
                change.space = kernel_space
        elif not (handles(layer) or isinstance(layer, ACTIVATIONS)):
            change.left, change.remedy = "it has no exact integer form", nearest(layer)
        elif isinstance(layer, _L.BatchNormalization) and layer.axis not in (-1, layer.input_spec.ndim - 1):
            change.left, change.remedy = f"it normalizes axis {layer.axis}", "axis=-1"
        self._look_at_activation(change)
        return change

    def _look_at_activation(self, change):
        layer = change.layer
        active = activation_of(layer) or (isinstance(layer, ACTIVATIONS) and type(layer) is not _L.Activation)
        if change.left or not active or not (change.space or isinstance(layer, ACTIVATIONS)):
            return
        outputs = [call.output for call in self.found.calls if call.layer is layer]
        if all(map(self._is_final, outputs)):
            change.role = Role.DROP
        elif is_softmax(layer):
            change.space, change.left = None, "a softmax between layers has no steps"
            change.remedy = 'DiscreteActivation, ternary or "uint8"'
        else:
            change.role = Role.STEP
            change.norm = change.step = change.inner

    def _reaches_output(self, tensor, ends) -> bool:
        """Whether a way leads from a tensor to an output past no layer that `ends` it."""
        return tensor in self.found.outputs or any(
            not ends(call.layer) and self._reaches_output(call.output, ends)
            for call in self.found.consumers(tensor)
        )

    def _is_final(self, tensor) -> bool:
        """Whether nothing but outputs is made of a tensor, in other shapes and by activations at most."""
        readers = self.found.consumers(tensor)
        return (tensor in self.found.outputs or bool(readers)) and all(
            (type(call.layer) in (*NOTHING, *_SHAPES) or isinstance(call.layer, ACTIVATIONS))
            and self._is_final(call.output)
            for call in readers
        )

    def _pass(self):
        """Walks the model once with the insertions known so far, and finds those still missing."""
        self.kinds = dict.fromkeys(range(len(self.found.inputs)), Kind.RAW)
        self.owners, self.steps = {}, {}
        for call in self.found.calls:
            change = self.changes[id(call.layer)]
            kind, owner = self._made(call, change)
            self._insert(call, change, kind, owner)
            if change.norm and kind is not Kind.FLOAT:
                kind, owner = Kind.NORMAL, (id(call.layer), "norm")
            if change.step:
                self.steps.setdefault(owner, id(call.layer))
                kind, owner = Kind.CODES, None
            self.kinds[call.output], self.owners[call.output] = kind, owner
            change.ends = change.ends or (kind is Kind.CODES and call.output in self.found.outputs)

    def _made(self, call, change):
        """(kind, owner) of what a layer makes, before anything inserted after it."""
        layer, first = call.layer, call.inputs[0]
        kind, owner = self.kinds[first], self.owners.get(first)
        change.raw = change.raw or kind is Kind.RAW
        if change.left:
            return Kind.FLOAT, None
        if change.space or isinstance(layer, DiscreteKernel):
            self._keep_bits(call, change)
            table = type(layer) in SWAPS and SWAPS[type(layer)].table
            quantized = isinstance(layer, DiscreteKernel) and activation_of(layer)
            return (Kind.CODES if table or quantized else Kind.SUMS), None
        if isinstance(layer, _L.BatchNormalization):
            return Kind.NORMAL, id(layer)
        if change.role is Role.STEP:
            if not (kind is Kind.NORMAL and self.steps.setdefault(owner, id(layer)) == id(layer)):
                change.before = self._uses.count(layer) == 1
                self.steps[id(layer), "before"] = id(layer)
            return Kind.CODES, None
        if isinstance(layer, DiscreteActivation):
            return Kind.CODES, None
        if isinstance(layer, _L.Rescaling) and kind is not Kind.RAW:
            return Kind.SUMS, None
        if len(call.inputs) > 1:
            raw = all(self.kinds[t] is Kind.RAW for t in call.inputs)
            return (Kind.RAW if raw else Kind.CODES), None
        return kind, owner

    def _keep_bits(self, call, change):
        """Notes a kernel that keeps 8 bits, as the first, the last or by its name."""
        first = "first" in self._keep and self._is_first(call)
        last = "last" in self._keep and self._reaches_output(call.output, lambda x: type(x) in SWAPS)
        change.keeps = change.keeps or first or last or call.layer.name in self._keep

    def _is_first(self, call) -> bool:
        """Whether nothing with a kernel and no activation lies between the inputs and a call."""
        ahead = [before for before in self.found.calls if before.output in call.inputs]
        return all(not transforms(before.layer) and self._is_first(before) for before in ahead)

    def _insert(self, call, change, kind, owner):
        """Notes what has to come between this call and those who read it."""
        if change.left or kind in (Kind.RAW, Kind.FLOAT) or change.role is Role.STEP:
            return
        needs = {self._needs(reader, kind) for reader in self.found.consumers(call.output)}
        shared = self._uses.count(call.layer) > 1 and not call.layer.weights
        if shared:  # at each place it may have other channels
            return
        if Kind.CODES in needs and kind in (Kind.SUMS, Kind.NORMAL):
            taken = self.steps.get(owner, id(call.layer)) != id(call.layer)
            change.step = True
            change.norm = change.norm or kind is Kind.SUMS or taken
        elif kind is not Kind.NORMAL:
            activated = Kind.NORMAL in needs and needs <= {Kind.NORMAL, None}
            change.norm = change.norm or activated or (call.output in self.found.outputs and not needs)

    def _needs(self, call, kind):
        """The kind that a call needs in the place of a tensor of `kind`; None if it takes this one."""
        reader, change = call.layer, self.changes[id(call.layer)]
        if change.left or (change.role is Role.DROP and not change.space):
            return None
        if change.role is Role.STEP and not change.space:
            return Kind.NORMAL
        if isinstance(reader, (_L.BatchNormalization, DiscreteActivation, *_MAXIMA, *NOTHING)):
            return None
        shapes_output = isinstance(reader, _SHAPES) and self._is_final(call.output)
        takes_sums = shapes_output or (isinstance(reader, _AVERAGES) and kind is Kind.SUMS)
        return None if takes_sums else Kind.CODES


def transforms(layer) -> bool:
    """Whether a layer is an activation or has a kernel: what follows reads features, not the data."""
    if isinstance(layer, (*ACTIVATIONS, DiscreteActivation, *SWAPS, DiscreteKernel)):
        return True
    return not isinstance(layer, _L.Normalization) and any(len(v.shape) > 1 for v in layer.weights)


@dataclasses.dataclass(frozen=True)
class _Flags:
    before: bool
    norm: bool
    step: bool
    keeps: bool


def _flags(change):
    return _Flags(change.before, change.norm, change.step, change.keeps)
