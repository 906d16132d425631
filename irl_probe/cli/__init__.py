"""The command line `irl-probe`: one sub-command a verb."""

from irl_probe.cli.main import main
from irl_probe.cli.verbs import VERBS

__all__ = ["VERBS", "main"]
