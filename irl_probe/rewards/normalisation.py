"""Running normalisation of paid rewards: how large they are, kept beside a reward and saved with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.model import Floats

Normalise = Literal["none", "running", "frozen"]
NORMALISE: tuple[Normalise, ...] = get_args(Normalise)
_LEAST = 1e-12  # of the deviation, relative to the mean: below it the rewards are one number


@dataclass(frozen=True)
class Normalisation:
    """Mean and variance of the rewards paid so far; a reward is normalised by its standard deviation.

    The mean is kept and not taken off: where episodes end, a constant on top of the reward changes the best policy. A
    positive factor does not. A learner with a temperature of its own has to divide it by the same `scale`.

    Attributes:
        count: rewards seen.
        mean, variance: of those, in reward units and their square; the variance is that of the whole, not of a sample.

    Raises RewardError where they are not finite, or count or variance is negative.
    """

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.variance) and self.variance >= 0 and self.count >= 0):
            raise RewardError(
                "A normalisation must have a finite mean, a finite variance and a count, neither below 0; got "
                f"mean {self.mean}, variance {self.variance}, count {self.count}."
            )

    @property
    def scale(self) -> float:
        """What rewards are divided by: the standard deviation, or 1 where there is none (fewer than two, or equal)."""
        deviation = math.sqrt(self.variance)
        return deviation if self.count > 1 and deviation > _LEAST * abs(self.mean) else 1.0

    def updated(self, values: Floats) -> Normalisation:
        """With these rewards as well: moments of both parts joined (Chan, Golub and LeVeque 1979)."""
        if not len(values):
            return self
        mean = float(np.add.reduce(values)) / len(values)
        spread = values - mean
        count = self.count + len(values)
        shift, share = mean - self.mean, len(values) / count
        variance = (1 - share) * self.variance + share * float(np.dot(spread, spread)) / len(values)
        return Normalisation(count, self.mean + share * shift, variance + share * (1 - share) * shift**2)

    def __call__(self, values: Floats) -> Floats:
        """Rewards divided by `scale`."""
        scaled: Floats = values / self.scale
        return scaled
