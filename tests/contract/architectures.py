"""Float architectures people bring, tiny and written from their descriptions; most end in 3 classes.

Activations have fewer than 512 elements, so that nothing waits for XLA.
`ARCHITECTURES` holds those that convert as a whole, `REFUSED` those that hold a layer without
a discrete form.
"""

import keras

L = keras.layers
IMAGE = (8, 8, 2)


def _conv_bn_relu(x, filters, size=3, strides=1, relu=True):
    x = L.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
    x = L.BatchNormalization()(x)
    return L.ReLU()(x) if relu else x


def _classified(inputs, x):
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="classes")(x))


def lenet():
    """LeNet-5: tanh in the layers, average pooling, biases, no normalization."""
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            L.Conv2D(6, 3, padding="same", activation="tanh"),
            L.AveragePooling2D(2),
            L.Conv2D(8, 3, activation="tanh"),
            L.AveragePooling2D(2),
            L.Flatten(),
            L.Dense(20, activation="tanh"),
            L.Dense(3, activation="softmax"),
        ]
    )


def vgg():
    """Two VGG blocks: relu in the layers, biases, max pooling, dropout in the head."""
    model = keras.Sequential([keras.Input(IMAGE), L.Rescaling(0.5)])
    for filters in (6, 8):
        for _ in range(2):
            model.add(L.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(L.MaxPooling2D())
    for layer in (L.Flatten(), L.Dense(16, "relu"), L.Dropout(0.5), L.Dense(3, "softmax")):
        model.add(layer)
    return model


def resnet():
    """Basic blocks, one with a projection: the sum is added before the last ReLU."""
    inputs = keras.Input(IMAGE)
    x = _conv_bn_relu(inputs, 6)
    for filters, strides in ((6, 1), (8, 2)):
        y = _conv_bn_relu(x, filters, strides=strides)
        y = _conv_bn_relu(y, filters, relu=False)
        if strides > 1:
            x = _conv_bn_relu(x, filters, 1, strides, relu=False)
        x = L.ReLU()(L.Add()([x, y]))
    return _classified(inputs, x)


def resnet_v2():
    """Pre-activation: the sums run through, normalized at the head of each branch."""
    inputs = keras.Input(IMAGE)
    x = L.Conv2D(6, 3, padding="same")(inputs)
    for _ in range(2):
        y = x
        for _ in range(2):
            y = L.Activation("relu")(L.BatchNormalization()(y))
            y = L.Conv2D(6, 3, padding="same")(y)
        x = L.Add()([x, y])
    return _classified(inputs, L.Activation("relu")(L.BatchNormalization()(x)))


def mobilenet():
    """MobileNet v1: depthwise and pointwise, each normalized, ReLU6."""
    inputs = keras.Input(IMAGE)
    x = _conv_bn_relu(inputs, 8, strides=2)
    for filters, strides in ((12, 1), (16, 2)):
        x = L.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(x)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        x = L.Conv2D(filters, 1, use_bias=False)(x)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
    return _classified(inputs, x)


def mobilenet_v2():
    """Inverted residuals with linear bottlenecks, padded as keras.applications does."""
    inputs = keras.Input(IMAGE)
    x = _conv_bn_relu(inputs, 8, strides=2)
    for filters, strides in ((8, 1), (12, 2)):
        y = L.Activation("relu6")(L.BatchNormalization()(L.Conv2D(16, 1, use_bias=False)(x)))
        if strides > 1:
            y = L.ZeroPadding2D(((0, 1), (0, 1)))(y)
        padding = "same" if strides == 1 else "valid"
        y = L.DepthwiseConv2D(3, strides, padding=padding, use_bias=False)(y)
        y = L.Activation("relu6")(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(filters, 1, use_bias=False)(y))
        x = L.Add()([x, y]) if strides == 1 else y
    return _classified(inputs, x)


def inception():
    """Four branches, concatenated."""
    inputs = keras.Input(IMAGE)
    x = L.MaxPooling2D()(L.Conv2D(6, 3, padding="same", activation="relu")(inputs))
    relu = {"padding": "same", "activation": "relu"}
    branches = [
        L.Conv2D(4, 1, **relu)(x),
        L.Conv2D(6, 3, **relu)(L.Conv2D(4, 1, **relu)(x)),
        L.Conv2D(4, 5, **relu)(L.Conv2D(4, 1, **relu)(x)),
        L.Conv2D(4, 1, **relu)(L.MaxPooling2D(3, 1, padding="same")(x)),
    ]
    return _classified(inputs, L.Concatenate()(branches))


def densenet():
    """A dense block: every layer reads all before it; a transition with average pooling."""
    inputs = keras.Input(IMAGE)
    x = L.Conv2D(4, 3, 2, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        y = L.ReLU()(L.BatchNormalization()(x))
        y = L.Conv2D(4, 3, padding="same", use_bias=False)(y)
        x = L.Concatenate()([x, y])
    x = L.ReLU()(L.BatchNormalization()(x))
    x = L.AveragePooling2D(2)(L.Conv2D(8, 1, use_bias=False)(x))
    return _classified(inputs, L.ReLU()(L.BatchNormalization()(x)))


def squeezenet():
    """Fire modules, and no dense layer at the end."""
    inputs = keras.Input(IMAGE)
    x = L.MaxPooling2D()(L.Conv2D(6, 3, padding="same", activation="relu")(inputs))
    for _ in range(2):
        squeezed = L.Conv2D(4, 1, activation="relu")(x)
        wide = [L.Conv2D(6, size, padding="same", activation="relu")(squeezed) for size in (1, 3)]
        x = L.Concatenate()(wide)
    x = L.Conv2D(3, 1, activation="relu")(L.Dropout(0.2)(x))
    return keras.Model(inputs, L.Activation("softmax")(L.GlobalAveragePooling2D()(x)))


def gesture():
    """A 1-D convolutional net on three axes of an accelerometer."""
    return keras.Sequential(
        [
            keras.Input((32, 3)),
            L.Conv1D(8, 5, padding="same", activation="relu"),
            L.MaxPooling1D(),
            L.Conv1D(12, 3, padding="same"),
            L.BatchNormalization(),
            L.LeakyReLU(),
            L.GlobalAveragePooling1D(),
            L.Dense(3, activation="softmax"),
        ]
    )


def keyword():
    """A 1-D depthwise-separable keyword net."""
    stack = [keras.Input((32, 6)), L.Conv1D(8, 3, 2, padding="same"), L.BatchNormalization(), L.ReLU()]
    for _ in range(2):
        stack += [L.DepthwiseConv1D(3, padding="same"), L.BatchNormalization(), L.ReLU()]
        stack += [L.Conv1D(8, 1), L.BatchNormalization(), L.ReLU()]
    return keras.Sequential([*stack, L.GlobalAveragePooling1D(), L.Dense(3, activation="softmax")])


def xception():
    """Separable convolutions with a strided residual."""
    inputs = keras.Input(IMAGE)
    x = _conv_bn_relu(inputs, 8, strides=2)
    y = L.BatchNormalization()(L.SeparableConv2D(12, 3, padding="same", use_bias=False)(x))
    y = L.Activation("relu")(y)
    y = L.BatchNormalization()(L.SeparableConv2D(12, 3, padding="same", use_bias=False)(y))
    y = L.MaxPooling2D(3, 2, padding="same")(y)
    x = L.BatchNormalization()(L.Conv2D(12, 1, 2, use_bias=False)(x))
    return _classified(inputs, L.Activation("relu")(L.Add()([x, y])))


def mlp():
    """A tutorial's MLP with dropout, gelu and silu."""
    return keras.Sequential(
        [
            keras.Input((24,)),
            L.Dense(16, activation="gelu"),
            L.Dropout(0.3),
            L.Dense(16, activation="silu"),
            L.Dense(3),
        ]
    )


def autoencoder():
    """Convolutions down, transposed convolutions up, a sigmoid image."""
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            L.Conv2D(8, 3, 2, padding="same", activation="relu"),
            L.Conv2D(6, 3, 2, padding="same", activation="relu"),
            L.Conv2DTranspose(8, 3, 2, padding="same", activation="relu"),
            L.Conv2DTranspose(6, 3, 2, padding="same", activation="relu"),
            L.Conv2D(2, 3, padding="same", activation="sigmoid"),
        ]
    )


def unet():
    """One level of a U-Net: down, up, and the skip concatenated; a class a pixel."""
    inputs = keras.Input(IMAGE)
    skip = L.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    x = L.Conv2D(8, 3, padding="same", activation="relu")(L.MaxPooling2D()(skip))
    x = L.Conv2DTranspose(6, 2, 2)(x)
    x = L.Conv2D(6, 3, padding="same", activation="relu")(L.Concatenate()([x, skip]))
    return keras.Model(inputs, L.Conv2D(3, 1, activation="softmax")(x))


def two_inputs():
    """An image and a vector of features, joined; two outputs."""
    image, vector = keras.Input(IMAGE, name="image"), keras.Input((5,), name="vector")
    x = L.Flatten()(L.Conv2D(6, 3, 2, activation="relu")(image))
    x = L.Concatenate()([L.Dense(8, activation="relu")(x), L.Dense(8, activation="elu")(vector)])
    x = L.Dense(12, activation="relu")(x)
    outputs = [L.Dense(3, activation="softmax")(x), L.Dense(1, activation="sigmoid")(x)]
    return keras.Model([image, vector], outputs)


def nested():
    """A backbone inside a model inside a model, as in transfer learning."""
    inner = keras.Sequential(
        [keras.Input((4, 4, 6)), L.Conv2D(8, 3, padding="same"), L.BatchNormalization(), L.ReLU()],
        name="inner",
    )
    inputs = keras.Input(IMAGE)
    x = L.MaxPooling2D()(_conv_bn_relu(inputs, 6))
    backbone = keras.Model(inputs, inner(x), name="backbone")
    return keras.Sequential([keras.Input(IMAGE), backbone, L.GlobalAveragePooling2D(), L.Dense(3)])


def siamese():
    """One kernel and one ReLU used twice, and the difference of what they make."""
    left, right = keras.Input((12,), name="left"), keras.Input((12,), name="right")
    dense, norm, relu = L.Dense(10), L.BatchNormalization(), L.ReLU()
    x = L.Subtract()([relu(norm(dense(left))), relu(norm(dense(right)))])
    return keras.Model([left, right], L.Dense(3)(x))


ARCHITECTURES = {
    build.__name__: build
    for build in (
        lenet, vgg, resnet, resnet_v2, mobilenet, mobilenet_v2, inception, densenet, squeezenet, gesture,
        keyword, xception, mlp, autoencoder, unet, two_inputs, nested, siamese,
    )
}


def squeeze_and_excite():
    """Channels weighted by a sigmoid: a product of activations."""
    inputs = keras.Input(IMAGE)
    x = _conv_bn_relu(inputs, 6)
    weights = L.Dense(6, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    return _classified(inputs, L.Multiply(name="excite")([x, weights]))


def transformer():
    """A block of attention."""
    inputs = keras.Input((8, 6))
    x = L.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = L.LayerNormalization(name="norm")(L.Add()([inputs, x]))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(x)))


def recurrent():
    """An LSTM."""
    return keras.Sequential([keras.Input((8, 6)), L.LSTM(4, name="lstm"), L.Dense(3)])


REFUSED = {squeeze_and_excite: "excite", transformer: "attention", recurrent: "lstm"}
