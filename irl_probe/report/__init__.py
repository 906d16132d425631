"""The report: a results tree as one self-contained HTML page, and its figures one by one (`irl_probe.report.plots`)."""

from irl_probe.report.page import write_report

__all__ = ["write_report"]
