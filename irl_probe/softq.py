"""Soft Q-functions as users hold them: NumPy in, NumPy out, with the value and policy that Q implies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from irl_probe.networks import ActionScale, ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec, squashed_gaussian

Array = NDArray[np.generic]
CHUNK = 16_384  # rows evaluated at once, so that a million of them fit in memory


def soft_value(q: Float[Tensor, "*batch actions"], temperature: float) -> Float[Tensor, "*batch"]:
    """Soft state value V(s) = α log Σ_a exp(Q(s, a)/α)  (Haarnoja et al. 2017, eq. 3; IQ-Learn §4.3).

    In reward units, like Q. As α → 0 it tends to max_a Q. The sum is not divided by the number of actions.

    Raises ValueError unless α > 0.
    """
    if not temperature > 0:
        raise ValueError(f"The temperature must be positive; got {temperature}. For a greedy value use q.max(-1).")
    if temperature == 1:
        return torch.logsumexp(q, dim=-1)
    return temperature * torch.logsumexp(q / temperature, dim=-1)


class SoftQ(Protocol):
    """What reward recovery needs of any soft Q-function: Q, V and the policy they share, with their γ and α.

    Observations are (N, *obs_shape) or (N,) when discrete, actions (N, *action_shape) in the environment's units.
    `modules` names the torch modules that make it up, in the order in which they are saved.
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


def _chunked(function: Callable[..., Tensor], *arrays: Array) -> NDArray[np.float64]:
    """`function` on chunks of rows, without gradients; the outputs in float64, one after the other."""
    rows = len(arrays[0])
    with torch.no_grad():
        parts = [
            function(*(torch.as_tensor(a[i : i + CHUNK]) for a in arrays)).double().numpy()
            for i in range(0, max(rows, 1), CHUNK)
        ]
    return np.concatenate(parts)


class DiscreteSoftQ:
    """Q(s, ·) of a network over discrete actions; V(s) = α logsumexp(Q/α); π = softmax(Q/α)."""

    def __init__(self, network: DiscreteQ, *, gamma: float, temperature: float) -> None:
        self.network, self.spec = network, network.spec
        self.gamma, self.temperature = gamma, temperature

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The Q-network under its saved name."""
        return {"q": self.network}

    def table(self, observations: Array) -> NDArray[np.float64]:
        """Q of every action, (N, A)."""
        return _chunked(self.network, observations)

    def q(self, observations: Array, actions: Array) -> NDArray[np.float64]:
        """Q(s, a), (N,)."""
        return np.take_along_axis(self.table(observations), actions.astype(np.int64)[:, None], axis=1)[:, 0]

    def value(self, observations: Array) -> NDArray[np.float64]:
        """V(s) = α logsumexp(Q(s, ·)/α), (N,), the sum in float64."""
        return _chunked(lambda o: soft_value(self.network(o).double(), self.temperature), observations)

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """argmax_a Q, or a draw from softmax(Q/α) with `rng` (default: a fresh unseeded generator), (N,) int64."""
        q = self.table(observations)
        if not deterministic:
            q = q / self.temperature + (rng or np.random.default_rng()).gumbel(size=q.shape)
        return np.asarray(q.argmax(axis=1))


class ContinuousSoftQ:
    """Q(s, a) of one or more critics (`reduce` = min or mean over them) with a squashed Gaussian policy.

    V(s) = E_{a~π}[Q(s, a) − α log π(a|s)] by `samples` actions. All states share the same standard normal draws (from
    `seed`), so that V is a function of s: the same state has the same value in any batch. `value_error` gives the
    standard error of that mean.

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
        self._noise = torch.randn(samples, len(self.scale.half), generator=torch.Generator().manual_seed(seed))

    def with_samples(self, samples: int) -> ContinuousSoftQ:
        """The same soft Q-function, its V by another number of action samples; the weights are shared."""
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
        return _chunked(self._reduced, observations, self.scale.to_unit(np.asarray(actions)))

    def value(self, observations: Array) -> NDArray[np.float64]:
        """V(s), (N,): the mean over the action samples."""
        return _chunked(lambda o: self._sampled_values(o).mean(0), observations)

    def value_error(self, observations: Array) -> NDArray[np.float64]:
        """Standard error of `value`, (N,)."""
        return _chunked(lambda o: self._sampled_values(o).std(0) / self.samples**0.5, observations)

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """tanh μ(s), or a draw from π, (N, dim) in the environment's units."""

        def act(o: Tensor) -> Tensor:
            mean, log_std = self.actor(o)
            if not deterministic:
                noise = (rng or np.random.default_rng()).standard_normal(mean.shape)
                mean = mean + log_std.exp() * torch.as_tensor(noise, dtype=mean.dtype)
            return torch.tanh(mean)

        return self.scale.to_env(_chunked(act, observations))

    def _reduced(self, observations: Tensor, actions: Tensor) -> Tensor:
        q: Tensor = self.critic(observations, actions)
        return q.amin(0) if self.reduce == "min" else q.mean(0)

    def _sampled_values(self, observations: Tensor) -> Float[Tensor, "samples batch"]:
        rows = len(observations)
        mean, log_std = self.actor(observations)
        noise = self._noise.repeat_interleave(rows, dim=0).to(mean.dtype)
        from_each = observations.repeat(self.samples, *[1] * (observations.ndim - 1))
        actions, log_density = squashed_gaussian(mean.repeat(self.samples, 1), log_std.repeat(self.samples, 1), noise)
        values = self._reduced(from_each, actions) - self.temperature * log_density
        return values.view(self.samples, rows)
