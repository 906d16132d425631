"""The closed options of the objectives; nothing here needs torch, so that a configuration is quick to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from irl_probe.configs import check_option

Divergence = Literal["chi2", "kl", "hellinger", "js", "tv", "w1"]
ValueTerm = Literal["initial", "expert", "mixture", "expert_states"]
Chi2On = Literal["expert", "mixture"]


@dataclass(frozen=True)
class IQSettings:
    """The options of `iq_loss`; `irl_probe.IQConfig` says what each means."""

    gamma: float
    divergence: Divergence
    value_term: ValueTerm
    chi2_on: Chi2On
    chi2_c: float
    reward_targets: tuple[float, float]
    reward_bound: float
    max_weight: float

    def __post_init__(self) -> None:
        check_option(self.chi2_on, Chi2On, "chi2_on")
