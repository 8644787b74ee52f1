"""The only place where user strings become C: identifiers, string literals, comment text.

A model or layer may be called anything. What comes out of here is safe to paste into
a C or C++ source and to use as a file name on every system.
"""

import hashlib
import re

MAX_IDENTIFIER = 40
MAX_COMMENT = 80

# Words of C and C++, standard headers and common library names (a file `math.h` would hide
# the system's), those of Arduino (where file names know no case, `spi.h` hides SPI.h), and device
# names of Windows, which no file may have.
_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false final float for friend fortran goto if import inline int long module mutable
    namespace new noexcept not not_eq nullptr operator or or_eq override private protected public
    register reinterpret_cast requires restrict return short signed sizeof static static_assert
    static_cast struct switch template this thread_local throw true try typedef typeid typename
    typeof typeof_unqual union unix linux unsigned using virtual void volatile wchar_t while xor
    xor_eq

    assert complex ctype errno fenv inttypes iso646 limits locale math setjmp signal stdalign
    stdarg stdatomic stdbool stdckdint stdbit stddef stdint stdio stdlib stdnoreturn string tgmath
    threads time uchar wchar wctype version memory vector array map set list thread

    features endian alloca newlib picolibc predefs xlocale langinfo

    arduino wire spi sd serial servo stepper eeprom wifi ethernet keyboard mouse print printable
    stream client server udp ipaddress binary

    main printf malloc free memcpy memset memcmp memmove abort exit
    con prn aux nul
"""
_PORTS = [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
_RESERVED = frozenset([*_WORDS.split(), *_PORTS])


def identifier(text: str) -> str:
    """Turns any string into a C identifier that is also a portable file stem.

    The result is lower case, matches `[a-z][a-z0-9]*(_[a-z0-9]+)*`, has at most
    `MAX_IDENTIFIER` characters, and is no keyword, standard header or name of the
    runtime. The same text always gives the same identifier; two texts may share one.

    Args:
        text: Any string, even an empty one.

    Example:

    >>> identifier("My Net/2.0"), identifier("int"), identifier("3x3")
    ('my_net_2_0', 'int_model', 'model_3x3')
    """
    words = re.findall("[a-z0-9]+", text.lower())
    name = "_".join(words)
    if not name or name[0].isdigit() or name.split("_")[0] == "gxnor":
        name = f"model_{name}".rstrip("_")
    if name in _RESERVED:
        name = f"{name}_model"
    if len(name) > MAX_IDENTIFIER:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[: MAX_IDENTIFIER - 9].rstrip('_')}_{digest}"
    return name


def comment(text: str) -> str:
    """Makes any string safe inside a C comment of either kind, on one line.

    Printable ASCII stays, except what could end or continue a comment (`*`, backslash,
    `?` of a trigraph) or start one (`//`); everything else becomes `_`.

    Example:

    >>> comment("conv2d */ #include <x>")
    'conv2d _/ #include <x>'
    """
    safe = re.sub(r"[^ -~]|[*\\?]", "_", text)
    safe = re.sub(r"/(?=/)", "_", safe)
    return safe if len(safe) <= MAX_COMMENT else f"{safe[: MAX_COMMENT - 3]}..."
