"""Exact measures of rewards on tabular MDPs. docs/measures.md says which question each answers and what it ignores.

S states, A actions, P (S, A, S) with rows P[s, a] that sum to 1, rewards R (S, A, S), discount γ, all in float64.
A reward may lack the last axes if it does not depend on them: (S, A) is r(s, a), (S,) is r(s).
"""

from irl_probe.metrics.tabular.decomposition import Decomposition, decompose
from irl_probe.metrics.tabular.disentangling import Disentangled, shared_reward, state_only
from irl_probe.metrics.tabular.distances import dard, epic, npec, starc
from irl_probe.metrics.tabular.identifiability import ambiguity_dimension
from irl_probe.metrics.tabular.regrets import policy_regret, regret, soft_policy_regret, soft_regret
from irl_probe.metrics.tabular.soft import (
    recovered_reward,
    recovered_reward_per_transition,
    soft_policy,
    soft_q,
    soft_value,
)

__all__ = [
    "Decomposition",
    "Disentangled",
    "ambiguity_dimension",
    "dard",
    "decompose",
    "epic",
    "npec",
    "policy_regret",
    "recovered_reward",
    "recovered_reward_per_transition",
    "regret",
    "shared_reward",
    "soft_policy",
    "soft_policy_regret",
    "soft_q",
    "soft_regret",
    "soft_value",
    "starc",
    "state_only",
]
