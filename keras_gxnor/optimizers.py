"""DSTOptimizer: discrete kernels by state transition, everything else by a Keras optimizer."""

import dataclasses
import functools
import math
import operator
import random
import warnings

import keras
import tensorflow as tf

from keras_gxnor import compilation, increments, transitions
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.kernels import DiscreteVariable

_FLOAT_RATE = 0.1  # of the default Adam, relative to the rate of the discrete kernels
_STREAMS = 2  # random streams a kernel: 0 for the transition, 1 for the rule's rounding
_JIT_WEIGHTS = 1 << 14  # below, compiling (0.5 s) costs more than a thousand steps gain


@dataclasses.dataclass(frozen=True)
class _KernelStep:
    """What moves one kernel: `move(stored, gradient, slots, ...)` -> (stored, slots), pure."""

    variable: DiscreteVariable
    slots: list
    move: object


def _move(rule, variable, m, seed, stream, stored, gradient, slots, rate, updates, step):
    """One step of one kernel: a pure function, the same in eager, graph and XLA.

    rule, variable (for its space and how it stores codes), m, seed, stream are Python values,
    the rest tensors: what the variable stores, the gradient...; `updates` counts the updates of
    the optimizer before this one, `step` its calls (more, under gradient accumulation).
    """
    codes = variable.decode(stored)

    def bits(use):
        return transitions.random_bits(codes.shape, seed, stream + use, step)

    # One NaN or overflow would stay in the slots and stop the kernel for good, with nothing
    # to see in the loss: such a step is left out. (Slots are averages of gradients and of
    # their squares: with a finite sum of squares they stay finite.)
    sound = tf.math.is_finite(tf.reduce_mean(tf.square(gradient)))
    update = increments.Update(rate, updates, lambda: bits(1), codes, variable.space)
    increment, new = rule(gradient, slots, update)
    increment = tf.where(sound, increment, 0.0)
    codes = transitions.transition(codes, increment, bits(0), variable.space, m)
    return variable.encode(codes), [tf.where(sound, after, before) for before, after in zip(slots, new)]


def _given(increment, slots, update):
    """The rule of an increment that was computed before."""
    del update
    return increment, slots


@keras.saving.register_keras_serializable(package="keras_gxnor")
class DSTOptimizer(keras.optimizers.Optimizer):
    """Trains discrete kernels by discrete state transition (Deng et al. 2018, section 2.3).

    For every discrete kernel the increment rule turns the gradient into an increment,
    and `keras_gxnor.transitions.transition` into random jumps between states; no float
    copy of a kernel is kept. All other variables go to an ordinary Keras optimizer.

    Let the learning rate decay to about 0 by the end, e.g. with
    `keras.optimizers.schedules.CosineDecay(0.1, steps)`: jumps at a constant rate are noise
    that costs points of accuracy.

    Args:
        learning_rate: Float or `LearningRateSchedule` for the discrete kernels, in units
            of their values.
        rule: Increment rule: `"momentum"` (int8 momentum over the gradient's RMS, 2 bytes
            a weight in all), `"fire"` (integrate and fire, 2 bytes), `"adam"` (the paper's, 9
            bytes), `"none"` (the gradient over its RMS, 1 byte), an `IncrementRule` such as
            `MomentumIncrement(0.9)`, or any Keras optimizer (at the rate given here, not at its
            own). `"auto"` is `"none"` for graded kernels and `"momentum"` for all others.
        m: The paper's nonlinear factor (3), or None for unbiased rounding.
        optimizer: Keras optimizer, or its name, for all float variables. None: Adam at a
            tenth of `learning_rate`, whatever schedule or callback sets that. An optimizer
            of your own keeps its own rate.
        seed: Integer; with equal gradients one seed gives one network. None draws one
            from Python's `random`, which `keras.utils.set_random_seed` seeds. Two
            DSTOptimizers in one `MultiOptimizer` should have different seeds.
        clipnorm, clipvalue, global_clipnorm: As in Keras, on the gradients of the discrete
            kernels; the float variables have those of `optimizer`.
        loss_scale_factor, gradient_accumulation_steps: As in Keras, for all variables.
        jit_compile: Whether XLA compiles the update of a kernel. `"auto"` does so where it
            pays: if XLA works here and the kernel has 16,384 weights or more (benchmarks/
            training.py measures both). Either way the transitions are the same function of
            the increments; increments may differ in their last bit.
        name: Name of the optimizer.

    The paper's setting is `DSTOptimizer(1e-2, rule="adam", m=3.0)`.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> model.compile(DSTOptimizer(0.1, seed=1), "mse")
    """

    def __init__(
        self,
        learning_rate=0.1,
        rule="auto",
        m=3.0,
        optimizer=None,
        seed=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        jit_compile="auto",
        name="dst",
        **kwargs,
    ):
        _refuse(kwargs)
        _check_numbers(m, learning_rate)
        super().__init__(
            learning_rate=learning_rate,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
        )
        self.rule = rule if isinstance(rule, str) and rule == "auto" else increments.get(rule)
        if self._by_keras:  # it owns variables: a rule object may be given to several optimizers
            self.rule = type(self.rule).from_config(self.rule.get_config())
        # An attribute, so that Keras saves it and tf.train.Checkpoint finds it.
        self.rule_optimizer = self.rule.optimizer if self._by_keras else None
        if jit_compile not in ("auto", True, False):
            raise InvalidArgumentError(
                f'`jit_compile` must be "auto", True or False. Received: {jit_compile!r}'
            )
        self.jit_compile = jit_compile
        self.m = None if m is None else float(m)
        self.seed = random.randrange(2**31) if seed is None else _seed(seed)
        self.optimizer = self._float_optimizer(optimizer)
        self.loss_scale_factor = loss_scale_factor

    def _float_optimizer(self, optimizer):
        self._follows = optimizer is None
        if self._follows:
            optimizer = keras.optimizers.Adam(lambda: _FLOAT_RATE * self.learning_rate)
        optimizer = keras.optimizers.get(optimizer)
        if isinstance(optimizer, (DSTOptimizer, keras.optimizers.LossScaleOptimizer)):
            raise InvalidArgumentError(
                "`optimizer` must be a plain Keras optimizer for the float variables; scale the "
                f"loss outside of DSTOptimizer. Received: {type(optimizer).__name__}"
            )
        if self.gradient_accumulation_steps:
            optimizer.gradient_accumulation_steps = self.gradient_accumulation_steps
        return optimizer

    def build(self, variables):
        """Makes the rule's slots, and builds the optimizer of the float variables."""
        if self.built:
            return
        discrete = [v for v in variables if isinstance(v, DiscreteVariable)]
        floats = [v for v in variables if not isinstance(v, DiscreteVariable)]
        if len(discrete) * _STREAMS > transitions.STREAMS:
            raise InvalidArgumentError(
                f"One DSTOptimizer trains at most {transitions.STREAMS // _STREAMS} discrete kernels. "
                f"Received: {len(discrete)}"
            )
        for variable in discrete:
            variable.adopt()
        super().build(discrete)
        self._kernels = [self._kernel_step(index, v) for index, v in enumerate(discrete)]
        if self._by_keras:
            self.rule.build([step.slots[0] for step in self._kernels])
        if floats:
            self.optimizer.build(floats)

    def _kernel_step(self, index, variable):
        """Makes the slots of one kernel and the function that moves it."""
        rule, space = self.rule, variable.space
        if rule == "auto":
            rule = increments.get("none" if space != space.readout else "momentum")
        shape = tuple(variable.shape)
        slots = [
            self.add_variable(size, dtype=dtype, name=f"{variable.path.replace('/', '_')}_{slot}")
            for slot, size, dtype in rule.slots(shape)
        ]
        rule = _given if self._by_keras else rule
        move = functools.partial(_move, rule, variable, self.m, self.seed, index * _STREAMS)
        worth = math.prod(shape) >= _JIT_WEIGHTS and compilation.xla_works()
        if worth if self.jit_compile == "auto" else self.jit_compile:
            move = compilation.jit(move)
        return _KernelStep(variable, slots, move)

    @property
    def _by_keras(self):
        return isinstance(self.rule, increments.KerasIncrement)

    def add_variable_from_reference(self, reference_variable, name=None, initializer="zeros"):
        """As in Keras, but float32 for an int8 kernel (used by gradient accumulation)."""
        if not isinstance(reference_variable, DiscreteVariable):
            return super().add_variable_from_reference(reference_variable, name, initializer)
        return self.add_variable(
            tuple(reference_variable.shape),
            initializer,
            dtype="float32",
            name=f"{reference_variable.path.replace('/', '_')}_{name or 'var'}",
        )

    def apply(self, grads, trainable_variables=None):
        """Updates the variables: discrete kernels here, floats by `self.optimizer`."""
        if trainable_variables is None:
            raise InvalidArgumentError(
                "DSTOptimizer.apply needs the variables: apply(grads, trainable_variables)."
            )
        pairs = list(zip(grads, trainable_variables))
        self.build([v for _, v in pairs])
        missing = [v.path for g, v in pairs if g is None]
        pairs = [(g, v) for g, v in pairs if g is not None]
        if not pairs:
            raise InvalidArgumentError(f"No gradients provided for any variable: {missing}")
        if missing:
            warnings.warn(f"Gradients do not exist for variables {missing}.", stacklevel=2)
        # The TensorFlow variable: Keras' own refuses updates (DiscreteVariable.adopt).
        discrete = [(g, v.value) for g, v in pairs if isinstance(v, DiscreteVariable)]
        floats = [(g, v) for g, v in pairs if not isinstance(v, DiscreteVariable)]
        if floats:  # first: its rate may follow ours at this step
            self.optimizer.apply(*map(list, zip(*floats)))
        if self._by_keras:
            self.rule_optimizer.iterations.assign(self.iterations)
        if discrete:
            super().apply(*map(list, zip(*discrete)))
        else:
            self._iterations.assign_add(1)

    def update_step(self, gradient, variable, learning_rate):
        """One discrete state transition of one kernel."""
        kernel = self._kernels[self._get_variable_index(variable)]
        gradient = tf.cast(tf.convert_to_tensor(gradient), tf.float32)
        rate = tf.cast(learning_rate, tf.float32)
        stored = tf.convert_to_tensor(variable)
        old = [tf.convert_to_tensor(slot) for slot in kernel.slots]
        if self._by_keras:
            codes = kernel.variable.decode(stored)
            values = tf.cast(codes, tf.float32) * kernel.variable.space.scale
            gradient, old = self.rule.propose(gradient, values, kernel.slots[0], rate), []
        counts = tf.convert_to_tensor(self.iterations), tf.convert_to_tensor(self._iterations)
        stored, new = kernel.move(stored, gradient, old, rate, *counts)
        self.assign(variable, stored)
        for slot, value in zip(kernel.slots, new):
            self.assign(slot, value)

    @property
    def variables(self):
        """All variables of this optimizer and of those inside."""
        rule = self.rule_optimizer.variables if self._by_keras else []
        return [*super().variables, *rule, *self.optimizer.variables]

    @property
    def loss_scale_factor(self):
        """As in Keras; shared with the float optimizer, so that both undo it once."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value):
        self._loss_scale_factor = value
        if hasattr(self, "optimizer"):
            self.optimizer.loss_scale_factor = value

    def save_own_variables(self, store):
        """Writes this optimizer's variables; Keras saves those inside by itself."""
        for index, variable in enumerate(super().variables):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store):
        """Inverse of `save_own_variables`; as in Keras, other state is skipped with a warning."""
        own = super().variables
        found = [tuple(store[str(i)].shape) for i in range(len(store.keys()))]
        if found != [tuple(v.shape) for v in own]:
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}': the file holds "
                f"{len(found)} variables and it has {len(own)}, or their shapes differ. It was not "
                "built yet, or was saved for another model or `rule`.",
                stacklevel=2,
            )
            return
        for index, variable in enumerate(own):
            variable.assign(store[str(index)])

    def set_weights(self, weights):
        """Sets the variables of both optimizers, in the order of `variables`."""
        if len(weights) != len(self.variables):
            raise InvalidArgumentError(
                f"Expected {len(self.variables)} arrays. Received: {len(weights)}"
            )
        for variable, weight in zip(self.variables, weights):
            variable.assign(weight)

    def finalize_variable_values(self, var_list):
        """Lets the float optimizer finish its variables (EMA)."""
        self.optimizer.finalize_variable_values(
            [v for v in var_list if not isinstance(v, DiscreteVariable)]
        )

    def get_config(self):
        """Arguments that rebuild this optimizer."""
        config = super().get_config()
        for refused in _REFUSED:
            config.pop(refused, None)
        return {
            **config,
            "rule": "auto" if self.rule == "auto" else keras.saving.serialize_keras_object(self.rule),
            "m": self.m,
            "optimizer": None
            if self._follows
            else keras.saving.serialize_keras_object(self.optimizer),
            "seed": self.seed,
            "jit_compile": self.jit_compile,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Inverse of `get_config`."""
        config = dict(config)
        for name in ("optimizer", "rule"):
            if isinstance(config.get(name), dict):
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return super().from_config(config, custom_objects)


def inside(optimizer) -> list:
    """The optimizer and all that it wraps (loss scaling, `MultiOptimizer`), outermost first.

    Example:

    >>> dst = DSTOptimizer(optimizer="sgd")
    >>> [type(o).__name__ for o in inside(keras.optimizers.LossScaleOptimizer(dst))]
    ['LossScaleOptimizer', 'DSTOptimizer', 'SGD']
    """
    found = [optimizer]
    for name in ("inner_optimizer", "optimizer"):
        inner = getattr(optimizer, name, None)
        if isinstance(inner, keras.optimizers.Optimizer):
            found += inside(inner)
    for inner in getattr(optimizer, "optimizers", None) or ():
        found += inside(inner)
    return found


def discrete_inside(optimizer) -> list:
    """Those of `inside` that train discrete kernels."""
    return [found for found in inside(optimizer) if isinstance(found, DSTOptimizer)]


_REFUSED = {
    "weight_decay": "a jump cannot be a little smaller; give it to the float optimizer: "
    "optimizer=keras.optimizers.AdamW(weight_decay=...)",
    "use_ema": "an average of codes is not a code; average the float variables with "
    "optimizer=keras.optimizers.Adam(use_ema=True)",
    "ema_momentum": "there is no average of codes",
    "ema_overwrite_frequency": "there is no average of codes",
}


def _seed(seed) -> int:
    try:
        return operator.index(seed) % 2**63
    except TypeError as error:
        raise InvalidArgumentError(f"`seed` must be an integer or None. Received: seed={seed!r}") from error


def _check_numbers(m, learning_rate):
    number = isinstance(m, (int, float)) and not isinstance(m, bool)
    if m is not None and not (number and 0 < m < math.inf):
        raise InvalidArgumentError(f"`m` must be a positive number or None. Received: m={m!r}")
    if isinstance(learning_rate, (int, float)) and not 0 <= learning_rate < math.inf:
        raise InvalidArgumentError(
            f"`learning_rate` must be finite and not negative. Received: learning_rate={learning_rate!r}"
        )


def _refuse(kwargs):
    for name, value in kwargs.items():
        if name not in _REFUSED:
            raise InvalidArgumentError(f"DSTOptimizer has no argument `{name}`. Received: {value!r}")
        if value:
            raise InvalidArgumentError(
                f"DSTOptimizer does not take `{name}`: {_REFUSED[name]}. Received: {name}={value!r}"
            )
