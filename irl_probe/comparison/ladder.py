"""Does a reward order a ladder of policies, from random to expert, as the truth does?

The order is that of mean discounted returns, each reward's with its own γ and tail, and the truth's with the same γ
(`metrics.discounted_returns` has the equation). Shaping γΦ(s′) − Φ(s), with Φ = 0 after an end, changes them by −Φ(s₀)
in each episode, which is the same for all policies but for the start states that they happen to have. So:

- a reward with a value u of its own (V of a recovered reward, −h of a distilled one) is measured less u(s₀), plus its
  mean over all episodes of the ladder: this cancels the shaping in every episode;
- where all policies start from the same states, in the same order, their episodes are compared in pairs.

The truth has no value of its own, and no policy is followed past a time limit: an episode that one cuts off counts as
repeated for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from irl_probe._types import Array, Bools, Floats
from irl_probe.metrics.bootstrap import Estimate
from irl_probe.metrics.ranking import discounted_returns, ranking_agreement
from irl_probe.results import ranking_group
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import Reward, check_values, evaluate_reward
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.transitions import Transitions

GAMMA = 0.99  # of rewards that have no γ, where none is given and the others do not share one
TIME_LIMIT = (
    "An episode that a time limit cuts off counts as repeated for ever: its last step leads to its first state."
)


def ranking(
    rewards: Mapping[str, Reward],
    ladder: Mapping[str, Transitions],
    truths: Mapping[str, Floats],
    *,
    confidence: float,
    resamples: int,
    seed: int,
    gamma: float | None = None,
) -> xr.Dataset:
    """The group /ranking: Kendall's τ_b between the policies' mean true and mean recovered returns.

    The discounted order comes first, and beside it the undiscounted one, of plain sums without a tail, which shaping
    changes. All rewards are measured on the same resamples of each policy's episodes. The group also has the figure of
    a constant reward, 1 at every step, under each reward's γ.

    Args:
        rewards: name → reward.
        ladder: policy → its whole episodes.
        truths: policy → the true reward of each step, (N,).
        confidence: of the intervals.
        resamples: of each policy's episodes.
        seed: of the resamples.
        gamma: γ of the rewards that have none of their own; None takes the one that all others share, else 0.99.
    """
    paired = _paired(list(ladder.values()))

    def agreement(true: Sequence[Floats], other: Sequence[Floats]) -> Estimate:
        return ranking_agreement(true, other, paired=paired, confidence=confidence, resamples=resamples, seed=seed)

    measured = {name: _Order(name, reward, ladder, _gamma(reward, rewards, gamma)) for name, reward in rewards.items()}
    of_truth = {g: [_returns(truths[p], t, g) for p, t in ladder.items()] for g in {m.gamma for m in measured.values()}}
    of_one = {g: [_returns(np.ones(len(t)), t, g) for t in ladder.values()] for g in of_truth}
    found = [agreement(of_truth[m.gamma], m.returns) for m in measured.values()]
    constant = {g: agreement(of_truth[g], of_one[g]).array for g in of_truth}
    plain = [_sums(truths[policy], steps) for policy, steps in ladder.items()]
    lengths = [steps.lengths.astype(np.float64) for steps in ladder.values()]
    return ranking_group(
        [estimate.array for estimate in found],
        [estimate.reason for estimate in found],
        [constant[m.gamma] for m in measured.values()],
        true=[_means(of_truth[m.gamma]) for m in measured.values()],
        recovered=[_means(m.returns) for m in measured.values()],
        gamma=[m.gamma for m in measured.values()],
        cut=[[float(_left(t, m.gamma).mean()) for t in ladder.values()] for m in measured.values()],
        undiscounted={
            "value": [agreement(plain, m.sums).array for m in measured.values()],
            "constant": agreement(plain, lengths).array,
            "true": _means(plain),
            "recovered": [_means(m.sums) for m in measured.values()],
        },
        rewards=list(rewards),
        policies=list(ladder),
    ).assign_attrs(confidence=confidence, resamples=resamples, seed=seed, paired=int(paired), time_limit=TIME_LIMIT)


class _Order:
    """A reward's discounted returns and plain sums of each policy's episodes."""

    def __init__(self, name: str, reward: Reward, ladder: Mapping[str, Transitions], gamma: float) -> None:
        self.gamma = gamma
        value, tail = _value(reward), reward.tail if isinstance(reward, RewardModel) else 0.0
        self.sums, self.returns, starts = [], [], []
        for policy, steps in ladder.items():
            label = f"{name} on {policy}"
            values = evaluate_reward(reward, steps, name=label)
            first, last = steps.starts, steps.starts + steps.lengths - 1
            if value is None:
                closed, u = _closed(reward, steps, label), np.zeros(len(first))
            else:
                u = value(steps.observations[first])
                closed = values[last] + gamma * (value(steps.next_observations[last]) - u)
            self.sums.append(_sums(values, steps))
            self.returns.append(_returns(values, steps, gamma, tail=tail, closed=closed) - u)
            starts.append(u)
        mean = float(np.concatenate(starts).mean())
        self.returns = [each + mean for each in self.returns]


def _gamma(reward: Reward, rewards: Mapping[str, Reward], given: float | None) -> float:
    """A reward's own γ; else the one given, the one that all others share, or the default."""
    if isinstance(reward, RewardModel):
        return reward.gamma
    shared = {other.gamma for other in rewards.values() if isinstance(other, RewardModel)}
    return given if given is not None else shared.pop() if len(shared) == 1 else GAMMA


def _value(reward: Reward) -> Callable[[Array], Floats] | None:
    """u(s), a value or potential that a reward knows of itself, so that r + γu(s′) − u(s) has no shaping left."""
    if isinstance(reward, RecoveredReward):
        return reward.v
    if isinstance(reward, DistilledReward) and reward.h is not None:
        return lambda observations: -reward.potential(observations)
    return None


def _closed(reward: Reward, steps: Transitions, name: str) -> Floats:
    """The reward of each episode's last step if it leads back to the episode's first state, (E,)."""
    first, last = steps.starts, steps.starts + steps.lengths - 1
    batch = (steps.observations[last], steps.actions[last], steps.observations[first], np.zeros(len(first), dtype=bool))
    return check_values(reward(*batch), len(first), name=f"{name}, at steps back to the first state")


def _returns(
    rewards: Floats, steps: Transitions, gamma: float, *, tail: float = 0.0, closed: Floats | None = None
) -> Floats:
    """Each episode's discounted return, (E,)."""
    return discounted_returns(rewards, steps.lengths, gamma, terminated=_ended(steps), tail=tail, closed=closed)


def _ended(steps: Transitions) -> Bools:
    """Whether the MDP ended after each episode, (E,)."""
    ended: Bools = steps.terminated[steps.starts + steps.lengths - 1]
    return ended


def _left(steps: Transitions, gamma: float) -> Floats:
    """γᵀ where a time limit cut an episode off after T steps, else 0, (E,)."""
    left: Floats = np.where(_ended(steps), 0.0, gamma**steps.lengths)
    return left


def _paired(ladder: Sequence[Transitions]) -> bool:
    """Whether the k-th episodes of all policies start in the same state."""
    first = ladder[0].observations[ladder[0].starts]
    return len(ladder) > 1 and all(np.array_equal(first, steps.observations[steps.starts]) for steps in ladder[1:])


def _sums(rewards: Floats, steps: Transitions) -> Floats:
    """Each episode's undiscounted sum, (E,)."""
    sums: Floats = np.add.reduceat(rewards, steps.starts)
    return sums


def _means(by_policy: Sequence[Floats]) -> list[float]:
    return [float(values.mean()) for values in by_policy]
