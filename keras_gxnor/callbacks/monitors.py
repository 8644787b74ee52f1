"""Monitors: what discrete kernels and activations do while a network trains, as logs."""

import warnings

import keras
import numpy as np

from keras_gxnor import kernels, quantizers
from keras_gxnor.callbacks.arguments import arrays, integer, to_floatx
from keras_gxnor.callbacks.layers import labels, walk
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.increments import FireIncrement
from keras_gxnor.optimizers import discrete_inside

_EXPECTED_MOVES = 100  # a kernel that should have moved so often, and did not, is stuck
_ENOUGH = 32  # values a channel, before it is called constant
_MANY = 0.5  # share of constant channels that is worth a warning


class _Monitor(keras.callbacks.Callback):
    """What both monitors share: keys of logs, and warnings that come once."""

    def __init__(self, prefix, overall, per_layer):
        super().__init__()
        self._prefix, self._overall, self._per_layer = prefix, overall, per_layer
        self._warned = set()

    def _log(self, logs, measured):
        """measured: {layer: {name: (value, weight)}}; the overall value is their mean."""
        names = dict.fromkeys(name for values in measured.values() for name in values)
        for name in names if self._overall else ():
            pairs = [values[name] for values in measured.values() if name in values]
            total = sum(weight for _, weight in pairs)
            logs[f"{self._prefix}/{name}"] = sum(v * w for v, w in pairs) / max(total, 1)
        for layer, values in measured.items() if self._per_layer else ():
            logs.update({f"{layer}/{name}": value for name, (value, _) in values.items()})

    def _warn_once(self, layer, what, message):
        if (layer, what) not in self._warned:
            self._warned.add((layer, what))
            warnings.warn(f"Layer `{layer}`: {message}", stacklevel=3)


class KernelMonitor(_Monitor):
    """Logs how discrete kernels move and what they hold.

    Adds to the logs of every epoch, over all discrete kernels (`kernel/...`) and, if asked
    for, of each layer (`conv1/...`):

    - `transition_rate`: share of the weights whose state one training step changed, mean
      over the sampled steps (with `steps_per_execution`: one execution).
    - `changed`: share of the weights whose state differs from that at the epoch's start.
    - `sparsity`: share of the weights that are read as zero.
    - `at_ends`: share of the states at either end of their range (for ternary kernels it is
      1 - sparsity, for binary ones 1).

    A kernel that has not moved all epoch at a learning rate that should have moved it is
    named in a warning, once.

    Callbacks see the logs in order: put it before `CSVLogger`, `TensorBoard`, `EarlyStopping`
    and `Checkpoint`. (`History` and the progress bar come last anyway.) In an epoch that a
    `Checkpoint` has resumed, `transition_rate` and `changed` are those of its rest.

    Args:
        sample_every: Positive integer: the transition rate is measured at every so many
            steps, at the cost of two copies of the kernels each.
        overall: Whether to log `kernel/...`.
        per_layer: Whether to log each layer.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> model.compile(DSTOptimizer(0.1, seed=0), "mse")
    >>> history = model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0, callbacks=[
    ...     KernelMonitor()])
    >>> sorted(history.history)
    ['kernel/at_ends', 'kernel/changed', 'kernel/sparsity', 'kernel/transition_rate', 'loss']
    """

    def __init__(self, sample_every=100, overall=True, per_layer=False):
        super().__init__("kernel", overall, per_layer)
        self.sample_every = integer("sample_every", sample_every, 1)

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the states at the start."""
        self._start = self._codes()
        self._rates, self._sampled, self._steps, self._next = [], None, 0, 0

    def on_train_batch_begin(self, batch, logs=None):
        """Remembers the states before a sampled step."""
        if batch >= self._next:
            self._next, self._sampled = batch + self.sample_every, self._codes()

    def on_train_batch_end(self, batch, logs=None):
        """Counts what a sampled step changed."""
        self._steps = batch + 1
        if self._start is None:  # the first step has built the model
            self._start = self._codes()
        elif self._sampled is not None:
            self._rates.append(_shares(self._sampled, self._codes()))
        self._sampled = None

    def on_epoch_end(self, epoch, logs=None):
        """Writes the logs, and warns of kernels that stand still."""
        variables = self._variables()
        if not variables:
            raise InvalidArgumentError(
                f"Model `{self.model.name}` has no discrete kernel to monitor. Remove the "
                "KernelMonitor, or use layers such as GXNORDense."
            )
        now = self._codes()
        changed = _shares(self._start or now, now)
        rates = np.mean(self._rates, axis=0) if self._rates else np.zeros(len(now))
        measured = {}
        names = labels([_layer_name(v.path) for v in variables])
        for name, variable, codes, rate, share in zip(names, variables, now, rates, changed):
            ends = np.abs(codes.astype(np.int16)) == variable.space.max_code
            values = kernels.read(variable).numpy()
            shares = {
                "transition_rate": rate,
                "changed": share,
                "sparsity": np.mean(values == 0),
                "at_ends": ends.mean(),
            }
            measured[name] = {key: (float(value), codes.size) for key, value in shares.items()}
            if rate == share == 0 and variable.trainable:
                self._check_rate(name, variable, codes.size)
        if logs is not None:
            self._log(logs, measured)

    def _check_rate(self, name, variable, size):
        found = discrete_inside(self.model.optimizer)
        rate = min((float(o.learning_rate) for o in found), default=0.0)
        whole = rate / variable.space.step * self._steps  # steps, if all gradients agreed
        needed = [o.rule.threshold for o in found if isinstance(o.rule, FireIncrement)]
        if whole * size < _EXPECTED_MOVES or whole < max(needed, default=0.0):
            return
        self._warn_once(
            name,
            "stuck",
            f"not one of its {size} weights has changed in {self._steps} steps, at a learning rate "
            f"of {rate:.3g}. No gradient reaches it, or only NaN: see whether an activation behind it "
            "is all zero or saturated (ActivationMonitor shows it; a BatchNormalization before the "
            "activation or a wider pulse mends it), whether its output is used, and whether the "
            "model was compiled with DSTOptimizer after its layers were made trainable.",
        )

    def _variables(self):
        return [v for v in self.model.variables if isinstance(v, kernels.DiscreteVariable)]

    def _codes(self):
        """Copies of the states of all kernels; None before the model is built."""
        return [v.numpy().copy() for v in self._variables()] or None


def _shares(before, after):
    return [float(np.mean(a != b)) for a, b in zip(before, after)]


def _layer_name(path):
    return path.split("/")[-2] if "/" in path else path


class ActivationMonitor(_Monitor):
    """Logs what discrete activations do on a sample of inputs.

    After every epoch it runs the sample through the model once, eagerly and in inference
    mode, and adds to the logs, over all discrete activations (`activation/...`) and, if
    asked for, of each layer (`activation1/...`):

    - `density`: share of the outputs that are not zero: of the multiplications of the next
      layer's input, what zeros do not gate off.
    - `saturation`: share of the inputs beyond the last pulse, where no gradient passes; of an
      8-bit ReLU share of those that it clips, below and above.
    - `constant_channels`: share of the channels (last axis; `channels_first` images: second)
      with the same output all over the sample; left out if there are fewer than 32 values a
      channel.

    A layer that is all zero or all saturated, or whose channels mostly stay constant, is
    named in a warning, once.

    Any model will do that can be called eagerly, subclassed ones too: while the sample runs,
    the layers' quantizers are replaced by recording ones. Callbacks see the logs in order:
    put it before `CSVLogger`, `TensorBoard`, `EarlyStopping` and `Checkpoint`.

    Args:
        x: Inputs of the model as in `Model.predict`, some hundred examples: an array, or a
            tuple, list or dict of them.
        overall: Whether to log `activation/...`.
        per_layer: Whether to log each layer.

    Raises:
        InvalidArgumentError: if `x` holds NaN or inf, or (when training ends its first epoch)
            if the model uses no discrete activation.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2, activation="ternary")])
    >>> model.compile(DSTOptimizer(0.1, seed=0), "mse")
    >>> x = np.ones((4, 4))
    >>> history = model.fit(x, np.ones((4, 2)), verbose=0, callbacks=[
    ...     ActivationMonitor(x)])
    >>> sorted(history.history)
    ['activation/density', 'activation/saturation', 'loss']
    """

    def __init__(self, x, overall=True, per_layer=False):
        super().__init__("activation", overall, per_layer)
        self.x = keras.tree.map_structure(to_floatx, arrays(x)[0])
        if not all(np.isfinite(a).all() for a in keras.tree.flatten(self.x) if a.dtype.kind == "f"):
            raise InvalidArgumentError("The sample `x` must be finite. Received: NaN or inf in it")

    def on_epoch_end(self, epoch, logs=None):
        """Runs the sample, writes the logs, and warns of dead layers."""
        measured = {}
        for name, calls in _record(self.model, self.x).items():
            before = np.concatenate([np.ravel(x) for x, _, _ in calls])
            after = np.concatenate([np.ravel(y) for _, y, _ in calls])
            quantizer = calls[0][2]
            density, saturation = np.mean(after != 0), np.mean(quantizer.saturated(before))
            shares = {"density": density, "saturation": saturation}
            constant = _constant_channels([y for _, y, _ in calls])
            if constant is not None:
                shares["constant_channels"] = constant
            measured[name] = {key: (float(v), before.size) for key, v in shares.items()}
            self._check(name, density, saturation, constant)
        if not measured:
            raise InvalidArgumentError(
                f"Model `{self.model.name}` applied no discrete activation to the sample. Remove the "
                "ActivationMonitor, or use DiscreteActivation or activation=\"ternary\"."
            )
        if logs is not None:
            self._log(logs, measured)

    def _check(self, name, density, saturation, constant):
        center = "Put a BatchNormalization before it, or lower"
        if density == 0:
            self._warn_once(
                name, "zero", f"all its outputs are 0 on the sample. {center} its window r."
            )
        elif saturation == 1:
            self._warn_once(
                name,
                "saturated",
                "all its inputs on the sample lie beyond the last pulse, so that no gradient passes. "
                f"{center} the learning rate; a larger pulse_width (or range) reaches further.",
            )
        elif constant is not None and constant >= _MANY:
            self._warn_once(
                name,
                "constant",
                f"{constant:.0%} of its channels have the same output all over the sample and tell "
                "the next layer nothing. Use fewer channels, a BatchNormalization before it, or a "
                "lower learning rate.",
            )


class _Recording:
    """A quantizer that also keeps its inputs and outputs, and what it is at present."""

    def __init__(self, quantizer, present, calls):
        self._quantizer, self._present, self._calls = quantizer, present, calls

    def __call__(self, x, *args, **kwargs):
        y = self._quantizer(x, *args, **kwargs)
        floats = [keras.ops.cast(v, "float32").numpy() for v in (x, y)]
        self._calls.append((*floats, self._present))
        return y


def _record(model, x):
    """{layer name: [(input, output, quantizer) of each of its calls]}."""
    slots = [
        (layer, name)
        for layer in walk(model)
        for name in ("quantizer", "activation")
        if quantizers.is_quantizer(getattr(layer, name, None))
    ]
    records = [[] for _ in slots]
    own = [getattr(layer, name) for layer, name in slots]
    try:
        for (layer, name), quantizer, calls in zip(slots, own, records):
            present = quantizers.get(layer) if name == "quantizer" else quantizer
            setattr(layer, name, _Recording(quantizer, present, calls))
        model(x, training=False)
    finally:
        for (layer, name), quantizer in zip(slots, own):
            setattr(layer, name, quantizer)
    names = labels([layer.name for layer, _ in slots])
    return {name: calls for name, calls in zip(names, records) if calls}


def _constant_channels(outputs):
    """Share of channels with one value only, or None if the sample is too small to tell."""
    first = keras.config.image_data_format() == "channels_first"
    columns = []
    for y in outputs:
        axis = 1 if first and y.ndim == 4 else -1
        columns.append(np.moveaxis(y, axis, -1).reshape(-1, y.shape[axis]))
    if len({column.shape[1] for column in columns}) != 1:
        return None
    values = np.concatenate(columns)
    if len(values) < _ENOUGH:
        return None
    return float(np.mean((values == values[0]).all(axis=0)))
