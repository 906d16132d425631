"""The objective of a run as one object: its loss for any engine, the parameters it learns, and its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from irl_probe.learn.config import ResolvedIQ, ResolvedRL, ValueTerm
from irl_probe.learn.labels import CloneRewards, GivenRewards, LabelRewards, Memoryless, Rewards, label_rewards
from irl_probe.learn.objectives import SecondSuccessor, StepValues, inverse_soft_bellman, iq_loss
from irl_probe.learn.replay import Batch, Replay
from irl_probe.softq import GaussianPolicy

Starts = Float[Tensor, "starts width"]
Scalar = Float[Tensor, ""]


class Critic(Protocol):
    """What a loss needs from an engine. Batches are the expert's steps, where there are any, then the policy's."""

    def step_values(
        self,
        batches: Sequence[Batch],
        starts: Starts,
        generator: torch.Generator,
        *,
        term: ValueTerm,
        observation_only: bool,
    ) -> tuple[list[list[StepValues]], Float[Tensor, " starts"]]:
        """Q and V wherever `iq_loss` asks for them, by batch and critic, and V of the initial states."""

    def bellman_error(
        self,
        batches: Sequence[Batch],
        rewards: Float[Tensor, " batch"],
        terminal_value: Scalar | None,
        generator: torch.Generator,
    ) -> Scalar:
        """How far Q is from the soft Bellman backup of these rewards."""

    def lipschitz_penalty(
        self,
        batches: Sequence[Batch],
        terminal_value: Scalar | None,
        generator: torch.Generator,
        *,
        observation_only: bool,
    ) -> Scalar:
        """The penalty on the gradient of r = Q − γV(s′) with respect to its input."""

    def cloning_loss(self, expert: Batch) -> Scalar:
        """−E_{ρE}[log π(a|s)]."""


class Loss(Protocol):
    """An objective: `parameters` are learned with the critics; `observation_only` as in `IQConfig`."""

    parameters: list[nn.Parameter]
    observation_only: bool

    @property
    def terminal_value(self) -> Tensor | None: ...
    def __call__(
        self, critic: Critic, batches: Sequence[Batch], starts: Starts, generator: torch.Generator
    ) -> Tensor: ...
    def is_saddle(self, batches: Sequence[Batch]) -> bool: ...
    def observe(self, batches: Sequence[Batch]) -> None: ...
    def take_clone(self, actor: GaussianPolicy, expert: Replay, updates: int, generator: torch.Generator) -> None: ...
    def clone_values(self, states: Tensor, actions: Tensor) -> Tensor | None: ...
    def anneal(self, share: float) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


def loss_of(config: ResolvedIQ | ResolvedRL, dtype: torch.dtype, actor: GaussianPolicy | None = None) -> Loss:
    """The config's objective. `csil` clones the expert by a policy like `actor`; `dtype` is the networks'."""
    if isinstance(config, ResolvedRL):
        return Regression(GivenRewards(), observation_only=False)
    if config.objective in ("iq", "rize"):
        return Inverse(config, dtype)
    if config.objective == "bc":
        return Cloning(observation_only=config.observation_only)
    if config.objective == "csil":
        if actor is None:
            raise ValueError("The objective 'csil' pays the log density of a cloned policy; it needs an actor.")
        return Regression(CloneRewards(actor, config), observation_only=config.observation_only)
    labels = LabelRewards(config.reward_targets, config.gamma, absorbing=config.terminal == "absorbing")
    if config.objective == "lsiq" and config.expert_target == "fixed":
        return FixedExpert(labels, observation_only=config.observation_only)
    return Regression(labels, observation_only=config.observation_only)


def second_of(batch: Batch, values: Float[Tensor, " batch"]) -> SecondSuccessor | None:
    """V at the second s′ of a batch, from V̄ there, which has no value after the end; None where it has no second."""
    if batch.second is None:
        return None
    return SecondSuccessor(values * (1 - batch.second.terminated), batch.second.terminated)


class Inverse(Memoryless):
    """`iq` and `rize`: `iq_loss`, a function of r = Q − γV(s′) and V.

    With the terminal convention `absorbing` it learns r_absorbing by gradient descent; V_absorbing itself would take
    1/(1 − γ) times as many steps. `rize` moves the reward targets at each update.
    """

    def __init__(self, config: ResolvedIQ, dtype: torch.dtype) -> None:
        self.settings, self.observation_only = config.settings(), config.observation_only
        absorbing = config.terminal == "absorbing"
        self.parameters = [nn.Parameter(torch.zeros((), dtype=dtype))] if absorbing else []
        self._penalty = config.gradient_penalty if config.divergence == "w1" else None
        self._target_step = config.target_step if config.objective == "rize" else None

    @property
    def targets(self) -> tuple[float, float]:
        """The reward targets of expert and policy steps."""
        return self.settings.reward_targets

    @property
    def terminal_value(self) -> Tensor | None:
        """V_absorbing = r_absorbing/(1 − γ); None with the convention `zero`."""
        return self.parameters[0] / (1 - self.settings.gamma) if self.parameters else None

    def __call__(self, critic: Critic, batches: Sequence[Batch], starts: Starts, generator: torch.Generator) -> Tensor:
        """`iq_loss` averaged over the critics, with the gradient penalty of w1."""
        settings, end = self.settings, self.terminal_value
        steps, initial_value = critic.step_values(
            batches, starts, generator, term=settings.value_term, observation_only=self.observation_only
        )
        if self._target_step is not None:
            self.move_targets([inverse_soft_bellman(of[0], settings.gamma, end).detach() for of in steps])
        policy_steps = steps[1] if len(steps) > 1 else [None] * len(steps[0])
        losses = [
            iq_loss(of_expert, of_policy, initial_value, end, settings)
            for of_expert, of_policy in zip(steps[0], policy_steps, strict=True)
        ]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        if self._penalty is not None:
            penalty = critic.lipschitz_penalty(batches, end, generator, observation_only=self.observation_only)
            loss = loss + self._penalty * penalty
        return loss

    def is_saddle(self, batches: Sequence[Batch]) -> bool:
        """Whether the policy's actions enter the loss only through the mean of V(s) over the states of all batches.

        Then the critics minimise and the policy maximises the same J(Q, π) (IQ-Learn eq. 8), and one backward pass
        gives both gradients: the policy's step needs no second pass through the critics.
        """
        term = self.settings.value_term
        everywhere = term == "mixture" or (term == "expert" and len(batches) == 1)
        alike = len({len(batch) for batch in batches}) == 1
        return everywhere and alike and not self.observation_only

    def move_targets(self, rewards: list[Float[Tensor, " batch"]]) -> None:
        """λ ← λ + η(E[r] − λ) for expert and policy: RIZE's own targets of the regulariser E[(r − λ)²]."""
        means = [reward.mean().item() for reward in rewards]
        if len(means) == 2 and self._target_step is not None:
            step = self._target_step
            expert, policy = (t + step * (m - t) for t, m in zip(self.targets, means, strict=True))
            self.settings = replace(self.settings, reward_targets=(expert, policy))

    def state(self) -> dict[str, Any]:
        """The targets and r_absorbing."""
        return {"targets": self.targets, "absorbing_reward": [each.detach() for each in self.parameters]}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the targets and r_absorbing."""
        self.settings = replace(self.settings, reward_targets=state["targets"])
        with torch.no_grad():
            for mine, saved in zip(self.parameters, state["absorbing_reward"], strict=True):
                mine.copy_(saved)


class Regression:
    """Q regressed on rewards: given ones, the labels of `sqil` and bootstrapped `lsiq`, or the clone's (`csil`)."""

    def __init__(self, rewards: Rewards, *, observation_only: bool) -> None:
        self.rewards, self.observation_only = rewards, observation_only
        self.parameters: list[nn.Parameter] = []
        self.observe, self.anneal = rewards.observe, rewards.anneal
        self.take_clone, self.clone_values = rewards.take_clone, rewards.clone_values
        self.state, self.restore = rewards.state, rewards.restore

    @property
    def terminal_value(self) -> Tensor | None:
        """V_absorbing in closed form; None with the convention `zero`."""
        return self.rewards.terminal_value

    def __call__(self, critic: Critic, batches: Sequence[Batch], starts: Starts, generator: torch.Generator) -> Tensor:
        """The soft Bellman error."""
        return critic.bellman_error(batches, self.rewards(batches), self.terminal_value, generator)

    def is_saddle(self, batches: Sequence[Batch]) -> bool:
        """Never: the loss does not read V(s)."""
        return False


class FixedExpert(Regression):
    """`lsiq`: Q of the expert's steps regressed on r_E/(1 − γ), the value of its label for ever; LS-IQ's fixed target.

    It is the target of a step into an absorbing state that pays r_E. The policy's steps keep their bootstrapped target
    r_π + γ[(1 − d)·V̄(s′) + d·V_absorbing]. Each step weighs the same  (Al-Hafez et al. 2023; `loss_mode_exp="fix"` in
    their code, where in most experiments V of all states takes the policy's target, and here Q of the policy's steps).
    """

    def __init__(self, rewards: LabelRewards, *, observation_only: bool) -> None:
        super().__init__(rewards, observation_only=observation_only)
        self._labels = rewards.targets
        self._highest = torch.tensor(rewards.targets[0] / (1 - rewards.gamma), dtype=torch.float64)

    def __call__(self, critic: Critic, batches: Sequence[Batch], starts: Starts, generator: torch.Generator) -> Tensor:
        """The expert's squared error and the policy's soft Bellman error, averaged over all steps."""
        (expert, *others), count = batches, sum(map(len, batches[1:]))
        paid = label_rewards(len(batches[0]), count, self._labels, expert.states)
        of_expert, of_policy = torch.tensor_split(paid, [len(expert)])
        endless = replace(expert, terminated=torch.ones_like(expert.terminated))
        error = critic.bellman_error([endless], of_expert, self._highest.to(paid.dtype), generator)
        if not others:
            return error
        share = count / len(paid)
        bootstrapped = critic.bellman_error(others, of_policy, self.terminal_value, generator)
        return (1 - share) * error + share * bootstrapped


class Cloning(Memoryless):
    """`bc`: the policy is cloned from the expert's steps, the first batch."""

    terminal_value = None

    def __init__(self, *, observation_only: bool) -> None:
        self.observation_only = observation_only
        self.parameters: list[nn.Parameter] = []

    def __call__(self, critic: Critic, batches: Sequence[Batch], starts: Starts, generator: torch.Generator) -> Tensor:
        """−E_{ρE}[log π(a|s)]."""
        return critic.cloning_loss(batches[0])

    def is_saddle(self, batches: Sequence[Batch]) -> bool:
        """Never: there is no critic to learn."""
        return False
