from .chain import Probe, probe
from .config import ProbeConfig

__all__ = ["Probe", "ProbeConfig", "probe"]
