"""Steps in one preallocated matrix, so that a batch is one gather, whatever the size of the buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from irl_probe._plain import plain_step
from irl_probe._spaces import Env, Space
from irl_probe._steps import reset_copied, step_copied
from irl_probe.envs import SimulatedStep
from irl_probe.softq import ActionScale, NetworkSpec, ObservationEncoder
from irl_probe.transitions import Transitions


class Chance(Protocol):
    """Draws s′ ~ P(·|s, a), as `envs.simulator` does."""

    def step(self, observations: np.ndarray, actions: np.ndarray) -> SimulatedStep:
        """One step from each row: observations, and actions in the environment's units."""

    def reseed(self, seed: int) -> None:
        """Draw what a new one with this seed would draw."""


@dataclass(frozen=True)
class PlainChance:
    """A `Chance` of an environment's units, for observations and actions as networks see them."""

    of: Chance
    observation_space: Space
    action_space: Space

    def step(self, observations: np.ndarray, actions: np.ndarray) -> SimulatedStep:
        """One step from each row."""
        return SimulatedStep(*plain_step((self.observation_space, self.action_space), self.of, observations, actions))

    def reseed(self, seed: int) -> None:
        """Draw what a new one with this seed would draw."""
        self.of.reseed(seed)


@dataclass(frozen=True)
class Successors:
    """Encoded s′ (batch, width), and whether the step to it terminated, 0 or 1."""

    states: Float[Tensor, "batch width"]
    terminated: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Batch:
    """Steps as an engine reads them.

    States are encoded (`ObservationEncoder`), (batch, width). Actions are indices (batch,) int64, or scaled to
    [−1, 1] (batch, dim). `terminated` is 0 or 1; `rewards` is 0 where no reward was given. `second` is another s′ of
    each (s, a), if the replay draws them.
    """

    states: Float[Tensor, "batch width"]
    actions: Shaped[Tensor, " batch *dim"]
    successors: Float[Tensor, "batch width"]
    terminated: Float[Tensor, " batch"]
    rewards: Float[Tensor, " batch"]
    second: Successors | None = None

    def __len__(self) -> int:
        return len(self.terminated)


class Replay:
    """The last `capacity` steps; sampling is uniform with replacement and costs O(batch).

    A row is [s, s′, a, terminated, reward], with s and s′ as the encoder gives them, in the encoder's precision.
    `largest_reward` is max |r| over all steps ever added. With `chance`, a batch has two independent s′ of each (s, a),
    drawn when it is sampled, in place of the stored one.
    """

    def __init__(
        self, spec: NetworkSpec, encoder: ObservationEncoder, capacity: int, chance: Chance | None = None
    ) -> None:
        self.capacity, self._encoder = capacity, encoder
        self._width = spec.input_width
        self._scale = None if spec.action_low is None else ActionScale(spec)
        self._actions = 1 if self._scale is None else len(self._scale.half)
        self.rows = torch.empty(capacity, 2 * self._width + self._actions + 2, dtype=encoder.mean.dtype)
        self.added, self.largest_reward = 0, 0.0
        self._chance = chance
        self._raw: list[np.ndarray] = []  # s and a as the environment has them, for `chance`

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        encoder: ObservationEncoder,
        transitions: Transitions,
        capacity: int | None = None,
        chance: Chance | None = None,
    ) -> Replay:
        """A buffer that holds these transitions, without their rewards: no learner reads them.

        It has room for `capacity` steps; None makes room for these alone.
        """
        replay = cls(spec, encoder, len(transitions) if capacity is None else capacity, chance)
        replay.extend(
            transitions.observations,
            transitions.actions,
            transitions.next_observations,
            transitions.terminated,
            np.zeros(len(transitions)),
        )
        return replay

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def extend(
        self,
        observations: np.ndarray,
        actions: np.ndarray,
        next_observations: np.ndarray,
        terminated: np.ndarray,
        rewards: np.ndarray,
    ) -> None:
        """Add steps, which replace the oldest once the buffer is full; actions in the environment's units."""
        count, width = len(observations), self._width
        index = torch.arange(self.added, self.added + count) % self.capacity
        block = torch.empty(count, self.rows.shape[1], dtype=self.rows.dtype)
        block[:, :width] = self._encoder(torch.as_tensor(observations))
        block[:, width : 2 * width] = self._encoder(torch.as_tensor(next_observations))
        scaled = actions if self._scale is None else self._scale.to_unit(actions)
        block[:, 2 * width : -2] = torch.as_tensor(scaled).reshape(count, -1)
        block[:, -2], block[:, -1] = torch.as_tensor(terminated), torch.as_tensor(rewards)
        self.rows[index] = block
        if self._chance is not None:
            self._keep(index.numpy(), [observations, actions])
        self.added += count
        self.largest_reward = float(np.abs(rewards).max(initial=self.largest_reward))

    def sample(self, size: int, generator: torch.Generator) -> Batch:
        """`size` steps drawn with replacement; 0 gives every step once."""
        if self._chance is None and size == 0:
            return self._unpack(self.rows[: len(self)])
        drawn = torch.randint(len(self), (size,), generator=generator) if size else torch.arange(len(self))
        batch = self._unpack(self.rows[drawn])
        if self._chance is None:
            return batch
        first, second = self._two_successors(self._chance, [raw[drawn.numpy()] for raw in self._raw], generator)
        return replace(batch, successors=first.states, terminated=first.terminated, second=second)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        raw = [torch.as_tensor(each[: len(self)]) for each in self._raw]
        return {"rows": self.rows[: len(self)], "added": self.added, "largest_reward": self.largest_reward, "raw": raw}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        if raw := [each.numpy() for each in state.get("raw", [])]:
            self._keep(np.arange(len(raw[0])), raw)
        self.rows[: len(state["rows"])] = state["rows"]
        self.added, self.largest_reward = state["added"], state["largest_reward"]

    def _keep(self, index: np.ndarray, steps: Sequence[np.ndarray]) -> None:
        """Keep s and a as they are."""
        if not self._raw:
            self._raw = [np.zeros((self.capacity, *each.shape[1:]), each.dtype) for each in steps]
        for i, each in enumerate(steps):  # whole numbers may come before fractions
            self._raw[i] = self._raw[i].astype(np.result_type(self._raw[i], each), copy=False)
            self._raw[i][index] = each

    def _two_successors(
        self, chance: Chance, steps: Sequence[np.ndarray], generator: torch.Generator
    ) -> tuple[Successors, Successors]:
        """Two independent s′ of each (s, a)."""
        chance.reseed(int(torch.randint(2**31, (), generator=generator)))
        found = [chance.step(*steps) for _ in range(2)]
        one, two = (
            Successors(
                self._encoder(torch.as_tensor(each.next_observations)).to(self.rows.dtype),
                torch.as_tensor(each.terminated, dtype=self.rows.dtype),
            )
            for each in found
        )
        return one, two

    def _unpack(self, rows: Tensor) -> Batch:
        width = self._width
        actions = rows[:, 2 * width : -2]
        return Batch(
            rows[:, :width],
            actions if self._scale is not None else actions[:, 0].long(),
            rows[:, width : 2 * width],
            rows[:, -2],
            rows[:, -1],
        )


class Counted(Replay):
    """The steps of another replay; `told` is given the number of batches drawn so far, after each of them."""

    def __init__(self, replay: Replay, told: Callable[[int], None]) -> None:
        self.__dict__ |= replay.__dict__
        self._told, self._drawn = told, 0

    def sample(self, size: int, generator: torch.Generator) -> Batch:
        """What the other replay draws."""
        batch = super().sample(size, generator)
        self._drawn += 1
        self._told(self._drawn)
        return batch


@dataclass(frozen=True)
class Step:
    """One step (s, a, s′) of an episode; `over` is True if the episode ended here, for any reason."""

    observation: np.ndarray
    action: Any
    successor: np.ndarray
    reward: float
    terminated: bool
    over: bool


class Interaction:
    """Episodes one after the other; episode i is reset with a seed drawn from (seed, i).

    So its state is the number of the episode and the actions taken in it: `restore` resets the environment and repeats
    them. This is exact for every environment that honours its reset seed.

    An episode of `episode_steps` steps is cut off there; None leaves its length to the environment.
    """

    observation: np.ndarray

    def __init__(self, env: Env, seed: int, episode_steps: int | None = None) -> None:
        self.env, self.seed, self.episode_steps = env, seed, episode_steps
        self._begin(0)

    def step(self, action: Any) -> Step:
        """Take an action; where it ends the episode, the next one is begun."""
        before, taken = self.observation, step_copied(self.env, action)
        self.actions.append(taken.action)
        over = taken.terminated or taken.truncated or len(self.actions) == self.episode_steps
        self.observation = np.asarray(taken.observation)
        step = Step(before, taken.action, self.observation, taken.reward, taken.terminated, over)
        if over:
            self._begin(self.episode + 1)
        return step

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs: plain numbers."""
        return {
            "episode": self.episode,
            "actions": [np.asarray(a).tolist() for a in self.actions],
            "observation": self.observation.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state.

        Raises ValueError where the environment does not give the same observation again.
        """
        self._begin(state["episode"])
        dtype = self.env.action_space.dtype
        for action in state["actions"]:
            self.step(np.asarray(action, dtype=dtype)[()])
        if not np.array_equal(self.observation, np.array(state["observation"], dtype=self.observation.dtype)):
            raise ValueError(
                "A run can only be resumed if the environment repeats itself, given its reset seed and actions; "
                f"{self.env} gave another observation. Start again, or make the environment honour reset(seed=)."
            )

    def _begin(self, episode: int) -> None:
        self.episode = episode
        self.actions: list[Any] = []
        seed = int(np.random.SeedSequence([self.seed, episode]).generate_state(1)[0])
        self.observation = np.asarray(reset_copied(self.env, seed=seed))
