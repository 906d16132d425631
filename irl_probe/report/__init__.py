"""The report: a results tree as one self-contained HTML page, or its verdict in a terminal.

`irl_probe.report.plots` draws the page's figures one by one.
"""

from irl_probe.report import plots
from irl_probe.report.page import write_report
from irl_probe.report.terminal import print_report

__all__ = ["plots", "print_report", "write_report"]
