"""A long short-term memory in numpy, forward and backward through time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .layers import Array, Layer, Shape, xavier


def sigmoid(values: Array) -> Array:
    """``1 / (1 + exp(-x))`` by the hyperbolic tangent, which overflows for no input."""
    half = values.dtype.type(0.5)
    outputs: Array = np.tanh(values * half)
    outputs += values.dtype.type(1)
    outputs *= half
    return outputs


class Lstm(Layer):
    """Reads ``(steps, values, n)`` and gives the output of the last step, ``(units, n)``.

    ``units`` is what TensorFlow calls ``num_units``: the size of the output and of the state. As in Keras the gates
    stand in the order input, forget, cell, output, there is one bias for each, and that of the forget gate starts at
    1. ``kernel`` is ``(4 * units, values)``, ``recurrent`` ``(4 * units, units)``, ``bias`` ``(4 * units,)``: Keras's
    arrays transposed. Parameters: ``4 * (units * (values + units) + units)``; PyTorch, which adds two biases for each
    gate, counts ``4 * units`` more.

    Attributes
    ----------
    gate_squares, gates_finite
        After `forward` the sum of squares of all values that went into the gates, and whether all of them were
        finite, ``(n,)`` each. A saturated gate hides an infinity, so that the output does not show it.
    """

    weighted = True

    def __init__(self, name: str, values: int, units: int, random: np.random.Generator, dtype: Any = np.float32):
        super().__init__(name)
        self.units = units
        bias = np.zeros(4 * units, dtype)
        bias[units : 2 * units] = 1
        self.params = {
            "kernel": xavier(random, (4 * units, values), values + units, dtype),
            "recurrent": xavier(random, (4 * units, units), values + units, dtype),
            "bias": bias,
        }
        self.gate_squares: Array = np.zeros(0, dtype)
        self.gates_finite = np.ones(0, np.bool_)

    def shape_after(self, shape: Shape) -> Shape:
        """See `Layer.shape_after`."""
        return (self.units,)

    def forward(self, inputs: Array, training: bool = False) -> Array:
        """See `Layer.forward`."""
        units, n = self.units, inputs.shape[-1]
        state, output = np.zeros((units, n), inputs.dtype), np.zeros((units, n), inputs.dtype)
        self.gate_squares, self.gates_finite = np.zeros(n, inputs.dtype), np.ones(n, np.bool_)
        self._inputs, self._steps = inputs, []
        driven = np.matmul(self.params["kernel"], inputs)
        driven += self.params["bias"][:, None]
        for step in driven:
            before = step
            before += self.params["recurrent"] @ output
            squares = np.einsum("gn,gn->n", before, before)
            if not np.isfinite(squares.sum()):
                self.gates_finite &= np.isfinite(before).all(axis=0)
            self.gate_squares += squares
            let_in, kept = sigmoid(before[:units]), sigmoid(before[units : 2 * units])
            candidate, let_out = np.tanh(before[2 * units : 3 * units]), sigmoid(before[3 * units :])
            earlier, last = state, output
            state = kept * earlier + let_in * candidate
            squashed = np.tanh(state)
            output = let_out * squashed
            if training:
                self._steps.append((last, earlier, let_in, kept, candidate, let_out, squashed))
        return output

    def backward(self, above: Array) -> Array:
        """See `Layer.backward`."""
        kernel, recurrent, one = self.params["kernel"], self.params["recurrent"], above.dtype.type(1)
        self.grads = {name: np.zeros_like(values) for name, values in self.params.items()}
        below = np.zeros_like(self._inputs)
        of_output, of_state = above, np.zeros_like(above)
        for number in range(len(self._steps) - 1, -1, -1):
            last, earlier, let_in, kept, candidate, let_out, squashed = self._steps[number]
            of_state = of_state + of_output * let_out * (one - squashed * squashed)
            gates = np.concatenate(
                [
                    of_state * candidate * let_in * (one - let_in),
                    of_state * earlier * kept * (one - kept),
                    of_state * let_in * (one - candidate * candidate),
                    of_output * squashed * let_out * (one - let_out),
                ]
            )
            self.grads["kernel"] += gates @ self._inputs[number].T
            self.grads["recurrent"] += gates @ last.T
            self.grads["bias"] += gates.sum(axis=1)
            below[number] = kernel.T @ gates
            of_output = recurrent.T @ gates
            of_state = of_state * kept
        return below
