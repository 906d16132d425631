"""Networks evaluated in NumPy, without gradients.

Rewards are called on a few steps at a time, where torch's dispatch costs more than the arithmetic, and on millions of
steps, where each piece must fit into the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from irl_probe.softq.networks import LOG_STD_RANGES, EnsembleLinear, NetworkSpec, ObservationEncoder

Numbers = NDArray[np.floating[Any]]
PIECE = 1 << 19  # numbers in the widest layer's output: 2 MiB in float32


def piece_rows(*specs: NetworkSpec, per_row: int = 1) -> int:
    """Rows to pass through networks of these shapes at once, where each row makes `per_row` rows of network input.

    No layer's output then holds more than `PIECE` numbers (or those of one row). No more than about six such arrays
    are alive at once, so the memory is at most 24·PIECE bytes in float32, 12 MiB, for any number of rows.
    """
    widest = max(max(*spec.hidden, spec.input_width, spec.action_count or 1, 1) * spec.critics for spec in specs)
    return max(1, PIECE // (widest * per_row))


def pieces(count: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` that cover `count` rows; one empty slice where there are no rows."""
    return (slice(start, start + rows) for start in range(0, max(count, 1), rows))


class NumpyLayers:
    """The forward pass of linear layers, LayerNorm and activations in NumPy, on the memory of torch's own weights.

    It follows later in-place changes of the weights, as optimisers make them, but does not see replaced weights.
    Inputs are (..., in), or (rows, in) for several networks side by side, whose output is (networks, rows, out).
    """

    def __init__(self, layers: nn.Sequential) -> None:
        self._steps = [_step(layer) for layer in layers]
        self._last = len(layers) - 1

    def __call__(self, inputs: Numbers, scratch: Scratch | None = None) -> Numbers:
        """The last layer's output, in new memory; the outputs of the other layers go into `scratch`, if given."""
        x = inputs
        for place, step in enumerate(self._steps):
            x = step(x, scratch if place < self._last else None)
        return x


class Scratch:
    """Memory for the products of a pass through layers; the next pass uses it again.

    A large new array gets fresh pages from the system, and touching these for the first time costs as much as the
    product itself. Two arrays take turns, because each product reads the one before it. A scratch belongs to one call:
    threads must not share it.
    """

    def __init__(self) -> None:
        self._arrays: list[Numbers] = []

    @staticmethod
    def of(count: int, rows: int) -> Scratch | None:
        """A scratch for `count` rows in pieces of `rows`; None for a single piece, where it saves nothing."""
        return Scratch() if count > rows else None

    def product(self, x: Numbers, weight: Numbers) -> Numbers:
        """x @ weight."""
        shape = (*np.broadcast_shapes(x.shape[:-2], weight.shape[:-2]), x.shape[-2], weight.shape[-1])
        size, dtype = math.prod(shape), np.result_type(x, weight)
        oldest = self._arrays.pop(0) if len(self._arrays) == 2 else None
        if oldest is None or oldest.size < size or oldest.dtype != dtype:
            oldest = np.empty(size, dtype)
        self._arrays.append(oldest)
        return np.matmul(x, weight, out=oldest[:size].reshape(shape))


class NumpyEncoder:
    """`ObservationEncoder` in NumPy: (N, *shape) → (N, width) in the type of the network's weights.

    Raises ValueError for observations that the network does not take: a policy may be called in any environment.
    """

    def __init__(self, encoder: ObservationEncoder) -> None:
        self._count = encoder.count
        self._mean, self._scale, rest = array_of(encoder.mean), array_of(encoder.scale), array_of(encoder.rest)
        self._rest = rest if rest.any() else None

    def __call__(self, observations: NDArray[Any]) -> Numbers:
        if self._count is not None:
            if observations.ndim != 1 or not np.all((observations >= 0) & (observations < self._count)):
                raise ValueError(
                    f"The network takes N states of Discrete({self._count}), shape (N,); got an array of shape "
                    f"{observations.shape}{_range(observations)}. Use the environment that it was learned in."
                )
            encoded = np.zeros((len(observations), self._count), self._mean.dtype)
            encoded[np.arange(len(observations)), observations.astype(np.int64)] = 1
            return encoded
        if observations.size != len(observations) * self._mean.size:
            raise ValueError(
                f"The network takes N observations of {self._mean.size} numbers; got an array of shape "
                f"{observations.shape}. Use the environment that it was learned in."
            )
        flat = centred(observations.reshape(len(observations), self._mean.size), self._mean, self._rest)
        flat /= self._scale
        return flat


def centred(rows: NDArray[Any], mean: Numbers, rest: Numbers | None) -> Numbers:
    """New rows − mean − rest in the mean's type; numbers that this type may not hold are rounded after, not before."""
    wide = rows.dtype.itemsize > (4 if rows.dtype.kind == "f" else 2)
    flat: Numbers = rows.astype(np.float64 if wide else mean.dtype)
    flat -= mean
    if rest is not None:
        flat -= rest
    return flat.astype(mean.dtype, copy=False)


def _range(observations: NDArray[Any]) -> str:
    return f" with values from {observations.min()} to {observations.max()}" if observations.size else ""


def gaussian_moments(outputs: Numbers, log_std: str) -> tuple[Numbers, Numbers]:
    """Mean and log σ, (N, dim) each, from the output of a `GaussianPolicy`'s layers, (N, 2·dim)."""
    mean, raw = np.split(outputs, 2, axis=-1)
    low, high = LOG_STD_RANGES[log_std]
    if log_std == "clipped":
        return mean, np.clip(raw, low, high)
    return mean, low + 0.5 * (high - low) * (np.tanh(raw) + 1)


def squashed_draws(mean: Numbers, log_std: Numbers, noise: Numbers) -> tuple[Numbers, Numbers]:
    """tanh(μ + σ·noise), (K, N, dim), and its log density, (K, N); `networks.squashed_gaussian` in NumPy.

    Moments are (N, dim); all rows share the noise, (K, dim).
    """
    u = noise[:, None] * np.exp(log_std)
    u += mean
    actions = np.tanh(u)
    size = np.abs(u, out=u)  # log(1 − tanh²u) = 2(log 2 − |u| − log(1 + e^(−2|u|)))
    unsquashed = (-0.5 * np.square(noise) - 0.5 * math.log(2 * math.pi) - 2 * math.log(2)).sum(-1)
    return actions, unsquashed[:, None] - log_std.sum(-1) + 2 * (size + np.log1p(np.exp(-2 * size))).sum(-1)


def soft_values(table: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """α log Σ_a exp(Q(s, a)/α) of (N, A), (N,); the sum takes one action after the other, over all states at once."""
    columns = np.ascontiguousarray(table.T)
    largest = columns.max(axis=0)
    columns -= largest
    columns /= temperature
    total = np.exp(columns, out=columns).sum(axis=0)
    values: NDArray[np.float64] = largest + temperature * np.log(total)
    return values


def array_of(tensor: Tensor) -> Numbers:
    """The tensor's own memory as an array."""
    array: Numbers = tensor.detach().numpy()
    return array


def _step(layer: nn.Module) -> Callable[[Numbers, Scratch | None], Numbers]:
    """One layer; activations overwrite their input, which the layer before them made."""
    if isinstance(layer, nn.Linear | EnsembleLinear):
        return _product(layer)
    apply = _in_place(layer)
    return lambda x, _: apply(x)


def _product(layer: nn.Linear | EnsembleLinear) -> Callable[[Numbers, Scratch | None], Numbers]:
    weight = array_of(layer.weight)
    weight = weight.T if isinstance(layer, nn.Linear) else weight
    bias = None if layer.bias is None else array_of(layer.bias)
    # For a single matrix, dot is cheaper to call than matmul.
    product: Callable[[Numbers, Numbers], Numbers] = np.dot if isinstance(layer, nn.Linear) else np.matmul

    def apply(x: Numbers, scratch: Scratch | None) -> Numbers:
        y = product(x, weight) if scratch is None else scratch.product(x, weight)
        if bias is not None:
            y += bias
        return y

    return apply


def _in_place(layer: nn.Module) -> Callable[[Numbers], Numbers]:
    if isinstance(layer, nn.LayerNorm):
        return _layer_norm(array_of(layer.weight), array_of(layer.bias), layer.eps)
    if isinstance(layer, nn.ReLU):
        return _relu
    if isinstance(layer, nn.Tanh):
        return lambda x: np.tanh(x, out=x)
    if isinstance(layer, nn.ELU):
        return lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    raise TypeError(f"There is no NumPy forward pass for {type(layer).__name__}.")


def _relu(x: Numbers) -> Numbers:
    """max(x, 0) in place. torch would be faster on many numbers, but its threads do not survive a fork."""
    return np.maximum(x, 0, out=x)


def _layer_norm(weight: Numbers, bias: Numbers, eps: float) -> Callable[[Numbers], Numbers]:
    def apply(x: Numbers) -> Numbers:
        x -= x.mean(axis=-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + eps)
        x *= weight
        x += bias
        return x

    return apply
