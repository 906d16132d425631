"""The whole chain: demonstrations, soft Q, reward, figures, report."""

from irl_probe.pipeline.comparing import compare_named, coverages, named_rewards
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.forms import compare_forms, forms_table
from irl_probe.pipeline.probe import Probe, probe

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
