"""Q-functions and policies as torch modules: flat networks over normalised observations."""

from irl_probe.networks.policy import (
    LOG_STD_RANGES,
    ActionScale,
    GaussianPolicy,
    squashed_gaussian,
    squashed_log_density,
)
from irl_probe.networks.q_functions import ContinuousQ, DiscreteQ, EnsembleLinear, ObservationEncoder
from irl_probe.networks.spec import ACTIVATIONS, LogStd, NetworkSpec

__all__ = [
    "ACTIVATIONS",
    "LOG_STD_RANGES",
    "ActionScale",
    "ContinuousQ",
    "DiscreteQ",
    "EnsembleLinear",
    "GaussianPolicy",
    "LogStd",
    "NetworkSpec",
    "ObservationEncoder",
    "squashed_gaussian",
    "squashed_log_density",
]
