"""The closed options of the objectives; nothing here needs torch, so that a configuration is quick to load."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

Divergence = Literal["chi2", "kl", "hellinger", "js", "tv", "w1"]
ValueTerm = Literal["initial", "expert", "mixture", "expert_states"]
Chi2On = Literal["expert", "mixture"]


def check_option(value: str, options: object, name: str) -> None:
    """Raises ValueError unless `value` is one of the Literal `options`; suggests the near miss."""
    known = [str(option) for option in get_args(options)]
    if value not in known:
        near = get_close_matches(str(value), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.{hint}")


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
