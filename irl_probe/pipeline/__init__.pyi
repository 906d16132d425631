from .config import ProbeConfig
from .coverages import compare_named, coverages, named_rewards, noisy_rollouts
from .forms import compare_forms, distil_named, forms_table
from .probing import Probe, probe

__all__ = [
    "Probe",
    "ProbeConfig",
    "compare_forms",
    "compare_named",
    "coverages",
    "distil_named",
    "forms_table",
    "named_rewards",
    "noisy_rollouts",
    "probe",
]
