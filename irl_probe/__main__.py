"""`python -m irl_probe` is the command `irl-probe`."""

from irl_probe.cli import main

main()
