"""The settings of retraining."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from irl_probe._config import Confidence, Config, Count, Seeds
from irl_probe.learn import RLConfig

Algorithm = Literal["own", "sb3-sac", "sb3-ppo", "sb3-dqn"]


@dataclass(frozen=True)
class RetrainConfig(Config):
    """How a policy is trained on a reward.

    Raises ValueError for values out of bounds, naming the field.
    """

    learner: RLConfig = field(default_factory=RLConfig)
    """Settings of the learner. If its temperature is None, a recovered reward's own α and γ are taken: with these, the
    soft-optimal policy of the reward is the policy that it was recovered from."""


@dataclass(frozen=True)
class RetrainStudyConfig(Config):
    """How rewards are judged by retraining.

    Raises ValueError for values out of bounds, naming the field.
    """

    algorithm: Algorithm = "own"
    """own for our learner; sb3-sac, sb3-ppo or sb3-dqn for one of Stable-Baselines3, as a second opinion."""
    learner: RLConfig = field(default_factory=RLConfig)
    """Settings of our learner. Its seed is replaced by each of seeds."""
    true_learner: RLConfig | None = None
    """Settings of our learner on the true reward, whose scale may need another temperature; its steps are those of
    learner. None takes learner."""
    steps: Count | None = None
    """Environment steps of each policy (default: the learner's own; 100000 with Stable-Baselines3)."""
    seeds: Seeds = (0, 1, 2)
    """One policy is trained for each seed."""
    episodes: Count = 20
    """Episodes of each policy's evaluation, with its most likely actions; all policies start from the same states."""
    on_true_reward: bool = True
    """Train on the true reward as well, with the same budget and seeds."""
    resamples: Count = 2000
    """Resamples of the seeds, for the intervals."""
    confidence: Confidence = 0.95
    """Confidence of its intervals."""
