"""How a kernel is stored in a .tflite: one byte a weight, two weights a byte, or one to seven bits.

`int8`: one byte a weight, on every runtime. `int4`: tensors of type INT4, the first weight in
the low half of a byte, on every runtime too: TFLite Micro reads INT4 in convolutions only
(its FULLY_CONNECTED wants one scale for all channels), so that a Dense layer is written as a
1x1 convolution between two RESHAPEs. `decode`: TFLite Micro's custom operator TFLM_DECODE
looks each weight up in a table of values just before the layer runs: two bits a ternary
weight, one bit a binary one, but a file that LiteRT cannot read.

Each kernel is stored in the form asked for if the file gets smaller by it, and else as int8:
int4 does not hold |weight| > 7 or the int16 sums of a last layer, and small kernels cost less
than the operators that unpack them.
"""

import dataclasses

import numpy as np

from keras_gxnor.converters import rounding
from keras_gxnor.errors import InvalidArgumentError

FORMS = ("int8", "int4", "decode")
DECODE = "TFLM_DECODE"
# The largest |weight| a form holds symmetrically.
_LIMITS = {"int8": 127, "int4": 7, "decode": 127}
# Versions of the operators that read INT4. LiteRT counts both as 7, but its reference kernels,
# which do read INT4, are registered up to DEPTHWISE_CONV_2D 6 only.
_INT4_VERSIONS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 6}
# CONCATENATION of TFLite Micro keeps its inputs in arrays of ten.
_CONCATENATED = 10
# Bytes a file grows by, beside the weights, each with how often it holds the name of the node:
# for a decoded kernel, for a new table, for a Dense layer as a convolution, for the first of
# these, for each further part of a kernel that is cut. Rounded up from real files;
# tests/unit/test_weight_forms.py holds them against real files again.
_DECODE_COST, _TABLE_COST = (96, 1), (160, 0)
_RESHAPE_COST, _FIRST_RESHAPE_COST, _PART_COST = (160, 2), (190, 0), (360, 4)


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """A linear operator before its weights have a form.

    Attributes:
        name: The node.
        code, version, options: The operator on int8 (or float32) weights.
        kernel: The weights in the layout and the dtype the operator reads.
        axis: That of the output channels in `kernel`.
        scales: Of the kernel, one or one a channel; None for float32.
        bias, bias_scales: Values of shape (channels,); int32 tells the int8 operator.
        groups: Of a convolution: more than one, and the kernel is never cut.
        uses: How many operators of the file have this kernel (and share its bytes).
    """

    name: str
    code: str
    version: int
    options: object
    kernel: np.ndarray
    axis: int
    scales: np.ndarray | tuple | None
    bias: np.ndarray
    bias_scales: np.ndarray | tuple | None
    groups: int = 1
    uses: int = 1

    def part(self, index, channels) -> "Linear":
        """The operator of some output channels (a slice) alone."""
        pick = lambda v: v if v is None or len(v) == 1 else v[channels]
        where = (slice(None),) * self.axis + (channels,)
        return dataclasses.replace(
            self,
            name=f"{self.name}/{index}",
            kernel=self.kernel[where],
            scales=pick(self.scales),
            bias=self.bias[channels],
            bias_scales=pick(self.bias_scales),
        )


def pack_int4(values) -> np.ndarray:
    """Packs integers -8..7 of any shape, in C order, two to a byte, the first in the low half.

    Returns:
        uint8 array of shape (ceil(size / 2),), the tail padded with 0: TensorType INT4 of the
        TFLite schema, as the kernels of LiteRT and TFLite Micro unpack it.

    Example:

    >>> pack_int4(np.array([-4, 4, 0])).tolist()
    [76, 0]
    """
    halves = np.ascontiguousarray(values).reshape(-1).astype(np.int8) & 15
    halves = np.append(halves, np.zeros(halves.size % 2, np.int8)).astype(np.uint8)
    return halves[0::2] | halves[1::2] << 4


def encode(values) -> tuple[np.ndarray, np.ndarray]:
    """Splits a kernel into indices and a table, as TFLM_DECODE reads them.

    The table is preceded by the 16 bytes of "decode common metadata": 0 (lookup table), 1
    (version), and from byte 4 on 1 (version), 0xF0 + bits an index (F: one table for all
    channels), 0 (elements between the tables of two channels; runtimes before the F look
    here). Indices follow each other from the highest bit of a byte down.

    Args:
        values: Array of any shape with at most 128 different values.

    Returns:
        (encoded, ancillary), uint8 arrays.

    Raises:
        InvalidArgumentError: if there are more different values.

    Example:

    >>> encoded, ancillary = encode(np.array([-4, 0, 4, 4, -4], np.int8))
    >>> encoded.tolist(), ancillary[16:].view(np.int8).tolist()
    ([26, 0], [-4, 0, 4, 0])
    """
    table, indices = np.unique(values, return_inverse=True)
    if len(table) > 128:
        raise InvalidArgumentError(f"Expected at most 128 different values. Received: {len(table)}")
    bits = max(1, (len(table) - 1).bit_length())
    planes = indices.reshape(-1, 1) >> np.arange(bits)[::-1] & 1
    padded = np.append(table, np.zeros((1 << bits) - len(table), table.dtype))
    head = np.array([0, 1, 0, 0, 1, 0xF0 + bits, *[0] * 10], np.uint8)
    return np.packbits(planes.astype(np.uint8)), np.append(head, padded.view(np.uint8))


class Storage:
    """Appends linear operators to a file, their kernels in the form asked for or in int8."""

    def __init__(self, file, form="int8", split=None, unpack=False):
        """Starts with nothing stored.

        Args:
            file: The `flatbuffer.File`.
            form: One of `FORMS`.
            split: None, or the largest number of bytes that an unpacked kernel may take in
                the arena of TFLite Micro: a larger one is cut along its output channels, or
                stays int8 if it cannot be (grouped convolutions, single channels).
            unpack: Whether float32 kernels of whole numbers are stored as int8 and unpacked by
                the runtime.

        Raises:
            InvalidArgumentError: if an argument has the wrong value.
        """
        if form not in FORMS:
            raise InvalidArgumentError(f"`weights` must be one of {FORMS}. Received: weights={form!r}")
        whole = isinstance(split, (int, np.integer)) and not isinstance(split, bool)
        if split is not None and (form == "int8" or not whole or split < 1):
            raise InvalidArgumentError(
                "`split` must be None or a positive number of bytes, with weights='int4' or 'decode' "
                f"(int8 kernels are not unpacked). Received: split={split!r}, weights={form!r}"
            )
        self._file, self._form, self._split, self._unpack = file, form, split, unpack
        self._tables, self._images, self._kept, self._largest = {}, 0, 0, 0

    def plan(self, thresholds, low, high, largest_weight):
        """`rounding.plan` with weights that fit the form, else with weights that fit int8."""
        arguments = (thresholds, low, high, largest_weight)
        step = rounding.plan(*arguments, limit=_LIMITS[self._form])
        return step or rounding.plan(*arguments)

    @property
    def runs_on(self):
        """The back ends that can run the file; None: all of them."""
        return ("tflite_micro",) if self._tables else None

    def sizes(self) -> dict:
        """{what: bytes} beside the weights and biases: see `tflite.emit`."""
        if self._form == "int8":
            return {}
        return {"weights_kept": self._kept, "decoded_largest": self._largest}

    def append(self, linear: Linear, x: int, result: int):
        """Appends `linear` from tensor `x` to tensor `result`."""
        parts = self._parts(linear)
        if self._form == "int8" or not self._pays(linear, len(parts)):
            before = self._file.sizes["weights"]  # equal kernels are stored once
            self._operator(linear, x, result, "int8")
            self._kept += self._file.sizes["weights"] - before
            return
        dense = self._form == "int4" and linear.code == "FULLY_CONNECTED"
        made = result
        if dense:
            self._images += 1
            parts = [self._as_convolution(part) for part in parts]
            image = self._file.like(x, f"{linear.name}/1x1", (1, 1, *self._file.shape(x)))
            result = self._file.like(made, f"{linear.name}/made", (1, 1, len(linear.bias)))
            x = self._reshape(x, image)
        tensors = [result]
        if len(parts) > 1:
            tensors = [self._file.like(result, part.name, len(part.bias)) for part in parts]
        for part, tensor in zip(parts, tensors):
            self._largest = max(self._largest, part.kernel.nbytes)
            self._operator(part, x, tensor, self._form)
        self._concatenate(tensors, result, linear.name)
        if dense:
            self._reshape(result, made)

    def _parts(self, linear) -> list:
        """`linear` cut along its channels so that each part is within the split; [] if it cannot be."""
        channels = len(linear.bias)
        if self._split is None or linear.kernel.nbytes <= self._split:
            return [linear]
        fit = self._split // (linear.kernel.nbytes // channels)
        if linear.groups > 1 or not fit:
            return []
        count = -(-channels // fit)
        borders = [channels * i // count for i in range(count + 1)]
        return [linear.part(i, slice(*pair)) for i, pair in enumerate(zip(borders, borders[1:]))]

    def _pays(self, linear, parts) -> bool:
        """Whether the form holds the kernel, and makes the file smaller."""
        kernel, costs = linear.kernel, [_PART_COST] * (parts - 1)
        if not parts:
            return False
        if self._form == "int4":
            if linear.bias.dtype != np.int32 or np.abs(kernel.astype(np.int16)).max() > _LIMITS["int4"]:
                return False
            stored = -(-kernel.size // 2)
            if linear.code == "FULLY_CONNECTED":
                costs += [_RESHAPE_COST] + [_FIRST_RESHAPE_COST] * (not self._images)
        else:
            if len(np.unique(kernel)) > 128:
                return False
            encoded, ancillary = encode(kernel)
            stored = encoded.nbytes
            costs += [_DECODE_COST] * parts + [_TABLE_COST] * (ancillary.tobytes() not in self._tables)
            if not self._tables and linear.scales is not None:
                costs.append((-8 * (len(linear.scales) - 1), 0))  # zero points, see `flatbuffer`
        cost = linear.uses * sum(fixed + names * len(linear.name) for fixed, names in costs)
        return cost + stored < kernel.nbytes

    def _operator(self, linear, x, result, form):
        file = self._file
        store = {"int8": self._int8, "int4": self._int4, "decode": self._decode}[form]
        weights = store(linear, f"{linear.name}/weights", _quantization(linear.scales, linear.axis))
        inputs = [x, weights]
        # The zeros of a last layer are left out: of int16 sums LiteRT wants none in 64 bits beside sums in
        # 32 (`tflite_net.linear`), and TFLite Micro none at all; LiteRT's convolutions want a bias.
        needed = form != "decode" and (linear.code, linear.bias.dtype) != ("FULLY_CONNECTED", np.int64)
        if needed or linear.bias.any() or linear.bias.dtype == np.int32:
            quantization = _quantization(linear.bias_scales, 0)
            inputs.append(file.constant(f"{linear.name}/bias", linear.bias, quantization, counted="bias"))
        version = _INT4_VERSIONS[linear.code] if form == "int4" else linear.version
        file.operator(linear.code, version, inputs, result, linear.options)

    def _int8(self, linear, name, quantization):
        if not (self._unpack and linear.kernel.dtype == np.float32):
            return self._file.constant(name, linear.kernel, quantization, counted="weights")
        whole = ((1.0,), (0,), 0)
        packed = self._file.constant(f"{name}/int8", linear.kernel.astype(np.int8), whole, counted="weights")
        unpacked = self._file.intermediate(name, linear.kernel.shape, "float32")
        self._file.operator("DEQUANTIZE", 2, [packed], unpacked, self._file.schema.DequantizeOptionsT())
        return unpacked

    def _int4(self, linear, name, quantization):
        packed, stands_for = pack_int4(linear.kernel), ("int4", linear.kernel.shape)
        return self._file.constant(name, packed, quantization, stands_for, "weights")

    def _decode(self, linear, name, quantization):
        file, (encoded, ancillary) = self._file, encode(linear.kernel)
        key = ancillary.tobytes()
        if key not in self._tables:
            self._tables[key] = file.constant(f"table_{len(self._tables)}", ancillary, counted="weights")
        packed = file.constant(f"{linear.name}/packed", encoded, counted="weights")
        if quantization is not None and len(quantization[0]) == 1:
            quantization = (*quantization[:2], 0)  # TFLM_DECODE wants axis 0 where there is no axis
        weights = file.intermediate(name, linear.kernel.shape, linear.kernel.dtype.name, quantization)
        file.operator(DECODE, 1, [packed, self._tables[key]], weights)
        return weights

    def _as_convolution(self, linear) -> Linear:
        """A FULLY_CONNECTED as the 1x1 convolution of a 1x1 image."""
        options = self._file.schema.Conv2DOptionsT(
            padding=self._file.schema.Padding.VALID,
            strideH=1,
            strideW=1,
            fusedActivationFunction=linear.options.fusedActivationFunction,
        )
        kernel = linear.kernel[:, None, None, :]
        return dataclasses.replace(linear, code="CONV_2D", options=options, kernel=kernel)

    def _reshape(self, x, result):
        shape = np.array([-1, *self._file.shape(result)], np.int32)
        options = self._file.schema.ReshapeOptionsT(newShape=shape)
        self._file.operator("RESHAPE", 1, [x], result, options)
        return result

    def _concatenate(self, tensors, result, name):
        """Joins tensors along their channels, at most ten at a time."""
        file, level = self._file, 0
        while len(tensors) > _CONCATENATED:
            groups = [tensors[i : i + _CONCATENATED] for i in range(0, len(tensors), _CONCATENATED)]
            level, tensors = level + 1, []
            for number, group in enumerate(groups):
                if len(group) == 1:
                    tensors += group
                    continue
                channels = sum(file.shape(tensor)[-1] for tensor in group)
                joined = file.like(result, f"{name}/join_{level}_{number}", channels)
                self._concatenate(group, joined, name)
                tensors.append(joined)
        if len(tensors) > 1:
            options = file.schema.ConcatenationOptionsT(axis=len(file.shape(result)))
            file.operator("CONCATENATION", 2, tensors, result, options)


def _quantization(scales, axis):
    """(scales, zero points, axis) of symmetric weights; None of float32 ones."""
    return None if scales is None else (scales, (0,) * len(scales), axis)
