"""STARC distances (VAL and Minimal; Skalse et al. 2024) on sampled transitions, from draws that all rewards share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

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
from irl_probe.metrics.checks import check_choice, check_gamma, check_numbers
from irl_probe.metrics.draws import PolicySteps, Successors, paired, paired_products
from irl_probe.metrics.epic import TRIVIAL, ZERO
from irl_probe.metrics.ranking import pearson_distance
from irl_probe.metrics.rollouts import Rollouts, gained
from irl_probe.metrics.terms import Potential, RewardFunction, RewardTerms

Measure = Literal["starc_val", "starc_minimal"]
MEASURES = ("starc_val", "starc_minimal")
Features = Callable[[Array], Floats]

# Why a norm that is not 0 has no estimate: products of different draws have no bias, but can be negative.
NOISY = (
    "Up to shaping the {which} reward is so small on these steps that random successors hide it. Give more episodes, "
    "or more draws of each successor."
)

FEW_SIMULATED = (
    "VAL needs at least {needed} simulated steps of random actions for its {size} features; there are {found}. "
    "Simulate more."
)

RANK = 1e-10  # a direction of the features whose singular value is a smaller share of the largest is rounding error
# VAL leaves directions below this share small: they hardly vary on the steps, so weights of theirs explode elsewhere.
VALUE_RANK = 1e-2
RIDGE = 1e-12  # for directions of the orthonormal features that the sample does not determine
DAMPED = 0.2  # singular values of VAL's system below this share of 1 − √γ are damped
ITERATIONS = 8  # of the damped solution, which make it exact to 1e-9 where the sample determines it
ROWS_PER_FEATURE = 10  # features are chosen among sizes p with at least this many rows for each


@dataclass(frozen=True)
class Canonical:
    """The canonical forms C = R + shaping of n rewards by one measure, and how they change in a resample.

    Attributes:
        episode: (N,) the episode of each step; rows of one episode are adjacent.
        forms: draws of C, (n, N, L).
        features: ψ = γφ(s′) − φ(s) at the same draws, (N, L, p), orthonormal on average; p = 0 if none were fitted.
        influence: (E, p, n), what each episode adds to the weights w of ψᵀw if it is drawn once more.
    """

    episode: Ints
    forms: Floats
    features: Floats
    influence: Floats

    def gram(self, rows: Sequence[int], counts: Floats) -> Floats:
        """Mean inner products of two rewards' forms in each resample, (R, 2, 2)."""
        pair = self.forms[list(rows)]
        size = counts @ episode_sums(np.ones(len(self.episode)), self.episode)  # (R,)
        products = np.stack([[paired(x, y) for y in pair] for x in pair])  # (2, 2, N)
        inner = np.tensordot(counts, episode_sums(np.moveaxis(products, 2, 0), self.episode), axes=1)
        inner = inner / size[:, None, None]
        if not self.features.shape[2]:
            return inner
        moved = self.moved(rows, counts)
        towards = np.stack([_by_episode(self.features, x, self.episode) for x in pair], axis=2)  # (E, p, 2)
        through = np.swapaxes(np.tensordot(counts, towards, axes=1), 1, 2) @ moved / size[:, None, None]
        square = paired_products(self.features, self.features) / len(self.features)
        return inner + through + np.swapaxes(through, 1, 2) + np.swapaxes(moved, 1, 2) @ (square @ moved)

    def moved(self, rows: Sequence[int], counts: Floats) -> Floats:
        """How w of some rewards changes in each resample, by one Newton step, (R, p, rows)."""
        change: Floats = np.tensordot(counts - 1, self.influence[:, :, list(rows)], axes=1)
        return change

    def plus(self, first: int, second: int, times: float) -> Canonical:
        """With the form of one more reward, `first` + `times` · `second`: forms are linear in the reward."""

        def joined(values: Floats, axis: int) -> Floats:
            more = values.take([first], axis) + times * values.take([second], axis)
            return np.concatenate([values, more], axis=axis)

        return replace(self, forms=joined(self.forms, 0), influence=joined(self.influence, 2))


@dataclass(frozen=True)
class StarcForms:
    """Canonical forms of n rewards by VAL and Minimal. Make it with `starc_forms`.

    Attributes:
        names: the names of the rewards.
        scale: (n,) largest |R|.
        rewards: R(s, a, S′) at each step's successors, (n, N, L).
        canonical: measure → forms.
        sizes: measure → the number of features that was used.
        undefined: measure → why it has no figure.
        value_spread: (n,) the standard deviation over the steps of each reward's value under d_A; without the potential
            that the reward itself shows, if it shows one.
    """

    names: tuple[str, ...]
    scale: Floats
    rewards: Floats
    canonical: dict[str, Canonical]
    sizes: dict[str, int]
    value_spread: Floats
    undefined: Mapping[str, str]

    def plus(self, first: str, second: str, times: float, name: str) -> StarcForms:
        """With the forms of one more reward: `first` + `times` · `second`."""
        a, b = self.names.index(first), self.names.index(second)
        return replace(
            self,
            names=(*self.names, name),
            scale=np.append(self.scale, self.scale[a] + abs(times) * self.scale[b]),
            rewards=np.concatenate([self.rewards, (self.rewards[a] + times * self.rewards[b])[None]]),
            canonical={measure: forms.plus(a, b, times) for measure, forms in self.canonical.items()},
            value_spread=np.append(self.value_spread, np.nan),
        )

    def distance(
        self,
        measure: Measure,
        first: str,
        second: str,
        *,
        confidence: float = 0.95,
        resamples: int = 1000,
        seed: Seed = 0,
    ) -> Estimate:
        """‖Ĉ_a − Ĉ_b‖ of the normalised forms, in [0, 2], with a BCa bootstrap interval over episodes.

        In a resample the fitted weights change by one Newton step, which is exact to first order.

        NaN with a reason if a form is 0, or if VAL has too few simulated steps. Raises ValueError for an unknown
        measure.
        """
        check_confidence(confidence, resamples)
        check_choice(measure, MEASURES, "measure")
        if measure in self.undefined:
            return Estimate.undefined(self.undefined[measure])
        forms = self.canonical[measure]
        rows = [self.names.index(name) for name in (first, second)]
        episodes = len(np.unique(forms.episode))
        counts = resample_counts(episodes, resamples, np.random.default_rng(seed))
        counts = np.concatenate([counts, jackknife_counts(episodes)])
        gram = forms.gram(rows, counts)
        for place, row in enumerate(rows):
            if not gram[0, place, place] > (ZERO * self.scale[row]) ** 2:
                trivial = np.abs(forms.forms[row].mean(axis=1)).max() <= ZERO * self.scale[row]
                return Estimate.undefined((TRIVIAL if trivial else NOISY).format(which=f"'{self.names[row]}'"))
        distances = 2 * pearson_distance(gram[:, 0, 1], gram[:, 0, 0] * gram[:, 1, 1])
        distances[(gram[:, 0, 0] <= 0) | (gram[:, 1, 1] <= 0)] = np.nan
        drawn, left_out = np.split(distances, [resamples + 1])
        without = ONE_EPISODE if episodes == 1 else ""
        return accelerated_interval(drawn, left_out, confidence, groups=episodes, without=without)


def starc_forms(
    rewards: Mapping[str, RewardFunction | RewardTerms],
    successors: Successors,
    policy: PolicySteps,
    rollouts: Rollouts,
    gamma: float,
    features: Features,
    *,
    sizes: Sequence[int] | None = None,
    minimal: Features | None = None,
    references: tuple[Array, Array] | None = None,
    extra: Mapping[str, RewardTerms] | None = None,
) -> StarcForms:
    """The canonical forms of all rewards. All share one linear system for Minimal and one for VAL.

    Minimal: w minimises the mean of E[C]² over the steps, which stand for the coverage D of the exact measure. In a
    continuous space it is the least norm that these potentials reach: a richer class can reach a smaller one.

    VAL: C(s, a) = Q(s, a) − E_A[Q(s, A)] with A ~ d_A, where Q(s, a) = E[Σ_{t<h} γᵗR_t + γʰφ(s_h)ᵀw] by rollouts of h
    steps, and φᵀw is the value of the policy π = d_A by least-squares temporal differences (Bradtke and Barto 1996),
    Σ φ(s)(R_π + γE[φ(s′)]ᵀw − φ(s)ᵀw) = 0, on simulated steps of π. Features show a value only roughly, and an
    advantage is a small difference of values: the rollouts show what is fine, and forget their first step before the
    fit takes over.

    The potential that a reward itself shows in its dependence on s′ (`RewardTerms.potential`, for a recovered reward
    its V) is taken out exactly before anything is fitted, and is one of the features of all rewards. So shaping of any
    size that can be seen there changes no form. A potential that is neither shown nor in the span of the features
    changes the forms by the part that the features cannot express.

    Args:
        rewards: name → reward.
        successors: N steps with draws of s′.
        policy: simulated steps of d_A (`follow`), from the states of these steps.
        rollouts: of all these rewards (`roll_out`), from some or all of these steps.
        gamma: in [0, 1).
        features: φ, observations (N, ...) → (N, p), a constant first. After an end they are taken as 0.
        sizes: numbers of leading features, among which the error of VAL on held-out episodes chooses; default all.
        minimal: the features of Minimal, whose class of potentials they define; default φ.
        references: observations and actions (K, ...) at which a plain function's dependence on s′ is read; None leaves
            it unread.
        extra: more rewards, whose forms come from the same system. They do not count in the choice of features, and
            their own potentials are not among these.

    Raises ValueError if the features are not finite numbers of shape (N, p).
    """
    everything = {**rewards, **(extra or {})}
    sample = starc_sample(
        everything, successors, policy, rollouts, gamma, features, sizes=sizes, minimal=minimal, references=references
    )
    return sample.forms(list(rewards), list(extra or {}))


def starc_sample(
    rewards: Mapping[str, RewardFunction | RewardTerms],
    successors: Successors,
    policy: PolicySteps,
    rollouts: Rollouts,
    gamma: float,
    features: Features,
    *,
    sizes: Sequence[int] | None = None,
    minimal: Features | None = None,
    references: tuple[Array, Array] | None = None,
) -> StarcSample:
    """The values of all rewards and features from which `StarcSample.forms` fits the forms of any of these rewards.

    Arguments, and what it raises, are as for `starc_forms`.
    """
    gamma = check_gamma(gamma)
    steps, phi = successors.steps, features if minimal is None else minimal
    terms = [RewardTerms.of(name, reward) for name, reward in rewards.items()]
    shown = [reward.potential(gamma, references) for reward in terms]
    own = np.repeat(steps.actions[:, None], successors.ended.shape[1], axis=1)
    there = steps.observations, own, successors.after, successors.ended
    return StarcSample(
        names=tuple(rewards),
        steps=_Place.of(features, terms, shown, *there),
        simulated=_Place.of(features, terms, shown, policy.observations, policy.actions, policy.after, policy.ended),
        later=_Later.of(features, shown, rollouts, [rollouts.names.index(name) for name in rewards]),
        minimal=_Place.of(phi, [], [], *there),
        episode=steps.episode,
        policy=policy,
        gamma=gamma,
        sizes=sizes,
    )


@dataclass(frozen=True)
class _Place:
    """Features and rewards at steps with successors S′: φ(s) (N, p), φ(S′) (N, L, p) and R(s, a, S′) (n, N, L).

    `shown` has, for each reward, the potential that it shows at s (N, 1) and S′ (N, L, 1), or None. Features and
    potentials are 0 where the MDP ended.
    """

    phi: Floats
    after: Floats
    rewards: Floats
    shown: Sequence[tuple[Floats, Floats] | None]
    ends: bool

    @classmethod
    def of(
        cls,
        features: Features,
        terms: Sequence[RewardTerms],
        shown: Sequence[Potential | None],
        observations: Array,
        actions: Array,
        after: Array,
        ended: Bools,
    ) -> _Place:
        flat, over = after.reshape(-1, *after.shape[2:]), ended.reshape(-1)
        states, taken = np.repeat(observations, ended.shape[1], axis=0), actions.reshape(-1, *actions.shape[2:])

        def going(values: Floats) -> Floats:
            return np.where(over[:, None], 0.0, values).reshape(*ended.shape, -1)

        return cls(
            phi=check_features(features, observations),
            after=going(check_features(features, flat)),
            rewards=np.array([reward(states, taken, flat, over).reshape(ended.shape) for reward in terms]),
            shown=[None if p is None else (p(observations)[:, None], going(p(flat)[:, None])) for p in shown],
            ends=bool(ended.any()),
        )

    def basis(self, rows: Sequence[int]) -> tuple[Floats, Floats]:
        """φ and, after them, the potentials that these rewards show: at s (N, q) and S′ (N, L, q)."""
        more = [both for both in (self.shown[row] for row in rows) if both is not None]
        here, later = ([both[place] for both in more] for place in (0, 1))
        return np.concatenate([self.phi, *here], axis=1), np.concatenate([self.after, *later], axis=2)

    def unshaped(self, rows: Sequence[int], gamma: float) -> Floats:
        """These rewards without the potentials that they show, (rows, N, L)."""
        values = []
        for row in rows:
            reward, both = self.rewards[row], self.shown[row]
            values.append(reward if both is None else reward - (gamma * both[1][..., 0] - both[0]))
        return np.stack(values)


@dataclass(frozen=True)
class _Later:
    """What an action gains over d_A by rollouts: rewards (n, N, K), and γʰ times features (N, K, p) and potentials.

    `shown` has γʰ times what each reward's own potential gains, (N, K, 1), or None. Without `fitted` the rollouts are
    so long that no value is added.
    """

    episode: Ints
    rewards: Floats
    phi: Floats
    shown: Sequence[Floats | None]
    fitted: bool

    @classmethod
    def of(
        cls, features: Features, shown: Sequence[Potential | None], rollouts: Rollouts, rows: Sequence[int]
    ) -> _Later:
        ended = rollouts.ended
        going = rollouts.last[~ended]

        def gain(function: Features) -> Floats:
            here = check_features(function, going)
            values = np.zeros((*ended.shape, here.shape[1]))
            values[~ended] = here
            difference: Floats = rollouts.discount * gained(np.moveaxis(values, 3, 2))
            return difference

        return cls(
            episode=rollouts.steps.episode,
            rewards=rollouts.paid[rows],
            phi=gain(features),
            shown=[None if p is None else gain(_column(p)) for p in shown],
            fitted=not rollouts.complete,
        )

    def basis(self, rows: Sequence[int]) -> Floats:
        """ψ: what φ and, after it, the potentials that these rewards show gain, (N, K, q)."""
        more = [self.shown[row] for row in rows]
        joined = np.concatenate([self.phi, *(values for values in more if values is not None)], axis=2)
        return joined if self.fitted else np.zeros_like(joined)

    def unshaped(self, rows: Sequence[int]) -> Floats:
        """These rewards without the potentials that they show, (rows, N, K): shaping adds γʰΦ(s_h) − Φ(s)."""
        return np.stack([self.rewards[row] - (0 if (p := self.shown[row]) is None else p[..., 0]) for row in rows])


@dataclass(frozen=True)
class StarcSample:
    """Rewards and features, evaluated once at the steps and at simulated steps. Make it with `starc_sample`."""

    names: tuple[str, ...]
    steps: _Place
    simulated: _Place
    later: _Later
    minimal: _Place
    episode: Ints
    policy: PolicySteps
    gamma: float
    sizes: Sequence[int] | None

    def forms(self, names: Sequence[str], extra: Sequence[str] = ()) -> StarcForms:
        """The canonical forms of some of the rewards; `extra` as in `starc_forms`."""
        judged, rows = ([self.names.index(name) for name in some] for some in (names, [*names, *extra]))
        unshaped, paid = (place.unshaped(rows, self.gamma) for place in (self.steps, self.simulated))
        potentials = replace(self.minimal, shown=self.steps.shown)
        least = _minimal(_moved(*potentials.basis(judged), self.gamma), unshaped, self.episode)

        paid = paid.mean(axis=2)
        if not self.simulated.ends:  # a constant is shaping: take it out without a fit
            paid = paid - paid.mean(axis=1, keepdims=True)
        here, _ = self.steps.basis(judged)
        width = self.steps.phi.shape[1]
        offered, shown = _offered(self.sizes, width), here.shape[1] - width
        later = self.later
        problem = _Problem(later.basis(judged), here, later.unshaped(rows), later.episode, offered, len(judged), shown)
        phi, following = self.simulated.basis(judged)
        following = self.gamma * following.mean(axis=1)
        val, val_size, spread = _val(problem, _ValueSystem(phi, following, paid.T, self.policy, self.gamma, here))
        whole = self.steps.rewards[rows]
        return StarcForms(
            names=(*names, *extra),
            scale=np.abs(whole[:, :, 0]).max(axis=1),
            rewards=whole,
            canonical={"starc_val": val, "starc_minimal": least},
            sizes={"starc_val": val_size, "starc_minimal": self.minimal.phi.shape[1]},
            value_spread=spread,
            undefined=_too_few(val_size, len(phi)),
        )


def _column(potential: Potential) -> Features:
    return lambda observations: potential(observations)[:, None]


def _moved(here: Floats, after: Floats, gamma: float) -> Floats:
    """ψ = γφ(S′) − φ(s), (N, L, p)."""
    psi: Floats = gamma * after - here[:, None]
    return psi


def check_features(features: Features, observations: Array) -> Floats:
    """φ of each observation, (N, p), checked."""
    values = check_numbers(features(observations), "features")
    if values.ndim != 2 or len(values) != len(observations):
        raise ValueError(f"Features must have shape (N, p) with N = {len(observations)}; got {values.shape}.")
    return values


@dataclass(frozen=True)
class _Problem:
    """VAL's forms before the value is added, (n, N, K), and ψ (N, K, p); φ at the steps; and the sizes to try."""

    psi: Floats
    phi: Floats
    rewards: Floats
    episode: Ints
    sizes: Sequence[int]
    judged: int
    shown: int

    def columns(self, size: int) -> Ints:
        """The first `size` features and all potentials that the rewards show."""
        return np.append(np.arange(size), np.arange(self.phi.shape[1] - self.shown, self.phi.shape[1]))


@dataclass(frozen=True)
class _ValueSystem:
    """Simulated steps of d_A: φ(s) and γE[φ(s′)] (M, p), the mean reward over d_A (M, n); φ(s) of the steps (N, p)."""

    phi: Floats
    following: Floats
    rewards: Floats
    policy: PolicySteps
    gamma: float
    steps: Floats

    def solve(self, columns: Ints, rows: Bools | slice) -> tuple[Floats, Floats, Floats]:
        """w (p, n) by the rows, the columns' scaling (p, p) in which w is, and the inverse of the system.

        The inverse is that of iterated Tikhonov: exact along directions that the sample determines as well as it does
        in expectation (singular values of at least 1 − √γ), and damped along those that it leaves open.
        """
        phi, steps = self.phi[rows][:, columns], self.steps[:, columns]
        both = np.concatenate([phi / np.sqrt(len(phi)), steps / np.sqrt(len(steps))])  # equal weight of both samples
        unit = 1 / np.maximum(np.sqrt((both**2).sum(axis=0)), np.finfo(np.float64).tiny)
        scale = unit[:, None] * _orthonormal(both * unit, VALUE_RANK) / np.sqrt(len(both) / 2)
        phi = phi @ scale
        system = phi.T @ (phi - self.following[rows][:, columns] @ scale) / len(phi)
        ridge = (DAMPED * (1 - np.sqrt(self.gamma))) ** 2
        normal = np.asarray(np.linalg.inv(system.T @ system + ridge * np.eye(len(system))), dtype=np.float64)
        damped = normal @ system.T
        inverse = damped
        for _ in range(ITERATIONS - 1):
            inverse = inverse + damped @ (np.eye(len(system)) - system @ inverse)
        weights: Floats = inverse @ (phi.T @ self.rewards[rows] / len(phi))
        return weights, scale, inverse

    def errors(self, columns: Ints, scaled: Floats) -> Floats:
        """The temporal difference of each step, (M, n); `scaled` are weights of the unscaled features."""
        difference: Floats = self.rewards + (self.following[:, columns] - self.phi[:, columns]) @ scaled
        return difference


def _minimal(psi: Floats, rewards: Floats, episode: Ints) -> Canonical:
    """Minimal: the least mean of E[R + ψᵀw]² over w."""
    psi = psi @ _orthonormal(_flat(psi))
    square = paired_products(psi, psi) / len(psi)
    inverse = np.asarray(np.linalg.inv(square + RIDGE * np.eye(len(square))), dtype=np.float64)
    forms = np.moveaxis(rewards, 0, 2)  # (N, L, n)
    for _ in range(2):  # twice, for precision
        forms = forms - psi @ (inverse @ paired_products(psi, forms) / len(psi))
    forms = np.moveaxis(forms, 2, 0)
    at = np.stack([_by_episode(psi, x, episode) for x in forms], axis=2)
    return Canonical(episode, forms, psi, -inverse @ at / len(psi))


def _val(problem: _Problem, value: _ValueSystem) -> tuple[Canonical, int, Floats]:
    """VAL, with the number of features whose value has the least error on held-out chains; and each value's spread."""
    policy, judged = value.policy, problem.judged
    held = _halves(policy.episode if len(np.unique(policy.episode)) > 1 else policy.chain)
    affordable = _affordable(problem.sizes, len(value.phi) // 2)

    def error(size: int) -> float:
        columns, total = problem.columns(size), 0.0
        for half in (held, ~held):
            weights, scale, _ = value.solve(columns, ~half)
            differences = value.errors(columns, scale @ weights)[half, :judged]
            total += _chain_error(differences, policy, half, value.rewards[half, :judged])
        return total

    size = min(affordable, key=error) if len(affordable) > 1 else affordable[0]
    columns = problem.columns(size)
    weights, scale, inverse = value.solve(columns, slice(None))
    differences = value.errors(columns, scale @ weights)
    phi = value.phi[:, columns] @ scale
    episodes = problem.episode[np.flatnonzero(np.diff(problem.episode, prepend=problem.episode[0] - 1))]
    at = np.stack([(phi[rows].T @ differences[rows]) for rows in (policy.episode == e for e in episodes)])
    psi = problem.psi[:, :, columns] @ scale
    forms = np.moveaxis(np.moveaxis(problem.rewards, 0, 2) + psi @ weights, 2, 0)
    spread = (problem.phi[:, columns] @ scale @ weights).std(axis=0)
    return Canonical(problem.episode, forms, psi, inverse @ at / len(phi)), size, spread


def _chain_error(differences: Floats, policy: PolicySteps, rows: Bools, rewards: Floats) -> float:
    """E[min(1, (Σ δ_t)²/u)] over chains, added over rewards; u is the mean square of a reward's sums over chains.

    Chains go on with probability γ, so the mean of Σ δ_t is the error of V at the chain's start. The bound keeps a few
    starts that are far from all others from deciding.
    """
    _, chain = np.unique(policy.chain[rows], return_inverse=True)
    total = 0.0
    for column, reward in zip(differences.T, rewards.T, strict=True):
        squares, unit = np.bincount(chain, column) ** 2, (np.bincount(chain, reward) ** 2).mean()
        total += float(np.minimum(squares / max(float(unit), np.finfo(float).tiny), 1).mean())
    return total


def _offered(sizes: Sequence[int] | None, width: int) -> list[int]:
    """The numbers of leading features to choose among, ascending."""
    return sorted({min(size, width) for size in sizes}) if sizes else [width]


def _affordable(sizes: Sequence[int], rows: int) -> list[int]:
    """Those with enough rows for each feature, or the smallest alone."""
    return [size for size in sizes if size * ROWS_PER_FEATURE <= rows] or [sizes[0]]


def _too_few(size: int, rows: int) -> dict[str, str]:
    needed = ROWS_PER_FEATURE * size
    return {"starc_val": FEW_SIMULATED.format(needed=needed, size=size, found=rows)} if rows < needed else {}


def _halves(groups: Ints) -> Bools:
    """Every second group of rows; where there is only one, its second half."""
    names, index = np.unique(groups, return_inverse=True)
    held: Bools = np.arange(len(groups)) >= len(groups) // 2 if len(names) == 1 else index % 2 == 1
    return held


def _flat(draws: Floats) -> Floats:
    """(N·L, p) of (N, L, p)."""
    return draws.reshape(-1, draws.shape[-1])


def _orthonormal(rows: Floats, rank: float = RANK) -> Floats:
    """(p, p) that makes the columns of rows (N, p) orthonormal on average; directions below `rank` stay small."""
    triangle = np.linalg.qr(rows, mode="r")
    _, singular, axes = np.linalg.svd(triangle)
    columns: Floats = axes[: len(singular)].T / np.maximum(singular, rank * max(singular[0], RANK))
    scale: Floats = columns * np.sqrt(len(rows))
    return scale


def _by_episode(features: Floats, form: Floats, episode: Ints) -> Floats:
    """The sum over each episode of an unbiased estimate of E[ψ]E[C], (E, p)."""
    return episode_sums(paired(features, form[:, :, None]), episode)
