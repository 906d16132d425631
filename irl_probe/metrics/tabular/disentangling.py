"""An expert's reward without the shaping that demonstrations leave open, under an assumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Bools, Floats
from irl_probe.metrics.checks import (
    check_distribution,
    check_gamma,
    check_reward,
    check_shape,
    check_temperature,
    check_transition,
)
from irl_probe.metrics.tabular.identifiability import ambiguity_dimension
from irl_probe.metrics.tabular.soft import soft_value
from irl_probe.metrics.tabular.values import expected_reward


@dataclass(frozen=True)
class Disentangled:
    """A reward without the shaping that can mislead a policy under other dynamics.

    Attributes:
        reward: (S,), or (S, A) of several experts. If several fit, it is the one that the function's docstring names.
        residual: root mean square, under the coverage, of the part that the form does not explain, in reward units. If
            it is not 0, the assumption (a state-only reward; one reward behind all experts) is false for the input.
        ambiguity: the number of directions in which `reward` is not determined. 1 means only the constant, which
            changes no policy: the reward is identified. If it is more, other rewards fit as well and may transfer
            differently, so `reward` must not be read as the expert's.
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
    (Fu et al. 2018, Theorem 5.1, there for deterministic, "decomposable" dynamics).

    `ambiguity` is the dimension of {g : some h has g(s) + γE[h(s′)] − h(s) = 0 on all covered (s, a)}. A state with no
    covered action adds 1, since nothing is known of its g. At γ = 0, and where covered actions lead to the same s′, it
    is S.

    Of all (g, h) of least squares, the one with the least ‖h‖ is returned, with g = 0 in states that the coverage
    leaves out. So if actions change nothing, h = 0 and g(s) is the mean of r(s, a) over a.

    Args:
        reward: (S, A, S), whose mean over s′ is used, or (S, A).
        transition: P (S, A, S) of the environment that the reward comes from.
        gamma: in [0, 1).
        coverage: D (S, A), default uniform.
        tol: singular values below it count as 0; those of differences between probabilities.

    Raises ValueError for input that breaks the above.

    On a ring whose one move is forced, the states' rewards cannot be told from shaping; h = 0 is returned:

    >>> ring = np.repeat(np.eye(3)[[1, 2, 0]][:, None], 2, axis=1)
    >>> found = state_only([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]], ring, 0.9)
    >>> found.reward.tolist(), found.ambiguity
    ([1.0, 2.0, 4.0], 3)
    """
    p = check_transition(transition)
    states, actions, _ = p.shape
    discount = check_gamma(gamma)
    r = expected_reward(check_reward(reward, p.shape, "reward"), p)
    weight = np.full((states, actions), 1 / (states * actions))
    if coverage is not None:
        weight = check_distribution(coverage, (states, actions), "coverage")
    mass = weight.sum(axis=1)
    share = weight / np.where(mass > 0, mass, 1.0)[:, None]
    mean_next = np.einsum("sa,sat->st", share, p)
    # For a given h the best g(s) is the mean of r − γE[h(s′)] + h(s), so h must explain what differs between actions.
    root = np.sqrt(weight / weight.max())[:, :, None]
    moves = (discount * root * (p - mean_next[:, None])).reshape(-1, states)
    mean = (share * r).sum(axis=1)
    h = _least_norm(moves, (root[:, :, 0] * (r - mean[:, None])).ravel(), tol)
    g = np.where(mass > 0, mean - discount * mean_next @ h + h, 0.0)
    left = r - g[:, None] - discount * p @ h + h[:, None]
    residual = float(np.sqrt((weight * left**2).sum()))
    return Disentangled(g, residual, _open_directions(p, discount, weight > 0, tol))


def _least_norm(matrix: Floats, target: Floats, tol: float) -> Floats:
    """The x of least norm among those that minimise ‖Mx − b‖; singular values up to `tol` count as 0."""
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    kept = singular > tol
    x: Floats = right[kept].T @ ((left[:, kept].T @ target) / singular[kept])
    return x


def _open_directions(transition: Floats, gamma: float, covered: Bools, tol: float) -> int:
    """dim {g : some h has g(s) = h(s) − γE[h(s′)] on all covered (s, a)}.

    Such an h has the same E[h(s′)] after all covered actions of a state: S − rank(differences) dimensions, or all S at
    γ = 0. Those h that leave g = 0 in all covered states are given by their values in the other states U, since h(s) =
    γE[h(s′)] elsewhere: |U| − rank(differences of these) dimensions. Each state of U adds a free g. None of these ranks
    depends on how near γ is to 1.
    """
    states = len(transition)
    if gamma == 0:
        return states
    seen = np.flatnonzero(covered.any(axis=1))
    unseen = np.flatnonzero(~covered.any(axis=1))
    first = transition[np.arange(states), covered.argmax(axis=1)]
    differences = (transition - first[:, None])[covered]
    extension = np.zeros((states, len(unseen)))
    extension[unseen] = np.eye(len(unseen))
    inside = np.eye(len(seen)) - gamma * first[np.ix_(seen, seen)]
    extension[seen] = np.linalg.solve(inside, gamma * first[np.ix_(seen, unseen)])
    return states - _rank(differences, tol) + _rank(differences @ extension, tol)


def _rank(matrix: Floats, tol: float) -> int:
    return int(np.linalg.matrix_rank(matrix, tol=tol)) if matrix.size else 0


def shared_reward(
    experts: Sequence[tuple[ArrayLike, ArrayLike, float]], temperature: float = 1.0, *, tol: float = 1e-9
) -> Disentangled:
    """The one r(s, a) for which the experts of several environments are all soft-optimal (Cao et al. 2021, Theorem 2).

    An expert does not determine its V: r = α log πᵢ + Vᵢ − γᵢPᵢVᵢ with α log πᵢ = Qᵢ − α logsumexp(Qᵢ/α). All Vᵢ are
    found together, by least squares on the condition that all r are equal; if several fit, those of least norm. If
    `ambiguity_dimension` of the environments is 1, this identifies r up to a constant.

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
