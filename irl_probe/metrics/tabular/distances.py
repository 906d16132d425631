"""Exact distances between two rewards of a tabular MDP: EPIC, DARD, STARC, NPEC.

Rewards may be (S, A, S), or (S, A) or (S,) if they do not depend on the last axes. A reward is trivial under a measure
if its canonical form is zero, such as a constant or a pure shaping. All other forms are scaled to unit norm. So two
trivial rewards are at distance 0, and a trivial one is at ½ (EPIC, DARD) or 1 (STARC, NPEC) from any other. No distance
is ever NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

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
from irl_probe.metrics.tabular.soft import expected_reward, policy_value, uniform_policy

Canonical = Literal["val", "val_potential", "minimal"]

# A canonical form whose norm is below this share of the reward's largest entry is rounding error and counts as zero.
ZERO_TOLERANCE = 1e-10

SPARSE_DENSITY = 0.1  # transition matrices with a smaller share of nonzero entries are multiplied as sparse ones
REFINEMENTS = 3  # steps of iterative refinement in a least-squares fit


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
    a, b = _check_pair(reward_a, reward_b, weights.shape)
    return pearson_distance((a, epic_form(a, gamma, d_s, d_a)), (b, epic_form(b, gamma, d_s, d_a)), weights)


def dard(
    reward_a: ArrayLike,
    reward_b: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    *,
    coverage: ArrayLike | None = None,
    actions: ArrayLike | None = None,
) -> float:
    """DARD distance in [0, 1]: EPIC with successors drawn from P, so that no impossible transition is evaluated.

    Wulfe et al. 2022, Def. 5; C(R) in `dard_form`. Its invariances are those of EPIC.

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
    a, b = _check_pair(reward_a, reward_b, p.shape)
    return pearson_distance((a, dard_form(a, p, gamma, d_a)), (b, dard_form(b, p, gamma, d_a)), weights)


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

    def form(reward: Floats) -> Floats:
        if canonical == "val":
            return val_form(reward, p, gamma, pi)
        if canonical == "val_potential":
            return val_potential_form(reward, p, gamma, pi)
        return minimal_form(reward, p, gamma, weights)[0]

    a, b = (unit(form(r), weights, float(np.abs(r).max())) for r in _check_pair(reward_a, reward_b, p.shape))
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

    def residual(reward: Floats) -> Floats:
        left = reward - shape(fit_potential(reward, gamma, weights), gamma)[:, None, :]
        return unit(left, weights, float(np.abs(reward).max()))

    a, b = (residual(r) for r in _check_pair(reward_a, reward_b, weights.shape))
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


# Norms


def norm(values: Floats, weights: Floats) -> float:
    """‖x‖_D = √(Σ D·x²)."""
    return float(np.sqrt((weights * values**2).sum()))


def unit(form: Floats, weights: Floats, scale: float) -> Floats:
    """`form` divided by its D-weighted norm; zero if that norm is below ZERO_TOLERANCE·scale."""
    length = norm(form, weights)
    return form / length if length > ZERO_TOLERANCE * scale else np.zeros_like(form)


def pearson_distance(first: tuple[Floats, Floats], second: tuple[Floats, Floats], weights: Floats) -> float:
    """√((1 − ρ)/2) of two pairs (reward, canonical form), as ½‖ẑ_a − ẑ_b‖ of the standardised forms (exact near ρ = 1).

    A form that varies by less than a tiny share of its reward's largest entry is constant; a constant form has ẑ = 0.
    """
    units = [unit(c - (weights * c).sum(), weights, float(np.abs(r).max())) for r, c in (first, second)]
    return min(1.0, 0.5 * norm(units[0] - units[1], weights))


# Canonical forms


def epic_form(reward: Floats, gamma: float, states: Floats, actions: Floats) -> Floats:
    """C(R) = R + E[γR(s′, A, S′) − R(s, A, S′) − γR(S, A, S′)], A ~ d_A, S, S′ ~ d_S (Gleave et al. 2021, Def. 4.1)."""
    mean: Floats = np.einsum("sat,a,t->s", reward, actions, states, optimize=True)
    return reward + shape(mean, gamma)[:, None, :] - gamma * float(states @ mean)


def dard_form(reward: Floats, transition: Floats, gamma: float, actions: Floats) -> Floats:
    """C(R) = R + E[γR(s′, A, S″) − R(s, A, S′) − γR(S′, A, S″)], S′ ~ P(s, A), S″ ~ P(s′, A).

    Wulfe et al. 2022, Def. 4. All draws of a term share one A ~ d_A; in the last term x ~ P(s, A), y ~ P(s′, A) and the
    reward is R(x, A, y).
    """
    mean = expected_reward(reward, transition) @ actions
    between = np.zeros((len(reward), len(reward)))
    for action, probability in enumerate(actions):
        p = transition[:, action]
        if np.count_nonzero(p) < SPARSE_DENSITY * p.size:
            p = sparse.csr_array(p)
        between += probability * (p @ (p @ reward[:, action].T).T)
    return reward + (shape(mean, gamma) - gamma * between)[:, None, :]


def val_form(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Floats:
    """C(R)(s, a) = E_{s′}[R − V^π(s) + γV^π(s′)], the advantage of π, repeated over s′ (Skalse et al. 2024, VAL)."""
    expected = expected_reward(reward, transition)
    value = policy_value(expected, transition, gamma, policy)
    return np.broadcast_to((expected + expected_shape(value, transition, gamma))[:, :, None], reward.shape)


def val_potential_form(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Floats:
    """C(R) = R − V^π(s) + γV^π(s′): R shaped by its own value under π (Skalse et al. 2024, VALPotential)."""
    value = policy_value(expected_reward(reward, transition), transition, gamma, policy)
    return reward + shape(value, gamma)[:, None, :]


def minimal_form(reward: Floats, transition: Floats, gamma: float, coverage: Floats) -> tuple[Floats, Floats]:
    """(C, Φ): the reward of least ‖C‖_D = R + γΦ(s′) − Φ(s) + X over all Φ and all X with E_{s′~P}[X] = 0.

    Skalse et al. 2024, Minimal. An exact projection: first X is eliminated (`Redistribution`), then Φ by least squares.
    """
    redistribution = Redistribution.under(coverage, transition)
    expected = expected_reward(reward, transition)
    potential = -fit_expected_potential(expected, transition, gamma, redistribution.weights)
    marginal = expected + expected_shape(potential, transition, gamma)
    return marginal[:, :, None] * redistribution.profile, potential


@dataclass(frozen=True)
class Redistribution:
    """The Y(s, a, s′) of least norm ‖Y‖_D for a given marginal m(s, a) = E_{s′~P}[Y].

    S′-redistribution adds any X with E_{s′~P}[X] = 0, so it fixes only the marginal m of Y. By Lagrange multipliers the
    least Σ_{s′} D·Y² is weights·m², reached at Y = m·profile, with profile = weights·P/D and weights = 1/Σ_{s′} P²/D.
    With D = d·P, weights = d and profile = 1. If D leaves out a successor that P reaches, m can be put there
    without cost: weights = 0.
    """

    weights: Floats  # (S, A)
    profile: Floats  # (S, A, S), with E_{s′~P}[profile] = 1

    @staticmethod
    def under(coverage: Floats, transition: Floats) -> Redistribution:
        """The redistribution for coverage D and dynamics P, both (S, A, S)."""
        covered = coverage > 0
        ratio = np.divide(transition, coverage, out=np.zeros_like(transition), where=covered)
        weights: Floats = 1 / np.maximum((transition * ratio).sum(axis=2), np.finfo(np.float64).tiny)
        free = (transition > 0) & ~covered
        escapes = free.sum(axis=2, keepdims=True) > 0
        on_free = free / np.maximum((transition * free).sum(axis=2, keepdims=True), np.finfo(np.float64).tiny)
        profile = np.where(escapes, on_free, weights[:, :, None] * ratio)
        return Redistribution(np.where(escapes[:, :, 0], 0.0, weights), profile)


# Potential shaping, and the potential that fits a reward best


def shape(potential: Floats, gamma: float) -> Floats:
    """γΦ(s′) − Φ(s) as an (S, S) array [s, s′]: potential shaping (Ng, Harada and Russell 1999)."""
    return gamma * potential[None, :] - potential[:, None]


def expected_shape(potential: Floats, transition: Floats, gamma: float) -> Floats:
    """γE_{s′}[Φ(s′)] − Φ(s), shape (S, A)."""
    shaping: Floats = gamma * transition @ potential - potential[:, None]
    return shaping


def fit_potential(reward: Floats, gamma: float, weights: Floats) -> Floats:
    """Φ (S,) that minimises Σ weights·(R − γΦ(s′) + Φ(s))² over an (S, A, S) reward.

    If the weights do not determine Φ, it is a solution of least (column-scaled) norm; the residual is always unique.
    """
    joint = weights.sum(axis=1)
    normal = np.diag(gamma**2 * joint.sum(axis=0) + joint.sum(axis=1)) - gamma * (joint + joint.T)

    def adjoint(residual: Floats) -> Floats:
        sums: Floats = gamma * residual.sum(axis=(0, 1)) - residual.sum(axis=(1, 2))
        return sums

    return _refined(normal, lambda phi: adjoint(weights * (reward - shape(phi, gamma)[:, None, :])))


def fit_expected_potential(reward: Floats, transition: Floats, gamma: float, weights: Floats) -> Floats:
    """Φ (S,) that minimises Σ weights·(r − γE[Φ(s′)] + Φ(s))² over an (S, A) reward; see `fit_potential`."""
    count = len(reward)
    flat = transition.reshape(-1, count)
    towards = np.einsum("sa,sat->st", weights, transition)
    normal = gamma**2 * (flat.T * weights.ravel()) @ flat - gamma * (towards + towards.T)
    normal[np.diag_indices(count)] += weights.sum(axis=1)

    def gradient(phi: Floats) -> Floats:
        residual = weights * (reward - expected_shape(phi, transition, gamma))
        sums: Floats = gamma * flat.T @ residual.ravel() - residual.sum(axis=1)
        return sums

    return _refined(normal, gradient)


def _refined(normal: Floats, gradient: Callable[[Floats], Floats]) -> Floats:
    """Solve normal·Φ = gradient(0), then again for the residual: iterative refinement of the least-squares problem."""
    solve = _pseudo_inverse(normal)
    phi = solve(gradient(np.zeros(len(normal))))
    for _ in range(REFINEMENTS):
        phi = phi + solve(gradient(phi))
    return phi


def _pseudo_inverse(normal: Floats) -> Callable[[Floats], Floats]:
    """x ↦ N⁺x of a positive semidefinite N, with its diagonal scaled to 1 so that rare states keep their columns."""
    diagonal = np.sqrt(np.diag(normal))
    scale = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    eigenvalues, vectors = np.linalg.eigh(normal * scale[:, None] * scale[None, :])
    kept = eigenvalues > len(normal) * np.finfo(np.float64).eps * eigenvalues[-1]
    inverse = np.divide(1.0, eigenvalues, out=np.zeros_like(eigenvalues), where=kept)
    return lambda vector: scale * (vectors @ (inverse * (vectors.T @ (scale * vector))))
