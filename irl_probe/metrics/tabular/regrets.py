"""What it costs, under the true reward, to act optimally for another reward."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.checks import (
    check_choice,
    check_distribution,
    check_gamma,
    check_reward,
    check_shape,
    check_transition,
)
from irl_probe.metrics.tabular.soft import (
    centred,
    expected_reward,
    optimal_actions,
    optimal_q,
    policy_value,
    soft_policy,
    soft_q,
    soft_value,
    tie_tolerance,
    uniform_policy,
)

Ties = Literal["uniform", "best", "worst"]


def regret(
    true: ArrayLike,
    proxy: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    initial: ArrayLike,
    *,
    ties: Ties = "uniform",
) -> float:
    """(J*(R) − J_R(π*_proxy)) / (J*(R) − J_min(R)) in [0, 1]: 0 is optimal, 1 is as bad as the worst policy.

    J are exact discounted returns from the initial distribution, J_min the least over all policies. Optimal actions of
    the proxy are tied if their Q* agree up to rounding error, 1e-13/(1 − γ) of the largest; for a constant proxy all
    are tied. If all policies have the same true return (J* = J_min), the regret is 0.

    Args:
        true: R (S, A, S), (S, A) or (S,), the reward of the returns.
        proxy: the reward that the policy is optimal for, in the same shapes.
        transition: P (S, A, S).
        gamma: in [0, 1).
        initial: distribution of the first state, (S,).
        ties: among the proxy's optimal policies, "uniform" takes each tied action with the same probability, "best" and
            "worst" take the policy that is best or worst for the true reward.

    Invariant in either argument to potential shaping, positive scale, constants, and S′-redistribution under this P.
    Raises ValueError for input that breaks the above.
    """
    check_choice(ties, ("uniform", "best", "worst"), "ties")
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    start = check_distribution(initial, p.shape[:1], "initial")
    states, actions, _ = p.shape
    r = expected_reward(centred(check_reward(true, (states, actions, states), "true")), p)
    guide = expected_reward(centred(check_reward(proxy, (states, actions, states), "proxy")), p)
    allowed = optimal_actions(guide, p, gamma)

    best = optimal_q(r, p, gamma)
    worst = optimal_q(-r, p, gamma)
    top, bottom = float(start @ best.max(axis=1)), -float(start @ worst.max(axis=1))
    if top - bottom <= tie_tolerance(best, gamma) + tie_tolerance(worst, gamma):
        return 0.0
    if ties == "uniform":
        reached = float(start @ policy_value(r, p, gamma, allowed / allowed.sum(axis=1, keepdims=True)))
    else:
        sign = 1 if ties == "best" else -1
        q = optimal_q(sign * r, p, gamma, allowed)
        reached = sign * float(start @ np.where(allowed > 0, q, -np.inf).max(axis=1))
    return min(1.0, max(0.0, (top - reached) / (top - bottom)))


def policy_regret(true: ArrayLike, policy: ArrayLike, transition: ArrayLike, gamma: float, initial: ArrayLike) -> float:
    """The `regret` of a given policy π(a|s) (S, A), such as one carried over from other dynamics."""
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    start = check_distribution(initial, p.shape[:1], "initial")
    table = check_shape(policy, p.shape[:2], "policy")
    r = expected_reward(centred(check_reward(true, p.shape, "true")), p)
    best, worst = optimal_q(r, p, gamma), optimal_q(-r, p, gamma)
    top, bottom = float(start @ best.max(axis=1)), -float(start @ worst.max(axis=1))
    if top - bottom <= tie_tolerance(best, gamma) + tie_tolerance(worst, gamma):
        return 0.0
    reached = float(start @ policy_value(r, p, gamma, table))
    return min(1.0, max(0.0, (top - reached) / (top - bottom)))


def soft_regret(
    true: ArrayLike,
    proxy: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    initial: ArrayLike,
    *,
    temperature: float = 1.0,
) -> float:
    """(J*_α − J_α(π_proxy)) / (J*_α − J_α(uniform)): 0 if the soft-optimal policies are equal, 1 if as bad as chance.

    J_α(π) = E Σ γᵗ (R + α·entropy of π(·|s_t)) under the true reward, from the initial distribution; π_proxy is the
    soft-optimal policy of the proxy at the same α. Unlike `regret` it depends on the proxy's scale, and it has no upper
    bound: a proxy that opposes the true reward is worse than chance. If the uniform policy is itself optimal (J*_α =
    J_α(uniform)), it is 0 if the proxy's policy is uniform too, and infinite otherwise.

    Invariant in both rewards to potential shaping, constants, and S′-redistribution under this P; not to scale.

    Args:
        true: R (S, A, S), (S, A) or (S,).
        proxy: the reward that the policy is optimal for, in the same shapes.
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
    """The `soft_regret` of a given policy π(a|s) (S, A), such as one carried over from other dynamics."""
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


def _entropy_bonus(policy: Floats, temperature: float) -> Floats:
    """−α log π(a|s), (S, A); 0 where π is 0, since such an action is never taken."""
    bonus: Floats = -temperature * np.log(np.where(policy > 0, policy, 1.0))
    return bonus
