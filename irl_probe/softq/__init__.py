"""Q-functions and policies as torch modules: flat networks over normalised observations."""

from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ
from irl_probe.softq.modes import learns
from irl_probe.softq.networks import (
    ACTIVATIONS,
    LOG_STD_RANGES,
    ActionScale,
    ContinuousQ,
    DiscreteQ,
    EnsembleLinear,
    GaussianPolicy,
    LogStd,
    Network,
    NetworkSpec,
    ObservationEncoder,
    squashed_gaussian,
    squashed_log_density,
    standardisation,
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
    "Network",
    "NetworkSpec",
    "ObservationEncoder",
    "learns",
    "squashed_gaussian",
    "squashed_log_density",
    "standardisation",
]
