"""The ways to take E over the successor s′ in r(s, a) = Q(s, a) − γ E[V(s′)]."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from irl_probe._plain import plain_step, uniform_actions
from irl_probe._spaces import Env, Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.demos import record_demos
from irl_probe.envs import Simulator, TabularMDP, TabularSimulator, make_env, simulator
from irl_probe.envs.simulator import EnvSimulator
from irl_probe.rewards.protocol import RewardError

CHECKED = 32  # steps of an episode by which two simulators are compared
TRANSITION = "expectation.transition"  # the name of P(s′ | s, a) among the weights of a saved reward

Kind = Literal["per-transition", "marginal"]
ValueAfter = Callable[[Array, Bools], Floats]
"""(s′, terminated) → (N,): V(s′), or the value of the absorbing state where the MDP ended."""


class Expectation(Protocol):
    """E over s′ of a value of s′, with its standard error.

    `name` is its label in artifacts and results. `kind` says which reward it gives: "per-transition" (a function of
    the observed s′) or "marginal" (a function of s and a alone). Arrays are as networks see them: indices that count
    from 0, and flat observations of a Dict or Tuple space.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    def __call__(
        self, value: ValueAfter, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> tuple[Floats, Floats]: ...


@runtime_checkable
class SavedExpectation(Expectation, Protocol):
    """An expectation that can be saved with its reward, as a description and tensors."""

    def spec(self) -> dict[str, object]: ...
    def tensors(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class ObservedSuccessor:
    """The value of the observed s′, without an expectation, so the reward is r(s, a, s′)."""

    name: ClassVar[str] = "observed"
    kind: ClassVar[Kind] = "per-transition"

    def __call__(
        self, value: ValueAfter, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> tuple[Floats, Floats]:
        return value(next_observations, terminated), np.zeros(len(next_observations))

    def spec(self) -> dict[str, object]:
        """Its description in reward.json."""
        return {"name": self.name}

    def tensors(self) -> dict[str, Tensor]:
        """None: it has no weights."""
        return {}


@dataclass(frozen=True, eq=False)
class ExactExpectation:
    """Σ_s′ P(s′ | s, a) V(s′) on a tabular MDP without terminal states (`envs.TabularMDP`), in float64.

    Attributes:
        transition: (S, A, S), P(s′ | s, a).

    Raises RewardError unless each row of `transition` is a distribution over S states (to 1e-9).
    """

    transition: Floats
    name: ClassVar[str] = "exact"
    kind: ClassVar[Kind] = "marginal"

    def __post_init__(self) -> None:
        p = np.array(self.transition, dtype=np.float64)
        if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
            raise RewardError(f"'transition' must have shape (S, A, S), P(s′ | s, a); got {p.shape}.")
        if not ((p >= 0).all() and np.allclose(p.sum(axis=2), 1.0, rtol=0, atol=1e-9)):
            raise RewardError("Each row of 'transition' must be a distribution over s′: none negative or NaN, sum 1.")
        p.flags.writeable = False
        object.__setattr__(self, "transition", p)

    def __call__(
        self, value: ValueAfter, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> tuple[Floats, Floats]:
        states = len(self.transition)
        values = value(np.arange(states), np.zeros(states, dtype=bool))
        expected = self.transition @ values
        return expected[observations.astype(np.int64), actions.astype(np.int64)], np.zeros(len(observations))

    def spec(self) -> dict[str, object]:
        """Its description in reward.json."""
        return {"name": self.name}

    def tensors(self) -> dict[str, Tensor]:
        """P(s′ | s, a)."""
        return {TRANSITION: torch.tensor(self.transition)}


@dataclass(frozen=True, eq=False)
class SimulatedExpectation:
    """The mean of V(s′) over `samples` successors that a simulator draws from (s, a).

    One sample is exact where the dynamics are deterministic (MuJoCo, classic control), and its standard error 0.
    Elsewhere the standard error is the samples' standard deviation (K − 1 in the denominator) over √K, and the
    draws, and so the reward, differ from call to call.

    Attributes:
        env_id: the name of the environment. An artifact stores it, and loading builds its default simulator, so only
            a reward whose simulator steps as that one does can be saved.
        simulator: its simulator, which takes observations and actions in the environment's units; those of a Dict or
            Tuple space are flat.
        samples: K, at least 1, and at least 2 where the simulator is stochastic.
        spaces: observation and action space of the simulator; a reward sets them to its own. None takes arrays as
            networks see them: indices that count from 0.
        default: whether it is the default simulator of `env_id`.
    """

    env_id: str
    simulator: Simulator
    samples: int = 1
    spaces: tuple[Space, Space] | None = None
    default: bool = False
    name: ClassVar[str] = "simulator"
    kind: ClassVar[Kind] = "marginal"

    def __post_init__(self) -> None:
        least = 1 if self.simulator.deterministic else 2
        if self.samples < least:
            raise RewardError(
                f"The expectation over s′ in {self.env_id} takes at least {least} successors of each state and action "
                f"(a standard error needs 2 where the dynamics are stochastic); got {self.samples}."
            )

    @classmethod
    def of(cls, env: str | Env | Callable[[], Env] | TabularMDP, *, samples: int | None = None) -> SimulatedExpectation:
        """The expectation by `envs.simulator`; by default with 1 sample if deterministic, else 16.

        Args:
            env: the environment, of which copies step with the physics that it has now; its id; a function that makes
                it; or a tabular MDP.
            samples: K.

        Raises ValueError where the environment is unknown, cannot be set to an observation, or is in a wrapper that may
        change a step.
        """
        live = env() if callable(env) and not isinstance(env, gym.Env) else env
        built = simulator(live)
        name = env if isinstance(env, str) else built.name
        count = samples if samples is not None else 1 if built.deterministic else 16
        return cls(name, built, count, default=isinstance(env, str))

    @classmethod
    def rebuilt(cls, env_id: str, samples: int, observation_space: Space, action_space: Space) -> SimulatedExpectation:
        """The expectation by the default simulator of `env_id`, for a saved reward of these spaces.

        Raises RewardError where the simulator cannot be built or takes other observations or actions.
        """
        try:
            env = make_env(env_id)
            built = cls(env_id, simulator(env), samples, default=True)
        except (ValueError, ImportError) as error:
            raise RewardError(
                f"The reward is marginal, with E over s′ by a simulator of {env_id}, which cannot be built: {error}"
            ) from error
        if (env.observation_space.shape, env.action_space.shape) != (observation_space.shape, action_space.shape):
            raise RewardError(
                f"The simulator of {env_id} takes observations and actions of {env.observation_space} and "
                f"{env.action_space}; the reward is for {observation_space} and {action_space}. Their shapes must "
                "agree."
            )
        return built

    def __call__(
        self, value: ValueAfter, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> tuple[Floats, Floats]:
        drawn = np.empty((self.samples, len(observations)))
        for k in range(self.samples):
            if self.spaces is None:
                successors, _, ended = self.simulator.step(observations, actions)
            else:
                successors, _, ended = plain_step(self.spaces, self.simulator, observations, actions)
            drawn[k] = value(successors, ended)
        if self.simulator.deterministic:
            return drawn[0], np.zeros(len(observations))
        return drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(self.samples)

    def spec(self) -> dict[str, object]:
        """Its description in reward.json. Raises RewardError where loading would build another simulator."""
        if not (self.default or _steps_as_default(self.env_id, self.simulator)):
            raise RewardError(
                f"A saved reward takes E over s′ by the default simulator of {self.env_id}, and this one steps "
                "otherwise (its own physics, arguments or code). Save the per-transition reward (recover without an "
                "expectation), or distil this one; a pickle keeps its simulator."
            )
        return {"name": self.name, "env_id": self.env_id, "samples": self.samples}

    def tensors(self) -> dict[str, Tensor]:
        """None: loading builds the simulator from its name."""
        return {}


def _steps_as_default(env_id: str, given: Simulator) -> bool:
    """Whether a simulator makes the same steps as the default one of an id: those of two random episodes."""
    try:
        env = make_env(env_id)
        default = simulator(env)
    except (ValueError, ImportError):
        return False
    if isinstance(default, TabularSimulator):
        return isinstance(given, TabularSimulator) and np.array_equal(default.mdp.transition, given.mdp.transition)
    if default.deterministic != given.deterministic:
        return False
    if not default.deterministic:
        if not isinstance(given, EnvSimulator):
            return False  # chance that cannot be seeded cannot be compared
        default, given = copy.deepcopy(default), copy.deepcopy(given)
        default.reseed(0)
        given.reseed(0)
    rng = np.random.default_rng(0)
    steps = record_demos(
        lambda o: uniform_actions(env.action_space, len(o), rng), env, 2, seed=0, max_steps=CHECKED
    ).transitions
    env.close()
    try:
        ours, theirs = (each.step(steps.observations, steps.actions) for each in (default, given))
    except ValueError:  # it takes other observations or actions
        return False
    return all(np.array_equal(np.asarray(ours[i]), np.asarray(theirs[i])) for i in (0, 2))
