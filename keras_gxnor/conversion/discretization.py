"""Float Keras models to discrete ones: the two functions that a user calls."""

import re

import keras

from keras_gxnor import quantizers, spaces, topology
from keras_gxnor.callbacks import reestimate_batch_normalization
from keras_gxnor.conversion.building import Builder
from keras_gxnor.conversion.calibration import Fit, examples, fit, measure
from keras_gxnor.conversion.planning import Planner, Role
from keras_gxnor.conversion.registry import ACTIVATIONS, SWAPS, activation_of
from keras_gxnor.conversion.report import export_line, inserted_names, table, why_left
from keras_gxnor.conversion.table import Table
from keras_gxnor.conversion.weights import Transfer
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.quantizers import QuantizedReLU

_EIGHT_BITS = "int8"
_ENDS = ("first", "last")


def plan(
    model,
    kernel_space="graded",
    activation_space="ternary",
    filters=None,
    keep=_ENDS,
    on_unsupported="leave",
) -> Table:
    """What `discretize` would do, without doing it.

    Args:
        model, kernel_space, activation_space, filters, keep, on_unsupported: As for
            `discretize`.

    Returns:
        `Table` of the decisions, to print or to read row by row.

    Raises:
        As `discretize`.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
    >>> table = conversion.plan(model, keep=())
    >>> [(row.layer, row.becomes) for row in table.inserted][0][1]
    'BatchNormalization'
    """
    return _decide(model, kernel_space, activation_space, filters, keep, on_unsupported)[1]


def discretize(
    model,
    kernel_space="graded",
    activation_space="ternary",
    filters=None,
    keep=_ENDS,
    calibration_data=None,
    compensate=True,
    reestimate=True,
    on_unsupported="leave",
    verbose=True,
):
    """A discrete model in the place of a float one: layers swapped, weights as near as codes get.

    Every Dense, Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv and SeparableConv layer becomes the
    GXNOR layer of the same arguments and name; its codes are those of
    `keras_gxnor.conversion.initial.codes_of`: without data the nearest ones (ternary: Li et al.
    2016), with data those whose errors cancel in what the kernel computes. What codes have no
    room for, the scale of each channel and the bias, goes into the BatchNormalization that
    follows. Hidden activations become DiscreteActivations whose thresholds, through the
    normalization before them, are the best ones for what the float model computes on
    `calibration_data`. What lowering needs and the model has not is inserted: a BatchNormalization
    behind a kernel, a DiscreteActivation before a merge. An activation at the end is
    dropped. Of a softmax or sigmoid the new model ends in logits: train it with `from_logits=True`.
    Any other (ReLU, tanh, exponential...) apply to its outputs yourself, as the table says.
    All this is in the table that is printed.

    The new model is near the old one, not equal to it. Train it on, with a rate that decays to 0:
    `DSTOptimizer(rate)` for graded kernels, the default, `DSTOptimizer(rate, rule="fire")` for ternary
    ones. (The rule `"momentum"` moves weights at random before it knows better, and little of the given codes
    is left. benchmarks/finetune.py compares them, each with training from random codes.)
    Ternary steps in the place of a ReLU put its zero at -1, so fewer activations are 0.

    Args:
        model: A built keras.Sequential or Functional model, with nested models, shared
            layers and several inputs and outputs, if you like. It is not changed.
        kernel_space: Space of the kernels: `"graded"` (ternary for the network and on the device; in
            training each weight is one of 255 states behind its ternary code, which keeps most of the
            float model), `"ternary"`, `"binary"`, `"z2"`..., see `keras_gxnor.spaces`.
        activation_space: Space of hidden activations: `"ternary"`, `"binary"`, `"z2"`... or
            `"uint8"`, a ReLU in 255 steps.
        filters: Which layers are swapped: a regular expression that is searched in their
            names, or a callable (layer) -> bool. None: all. The others stay float, and the
            model cannot be lowered with them.
        keep: Layers that get 8-bit weights (`"int8"`) instead of `kernel_space`: names, and
            `"first"` and `"last"` for those that read an input, if only through layers without
            kernel and activation, or make an output. () for none.
            SeparableConv layers stay at `kernel_space`: their two kernels have no step between.
        calibration_data: Some hundred, better a thousand inputs of the model, an array or a
            structure of them as for `model.predict`. None: noise, so that thresholds come from the batch
            normalizations alone; give data if you have any.
        compensate: Whether a weight's rounding error is made good by the weights that read alike
            inputs (`keras_gxnor.conversion.compensation`, after Frantar et al. 2022). Only with
            `calibration_data`, of which it looks at 256 to 1,024 examples.
        reestimate: Whether to measure the statistics of batch normalization anew with
            `calibration_data` (`keras_gxnor.callbacks.reestimate_batch_normalization`).
        on_unsupported: `"leave"` layers that have no discrete form as they are, or `"raise"`.
        verbose: Whether to print the table, and whether the new model can be exported.

    Returns:
        A Keras model with the same names in the same order, in float32, not compiled.

    Raises:
        UnsupportedLayerError: if the model is subclassed, or if a layer has no discrete form
            and `on_unsupported="raise"`.
        InvalidArgumentError: if an argument is none of those above, nothing is swapped, `keep`
            names what is not swapped, or weights or what is computed of `calibration_data` are not finite.

    Example:

    >>> L = keras.layers
    >>> model = keras.Sequential([
    ...     keras.Input((4,)), L.Dense(8, "relu", name="a"), L.Dense(2, "softmax", name="b")])
    >>> new = discretize(model, keep=(), verbose=False)
    >>> [layer.name for layer in new.layers]
    ['a', 'a_norm', 'a_step', 'b', 'b_norm']
    """
    planner, decisions, names = _decide(
        model, kernel_space, activation_space, filters, keep, on_unsupported
    )
    if verbose:
        print(decisions)
    found, changes = planner.found, planner.changes
    data, real = examples(model, found, calibration_data)
    measured, windows = measure(found, changes, data, settled=real, compensate=real and compensate)
    quantizer = quantizers.get(activation_space)
    fits = {
        key: fit(measured[key].sample, _function(change), quantizer) if key in measured else Fit()
        for key, change in changes.items()
        if change.step or change.role is Role.STEP
    }
    configs = {key: _configuration(quantizer, found_fit) for key, found_fit in fits.items()}
    builder = Builder(changes, configs, names)
    new = builder.rebuild(model)
    Transfer(planner, builder.built, fits, measured, windows).run()
    if real and reestimate:
        reestimate_batch_normalization(new, calibration_data)
    if verbose:
        print(export_line(new))
    return new


def _decide(model, kernel_space, activation_space, filters, keep, on_unsupported):
    """(Planner, Table, names of inserted layers)."""
    if on_unsupported not in ("leave", "raise"):
        raise InvalidArgumentError(
            f'`on_unsupported` must be "leave" or "raise". Received: {on_unsupported!r}'
        )
    spaces.get(kernel_space)
    if quantizers.get(activation_space) is None:
        raise InvalidArgumentError('`activation_space` must be a space, e.g. "ternary". Received: None')
    found = topology.read(model)
    names = {call.layer.name for call in found.calls}
    if not isinstance(keep, (tuple, list, set)) or not all(name in (*_ENDS, *names) for name in keep):
        raise InvalidArgumentError(
            f'`keep` must be a tuple of "first", "last" and names of layers. Received: keep={keep!r}'
        )
    planner = Planner(found, kernel_space, _chosen(filters), tuple(keep))
    for change in planner.changes.values():
        if change.keeps and change.space and not SWAPS[type(change.layer)].pair:
            change.space = _EIGHT_BITS
    if not any(change.space for change in planner.changes.values()):
        raise InvalidArgumentError(
            f"Model `{model.name}` must have a layer to swap: {[kind.__name__ for kind in SWAPS]}, chosen "
            f"by `filters`. Received: layers {sorted(names)}, filters={filters!r}"
        )
    _check_kept(planner.changes, keep)
    inserted = inserted_names(planner.changes)
    decisions = table(planner.changes, inserted, activation_space)
    refused = [change for change in planner.changes.values() if change.left and change.chosen]
    if refused and on_unsupported == "raise":
        layer = refused[0].layer
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` ({type(layer).__name__}) has no discrete form: {why_left(refused[0])}. "
            'Replace it, or pass on_unsupported="leave" to keep it float.'
        )
    return planner, decisions, inserted


def _check_kept(changes, keep):
    """Refuses names in `keep` of layers that are not swapped: it would change nothing."""
    for change in changes.values():
        if change.layer.name in keep and not change.space:
            raise InvalidArgumentError(
                f"`keep` must name layers that are swapped, and `{change.layer.name}` is not: "
                f"{change.left or 'it has no float kernel'}. Received: keep={keep!r}"
            )


def _chosen(filters):
    if filters is None:
        return lambda layer: True
    if isinstance(filters, (str, re.Pattern)):
        try:
            pattern = re.compile(filters)
        except re.error as error:
            raise InvalidArgumentError(
                f"`filters` must be a regular expression: {error}. Received: {filters!r}"
            ) from error
        return lambda layer: pattern.search(layer.name) is not None
    if callable(filters):
        return lambda layer: bool(filters(layer))
    raise InvalidArgumentError(
        f"`filters` must be a regular expression or a callable (layer) -> bool. Received: {filters!r}"
    )


def _function(change):
    """The float activation that a step takes the place of; None for one that was inserted."""
    layer = change.layer
    if change.role is not Role.STEP:
        return None
    if not isinstance(layer, ACTIVATIONS):
        return activation_of(layer)
    if isinstance(layer, keras.layers.PReLU):
        slope = float(keras.ops.mean(layer.alpha))
        return lambda y: keras.ops.leaky_relu(y, slope)
    return layer


def _configuration(quantizer, found: Fit):
    """Arguments of a DiscreteActivation."""
    config = quantizer.get_config()
    if isinstance(quantizer, QuantizedReLU) and found.range:
        config["range"] = found.range
    return config
