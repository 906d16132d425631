"""STARC distances (VAL, Minimal) and DARD on sampled transitions, from draws that all rewards share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from irl_probe._config import check_confidence
from irl_probe._types import Array, Bools, Floats, Ints
from irl_probe.metrics.bootstrap import (
    ONE_EPISODE,
    Estimate,
    Seed,
    accelerated_interval,
    episode_sums,
    jackknife_counts,
    resample_counts,
)
from irl_probe.metrics.checks import check_choice, check_gamma, check_numbers
from irl_probe.metrics.draws import Draws, Evaluations, paired, paired_products
from irl_probe.metrics.epic import TRIVIAL, ZERO
from irl_probe.metrics.ranking import pearson_distance

Measure = Literal["dard", "starc_val", "starc_minimal"]
MEASURES = ("dard", "starc_val", "starc_minimal")
Features = Callable[[Array], Floats]

RANK = 1e-10  # a direction of the features whose singular value is a smaller share of the largest is rounding error
RIDGE = 1e-12  # for directions of the orthonormal features that the sample does not determine
SHRINKAGE = 0.1  # of w towards Minimal's, per sampling variance of VAL's linear system


@dataclass(frozen=True)
class StarcForms:
    """Canonical forms of n rewards on the draws, C = R + ψᵀw, and how w changes in a resample.

    With ψ = γE[φ(s′)] − φ(s) for a step's own (s, a), shaping by Φ = φᵀw adds ψᵀw to the marginal reward. Make it with
    `starc_forms`.

    Attributes:
        names: the names of the rewards.
        scale: (n,) largest |R|.
        episode: (N,) the episode of each step; rows of one episode are adjacent.
        features: ψ at the draws of s′, (N, L′, p), orthonormal on average.
        square: (p, p), the mean over steps of E[ψ]E[ψ]ᵀ.
        weights: measure → w of each reward, (p, n).
        forms: measure → draws of C, (n, N, L′), or (n, N, L) of "dard", which has no w.
        influence: measure → (E, p, n), what each episode adds to w if it is drawn once more.
        going: (N,), whether the step does not end the MDP; "dard" uses only these.
    """

    names: tuple[str, ...]
    scale: Floats
    episode: Ints
    features: Floats
    square: Floats
    weights: dict[str, Floats]
    forms: dict[str, Floats]
    influence: dict[str, Floats]
    going: Bools

    def distance(
        self,
        measure: Measure,
        first: str,
        second: str,
        *,
        confidence: float = 0.95,
        resamples: int = 1000,
        seed: Seed = 0,
    ) -> Estimate:
        """The distance between two rewards, with a BCa bootstrap interval over episodes.

        "dard" is in [0, 1]: √((1 − ρ)/2) of its canonical forms over steps that do not end the MDP (Wulfe et al. 2022).
        "starc_val" and "starc_minimal" are in [0, 2]: ‖Ĉ_a − Ĉ_b‖ of the normalised forms (Skalse et al. 2024). In a
        resample w changes by one Newton step, which is exact to first order.

        NaN with a reason if a form is 0. Raises ValueError for an unknown measure.
        """
        check_confidence(confidence, resamples)
        check_choice(measure, MEASURES, "measure")
        rows = [self.names.index(name) for name in (first, second)]
        episodes = len(np.unique(self.episode))
        counts = resample_counts(episodes, resamples, np.random.default_rng(seed))
        counts = np.concatenate([counts, jackknife_counts(episodes)])
        gram = self.gram(measure, rows, counts)
        for place, row in enumerate(rows):
            if not gram[0, place, place] > (ZERO * self.scale[row]) ** 2:
                return Estimate.undefined(TRIVIAL.format(which=f"'{self.names[row]}'"))
        half = pearson_distance(gram[:, 0, 1], gram[:, 0, 0] * gram[:, 1, 1])
        half[(gram[:, 0, 0] <= 0) | (gram[:, 1, 1] <= 0)] = np.nan
        without = ONE_EPISODE if episodes == 1 else ""
        drawn, left_out = np.split(half if measure == "dard" else 2 * half, [resamples + 1])
        return accelerated_interval(drawn, left_out, confidence, groups=episodes, without=without)

    def gram(self, measure: str, rows: list[int], counts: Floats) -> Floats:
        """Mean inner products of two forms in each resample, (R, 2, 2); those of "dard" are centred."""
        pair = self.forms[measure][rows]
        kept = self.going if measure == "dard" else np.ones(len(self.going), dtype=bool)
        size = counts @ episode_sums(kept.astype(np.float64), self.episode)  # (R,)
        if measure == "dard":
            pair = (pair - pair[:, kept].mean(axis=(1, 2), keepdims=True)) * kept[:, None]
        products = np.stack([[paired(x, y) for y in pair] for x in pair])  # (2, 2, N)
        inner = np.moveaxis(self._resampled(np.moveaxis(products, 2, 0), counts), 0, -1) / size
        inner = np.moveaxis(inner, -1, 0)
        if measure == "dard":
            mean = self._resampled(pair.mean(axis=2).T, counts) / size[:, None]
            return inner - mean[:, :, None] * mean[:, None, :]
        moved = np.tensordot(counts - 1, self.influence[measure][:, :, rows], axes=1)  # (R, p, 2)
        towards = np.stack([_by_episode(self.features, x, self.episode) for x in pair], axis=2)  # (E, p, 2)
        through = np.swapaxes(np.tensordot(counts, towards, axes=1), 1, 2) @ moved / size[:, None, None]
        inner = inner + through + np.swapaxes(through, 1, 2)
        return inner + np.swapaxes(moved, 1, 2) @ (self.square @ moved)

    def _resampled(self, rows: Floats, counts: Floats) -> Floats:
        return np.tensordot(counts, episode_sums(rows, self.episode), axes=1)


def starc_forms(evaluations: Evaluations, draws: Draws, gamma: float, features: Features) -> StarcForms:
    """The canonical forms of all rewards. All share one linear system for Minimal and one for VAL.

    Minimal: w minimises the mean of E[C]² over the steps, which stand for the coverage D of the exact measure. VAL:
    φᵀw is the value of the policy that draws actions from d_A, by least-squares temporal differences (Bradtke and Barto
    1996), Σ φ(s)(R_π + ψ_πᵀw) = 0. This system can be nearly singular on states that the policy does not visit, so w is
    shrunk towards Minimal's where the sample does not determine it. The shrinkage falls like 1/N.

    Both are linear in the reward and follow its shaping, so a potential in the span of φ does not change a form, for
    any size of the sample. A potential outside it changes the forms by the part that the features cannot express.

    Args:
        evaluations: the rewards on `draws` (`evaluate_on_draws`).
        draws: N steps with successors.
        gamma: in [0, 1).
        features: φ, observations (N, ...) → (N, p), a constant included. After an end they are taken as 0.

    Raises ValueError if the features are not finite numbers of shape (N, p).
    """
    gamma = check_gamma(gamma)
    steps, (count, length, width) = draws.steps, draws.shape
    phi = check_features(features, steps.observations)
    after = check_features(features, draws.after.reshape(-1, *draws.after.shape[3:]))
    after = np.where(draws.after_ended.reshape(-1, 1), 0.0, after).reshape(count, length * width, -1).mean(axis=1)
    own = check_features(features, draws.own.reshape(-1, *draws.own.shape[2:]))
    own = np.where(draws.own_ended.reshape(-1, 1), 0.0, own).reshape(count, draws.own.shape[1], -1)

    psi = gamma * own - phi[:, None]
    scale = _orthonormal(psi.reshape(-1, phi.shape[1]))
    phi, psi, psi_policy = phi @ scale, psi @ scale, (gamma * after - phi) @ scale
    square = paired_products(psi, psi) / count
    rewards = np.moveaxis(evaluations.own, 0, 2)  # (N, L′, n)

    w_minimal, form_minimal = _least(square, psi, rewards)
    at_minimal = np.stack([_by_episode(psi, x, steps.episode) for x in np.moveaxis(form_minimal, 2, 0)], axis=2)
    moved_minimal = -_inverse(square) @ at_minimal / count
    w_val, moved_val = _value(phi, psi_policy, evaluations.policy.T, w_minimal, moved_minimal, steps.episode)
    return StarcForms(
        names=evaluations.names,
        scale=evaluations.scale,
        episode=steps.episode,
        features=psi,
        square=square,
        weights={"starc_val": w_val, "starc_minimal": w_minimal},
        forms={
            "dard": evaluations.dard,
            "starc_val": np.moveaxis(rewards + psi @ w_val, 2, 0),
            "starc_minimal": np.moveaxis(form_minimal, 2, 0),
        },
        influence={"starc_val": moved_val, "starc_minimal": moved_minimal},
        going=~steps.terminated,
    )


def check_features(features: Features, observations: Array) -> Floats:
    """φ of each observation, (N, p), checked."""
    values = check_numbers(features(observations), "features")
    if values.ndim != 2 or len(values) != len(observations):
        raise ValueError(f"Features must have shape (N, p) with N = {len(observations)}; got {values.shape}.")
    return values


def _orthonormal(rows: Floats) -> Floats:
    """(p, p) that makes the columns of rows (N, p) orthonormal on average; directions without data stay small."""
    triangle = np.linalg.qr(rows, mode="r")
    _, singular, axes = np.linalg.svd(triangle)
    columns: Floats = axes[: len(singular)].T / np.maximum(singular, RANK * max(singular[0], RANK))
    scale: Floats = columns * np.sqrt(len(rows))
    return scale


def _inverse(square: Floats) -> Floats:
    return np.asarray(np.linalg.inv(square + RIDGE * np.eye(len(square))), dtype=np.float64)


def _least(square: Floats, psi: Floats, rewards: Floats) -> tuple[Floats, Floats]:
    """w (p, n) that minimises the mean of E[R + ψᵀw]², and R + ψᵀw; solved twice, for precision."""
    inverse = _inverse(square)
    weights = np.zeros((len(square), rewards.shape[2]))
    forms = rewards
    for _ in range(2):
        weights = weights - inverse @ paired_products(psi, forms) / len(psi)
        forms = rewards + psi @ weights
    return weights, forms


def _value(
    phi: Floats, psi: Floats, rewards: Floats, start: Floats, moved_start: Floats, episode: Ints
) -> tuple[Floats, Floats]:
    """w (p, n) = start + δ, with δ by the shrunken system Σ φ(R_π + ψ_πᵀw) = 0, and each episode's influence on w."""
    count, size = phi.shape
    phi = phi @ _orthonormal(phi)
    system = phi.T @ psi / count
    variance = float(((phi**2).sum(axis=1) * (psi**2).sum(axis=1)).mean()) / (size * count)
    normal = np.linalg.inv(system.T @ system + SHRINKAGE * variance * np.eye(size))
    left = rewards + psi @ start
    change = -normal @ (system.T @ (phi.T @ left / count))
    left = left + psi @ change
    mean = phi.T @ left / count  # it would be 0 without the shrinkage
    at = np.stack([episode_sums(phi * x[:, None] - m, episode) for x, m in zip(left.T, mean.T, strict=True)], axis=2)
    moved = -normal @ (system.T @ at) / count + (np.eye(size) - normal @ (system.T @ system)) @ moved_start
    return start + change, moved


def _by_episode(features: Floats, form: Floats, episode: Ints) -> Floats:
    """The sum over each episode of an unbiased estimate of E[ψ]E[C], (E, p)."""
    return episode_sums(paired(features, form[:, :, None]), episode)
