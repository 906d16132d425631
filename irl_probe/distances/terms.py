"""Rewards as terms that make their canonical forms cheap, and the two rewards that calibrate a distance."""

from __future__ import annotations

import numpy as np

from irl_probe.envs.true_reward import TrueReward
from irl_probe.metrics import RewardTerms, random_network
from irl_probe.metrics.features import Standardised
from irl_probe.rewards.model import Floats, Reward
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.softq import DiscreteSoftQ
from irl_probe.transitions import Array, Transitions

# Names of their own, so that no reward of a user is taken for one of them.
TRUE, SHAPED, RANDOM = "true (reference)", "true (shaped)", "random (calibration)"


def terms_of(name: str, reward: Reward) -> RewardTerms:
    """A reward as terms that make its canonical forms cheap; what follows an absorbing end is paid where it comes."""
    if isinstance(reward, TrueReward) and reward.of_pair:
        return RewardTerms(name, pair=lambda s, a: reward(s, a, s, np.zeros(len(s), dtype=bool)))
    if not isinstance(reward, RecoveredReward):
        return RewardTerms(name, joint=reward)
    if reward.kind == "marginal":
        return RewardTerms(name, pair=lambda s, a: reward(s, a, s, np.zeros(len(s), dtype=bool)))
    soft_q = reward.soft_q
    table = (lambda s, a: soft_q.table(s)[:, a]) if isinstance(soft_q, DiscreteSoftQ) else None
    return RewardTerms(name, pair=reward.q, successor=lambda s: -reward.gamma * reward.v(s), table=table)


def calibration(true: RewardTerms, steps: Transitions, pool: Array, gamma: float, seed: int) -> dict[str, RewardTerms]:
    """The truth shaped by a random network as large as the reward, and a random network of (s, a)."""
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    size = float(true(*batch).std()) or 1.0
    of_states = Standardised.by(pool, count=None if pool.ndim > 1 else int(max(pool.max(), batch[2].max())) + 1)
    of_actions = Standardised.by(steps.actions)

    def joined(s: Array, a: Array) -> Floats:
        if of_actions.count is not None:
            a = np.minimum(a, of_actions.count - 1)
        return np.concatenate([of_states(s), of_actions(a)], axis=1)

    potential = random_network(of_states(pool), seed=seed + 1, deviation=size)
    other = random_network(joined(*batch[:2]), seed=seed + 2)
    return {
        SHAPED: RewardTerms(
            SHAPED,
            state=lambda s: -potential(of_states(s)),
            pair=true.pair,
            successor=lambda s: gamma * potential(of_states(s)),
            joint=true.joint,
        ),
        RANDOM: RewardTerms(RANDOM, pair=lambda s, a: other(joined(s, a))),
    }
