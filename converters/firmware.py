"""Exported networks compiled and linked for a core: what a programmer would flash."""

import io
import pathlib
import tempfile

from keras_gxnor.converters import cores, host
from keras_gxnor.errors import InvalidArgumentError, ToolError, import_extra

_LINK = """
ENTRY({entry})
EXTERN({keep})
MEMORY {{
    FLASH (rx) : ORIGIN = 0, LENGTH = 256M
    RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 256M
}}
SECTIONS {{
    .text : {{ *(.text*) }} > FLASH
    .rodata : {{ *(.rodata* .srodata*) }} > FLASH
    .data : {{ *(.data* .sdata*) }} > RAM
    .bss : {{ *(.bss* .sbss*) *(COMMON) }} > RAM
    /DISCARD/ : {{ *(.ARM.ex*) *(.eh_frame*) *(.comment) }}
}}
"""
# Symbols of no instruction, and the call of a function that is hooked.
LABEL, FUNCTION = "gxnor_trace_", "gxnor_trace"
_TRACES = {
    None: "",
    "count": f"""
#define GXNOR_TRACE(layer, place) \\
    __asm__ volatile ("{LABEL}%c0: .globl {LABEL}%c0" : : "i"(layer) : "memory")
""",
    "values": f"""
extern void {FUNCTION}(int layer, const void *place);
#define GXNOR_TRACE(layer, place) {FUNCTION}(layer, place)
""",
}
_HOOKED = f"void {FUNCTION}(int layer, const void *place) {{ (void)layer; (void)place; }}\n"
_SECTIONS = {"", ".text", ".rodata", ".data", ".bss"}
_ALLOCATED = 2  # SHF_ALLOC
_PAGE = 4096


class Image:
    """Exported networks in the flash of a core.

    Args:
        artifacts: C artifacts with different names; or headers of other C in the same way, objects with
            `name` and `main`, the bytes of a file `{name}.h` that `{NAME}_IMPLEMENTATION` implements.
        core: The name of one of `cores.CORES`.
        keep: The functions that must be in; what they do not need is left out.
        compiler: `"zig"` for the clang in the ziglang wheel, or `"gcc"` for the core's gcc on
            the PATH; -O2 and the compiler's own software floats.
        trace: What the header's GXNOR_TRACE becomes: None for nothing; `"count"` for a label
            and no instruction, which tells a `Machine` that counts where a layer ends (of one
            network only); `"values"` for a call, which tells it where the values are.

    Attributes:
        code_bytes, data_bytes: Flash of the instructions, and of the constants.
        symbols: {name: address}.

    Raises:
        InvalidArgumentError: if core, compiler or trace are unknown.
        MissingExtraError: if ziglang or pyelftools is not installed.
        ToolError: if there is no gcc, or compiling fails, or static data would be written.
    """

    def __init__(self, artifacts, core, keep, compiler="zig", trace=None):
        if trace not in _TRACES:
            raise InvalidArgumentError(
                f"`trace` must be one of {list(_TRACES)}. Received: trace={trace!r}"
            )
        self.core, self.compiler = cores.find(core), compiler
        elffile = import_extra("elftools.elf.elffile", "mcu")
        sources = ["model.c"] + ["hooked.c"] * (trace == "values")
        command = cores.command(self.core, compiler, sources, "model.elf")
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            source = _TRACES[trace]
            for artifact in artifacts:
                (root / f"{artifact.name}.h").write_bytes(artifact.main)
                source += f"#define {artifact.name.upper()}_IMPLEMENTATION\n"
                source += f'#include "{artifact.name}.h"\n'
            (root / "model.c").write_text(source, encoding="ascii")
            (root / "hooked.c").write_text(_HOOKED, encoding="ascii")
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
        sizes = {s.name: s["sh_size"] for s in elf.iter_sections() if s["sh_flags"] & _ALLOCATED}
        self.code_bytes = sizes.get(".text", 0)
        self.data_bytes = sizes.get(".rodata", 0)
        if sizes.get(".data", 0) or sizes.get(".bss", 0):
            raise ToolError(f"Generated C must have no writable static data. Received: {sizes}")
        if not _SECTIONS.issuperset(name for name, size in sizes.items() if size):
            raise ToolError(f"Expected the sections {sorted(_SECTIONS)} only. Received: {sizes}")
