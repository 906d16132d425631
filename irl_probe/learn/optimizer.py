"""AdamW by a direct call of torch's kernel: on small networks `torch.optim`'s bookkeeping costs more than the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

RECENCY = 8  # η of polynomial-decay averaging (Shamir and Zhang 2013)


class AdamW:
    """torch's fused AdamW (Loshchilov and Hutter 2019) on one group of parameters, with torch's default β and ε.

    On six small tensors `torch.optim.AdamW.step` takes about 90 µs, and the kernel that it calls 12 µs. The difference
    is a seventh of an update of a 64 × 64 network. `benchmarks/updates.py` measures both.
    """

    def __init__(self, parameters: Sequence[Tensor], *, learning_rate: float, weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(p) for p in self.parameters]
        self._squares = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [torch.zeros((), dtype=torch.float32) for _ in self.parameters]

    @property
    def steps(self) -> int:
        """The number of steps so far."""
        return int(self._steps[0].item())

    def step(self, loss: Tensor, others: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Take one step down the gradient of `loss`; returns its gradients by `others`, from the same backward pass."""
        count = len(self.parameters)
        gradients = torch.autograd.grad(loss, [*self.parameters, *others])
        with torch.no_grad():
            adamw(
                self.parameters,
                list(gradients[:count]),
                self._means,
                self._squares,
                [],
                self._steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.learning_rate,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )
        return gradients[count:]

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        for own, saved in ((self._means, "means"), (self._squares, "squares"), (self._steps, "steps")):
            for mine, theirs in zip(own, state[saved], strict=True):
                mine.copy_(theirs)


def averaging_rate(least: float, updates: int) -> float:
    """The rate of the average at update t (the first is 1): (1 + η)/(t + η), and at least `least`.

    The average covers about the last 1/(1 + η) of the updates so far, so that the beginning of a short run does not
    count. Once that is more than 1/`least` updates, it covers about the last 1/`least`.
    """
    return max(least, (1 + RECENCY) / (updates + RECENCY))
