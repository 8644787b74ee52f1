"""Keras models that nobody thought of: drawn by hypothesis, lowered, and compared with Keras."""

import collections

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_gxnor import DiscreteActivation, GXNORConv2D, GXNORDense, InputSpec, lowering, reference
from keras_gxnor import graph as g
from keras_gxnor.converters.verification import count_mismatches
from keras_gxnor.evaluation import exact_first, is_exact, plain, rounding_explains

L = keras.layers
SPECS = (InputSpec(scale=1 / 128, zero_point=128), InputSpec("int8", 0.5, 3), InputSpec(scale=1 / 255))
SPACES = ("ternary", "uint8", "binary", "z2", "z4", "uint4")
KERNEL_SPACES = ("ternary", "int8", "binary", "z2", "z4", "int4")


class Draw:
    """A Functional model under construction; `codes` are the tensors that kernels can read."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.inputs = keras.Input((7, 6, 2))
        self.x, self.codes = self.inputs, []

    def activate(self, space):
        self.x = DiscreteActivation(SPACES[space % len(SPACES)])(self.x)
        self.codes.append((self.x, space % len(SPACES)))

    def normalize(self):
        scale, center = map(bool, self.rng.integers(0, 4, 2))
        self.x = L.BatchNormalization(scale=scale, center=center)(self.x)


def _kernel(d, filters, size, pool, space, bias):
    """kernel, perhaps a pool, perhaps batch normalization, perhaps a pool, activation."""
    space_of_kernel = KERNEL_SPACES[size % len(KERNEL_SPACES)]
    if len(d.x.shape) == 2:
        d.x = GXNORDense(1 + filters, use_bias=bias % 2 > 0, kernel_space=space_of_kernel)(d.x)
    else:
        window = 1 + size % min(3, *d.x.shape[1:3])
        d.x = GXNORConv2D(
            1 + filters, window, padding="same" if pool % 2 else "valid", use_bias=bias % 2 > 0,
            kernel_space=space_of_kernel, strides=1 + (bias == 5),
        )(d.x)
        if pool == 3:
            d.x = L.MaxPooling2D(2, 1, "same")(d.x)
        if pool == 4 and bias % 2 == 0 and min(d.x.shape[1:3]) > 1 and d.exact:
            d.x = L.AveragePooling2D(2, 1)(d.x)
    if bias != 3:
        d.normalize()
    if pool == 5 and len(d.x.shape) == 4:
        d.x = L.MaxPooling2D(2, padding="same")(d.x)
    d.activate(space)


def _again(d, space, *_):
    d.normalize()
    d.activate(space)


def _merge(d, back, joined, *_):
    if not d.codes or d.x is not d.codes[-1][0]:
        return
    here, space = d.codes[-1]
    fit = (lambda s: s[:-1] == here.shape[:-1]) if joined % 2 else (lambda s: s == here.shape)
    others = [x for x, s in d.codes[:-1] if fit(x.shape) and s == space]
    if not others:  # a residual block
        kernel = GXNORDense if len(here.shape) == 2 else lambda n: GXNORConv2D(n, 3, padding="same")
        d.x, others = kernel(here.shape[-1])(here), [here]
        d.normalize()
        d.activate(space)
    merge = L.Concatenate if joined % 2 else (L.Add, L.Subtract)[joined // 2 % 2]
    d.x = merge()([d.x, others[back % len(others)]])


def _pool(d, kind, size, *_):
    if len(d.x.shape) != 4 or not d.codes:
        return
    size = min(1 + size % 3, *d.x.shape[1:3])
    if kind == 0:
        d.x = L.AveragePooling2D(size)(d.x)
        d.normalize()
        d.activate(kind)
    elif kind == 1:
        d.x = L.GlobalMaxPooling2D()(d.x)
    elif kind == 2:
        d.x = L.Flatten()(d.x)
    elif kind == 3:
        d.x = L.GlobalAveragePooling2D()(d.x)
    else:
        d.x = L.MaxPooling2D(size, 1)(d.x)


STEPS = {"kernel": _kernel, "again": _again, "merge": _merge, "pool": _pool}
PROGRAMS = st.tuples(
    st.integers(0, 999),
    st.integers(0, len(SPECS) - 1),
    st.lists(
        st.tuples(st.sampled_from(["kernel", *sorted(STEPS)]), *[st.integers(0, 5)] * 5),
        min_size=3,
        max_size=6,
    ),
)


def build(program):
    seed, spec, steps = program
    keras.utils.set_random_seed(seed)
    draw = Draw(seed)
    draw.exact = SPECS[spec].is_exact
    for name, *numbers in [("kernel", seed % 6, *steps[0][1:5]), *steps]:
        STEPS[name](draw, *numbers)
    x = draw.x if len(draw.x.shape) == 2 else L.Flatten()(draw.x)
    model = keras.Model(draw.inputs, L.BatchNormalization()(GXNORDense(3)(x)))
    for layer in model.layers:
        for variable in layer.weights if isinstance(layer, L.BatchNormalization) else []:
            values = draw.rng.normal(size=variable.shape) * 0.5
            variable.assign(np.abs(values) if "variance" in variable.name else values)
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(draw.rng.normal(size=layer.bias.shape))
    return model, SPECS[spec]


@pytest.mark.slow
def test_random_models_are_lowered_exactly(networks):
    count, seen = max(1, networks // 10), collections.Counter()

    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(PROGRAMS)
    def check(program):
        model, spec = build(program)
        graph = lowering.from_keras(model, spec)
        limits = np.iinfo(spec.dtype)
        q = np.random.default_rng(1).integers(limits.min, limits.max + 1, (16, *model.input_shape[1:]))
        exact, keras_own = exact_first(model, spec, q), plain(model, spec, q)
        assert count_mismatches(reference.run(graph, q), exact) == (0, 0), program
        if is_exact(model, spec):
            assert count_mismatches(exact, keras_own) == (0, 0), program
            seen["exact"] += 1
        else:
            assert rounding_explains(model, spec, q), program
        seen.update({type(node.op) for node in graph.nodes})
        keras.backend.clear_session()

    check()
    assert seen["exact"] >= count // 4
    # The draw reaches every operation, or the test says little.
    kinds = (g.Conv2D, g.Dense, g.MaxPool2D, g.SumPool2D, g.Add, g.Concat, g.Threshold, g.Affine, g.Quantize)
    for op in kinds:
        assert seen[op] > 0, (op, seen)
