"""Increment rules: what they compute, what they keep, and any Keras optimizer as one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor import DiscreteSpace, increments, transitions
from keras_gxnor.errors import InvalidArgumentError
from tests.contract.nets import cnn, compile_dst, data, kernels
from tests.tools import thinned

# Every optimizer of Keras that has a step of its own.
OPTIMIZERS = [
    name
    for name, value in vars(keras.optimizers).items()
    if isinstance(value, type)
    and issubclass(value, keras.optimizers.Optimizer)
    and value.update_step is not keras.optimizers.Optimizer.update_step
    and name not in ("Nadam", "Ftrl", "ScheduleFreeAdamW")
]


DECAYING = ("AdamW", "Muon")  # weight decay is on by default


def _update(rate, step, bits=None, codes=None, space=None):
    return increments.Update(tf.constant(rate), tf.constant(step), bits, codes, space)


@pytest.mark.parametrize("bad", [1.0, -0.1])
def test_rules_check_their_arguments(bad):
    with pytest.raises(InvalidArgumentError, match="momentum"):
        keras_gxnor.MomentumIncrement(bad)
    with pytest.raises(InvalidArgumentError, match="beta_1"):
        keras_gxnor.AdamIncrement(beta_1=bad)
    with pytest.raises(InvalidArgumentError, match="dtype"):
        keras_gxnor.MomentumIncrement(dtype="int4")


def test_adam_rule_is_keras_adam():
    rng = np.random.default_rng(0)
    rule, w = increments.AdamIncrement(), tf.Variable(np.zeros(50, np.float32))
    adam = keras.optimizers.Adam(0.01)
    slots, ours = [tf.zeros(50), tf.zeros(50)], np.zeros(50)
    for step in range(20):
        gradient = tf.constant(rng.normal(size=50).astype(np.float32))
        increment, slots = rule(gradient, slots, _update(0.01, step))
        ours = ours + increment.numpy()
        adam.apply([gradient], [w])
    assert np.abs(ours - w.numpy()).max() < 1e-6


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_small_moments_are_float_moments_on_average(dtype):
    """Stochastic rounding: noise, but no bias, however long the moment is kept."""
    rng = np.random.default_rng(0)
    shape = (300, 40)
    rules = [increments.MomentumIncrement(dtype=d) for d in ("float32", dtype)]
    slots = [[tf.zeros(s, d) for _, s, d in rule.slots(shape)] for rule in rules]
    for step in range(50):
        gradient = tf.constant(rng.normal(size=shape).astype(np.float32))
        bits = lambda step=step: tf.constant(
            np.random.default_rng(step).integers(0, 2**32, shape, np.uint32)
        )
        exact, slots[0] = rules[0](gradient, slots[0], _update(1.0, step, bits))
        rounded, slots[1] = rules[1](gradient, slots[1], _update(1.0, step, bits))
    assert slots[1][1].dtype.name == dtype
    error = (rounded - exact).numpy()
    assert 0 < error.std() < 0.1 * exact.numpy().std()
    assert abs(error.mean()) < 5 * error.std() / np.sqrt(error.size)


def test_bfloat16_rounding_is_one_of_the_two_neighbours():
    values = tf.constant([1.0, 1.001, -1.001, 3e-39, 0.0, 1e30])
    low, high = (
        tf.cast(increments.rules._to_bfloat16(values, tf.fill((6,), tf.constant(b, tf.uint32))), tf.float32)
        for b in (0, 0xFFFFFFFF)
    )
    assert np.abs(low).tolist() <= np.abs(values).tolist() <= np.abs(high).tolist()
    assert low[0] == high[0] == 1.0 and low[4] == high[4] == 0.0
    assert high[1] - low[1] == 2.0**-7 == low[2] - high[2]


@pytest.mark.parametrize("rule", [increments.GradientIncrement(), increments.MomentumIncrement(0.0)], ids=str)
def test_without_memory_the_increment_is_the_gradient_over_its_rms(rule):
    gradient = tf.random.stateless_normal((40, 30), (1, 2))
    slots = [tf.zeros(s, d) for _, s, d in rule.slots((40, 30))]
    bits = lambda: tf.zeros((40, 30), tf.uint32)
    increment, _ = rule(gradient, slots, _update(0.5, 0, bits))
    rms = np.sqrt(np.mean(np.square(gradient)))
    assert np.allclose(increment, -0.5 * gradient / rms, rtol=1e-4, atol=0)


@pytest.mark.parametrize("space", [DiscreteSpace(1), DiscreteSpace(0), DiscreteSpace(3, 2.0)], ids=str)
def test_fire_integrates_and_jumps(space):
    """A constant gradient of 1: nothing, nothing, ..., a jump of one step, and again from 0."""
    rule = increments.FireIncrement(threshold=0.5)
    codes, slots = tf.fill((4,), tf.constant(-space.max_code, tf.int8)), [tf.zeros(()), tf.zeros(4, tf.int8)]
    half = lambda: tf.fill((4,), tf.constant(1 << 31, tf.uint32))  # rounds to the nearest
    seen = []
    for step in range(9):  # 0.2 of a step at a time: beyond 0.5 at every third
        update = _update(0.2 * space.step, step, half, codes, space)
        increment, slots = rule(tf.fill((4,), -1.0), slots, update)
        assert slots[1].dtype == tf.int8
        codes = transitions.transition(codes, increment, half(), space, None)
        seen.append(int(codes[0]))
    steps = [0, 0, 1, 1, 1, 2, 2, 2, 3]
    expected = [min(-space.max_code + space.code_step * k, space.max_code) for k in steps]
    assert seen == expected
    if space.order < 2:  # at the end of the range the accumulator stays full
        assert (slots[1].numpy() == 127).all()


def test_fire_does_not_flicker():
    """To come back takes a whole threshold: noise around the border moves nothing."""
    rule, space = increments.FireIncrement(), DiscreteSpace(1)
    codes, slots = tf.zeros(1000, tf.int8), [tf.zeros(()), tf.fill((1000,), tf.constant(120, tf.int8))]
    moves = 0
    for step in range(200):
        bits = lambda step=step: tf.random.stateless_uniform((1000,), (step, 1), None, None, tf.uint32)
        gradient = tf.random.stateless_normal((1000,), (step, 2))
        increment, slots = rule(gradient, slots, _update(0.005, step, bits, codes, space))
        new = transitions.transition(codes, increment, bits(), space, None)
        moves += int(tf.reduce_sum(tf.cast(new != codes, tf.int32)))
        codes = new
    assert 0 < moves < 1.2 * 1000  # about one jump each: the first, and hardly any back


@pytest.mark.parametrize("half_range", [0.13, 0.06, 1.0])
@pytest.mark.parametrize("m", [0.1, 3.0, None])
def test_fire_jumps_for_certain(half_range, m):
    """Also where step * (1 / step) is less than 1 in float32."""
    rule, space = increments.FireIncrement(), DiscreteSpace(1, half_range)
    codes, slots = tf.zeros(100_000, tf.int8), [tf.zeros(()), tf.fill((100_000,), tf.constant(127, tf.int8))]
    bits = lambda: transitions.random_bits((100_000,), 0, 0, 0)
    increment, _ = rule(tf.fill((100_000,), -1.0), slots, _update(half_range, 0, bits, codes, space))
    assert (transitions.transition(codes, increment, bits(), space, m).numpy() == 1).all()


@pytest.mark.slow
def test_increments_of_keras_rules_die_out_without_gradients():
    """Else the optimizer pulls at the codes from a hidden float weight."""
    for name in OPTIMIZERS:
        decay = {"weight_decay": 0.0} if name in DECAYING else {}
        rule = increments.get(getattr(keras.optimizers, name)(**decay))
        scratch = keras.Variable(np.zeros((6, 5), np.float32))
        rule.build([scratch])
        sizes = []
        for step in range(400):
            gradient = tf.random.stateless_normal((6, 5), (step, 1)) if step < 50 else tf.zeros((6, 5))
            rule.optimizer.iterations.assign(step)
            increment = rule.propose(gradient, tf.ones((6, 5)), scratch, tf.constant(0.01))
            sizes.append(np.abs(increment).mean())
        if name not in ("Lion", "Lamb", "Muon"):  # sign, trust ratio, orthogonal: of any momentum left
            assert sizes[-1] < 0.1 * np.mean(sizes[:50]), name


def test_a_rule_object_may_serve_two_optimizers():
    rule, (x, y) = increments.KerasIncrement(keras.optimizers.Lion()), data(32)
    for _ in range(2):
        model = cnn()
        before = [k.numpy() for k in kernels(model)]
        compile_dst(model, rule=rule).fit(x, y, verbose=0)
        assert all((old != k.numpy()).any() for old, k in zip(before, kernels(model)))
        assert model.optimizer.rule is not rule and not rule.optimizer.built


def test_custom_rules_come_back_from_a_config():
    class Mine(increments.IncrementRule):
        pass

    config = keras_gxnor.DSTOptimizer(rule=Mine()).get_config()
    again = keras_gxnor.DSTOptimizer.from_config(config, custom_objects={"Mine": Mine})
    assert isinstance(again.rule, Mine)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("nan")])
def test_fire_checks_its_threshold(bad):
    with pytest.raises(InvalidArgumentError, match="threshold"):
        increments.FireIncrement(bad)


def test_a_rule_of_ones_own():
    class Sign(increments.IncrementRule):
        def __call__(self, gradient, slots, update):
            return -update.rate * tf.sign(gradient), []

    model, (x, y) = cnn(), data(32)
    before = [k.numpy().astype(int) for k in kernels(model)]
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x, training=True))
    gradients = tape.gradient(loss, [k.value for k in kernels(model)])
    compile_dst(model, 1.0, rule=Sign(), m=None)  # one whole step against the gradient, always
    model.fit(x, y, batch_size=32, epochs=1, verbose=0)
    for old, gradient, kernel in zip(before, gradients, kernels(model)):
        clear = np.abs(gradient) > 1e-6
        assert np.array_equal(kernel.numpy()[clear], np.clip(old - np.sign(gradient), -1, 1)[clear])


@pytest.mark.parametrize("name", thinned(OPTIMIZERS, 3))
def test_any_keras_optimizer_is_a_rule(name, tmp_path):
    model, (x, y) = cnn(), data(32)
    before = [k.numpy() for k in kernels(model)]
    decay = {"weight_decay": 0.0} if name in DECAYING else {}
    rate = 100.0 if name == "Adadelta" else 0.5  # it starts with tiny steps
    compile_dst(model, rate, rule=getattr(keras.optimizers, name)(**decay))
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    assert model.optimizer.iterations == 8 == model.optimizer.rule.optimizer.iterations + 1
    assert all((old != k.numpy()).any() for old, k in zip(before, kernels(model)))
    assert all(np.isin(k.numpy(), [-1, 0, 1]).all() for k in kernels(model))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one, two in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        assert np.array_equal(one.numpy(), two.numpy()), one.path


def test_a_keras_rule_steps_as_keras_does():
    """Its increments are what the optimizer adds to float weights with the same gradients."""
    theirs = keras.optimizers.Adam(0.25, beta_1=0.5)
    rule = increments.get(keras.optimizers.Adam(7.0, beta_1=0.5))
    scratch, weights = (keras.Variable(np.full((6, 5), v, np.float32)) for v in (0, 1))
    rule.build([scratch])
    theirs.build([weights])
    for step in range(4):
        gradient = tf.random.stateless_normal((6, 5), (step, 1))
        old = weights.numpy()
        theirs.apply([gradient], [weights])
        rule.optimizer.iterations.assign(step)
        increment = rule.propose(gradient, tf.ones((6, 5)), scratch, tf.constant(0.25))
        assert np.allclose(increment, weights.numpy() - old, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"weight_decay": 0.1}, "no float weights to decay"),
        ({"clipnorm": 1.0}, "give it to DSTOptimizer"),
        ({"clipvalue": 1.0}, "give it to DSTOptimizer"),
        ({"global_clipnorm": 1.0}, "give it to DSTOptimizer"),
        ({"use_ema": True}, "no average of codes"),
        ({"gradient_accumulation_steps": 2}, "give it to DSTOptimizer"),
        ({"loss_scale_factor": 2.0}, "give it to DSTOptimizer"),
    ],
)
def test_what_a_keras_rule_cannot_have(arguments, words):
    with pytest.raises(InvalidArgumentError, match=words):
        keras_gxnor.DSTOptimizer(rule=keras.optimizers.Adam(**arguments))


def test_optimizers_around_others_are_no_rules():
    for wrapper in (
        keras_gxnor.DSTOptimizer(),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
    ):
        with pytest.raises(InvalidArgumentError, match="cannot be a rule"):
            keras_gxnor.DSTOptimizer(rule=wrapper)
    for name in ("Nadam", "Ftrl", "ScheduleFreeAdamW"):
        with pytest.raises(InvalidArgumentError, match=f"{name} cannot be a rule"):
            keras_gxnor.DSTOptimizer(rule=getattr(keras.optimizers, name)())


def test_weight_decay_of_the_float_optimizer_leaves_kernels_alone():
    """A decay of 1 at a kernel's rate would zero every weight at once."""
    model, (x, y) = cnn(), data(32)
    before = [k.numpy() for k in kernels(model)]
    gammas = [v for v in model.trainable_variables if "gamma" in v.name]
    adamw = keras.optimizers.AdamW(1e-9, weight_decay=5e8)
    compile_dst(model, 0.0, optimizer=adamw).fit(x, y, batch_size=32, epochs=1, verbose=0)
    assert all(np.array_equal(old, k.numpy()) for old, k in zip(before, kernels(model)))
    assert all(np.abs(g.numpy()).max() < 0.6 for g in gammas)
