"""Stock fit on two devices of one machine."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
import keras_gxnor
from tests.contract.layers import everything, everything_data
from tests.contract.nets import cnn, compile_dst, data, kernels

keras.utils.set_random_seed(0)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
runs = [
    (lambda: cnn("ternary"), "ternary", "momentum", data(128)),
    (lambda: cnn("graded"), "ternary", "auto", data(128)),
    (lambda: cnn("ternary"), "ternary", keras.optimizers.Lion(), data(128)),
    (lambda: cnn("int8", "uint8"), "uint8", "auto", data(128)),
    (lambda: everything(kernel_space="ternary"), "ternary", "none", everything_data(64)),
]
for make, codes, rule, (x, y) in runs:
    with strategy.scope():
        model = make()
        functional = keras.Model(model.inputs, model.outputs)
        compile_dst(model, rule=rule)
    before = [k.numpy() for k in kernels(model)]
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    own = [v for v in model.optimizer.variables if v.shape]
    ranges = [v for v in model.trainable_variables if v.name == "log2_range"]
    assert len(ranges) == 2 * (codes == "uint8") and all(v.numpy() != 2.0 for v in ranges)
    for variable in [*kernels(model), *own, *ranges]:
        replicas = [v.numpy() for v in variable.value.values]
        assert len(replicas) == 2 and np.array_equal(*replicas), variable.path
    for old, kernel in zip(before, kernels(model)):
        assert (old != kernel.numpy()).any() and kernel.space.contains(kernel.numpy())
print("mirrored")
"""


@pytest.mark.slow
def test_mirrored_strategy_under_stock_fit():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("mirrored")
