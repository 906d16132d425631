"""What can be set about transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from irl_probe._config import Config, check_confidence, check_option
from irl_probe.learn import IQConfig
from irl_probe.rewards import DistilConfig

Form = Literal["r(s)", "r(s, a)", "r(s, a, s′)", "disentangled"]
FORMS: tuple[Form, ...] = get_args(Form)
DISTILLED: Mapping[Form, tuple[Literal["state", "state-action", "transition"], bool]] = {
    "r(s)": ("state", False),
    "r(s, a)": ("state-action", False),
    "r(s, a, s′)": ("transition", False),
    "disentangled": ("state", True),  # g(s) + γh(s′) − h(s), of which g alone is carried over
}


@dataclass(frozen=True)
class TransferConfig(Config):
    """How policies are trained and judged in changed dynamics.

    Attributes:
        forms: of the distilled rewards: r(s), r(s, a), r(s, a, s′), and "disentangled", the g(s) of
            g(s) + γh(s′) − h(s) without its potential h. () distils none.
        learner: of the objective `bellman`; for policies on a reward and on the true one, with the same budget. Where
            its temperature is None a recovered reward's own α and γ are taken, and the default on the true reward. Its
            seed is replaced by those below.
        true_learner: on the true reward, where its scale asks for another temperature; None takes `learner`.
        seeds: of the learner; one policy is trained for each, in each variant, on each reward.
        episodes: of each evaluation; the policy acts deterministically.
        coverage_episodes: without transitions to distil on, so many episodes in the unchanged environment of the
            imitator, of the imitator with 30 % random actions, and of random actions.
        distil: how rewards are distilled; form and shaping are set by `forms`.
        temperature: α of exact soft policies, for rewards that do not have one of their own.
        confidence, resamples: of the bootstrap intervals over seeds.

    Raises ValueError for values that cannot be.
    """

    forms: tuple[Form, ...] = FORMS
    learner: IQConfig = field(default_factory=lambda: IQConfig(objective="bellman"))
    true_learner: IQConfig | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 20
    coverage_episodes: int = 10
    distil: DistilConfig = field(default_factory=DistilConfig)
    temperature: float = 1.0
    confidence: float = 0.95
    resamples: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        for form in self.forms:
            check_option(form, Form, "form")
        for learner in (self.learner, self.true_learner):
            if learner is not None and learner.objective != "bellman":
                raise ValueError(f"Policies learn from a reward: objective 'bellman'; got {learner.objective!r}.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"Seeds must be one or more different whole numbers from 0; got {self.seeds}.")
        if self.episodes < 1:
            raise ValueError(f"An evaluation takes at least one episode; got {self.episodes}.")
        if self.coverage_episodes < 2:
            raise ValueError(f"A coverage takes at least 2 episodes; got {self.coverage_episodes}.")
        if not self.temperature > 0:
            raise ValueError(f"The temperature must be positive; got {self.temperature}.")
        check_confidence(self.confidence, self.resamples)
