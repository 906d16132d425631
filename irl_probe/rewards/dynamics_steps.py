"""The steps that dynamics are learned from: what they must be, and which are held out."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from irl_probe.networks import NetworkSpec
from irl_probe.rewards.errors import RewardError
from irl_probe.transitions import Transitions

LEAST_STEPS = 100


def check_steps(
    steps: Transitions,
    spec: NetworkSpec,
    observation_space: spaces.Space[object],
    action_space: spaces.Space[object],
) -> None:
    """Raises RewardError unless the steps fit the spaces and are enough for as many inputs."""
    for role, array, space in (
        ("observations", steps.observations, observation_space),
        ("actions", steps.actions, action_space),
    ):
        if array.shape[1:] != space.shape:
            raise RewardError(
                f"The {role} must be those of {space}, one row a step; got shape {array.shape}. "
                "Take the spaces of the environment that the transitions come from."
            )
    if spec.action_count is not None and not (steps.actions.min() >= 0 and steps.actions.max() < spec.action_count):
        raise RewardError(f"The actions must be in {action_space}; got {steps.actions.min()} to {steps.actions.max()}.")
    inputs = spec.input_width + (spec.action_count or len(spec.action_low or ()))
    least = max(LEAST_STEPS, 5 * inputs)
    if len(steps) < least:
        raise RewardError(
            f"Dynamics of {inputs} inputs are learned from at least {least} steps; got {len(steps)}. Record more, or "
            "take the per-transition reward (expectation='observed')."
        )


def divide(steps: Transitions, share: float) -> tuple[Transitions, Transitions]:
    """Steps to learn from and steps held out: every so-manieth episode, or the end of the only one."""
    count = len(steps.starts)
    if count == 1:
        first = len(steps) - max(1, round(share * len(steps)))
        return steps.rows(np.arange(first)), steps.rows(np.arange(first, len(steps)))
    wanted = min(count - 1, max(1, round(share * count)))
    chosen = set(np.linspace(0, count - 1, wanted, dtype=int).tolist())
    return steps.episodes([i for i in range(count) if i not in chosen]), steps.episodes(sorted(chosen))
