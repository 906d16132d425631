"""Why two rewards differ (`decompose`), and an expert's reward without shaping.

`decompose` splits a difference into scale, potential shaping, redistribution over successors, and a residual.
`state_only` and `shared_reward` take the shaping out of a reward, under an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.checks import (
    check_distribution,
    check_gamma,
    check_reward,
    check_shape,
    check_temperature,
    check_transition,
)
from irl_probe.metrics.tabular.distances import ZERO_TOLERANCE, default_coverage, minimal_form, norm, shape
from irl_probe.metrics.tabular.identifiability import ambiguity_dimension
from irl_probe.metrics.tabular.soft import expected_reward, soft_value


@dataclass(frozen=True)
class Decomposition:
    """R̂ = λR + (γΦ(s′) − Φ(s)) + X + c + e, entry by entry, with E_{s′~P}[X] = 0.

    Attributes:
        scale: λ; negative if the recovered reward opposes the true one. 0 if the true reward is itself only shaping and
            redistribution, so that λ is not determined.
        potential: Φ (S,), in units of the recovered reward.
        redistribution: X (S, A, S); its mean under P is zero.
        constant: c. Always 0: for γ < 1 a constant is the shaping by Φ = −c/(1 − γ), so it is in `potential`, which is
            not fixed at 0 in any state.
        residual: e (S, A, S), orthogonal under D to all the other parts.
        shares: each part's share of the D-weighted variance of R̂, Cov(part, R̂)/Var(R̂), under the keys "scale",
            "potential", "redistribution", "residual". They sum to 1 (all are 0 for a constant R̂). Parts that cancel
            each other can have a negative share; the residual's is never negative and is 1 − R² of the fit.
    """

    scale: float
    potential: Floats
    redistribution: Floats
    constant: float
    residual: Floats
    shares: dict[str, float]


def decompose(
    recovered: ArrayLike,
    true: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    *,
    coverage: ArrayLike | None = None,
) -> Decomposition:
    """The λ, Φ and X that minimise ‖e‖_D in R̂ = λR + (γΦ(s′) − Φ(s)) + X + c + e.

    Shaping and redistribution are projected out of both rewards (the Minimal form of STARC), λ is the regression of
    one residual on the other (Frisch–Waugh–Lovell), and Φ = Φ̂ − λΦ_R.

    Args:
        recovered: R̂, (S, A, S), (S, A) or (S,).
        true: R, in the same shapes.
        transition: P (S, A, S).
        gamma: in [0, 1).
        coverage: D (S, A, S); default uniform over (s, a) times P. States that it leaves out get the Φ of least norm.

    Raises ValueError for input that breaks the above.
    """
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    weights = default_coverage(p) if coverage is None else check_distribution(coverage, p.shape, "coverage")
    states, actions, _ = p.shape
    target = check_reward(recovered, (states, actions, states), "recovered")
    truth = check_reward(true, (states, actions, states), "true")

    target_form, target_potential = minimal_form(target, p, gamma, weights)
    truth_form, truth_potential = minimal_form(truth, p, gamma, weights)
    length = norm(truth_form, weights)
    trivial = length <= ZERO_TOLERANCE * float(np.abs(truth).max())
    scale = 0.0 if trivial else float((weights * target_form * truth_form).sum()) / length**2
    # The minimal form adds −Φ̂ as a shaping; the decomposition gives the shaping that was in the reward before.
    potential = scale * truth_potential - target_potential
    shaping = np.broadcast_to(shape(potential, gamma)[:, None, :], target.shape)
    residual = target_form - scale * truth_form
    redistribution = target - scale * truth - shaping - residual
    parts = {"scale": scale * truth, "potential": shaping, "redistribution": redistribution, "residual": residual}
    return Decomposition(scale, potential, redistribution, 0.0, residual, _shares(parts, target, weights))


def _shares(parts: dict[str, Floats], whole: Floats, weights: Floats) -> dict[str, float]:
    centred = whole - (weights * whole).sum()
    variance = norm(centred, weights) ** 2
    if variance <= (ZERO_TOLERANCE * float(np.abs(whole).max())) ** 2:
        return dict.fromkeys(parts, 0.0)
    return {name: float((weights * centred * part).sum()) / variance for name, part in parts.items()}


@dataclass(frozen=True)
class Disentangled:
    """A reward without the shaping that can mislead a policy under other dynamics.

    Attributes:
        reward: (S,), or (S, A) of several experts. Of all that fit, the one whose potential has the least norm.
        residual: root mean square, under the coverage, of the part that the form does not explain, in reward units. If
            it is not 0, the assumption (a state-only reward; one reward behind all experts) is false for the input.
        ambiguity: the number of directions in which `reward` is not determined. 1 means only the constant, which
            changes no policy: the reward is identified. If it is more, other rewards fit as well and may transfer
            differently.
    """

    reward: Floats
    residual: float
    ambiguity: int


def state_only(
    reward: ArrayLike, transition: ArrayLike, gamma: float, *, coverage: ArrayLike | None = None, tol: float = 1e-9
) -> Disentangled:
    """g(s) of AIRL's form g(s) + γE[h(s′)] − h(s) (Fu et al. 2018, eq. 4), fitted to r(s, a) by least squares.

    If an expert is soft-optimal for a state-only reward R(s), every reward that explains the expert is R(s) plus
    shaping, so the residual is 0. If γE[h(s′)] depends on a for every h that is not constant, g is R up to a constant
    (Fu et al. 2018, Theorem 5.1, there for deterministic, "decomposable" dynamics). `ambiguity` counts the dimensions
    of h for which it does not.

    Args:
        reward: (S, A, S), whose mean over s′ is used, or (S, A).
        transition: P (S, A, S) of the environment that the reward comes from.
        gamma: in [0, 1).
        coverage: D (S, A), default uniform.
        tol: singular values below this share of the largest count as 0.

    Raises ValueError for input that breaks the above.
    """
    p = check_transition(transition)
    states, actions, _ = p.shape
    discount = check_gamma(gamma)
    r = expected_reward(check_reward(reward, p.shape, "reward"), p)
    weight = np.full((states, actions), 1 / (states * actions))
    if coverage is not None:
        weight = check_distribution(coverage, (states, actions), "coverage")
    identity = np.repeat(np.eye(states), actions, axis=0)
    shaping = discount * p.reshape(-1, states) - identity
    root = np.sqrt(weight).reshape(-1, 1)
    found = np.linalg.lstsq(root * np.hstack([identity, shaping]), root[:, 0] * r.reshape(-1), rcond=tol)[0]
    g, h = found[:states], found[states:]
    left = r.reshape(-1) - identity @ g - shaping @ h
    differences = (p - p[:, :1])[(weight > 0)]  # (pairs, S): how an action changes the distribution of s′
    open_directions = states - int(np.linalg.matrix_rank(differences, tol=tol))
    return Disentangled(g, float(np.sqrt(weight.reshape(-1) @ left**2)), open_directions)


def shared_reward(
    experts: Sequence[tuple[ArrayLike, ArrayLike, float]], temperature: float = 1.0, *, tol: float = 1e-9
) -> Disentangled:
    """The one r(s, a) for which the experts of several environments are all soft-optimal (Cao et al. 2021, Theorem 2).

    An expert does not determine its V: r = α log πᵢ + Vᵢ − γᵢPᵢVᵢ with α log πᵢ = Qᵢ − α logsumexp(Qᵢ/α). All Vᵢ are
    found together, by least squares on the condition that all r are equal. If `ambiguity_dimension` of the environments
    is 1, this identifies r up to a constant.

    Args:
        experts: (Q, P, γ) of each: Q (S, A) any soft Q of the expert's policy, P (S, A, S), γ in [0, 1). Two or more.
        temperature: α > 0, common to all.
        tol: as for `ambiguity_dimension`.

    Raises ValueError for input that breaks the above.
    """
    if len(experts) < 2:
        raise ValueError(
            f"A reward is shared by at least two experts, each (Q, transition, gamma); got {len(experts)}."
        )
    alpha = check_temperature(temperature)
    advantages, shapings = [], []
    for q, transition, gamma in experts:
        p = check_transition(transition)
        table = check_shape(q, p.shape[:2], "Q")
        states, actions, _ = p.shape
        advantages.append((table - soft_value(table, alpha)[:, None]).reshape(-1))
        shapings.append(np.repeat(np.eye(states), actions, axis=0) - check_gamma(gamma) * p.reshape(-1, states))
    ambiguity = ambiguity_dimension([(p, gamma) for _, p, gamma in experts], tol)  # raises if the sizes differ
    count, states = len(experts), shapings[0].shape[1]
    blocks = np.zeros((count - 1, len(advantages[0]), count, states))
    for i in range(1, count):
        blocks[i - 1, :, 0] = shapings[0]
        blocks[i - 1, :, i] = -shapings[i]
    gaps = np.concatenate([advantages[i] - advantages[0] for i in range(1, count)])
    values = np.linalg.lstsq(blocks.reshape(len(gaps), -1), gaps, rcond=tol)[0].reshape(count, states)
    rewards = np.stack([a + k @ v for a, k, v in zip(advantages, shapings, values, strict=True)])
    mean: Floats = rewards.mean(axis=0)
    residual = float(np.sqrt(((rewards - mean) ** 2).mean()))
    return Disentangled(mean.reshape(states, -1), residual, ambiguity)
