"""What the absorbing state pays under the terminal convention `absorbing`, for discrete actions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from irl_probe.learn.config import IQConfig
from irl_probe.learn.labels import TERMINATION_RATE, absorbing_value
from irl_probe.learn.replay import Batch


class AbsorbingState:
    """V_absorbing = r_absorbing/(1 − γ), of the objective `iq`.

    χ² has it in closed form: its regulariser E[(r − target)²] over the absorbing state's steps is least at
    `absorbing_value`, and the steps into that state weigh 1 − γ as much and are left out  (after LS-IQ §3.3). It is
    worth the expert's target where only experts end, and the policy's where only policies do. The other divergences
    learn r_absorbing by gradient, on the scale of a reward: V itself would take 1/(1 − γ) times as many steps.

    Attributes:
        parameters: what the optimiser must move; none in closed form.
    """

    def __init__(self, config: IQConfig, dtype: torch.dtype) -> None:
        self.config = config
        self._reward = nn.Parameter(torch.zeros((), dtype=dtype)) if config.divergence != "chi2" else None
        self._ends = torch.zeros(2, dtype=torch.float64)  # running shares of expert and policy steps that terminate
        self.parameters: list[Tensor] = [] if self._reward is None else [self._reward]
        self._dtype = dtype

    @property
    def value(self) -> Tensor:
        """V_absorbing; it carries a gradient where it is learned by one."""
        if self._reward is not None:
            return self._reward / (1 - self.config.gamma)
        assert self.config.reward_targets is not None
        return absorbing_value(self._ends, self.config.reward_targets, self.config.gamma).to(self._dtype)

    def observe(self, expert: Batch, policy: Batch | None) -> None:
        """Take note of how many of the steps that the regulariser averages over terminate."""
        self._ends[0].lerp_(expert.terminated.double().mean(), TERMINATION_RATE)
        if policy is not None and self.config.chi2_on == "mixture":
            self._ends[1].lerp_(policy.terminated.double().mean(), TERMINATION_RATE)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"reward": None if self._reward is None else self._reward.detach(), "ends": self._ends}

    def restore(self, state: dict[str, Any]) -> None:
        """Take a checkpoint's state back."""
        self._ends.copy_(state["ends"])
        if self._reward is not None:
            with torch.no_grad():
                self._reward.copy_(state["reward"])
