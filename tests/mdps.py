"""Tabular problems whose answers are known, and strategies that draw random ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TabularMDP:
    """P (S, A, S), a true reward R (S, A, S), γ, the first state's distribution (S,)."""

    transition: Floats
    reward: Floats
    gamma: float
    initial: Floats

    @property
    def coverage(self) -> Floats:
        """Uniform over (s, a) times P."""
        return self.transition / (self.transition.shape[0] * self.transition.shape[1])

    @property
    def everything(self) -> Floats:
        """Uniform over all (s, a, s′), also impossible ones."""
        return np.full(self.transition.shape, 1 / self.transition.size)


MOVES = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0), "stay": (0, 0)}
GRID_GAMMA = 0.99
GRID_STATE_REWARDS = {
    "sparse": [0, 0, 0, 0, 0, 0, 0, 0, 1],
    "center": [0, 0, 0, 0, 1, 0, 0, 0, 0],
    "penalty": [0, 0, 0, 0, 0, 0, 0, 0, -1],
    "path": [0, -1, -1, 0, 0, 0, -1, -1, 4],
    "cliff": [0, -1, -1, 0, 0, 0, -4, -4, 4],
}
DENSE_POTENTIAL = -np.array([4, 3, 2, 3, 2, 1, 2, 1, 0], dtype=float)


def shaped(reward: Floats, potential: Floats, gamma: float) -> Floats:
    """R + γΦ(s′) − Φ(s)."""
    return reward + gamma * potential[None, None, :] - potential[:, None, None]


def expected(reward: Floats, mdp: TabularMDP) -> Floats:
    """E_{s′~P}[R(s, a, s′)], (S, A)."""
    return (mdp.transition * reward).sum(axis=2)


def grid_transition(slip: float = 0.0, side: int = 3) -> Floats:
    """P of the grid, rows first, actions left, right, up, down, stay; walls block.

    With probability `slip` the action is replaced by one drawn uniformly from all five.
    """
    states = side * side
    transition = np.zeros((states, len(MOVES), states))
    for state in range(states):
        row, column = divmod(state, side)
        for action, (down, right) in enumerate(MOVES.values()):
            inside = 0 <= row + down < side and 0 <= column + right < side
            transition[state, action, state + down * side + right if inside else state] = 1
    return (1 - slip) * transition + slip * transition.mean(axis=1, keepdims=True)


def grid_rewards() -> dict[str, Floats]:
    """The six rewards of the 3×3 grid (Gleave et al. 2021, Fig. A.2), each (9, 5, 9), paid in s."""
    rewards = {
        name: np.broadcast_to(np.array(values, dtype=float)[:, None, None], (9, 5, 9))
        for name, values in GRID_STATE_REWARDS.items()
    }
    return {**rewards, "dense": shaped(rewards["sparse"], DENSE_POTENTIAL, GRID_GAMMA)}


def grid(reward: str = "sparse", slip: float = 0.0) -> TabularMDP:
    return TabularMDP(grid_transition(slip), grid_rewards()[reward], GRID_GAMMA, np.full(9, 1 / 9))


def two_states() -> TabularMDP:
    """Action 0 stays, action 1 switches; reward 1 for leaving state 0 by action 1; γ = 0.9."""
    transition = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    reward = np.zeros((2, 2, 2))
    reward[0, 1, 1] = 1
    return TabularMDP(transition, reward, 0.9, np.array([1.0, 0.0]))


def random_mdp(
    seed: int | np.random.Generator,
    states: int = 6,
    actions: int = 3,
    gamma: float = 0.9,
    successors: int | None = None,
) -> TabularMDP:
    """Normal rewards, Dirichlet dynamics over `successors` states (default all)."""
    rng = np.random.default_rng(seed)
    reached = states if successors is None else min(successors, states)
    transition = np.zeros((states, actions, states))
    for state, action in np.ndindex(states, actions):
        transition[state, action, rng.permutation(states)[:reached]] = rng.dirichlet(np.ones(reached))
    return TabularMDP(transition, rng.normal(size=transition.shape), gamma, rng.dirichlet(np.ones(states)))


def redistribution(mdp: TabularMDP, rng: np.random.Generator) -> Floats:
    """A random X (S, A, S) with E_{s′~P}[X] = 0."""
    noise: Floats = rng.normal(size=mdp.transition.shape)
    return noise - (mdp.transition * noise).sum(axis=2, keepdims=True)


@st.composite
def mdps(draw: st.DrawFn, min_actions: int = 2) -> TabularMDP:
    """Random MDPs of 2 to 7 states, dense or sparse, γ from 0 to 0.99."""
    states = draw(st.integers(2, 7))
    return random_mdp(
        draw(st.integers(0, 2**32 - 1)),
        states=states,
        actions=draw(st.integers(min_actions, 4)),
        gamma=draw(st.sampled_from([0.0, 0.5, 0.9, 0.99])),
        successors=draw(st.integers(2, states)),
    )


seeds = st.integers(0, 2**32 - 1)
