"""Stock fit on two devices of one machine."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
import keras_gxnor
from tests.contract.nets import cnn, compile_dst, data, kernels

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
x, y = data(128)
with strategy.scope():
    model = cnn()
    functional = keras.Model(model.inputs, model.outputs)
    compile_dst(model)
before = [k.numpy() for k in kernels(model)]
model.fit(x, y, batch_size=32, epochs=2, verbose=0)
for old, kernel in zip(before, kernels(model)):
    replicas = [v.numpy() for v in kernel.value.values]
    assert len(replicas) == 2 and np.array_equal(*replicas)
    assert (old != replicas[0]).any() and set(np.unique(replicas[0])) <= {-1, 0, 1}
print("mirrored")
"""


def test_mirrored_strategy_under_stock_fit():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("mirrored")
