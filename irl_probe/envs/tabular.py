"""Tabular MDPs: the grid world, its Gymnasium environment, its soft-optimal expert and exact occupancies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike

from irl_probe._types import Array, Floats, Ints
from irl_probe.metrics.tabular import soft_policy, soft_q

ACTIONS = ("left", "right", "up", "down", "stay")
_ENTRY = "irl_probe.envs.tabular:TabularEnv"
_MOVES = np.array([(0, -1), (0, 1), (-1, 0), (1, 0), (0, 0)])  # (row, column) offset of each of ACTIONS


@dataclass(frozen=True, eq=False, repr=False)
class TabularMDP:
    """A finite MDP with an infinite horizon: S states, A actions, no terminal states, γ < 1.

    Attributes:
        transition: (S, A, S), P(s′ | s, a).
        reward: (S, A, S), R(s, a, s′) in reward units per step.
        gamma: discount γ in [0, 1).
        initial: (S,), distribution of the first state.
        name: the name in results and messages.
        shape: (rows, columns) of a grid whose states are numbered row by row, or None; for heat maps.

    The arrays are float64 and read-only. Raises ValueError if a shape is wrong, a value is not finite, a row of
    `transition` or `initial` is not a distribution (to 1e-9), γ is outside [0, 1), or `shape` does not have S cells.
    """

    transition: Floats
    reward: Floats
    gamma: float
    initial: Floats
    name: str = "TabularMDP"
    shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for field in ("transition", "reward", "initial"):
            array = np.array(getattr(self, field), dtype=np.float64)
            if not np.isfinite(array).all():
                raise ValueError(
                    f"'{field}' must be finite; got {int((~np.isfinite(array)).sum())} NaN or infinite values."
                )
            array.flags.writeable = False
            object.__setattr__(self, field, array)
        p = self.transition
        if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
            raise ValueError(f"'transition' must have shape (S, A, S), P(s′ | s, a); got {p.shape}.")
        if self.reward.shape != p.shape:
            raise ValueError(
                f"'reward' must have the shape of 'transition' {p.shape}, R(s, a, s′); got {self.reward.shape}. "
                "Give a reward of states as np.broadcast_to(r[:, None, None], transition.shape)."
            )
        if self.initial.shape != p.shape[:1]:
            raise ValueError(
                f"'initial' must have one probability a state, shape ({p.shape[0]},); got {self.initial.shape}."
            )
        for field, array in (("transition", p), ("initial", self.initial)):
            if (array < 0).any() or not np.allclose(array.sum(axis=-1), 1.0, rtol=0, atol=1e-9):
                raise ValueError(
                    f"Each row of '{field}' must be a distribution (no value negative, sum 1); "
                    f"the smallest value is {array.min():g}, "
                    f"sums are from {array.sum(-1).min():g} to {array.sum(-1).max():g}."
                )
        if not 0 <= self.gamma < 1:
            raise ValueError(f"The discount γ must be in [0, 1), since the horizon is infinite; got {self.gamma}.")
        if self.shape is not None and self.shape[0] * self.shape[1] != p.shape[0]:
            raise ValueError(
                f"A grid of shape {self.shape} must have as many cells as there are states; got {p.shape[0]}."
            )

    def __repr__(self) -> str:
        states, actions, _ = self.transition.shape
        return f"TabularMDP({self.name!r}, S={states}, A={actions}, gamma={self.gamma:g})"


def gridworld(
    rewards: ArrayLike | None = None,
    *,
    slip: float = 0.0,
    gamma: float = 0.99,
    initial: ArrayLike | None = None,
    name: str = "GridWorld",
) -> TabularMDP:
    """A grid with the five actions left, right, up, down, stay (IQ-Learn, Garg et al. 2021, fig. 4).

    The paper says only this about its grid: these five actions, "agent starts in a random state", 30 expert
    demonstrations. It shows size and reward only in an image. Here the default is 5×5 with reward 1 in the last cell
    and 0 elsewhere.

    States are numbered row by row. Walls block: the agent stays in its cell. The reward is that of the state that the
    agent leaves, R(s, a, s′) = rewards[s]. There is no terminal state. Rewards of shape (3, 3) give small grids whose
    distances can be computed by hand.

    Args:
        rewards: (rows, columns) reward of each cell; None is the default above.
        slip: probability that the action is replaced by one drawn uniformly from all five, itself included:
            P_slip(·|s, a) = (1 − slip)·P(·|s, a) + slip·mean_b P(·|s, b).
        gamma: discount γ in [0, 1).
        initial: (rows, columns) or (S,) distribution of the first state; None is uniform.
        name: the name of the MDP.

    Raises ValueError unless `rewards` has two dimensions and `slip` is in [0, 1], and like TabularMDP.
    """
    if rewards is None:
        rewards = np.zeros((5, 5))
        rewards[-1, -1] = 1.0
    cells = np.asarray(rewards, dtype=np.float64)
    if cells.ndim != 2 or cells.size == 0:
        raise ValueError(f"A grid's rewards must have shape (rows, columns), one number a cell; got {cells.shape}.")
    if not 0 <= slip <= 1:
        raise ValueError(f"The slip must be a probability in [0, 1]; got {slip}.")
    rows, columns = cells.shape
    position = np.indices(cells.shape).reshape(2, -1).T  # (S, 2)
    target = np.clip(position[:, None] + _MOVES, 0, (rows - 1, columns - 1))  # (S, A, 2)
    transition = np.eye(cells.size)[target @ (columns, 1)]  # (S, A, S)
    transition = (1 - slip) * transition + slip * transition.mean(axis=1, keepdims=True)
    return TabularMDP(
        transition=transition,
        reward=np.broadcast_to(cells.reshape(-1, 1, 1), transition.shape),
        gamma=gamma,
        initial=np.full(cells.size, 1 / cells.size)
        if initial is None
        else np.asarray(initial, dtype=np.float64).reshape(-1),
        name=name,
        shape=(rows, columns),
    )


class TabularEnv(gym.Env[np.int64, np.int64]):
    """A TabularMDP as a Gymnasium environment with Discrete spaces.

    An episode never terminates and is truncated after `horizon` steps. `reset(seed=...)` seeds the draws of first
    states and transitions. Raises ValueError unless `horizon` is at least 1.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # gymnasium.Env declares it so; a ClassVar would contradict it

    def __init__(self, mdp: TabularMDP, *, horizon: int = 50) -> None:
        if horizon < 1:
            raise ValueError(f"The horizon must be at least 1 step; got {horizon}.")
        self.mdp = mdp
        self.horizon = horizon
        self.observation_space = gym.spaces.Discrete(mdp.transition.shape[0])
        self.action_space = gym.spaces.Discrete(mdp.transition.shape[1])
        self.spec = EnvSpec(
            re.sub(r"[^\w.-]+", "-", mdp.name), entry_point=_ENTRY, kwargs={"mdp": mdp, "horizon": horizon}
        )
        self._state = np.int64(-1)
        self._steps = 0
        # Normalised, so that the sum is exactly 1 from the last possible successor on and no draw is impossible.
        cumulated = np.cumsum(mdp.transition, axis=-1)
        self._cumulated = cumulated / cumulated[..., -1:]
        initial = np.cumsum(mdp.initial)
        self._initial = initial / initial[-1]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Draw the first state from `mdp.initial`."""
        super().reset(seed=seed)
        self._state = np.int64(np.searchsorted(self._initial, self.np_random.random(), side="right"))
        self._steps = 0
        return self._state, {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Draw s′ ~ P(·|s, a) and pay R(s, a, s′)."""
        successor = np.int64(
            np.searchsorted(self._cumulated[self._state, action], self.np_random.random(), side="right")
        )
        reward = float(self.mdp.reward[self._state, action, successor])
        self._state = successor
        self._steps += 1
        return successor, reward, False, self._steps >= self.horizon, {}


def soft_expert(mdp: TabularMDP, temperature: float = 1.0) -> Floats:
    """The soft-optimal policy π(a|s) = softmax(Q*(s, ·)/α), (S, A), of the MDP's own reward.

    Q* is the fixed point of the soft Bellman operator at temperature α (`metrics.tabular.soft_q`).

    Raises ValueError unless α > 0.
    """
    return soft_policy(soft_q(mdp.reward, mdp.transition, mdp.gamma, temperature), temperature)


class TabularPolicy:
    """A policy table π(a|s), (S, A), as a policy that `record_demos` and `evaluate` take.

    With `deterministic=False` it draws actions from its own generator, seeded with `seed`: two policies with the same
    table and seed draw the same actions.

    Raises ValueError if a row of the table is not a distribution.
    """

    def __init__(self, table: ArrayLike, *, seed: int = 0) -> None:
        probabilities = _check_policy(np.asarray(table, dtype=np.float64))
        self.table = probabilities / probabilities.sum(axis=1, keepdims=True)
        self._rng = np.random.default_rng(seed)

    def __call__(self, observations: Array, deterministic: bool = True) -> Ints:
        """The most likely action, or a draw, of each state: observations (N,) to actions (N,)."""
        rows = self.table[observations.astype(np.int64)]
        if deterministic:
            return np.asarray(rows.argmax(axis=1))
        return np.asarray(self._rng.multinomial(1, rows).argmax(axis=1))


def _check_policy(table: Floats) -> Floats:
    if table.ndim != 2 or (table < 0).any() or not np.allclose(table.sum(axis=1), 1.0, rtol=0, atol=1e-9):
        raise ValueError(
            "A policy must be a table (S, A) whose rows are distributions over actions (no value negative, sum 1); "
            f"got shape {table.shape} with row sums from {table.sum(-1).min():g} to {table.sum(-1).max():g}."
        )
    return table


def occupancy(mdp: TabularMDP, policy: ArrayLike) -> Floats:
    """Discounted occupancy ρ(s, a) = (1 − γ) Σ_t γᵗ Pr(s_t = s, a_t = a), (S, A), which sums to 1.

    Exact, from the linear system d = (1 − γ)·initial + γ P_πᵀ d and ρ(s, a) = d(s) π(a|s) (Puterman 1994, §6.9).

    Args:
        mdp: the MDP.
        policy: (S, A), each row a distribution over actions.

    Raises ValueError if the policy has another shape or a row is not a distribution.
    """
    table = np.asarray(policy, dtype=np.float64)
    if table.shape != mdp.transition.shape[:2]:
        raise ValueError(f"A policy must be a table of shape (S, A) = {mdp.transition.shape[:2]}; got {table.shape}.")
    _check_policy(table)
    moves = np.einsum("sa,sat->st", table, mdp.transition)
    states = np.linalg.solve(np.eye(len(moves)) - mdp.gamma * moves.T, (1 - mdp.gamma) * mdp.initial)
    return np.asarray(states[:, None] * table)
