"""What a recovered reward is worth, in NumPy and SciPy alone; exact tabular measures in `irl_probe.metrics.tabular`."""

from irl_probe.metrics.bootstrap import Estimate, iqm, stratified_bootstrap
from irl_probe.metrics.correlation import Correlations, correlations
from irl_probe.metrics.draws import Draws, Dynamics, Evaluations, draw, evaluate_on_draws, off_support
from irl_probe.metrics.epic import EpicForms, epic_forms
from irl_probe.metrics.ranking import episode_return_distance, ranking_agreement
from irl_probe.metrics.sampled_decomposition import SampledDecomposition, decompose_sample
from irl_probe.metrics.starc import StarcForms, starc_forms
from irl_probe.metrics.tabular.identifiability import sampled_ambiguity_dimension
from irl_probe.metrics.terms import RewardTerms, random_network, state_features

__all__ = [
    "Correlations",
    "Draws",
    "Dynamics",
    "EpicForms",
    "Estimate",
    "Evaluations",
    "RewardTerms",
    "SampledDecomposition",
    "StarcForms",
    "correlations",
    "decompose_sample",
    "draw",
    "epic_forms",
    "episode_return_distance",
    "evaluate_on_draws",
    "iqm",
    "off_support",
    "random_network",
    "ranking_agreement",
    "sampled_ambiguity_dimension",
    "starc_forms",
    "state_features",
    "stratified_bootstrap",
]
