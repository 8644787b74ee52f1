"""Text of generated C and C++: templates, numbers that read back to the same bits, rows of them."""

import pathlib

import numpy as np

from keras_gxnor.errors import import_extra

_TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"


def template(name: str):
    """The jinja2 template `name` of `templates/`; a variable it misses is an error.

    Raises:
        MissingExtraError: if jinja2 is not installed.
    """
    jinja2 = import_extra("jinja2", "export")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name)


def float_literal(value) -> str:
    """A finite float32 as a C literal that reads back to the same bits.

    Example:

    >>> float_literal(0.1), float_literal(3)
    ('0.100000001f', '3.0f')
    """
    text = f"{np.float32(value):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def rows(items, per_line: int) -> list[str]:
    """The strings `items`, joined by commas, in rows of `per_line`.

    Example:

    >>> rows(["1", "2", "3"], 2)
    ['1, 2', '3']
    """
    return [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
