"""The policy that csil clones: stationary random features under a linear Gaussian head, so that it has a prior."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from irl_probe.learn.optimizer import AdamW
from irl_probe.learn.replay import Replay
from irl_probe.softq import NetworkSpec, squashed_log_density
from irl_probe.softq.networks import LOG_STD_RANGES, mlp

FREQUENCIES = 256  # random frequencies, each with a cosine and a sine
BOTTLENECK = 12  # outputs of the network under the features, as in Watson et al. 2023
LEARNING_RATE = 1e-3
PRIOR_STD = math.pi / math.sqrt(12)  # tanh(u), u ~ N(0, π²/12): of all tanh(N(0, σ²)) the nearest to a uniform action
WEIGHT_STD = (2.0, 1.0)  # of the prior of the mean, and of the log σ before its squashing, in any state


class StationaryPolicy(nn.Module):
    """a = tanh(u), u ~ N(μ(s), σ(s)²), where μ and log σ are linear in stationary features  (after Watson et al. 2023).

    The features are [cos ωᵀz, sin ωᵀz]/√F with z = [s/√width, h(s)], h a network, and fixed ω ~ N(0, I): two states
    have the inner product exp(−‖z − z′‖²/2) up to O(F^-1/2)  (Rahimi and Recht 2007). As s is part of z, it vanishes
    for states far apart, whatever h is. The weights are 0 outside the span of the data's features, so far from the data
    μ → 0 and σ → π/√12: the prior, whose log density differs from that of a uniform action by .014 nats a dimension
    on average. σ lies within the bounds of `GaussianPolicy`, which can therefore be this policy.

    Their HETSTAT policy has σ² = fᵀLLᵀf and learned ω, and no s in z, so that its network decides what is far.
    """

    frequencies: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.action_low is None:
            raise ValueError("A StationaryPolicy needs a Box action space.")
        width = spec.input_width
        self.trunk = mlp(width, BOTTLENECK, spec)
        drawn = torch.randn(width + BOTTLENECK, FREQUENCIES, dtype=torch.float32)
        drawn[:width] /= math.sqrt(width)
        self.register_buffer("frequencies", drawn)
        self.head = nn.Linear(2 * FREQUENCIES, 2 * len(spec.action_low), bias=False, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        low, high = LOG_STD_RANGES["squashed"]
        self._shift = math.atanh(2 * (math.log(PRIOR_STD) - low) / (high - low) - 1)

    def features(self, states: Float[Tensor, "batch width"]) -> Float[Tensor, "batch features"]:
        """Features of encoded states, of norm 1."""
        phase = torch.cat([states, self.trunk(states)], dim=-1) @ self.frequencies
        return torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1) / math.sqrt(FREQUENCIES)

    def of_encoded(
        self, states: Float[Tensor, "batch width"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"]]:
        """Mean and log standard deviation of u, for encoded observations."""
        mean, raw = self.head(self.features(states)).chunk(2, dim=-1)
        low, high = LOG_STD_RANGES["squashed"]
        return mean, low + 0.5 * (high - low) * (torch.tanh(raw + self._shift) + 1)

    def weight_penalty(self) -> Float[Tensor, ""]:
        """−log p(weights) of their Gaussian prior, without its constant; it keeps the prior where there is no data."""
        mean, raw = self.head.weight.chunk(2)
        return 0.5 * (mean.square().sum() / WEIGHT_STD[0] ** 2 + raw.square().sum() / WEIGHT_STD[1] ** 2)

    def fit(self, expert: Replay, updates: int, batch_size: int, generator: torch.Generator) -> None:
        """Maximise the posterior of the weights given the expert's steps, by `updates` updates of annealed AdamW."""
        optimizer = AdamW(list(self.parameters()), learning_rate=LEARNING_RATE)
        for update in range(updates):
            optimizer.learning_rate = LEARNING_RATE * (1 - update / updates)
            batch = expert.sample(batch_size, generator)
            log_density = squashed_log_density(*self.of_encoded(batch.states), batch.actions)
            optimizer.step(self.weight_penalty() / len(expert) - log_density.mean())
