"""Finding the layers of any Keras model: nested, wrapped or held by a subclass."""

import keras


def walk(model) -> list:
    """The model and all layers inside it, each once, holders first.

    Example:

    >>> from keras_gxnor.callbacks.layers import walk
    >>> inner = keras.Sequential([keras.layers.ReLU(name="relu")], name="inner")
    >>> [layer.name for layer in walk(keras.Sequential([inner], name="outer"))]
    ['outer', 'inner', 'relu']
    """
    found = {}

    def visit(value):
        if id(value) in found:
            return
        if isinstance(value, keras.layers.Layer):
            found[id(value)] = value
            for held in [getattr(value, "layers", None), *vars(value).values()]:
                visit(held)
        elif isinstance(value, (list, tuple)):
            for item in value:
                visit(item)
        elif isinstance(value, dict):
            visit(list(value.values()))

    visit(model)
    return list(found.values())


def labels(names) -> list[str]:
    """The names, numbered where they repeat.

    Example:

    >>> from keras_gxnor.callbacks.layers import labels
    >>> labels(["conv", "dense", "conv"])
    ['conv', 'dense', 'conv#2']
    """
    made, seen = [], {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return made
