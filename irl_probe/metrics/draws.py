"""Successors for the canonical forms that follow the environment's dynamics, drawn once for all rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irl_probe.metrics.terms import Batch, Bools
from irl_probe.transitions import Transitions

Step = Callable[[Batch, Batch], tuple[Batch, Bools]]
"""(observations (N, ...), actions (N, ...)) → (successors (N, ...), whether the MDP ended there (N,))."""


@dataclass(frozen=True)
class Dynamics:
    """How E over s′ is taken: a step from any state and action.

    Attributes:
        name: what results call it: "simulator", "learned model", ...
        step: draws one successor a row.
        deterministic: whether the successor is a function of (s, a), so that one draw is the exact expectation.
    """

    name: str
    step: Step
    deterministic: bool


@dataclass(frozen=True)
class Draws:
    """For each of N steps L independent draws, each over J actions of d_A.

    With L = 1 they are taken for exact (all actions, deterministic dynamics); products of means then use squares, else
    products of different draws, which have no bias. Make it with `draw`.

    Attributes:
        steps: the N steps.
        actions: (N, L, J, ...).
        after: s → S′ under those actions, (N, L, J, ...), and whether the MDP ended there, (N, L, J).
        beyond: s′ → S″ under the same actions, (N, L, J, ...).
        own: (N, L′, ...) successors of the step's own (s, a), the observed one first, and whether the MDP ended there.
        name: of the dynamics.
    """

    steps: Transitions
    actions: Batch
    after: Batch
    after_ended: Bools
    beyond: Batch
    own: Batch
    own_ended: Bools
    name: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, L, J)."""
        count, draws, actions = self.after_ended.shape
        return count, draws, actions


def draw(
    steps: Transitions,
    dynamics: Dynamics,
    *,
    actions: Batch | Callable[[int, np.random.Generator], Batch],
    draws: int = 4,
    seed: int | np.random.Generator = 0,
) -> Draws:
    """Draw successors at every step.

    Args:
        steps: N steps.
        dynamics: a step of the environment, or of a model of it.
        actions: all actions of a discrete space (A,), so that E over d_A is exact, or a function (n, rng) → (n, ...)
            that draws n of them.
        draws: L where something is random, at least 2: double sampling.
        seed: an int or a Generator, for the actions. `dynamics` has a seed of its own.

    Raises ValueError where `draws` is below 2 though the dynamics or the actions are random.
    """
    exact = dynamics.deterministic and not callable(actions)
    if draws < 2 and not exact:
        raise ValueError(
            f"Unbiased products of means need at least 2 draws of each successor (double sampling); got {draws}."
        )
    rng = np.random.default_rng(seed)
    count, length = len(steps), 1 if exact else draws
    if callable(actions):
        chosen = actions(count * length, rng)
        chosen = chosen.reshape(count, length, 1, *chosen.shape[1:])
    else:
        chosen = np.broadcast_to(actions, (count, length, *actions.shape))

    def successors(states: Batch, under: Batch) -> tuple[Batch, Bools]:
        shape = under.shape[: under.ndim - (steps.actions.ndim - 1)]
        repeated = np.repeat(states, int(np.prod(shape[1:])), axis=0)
        found, ended = dynamics.step(repeated, under.reshape(-1, *steps.actions.shape[1:]))
        return found.reshape(*shape, *states.shape[1:]), np.asarray(ended, dtype=bool).reshape(shape)

    after, after_ended = successors(steps.observations, chosen)
    beyond, _ = successors(steps.next_observations, chosen)
    own, own_ended = steps.next_observations[:, None], steps.terminated[:, None]
    if not dynamics.deterministic:
        again = np.repeat(steps.actions[:, None], draws - 1, axis=1)
        drawn, ended = successors(steps.observations, again)
        own, own_ended = np.concatenate([own, drawn], axis=1), np.concatenate([own_ended, ended], axis=1)
    return Draws(steps, chosen, after, after_ended, beyond, own, own_ended, dynamics.name)
