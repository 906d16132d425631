"""The environment's own reward as a function of (s, a, s′, terminated), also for transitions not in the data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces

from irl_probe._spaces import Env, Space
from irl_probe._steps import layers
from irl_probe._types import Array, Bools, Floats, Ints, flags, indices, plain
from irl_probe.envs.changes import env_name, kind
from irl_probe.envs.make import TRANSFORMS_REWARD, check_wrappers, make_env, path_of
from irl_probe.envs.simulator import RESETS, Simulator, simulator
from irl_probe.envs.tabular import TabularEnv, TabularMDP
from irl_probe.transitions import Transitions

RewardFunction = Callable[[Array, Array, Array, Bools], Floats]


@dataclass(frozen=True)
class TrueReward:
    """The environment's reward of a transition, called like `irl_probe.rewards.Reward`.

    Attributes:
        name: the name of the environment.
        exact: whether it is the environment's reward up to the rounding of the observations.
        note: says in words how it is computed and what is inexact; results store it.
        function: computes it for a batch.
        of_pair: whether it depends only on s and a.
        action_space: the environment's.
    """

    name: str
    exact: bool
    note: str
    function: RewardFunction
    of_pair: bool = False
    action_space: Space | None = None

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Array) -> Floats:
        """Rewards (N,) float64, in the environment's units per step.

        Args:
            observations: (N, *obs_shape), or (N,) when discrete.
            actions: (N, *action_shape) in the environment's units, or (N,) when discrete.
            next_observations: like observations.
            terminated: (N,), whether the MDP ended at s′.

        Raises ValueError if the lengths or shapes differ, or an array has masked entries.
        """
        o, a = plain(observations, "observations"), plain(actions, "actions")
        o2, d = plain(next_observations, "next_observations"), flags(terminated, "terminated")
        if not o.ndim or o2.shape != o.shape or a.shape[:1] != d.shape or d.shape != o.shape[:1]:
            raise ValueError(
                f"A reward takes N rows of observations, actions, next observations and terminated; got shapes "
                f"{o.shape}, {a.shape}, {o2.shape} and {d.shape}."
            )
        return np.asarray(self.function(o, a, o2, d), dtype=np.float64)

    def discrepancy(self, transitions: Transitions) -> Floats:
        """This reward minus the recorded one at each step, (N,): the error that `note` describes, on this data.

        Raises ValueError if the transitions have no rewards.
        """
        if transitions.rewards is None:
            raise ValueError(
                f"The discrepancy of {self.name}'s reward needs recorded rewards; these transitions have none."
            )
        t = transitions
        return self(t.observations, t.actions, t.next_observations, t.terminated) - transitions.rewards.astype(
            np.float64
        )


def true_reward(env: str | Env | TabularMDP, **kwargs: Any) -> TrueReward:
    """The reward of `env` as a function of (s, a, s′, terminated).

    It is a formula for CartPole, Acrobot, Pendulum, both mountain cars, LunarLander, the point maze and tabular MDPs.
    For the other environments with a `simulator` (MuJoCo v5 except Pusher) it is simulated. A simulated reward is that
    of the step from (s, a) and does not depend on the given s′, since a deterministic simulator has only one s′ for
    (s, a).

    Args:
        env: an id for `make_env`, an environment (whose parameters are read now), or a tabular MDP.
        **kwargs: for `make_env`, if `env` is an id.

    In a `RewardWrapper` it is the environment's own reward, not the paid one. Gymnasium's TransformReward and
    ClipReward are part of the environment that was given, and so of its reward.

    Raises ValueError if there is neither a formula nor a simulator, or if a wrapper may change a step or what it pays.
    """
    if isinstance(env, TabularMDP):
        return _tabular(env)
    if isinstance(env, str):
        env = make_env(env, **kwargs)
    check_wrappers(env, but=TRANSFORMS_REWARD)
    layered: list[Any] = [layer for layer in layers(env) if path_of(layer) in TRANSFORMS_REWARD]
    if not layered:
        return _of_base(env)
    found = _of_base(env.unwrapped)

    def transformed(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        rewards = found.function(s, a, t, terminated).tolist()
        for layer in reversed(layered):  # the innermost first
            rewards = [layer.reward(r) for r in rewards]
        return np.array(rewards, dtype=np.float64)

    names = ", ".join(type(layer).__name__ for layer in reversed(layered))
    return replace(found, note=f"{found.note} Transformed by {names}.", function=transformed)


def _of_base(env: Env) -> TrueReward:
    """The reward of the environment inside all wrappers."""
    base, name = env.unwrapped, env_name(env)
    if isinstance(base, TabularEnv):
        return _tabular(base.mdp)
    if kind(env) in _FORMULAS:
        formula, note = _FORMULAS[kind(env)]
        of_pair = kind(env) in ("pendulum", "mountain_car")
        return TrueReward(name, True, note, formula(base), of_pair=of_pair, action_space=env.action_space)
    if kind(env) not in RESETS:
        raise ValueError(
            f"The reward of {name} is neither known as a formula of (s, a, s′), nor can a simulator start from an "
            "observation and compute it. Use the rewards recorded with the transitions (Transitions.rewards), for "
            f"observed transitions only. Known: GridWorld, {', '.join(sorted(_FORMULAS | RESETS))}."
        )
    return replace(_simulated(simulator(env)), action_space=env.action_space)


def _tabular(mdp: TabularMDP) -> TrueReward:
    def reward(s: Array, a: Array, t: Array, _: Bools) -> Floats:
        states, count = mdp.transition.shape[:2]
        before, after = (indices(each, states, name) for each, name in ((s, "observations"), (t, "next_observations")))
        return mdp.reward[before, indices(a, count, "actions"), after]

    actions = spaces.Discrete(mdp.transition.shape[1])
    return TrueReward(mdp.name, True, "R(s, a, s′) from its table.", reward, action_space=actions)


def _simulated(source: Simulator) -> TrueReward:
    cache: dict[bytes, Floats] = {}  # the last few batches, since several measures evaluate the same one

    def reward(s: Array, a: Array, _: Array, __: Bools) -> Floats:
        key = hashlib.sha256(s.tobytes() + a.tobytes()).digest()
        if key not in cache:
            if len(cache) == 8:
                del cache[next(iter(cache))]
            # Canonical forms evaluate the same (s, a) with many s′: simulate each (s, a) once.
            rows = np.concatenate([s.reshape(len(s), -1), a.reshape(len(s), -1)], axis=1)
            first, inverse = _distinct(rows)
            cache[key] = source.step(s[first], a[first]).rewards[inverse]
        return cache[key].copy()

    note = "One step of the simulator from (s, a); it does not depend on the s′ given. " + source.note
    return TrueReward(source.name, source.exact, note.strip(), reward, of_pair=True)


def _distinct(rows: Array) -> tuple[Ints, Ints]:
    """The first place of each distinct row, and which of these each row equals.

    Rows are sorted by one number each, which takes a tenth of the time of sorting the rows; if two different rows have
    the same number, the rows are sorted after all.
    """
    bits = rows.astype(np.float64).view(np.uint64)
    bits ^= bits >> np.uint64(29)  # the last 29 bits of a float32 are 0
    weights = np.random.default_rng(0).integers(1, 2**63, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    numbers = (bits * weights).sum(axis=1, dtype=np.uint64)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][inverse], rows):
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse


def _cartpole(env: Any) -> RewardFunction:
    """1 at every step, the last one included; with `sutton_barto_reward` −1 when the pole falls and 0 before."""
    falling, standing = (-1.0, 0.0) if env._sutton_barto_reward else (1.0, 1.0)

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        return np.where(terminated, falling, standing)

    return reward


def _acrobot(env: Any) -> RewardFunction:
    """−1, but 0 when the tip is above the line: −cos θ₁ − cos(θ₁ + θ₂) > 1."""

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        cos1, sin1, cos2, sin2 = t[:, :4].astype(np.float64).T
        above = -cos1 - (cos1 * cos2 - sin1 * sin2) > 1
        return np.where(terminated | above, 0.0, -1.0)

    return reward


def _pendulum(env: Any) -> RewardFunction:
    """−(θ² + 0.1 θ̇² + 0.001 u²) with θ in [−π, π] and u clipped to the torque limit."""
    limit = env.max_torque

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        cos, sin, speed = s.astype(np.float64).T
        torque = np.clip(a[:, 0].astype(np.float64), -limit, limit)
        return np.asarray(-(np.arctan2(sin, cos) ** 2 + 0.1 * speed**2 + 0.001 * torque**2))

    return reward


def _mountain_car(env: Any) -> RewardFunction:
    """−1 at every step, the last one included."""

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        return -np.ones(len(s))

    return reward


def _continuous_mountain_car(env: Any) -> RewardFunction:
    """−0.1 a², and 100 at the goal."""
    goal_position, goal_velocity = env.goal_position, env.goal_velocity

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        position, velocity = t.astype(np.float64).T
        arrived = terminated | ((position >= goal_position) & (velocity >= goal_velocity))
        return np.asarray(100.0 * arrived - 0.1 * a[:, 0].astype(np.float64) ** 2)

    return reward


def _lunar_lander(env: Any) -> RewardFunction:
    """Φ(s′) − Φ(s) − fuel; at the end +100 if the lander sleeps (Box2D sets its velocities to exactly 0), else −100.

    Φ = −100 |position| − 100 |velocity| − 100 |angle| + 10 per leg on the ground; fuel 0.3 × main + 0.03 × side power.
    """
    continuous = env.continuous

    def potential(s: Array) -> Floats:
        x, y, vx, vy, angle, _, left, right = s.astype(np.float64).T
        return np.asarray(-100 * (np.hypot(x, y) + np.hypot(vx, vy) + abs(angle)) + 10 * (left + right))

    def fuel(a: Array) -> Floats:
        if not continuous:
            return np.asarray(0.3 * (a == 2) + 0.03 * ((a == 1) | (a == 3)))
        main, side = np.clip(a.astype(np.float64), -1, 1).T
        return np.asarray(0.3 * (main > 0) * (main + 1) / 2 + 0.03 * (abs(side) > 0.5) * abs(side))

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        asleep = (t[:, [2, 3, 5]] == 0).all(axis=1)
        return np.where(terminated, np.where(asleep, 100.0, -100.0), potential(t) - potential(s) - fuel(a))

    return reward


def _point_maze(env: Any) -> RewardFunction:
    """−‖position − goal‖ − 0.001‖a‖²."""
    from irl_probe.envs.point_maze import maze_reward  # needs MuJoCo, installed here because `env` runs on it

    goal = env.goal

    def reward(s: Array, a: Array, t: Array, terminated: Bools) -> Floats:
        return maze_reward(s, a, goal)

    return reward


_FORMULAS: dict[str, tuple[Callable[[Any], RewardFunction], str]] = {
    "cartpole": (_cartpole, "By formula; does not depend on s or a."),
    "acrobot": (_acrobot, "By formula of s′."),
    "pendulum": (_pendulum, "By formula of s and a."),
    "mountain_car": (_mountain_car, "By formula: −1 at every step."),
    "continuous_mountain_car": (_continuous_mountain_car, "By formula of a and s′."),
    "point_maze": (_point_maze, "By formula of s and a."),
    "lunar_lander": (
        _lunar_lander,
        "By formula of s, a, s′ and terminated: a transition to the ground must say that it terminated.",
    ),
}
