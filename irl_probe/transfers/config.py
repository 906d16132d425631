"""The settings of transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from irl_probe._config import Confidence, Config, Count, Positive, Seeds, at_least
from irl_probe.learn import RLConfig
from irl_probe.rewards import DistilConfig

Form = Literal["r(s)", "r(s, a)", "r(s, a, s′)", "disentangled"]
FORMS: tuple[Form, ...] = get_args(Form)
DISTILLED: Mapping[Form, tuple[Literal["state", "state-action", "transition"], bool]] = {
    "r(s)": ("state", False),
    "r(s, a)": ("state-action", False),
    "r(s, a, s′)": ("transition", False),
    "disentangled": ("state", True),  # g(s) + γh(s′) − h(s), of which only g is carried over
}


@dataclass(frozen=True)
class TransferConfig(Config):
    """How policies are trained and judged in changed dynamics.

    Raises ValueError for values out of bounds, naming the field.
    """

    forms: tuple[Form, ...] = FORMS
    """Forms of the distilled rewards: r(s), r(s, a), r(s, a, s′), and disentangled, the g(s) of g(s) + γh(s′) − h(s)
    without its potential h. () distils none."""
    learner: RLConfig = field(default_factory=RLConfig)
    """Settings of the learner of every policy, on a reward and on the true one, with the same budget. If its
    temperature is None, a recovered reward's own α and γ are taken, and the default on the true reward. Its seed is
    replaced by each of seeds."""
    true_learner: RLConfig | None = None
    """Settings of the learner on the true reward, whose scale may need another temperature. None takes learner."""
    seeds: Seeds = (0, 1, 2)
    """One policy is trained for each seed, in each variant, on each reward."""
    episodes: Count = 20
    """Episodes of each evaluation; the policy acts deterministically."""
    coverage_episodes: Annotated[int, at_least(2)] = 10
    """Episodes to record in the unchanged environment where no transitions to distil on are given: this many of the
    imitator, of the imitator with 30 % random actions, and of random actions."""
    distil: DistilConfig = field(default_factory=DistilConfig)
    """How rewards are distilled; its form and shaping are replaced by those of forms."""
    temperature: Positive = 1.0
    """α of exact soft policies, for rewards without their own α."""
    confidence: Confidence = 0.95
    """Confidence of the intervals over seeds, which take three seeds."""
    resamples: Count = 2000
    """Resamples of the seeds, for the intervals."""
