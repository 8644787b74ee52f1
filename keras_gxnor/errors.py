"""The errors keras_gxnor raises on purpose.

Every message says what was wrong, what was expected and what was received,
names the layer (or node) where there is one, and ends with the remedy. Each
class is also the built-in a caller would have expected, so `except ValueError`
keeps working.
"""


class GXNORError(Exception):
    """Base class of every error raised on purpose by keras_gxnor."""

    # TensorFlow re-raises an exception from a traced function as its own type only if it
    # can see that one message string makes it.
    __init__ = Exception.__init__


class InvalidArgumentError(GXNORError, ValueError):
    """An argument has the wrong value, shape, dtype or range."""


class UnsupportedLayerError(GXNORError, ValueError):
    """A Keras layer (or its place in the model) has no exact integer form."""


class GraphError(GXNORError, ValueError):
    """A `Graph` is malformed: shapes, ranges or accumulator bounds do not hold."""


class UnsupportedGraphError(GXNORError, ValueError):
    """A sound `Graph` holds something that one back end cannot express exactly."""


class VerificationError(GXNORError, RuntimeError):
    """A generated artifact does not compute what the graph says."""


class ModelFileError(GXNORError, ValueError):
    """A model file is corrupt, truncated, or of another format."""


class ArtifactError(GXNORError, OSError):
    """An artifact could not be written; nothing was left half-written."""


class CheckpointError(GXNORError, OSError):
    """A checkpoint could not be written or read, or is that of something else."""


class ToolError(GXNORError, RuntimeError):
    """An outside tool (compiler, interpreter, emulator) failed."""


class MissingExtraError(GXNORError, ImportError):
    """An optional dependency is not installed; the message holds the pip command."""


def import_extra(module: str, extra: str):
    """Imports `module`, or says in one line how to install it.

    Args:
        module: Dotted module name, e.g. `"unicorn"`.
        extra: The extra of keras_gxnor that brings it, e.g. `"mcu"`.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: if the module is not installed.

    Example:

    >>> import_extra("json", "export").dumps([1])
    '[1]'
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"`{module.split('.')[0]}` is missing ({error}). Install it with: "
            f'pip install "keras_gxnor[{extra}]" (in a clone: pip install ".[{extra}]")'
        ) from error
