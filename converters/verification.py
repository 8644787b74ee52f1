"""Runs Keras, the reference and every back end on the same codes, and counts differences.

Equality is exact: a sample counts as a mismatch if any of its logits differs in any bit
that a comparison of float32 values can see.
"""

import math

import numpy as np

from keras_gxnor import reference
from keras_gxnor.converters import (
    c_source,
    emulator,
    host,
    interpreters,
    libraries,
    tflite,
    tflite_ends,
    tflm,
)
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.report import Report
from keras_gxnor.errors import InvalidArgumentError, UnsupportedGraphError, VerificationError
from keras_gxnor.graph import Graph, Input, in_order

# Graph, name -> Artifact
TARGETS = {"tflite": tflite.emit, "tflm": tflm.emit, "c": c_source.emit, "library": libraries.emit}
_RUNS_AS = {"tflm": "tflite", "library": "c"}  # {target: that of its first file}
_BATCH = 256
_ODD_ARTIFACT = "Please report this as a bug, with the model."
_ODD_KERAS = (
    "It does compute the exact integer sums of the lowered graph, so Keras is what differs. A known "
    "cause are TensorFlow's oneDNN convolutions of 1 channel with strides (1, n), n > 1, which are "
    "wrong: set TF_ENABLE_ONEDNN_OPTS=0 before TensorFlow is imported, or use square strides. "
    "Otherwise please report this as a bug, with the model."
)
_CHECKED_BY = {
    "tflite": ("litert_xnnpack", "litert_builtin"),
    "tflm": ("litert_xnnpack", "litert_builtin", "tflite_micro"),
    "c": ("c_host",),
    "library": ("c_host",),
}


def verify(model, artifact, x, backends=None, limits=None, progress=None, labels=None) -> Report:
    """Compares every back end with Keras on integer codes.

    Args:
        model: The Keras model, or a `Graph` (then the reference takes Keras' place).
        artifact: What `convert` gave for it. Back ends of another target run files
            generated from `artifact.graph`.
        x: Integer array (batch, *input shape): the codes as the device sees them; a tuple of
            them for several inputs, or a dict by their names.
        backends: Names from `BACKENDS` (None: all that can run the artifact; the others are
            named in `Report.omitted`).
        limits: {back end: compare only that many samples}, for the slow ones.
        progress: Callable that gets a line of text as each back end starts.
        labels: Integer classes (batch,), to report the accuracy on these very codes: low, if
            the input spec is not how the training data was scaled. Of one logit the classes
            are 0 and 1, and 1 is logit > 0.

    Returns:
        A `Report`; print it, and test `report.ok` in scripts.

    Raises:
        InvalidArgumentError: if `x` does not fit, is empty, or a back end is unknown or cannot
            run the artifact.
        MissingExtraError: if a back end needs a package that is not installed.
    """
    if not isinstance(artifact, Artifact):
        raise InvalidArgumentError(
            "Expected verify(model, artifact, x) with what `convert` returned as the second "
            f"argument. Received: {type(artifact).__name__}"
        )
    graph, limits, say = artifact.graph, _limits(limits), progress or (lambda line: None)
    artifacts = {artifact.target: artifact, None: artifact}  # None: needs the graph only
    if artifact.target in _RUNS_AS:
        artifacts[_RUNS_AS[artifact.target]] = artifact  # its own first file is what must be judged
    names, omitted = _backends(artifact, backends, limits, artifacts)
    called = _input_names(model, graph)
    _check_shapes(model, graph)
    if isinstance(x, dict):
        x = in_order(x, called, "`x`")
        x = x[0] if len(x) == 1 else x
    x = reference.check_codes(graph, x)
    count = len(_parts(x)[0])
    labels = None if labels is None else _labels(graph, labels, count)
    if not count or not names:
        raise InvalidArgumentError(
            "There must be at least one sample and at least one back end. "
            f"Received: {count} samples, backends={names}"
        )
    say("Keras")
    truth, border = _truth(model, artifact, x)
    mismatches, class_mismatches, images, cost = {}, {}, {}, None
    for name in names:
        images[name] = min(limits.get(name, count), count)
        part = _rows(x, 0, images[name])
        say(f"{name} ({images[name]} samples)")
        target, run = BACKENDS[name]
        logits, found = run(artifacts[target], part)
        cost = found or cost
        expected = _rows(truth, 0, images[name])
        if target == "tflite" and artifacts[target].outputs == "argmax":
            wrong = _wrong_classes(logits, expected)
            mismatches[name], class_mismatches[name] = wrong, wrong
        else:
            mismatches[name], class_mismatches[name] = count_mismatches(logits, expected)
    accuracy = None if labels is None else float((_classes(_parts(truth)[0]).ravel() == labels).mean())
    words = _in_words(_specs(artifact), called)
    return Report(mismatches, class_mismatches, images, words, accuracy, border, cost, omitted)


def _input_names(model, graph) -> tuple[str, ...]:
    """What the inputs are called in a dict."""
    if isinstance(model, Graph):
        return tuple(node.name for node in graph.nodes if isinstance(node.op, Input))
    from keras_gxnor import topology  # Keras only where a Keras model is given

    return topology.read(model).names


def _check_shapes(model, graph):
    """Refuses a Keras model whose inputs are not those of the artifact."""
    if isinstance(model, Graph):
        return
    found, shapes = [tuple(x.shape[1:]) for x in model.inputs], [tuple(op.shape) for op in graph.inputs]
    if found != shapes:
        raise InvalidArgumentError(
            "The model must be the one that the artifact was made of. "
            f"Received: inputs of shapes {found}, and an artifact of {shapes}"
        )


def _limits(limits) -> dict:
    """`limits` as a dict, if it is one of sample counts."""
    if not isinstance(limits, (dict, type(None))) or not all(
        isinstance(n, (int, np.integer)) and n >= 1 for n in (limits or {}).values()
    ):
        raise InvalidArgumentError(
            f"`limits` must be a dict {{back end: number of samples >= 1}}. Received: {limits!r}"
        )
    return limits or {}


def _labels(graph, labels, count):
    """`labels` as an array, if they can be the classes of the first output."""
    labels, shape = reference.array_of(labels, "`labels`"), graph.check()[graph.outputs[0]].shape
    if labels.shape != (count,) or labels.dtype.kind not in "iub" or math.prod(shape[:-1]) != 1:
        raise InvalidArgumentError(
            f"`labels` must be {count} integers, the classes of the first output, one a sample. Received: "
            f"{labels.dtype} of shape {labels.shape} for an output of shape (batch, {str(shape)[1:]}"
        )
    if shape[-1] == 1 and not np.isin(labels, (0, 1)).all():
        raise InvalidArgumentError(
            "`labels` of a model of one logit must be 0 or 1 (logit > 0): leave them out if it is no "
            f"classifier. Received: {labels.min()}..{labels.max()}"
        )
    return labels


def _classes(logits):
    """The class of logits (..., classes); of one logit whether it is above 0."""
    return (logits[..., 0] > 0).astype(np.int64) if logits.shape[-1] == 1 else logits.argmax(-1)


def _parts(x) -> tuple:
    """The arrays of several inputs or outputs, or the one."""
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _rows(x, start, stop):
    """Samples start..stop of an array or of a tuple of them."""
    return tuple(part[start:stop] for part in x) if isinstance(x, tuple) else x[start:stop]


def _specs(artifact) -> tuple:
    """The `InputSpec` of every input, before any Rescaling layer."""
    if artifact.input_spec is None:
        return tuple(op.spec for op in artifact.graph.inputs)
    return _parts(artifact.input_spec)


def _backends(artifact, backends, limits, artifacts):
    """(names to run, names omitted), checked; makes what they need in `artifacts`, {target: Artifact}."""
    if not isinstance(backends, (str, tuple, list, set, dict, type(None))):
        raise InvalidArgumentError(f"`backends` must be names from {list(BACKENDS)}. Received: {backends!r}")
    names = [backends] if isinstance(backends, str) else list(BACKENDS if backends is None else backends)
    for name in [*names, *limits]:
        if name not in BACKENDS:
            raise InvalidArgumentError(
                f"A back end must be one of {list(BACKENDS)}. Received: {name!r}"
            )
    unable = tuple(name for name in names if not _can_run(artifact, name))
    if unable and backends is not None:
        raise InvalidArgumentError(
            f"This artifact runs on {list(artifact.runs_on)} only: its weights are stored in a way that "
            f"the other runtimes of {artifact.target!r} do not know. Received: backends={names}"
        )
    for target in dict.fromkeys(BACKENDS[name][0] for name in names):
        if target in artifacts:
            continue
        try:
            artifacts[target] = TARGETS[target](artifact.graph, artifact.name)
        except UnsupportedGraphError:
            if backends is not None:
                raise
            unable += tuple(name for name in names if BACKENDS[name][0] == target)
    return [name for name in names if name not in unable], unable


def _can_run(artifact, name):
    own = _RUNS_AS.get(artifact.target, artifact.target)
    return artifact.runs_on is None or BACKENDS[name][0] != own or name in artifact.runs_on


def _in_words(specs, names) -> str:
    """How codes enter Keras: a line, or one an input if they differ."""
    if len(set(specs)) == 1:
        return _words(specs[0])
    return "\n".join(f"input `{name}`: {_words(spec)}" for name, spec in zip(names, specs))


def _words(spec) -> str:
    limits = np.iinfo(spec.dtype)
    low, high = (spec.scale * (int(q) - spec.zero_point) for q in (limits.min, limits.max))
    return (
        f"Keras sees {spec.scale:g} * (q - {spec.zero_point}) of a code q: {spec.dtype} "
        f"{limits.min}..{limits.max} is {low:g}..{high:g}"
    )


def count_mismatches(logits, truth) -> tuple[int, int]:
    """(samples with a differing logit, samples with a differing class).

    Args:
        logits, truth: float32 arrays of the same shape (batch, ..., classes), or tuples of
            them, one an output: a sample differs if it does in any.

    Raises:
        VerificationError: if shape or dtype differ, which no count could express.
    """
    if len(_parts(logits)) != len(_parts(truth)):
        raise VerificationError(
            f"Expected {len(_parts(truth))} outputs. Received: {len(_parts(logits))}"
        )
    pairs = [_differences(*pair) for pair in zip(_parts(logits), _parts(truth))]
    differ, classes = (np.any(flags, axis=0) for flags in zip(*pairs))
    return int(differ.sum()), int(classes.sum())


def _wrong_classes(classes, truth) -> int:
    """Samples whose class, which is all the file gives, differs from that of the logits `truth`."""
    expected = tflite_ends.made(_parts(truth), "argmax", ())
    with_axis = (tuple(part[..., None] for part in parts) for parts in (_parts(classes), expected))
    return count_mismatches(*with_axis)[0]


def _differences(logits, truth):
    """(whether each sample has a differing logit, whether its class differs), of one output."""
    logits, truth = np.asarray(logits), np.asarray(truth)
    if logits.shape != truth.shape or logits.dtype != truth.dtype:
        raise VerificationError(
            f"Expected logits {truth.dtype} of shape {truth.shape}. "
            f"Received: {logits.dtype} of shape {logits.shape}"
        )
    rows = (len(truth), -1)
    differ = (logits.reshape(rows) != truth.reshape(rows)).any(axis=1)  # NaN differs from all
    return differ, (_classes(logits) != _classes(truth)).reshape(rows).any(axis=1)


def self_check(model, artifact, samples=14):
    """Refuses an artifact that does not compute what the model computes.

    Runs on the lowest and the highest input and `samples` random ones.

    Raises:
        VerificationError: with the report.
    """
    rng, x = np.random.default_rng(0), []
    for op, (least, greatest) in zip(artifact.graph.inputs, reference.code_limits(artifact.graph)):
        x.append(rng.integers(least, greatest + 1, (samples + 2, *op.shape)))
        x[-1][0], x[-1][1] = least, greatest
    x = x[0] if len(x) == 1 else tuple(x)
    names = ("reference", *(artifact.runs_on or _CHECKED_BY[artifact.target]))
    report = verify(model, artifact, x, names)
    if not report.ok:
        sound = verify(artifact.graph, artifact, x, names).ok
        raise VerificationError(
            f"`{artifact.name}` ({artifact.target}) does not compute what the model computes, so it "
            f"was not made. {_ODD_KERAS if sound else _ODD_ARTIFACT}\n{report}"
        )


def _batched(run, x):
    count = len(_parts(x)[0])
    parts = [_parts(run(_rows(x, i, i + _BATCH))) for i in range(0, count, _BATCH)]
    made = tuple(map(np.concatenate, zip(*parts)))
    return made[0] if len(made) == 1 else made


def _truth(model, artifact, x):
    """(logits to compare with, number of border samples)."""
    if isinstance(model, Graph):
        return _batched(lambda part: reference.run(model, part), x), 0
    from keras_gxnor import evaluation  # Keras only where a Keras model is given

    called = _input_names(model, artifact.graph)
    for name, part, (least, greatest) in zip(called, _parts(x), reference.code_limits(artifact.graph)):
        if part.min() < least or part.max() > greatest:
            raise InvalidArgumentError(
                f"`x` must lie in {least}..{greatest}, the rows of the embedding that reads the input "
                f"`{name}`. Received: {part.min()}..{part.max()}"
            )
    spec = _specs(artifact)
    plain = _batched(lambda part: evaluation.plain(model, spec, part), x)
    starts = range(0, len(_parts(x)[0]), _BATCH)
    if evaluation.is_exact(model, spec) or not all(
        evaluation.rounding_explains(model, spec, _rows(x, i, i + _BATCH)) for i in starts
    ):
        return plain, 0
    exact = _batched(lambda part: evaluation.exact_first(model, spec, part), x)
    return exact, count_mismatches(exact, plain)[0]


def _interpreter(kernels):
    def run(artifact, x):
        fed = tflite_ends.fed(artifact.graph, _parts(x), artifact.inputs)
        made = interpreters.run(artifact.main, fed, kernels)
        if artifact.outputs == "int16":
            units = interpreters.output_scales(artifact.main)
            made = tuple(y * np.float32(unit) for y, unit in zip(_parts(made), units))
            made = made[0] if len(made) == 1 else made
        return made, None

    return run


BACKENDS = {
    "reference": (None, lambda a, x: (_batched(lambda p: reference.run(a.graph, p), x), None)),
    **{name: ("tflite", _interpreter(name)) for name in interpreters.KERNELS},
    "c_host": ("c", lambda artifact, x: (host.run(artifact, x), None)),
    "c_cortex_m4": ("c", lambda artifact, x: emulator.run(artifact, x, "cortex-m4")),
}
