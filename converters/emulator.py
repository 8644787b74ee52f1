"""Runs exported C on an emulated Cortex-M: outputs, exact instructions, flash and stack.

The header is cross-compiled with the clang of the `ziglang` wheel and run in unicorn;
nothing but Python packages is needed. Instructions are counted, not cycles: a real chip
adds wait states of its flash and the cycles of multi-cycle instructions.
"""

import dataclasses
import io
import math
import pathlib
import tempfile

import numpy as np

from keras_gxnor import reference
from keras_gxnor.converters import host
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import InvalidArgumentError, ToolError, import_extra

# Core: (-mcpu of clang, CPU model of unicorn). Floats are computed in software on all.
CORES = {
    "cortex-m0": ("cortex_m0", "UC_CPU_ARM_CORTEX_M0"),
    "cortex-m3": ("cortex_m3", "UC_CPU_ARM_CORTEX_M3"),
    "cortex-m4": ("cortex_m4", "UC_CPU_ARM_CORTEX_M4"),
    "cortex-m7": ("cortex_m7", "UC_CPU_ARM_CORTEX_M7"),
    "cortex-m33": ("cortex_m33", "UC_CPU_ARM_CORTEX_M33"),
}
_FLAGS = [
    *("-target", "thumb-freestanding-eabi", "-std=c99", "-O2", "-ffreestanding", "-nostdlib"),
    # Without these, unwinding tables land in the image.
    *("-fno-exceptions", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
    *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,-T,link.ld"),
    *("model.c", "-lcompiler_rt", "-o", "model.elf"),
]
_LINK = """
ENTRY({entry})
EXTERN({keep})
MEMORY {{
    FLASH (rx) : ORIGIN = 0, LENGTH = 256M
    RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 256M
}}
SECTIONS {{
    .text : {{ *(.text*) }} > FLASH
    .rodata : {{ *(.rodata*) }} > FLASH
    .data : {{ *(.data*) }} > RAM
    .bss : {{ *(.bss*) *(COMMON) }} > RAM
    /DISCARD/ : {{ *(.ARM.ex*) *(.comment) }}
}}
"""
_PAGE = 4096
_STACK_BYTES = 64 * 1024
_PAINT = 0xA5
_RETURN = 0x30000000  # where the called function returns to, and emulation stops
_REPORT_EVERY = 50


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one network takes on one core.

    instructions: Executed by one run, on the first input; those of an IT block count even
    if their condition fails, as they take their cycle. code_bytes, data_bytes: flash that run
    and argmax need, software floats included. scratch_bytes: the caller's buffer.
    stack_bytes: high-water mark of that run.
    """

    core: str
    instructions: int
    code_bytes: int
    data_bytes: int
    scratch_bytes: int
    stack_bytes: int

    @property
    def flash_bytes(self) -> int:
        """Code and constants together."""
        return self.code_bytes + self.data_bytes


def run(artifact: Artifact, x, core: str = "cortex-m4", progress=None) -> tuple[np.ndarray, Cost]:
    """Runs an exported network on an emulated microcontroller.

    Args:
        artifact: What `c_source.emit` returned.
        x: Integer input codes of shape (batch, *input shape), at least one input.
        core: One of `CORES`.
        progress: None, or a function (images done, images) called now and then.

    Returns:
        (float32 logits of shape (batch, *output shape), `Cost`).

    Raises:
        InvalidArgumentError: if `core` is unknown, or `x` is empty or does not fit.
        MissingExtraError: if ziglang, unicorn or pyelftools is not installed.
        ToolError: if compiling fails, or the program leaves its memory (the page after
            the scratch is not mapped, so an overrun is seen).
    """
    codes = reference.check_codes(artifact.graph, x)
    if not len(codes):
        raise InvalidArgumentError("`x` must hold at least one input. Received: 0")
    keep = [f"{artifact.name}_run", f"{artifact.name}_argmax"]
    image = Image([artifact], core, keep)
    cost = image.cost(artifact, codes[0])
    machine = Machine(image, artifact)
    logits = []
    for done, code in enumerate(codes, 1):
        logits.append(machine.run(code))
        if progress and (done % _REPORT_EVERY == 0 or done == len(codes)):
            progress(done, len(codes))
    return np.stack(logits), cost


def selftest(artifact: Artifact, core: str = "cortex-m4") -> int:
    """What the network's own self-test returns on an emulated core; 0 means sound.

    Raises:
        InvalidArgumentError, MissingExtraError, ToolError: as `run`.
    """
    image = Image([artifact], core, [f"{artifact.name}_selftest"])
    return Machine(image, artifact).selftest()


class Image:
    """Exported networks, compiled and linked for a core: what a programmer would flash.

    Args:
        artifacts: C artifacts with different names.
        core: One of `CORES`.
        keep: The functions that must be in; what they do not need is left out.
    """

    def __init__(self, artifacts, core, keep):
        if core not in CORES:
            raise InvalidArgumentError(
                f"`core` must be one of {sorted(CORES)}. Received: core={core!r}"
            )
        self.core = core
        elffile = import_extra("elftools.elf.elffile", "mcu")
        command = [*host.zig_command(), f"-mcpu={CORES[core][0]}", *_FLAGS]
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            source = ""
            for artifact in artifacts:
                (root / f"{artifact.name}.h").write_bytes(artifact.main)
                source += f"#define {artifact.name.upper()}_IMPLEMENTATION\n"
                source += f'#include "{artifact.name}.h"\n'
            (root / "model.c").write_text(source, encoding="ascii")
            link = _LINK.format(entry=keep[0], keep=" ".join(keep))
            (root / "link.ld").write_text(link, encoding="ascii")
            host.compile_c(command, root)
            elf = elffile.ELFFile(io.BytesIO((root / "model.elf").read_bytes()))
        self.segments = [(s["p_vaddr"], s.data()) for s in elf.iter_segments("PT_LOAD")]
        end = max(start + len(data) for start, data in self.segments)
        self.flash_end = -(-end // _PAGE) * _PAGE
        self.symbols = {
            s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()
        }
        sizes = {s.name: s["sh_size"] for s in elf.iter_sections()}
        self.code_bytes = sizes.get(".text", 0)
        self.data_bytes = sizes.get(".rodata", 0)
        if sizes.get(".data", 0) or sizes.get(".bss", 0):
            raise ToolError(f"Generated C must have no writable static data. Received: {sizes}")

    def cost(self, artifact, code) -> Cost:
        """Runs one input with every instruction counted and the stack painted."""
        machine = Machine(self, artifact, count=True)
        machine.run(code)
        return Cost(
            core=self.core,
            instructions=machine.instructions,
            code_bytes=self.code_bytes,
            data_bytes=self.data_bytes,
            scratch_bytes=artifact.sizes["scratch"],
            stack_bytes=machine.stack_bytes(),
        )


class Machine:
    """A core in reset with an image in its flash, and buffers for one network.

    Every buffer ends where a page ends and the next page is not mapped.
    """

    def __init__(self, image, artifact, count=False):
        self._unicorn = import_extra("unicorn", "mcu")
        self._arm = import_extra("unicorn.arm_const", "mcu")
        self._image, self._artifact = image, artifact
        self.instructions = 0
        self._lengths = {}  # of the instruction blocks seen
        uc = self._unicorn
        self._uc = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(getattr(self._arm, CORES[image.core][1]))
        self._uc.mem_map(0, image.flash_end, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        for start, data in image.segments:
            self._uc.mem_write(start, data)
        graph = artifact.graph
        self._shape = graph.check()[graph.outputs[0]].shape
        self._next_page = 0x40000000
        self._stack_end = self._buffer(_STACK_BYTES) + _STACK_BYTES
        self._uc.mem_write(self._stack_end - _STACK_BYTES, bytes([_PAINT]) * _STACK_BYTES)
        self._input = self._buffer(math.prod(graph.input.shape))
        self._logits = self._buffer(4 * math.prod(self._shape))
        self._scratch = self._buffer(artifact.sizes["scratch"])
        if count:
            self._uc.hook_add(uc.UC_HOOK_BLOCK, self._count_block)

    def run(self, code) -> np.ndarray:
        """float32 logits of one input (checked codes)."""
        self._uc.mem_write(self._input, np.ascontiguousarray(code).tobytes())
        self._call(f"{self._artifact.name}_run", self._input, self._logits, self._scratch)
        data = bytes(self._uc.mem_read(self._logits, 4 * math.prod(self._shape)))
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(self._shape)

    def argmax(self) -> int:
        """The class that the exported argmax picks of the last run's logits."""
        return self._call(f"{self._artifact.name}_argmax", self._logits)

    def selftest(self) -> int:
        """What the exported self-test returns."""
        return self._call(f"{self._artifact.name}_selftest", self._scratch)

    def stack_bytes(self) -> int:
        """How deep the stack ever was."""
        stack = bytes(self._uc.mem_read(self._stack_end - _STACK_BYTES, _STACK_BYTES))
        return len(stack.lstrip(bytes([_PAINT])))

    def _buffer(self, size) -> int:
        """Maps pages for `size` bytes, after a page that stays unmapped; returns the address."""
        length = -(-size // _PAGE) * _PAGE
        self._uc.mem_map(self._next_page, length)
        end = self._next_page + length
        self._next_page = end + _PAGE
        return end - size

    def _call(self, function, *arguments) -> int:
        registers = (self._arm.UC_ARM_REG_R0, self._arm.UC_ARM_REG_R1, self._arm.UC_ARM_REG_R2)
        for register, value in zip(registers, arguments):
            self._uc.reg_write(register, value)
        self._uc.reg_write(self._arm.UC_ARM_REG_SP, self._stack_end)
        self._uc.reg_write(self._arm.UC_ARM_REG_LR, _RETURN | 1)
        address = self._image.symbols[function] | 1
        try:
            self._uc.emu_start(address, _RETURN)
        except self._unicorn.UcError as error:
            place = self._uc.reg_read(self._arm.UC_ARM_REG_PC)
            raise ToolError(
                f"`{function}` crashed on the emulated {self._image.core} at {place:#x}: {error}. "
                f"Is the scratch of {self._artifact.sizes['scratch']} bytes too small?"
            ) from error
        return self._uc.reg_read(self._arm.UC_ARM_REG_R0)

    def _count_block(self, uc, address, size, _):
        key = (address, size)
        if key not in self._lengths:
            self._lengths[key] = count_thumb(bytes(uc.mem_read(address, size)))
        self.instructions += self._lengths[key]


def count_thumb(code: bytes) -> int:
    """Number of Thumb instructions in `code`.

    A halfword whose top five bits are 11101, 11110 or 11111 starts an instruction of
    four bytes, any other is one of two.

    Example:

    >>> count_thumb(bytes.fromhex("7047 00bf f0f7fefa"))
    3
    """
    place = count = 0
    while place < len(code):
        place += 4 if code[place + 1] >> 3 >= 0b11101 else 2
        count += 1
    return count
