"""How many bytes training takes, variable by variable: what stays, and what a step adds.

Counted from the variables themselves, so that a discrete model, a float one, any rule and
any Keras optimizer can be compared.
"""

import dataclasses
import math

import keras
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.kernels import DiscreteVariable

KINDS = ("discrete kernel", "float weight", "optimizer slot", "BN statistics", "other")
_STATISTICS = ("moving_mean", "moving_variance")
_COUNTERS = ("iteration", "learning_rate", "step_counter", "dynamic_scale")  # of Keras' optimizers


@dataclasses.dataclass(frozen=True)
class VariableMemory:
    """Bytes of one variable.

    Args:
        path: Path of the Keras variable.
        kind: One of `KINDS`.
        serves: Path of the weight that an optimizer slot belongs to; otherwise None.
        shape: Shape tuple; of a packed kernel that of its weights.
        dtype: Name of the dtype it is stored in; of a packed kernel uint8, for 4 weights.
        persistent: Bytes stored between steps.
        read: Bytes of its copy in the compute dtype during a step, 0 if it is used as it is.
        gradient: Bytes of its gradient during a step, 0 if it is not trained.
    """

    path: str
    kind: str
    serves: str | None
    shape: tuple[int, ...]
    dtype: str
    persistent: int
    read: int = 0
    gradient: int = 0


@dataclasses.dataclass(frozen=True)
class TrainingMemory:
    """Bytes of all variables of a model and its optimizer; `str()` gives a table.

    Args:
        rows: One `VariableMemory` a variable.
    """

    rows: tuple[VariableMemory, ...]

    @property
    def persistent(self) -> int:
        """Bytes stored between steps."""
        return sum(row.persistent for row in self.rows)

    @property
    def transient(self) -> int:
        """Bytes of all float reads and all gradients: what a step adds at most."""
        return sum(row.read + row.gradient for row in self.rows)

    @property
    def weights(self) -> int:
        """Number of trained weights, discrete and float."""
        return sum(math.prod(row.shape) for row in self.rows if row.gradient)

    @property
    def bytes_per_weight(self) -> float:
        """Persistent bytes of the trained weights and optimizer slots, a trained weight."""
        trained = sum(r.persistent for r in self.rows if r.gradient or r.kind == "optimizer slot")
        return trained / max(self.weights, 1)

    def by_kind(self) -> dict[str, int]:
        """{kind: persistent bytes}, every kind of `KINDS`."""
        return {kind: sum(r.persistent for r in self.rows if r.kind == kind) for kind in KINDS}

    def __str__(self):
        heads = ("variable", "dtype", "stored", "slots", "read", "gradient")
        lines = []
        for row in self.rows:
            if row.kind not in ("optimizer slot", "other"):
                slots = sum(r.persistent for r in self.rows if r.serves == row.path)
                lines.append((row.path, row.dtype, row.persistent, slots, row.read, row.gradient))
        others = [r for r in self.rows if r.kind == "other"]
        free = [r for r in self.rows if r.kind == "optimizer slot" and r.serves is None]
        if others:
            lines.append(("(counters, rates, metrics)", "", sum(r.persistent for r in others), 0, 0, 0))
        if free:
            lines.append(("(slots of no one weight)", "", 0, sum(r.persistent for r in free), 0, 0))
        lines.append(("total", "", *(sum(line[i] for line in lines) for i in range(2, 6))))
        cells = [heads, *[(a, b, *(f"{n:,}" for n in rest)) for a, b, *rest in lines]]
        width = [max(len(row[i]) for row in cells) for i in range(6)]
        table = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, width)))
            for row in cells
        ]
        rule = "-" * len(table[0])
        with_slots = "slots included" if self.by_kind()["optimizer slot"] else "without optimizer slots"
        kinds = ", ".join(f"{kind} {size:,}" for kind, size in self.by_kind().items() if size)
        return "\n".join(
            [
                *(table[0], rule, *table[1:-1], rule, table[-1]),
                f"persistent {self.persistent:,} bytes: {kinds}",
                f"{self.bytes_per_weight:.2f} bytes a trained weight, {with_slots}",
                f"a step adds at most {self.transient:,} bytes of reads and gradients; activations, "
                "the batch and the work space of operations are not counted",
            ]
        )


def training_memory(model) -> TrainingMemory:
    """Counts the bytes that training `model` takes. Changes nothing.

    Persistent are all variables of the model, its metrics and its optimizer: exactly the
    bytes of their tensors. Transient, in every step, are a copy of each weight whose dtype is
    not the compute dtype (of a discrete kernel: its float read) and a gradient of each trained
    weight: float32 for a discrete kernel, its own dtype for a float one. The sum of
    all is a bound: backward, a read may be freed before the next gradient is made.

    Not counted: activations and the batch (they grow with its size, and most nets take more for
    them than for all this), the temporary tensors of operations and of the optimizer's update
    (a few float32 tensors of one kernel), alignment, TensorFlow itself. Under a
    `tf.distribute` strategy the numbers are for one device.

    Args:
        model: A built Keras model. If it is compiled, its optimizer must be built, too;
            without an optimizer only the model is counted.

    Returns:
        TrainingMemory: rows, totals, bytes per weight; print it for a table.

    Raises:
        InvalidArgumentError: if the model or its optimizer is not built. (Building the
            optimizer here would change the model.)

    Example:

    >>> model = keras.Sequential([keras.Input((100,)), GXNORDense(50, use_bias=False)])
    >>> training_memory(model).by_kind()["discrete kernel"]
    5000
    >>> model.compile(DSTOptimizer(rule="adam", seed=1), "mse")
    >>> model.optimizer.build(model.trainable_variables)
    >>> training_memory(model).bytes_per_weight
    9.0
    """
    if not isinstance(model, keras.Model):
        raise InvalidArgumentError(
            f"`training_memory` counts a Keras model. Received: {type(model).__name__}"
        )
    optimizer = getattr(model, "optimizer", None)
    if not model.built:
        raise InvalidArgumentError(
            f"Model `{model.name}` must be built: give it a keras.Input or call it on a batch. "
            "Received: a model without variables"
        )
    if optimizer is not None and not optimizer.built:
        raise InvalidArgumentError(
            f"The optimizer of model `{model.name}` has no slots yet. Train one step, or call "
            "model.optimizer.build(model.trainable_variables). "
            f"Received: an unbuilt {type(optimizer).__name__}"
        )
    dtypes = dict(_compute_dtypes(model))
    weights = {id(v): v for v in model.weights}
    rows = [_weight_row(v, dtypes.get(key, model.compute_dtype)) for key, v in weights.items()]
    served = sorted((row.path for row in rows), key=len, reverse=True)
    metrics = getattr(model, "metrics_variables", [])
    rest = {id(v): v for v in [*model.variables, *metrics] if id(v) not in weights}
    slots = {id(v): v for v in (optimizer.variables if optimizer else []) if id(v) not in weights}
    rows += [_row(v, "other") for v in rest.values()]
    rows += [_slot_row(v, served) for key, v in slots.items() if key not in rest]
    return TrainingMemory(tuple(rows))


def _row(variable, kind, **kwargs):
    stored, shape = variable.value, tuple(variable.shape)  # a packed kernel has a shape of its own
    dtype, size = stored.dtype.name, math.prod(stored.shape) * stored.dtype.size
    return VariableMemory(variable.path, kind, kwargs.pop("serves", None), shape, dtype, size, **kwargs)


def _weight_row(variable, compute_dtype):
    count, trained = math.prod(variable.shape), bool(variable.trainable)
    copied = tf.as_dtype(compute_dtype).size * count
    if isinstance(variable, DiscreteVariable):
        gradient = 4 * count if trained else 0
        return _row(variable, "discrete kernel", read=copied, gradient=gradient)
    dtype = tf.as_dtype(variable.dtype)
    if variable.name in _STATISTICS:
        return _row(variable, "BN statistics")
    if not dtype.is_floating:
        return _row(variable, "other")
    read = copied if dtype.name != compute_dtype else 0
    return _row(variable, "float weight", read=read, gradient=dtype.size * count if trained else 0)


def _slot_row(variable, served):
    if variable.name in _COUNTERS:
        return _row(variable, "other")
    # Keras and DSTOptimizer name a slot after its weight: path with _ for /, then the slot's own.
    owner = next((p for p in served if variable.name.startswith(p.replace("/", "_") + "_")), None)
    return _row(variable, "optimizer slot", serves=owner)


def _compute_dtypes(layer):
    """(id of a variable, compute dtype of the layer that owns it), nested models too."""
    for inner in getattr(layer, "layers", []):
        if hasattr(inner, "layers"):
            yield from _compute_dtypes(inner)
        else:
            yield from ((id(v), inner.compute_dtype) for v in inner.variables)
