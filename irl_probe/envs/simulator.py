"""Simulators that start from any observation: set the state, take one step, read s′ and the reward."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.utils.seeding import np_random

from irl_probe._config import as_seed
from irl_probe._spaces import Env, Space
from irl_probe._steps import step_copied
from irl_probe._types import Array, Bools, Floats, indices, plain
from irl_probe.envs.changes import env_name, kind
from irl_probe.envs.make import check_wrappers, make_env
from irl_probe.envs.tabular import TabularEnv, TabularMDP


class SimulatedStep(NamedTuple):
    """The results of one step from each (s, a): s′ (N, *obs_shape), rewards (N,) float64, terminated (N,) bool."""

    next_observations: Array
    rewards: Floats
    terminated: Bools


class Simulator(Protocol):
    """One environment step from any observation and action, for E_{s′} and for rewards that are not in the data.

    Attributes:
        name: the name of the environment.
        deterministic: whether s′ is a function of (s, a), so that one step is the exact expectation.
        exact: whether the observation holds the whole state on which the step depends.
        note: in words, what is inexact.
    """

    @property
    def name(self) -> str: ...
    @property
    def deterministic(self) -> bool: ...
    @property
    def exact(self) -> bool: ...
    @property
    def note(self) -> str: ...
    def step(self, observations: Array, actions: Array) -> SimulatedStep:
        """One step from each row: observations (N, *obs_shape), and actions (N, *action_shape) in env units."""
        ...


def simulator(
    env: str | Env | TabularMDP, *, seed: int = 0, workers: int | None = None, **kwargs: Any
) -> TabularSimulator | EnvSimulator:
    """A simulator of `env` that can start from any observation.

    Classic control, the MuJoCo v5 tasks except Pusher, the point maze and tabular MDPs have one. It runs the
    environment's own `step` on a copy with its own state and the physical parameters that `env` has now. So changed
    masses or gravity count, and `env` itself does not change.

    Args:
        env: an id for `make_env`, an environment, or a tabular MDP.
        seed: the seed of the draws, if the environment is stochastic.
        workers: threads for MuJoCo; None is one for each core. The result does not depend on their number.
        **kwargs: for `make_env`, if `env` is an id.

    Wrappers that do not change a step, such as a time limit, are left out; any other one is refused.

    Raises ValueError if the state cannot be set from the observation, with what to use instead, or if a wrapper may
    change a step.
    """
    seed = as_seed(seed, "The seed of a simulator")
    if isinstance(env, TabularMDP):
        return TabularSimulator(env, seed=seed)
    if isinstance(env, str):
        env = make_env(env, **kwargs)
    check_wrappers(env)
    base, name = env.unwrapped, env_name(env)
    if isinstance(base, TabularEnv):
        return TabularSimulator(base.mdp, seed=seed)
    reset = RESETS.get(kind(env))
    if reset is None:
        raise ValueError(
            f"The state of {name} cannot be set from an observation, which does not hold all of it. Use the observed "
            "successor s′ instead of E over s′, recorded rewards instead of simulated ones, or one of the "
            f"environments whose state can be set: {', '.join(sorted(RESETS))}, and tabular MDPs."
        )
    return EnvSimulator(base, reset, name, seed=seed, workers=workers)


@dataclass(frozen=True)
class TabularSimulator:
    """Draws s′ ~ P(·|s, a) of a tabular MDP; `mdp.transition` is P itself, for exact expectations."""

    mdp: TabularMDP
    seed: int = 0
    exact: bool = True
    note: str = ""
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    @property
    def name(self) -> str:
        """The name of the MDP."""
        return self.mdp.name

    @property
    def deterministic(self) -> bool:
        """Whether every row of P has only one possible successor."""
        return bool((np.count_nonzero(self.mdp.transition, axis=-1) == 1).all())

    @property
    def action_space(self) -> Space:
        """The actions of the MDP."""
        return spaces.Discrete(self.mdp.transition.shape[1])

    def reseed(self, seed: int) -> None:
        """Draw what a new simulator with this seed would draw."""
        object.__setattr__(self, "_rng", np.random.default_rng(seed))

    def step(self, observations: Array, actions: Array) -> SimulatedStep:
        """One draw of s′ from each row; observations and actions (N,) integers. No step terminates.

        Raises ValueError where they are not states and actions of the MDP.
        """
        count, actions_count = self.mdp.transition.shape[:2]
        states, chosen = indices(observations, count, "observations"), indices(actions, actions_count, "actions")
        cumulated = np.cumsum(self.mdp.transition[states, chosen], axis=-1)
        draws = self._rng.random((len(states), 1)) * cumulated[:, -1:]
        successors = (cumulated <= draws).sum(axis=-1)
        rewards = self.mdp.reward[states, chosen, successors]
        return SimulatedStep(successors, rewards, np.zeros(len(states), dtype=bool))


@dataclass(frozen=True)
class Reset:
    """How the state of an environment is set from an observation, and what the observation lacks."""

    set_state: Callable[[Any, Floats], None]
    exact: bool = True
    note: str = ""


class EnvSimulator:
    """Runs the environment's own `step` on copies of it, from states that a `Reset` sets."""

    def __init__(self, env: Any, reset: Reset, name: str, *, seed: int = 0, workers: int | None = None) -> None:
        self.name, self.exact, self.note = name, reset.exact, reset.note
        self.deterministic = not (kind(env) == "acrobot" and env.torque_noise_max > 0)
        self._set_state, self._spaces = reset.set_state, (env.observation_space, env.action_space)
        self.action_space: Space = env.action_space
        # MuJoCo releases the interpreter's lock during a step; classic control is Python, where threads do not help.
        count = (workers or os.cpu_count() or 1) if kind(env) in _MUJOCO else 1
        self._copies = [_copy(env, int(seed) + i) for i in range(count)]
        self._turn = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """The first copy as its own attributes: a pickled environment would be a new one, without changed physics."""
        first = self._copies[0]
        kept = {name: value for name, value in vars(self).items() if name not in ("_copies", "_turn")}
        return {**kept, "first": (type(first), vars(first)), "count": len(self._copies)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        (environment, attributes), count = state.pop("first"), state.pop("count")
        vars(self).update(state)
        first = object.__new__(environment)
        vars(first).update(attributes)
        self._copies, self._turn = [first, *(_copy(first, i) for i in range(1, count))], Lock()

    def reseed(self, seed: int) -> None:
        """Draw what a new simulator with this seed would draw."""
        for i, env in enumerate(self._copies):
            env.np_random = np_random(int(seed) + i)[0]

    def step(self, observations: Array, actions: Array) -> SimulatedStep:
        """One step from each row.

        Raises ValueError if the shapes are not those of the environment's spaces, or an array has masked entries.
        """
        observations, actions = plain(observations, "observations"), plain(actions, "actions")
        for role, array, space in zip(("observations", "actions"), (observations, actions), self._spaces, strict=True):
            expected = (len(observations), *(space.shape or ()))
            if array.shape != expected:
                raise ValueError(f"The {role} of {self.name} must have shape {expected}; got {array.shape}.")
        parts = [p for p in np.array_split(np.arange(len(observations)), len(self._copies)) if len(p)]
        with self._turn, ThreadPoolExecutor(len(self._copies)) as pool:  # callers in other threads wait
            steps = list(pool.map(lambda env, p: self._rows(env, observations[p], actions[p]), self._copies, parts))
        successors = [s for part in steps for s, _, _ in part]
        dtype, shape = self._spaces[0].dtype, observations.shape
        return SimulatedStep(
            np.array(successors, dtype=dtype).reshape(shape),
            np.array([r for part in steps for _, r, _ in part], dtype=np.float64),
            np.array([d for part in steps for _, _, d in part], dtype=bool),
        )

    def _rows(self, env: Any, observations: Array, actions: Array) -> list[tuple[Array, float, bool]]:
        rows = []
        for observation, action in zip(observations.astype(np.float64), actions, strict=True):
            self._set_state(env, observation)
            step = step_copied(env, action)
            rows.append((step.observation, step.reward, step.terminated))
        return rows


def _copy(env: Any, seed: int) -> Any:
    """A copy with its own state and generator and the present parameters (`copy.copy` would make a new environment)."""
    twin = object.__new__(type(env))
    twin.__dict__.update(env.__dict__)
    twin.render_mode = None
    twin.np_random = np_random(seed)[0]
    if kind(env) in _MUJOCO:
        import mujoco  # an optional package, installed here because the environment runs on it

        twin.model = copy.copy(env.model)
        twin.data = mujoco.MjData(twin.model)
    return twin


def _set_cartpole(env: Any, observation: Floats) -> None:
    env.state, env.steps_beyond_terminated = observation, None


def _set_acrobot(env: Any, observation: Floats) -> None:
    cos1, sin1, cos2, sin2, speed1, speed2 = observation
    env.state = np.array([np.arctan2(sin1, cos1), np.arctan2(sin2, cos2), speed1, speed2])


def _set_pendulum(env: Any, observation: Floats) -> None:
    cos, sin, speed = observation
    env.state = np.array([np.arctan2(sin, cos), speed])


def _set_mountain_car(env: Any, observation: Floats) -> None:
    env.state = observation.copy()


def _set_mujoco(env: Any, qpos: Floats, qvel: Floats) -> None:
    """Set time 0, no controls and no warm start, so that earlier steps have no effect."""
    import mujoco

    mujoco.mj_resetData(env.model, env.data)
    env.set_state(qpos, qvel)


def _set_locomotion(env: Any, observation: Floats) -> None:
    """Observations that begin with qpos (without x, or x and y, which are set to 0) and qvel."""
    skipped = env.observation_structure.get("skipped_qpos", 0)
    qpos = np.concatenate([np.zeros(skipped), observation[: env.model.nq - skipped]])
    _set_mujoco(env, qpos, observation[env.model.nq - skipped :][: env.model.nv])


def _set_double_pendulum(env: Any, observation: Floats) -> None:
    x, sin1, sin2, cos1, cos2 = observation[:5]
    _set_mujoco(env, np.array([x, np.arctan2(sin1, cos1), np.arctan2(sin2, cos2)]), observation[5:8])


def _set_reacher(env: Any, observation: Floats) -> None:
    angles = np.arctan2(observation[2:4], observation[:2])
    _set_mujoco(env, np.concatenate([angles, observation[4:6]]), np.concatenate([observation[6:8], np.zeros(2)]))


def _set_point_maze(env: Any, observation: Floats) -> None:
    _set_mujoco(env, observation[:2], observation[2:])


_CLIPPED = "The observation clips velocities to ±10, and a step from a clipped one starts too slow"
_LAGGED = (
    "The reward takes positions from the integrator's last stage, at the start of a step as at its end; set from an "
    "observation the start is the state itself, which shifts the forward velocity"
)
# The figures in the notes are |simulated − recorded reward| on three expert episodes, whose recorded rewards have
# standard deviations of 0.67 (Hopper), 0.90 (Ant) and 1.2 (Humanoid), and on random actions for Walker2d (0.53).
_MUJOCO = {
    "half_cheetah_v5": Reset(_set_locomotion),
    "swimmer_v5": Reset(_set_locomotion),
    "hopper_v5": Reset(_set_locomotion, False, f"{_CLIPPED} (expert steps: 0.001 on average, 0.11 at most)."),
    "walker2d_v5": Reset(_set_locomotion, False, f"{_CLIPPED} (random steps: 0.012 on average, 0.16 at most)."),
    "ant_v5": Reset(_set_locomotion, False, f"{_LAGGED} (expert steps: 0.003 on average, 0.09 at most)."),
    "humanoid_v5": Reset(_set_locomotion, False, f"{_LAGGED} (expert steps: 0.0001 on average, 0.004 at most)."),
    "humanoidstandup_v5": Reset(_set_locomotion),
    "inverted_pendulum_v5": Reset(_set_locomotion),
    "inverted_double_pendulum_v5": Reset(_set_double_pendulum, False, f"{_CLIPPED}."),
    "reacher_v5": Reset(_set_reacher),
    "point_maze": Reset(_set_point_maze),
}
RESETS = _MUJOCO | {
    "cartpole": Reset(_set_cartpole),
    "acrobot": Reset(_set_acrobot),
    "pendulum": Reset(_set_pendulum),
    "mountain_car": Reset(_set_mountain_car),
    "continuous_mountain_car": Reset(_set_mountain_car),
}
