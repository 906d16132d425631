"""The former module of `Interaction`, which is in irl_probe.learn.replay."""

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    from irl_probe.learn import replay

    if name not in ("Interaction", "Step"):
        raise AttributeError(f"irl_probe.learn.interaction has no name {name!r}; see irl_probe.learn.replay.")
    warnings.warn(f"{name} is in irl_probe.learn.replay. Import it from there.", DeprecationWarning, stacklevel=2)
    return getattr(replay, name)
