from .comparing import compare_named, coverages, named_rewards
from .config import ProbeConfig
from .forms import compare_forms, forms_table
from .probing import Probe, probe

__all__ = [
    "Probe",
    "ProbeConfig",
    "compare_forms",
    "compare_named",
    "coverages",
    "forms_table",
    "named_rewards",
    "probe",
]
