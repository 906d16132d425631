"""Measures of a recovered reward, in NumPy and SciPy alone; the exact ones are in `irl_probe.metrics.tabular`."""

from irl_probe.metrics.bootstrap import (
    OVER_SEEDS,
    Estimate,
    accelerated_interval,
    iqm,
    jackknife_counts,
    percentile_interval,
    resample_counts,
    seed_interval,
    stratified_bootstrap,
)
from irl_probe.metrics.correlation import CONTROLS, LEVELS, METRICS, Correlations, correlations
from irl_probe.metrics.dard import DardForms, dard_forms
from irl_probe.metrics.draws import Dynamics, PolicySteps, Successors, draw_successors, follow, off_support
from irl_probe.metrics.epic import EpicForms, epic_forms
from irl_probe.metrics.ranking import discounted_returns, episode_return_distance, ranking_agreement
from irl_probe.metrics.rollouts import roll_out
from irl_probe.metrics.sampled_decomposition import SampledDecomposition, decompose_sample
from irl_probe.metrics.starc import StarcForms, StarcSample, starc_forms, starc_sample
from irl_probe.metrics.tabular.identifiability import sampled_ambiguity_dimension
from irl_probe.metrics.terms import RewardTerms, random_network, state_features

__all__ = [
    "CONTROLS",
    "LEVELS",
    "METRICS",
    "OVER_SEEDS",
    "Correlations",
    "DardForms",
    "Dynamics",
    "EpicForms",
    "Estimate",
    "PolicySteps",
    "RewardTerms",
    "SampledDecomposition",
    "StarcForms",
    "StarcSample",
    "Successors",
    "accelerated_interval",
    "correlations",
    "dard_forms",
    "decompose_sample",
    "discounted_returns",
    "draw_successors",
    "epic_forms",
    "episode_return_distance",
    "follow",
    "iqm",
    "jackknife_counts",
    "off_support",
    "percentile_interval",
    "random_network",
    "ranking_agreement",
    "resample_counts",
    "roll_out",
    "sampled_ambiguity_dimension",
    "seed_interval",
    "starc_forms",
    "starc_sample",
    "state_features",
    "stratified_bootstrap",
]
