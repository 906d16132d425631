"""Canonical distances and decompositions of rewards against the truth, coverage by coverage, with their calibration."""

from irl_probe.comparison.distances import DistanceConfig, distances

__all__ = ["DistanceConfig", "distances"]
