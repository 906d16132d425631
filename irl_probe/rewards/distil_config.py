"""What can be set about distilling a reward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from irl_probe._config import Config, check_count

Form = Literal["state", "state-action", "transition"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class DistilConfig(Config):
    """How an explicit reward is fitted.

    Attributes:
        form: what g depends on: "state" for g(s), "state-action" for g(s, a), "transition" for g(s, a, s′).
        shaping: fit g + γh(s′) − h(s) with a potential h as well (AIRL's disentangled form).
        gamma: γ of the shaping; None takes the reward's own, which a plain function does not have.
        hidden: widths of the hidden layers of g and h; () is linear, or a table where states and actions are discrete,
            and is solved exactly. None is () where both are discrete and (64, 64) elsewhere.
        ridge: λ of the penalty λ‖w‖² that a linear fit or a table has beside the mean squared error. A linear fit's w
            is its weights without the constant, observations in their own units, actions scaled to [−1, 1]: what
            varies least on the coverage is held down most. A table's entries are drawn to the mean reward, the rarest
            most.
        lasso: λ of the penalty λ Σ σ_j|w_j| that a linear fit of Box observations has instead, σ_j the standard
            deviation of feature j, as a share of the smallest λ that leaves no weight: between 0 and 1. Few features
            keep a weight (copies of one share it); units do not matter.
        activation: relu, tanh or elu.
        learning_rate, steps, batch_size: of AdamW on the mean squared error, its rate falling linearly to 0.
        weight_decay: AdamW's.
        held_out: share of each coverage's episodes that is kept to say how much is explained.
        seed: of the split, the first weights and the batches.

    Raises ValueError where a value is not of its range.
    """

    form: Form = "state-action"
    shaping: bool = False
    gamma: float | None = None
    hidden: tuple[int, ...] | None = None
    ridge: float = 0.0
    lasso: float = 0.0
    activation: Literal["relu", "tanh", "elu"] = "relu"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    steps: int = 5000
    batch_size: int = 256
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("steps", 1), ("batch_size", 1), ("seed", 0)):
            check_count(getattr(self, name), least, f"DistilConfig.{name}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"DistilConfig.held_out must lie between 0 and 1, for example 0.2; got {self.held_out}.")
        if self.hidden and min(self.hidden) < 1:
            raise ValueError(f"DistilConfig.hidden must be widths of at least 1, or (); got {self.hidden}.")
        if self.gamma is not None and not 0 <= self.gamma < 1:
            raise ValueError(f"DistilConfig.gamma must lie in [0, 1); got {self.gamma}. Use one such as 0.99.")
        if not 0 <= self.ridge < math.inf:
            raise ValueError(
                f"DistilConfig.ridge must be zero or more, and finite; got {self.ridge}. Use one such as 0.3."
            )
        if not 0 <= self.lasso < 1:
            raise ValueError(
                "DistilConfig.lasso must be at least 0 and below 1, where no weight is left; got "
                f"{self.lasso}. Use one such as 0.3."
            )
        if self.ridge and self.lasso:
            raise ValueError(f"Give ridge or lasso, not both; got ridge={self.ridge} and lasso={self.lasso}.")
        if self.penalty is not None and self.hidden:
            raise ValueError(self.unfit_penalty(self.hidden))
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ValueError(
                "DistilConfig.learning_rate must be positive and weight_decay not negative; got "
                f"{self.learning_rate} and {self.weight_decay}."
            )

    @property
    def penalty(self) -> str | None:
        """The one of the linear fit's penalties that is set, if any."""
        return "ridge" if self.ridge else "lasso" if self.lasso else None

    def unfit_penalty(self, hidden: tuple[int, ...]) -> str:
        """What is said of the penalty where the fit is no linear one."""
        name = self.penalty
        value = f"{name}={getattr(self, str(name))}"
        return (
            f"A {name} needs a linear fit; got {value} with hidden={hidden}. Give hidden=() (on the command line "
            f"--hidden with no number after it), or {name}=0; a network has weight_decay."
        )
