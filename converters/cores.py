"""The processors that exported C can be emulated on: how to compile for them, and their registers.

A table, and the two functions that count the instructions in a piece of machine code.
"""

import dataclasses
import shutil
from collections.abc import Callable

from keras_gxnor.converters import host
from keras_gxnor.errors import InvalidArgumentError, ToolError

COMPILERS = ("zig", "gcc")
_COMMON = [
    *("-std=c99", "-O2", "-fomit-frame-pointer", "-ffreestanding", "-nostdlib"),
    # Without these, unwinding tables land in the image.
    *("-fno-exceptions", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
    *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,-T,link.ld"),
]


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


def count_riscv(code: bytes) -> int:
    """Number of RISC-V instructions in `code`.

    A halfword whose low two bits are 11 starts an instruction of four bytes, any other
    is one of two.

    Example:

    >>> count_riscv(bytes.fromhex("8280 3305a502 0100"))
    3
    """
    place = count = 0
    while place < len(code):
        place += 4 if code[place] & 3 == 3 else 2
        count += 1
    return count


@dataclasses.dataclass(frozen=True)
class Family:
    """What the cores of one architecture share.

    gcc, package: the command, and what Debian and Ubuntu call the package it is in.
    name: as unicorn spells it in its constants; modes: likewise. arguments, link: registers
    of the first arguments of a call (the others lie on the stack) and of its return address.
    alignment: of the stack pointer at a call, in bytes. odd: what is added to an address
    that is jumped to. count: instructions in a piece of code.
    """

    gcc: str
    package: str
    name: str
    modes: tuple[str, ...]
    arguments: tuple[str, ...]
    link: str
    alignment: int
    odd: int
    count: Callable[[bytes], int]


@dataclasses.dataclass(frozen=True)
class Core:
    """One processor. zig, gcc: compiler arguments; model: unicorn's constant, "" for its default."""

    name: str
    family: Family
    zig: tuple[str, ...]
    gcc: tuple[str, ...]
    model: str = ""


_ARM = Family(
    gcc="arm-none-eabi-gcc",
    package="gcc-arm-none-eabi",
    name="ARM",
    modes=("THUMB", "MCLASS"),
    arguments=("R0", "R1", "R2", "R3"),
    link="LR",
    alignment=8,
    odd=1,
    count=count_thumb,
)
_RISCV = Family(
    gcc="riscv64-unknown-elf-gcc",
    package="gcc-riscv64-unknown-elf",
    name="RISCV",
    modes=("RISCV32",),
    arguments=tuple(f"A{i}" for i in range(8)),
    link="RA",
    alignment=16,
    odd=0,
    count=count_riscv,
)


def _cortex(which, model="") -> Core:
    return Core(
        f"cortex-{which}",
        _ARM,
        ("-target", "thumb-freestanding-eabi", f"-mcpu=cortex_{which}"),
        ("-mthumb", f"-mcpu=cortex-{which}", "-mfloat-abi=soft"),
        f"UC_CPU_ARM_CORTEX_{(model or which).upper()}",
    )


# Floats are computed in software on all. unicorn has no M0+, whose instructions are the M0's,
# and no RISC-V with Zbb: its QEMU 5 takes `clz` and `cpop` for illegal instructions.
_RV32IMC = Core(
    "rv32imc",
    _RISCV,
    ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c+relax"),
    ("-march=rv32imc", "-mabi=ilp32"),
)
_CORTEX = (_cortex("m0"), _cortex("m0plus", "m0"), *map(_cortex, ("m3", "m4", "m7", "m33")))
CORES = {core.name: core for core in (*_CORTEX, _RV32IMC)}


def find(core: str) -> Core:
    """The core of a name.

    Raises:
        InvalidArgumentError: if there is none.

    Example:

    >>> find("rv32imc").family.link
    'RA'
    """
    if core not in CORES:
        raise InvalidArgumentError(f"`core` must be one of {sorted(CORES)}. Received: core={core!r}")
    return CORES[core]


def command(core: Core, compiler: str, sources: list[str], output: str) -> list[str]:
    """The command that compiles and links C files for a core, by the linker script `link.ld`.

    Raises:
        InvalidArgumentError: if `compiler` is not one of `COMPILERS`.
        MissingExtraError: if `ziglang` is not installed.
        ToolError: if there is no such gcc on the PATH.
    """
    if compiler not in COMPILERS:
        raise InvalidArgumentError(
            f"`compiler` must be one of {list(COMPILERS)}. Received: compiler={compiler!r}"
        )
    if compiler == "zig":
        return [*host.zig_command(), *core.zig, *_COMMON, *sources, "-lcompiler_rt", "-o", output]
    family = core.family
    if not shutil.which(family.gcc):
        raise ToolError(
            f"compiler='gcc' for {core.name} needs {family.gcc} on the PATH, where it is not. Install it "
            f"(Debian, Ubuntu: apt-get install {family.package}), or pass compiler='zig'"
        )
    return [family.gcc, *core.gcc, *_COMMON, "-Wl,--build-id=none", *sources, "-lgcc", "-o", output]
