"""What all layers with a discrete kernel share: making, reading, saving and refusing."""

import keras
import numpy as np

from keras_gxnor import kernels, packing, quantizers, spaces, storage
from keras_gxnor.errors import InvalidArgumentError


class DiscreteKernel:
    """Mixin for a Keras layer whose kernel is an int8 `DiscreteVariable`.

    The layer class lists it before its Keras base and calls `make_kernel` in `build`
    and `read_kernel` in `call`. The Keras base keeps its arguments, shapes and checks.
    """

    def __init__(
        self,
        *args,
        kernel_space,
        kernel_storage="int8",
        activation=None,
        kernel_constraint=None,
        **kwargs,
    ):
        name = kwargs.get("name") or type(self).__name__
        for refused in ("lora_rank", "lora_alpha", "quantization_config"):
            if kwargs.pop(refused, None) is not None:
                raise InvalidArgumentError(
                    f"Layer `{name}` has a discrete kernel, which knows no `{refused}`. "
                    "Remove the argument."
                )
        if kernel_constraint is not None:
            raise InvalidArgumentError(
                f"Layer `{name}`: a discrete kernel is constrained to its space already, and a "
                "Keras constraint would truncate it to zeros. Remove `kernel_constraint`. "
                f"Received: kernel_constraint={kernel_constraint!r}"
            )
        super().__init__(*args, activation=_activation(activation), **kwargs)
        self.kernel_space = _space(kernel_space, name)
        self.kernel_storage = kernel_storage
        self._variable = storage.variable_class(kernel_storage, self.kernel_space, name)
        if isinstance(self.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
            raise InvalidArgumentError(
                f"Layer `{name}` is discrete already. Use a float dtype policy. "
                f"Received: dtype={self.dtype_policy.name!r}"
            )

    def make_kernel(self, shape):
        """Creates the kernel variable; call it from `build`."""
        draw = kernels.initial_codes(self.kernel_initializer, self.kernel_space)
        self._kernel = self._variable(self.kernel_space, draw, shape, name="kernel")
        # Set after tracking, as `add_weight` does: a frozen layer can be thawed again.
        self._kernel.trainable = self.trainable

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

    def read_kernel(self):
        """The kernel as values in the compute dtype; adds the regularization loss."""
        values = kernels.read(self._kernel, self.compute_dtype)
        if self.kernel_regularizer is not None:
            self.add_loss(self.kernel_regularizer(values))
        return values

    @property
    def kernel(self):
        """The kernel variable: int8 codes, however stored; a weight is code * kernel_space.scale."""
        if not self.built:
            raise AttributeError("You must build the layer before accessing `kernel`.")
        return self._kernel

    def kernel_codes(self) -> np.ndarray:
        """The codes the network computes with (int8): of a graded kernel, the ternary ones."""
        return self.kernel_space.read(self.kernel.numpy())

    def save_own_variables(self, store):
        """Writes the kernel packed (base 3: 1.6 bits a trit) under a tag, and the bias."""
        if not self.built:
            return
        codes = np.asarray(self._kernel.numpy())
        tag = self._kernel_tag()
        store[tag] = packing.pack_trits(codes) if tag == "kernel.base3" else codes
        if self.bias is not None:
            store["bias"] = self.bias.numpy()

    def load_own_variables(self, store):
        """Inverse of `save_own_variables`.

        Raises:
            InvalidArgumentError: if the file holds no kernel of this layer's space.
        """
        if not self.built:
            return
        tag, expected = self._kernel_tag(), {"bias"} if self.bias is not None else set()
        if set(store.keys()) != expected | {tag}:
            raise InvalidArgumentError(
                f"Layer `{self.name}` expected the weights {sorted(expected | {tag})}. "
                f"Received: {sorted(store.keys())}. Load weights that were saved from a "
                f"{type(self).__name__} with the same `kernel_space` and `use_bias`."
            )
        codes = np.asarray(store[tag])
        if tag == "kernel.base3":
            codes = packing.unpack_trits(codes, tuple(self._kernel.shape))
        self._kernel.assign(codes)
        if self.bias is not None:
            self.bias.assign(np.asarray(store["bias"]))

    def _kernel_tag(self):
        if self.kernel_space.max_code == 1:
            return "kernel.base3"
        return "kernel.int8" if self.kernel_space == self.kernel_space.readout else "kernel.graded"

    def get_config(self):
        """Arguments that rebuild this layer."""
        config = super().get_config()
        config.pop("quantization_config", None)
        config.pop("kernel_constraint", None)
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
