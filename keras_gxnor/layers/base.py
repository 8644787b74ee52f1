"""What all layers with a discrete kernel share: making, reading, saving and refusing."""

import keras
import numpy as np

from keras_gxnor import kernels, packing, quantizers, spaces, storage
from keras_gxnor.errors import InvalidArgumentError


class DiscreteKernel:
    """Mixin for a Keras layer whose kernels are int8 `DiscreteVariable`s.

    The layer class lists it before its Keras base, calls `make_kernel` in `build`, and says in
    `linear(inputs, *kernels)` what it computes with its kernels and in `finish(x)` what follows.
    The Keras base keeps its arguments, shapes and checks.

    Attributes:
        KERNELS: {kernel: prefix of Keras' arguments for it}, in the order of `linear`; of most
            layers `kernel` alone, with `kernel_initializer` and so on.
        bias: The float bias, or None.
    """

    KERNELS = {"kernel": "kernel"}
    bias = None

    def __init__(self, *args, kernel_space, kernel_storage="int8", **kwargs):
        name = kwargs.get("name") or type(self).__name__
        for refused in ("lora_rank", "lora_alpha", "quantization_config"):
            if kwargs.pop(refused, None) is not None:
                raise InvalidArgumentError(
                    f"Layer `{name}` has a discrete kernel, which knows no `{refused}`. "
                    "Remove the argument."
                )
        for refused in self._constraints():
            if kwargs.get(refused) is not None:
                raise InvalidArgumentError(
                    f"Layer `{name}`: a discrete kernel is constrained to its space already, and a "
                    f"Keras constraint would truncate it to zeros. Remove `{refused}`. "
                    f"Received: {refused}={kwargs[refused]!r}"
                )
        if "activation" in kwargs:
            kwargs["activation"] = _activation(kwargs["activation"])
        super().__init__(*args, **kwargs)
        self.kernel_space = _space(kernel_space, name)
        self.kernel_storage = kernel_storage
        self._variable = storage.variable_class(kernel_storage, self.kernel_space, name)
        if isinstance(self.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise InvalidArgumentError(
                f"Layer `{name}` is discrete already. Use a float dtype policy. "
                f"Received: dtype={self.dtype_policy.name!r}"
            )

    def make_kernel(self, shape, name="kernel"):
        """Creates one kernel variable; call it from `build` for each of `KERNELS`."""
        initializer = getattr(self, f"{self.KERNELS[name]}_initializer")
        draw = kernels.initial_codes(initializer, self.kernel_space)
        variable = self._variable(self.kernel_space, draw, shape, name=name)
        setattr(self, f"_{name}", variable)
        # Set after tracking, as `add_weight` does: a frozen layer can be thawed again.
        variable.trainable = self.trainable

    def make_bias(self, size):
        """Creates the float bias of shape (size,), or None; call it from `build`."""
        if not self.use_bias:
            return None
        return self.add_weight(
            name="bias",
            shape=(size,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def call(self, inputs):
        """Returns finish(linear(inputs, *kernels))."""
        return self.finish(self.linear(inputs, *self.read_kernels()))

    def finish(self, x):
        """What follows the sums: bias and activation."""
        if self.bias is not None:
            x = keras.ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)

    def kernel_variable(self, name="kernel"):
        """The variable of one kernel: int8 codes, however stored.

        Raises:
            AttributeError: if the layer is not built, or has no such kernel.
        """
        if name not in self.KERNELS:
            raise AttributeError(f"Layer `{self.name}` has no `{name}` but {list(self.KERNELS)}.")
        if not self.built:
            raise AttributeError(f"You must build the layer before accessing `{name}`.")
        return getattr(self, f"_{name}")

    def read_kernels(self) -> list:
        """The kernels as values in the compute dtype; adds their regularization losses."""
        read = []
        for name, prefix in self.KERNELS.items():
            variable = self.kernel_variable(name)
            read.append(kernels.read(variable, self.compute_dtype))
            regularizer = getattr(self, f"{prefix}_regularizer")
            if regularizer is not None:  # as Keras', of float32 whatever the compute dtype
                self.add_loss(regularizer(kernels.read(variable, self.variable_dtype)))
        return read

    @property
    def kernel(self):
        """The kernel variable: int8 codes, however stored; a weight is code * kernel_space.scale."""
        return self.kernel_variable()

    def codes(self, name="kernel") -> np.ndarray:
        """The codes the network computes with (int8): of a graded kernel, the ternary ones."""
        return self.kernel_space.read(self.kernel_variable(name).numpy())

    def kernel_codes(self) -> np.ndarray:
        """The `codes` of a layer's only kernel."""
        (name,) = self.KERNELS
        return self.codes(name)

    def save_own_variables(self, store):
        """Writes the kernels packed (base 3: 1.6 bits a trit) under tags, and the bias."""
        if not self.built:
            return
        for name in self.KERNELS:
            codes = np.asarray(self.kernel_variable(name).numpy())
            tag = f"{name}.{self._form()}"
            store[tag] = packing.pack_trits(codes) if self._form() == "base3" else codes
        if self.bias is not None:
            store["bias"] = self.bias.numpy()

    def load_own_variables(self, store):
        """Inverse of `save_own_variables`.

        Raises:
            InvalidArgumentError: if the file holds no kernels of this layer's space.
        """
        if not self.built:
            return
        tags = {name: f"{name}.{self._form()}" for name in self.KERNELS}
        expected = {*tags.values(), *(["bias"] if self.bias is not None else [])}
        if set(store.keys()) != expected:
            raise InvalidArgumentError(
                f"Layer `{self.name}` expected the weights {sorted(expected)}. "
                f"Received: {sorted(store.keys())}. Load weights that were saved from a "
                f"{type(self).__name__} with the same `kernel_space` and `use_bias`."
            )
        loaded = {name: np.asarray(store[tag]) for name, tag in tags.items()}
        if self._form() == "base3":
            shapes = {name: tuple(self.kernel_variable(name).shape) for name in tags}
            loaded = {name: packing.unpack_trits(packed, shapes[name]) for name, packed in loaded.items()}
        for name, codes in loaded.items():
            self.kernel_variable(name).assign(codes)
        if self.bias is not None:
            self.bias.assign(np.asarray(store["bias"]))

    def _form(self):
        if self.kernel_space.max_code == 1:
            return "base3"
        return "int8" if self.kernel_space == self.kernel_space.readout else "graded"

    def _constraints(self):
        return [f"{prefix}_constraint" for prefix in self.KERNELS.values()]

    def get_config(self):
        """Arguments that rebuild this layer."""
        config = super().get_config()
        for refused in ("quantization_config", *self._constraints()):
            config.pop(refused, None)
        return {
            **config,
            "kernel_space": spaces.serialize(self.kernel_space),
            "kernel_storage": self.kernel_storage,
        }

    @classmethod
    def from_config(cls, config):
        """Inverse of `get_config`."""
        return cls(**config)

    def enable_lora(self, *args, **kwargs):
        """Refused: LoRA adds floats to a kernel."""
        raise InvalidArgumentError(f"Layer `{self.name}` has a discrete kernel: LoRA cannot be enabled.")

    def quantize(self, *args, **kwargs):
        """Refused: the kernel is discrete already."""
        raise InvalidArgumentError(
            f"Layer `{self.name}` has a discrete kernel already: it cannot be quantized again. "
            "Export the model with keras_gxnor.converters.convert instead."
        )


def _space(identifier, name):
    try:
        return spaces.get(identifier)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"Layer `{name}`: {error}") from None


def _activation(identifier):
    """A quantizer if `identifier` names one, else whatever Keras makes of it."""
    if isinstance(identifier, keras.layers.Layer) or quantizers.is_name(identifier):
        return quantizers.get(identifier)
    return identifier
