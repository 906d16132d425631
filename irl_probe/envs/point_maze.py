"""PointMaze-v0: a point mass that must go round a wall to reach a goal, and a planner that does so.

It is a small MuJoCo model, similar to the maze on which AIRL (Fu et al. 2018, §7.2) and IQ-Learn (Garg et al. 2021,
§5.3) test transfer. The reward depends on the place of the goal but not on the place of the wall's gap, so a reward
that was learned with the gap on the right should still be right with the gap on the left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from irl_probe._types import Array, Floats

try:
    import mujoco
except ImportError as error:
    raise gym.error.DependencyNotInstalled("MuJoCo is not installed") from error


FRAME_SKIP = 5  # simulator steps of 0.01 s in an environment step
CONTROL_COST = 0.001
START = np.array([[-0.5, -0.5], [0.5, -0.15]])  # corners of the box of first positions, before the wall
CLEARANCE = 0.12  # distance from the wall at which the planner turns, m


class PointMaze(gym.Env[Any, Any]):
    """Observation (x, y, ẋ, ẏ) in m and m/s; action: the forces along x and y, in [−1, 1] N.

    The reward of a step from s is −‖(x, y) − goal‖ − 0.001‖a‖² with the distance at s, so it is known before the step.
    An episode starts at rest, uniformly in the room before the wall, and never terminates. The room is 1.2 m wide and
    the wall 0.9 m, with its gap on the right, through which the point, of radius 0.05 m, fits.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # gymnasium.Env declares it so; a ClassVar would contradict it
    render_mode = None

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_path(str(Path(__file__).with_name("point_maze.xml")))
        self.data = mujoco.MjData(self.model)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    @property
    def goal(self) -> Floats:
        """(x, y) of the goal."""
        return np.array(self.model.site("goal").pos[:2])

    @property
    def gap(self) -> Floats:
        """(x, y) of the middle of the gap, which is between the end of the wall and the side of the room."""
        x, y, _ = self.model.body("wall").pos
        half_wall = self.model.geom("wall").size[0]
        room = self.model.geom("right").pos[0] - self.model.geom("right").size[0]
        side = -np.sign(x)
        return np.array([side * (room + (half_wall - abs(x))) / 2, y])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start at rest, at a random place before the wall."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.set_state(self.np_random.uniform(*START), np.zeros(2))
        return self._observation(), {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Push for 0.05 s."""
        force = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        paid = maze_reward(self._observation()[None], force[None], self.goal)
        self.data.ctrl[:] = force
        mujoco.mj_step(self.model, self.data, FRAME_SKIP)
        return self._observation(), float(paid[0]), False, False, {}

    def set_state(self, qpos: Floats, qvel: Floats) -> None:
        """Set the position and the velocity of the point, (2,) each."""
        self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self.model, self.data)

    def _observation(self) -> Floats:
        return np.concatenate([self.data.qpos, self.data.qvel])


def maze_reward(observations: Array, actions: Array, goal: Floats) -> Floats:
    """−‖(x, y) − goal‖ − 0.001‖a‖² of (N, 4) observations and (N, 2) actions, (N,)."""
    away = observations[:, :2].astype(np.float64) - goal
    force = np.clip(actions.astype(np.float64), -1.0, 1.0)
    return np.asarray(-np.linalg.norm(away, axis=1) - CONTROL_COST * (force**2).sum(axis=1))


class MazePlanner:
    """A scripted expert that goes to the gap, through it, and to the goal, for the place of the wall in `env`.

    As a policy it maps observations (N, 4) to actions (N, 2): a force towards the next way point, damped by velocity.
    With `deterministic=False` it adds normal noise of standard deviation `noise`, from `rng` or its own generator.

    Raises ValueError for an environment that is not a PointMaze.
    """

    def __init__(self, env: gym.Env[Any, Any], *, noise: float = 0.1, seed: int = 0) -> None:
        base = env.unwrapped
        if not isinstance(base, PointMaze):
            raise ValueError(f"The planner is for PointMaze-v0 only; got {type(base).__name__}.")
        self.gap, self.goal, self.noise = base.gap, base.goal, noise
        self._rng = np.random.default_rng(seed)

    def __call__(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        rows = observations.astype(np.float64)
        position, velocity = rows[:, :2], rows[:, 2:]
        before = self.gap - np.array([0, CLEARANCE])
        behind = self.gap + np.array([0, CLEARANCE])
        aligned = abs(position[:, 0] - self.gap[0]) < 0.06
        not_through = position[:, 1] < self.gap[1] + 0.09
        way_point = np.where(not_through[:, None], np.where(aligned[:, None], behind, before), self.goal)
        force = 8.0 * (way_point - position) - 1.0 * velocity
        if not deterministic:
            force += self.noise * (rng or self._rng).standard_normal(force.shape)
        return np.clip(force, -1.0, 1.0).astype(np.float32)
