"""What can be set about a probe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from irl_probe._config import Config, check_count
from irl_probe.learn.config import IQConfig


@dataclass(frozen=True)
class ProbeConfig(Config):
    """How a probe is made.

    Attributes:
        demos: what to learn from: a bundled name, a file or "minari:..."; None takes the bundled demonstrations of the
            environment.
        episodes: the first so many demonstrations; None takes all.
        subsample: keep every so-manieth step.
        offline: learn from the demonstrations alone, without steps of the policy's own.
        learner: see `IQConfig`.
        retrain_steps: environment steps of each retrained policy; None takes its default.
        retrain_seeds: how many policies are retrained, each from its own seed.
        evaluation_episodes: episodes for every true return.
        rollouts: episodes of each coverage that is rolled out (learned, random, and each noise level of the mixture).
        distances: also take the canonical distances (EPIC, DARD, STARC, ERC), where the true reward can be asked off
            the data.
        seed: of everything.

    Raises ValueError for counts below 1 and a seed below 0.
    """

    demos: str | None = None
    episodes: int | None = None
    subsample: int = 1
    offline: bool = False
    learner: IQConfig = field(default_factory=IQConfig)
    retrain_steps: int | None = None
    retrain_seeds: int = 2
    evaluation_episodes: int = 20
    rollouts: int = 20
    distances: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("subsample", "retrain_seeds", "evaluation_episodes", "rollouts"):
            check_count(getattr(self, name), 1, f"ProbeConfig.{name}")
        for name in ("episodes", "retrain_steps"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), 1, f"ProbeConfig.{name}")
        check_count(self.seed, 0, "ProbeConfig.seed")

    def record(self) -> dict[str, Any]:
        """As plain values, for the results."""
        return asdict(self)
