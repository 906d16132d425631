"""Shapes are checked in tests: jaxtyping's annotations of the tensor code, by beartype."""

from jaxtyping import install_import_hook

install_import_hook(
    ["irl_probe.learn.objectives", "irl_probe.softq.functions", "irl_probe.softq.networks"], "beartype.beartype"
)
