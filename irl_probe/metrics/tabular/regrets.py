"""What it costs, under the true reward, to act optimally for another reward.

J* − J(π) is the discounted sum of what each action of π loses, V*(s) − Q*(s, a) (Kakade and Langford 2002, Lemma 6.1),
or with entropy α·KL(π(·|s) ‖ π*(·|s)). A sum of losses does not cancel as a difference of returns does for γ near 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.checks import (
    check_choice,
    check_distribution,
    check_gamma,
    check_policy,
    check_reward,
    check_temperature,
    check_transition,
)
from irl_probe.metrics.tabular.soft import soft_log_policy, soft_optimum
from irl_probe.metrics.tabular.values import (
    ROUNDING,
    advantage_terms,
    expected_reward,
    optimal_actions,
    optimum,
    policy_value,
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
    the proxy are tied if their Q* agree up to rounding error, 1e-13 of the terms that they are computed from
    (`values.advantage_terms`); for a constant proxy all are tied. If all policies have the same true return (J* =
    J_min), the regret is 0.

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
    guide, size = _expected(proxy, p, "proxy")
    lost = _lost(true, p, gamma)
    allowed = optimal_actions(guide, p, gamma, size=size)
    if ties == "uniform":
        policy = allowed / allowed.sum(axis=1, keepdims=True)
    else:
        sign = 1 if ties == "worst" else -1
        policy = np.eye(p.shape[1])[optimum(sign * lost, p, gamma, allowed=allowed).choice]
    return _share(lost, policy, p, gamma, start)


def policy_regret(true: ArrayLike, policy: ArrayLike, transition: ArrayLike, gamma: float, initial: ArrayLike) -> float:
    """The `regret` of a given policy π(a|s) (S, A), such as one carried over from other dynamics.

    Raises ValueError unless each row of the policy is a distribution, and like `regret`.
    """
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    start = check_distribution(initial, p.shape[:1], "initial")
    table = check_policy(policy, (p.shape[0], p.shape[1]))
    return _share(_lost(true, p, gamma), table, p, gamma, start)


def _expected(reward: ArrayLike, transition: Floats, name: str) -> tuple[Floats, Floats]:
    """E_{s′~P}[R] and E_{s′~P}|R|, (S, A)."""
    full = check_reward(reward, (transition.shape[0], transition.shape[1], transition.shape[0]), name)
    return expected_reward(full, transition), expected_reward(np.abs(full), transition)


def _lost(true: ArrayLike, transition: Floats, gamma: float) -> Floats:
    """V*(s) − Q*(s, a) ≥ 0 of the true reward, (S, A)."""
    r, size = _expected(true, transition, "true")
    return optimum(r, transition, gamma, size=size).gaps


def _share(lost: Floats, policy: Floats, transition: Floats, gamma: float, start: Floats) -> float:
    """What the policy loses, as a share of the most that a policy can lose; 0 if none loses anything."""
    worst = np.eye(lost.shape[1])[optimum(lost, transition, gamma).choice]
    reached, most = (float(start @ policy_value(lost, transition, gamma, pi)) for pi in (policy, worst))
    return min(1.0, max(0.0, reached / most)) if most > 0 else 0.0


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
    guide, _ = _expected(proxy, p, "proxy")
    alpha = check_temperature(temperature)
    policy = np.exp(soft_log_policy(guide, p, soft_optimum(guide, p, check_gamma(gamma), alpha), alpha))
    return soft_policy_regret(true, policy, p, gamma, initial, temperature=temperature)


def soft_policy_regret(
    true: ArrayLike,
    policy: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    initial: ArrayLike,
    *,
    temperature: float = 1.0,
) -> float:
    """The `soft_regret` of a given policy π(a|s) (S, A), such as one carried over from other dynamics.

    Raises ValueError unless each row of the policy is a distribution, and like `soft_regret`.
    """
    p = check_transition(transition)
    table = check_policy(policy, (p.shape[0], p.shape[1]))
    discount, alpha = check_gamma(gamma), check_temperature(temperature)
    start = check_distribution(initial, p.shape[:1], "initial")
    r, size = _expected(true, p, "true")
    value = soft_optimum(r, p, discount, alpha)
    best = soft_log_policy(r, p, value, alpha)
    terms = advantage_terms(size + alpha * np.abs(best), p, np.exp(best), value)
    rounding = ROUNDING * terms[:, None] / alpha
    lost, at_stake = (
        float(start @ policy_value(alpha * _divergence(each, best, rounding), p, discount, each))
        for each in (table, uniform_policy(p))
    )
    if lost == 0:
        return 0.0
    return lost / at_stake if at_stake > 0 else np.inf


def _divergence(policy: Floats, log_best: Floats, rounding: Floats) -> Floats:
    """KL(π(·|s) ‖ π*(·|s)), the same for all a (S, A), as the sum of π·log(π/π*) − π + π* ≥ 0.

    A term is 0 where log π and log π* differ by rounding error.
    """
    taken = np.where(policy > 0, policy, 1.0)
    gap = log_best - np.log(taken)
    near = np.abs(gap) < 1
    small = taken * (np.expm1(np.where(near, gap, 0.0)) - np.where(near, gap, 0.0))
    large = np.exp(log_best) - taken - taken * gap
    each = np.where(np.abs(gap) <= rounding, 0.0, np.where(near, small, large))
    each = np.where(policy > 0, np.maximum(each, 0.0), np.exp(log_best))
    return np.broadcast_to(each.sum(axis=1, keepdims=True), policy.shape)
