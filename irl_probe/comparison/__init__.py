"""The verb compare: correlations with the truth on each coverage, canonical distances, decompositions, a ranking."""

from irl_probe.comparison.distances import (
    REFERENCES,
    SIZES,
    DistanceConfig,
    distances,
    evenly,
    reward_terms,
    rolled_steps,
)
from irl_probe.comparison.verb import CompareConfig, compare

__all__ = [
    "REFERENCES",
    "SIZES",
    "CompareConfig",
    "DistanceConfig",
    "compare",
    "distances",
    "evenly",
    "reward_terms",
    "rolled_steps",
]
