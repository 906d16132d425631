"""Canonical distances and decompositions of rewards against the truth, coverage by coverage, with their calibration."""

from irl_probe.distances.measures import DistanceConfig, distances

__all__ = ["DistanceConfig", "distances"]
