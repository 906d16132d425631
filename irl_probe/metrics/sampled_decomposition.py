"""Why two rewards differ on sampled transitions: scale, shaping, redistribution over successors, and a residual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irl_probe._config import check_confidence
from irl_probe._types import Floats
from irl_probe.metrics.bootstrap import (
    ONE_EPISODE,
    Estimate,
    Seed,
    accelerated_interval,
    episode_sums,
    jackknife_counts,
    resample_counts,
)
from irl_probe.metrics.draws import paired
from irl_probe.metrics.epic import TRIVIAL, ZERO
from irl_probe.metrics.starc import StarcForms

PARTS = ("scale", "potential", "redistribution", "residual")


@dataclass(frozen=True)
class SampledDecomposition:
    """R̂ = λR + (γΦ(s′) − Φ(s)) + X + e with E_{s′}[X] = 0 and Φ in the span of the features.

    Attributes:
        scale: λ.
        shares: part → its share of the variance of R̂, Cov(part, R̂)/Var(R̂). They sum to 1; parts that cancel each
            other have a negative share.
    """

    scale: Estimate
    shares: dict[str, Estimate]


def decompose_sample(
    forms: StarcForms,
    recovered: str,
    true: str,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: Seed = 0,
) -> SampledDecomposition:
    """The parts of the recovered reward, from the same draws and linear solve as `starc_minimal`.

    λ is the regression of R̂'s Minimal form on R's, Φ the difference of their potentials, e the rest of the marginal
    reward, and X all that remains. With one draw of s′ at each step (deterministic dynamics, or the observed s′ alone)
    X is 0: what one draw cannot separate is then in e.

    Intervals are BCa bootstrap intervals over episodes; each resample has its own λ and Φ. NaN with a reason if the
    true reward is only shaping, or if R̂ does not vary.
    """
    check_confidence(confidence, resamples)
    rows = [forms.names.index(name) for name in (recovered, true)]
    minimal = forms.canonical["starc_minimal"]
    episodes = len(np.unique(minimal.episode))
    counts = resample_counts(episodes, resamples, np.random.default_rng(seed))
    counts = np.concatenate([counts, jackknife_counts(episodes)])
    whole, truth = (forms.rewards[row] for row in rows)
    size = counts @ episode_sums(np.ones(len(whole)), minimal.episode)

    def mean(values: Floats) -> Floats:
        return np.tensordot(counts, episode_sums(values, minimal.episode), axes=1) / size.reshape(
            -1, *[1] * (values.ndim - 1)
        )

    gram = minimal.gram(rows, counts)
    centred = whole - whole.mean()
    shift = mean(centred.mean(axis=1))  # of the resample's mean
    variance = mean((centred**2).mean(axis=1)) - shift**2
    reason = ""
    if not gram[0, 1, 1] > (ZERO * forms.scale[rows[1]]) ** 2:
        reason = TRIVIAL.format(which=f"'{true}'")
    elif not variance[0] > (ZERO * forms.scale[rows[0]]) ** 2:
        reason = f"The reward '{recovered}' does not vary on these steps, so there is nothing to explain."
    if reason:
        nothing = Estimate.undefined(reason)
        return SampledDecomposition(nothing, dict.fromkeys(PARTS, nothing))

    def covariance(values: Floats) -> Floats:
        """Of (N, L) or (N, L, p) with R̂ in each resample."""
        with_reward = centred.reshape(*centred.shape, *[1] * (values.ndim - 2))
        away = shift.reshape(-1, *[1] * (values.ndim - 2))
        return mean((values * with_reward).mean(axis=1)) - mean(values.mean(axis=1)) * away

    slope = _ratio(gram[:, 0, 1], gram[:, 1, 1])
    moved = minimal.moved(rows, counts)  # (R, p, 2)
    form, of_truth = (minimal.forms[row] for row in rows)
    by_scale = slope * covariance(truth)
    moving = slope[:, None] * moved[:, :, 1] - moved[:, :, 0]
    by_potential = slope * covariance(of_truth - truth) - covariance(form - whole)
    by_potential = by_potential + (moving * covariance(minimal.features)).sum(axis=1)

    # The covariance of e with R̂. These are products of different draws, so that X, of mean 0 over s′, does not enter.
    def marginal(draws: Floats) -> Floats:
        return mean(paired(draws, centred)) - mean(draws.mean(axis=1)) * shift

    features = (
        mean(paired(minimal.features, centred[:, :, None])) - mean(minimal.features.mean(axis=1)) * shift[:, None]
    )
    residual = marginal(form) - slope * marginal(of_truth) - (moving * features).sum(axis=1)
    parts = {"scale": by_scale, "potential": by_potential, "residual": residual}
    parts["redistribution"] = variance - by_scale - by_potential - residual
    if whole.shape[1] == 1:
        parts["redistribution"] = np.zeros_like(variance)
    without = ONE_EPISODE if episodes == 1 else ""

    def with_interval(values: Floats) -> Estimate:
        drawn, left_out = np.split(values, [resamples + 1])
        return accelerated_interval(drawn, left_out, confidence, groups=episodes, without=without)

    return SampledDecomposition(
        with_interval(slope), {name: with_interval(_ratio(parts[name], variance)) for name in PARTS}
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below in each resample; NaN where `below` is not above 0."""
    ratio: Floats = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return ratio
