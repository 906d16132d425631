"""The settings of a probe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from irl_probe._config import Config, Count, Seed
from irl_probe.learn.config import IQConfig


@dataclass(frozen=True)
class ProbeConfig(Config):
    """How a probe is made. Raises ValueError for a value out of its bounds, naming the field."""

    demos: str | None = None
    """The demonstrations: a bundled name, a file, or "minari:<dataset id>" (default: the bundled demonstrations of the
    environment)."""
    episodes: Count | None = None
    """Learn from the first k demonstrations (default: all of them)."""
    subsample: Count = 1
    """Keep every k-th step of the demonstrations."""
    offline: bool = False
    """Learn from the demonstrations alone, without collecting steps in the environment."""
    learner: IQConfig = field(default_factory=IQConfig)
    """Settings of the learner. Its seed is replaced by that of the probe."""
    retrain_steps: Count | None = None
    """Environment steps of each retrained policy (default: that of RLConfig)."""
    retrain_seeds: Count = 3
    """How many policies are retrained, each with another seed. Fewer than three give no interval."""
    evaluation_episodes: Count = 20
    """Episodes of each evaluation of a true return."""
    rollouts: Count = 20
    """Episodes of each rolled-out coverage: learned, random, and each noise level of the mixture."""
    distances: bool = True
    """Also take the canonical distances (EPIC, DARD, STARC, ERC), where the true reward is known as a function."""
    seed: Seed = 0
    """Seed of everything."""

    def record(self) -> dict[str, Any]:
        """The settings as plain values, for the results."""
        return asdict(self)
