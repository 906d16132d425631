"""Exact distances between two rewards of a tabular MDP: EPIC, DARD, STARC, NPEC.

Rewards may be (S, A, S), or (S, A) or (S,) if they do not depend on the last axes. A reward is trivial under a measure
if its canonical form is zero up to rounding error, such as a constant or a pure shaping. All other forms are scaled to
unit norm. So two trivial rewards are at distance 0, and a trivial one is at ½ (EPIC, DARD) or 1 (STARC, NPEC) from any
other. No distance is ever NaN.

Rewards of impossible transitions, P(s′|s, a) = 0, count only where a definition reads them: under a coverage that gives
them weight, in EPIC's mean over all s′ of d_S, and in the last term of DARD. VAL and Minimal read none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.checks import (
    check_choice,
    check_distribution,
    check_gamma,
    check_numbers,
    check_policy,
    check_reward,
    check_transition,
)
from irl_probe.metrics.tabular.canonical import (
    Form,
    dard_form,
    epic_form,
    minimal_form,
    norm,
    npec_form,
    val_form,
    val_potential_form,
)
from irl_probe.metrics.tabular.values import uniform_policy

Canonical = Literal["val", "val_potential", "minimal"]


def epic(
    reward_a: ArrayLike,
    reward_b: ArrayLike,
    gamma: float,
    *,
    coverage: ArrayLike,
    states: ArrayLike | None = None,
    actions: ArrayLike | None = None,
) -> float:
    """EPIC distance in [0, 1]: the Pearson distance √((1 − ρ_D)/2) of the canonically shaped rewards.

    Gleave et al. 2021, Def. 4.3; C(R) in `epic_form`. Invariant to potential shaping, positive scale and constants; not
    to S′-redistribution, so use it on the marginal reward if P is stochastic.

    Args:
        reward_a: (S, A, S), (S, A) or (S,).
        reward_b: the other reward, in the same shapes.
        gamma: in [0, 1].
        coverage: D (S, A, S), the distribution under which ρ is computed.
        states: d_S (S,), default uniform.
        actions: d_A (A,), default uniform.

    Raises ValueError for input that breaks the above.

    Shaping and scale change nothing; the opposite reward is at the largest distance:

    >>> reward, potential = np.array([0.0, 0.0, 1.0]), np.array([5.0, -2.0, 3.0])
    >>> shaped = 2 * reward[:, None, None] + 0.9 * potential - potential[:, None, None] + np.zeros((3, 2, 3))
    >>> coverage = np.full((3, 2, 3), 1 / 18)
    >>> round(epic(shaped, reward, 0.9, coverage=coverage), 6), round(epic(-shaped, reward, 0.9, coverage=coverage), 6)
    (0.0, 1.0)
    """
    weights = check_coverage(coverage)
    gamma = check_gamma(gamma, one_allowed=True)
    count, choices, _ = weights.shape
    d_s = np.full(count, 1 / count) if states is None else check_distribution(states, (count,), "states")
    d_a = np.full(choices, 1 / choices) if actions is None else check_distribution(actions, (choices,), "actions")
    pair = _check_pair(reward_a, reward_b, weights.shape)
    return pearson_distance(lambda r: epic_form(r, gamma, d_s, d_a), pair, weights)


def dard(
    reward_a: ArrayLike,
    reward_b: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    *,
    coverage: ArrayLike | None = None,
    actions: ArrayLike | None = None,
) -> float:
    """DARD distance in [0, 1]: EPIC with successors drawn from P, which evaluates fewer impossible transitions.

    Wulfe et al. 2022, Def. 5; C(R) in `dard_form`. Its last term, γE[R(x, A, y)] with x ~ P(s, A) and y ~ P(s′, A), may
    still evaluate some. Its invariances are those of EPIC.

    Args:
        reward_a: (S, A, S), (S, A) or (S,).
        reward_b: the other reward, in the same shapes.
        transition: P (S, A, S).
        gamma: in [0, 1].
        coverage: D (S, A, S); default uniform over (s, a) times P.
        actions: d_A (A,), default uniform.

    Raises ValueError for input that breaks the above.
    """
    p = check_transition(transition)
    gamma = check_gamma(gamma, one_allowed=True)
    weights = default_coverage(p) if coverage is None else check_distribution(coverage, p.shape, "coverage")
    choices = p.shape[1]
    d_a = np.full(choices, 1 / choices) if actions is None else check_distribution(actions, (choices,), "actions")
    pair = _check_pair(reward_a, reward_b, p.shape)
    return pearson_distance(lambda r: dard_form(r, p, gamma, d_a), pair, weights)


def starc(
    reward_a: ArrayLike,
    reward_b: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    *,
    canonical: Canonical = "val",
    policy: ArrayLike | None = None,
    coverage: ArrayLike | None = None,
) -> float:
    """STARC distance in [0, 2]: ‖C(R_a)/‖C(R_a)‖_D − C(R_b)/‖C(R_b)‖_D‖_D (Skalse et al. 2024, Def. 4).

    Invariant to potential shaping, positive scale and constants, and, for "val" and "minimal", to S′-redistribution.

    Args:
        reward_a: (S, A, S), (S, A) or (S,).
        reward_b: the other reward, in the same shapes.
        transition: P (S, A, S).
        gamma: in [0, 1).
        canonical: "val", the advantage of π; "val_potential", the same before the mean over s′; "minimal", the reward
            of least norm among all that differ by shaping and S′-redistribution.
        policy: π (S, A) of "val" and "val_potential", default uniform; "minimal" takes none.
        coverage: D (S, A, S); default uniform over (s, a) times P.

    Raises ValueError for input that breaks the above.
    """
    check_choice(canonical, ("val", "val_potential", "minimal"), "canonical")
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    weights = default_coverage(p) if coverage is None else check_distribution(coverage, p.shape, "coverage")
    if canonical == "minimal" and policy is not None:
        raise ValueError("The 'minimal' canonical form does not depend on a policy; leave 'policy' out, or use 'val'.")
    pi = uniform_policy(p) if policy is None else check_policy(policy, (p.shape[0], p.shape[1]))

    def form(reward: Floats) -> Form:
        if canonical == "val":
            return val_form(reward, p, gamma, pi)
        if canonical == "val_potential":
            return val_potential_form(reward, p, gamma, pi)
        return minimal_form(reward, p, gamma, weights)[0]

    a, b = (form(r).unit(weights) for r in _check_pair(reward_a, reward_b, p.shape))
    return norm(a - b, weights)


def npec(reward_a: ArrayLike, reward_b: ArrayLike, gamma: float, *, coverage: ArrayLike) -> float:
    """NPEC with p = 2 in [0, 1]: min_{λ ≥ 0, Φ} ‖R_a − λR_b − (γΦ(s′) − Φ(s))‖_D, divided by its value at λ = 0.

    Gleave et al. 2021, §5, in closed form: both rewards are projected off the shaping subspace
    span{γδ_{s′=k} − δ_{s=k}} under D. With cos the cosine of the residuals, the distance is √(1 − max(0, cos)²), which
    is symmetric. Invariant to potential shaping, positive scale and constants; not to S′-redistribution.

    Args:
        reward_a: (S, A, S), (S, A) or (S,).
        reward_b: the other reward, in the same shapes.
        gamma: in [0, 1); at γ = 1 shaping would not include the constants.
        coverage: D (S, A, S).

    Raises ValueError for input that breaks the above.
    """
    weights = check_coverage(coverage)
    gamma = check_gamma(gamma)

    a, b = (npec_form(r, gamma, weights).unit(weights) for r in _check_pair(reward_a, reward_b, weights.shape))
    if not a.any() and not b.any():
        return 0.0
    cosine = max(0.0, float((weights * a * b).sum()))
    # ‖a − cos·b‖ equals √(1 − cos²), and does not cancel near cos = 1.
    return min(1.0, norm(a - cosine * b, weights)) if a.any() else 1.0


def default_coverage(transition: Floats) -> Floats:
    """Uniform over (s, a) times P, (S, A, S)."""
    coverage: Floats = transition / (transition.shape[0] * transition.shape[1])
    return coverage


def check_coverage(coverage: ArrayLike) -> Floats:
    """D (S, A, S) for the measures that are given no P: a distribution whose first and last axis have one length."""
    array = check_numbers(coverage, "coverage")
    if array.ndim != 3 or array.shape[0] != array.shape[2] or 0 in array.shape:
        raise ValueError(
            f"'coverage' must be a distribution over (s, a, s′), shape (S, A, S); got {array.shape}. From weights over "
            "(s, a), use weights[:, :, None] * transition."
        )
    return check_distribution(array, array.shape, "coverage")


def _check_pair(reward_a: ArrayLike, reward_b: ArrayLike, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    states, actions, _ = shape
    full = (states, actions, states)
    return check_reward(reward_a, full, "reward_a"), check_reward(reward_b, full, "reward_b")


def pearson_distance(form: Callable[[Floats], Form], pair: tuple[Floats, Floats], weights: Floats) -> float:
    """√((1 − ρ)/2) of the canonical forms of two rewards, as ½‖ẑ_a − ẑ_b‖ of the standardised forms (exact near ρ = 1).

    A form that is constant up to rounding error has ẑ = 0.
    """
    a, b = (form(reward).centred(weights).unit(weights) for reward in pair)
    return min(1.0, 0.5 * norm(a - b, weights))
