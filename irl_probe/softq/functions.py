"""Soft Q-functions as users see them: NumPy in, NumPy out, with the value and policy that Q implies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from irl_probe._types import Array
from irl_probe.softq.in_numpy import (
    Numbers,
    NumpyEncoder,
    NumpyLayers,
    Scratch,
    gaussian_moments,
    piece_rows,
    pieces,
    soft_values,
    squashed_draws,
)
from irl_probe.softq.networks import ActionScale, ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec


def soft_value(q: Float[Tensor, "*batch actions"], temperature: float) -> Float[Tensor, "*batch"]:
    """Soft state value V(s) = α log Σ_a exp(Q(s, a)/α)  (Haarnoja et al. 2017, eq. 3; IQ-Learn §4.3).

    In reward units, like Q. As α → 0 it tends to max_a Q. The sum is not divided by the number of actions.

    Raises ValueError unless α > 0.
    """
    _check_temperature(temperature)
    if temperature == 1:
        return torch.logsumexp(q, dim=-1)
    return temperature * torch.logsumexp(q / temperature, dim=-1)


class SoftQ(Protocol):
    """What reward recovery needs of any soft Q-function: Q, V and the policy they share, with their γ and α.

    Observations are (N, *obs_shape) or (N,) when discrete, actions (N, *action_shape) in the environment's units.
    `modules` holds its torch modules by name, in the order in which they are saved.
    """

    spec: NetworkSpec
    gamma: float
    temperature: float

    @property
    def modules(self) -> dict[str, nn.Module]: ...
    def q(self, observations: Array, actions: Array) -> NDArray[np.float64]: ...
    def value(self, observations: Array) -> NDArray[np.float64]: ...
    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array: ...


class DiscreteSoftQ:
    """Q(s, ·) of a network over discrete actions; V(s) = α logsumexp(Q/α); π = softmax(Q/α)."""

    def __init__(self, network: DiscreteQ, *, gamma: float, temperature: float) -> None:
        self.network, self.spec = network, network.spec
        self.gamma, self.temperature = gamma, temperature
        self._encode, self._layers = NumpyEncoder(network.encoder), NumpyLayers(network.layers)

    def __reduce__(self) -> tuple[Any, ...]:  # a copy evaluates the weights of its own network
        return partial(DiscreteSoftQ, gamma=self.gamma, temperature=self.temperature), (self.network,)

    def __copy__(self) -> DiscreteSoftQ:
        return copy.deepcopy(self)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The Q-network under its saved name."""
        return {"q": self.network}

    def table(self, observations: Array) -> NDArray[np.float64]:
        """Q of every action, (N, A)."""
        count, rows = len(observations), piece_rows(self.spec)
        scratch = Scratch.of(count, rows)
        parts = [self._layers(self._encode(observations[piece]), scratch) for piece in pieces(count, rows)]
        return np.concatenate(parts, dtype=np.float64)

    def q(self, observations: Array, actions: Array) -> NDArray[np.float64]:
        """Q(s, a), (N,)."""
        return np.take_along_axis(self.table(observations), actions.astype(np.int64)[:, None], axis=1)[:, 0]

    def value(self, observations: Array) -> NDArray[np.float64]:
        """V(s) = α logsumexp(Q(s, ·)/α), (N,), the sum in float64."""
        return self._value(self.table(observations))

    def step_values(
        self, observations: Array, actions: Array, next_observations: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Q(s, a) and V(s′), (N,) each; a successor that equals the next row's observation is evaluated once."""
        count, size = len(observations), piece_rows(self.spec, per_row=2)
        scratch = Scratch.of(count, size)
        q, value = np.empty((2, count))
        for rows in pieces(count, size):
            o, o2 = observations[rows], next_observations[rows]
            new = np.ones(len(o), dtype=bool)
            np.any(o2[:-1] != o[1:], axis=tuple(range(1, o.ndim)), out=new[:-1])
            table = self._layers(self._encode(np.concatenate([o, o2[new]])), scratch).astype(np.float64)
            after = np.arange(1, len(o) + 1)
            after[new] = np.arange(len(o), len(table))
            q[rows] = np.take_along_axis(table[: len(o)], actions[rows].astype(np.int64)[:, None], axis=1)[:, 0]
            value[rows] = self._value(table)[after]
        return q, value

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """argmax_a Q, or a draw from softmax(Q/α) with `rng` (default: a fresh unseeded generator), (N,) int64."""
        q = self.table(observations)
        if not deterministic:
            q = q / self.temperature + (rng or np.random.default_rng()).gumbel(size=q.shape)
        return np.asarray(q.argmax(axis=1))

    def _value(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        _check_temperature(self.temperature)
        return soft_values(table, self.temperature)


class ContinuousSoftQ:
    """Q(s, a) of one or more critics (`reduce` = min or mean over them) with a squashed Gaussian policy.

    V(s) = E_{a~π}[Q(s, a) − α log π(a|s)] is the mean over `samples` actions. All states share the same standard normal
    draws (from `seed`), so V is a function of s: the same state has the same value in any batch. `value_error` gives
    the standard error of that mean, and `noise` (samples, dim) holds the draws.

    log π is a density of the actions scaled to [−1, 1]: in other units it shifts by a constant, and V with it.
    """

    def __init__(
        self,
        critic: ContinuousQ,
        actor: GaussianPolicy,
        *,
        gamma: float,
        temperature: float,
        reduce: str = "min",
        samples: int = 16,
        seed: int = 0,
    ) -> None:
        if reduce not in ("min", "mean"):
            raise ValueError(f"Critics are reduced by 'min' or 'mean'; got {reduce!r}.")
        if samples < 2:
            raise ValueError(f"A soft value with a standard error takes at least 2 action samples; got {samples}.")
        self.critic, self.actor, self.spec = critic, actor, critic.spec
        self.gamma, self.temperature = gamma, temperature
        self.reduce, self.samples, self.seed = reduce, samples, seed
        self.scale = ActionScale(critic.spec)
        noise = torch.randn(
            samples, len(self.scale.half), generator=torch.Generator().manual_seed(seed), dtype=torch.float32
        )
        self._encode, self._critics = NumpyEncoder(critic.encoder), NumpyLayers(critic.layers)
        self._encode_actor, self._actor = NumpyEncoder(actor.encoder), NumpyLayers(actor.layers)
        self.noise: Numbers = noise.to(next(actor.parameters()).dtype).numpy()

    def __reduce__(self) -> tuple[Any, ...]:  # a copy evaluates the weights of its own networks
        settings = {name: getattr(self, name) for name in ("gamma", "temperature", "reduce", "samples", "seed")}
        return partial(ContinuousSoftQ, **settings), (self.critic, self.actor)

    def __copy__(self) -> ContinuousSoftQ:
        return copy.deepcopy(self)

    def with_samples(self, samples: int) -> ContinuousSoftQ:
        """The same soft Q-function with another number of action samples for V; it shares the weights."""
        return ContinuousSoftQ(
            self.critic,
            self.actor,
            gamma=self.gamma,
            temperature=self.temperature,
            reduce=self.reduce,
            samples=samples,
            seed=self.seed,
        )

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Critic and actor under their saved names."""
        return {"critic": self.critic, "actor": self.actor}

    def q(self, observations: Array, actions: Array) -> NDArray[np.float64]:
        """Q(s, a), (N,); actions in the environment's units."""

        def q(rows: slice, scratch: Scratch | None) -> Numbers:
            return self._q(self._encode(observations[rows]), self.scale.to_unit(actions[rows]), scratch)

        return self._in_pieces(1, q, observations)

    def value(self, observations: Array) -> NDArray[np.float64]:
        """V(s), (N,): the mean over the action samples."""

        def mean(rows: slice, scratch: Scratch | None) -> Numbers:
            return np.asarray(self._sampled(observations[rows], scratch).mean(0))

        return self._in_pieces(self.samples, mean, observations)

    def value_error(self, observations: Array) -> NDArray[np.float64]:
        """Standard error of `value`, (N,)."""

        def error(rows: slice, scratch: Scratch | None) -> Numbers:
            return np.asarray(self._sampled(observations[rows], scratch).std(0, ddof=1) / self.samples**0.5)

        return self._in_pieces(self.samples, error, observations)

    def step_values(
        self, observations: Array, actions: Array, next_observations: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Q(s, a) and V(s′), (N,) each, by one pass through the critics."""

        def both(rows: slice, scratch: Scratch | None) -> Numbers:
            unit, o2 = self.scale.to_unit(actions[rows]), next_observations[rows]
            count = len(unit)
            drawn, log_density = self._draws(o2, scratch)
            encoded = self._encode(np.concatenate([observations[rows], o2]))
            states = np.concatenate([encoded[:count], np.tile(encoded[count:], (self.samples, 1))])
            q = self._q(states, np.concatenate([unit, drawn.reshape(-1, unit.shape[1])]), scratch)
            values = q[count:].reshape(self.samples, count) - self.temperature * log_density
            return np.stack([q[:count], values.mean(0)])

        q, value = self._in_pieces(self.samples + 1, both, observations)
        return q, value

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """tanh μ(s), or a draw from π, (N, dim) in the environment's units."""
        rng = rng or np.random.default_rng()

        def act(rows: slice, scratch: Scratch | None) -> Numbers:
            mean, log_std = self._moments(observations[rows], scratch)
            if not deterministic:
                mean = mean + np.exp(log_std) * rng.standard_normal(mean.shape).astype(mean.dtype)
            return np.tanh(mean).T

        return self.scale.to_env(self._in_pieces(1, act, observations).T)

    def _in_pieces(
        self, per_row: int, function: Callable[[slice, Scratch | None], Numbers], observations: Array
    ) -> NDArray[np.float64]:
        rows = piece_rows(self.spec, self.actor.spec, per_row=per_row)
        scratch = Scratch.of(len(observations), rows)
        parts = [function(piece, scratch) for piece in pieces(len(observations), rows)]
        joined: NDArray[np.float64] = np.concatenate(parts, axis=-1, dtype=np.float64)
        return joined

    def _q(self, states: Numbers, actions: Numbers, scratch: Scratch | None) -> Numbers:
        """Q of encoded observations and actions in [−1, 1], (N,): the minimum or mean over the critics."""
        q: Numbers = self._critics(np.concatenate([states, actions], axis=1), scratch)[..., 0]
        if self.spec.critics > 1:
            return np.asarray(q.min(0) if self.reduce == "min" else q.mean(0))
        return q

    def _moments(self, observations: Array, scratch: Scratch | None) -> tuple[Numbers, Numbers]:
        return gaussian_moments(self._actor(self._encode_actor(observations), scratch), self.actor.spec.log_std)

    def _draws(self, observations: Array, scratch: Scratch | None) -> tuple[Numbers, Numbers]:
        """The actions that the shared noise gives in each state, (K, N, dim), and their log densities, (K, N)."""
        return squashed_draws(*self._moments(observations, scratch), self.noise)

    def _sampled(self, observations: Array, scratch: Scratch | None) -> NDArray[np.float64]:
        """Q − α log π of each of the K actions, (K, N)."""
        drawn, log_density = self._draws(observations, scratch)
        states = np.tile(self._encode(observations), (self.samples, 1))
        q = self._q(states, drawn.reshape(-1, drawn.shape[-1]), scratch)
        return np.asarray(q.reshape(log_density.shape) - self.temperature * log_density, dtype=np.float64)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"The temperature must be positive; got {temperature}. For a greedy value use q.max(-1).")
