"""What this library does under torch's modes: any default type, no_grad and inference mode, and after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def learns(verb: Callable[P, T]) -> Callable[P, T]:
    """`verb` with gradients, also where it is called under `torch.no_grad` or `torch.inference_mode`."""

    @wraps(verb)
    def with_gradients(*args: P.args, **kwargs: P.kwargs) -> T:
        with torch.inference_mode(False), torch.enable_grad():
            return verb(*args, **kwargs)

    return with_gradients


def use_one_thread() -> None:
    """Let torch compute in this thread alone.

    A forked process has none of its parent's threads, and torch's thread pool (OpenMP) would wait for them for ever.
    torch's own data loaders do the same in their workers.
    """
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=use_one_thread)
