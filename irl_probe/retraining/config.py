"""What can be set about retraining."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from irl_probe._config import Config, check_confidence
from irl_probe.learn import IQConfig

Learner = Literal["own", "sb3-sac", "sb3-ppo", "sb3-dqn"]


@dataclass(frozen=True)
class RetrainConfig(Config):
    """How a policy is trained on a reward.

    Attributes:
        learner: of the objective `bellman`. Where its temperature is None, a recovered reward's own α and γ are taken:
            at those the soft-optimal policy of the reward is the one that it was recovered from.

    Raises ValueError for a learner of another objective.
    """

    learner: IQConfig = field(default_factory=lambda: IQConfig(objective="bellman"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learner.objective != "bellman":
            raise ValueError(f"Retraining learns from a reward: objective 'bellman'; got {self.learner.objective!r}.")


@dataclass(frozen=True)
class RetrainStudyConfig(Config):
    """How rewards are judged by retraining.

    Attributes:
        learner: "own" for our engine; "sb3-sac", "sb3-ppo" or "sb3-dqn" for Stable-Baselines3's, as a second opinion.
        config: of our engine; objective `bellman`. Its seed is replaced by each of `seeds`.
        true_config: of our engine on the true reward, where its scale asks for another temperature; its steps are
            those of `config`. None takes `config`.
        steps: environment steps of each policy; None takes `config`'s, or 100 000 with Stable-Baselines3.
        seeds: one policy for each.
        episodes: with the most likely actions, for each policy's true return; the same starts for all.
        on_true_reward: train on the true reward as well, with the same budget and seeds.
        resamples, confidence: of the stratified bootstrap over seeds.

    Raises ValueError where a value is not of its range.
    """

    learner: Learner = "own"
    config: IQConfig = field(default_factory=lambda: IQConfig(objective="bellman"))
    true_config: IQConfig | None = None
    steps: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 20
    on_true_reward: bool = True
    resamples: int = 2000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        for config in (self.config, self.true_config):
            if config is not None:
                RetrainConfig(config)
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"A study needs at least one seed, each 0 or more and only once; got {self.seeds}.")
        if self.episodes < 1 or (self.steps is not None and self.steps < 1):
            raise ValueError(f"Steps and episodes must be at least 1; got {self.steps} and {self.episodes}.")
        check_confidence(self.confidence, self.resamples)
