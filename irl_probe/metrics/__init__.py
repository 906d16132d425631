"""What a recovered reward is worth, in NumPy and SciPy alone; exact tabular measures in `irl_probe.metrics.tabular`."""

from irl_probe.metrics.bootstrap import Estimate, iqm, stratified_bootstrap
from irl_probe.metrics.correlation import Correlations, correlations
from irl_probe.metrics.ranking import ranking_agreement

__all__ = ["Correlations", "Estimate", "correlations", "iqm", "ranking_agreement", "stratified_bootstrap"]
