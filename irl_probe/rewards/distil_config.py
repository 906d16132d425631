"""The config of distil; the command line reads it without loading torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from irl_probe._config import Config, Count, Must, NotNegative, Seed, Widths

Form = Literal["state", "state-action", "transition"]
FORMS: tuple[Form, ...] = get_args(Form)

Gamma = Annotated[float, Must(lambda gamma: 0 <= gamma < 1, "lie in [0, 1), such as 0.99")]
Ridge = Annotated[float, Must(lambda ridge: 0 <= ridge < math.inf, "be zero or more, and finite, such as 0.3")]
Lasso = Annotated[
    float, Must(lambda lasso: 0 <= lasso < 1, "be at least 0 and below 1, where no weight is left, such as 0.3")
]
LearningRate = Annotated[float, Must(lambda rate: rate > 0, "be positive (such as 0.001)")]
HeldOut = Annotated[float, Must(lambda share: 0 < share < 1, "lie between 0 and 1, for example 0.2")]


@dataclass(frozen=True)
class DistilConfig(Config):
    """How an explicit reward is fitted. Raises ValueError where a value is out of its range."""

    form: Form = "state-action"
    """What g depends on: "state" for g(s), "state-action" for g(s, a), "transition" for g(s, a, s′)."""
    shaping: bool = False
    """Fit g + γh(s′) − h(s) with a potential h as well (AIRL's disentangled form)."""
    gamma: Gamma | None = None
    """γ of the shaping (default: the reward's own, which a plain function does not have)."""
    hidden: Widths | None = None
    """Widths of the hidden layers of g and h. () is solved exactly: it is linear, or a table where states and actions
    are discrete (default: () where both are discrete, (64, 64) elsewhere)."""
    ridge: Ridge = 0.0
    """λ of the penalty λ‖w‖² that a linear fit adds to the mean squared error. w holds the weights without the
    constant, with observations in their own units and actions scaled to [−1, 1]; it shrinks most for features that vary
    least on the coverage. A table's entries shrink towards the mean reward, the rarest most."""
    lasso: Lasso = 0.0
    """λ of a linear fit's penalty λ Σ σ_j|w_j| on Box observations, σ_j the standard deviation of feature j, as a share
    of the smallest λ that leaves no weight. Few features keep a weight (copies share it); units do not matter."""
    activation: Literal["relu", "tanh", "elu"] = "relu"
    """Activation after each hidden layer."""
    learning_rate: LearningRate = 1e-3
    """Learning rate of AdamW on the mean squared error; it falls linearly to 0."""
    weight_decay: NotNegative = 1e-4
    """Weight decay of AdamW."""
    steps: Count = 5000
    """Gradient steps of AdamW."""
    batch_size: Count = 256
    """Transitions in the batch of a gradient step."""
    held_out: HeldOut = 0.2
    """Share of each coverage's episodes that is held out, to measure the variance explained."""
    seed: Seed = 0
    """Seed of the split, the initial weights and the batches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ridge and self.lasso:
            raise ValueError(f"Give ridge or lasso, not both; got ridge={self.ridge} and lasso={self.lasso}.")
        if self.penalty is not None and self.hidden:
            raise ValueError(self.unfit_penalty(self.hidden))

    @property
    def penalty(self) -> str | None:
        """The name of the penalty that is set, if any."""
        return "ridge" if self.ridge else "lasso" if self.lasso else None

    def unfit_penalty(self, hidden: tuple[int, ...]) -> str:
        """The error for a penalty where the fit is not linear."""
        name = self.penalty
        value = f"{name}={getattr(self, str(name))}"
        return (
            f"A {name} needs a linear fit; got {value} with hidden={hidden}. Give hidden=() (on the command line "
            f"--hidden with no number after it), or {name}=0; a network has weight_decay."
        )
