"""The whole chain: demonstrations, soft Q, reward, figures, report."""

from irl_probe.pipeline.comparing import compare_named, coverages, named_rewards
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.probe import Probe, probe

__all__ = ["Probe", "ProbeConfig", "compare_named", "coverages", "named_rewards", "probe"]
