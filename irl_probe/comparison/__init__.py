"""The verb compare: correlations with the truth on each coverage, canonical distances, decompositions, a ranking."""

from irl_probe.comparison.distances import DistanceConfig, distances
from irl_probe.comparison.verb import CompareConfig, compare

__all__ = ["CompareConfig", "DistanceConfig", "compare", "distances"]
