"""Q-functions and policies as torch modules: flat networks over normalised observations."""

from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ
from irl_probe.softq.networks import (
    ACTIVATIONS,
    LOG_STD_RANGES,
    ActionScale,
    ContinuousQ,
    DiscreteQ,
    EnsembleLinear,
    GaussianPolicy,
    LogStd,
    NetworkSpec,
    ObservationEncoder,
    squashed_gaussian,
    squashed_log_density,
)

__all__ = [
    "ACTIVATIONS",
    "LOG_STD_RANGES",
    "ActionScale",
    "ContinuousQ",
    "ContinuousSoftQ",
    "DiscreteQ",
    "DiscreteSoftQ",
    "EnsembleLinear",
    "GaussianPolicy",
    "LogStd",
    "NetworkSpec",
    "ObservationEncoder",
    "squashed_gaussian",
    "squashed_log_density",
]
