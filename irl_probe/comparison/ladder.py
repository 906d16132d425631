"""Does a reward order a ladder of policies, from random to expert, as the truth does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from irl_probe._types import Floats
from irl_probe.metrics.bootstrap import Estimate
from irl_probe.metrics.ranking import ranking_agreement
from irl_probe.results import ranking_group
from irl_probe.rewards.protocol import Reward, evaluate_reward
from irl_probe.transitions import Transitions


def ranking(
    rewards: Mapping[str, Reward],
    ladder: Mapping[str, Transitions],
    truths: Mapping[str, Floats],
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> xr.Dataset:
    """The group /ranking: Kendall's τ_b between the policies' mean true and mean recovered returns.

    All rewards are measured on the same resamples of each policy's episodes. The group also has the figure of a
    constant reward, whose return is the length of the episode.

    Args:
        rewards: name → reward.
        ladder: policy → its whole episodes.
        truths: policy → the true reward of each step, (N,).
        confidence: of the intervals.
        resamples: of each policy's episodes.
        seed: of the resamples.
    """
    true = [_returns(truths[policy], steps) for policy, steps in ladder.items()]
    returns = {
        name: [_returns(evaluate_reward(r, t, name=f"{name} on {p}"), t) for p, t in ladder.items()]
        for name, r in rewards.items()
    }

    def agreement(by_policy: Sequence[Floats]) -> Estimate:
        return ranking_agreement(true, by_policy, confidence=confidence, resamples=resamples, seed=seed)

    found = [agreement(by_policy) for by_policy in returns.values()]
    lengths = [steps.lengths.astype(np.float64) for steps in ladder.values()]
    return ranking_group(
        [estimate.array for estimate in found],
        [estimate.reason for estimate in found],
        agreement(lengths).array,
        true=[values.mean() for values in true],
        recovered=[[values.mean() for values in by_policy] for by_policy in returns.values()],
        rewards=list(rewards),
        policies=list(ladder),
    ).assign_attrs(confidence=confidence, resamples=resamples, seed=seed)


def _returns(rewards: Floats, steps: Transitions) -> Floats:
    """Each episode's undiscounted sum, (E,)."""
    lengths = steps.lengths
    sums: Floats = np.add.reduceat(rewards, np.cumsum(lengths) - lengths)
    return sums
