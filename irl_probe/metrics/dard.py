"""DARD on sampled transitions, from successors that all rewards share (Wulfe et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from irl_probe._config import check_confidence
from irl_probe._types import Array, Bools, Floats, Ints
from irl_probe.metrics.bootstrap import (
    ONE_EPISODE,
    Estimate,
    Seed,
    accelerated_interval,
    episode_sums,
    jackknife_counts,
    resample_counts,
)
from irl_probe.metrics.checks import check_gamma
from irl_probe.metrics.draws import Actions, Dynamics, check_draws, off_support, paired
from irl_probe.metrics.epic import TRIVIAL, ZERO
from irl_probe.metrics.ranking import pearson_distance
from irl_probe.metrics.terms import RewardFunction, RewardTerms
from irl_probe.transitions import Transitions


@dataclass(frozen=True)
class DardForms:
    """C(R) of n rewards on the same steps. Make it with `dard_forms`.

    Attributes:
        names: the names of the rewards.
        scale: (n,) largest |R|.
        episode: (N,) the episode of each step that does not end the MDP.
        draws: (n, N, L) draws of C.
        off_support: the share of the transitions (s, A, S′) that are unlike all steps.
    """

    names: tuple[str, ...]
    scale: Floats
    episode: Ints
    draws: Floats
    off_support: float

    def plus(self, first: str, second: str, times: float, name: str) -> DardForms:
        """With the form of one more reward, `first` + `times` · `second`: canonical forms are linear in the reward."""
        a, b = self.names.index(first), self.names.index(second)
        return DardForms(
            (*self.names, name),
            np.append(self.scale, self.scale[a] + abs(times) * self.scale[b]),
            self.episode,
            np.concatenate([self.draws, (self.draws[a] + times * self.draws[b])[None]]),
            self.off_support,
        )

    def distance(
        self, first: str, second: str, *, confidence: float = 0.95, resamples: int = 1000, seed: Seed = 0
    ) -> Estimate:
        """√((1 − ρ)/2) of two rewards' forms, in [0, 1], with a BCa bootstrap interval over episodes.

        NaN with a reason if a form is constant. One episode has no interval.
        """
        check_confidence(confidence, resamples)
        rows = [self.names.index(name) for name in (first, second)]
        episodes = len(np.unique(self.episode))
        counts = resample_counts(episodes, resamples, np.random.default_rng(seed))
        counts = np.concatenate([counts, jackknife_counts(episodes)])

        def mean(values: Floats) -> Floats:
            total: Floats = counts @ episode_sums(values, self.episode)
            return total / (counts @ episode_sums(np.ones(len(values)), self.episode))

        pair = self.draws[rows]
        pair = pair - pair.mean(axis=(1, 2), keepdims=True)
        first_mean, second_mean = (mean(form.mean(axis=1)) for form in pair)
        squares = [mean(paired(form, form)) - m**2 for form, m in zip(pair, (first_mean, second_mean), strict=True)]
        for row, square in zip(rows, squares, strict=True):
            if not square[0] > (ZERO * self.scale[row]) ** 2:
                return Estimate.undefined(TRIVIAL.format(which=f"'{self.names[row]}'"))
        half = pearson_distance(mean(paired(*pair)) - first_mean * second_mean, squares[0] * squares[1])
        half[(squares[0] <= 0) | (squares[1] <= 0)] = np.nan
        drawn, left_out = np.split(half, [resamples + 1])
        without = ONE_EPISODE if episodes == 1 else ""
        return accelerated_interval(drawn, left_out, confidence, groups=episodes, without=without)


def dard_forms(
    rewards: Mapping[str, RewardFunction | RewardTerms],
    steps: Transitions,
    gamma: float,
    dynamics: Dynamics,
    *,
    actions: Actions,
    draws: int = 4,
    seed: int | np.random.Generator = 0,
) -> DardForms:
    """C(R) = R + E[γR(s′, A, S″) − R(s, A, S′) − γR(S′, A, S″)], S′ ~ P(s, A), S″ ~ P(s′, A), by its definition.

    One A ~ d_A is shared by the three terms. Every draw has successors of its own, so products of different draws have
    no bias. Steps that end the MDP are left out, as for EPIC, and no step is taken to end it.

    Args:
        rewards: name → reward.
        steps: steps of the coverage distribution D, with their episodes.
        gamma: in [0, 1).
        dynamics: a step of the environment, or of a model of it.
        actions: all actions of a discrete space, so that the mean over d_A is exact, or a function (n, rng) → (n, ...).
        draws: L if the actions or the dynamics are random, at least 2; otherwise L is 1.
        seed: of the actions. `dynamics` has a seed of its own.

    Raises ValueError if a reward does not give one finite number for each transition, if `draws` is below 2 where it
    matters, or if every step ended the MDP.
    """
    gamma = check_gamma(gamma)
    if steps.terminated.all():
        raise ValueError(
            "DARD uses steps that do not end the MDP; every one of these ended the MDP. Give whole episodes."
        )
    steps = steps.rows(~steps.terminated)
    length = 1
    if callable(actions) or not dynamics.deterministic:
        check_draws(draws)
        length = draws
    rng = np.random.default_rng(seed)
    if callable(actions):
        chosen = actions(len(steps) * length, rng)
        chosen = chosen.reshape(len(steps), length, 1, *chosen.shape[1:])
    else:
        chosen = np.broadcast_to(actions, (len(steps), length, *actions.shape))
    shape = chosen.shape[:3]
    each = chosen.reshape(-1, *chosen.shape[3:])
    here, there = (np.repeat(x, shape[1] * shape[2], axis=0) for x in (steps.observations, steps.next_observations))
    after, beyond = dynamics.step(here, each)[0], dynamics.step(there, each)[0]
    found = [
        _form(RewardTerms.of(name, reward), steps, gamma, (here, there, each, after, beyond), shape)
        for name, reward in rewards.items()
    ]
    forms, scale = (np.stack(column) for column in zip(*found, strict=True))
    return DardForms(tuple(rewards), scale, steps.episode, forms, off_support(steps, here, each, after))


def _form(
    reward: RewardTerms,
    steps: Transitions,
    gamma: float,
    drawn: tuple[Array, Array, Array, Array, Array],
    shape: tuple[int, ...],
) -> tuple[Floats, float]:
    """Draws of C (N, L), and the largest |R|."""
    here, there, actions, after, beyond = drawn
    going: Bools = np.zeros(len(here), dtype=bool)
    # The successor terms of R(s′, A, S″) and R(S′, A, S″) cancel.
    first = reward.of_state(there) + reward.of_pair(there, actions) + reward.of_joint(there, actions, beyond, going)
    last = reward.of_state(after) + reward.of_pair(after, actions) + reward.of_joint(after, actions, beyond, going)
    terms = gamma * (first - last) - reward(here, actions, after, going)
    observed = reward(steps.observations, steps.actions, steps.next_observations, np.zeros(len(steps), dtype=bool))
    return observed[:, None] + terms.reshape(shape).mean(axis=2), float(np.abs(observed).max())
