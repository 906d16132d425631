"""What it costs, under the true reward and with entropy counted, to act soft-optimally for another one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from irl_probe.metrics.checks import Array, check_distribution, check_gamma, check_reward, check_shape, check_transition
from irl_probe.metrics.tabular.policies import expected_reward, policy_value, uniform_policy
from irl_probe.metrics.tabular.soft import soft_policy, soft_q, soft_value


def soft_regret(
    true: ArrayLike,
    proxy: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    initial: ArrayLike,
    *,
    temperature: float = 1.0,
) -> float:
    """(J*_α − J_α(π_proxy)) / (J*_α − J_α(uniform)): 0 where the soft-optimal policies agree, 1 as bad as chance.

    J_α(π) = E Σ γᵗ (R + α·entropy of π(·|s_t)) under the true reward, from the initial distribution; π_proxy is the
    soft-optimal policy of the proxy at the same α. Unlike `regret` it sees the proxy's scale, and it is not bounded
    above: a proxy that opposes the truth is worse than chance. Where uniform play is itself optimal (J*_α =
    J_α(uniform)) it is 0 if the proxy plays uniformly too, and infinite otherwise.

    Invariant in both to potential shaping, constants, and S′-redistribution under this P; not to scale.

    Args:
        true: R (S, A, S), (S, A) or (S,).
        proxy: the reward acted for, likewise.
        transition: P (S, A, S).
        gamma: in [0, 1).
        initial: distribution of the first state, (S,).
        temperature: α > 0, in reward units.

    Raises ValueError for input that breaks the above.
    """
    p = check_transition(transition)
    q = soft_q(proxy, p, gamma, temperature)
    return soft_policy_regret(true, soft_policy(q, temperature), p, gamma, initial, temperature=temperature)


def soft_policy_regret(
    true: ArrayLike,
    policy: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    initial: ArrayLike,
    *,
    temperature: float = 1.0,
) -> float:
    """`soft_regret` of a policy π(a|s) (S, A) that is given, such as one carried over from other dynamics."""
    p = check_transition(transition)
    table = check_shape(policy, p.shape[:2], "policy")
    discount = check_gamma(gamma)
    start = check_distribution(initial, p.shape[:1], "initial")
    r = expected_reward(check_reward(true, p.shape, "true"), p)
    best = float(start @ soft_value(soft_q(r, p, discount, temperature), temperature))
    reached, chance = (
        float(start @ policy_value(r + _entropy_bonus(each, temperature), p, discount, each))
        for each in (table, uniform_policy(p))
    )
    rounding = 1e-12 / (1 - discount) * max(float(np.abs(r).max()), temperature)
    lost, at_stake = best - reached, best - chance
    if lost <= rounding:
        return 0.0
    return lost / at_stake if at_stake > rounding else np.inf


def _entropy_bonus(policy: Array, temperature: float) -> Array:
    """−α log π(a|s), (S, A); 0 where π is 0, where it is never paid."""
    bonus: Array = -temperature * np.log(np.where(policy > 0, policy, 1.0))
    return bonus
