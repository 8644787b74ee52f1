"""Shared by all tests."""

import pytest


@pytest.fixture(autouse=True)
def _seed():
    """Every test starts from the same seed and Keras policy, whatever ran before it."""
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")


def pytest_addoption(parser):
    parser.addoption("--networks", type=int, default=200, help="Random networks to convert and compare.")


@pytest.fixture
def networks(request):
    """How many random networks to draw."""
    return request.config.getoption("--networks")
