"""An emulated core with an image in its flash: calls its functions, counts, looks at memory."""

import math

import numpy as np

from keras_gxnor.converters import host
from keras_gxnor.converters.firmware import FUNCTION, LABEL
from keras_gxnor.errors import ToolError, import_extra

_PAGE = 4096
_STACK_BYTES = 64 * 1024
_PAINT = 0xA5
_RETURN = 0x30000000  # where the called function returns to, and emulation stops


class Processor:
    """A core in reset with an image in its flash: calls any function of it.

    Every buffer ends where a page ends and the next page is not mapped, so that what runs over its
    end is seen. Buffers and stack are painted, so that nothing may rely on zeros and the depth of
    the stack can be told.

    Args:
        image: An `Image`.
        count: Whether to count instructions (slower).

    Attributes:
        instructions: How many were executed so far, if `count`. Those of an IT block count even
            if their condition fails, as they take their cycle.

    Raises:
        MissingExtraError: if unicorn is not installed.

    Example:

    >>> import types
    >>> from keras_gxnor.converters.firmware import Image
    >>> header = types.SimpleNamespace(name="twice", main=b"int twice(int x) { return 2 * x; }")
    >>> Processor(Image([header], "cortex-m4", ["twice"])).call("twice", 21)
    42
    """

    def __init__(self, image, count=False):
        self._image = image
        self._family = family = image.core.family
        self._unicorn = unicorn = import_extra("unicorn", "mcu")
        self._constants = import_extra(f"unicorn.{family.name.lower()}_const", "mcu")
        self.instructions = 0
        self._lengths, self._block_end = {}, 0  # instructions of the blocks seen; end of the last
        modes = sum(getattr(unicorn, f"UC_MODE_{mode}") for mode in family.modes)
        self._uc = unicorn.Uc(getattr(unicorn, f"UC_ARCH_{family.name}"), modes)
        if image.core.model:
            self._uc.ctl_set_cpu_model(getattr(self._constants, image.core.model))
        code = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
        self._uc.mem_map(0, image.flash_end, code)
        self._uc.mem_map(_RETURN, _PAGE, code)
        for start, data in image.segments:
            self._uc.mem_write(start, data)
        self._next_page = 0x40000000
        self._stack_end = self.buffer(_STACK_BYTES) + _STACK_BYTES
        if count:
            self._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._count_block)

    def call(self, symbol: str, *arguments) -> int:
        """Calls a function of the image with integers and addresses; returns what it returns.

        Raises:
            ToolError: if it leaves its memory, or does what the core has not.
        """
        family = self._family
        for register, value in zip(family.arguments, arguments):
            self._register(register, value)
        rest = np.array(arguments[len(family.arguments) :], "<u4").tobytes()
        stack = self._stack_end - -(-len(rest) // family.alignment) * family.alignment
        self._uc.mem_write(stack, rest)
        self._register("SP", stack)
        self._register(family.link, _RETURN | family.odd)
        address = self._image.symbols[symbol] | family.odd
        try:
            self._uc.emu_start(address, _RETURN)
        except self._unicorn.UcError as error:
            raise ToolError(
                f"`{symbol}` crashed on the emulated {self._image.core.name} at "
                f"{self._register('PC'):#x}: {error}."
            ) from error
        return self._register(family.arguments[0])

    def buffer(self, size: int) -> int:
        """Maps pages for `size` bytes, after a page that stays unmapped; returns the address."""
        length = -(-size // _PAGE) * _PAGE
        self._uc.mem_map(self._next_page, length)
        self._uc.mem_write(self._next_page, bytes([_PAINT]) * length)
        end = self._next_page + length
        self._next_page = end + _PAGE
        return end - size

    def read(self, place: int, size: int) -> bytes:
        """`size` bytes of memory from the address `place`."""
        return bytes(self._uc.mem_read(place, size))

    def write(self, place: int, data: bytes):
        """Puts bytes into memory."""
        self._uc.mem_write(place, data)

    def stack_bytes(self) -> int:
        """How deep the stack ever was; arguments that do not fit into registers lie on it."""
        stack = self.read(self._stack_end - _STACK_BYTES, _STACK_BYTES)
        return len(stack.lstrip(bytes([_PAINT])))

    def _hook(self, place, function):
        """Has `function()` called before the instruction at `place`."""
        place &= ~1
        self._uc.hook_add(
            self._unicorn.UC_HOOK_CODE, lambda *_: function(), begin=place, end=place
        )

    def _register(self, name, value=None) -> int:
        number = getattr(self._constants, f"UC_{self._family.name}_REG_{name}")
        if value is not None:
            self._uc.reg_write(number, value)
        return self._uc.reg_read(number)

    def _count_block(self, uc, address, size, _):
        self.instructions += self._length(address, size)
        self._block_end = address + size

    def _length(self, address, size) -> int:
        """Instructions in a piece of code."""
        key = (address, size)
        if key not in self._lengths:
            self._lengths[key] = self._family.count(self.read(address, size))
        return self._lengths[key]


class Machine(Processor):
    """A `Processor` with buffers for one network.

    Args:
        image: An `Image`.
        artifact: One of the artifacts it was made of.
        count: Whether to count instructions (slower).

    Attributes:
        marks: If `count` and the image's trace is `"count"`: [(layer from 1, instructions until
            its end)] of all runs so far.

    Raises:
        MissingExtraError: if unicorn is not installed.
    """

    def __init__(self, image, artifact, count=False):
        super().__init__(image, count)
        self._artifact = artifact
        self.marks, self._ended = [], 0
        graph = artifact.graph
        self._inputs = [self.buffer(math.prod(op.shape)) for op in graph.inputs]
        self._shapes = host.output_shapes(graph)
        self._logits = [self.buffer(4 * math.prod(shape)) for shape in self._shapes]
        self._scratch = self.buffer(artifact.sizes["scratch"])
        if count:
            for name, place in image.symbols.items():
                if name.startswith(LABEL):
                    layer = int(name.removeprefix(LABEL))
                    self._hook(place, lambda layer=layer: self._mark(layer))

    def run(self, code):
        """float32 logits of one input; of several inputs or outputs tuples (checked codes)."""
        self._ended = 0
        for place, part in zip(self._inputs, host.parts(code)):
            self.write(place, np.ascontiguousarray(part).tobytes())
        self._run("run", *self._inputs, *self._logits, self._scratch)
        made = []
        for place, shape in zip(self._logits, self._shapes):
            data = np.frombuffer(self.read(place, 4 * math.prod(shape)), "<f4")
            made.append(data.astype(np.float32).reshape(shape))
        return made[0] if len(made) == 1 else tuple(made)

    def argmax(self) -> int:
        """The class that the exported argmax picks of the last run's (first) logits."""
        return self._run("argmax", self._logits[0])

    def selftest(self) -> int:
        """What the exported self-test returns."""
        return self._run("selftest", self._scratch)

    def on_layer(self, function):
        """Has function(layer from 1, address of what it left) called at the end of every layer.

        Only if the image's trace is `"values"`. The function can `read` the memory.
        """
        layer, place = self._family.arguments[:2]
        self._hook(
            self._image.symbols[FUNCTION],
            lambda: function(self._register(layer), self._register(place)),
        )

    def _run(self, function, *arguments) -> int:
        try:
            return self.call(f"{self._artifact.name}_{function}", *arguments)
        except ToolError as error:
            size = self._artifact.sizes["scratch"]
            raise ToolError(f"{error} Is the scratch of {size} bytes too small?") from error

    def _mark(self, layer):
        """A label was reached: what of its block is still to come is not executed yet.

        Where a layer begins with a loop, the label before it may lie at the head of the loop, and is
        reached again: only the first time counts.
        """
        if layer <= self._ended:
            return
        self._ended = layer
        place = self._image.symbols[f"{LABEL}{layer}"]
        ahead = self._length(place, self._block_end - place)
        self.marks.append((layer, self.instructions - ahead))
