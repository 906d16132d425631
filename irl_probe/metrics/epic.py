"""EPIC on sampled transitions, from one sample that all rewards share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from irl_probe._config import check_confidence
from irl_probe._types import Array, Floats, Ints
from irl_probe.metrics.bootstrap import (
    ONE_EPISODE,
    Estimate,
    Seed,
    accelerated_interval,
    jackknife_counts,
    resample_counts,
)
from irl_probe.metrics.checks import check_gamma
from irl_probe.metrics.ranking import pearson_distance
from irl_probe.metrics.terms import RewardFunction, RewardTerms
from irl_probe.transitions import Transitions

BLOCKS = 64
# The largest size of an array (steps × resamples) that a bootstrap holds at once, in numbers of 8 bytes.
REPLICATE_CHUNK = 2_000_000
# A canonical form whose standard deviation is below this share of the reward's largest value counts as constant.
ZERO = 1e-8

# Why a distance is undefined.
TRIVIAL = "Up to shaping and a constant the {which} reward is 0 on these steps, so it has no distance."


@dataclass(frozen=True)
class EpicForms:
    """C(R) of n rewards on the same N steps, with its means in B blocks, whose differences show their noise.

    C = base + mean over blocks. Make it with `epic_forms`.

    Attributes:
        names: the names of the rewards.
        base: (n, N), the exact part of C.
        blocks: (n, N, B), the sampled part in each block, or (n, N, 0) if the means are exact.
        scale: (n,) largest |R|. A form that is only a tiny share of it is rounding error.
        episode: (N,) the episode of each step; rows of one episode are adjacent.
    """

    names: tuple[str, ...]
    base: Floats
    blocks: Floats
    scale: Floats
    episode: Array

    def values(self, name: str) -> Floats:
        """C(R) of one reward at each step, (N,)."""
        row = self.names.index(name)
        noisy = self.blocks[row].mean(axis=1) if self.blocks.shape[2] else 0.0
        form: Floats = self.base[row] + noisy
        return form

    def plus(self, first: str, second: str, times: float, name: str) -> EpicForms:
        """With the form of one more reward, `first` + `times` · `second`: canonical forms are linear in the reward."""
        a, b = self.names.index(first), self.names.index(second)

        def joined(values: Floats, factor: float) -> Floats:
            return np.concatenate([values, (values[a] + factor * values[b])[None]])

        return EpicForms(
            (*self.names, name),
            joined(self.base, times),
            joined(self.blocks, times),
            joined(self.scale, abs(times)),
            self.episode,
        )

    def distance(
        self,
        first: str,
        second: str,
        *,
        confidence: float = 0.95,
        resamples: int = 1000,
        seed: Seed = 0,
    ) -> Estimate:
        """√((1 − ρ)/2) of two rewards' forms, in [0, 1], with a BCa bootstrap interval.

        A resample draws episodes and, independently, blocks of the canonical sample, since both samples are finite.
        NaN with a reason if a form is constant. One episode has no interval.
        """
        check_confidence(confidence, resamples)
        rows = [self.names.index(name) for name in (first, second)]
        for row in rows:
            if self.values(self.names[row]).std() <= ZERO * self.scale[row]:
                return Estimate.undefined(TRIVIAL.format(which=f"'{self.names[row]}'"))
        rng = np.random.default_rng(seed)
        starts = np.flatnonzero(np.diff(self.episode, prepend=self.episode[0] - 1))
        episodes = resample_counts(len(starts), resamples, rng)
        blocks = self.blocks.shape[2]
        weights = resample_counts(blocks, resamples, rng) if blocks else np.zeros((resamples + 1, 0))
        # After the rows of the resamples come those that leave out each episode, then those that leave out each block.
        out, out_blocks = jackknife_counts(len(starts)), jackknife_counts(blocks) if blocks else np.zeros((0, 0))
        episodes = np.concatenate([episodes, out, np.ones((len(out_blocks), len(starts)))])
        weights = np.concatenate([weights, np.ones((len(out), blocks)), out_blocks]) / max(blocks, 1)
        size = max(1, REPLICATE_CHUNK // self.base.shape[1])
        replicates = np.concatenate(
            [
                self._replicates(rows, starts, episodes[i : i + size], weights[i : i + size])
                for i in range(0, len(episodes), size)
            ]
        )
        drawn, *left_out = np.split(replicates, [resamples + 1, resamples + 1 + len(out)])
        without = ONE_EPISODE if len(starts) == 1 else ""
        return accelerated_interval(drawn, left_out, confidence, groups=len(starts), without=without)

    def _replicates(self, rows: list[int], starts: Ints, episodes: Floats, weights: Floats) -> Floats:
        """The distance in each resample, (R,)."""
        x, y = (self.base[row][:, None] + self.blocks[row] @ weights.T for row in rows)  # (N, R) each
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        sizes = np.diff(np.append(starts, len(self.episode))).astype(np.float64)

        def mean(values: Floats) -> Floats:
            summed = np.add.reduceat(values, starts, axis=0)  # (E, R)
            average: Floats = np.einsum("re,er->r", episodes, summed) / (episodes @ sizes)
            return average

        first, second = mean(x), mean(y)
        variances = (mean(x**2) - first**2) * (mean(y**2) - second**2)
        return pearson_distance(mean(x * y) - first * second, variances)


def epic_forms(
    rewards: Mapping[str, RewardFunction | RewardTerms],
    steps: Transitions,
    gamma: float,
    *,
    actions: Array,
    states: Array,
    exhaustive: bool = False,
    blocks: int = BLOCKS,
) -> EpicForms:
    """C(R) = R + E[γR(s′, A, S′) − R(s, A, S′) − γR(S, A, S′)] on each step, for all rewards from one sample.

    Gleave et al. 2021, Def. 4.1, without constants, which do not change the distance. All rewards use the same actions
    and states, so shaping cancels exactly for any number of them. Steps that end the MDP are left out: they have no
    state s′ to shape. So VAL and Minimal see what an end is worth, and EPIC does not.

    A pair term costs N + 2N·K evaluations (N + 2N with a `table`), a state or successor term N or 2N, and a joint term
    N + 2N·M. No batch is larger than 32 MB; the means of a reward take N·B numbers.

    Args:
        rewards: name → reward.
        steps: N steps of the coverage distribution D, with their episodes.
        gamma: in [0, 1].
        actions: (K, ...) draws of d_A.
        states: (M, ...) draws of d_S, for S′.
        exhaustive: whether `actions` are all actions, each once, so that means over d_A are exact.
        blocks: into how many parts the canonical sample is divided for the interval.

    Raises ValueError if a reward does not give one finite number for each transition (it is named), if every step ended
    the MDP, or if there is no action or state.
    """
    gamma = check_gamma(gamma, one_allowed=True)
    if not len(actions) or not len(states) or not rewards:
        raise ValueError(
            "EPIC needs at least one reward, one action of d_A and one state of d_S; "
            f"got {len(rewards)}, {len(actions)} and {len(states)}."
        )
    going = steps.rows(~steps.terminated) if not steps.terminated.all() else None
    if going is None:
        raise ValueError(
            "EPIC uses steps that do not end the MDP; every one of these ended the MDP. Give whole episodes."
        )
    terms = {name: RewardTerms.of(name, reward) for name, reward in rewards.items()}
    parts = _Blocks.of(actions, states, exhaustive, blocks, any(t.joint is not None for t in terms.values()))
    found = [_form(reward, going, gamma, parts) for reward in terms.values()]
    base, noisy, scale = (np.stack(column) for column in zip(*found, strict=True))
    return EpicForms(tuple(terms), base, noisy, scale, going.episode)


@dataclass(frozen=True)
class _Blocks:
    """The canonical sample: K actions, M pairs (action, state), and the number of blocks that each is divided into."""

    actions: Array
    paired: Array
    states: Array
    count: int
    exhaustive: bool

    @staticmethod
    def of(actions: Array, states: Array, exhaustive: bool, blocks: int, joint: bool) -> _Blocks:
        limits = [blocks, *([] if exhaustive else [len(actions)]), *([len(states)] if joint else [])]
        count = 0 if exhaustive and not joint else min(limits)
        return _Blocks(actions, actions[np.arange(len(states)) % len(actions)], states, count, exhaustive)

    def means(self, reward: RewardTerms, observations: Array) -> tuple[Floats, Floats]:
        """E_{A, S′}[pair + joint] at each state: the exact part (N,), and block means (N, B) of the sampled part."""
        exact, noisy = np.zeros(len(observations)), np.zeros((len(observations), self.count))
        if reward.pair is not None or reward.table is not None:
            table = reward.pair_table(observations, self.actions)
            if self.exhaustive:
                exact = table.mean(axis=1)
            else:
                noisy = noisy + _block_means(table, self.count)
        if reward.joint is not None:
            size = max(1, REPLICATE_CHUNK // len(self.states))
            pieces = [observations[i : i + size] for i in range(0, len(observations), size)]
            noisy = noisy + np.concatenate(
                [_block_means(reward.joint_table(o, self.paired, self.states), self.count) for o in pieces]
            )
        return exact, noisy


def _form(reward: RewardTerms, steps: Transitions, gamma: float, parts: _Blocks) -> tuple[Floats, Floats, float]:
    """The form of one reward: base (N,), blocks (N, B), and the reward's largest absolute value."""
    o, a, o2, d = steps.observations, steps.actions, steps.next_observations, steps.terminated
    state, pair, successor = reward.of_state(o), reward.of_pair(o, a), reward.of_successor(o2)
    joint = reward.of_joint(o, a, o2, d)
    exact, noisy = parts.means(reward, o)
    exact_after, noisy_after = parts.means(reward, o2)
    base = pair + successor + joint + gamma * (reward.of_state(o2) + exact_after) - exact
    blocks = gamma * noisy_after - noisy
    return base - base.mean(), blocks, float(np.abs(state + pair + successor + joint).max())


def _block_means(values: Floats, blocks: int) -> Floats:
    """Means over `blocks` interleaved parts of the columns, weighted so that their mean is the mean of all: (N, B)."""
    count = values.shape[1]
    used: Floats = np.add.reduceat(
        values[:, np.argsort(np.arange(count) % blocks, kind="stable")], _firsts(count, blocks), 1
    )
    means: Floats = used * (blocks / count)
    return means


def _firsts(count: int, blocks: int) -> Ints:
    sizes = np.bincount(np.arange(count) % blocks, minlength=blocks)
    firsts: Ints = np.cumsum(sizes) - sizes
    return firsts
