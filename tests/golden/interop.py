"""Makes larq.h5 and qkeras.h5 with Larq and QKeras themselves, and what they compute in .npz.

Made with Python 3.11, tensorflow 2.15.1, larq 0.14.0 and QKeras 0.9.0, which need an
environment of their own; it wants TensorFlow 2.15 and Keras 2:

    pip install "tensorflow==2.15.*" larq==0.14.0 qkeras==0.9.0 pyparsing
    python tests/golden/interop.py
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
_NORM_QUANTIZERS = [f"{part}_quantizer" for part in ("gamma", "beta", "mean", "variance")]


def _larq(keras):
    import larq

    tern = larq.quantizers.SteTern
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            larq.layers.QuantConv2D(3, 3, kernel_quantizer="ste_sign", use_bias=False),
            keras.layers.BatchNormalization(scale=False),
            larq.layers.QuantConv2D(
                4, 2, input_quantizer="ste_sign", kernel_quantizer=tern(threshold_value=0.2), use_bias=False
            ),
            keras.layers.MaxPooling2D(),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            larq.layers.QuantDense(
                5,
                input_quantizer="ste_sign",
                kernel_quantizer=larq.quantizers.MagnitudeAwareSign(),
                use_bias=True,
            ),
            keras.layers.BatchNormalization(),
            larq.layers.QuantDense(
                3,
                input_quantizer="ste_sign",
                kernel_quantizer=tern(ternary_weight_networks=True),
                use_bias=True,
            ),
        ]
    )


def _qkeras(keras):
    import qkeras

    x = inputs = keras.Input((6, 6, 2))
    x = qkeras.QConv2D(3, 3, kernel_quantizer=qkeras.ternary(alpha="auto"))(x)
    x = qkeras.QBatchNormalization(**dict.fromkeys(_NORM_QUANTIZERS))(x)
    x = qkeras.QActivation("binary")(x)
    x = qkeras.QConv2D(4, 2, kernel_quantizer="stochastic_ternary(alpha='auto_po2')", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = qkeras.QActivation("binary")(x)
    x = keras.layers.Flatten()(x)
    x = qkeras.QDense(5, kernel_quantizer="ternary", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = qkeras.QActivation("binary")(x)
    x = qkeras.QDense(4, kernel_quantizer=qkeras.binary(alpha="auto"))(x)
    x = keras.layers.BatchNormalization()(x)
    x = qkeras.QActivation("binary")(x)
    x = qkeras.QDense(3, kernel_quantizer=qkeras.ternary(alpha=1.0, threshold=0.1))(x)
    return keras.Model(inputs, x)


def _larq_kernel(layer):
    return np.asarray(layer.kernel_quantizer(layer.kernel.value()))


def _qkeras_kernel(layer):
    rounded = np.asarray(layer.kernel_quantizer_internal(layer.kernel.value()))
    scale = np.asarray(layer.kernel_quantizer_internal.scale, np.float32)
    codes = np.sign(rounded) * (np.abs(rounded) > scale / 2)
    return (codes * scale).astype(np.float32)


def main():
    """Writes the four files beside this one."""
    import tensorflow as tf

    keras = tf.keras
    for name, build, kernel in (("larq", _larq, _larq_kernel), ("qkeras", _qkeras, _qkeras_kernel)):
        keras.utils.set_random_seed(7)
        model, rng = build(keras), np.random.default_rng(7)
        for layer in model.layers:
            drawn = [np.abs(w + rng.normal(0, 0.3, w.shape)) for w in layer.get_weights()]
            if "normalization" in layer.name:
                layer.set_weights(drawn)
            elif len(drawn) == 2:
                layer.set_weights([layer.get_weights()[0], drawn[1]])
        model.save(HERE / f"{name}.h5")
        images = rng.integers(-128, 128, (64, 6, 6, 2)).astype(np.float32) / 128
        kernels = {layer.name: kernel(layer) for layer in model.layers if hasattr(layer, "kernel_quantizer")}
        np.savez_compressed(
            HERE / f"{name}.npz", images=images, logits=model.predict(images, verbose=0), **kernels
        )


if __name__ == "__main__":
    main()
