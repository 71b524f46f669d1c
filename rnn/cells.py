"""Recurrent cells as article 7888 writes them, for `keras.layers.RNN` (https://kexue.fm/archives/7888).

Each gate has weights W, U and b of its own, and a(h) is short for W x_t + U h + b:

    simple         h_t = tanh(a(h_{t-1})), or ReLU instead of tanh
    LSTM           f, i, o = sigmoid(a(h_{t-1})),  g = tanh(a(h_{t-1}))
                   c_t = f c_{t-1} + i g,          h_t = o tanh(c_t)
    GRU            z, r = sigmoid(a(h_{t-1})),     g = tanh(a(r h_{t-1}))
                   h_t = (1 - z) h_{t-1} + z g
    reset output   z, r = sigmoid(a(h_{t-1})),     g = tanh(a(h_{t-1}))
                   c_t = (1 - z) c_{t-1} + z g,    h_t = r c_t

The last one is the article's proposal: a GRU whose reset gate acts on the output. `rnn/jacobians.py` has derivatives.
In Keras's own GRU the gate z is 1 minus this one, and by default r multiplies the product with U (`reset_after`).
"""

import keras
from keras import ops

PACKAGE = "kexue"


class Cell(keras.layers.Layer):
    """Base of the cells. It holds W, U and b of all gates side by side.

    Args:
        units: int, n, the length of h.
        forget_bias: float, the first bias of the gate that keeps the memory: of f, or of 1 - z (default 0, which keeps
            one half per step; 1 keeps 73 %). The simple cell has no such gate.
        recurrent_scale: float, each U begins as an orthogonal matrix times this (default 1).

    Raises:
        ValueError: if `units` is below 1.
    """

    gates = ""  # one letter for each, in the order of the columns
    state_count = 1  # h, or h and c

    def __init__(self, units, forget_bias=0.0, recurrent_scale=1.0, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1. Received: units={units}")
        self.units, self.forget_bias, self.recurrent_scale = units, forget_bias, recurrent_scale
        self.state_size = [units] * self.state_count
        self.output_size = units

    def build(self, input_shape):
        n, count = self.units, len(self.gates)
        blocks = lambda initializers: (
            lambda shape, dtype: ops.concatenate(
                [initializer((shape[0], n), dtype) for initializer in initializers], -1
            )
        )
        glorot = [keras.initializers.GlorotUniform() for _ in self.gates]
        orthogonal = [keras.initializers.Orthogonal(self.recurrent_scale) for _ in self.gates]
        first = {"f": self.forget_bias, "z": -self.forget_bias}
        first_bias = lambda shape, dtype: ops.cast(ops.repeat([first.get(gate, 0.0) for gate in self.gates], n), dtype)
        self.kernel = self.add_weight((input_shape[-1], count * n), blocks(glorot), name="kernel")
        self.recurrent_kernel = self.add_weight((n, count * n), blocks(orthogonal), name="recurrent_kernel")
        self.bias = self.add_weight((count * n,), first_bias, name="bias")

    def affine(self, gates, x, h):
        """Return W x + U h + b of some neighbouring gates, each (batch, n), in a list."""
        first = self.gates.index(gates) * self.units
        columns = slice(first, first + len(gates) * self.units)
        a = ops.matmul(x, self.kernel[:, columns]) + ops.matmul(h, self.recurrent_kernel[:, columns])
        return ops.split(a + self.bias[columns], len(gates), -1)

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in self.state_size]

    def get_config(self):
        settings = {name: getattr(self, name) for name in ("units", "forget_bias", "recurrent_scale")}
        return super().get_config() | settings


@keras.saving.register_keras_serializable(PACKAGE)
class SimpleCell(Cell):
    """The simple recurrent cell.

    Args:
        units: int, the length of h.
        activation: "tanh" (default) or "relu".
        **kwargs: see `Cell`.
    """

    gates = "h"

    def __init__(self, units, activation="tanh", **kwargs):
        super().__init__(units, **kwargs)
        self.activation = activation

    def call(self, x, states, training=False):
        (h,) = states
        (a,) = self.affine("h", x, h)
        h = {"tanh": ops.tanh, "relu": ops.relu}[self.activation](a)
        return h, [h]

    def get_config(self):
        return super().get_config() | {"activation": self.activation}


@keras.saving.register_keras_serializable(PACKAGE)
class LSTMCell(Cell):
    """The LSTM cell. Its states are h and c, in Keras's order. See `Cell` for the arguments."""

    gates = "fiog"
    state_count = 2

    def call(self, x, states, training=False):
        h, c = states
        f, i, o, g = self.affine("fiog", x, h)
        f, i, o, g = ops.sigmoid(f), ops.sigmoid(i), ops.sigmoid(o), ops.tanh(g)
        c = f * c + i * g
        h = o * ops.tanh(c)
        return h, [h, c]


@keras.saving.register_keras_serializable(PACKAGE)
class GRUCell(Cell):
    """The GRU cell. See `Cell` for the arguments."""

    gates = "zrg"

    def call(self, x, states, training=False):
        (h,) = states
        z, r = map(ops.sigmoid, self.affine("zr", x, h))
        (g,) = map(ops.tanh, self.affine("g", x, r * h))
        h = (1 - z) * h + z * g
        return h, [h]


@keras.saving.register_keras_serializable(PACKAGE)
class ResetOutputCell(Cell):
    """The article's proposal: a GRU whose reset gate acts on the output. Its states are h and c.

    See `Cell` for the arguments.
    """

    gates = "zrg"
    state_count = 2

    def call(self, x, states, training=False):
        h, c = states
        z, r, g = self.affine("zrg", x, h)
        z, r, g = ops.sigmoid(z), ops.sigmoid(r), ops.tanh(g)
        c = (1 - z) * c + z * g
        h = r * c
        return h, [h, c]
