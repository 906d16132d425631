"""The report: a results tree as one self-contained HTML page, and its figures one by one (`irl_probe.report.plots`);
and its verdict in a terminal.
"""

from irl_probe.report import plots
from irl_probe.report.page import write_report
from irl_probe.report.terminal import print_report

__all__ = ["plots", "print_report", "write_report"]
