"""The verb compare: how rewards correlate with the true one on observed episodes, and how far they are from it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from irl_probe._config import Confidence, Config, Count, Seed, takes_config
from irl_probe._names import TRUE, UNNAMED
from irl_probe._types import Floats
from irl_probe.comparison.distances import DistanceConfig
from irl_probe.comparison.distances import distances as distance_groups
from irl_probe.comparison.ladder import ranking
from irl_probe.envs.simulator import Simulator
from irl_probe.envs.true_reward import TrueReward
from irl_probe.metrics.correlation import CONTROLS, LEVELS, METRICS, correlations
from irl_probe.results import correlation_group, coverages_group, new_results, points_group
from irl_probe.rewards.distil_config import Gamma
from irl_probe.rewards.dynamics import LearnedDynamics
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import Reward, RewardError, evaluate_reward
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.transitions import Transitions


@dataclass(frozen=True)
class CompareConfig(Config):
    """How `compare` measures. Raises ValueError for a value out of its bounds, naming the field."""

    resamples: Count = 1000
    """Bootstrap resamples of whole episodes, for every interval."""
    confidence: Confidence = 0.95
    """Confidence of the intervals."""
    seed: Seed = 0
    """Seed of the bootstrap. All rewards are measured on the same resamples, so their figures are paired."""
    window: Count = 20
    """Steps of a partial return."""
    gamma: Gamma | None = None
    """Discount γ, in the order of policies, of rewards that have none of their own, such as functions (default: the one
    that all other rewards share, else 0.99). Recovered and distilled rewards always use their own."""


@takes_config(CompareConfig, "compare(rewards, irl_probe.CompareConfig(resamples=1000), transitions=...)")
def compare(
    rewards: Mapping[str, Reward],
    config: CompareConfig | None = None,
    *,
    transitions: Mapping[str, Transitions] | Transitions,
    reference: Reward | None = None,
    distances: DistanceConfig | None = None,
    truth: Reward | None = None,
    dynamics: Simulator | LearnedDynamics | None = None,
    ladder: Mapping[str, Transitions] | None = None,
) -> xr.DataTree:
    """Correlations of each reward with the true one; on request also canonical distances and a ranking of policies.

    Pearson, Spearman and Kendall, per step, partial return and episode (undiscounted sums), each under three controls:
    none, a constant reward in the reward's place, and episode length partialled out. Intervals come from resampling
    whole episodes.
    `irl_probe.metrics.correlation` has the definitions. Correlations ignore a reward's positive scale but not potential
    shaping, so a reward with the right optimal policy can correlate badly; the canonical distances ignore shaping.

    Args:
        rewards: name → reward, per environment step.
        config: resamples, confidence, seed, window and γ; None takes the defaults of `CompareConfig`.
        transitions: coverage ("expert", "learned", "random", ...) → whole episodes; or one Transitions alone, which
            becomes the coverage "data". The figures depend on this choice, so state it.
        reference: the reward to compare with; None takes the true rewards recorded in the transitions.
        distances: also compute the canonical distances (EPIC, DARD, STARC, ERC) and the decomposition; None does not.
        truth: the true reward as a function, which the distances call outside the data; None takes `reference`.
        dynamics: `simulator(env)`, or `rewards.fit_dynamics(...)` where the environment has no simulator. Without it
            DARD, STARC and the decomposition are undefined.
        ladder: policy → its whole episodes, from random to expert; adds how well each reward ranks these policies by
            their mean discounted return, and beside it by their undiscounted one. `comparison.ladder` says how.

    Returns:
        Results with /correlation, a group /points/<coverage> for each coverage, and the numbers of their episodes in
        /coverages; with `distances` also /distance and /decomposition, with `ladder` also /ranking. Kind, expectation
        and terminal convention are those of the recovered rewards among `rewards`; so are γ and α, if all these
        agree. The attribute `hashes` has the SHA-256 of each coverage and policy, and the `reward_id` of each reward
        that can be saved.

    Raises TypeError for a config of another type; ValueError where there is no reward or coverage, where a name or
    value is of the wrong kind, where steps were left out of the transitions, where they hold no true rewards and
    `reference` is None, and where a reward does not return one finite number a step (the message names reward, coverage
    and step).
    """
    config = config or CompareConfig()
    coverages = {UNNAMED: transitions} if isinstance(transitions, Transitions) else transitions
    _check_rewards(rewards, reference)
    if dynamics is not None and not hasattr(dynamics, "step") and not isinstance(dynamics, LearnedDynamics):
        raise TypeError(
            f"'dynamics' must be a simulator or a learned model; got {dynamics!r}. Make one with "
            "irl_probe.envs.simulator(env), or with irl_probe.rewards.fit_dynamics."
        )
    _check_coverages(coverages, "Transitions must be one Transitions, or a mapping coverage → Transitions")
    truths = {coverage: _truth(reference, steps, coverage) for coverage, steps in coverages.items()}
    bootstrap = {name: value for name, value in asdict(config).items() if name != "gamma"}
    shape = (len(rewards), 1, len(coverages), len(METRICS), len(LEVELS), len(CONTROLS))
    value = np.full((*shape, 3), np.nan)
    reason = np.full(shape, "", dtype=object)
    groups = {"coverages": coverages_group({name: len(steps.lengths) for name, steps in coverages.items()})}
    for column, (coverage, steps) in enumerate(coverages.items()):
        true = truths[coverage]
        recovered = {n: evaluate_reward(r, steps, name=f"{n} on {coverage}") for n, r in rewards.items()}
        groups[f"points/{coverage}"] = points_group(steps.episode, true, recovered)
        for row, values in enumerate(recovered.values()):
            found = correlations(values, true, steps.lengths, **bootstrap)
            value[row, 0, column], reason[row, 0, column] = found.value, found.reason
    groups["correlation"] = correlation_group(
        value,
        reason,
        rewards=list(rewards),
        references=[TRUE],
        coverages=list(coverages),
        metrics=METRICS,
        levels=LEVELS,
        controls=CONTROLS,
    ).assign_attrs(window=config.window, confidence=config.confidence, resamples=config.resamples)
    if distances is not None:
        groups |= distance_groups(rewards, _true_function(truth, reference), coverages, distances, dynamics=dynamics)
    if ladder is not None:
        _check_coverages(ladder, "A ladder must be a mapping policy → Transitions", "policy")
        true_of = {policy: _truth(reference, steps, policy) for policy, steps in ladder.items()}
        groups["ranking"] = ranking(
            rewards,
            ladder,
            true_of,
            confidence=config.confidence,
            resamples=config.resamples,
            seed=config.seed,
            gamma=config.gamma,
        )
    tree = new_results(
        groups,
        **_of_recovered(rewards),
        true_reward=_described(reference),
        stochastic=None if dynamics is None or isinstance(dynamics, LearnedDynamics) else not dynamics.deterministic,
        config={"compare": asdict(config)} | ({} if distances is None else {"distances": asdict(distances)}),
    )
    hashes = {"rewards": _reward_ids(rewards), "transitions": {n: t.content_hash() for n, t in coverages.items()}}
    hashes |= {} if ladder is None else {"ladder": {name: t.content_hash() for name, t in ladder.items()}}
    tree.attrs["hashes"] = json.dumps(hashes)
    return tree


def _true_function(truth: Reward | None, reference: Reward | None) -> Reward:
    """The true reward as a function, for the canonical distances."""
    found = reference if truth is None else truth
    if found is None:
        raise ValueError(
            "Canonical distances need the true reward at steps outside the data; got no function for it. "
            "Pass truth=true_reward(env_id), or distances=None."
        )
    return found


def _truth(reference: Reward | None, steps: Transitions, coverage: str) -> Floats:
    """The true reward of each step, (N,)."""
    if reference is not None:
        return evaluate_reward(reference, steps, name=f"the reference on {coverage}")
    if steps.rewards is None:
        raise ValueError(
            f"Without a reference, the transitions must hold their true rewards; coverage '{coverage}' has none. "
            "Pass reference=true_reward(env_id), or record them with record_demos."
        )
    return steps.rewards.astype(np.float64)


def _of_recovered(rewards: Mapping[str, Reward]) -> dict[str, Any]:
    """The attributes of the results that describe the recovered rewards among these."""
    recovered = [reward for reward in rewards.values() if isinstance(reward, RecoveredReward)]
    return {
        "gamma": _agreed(reward.gamma for reward in recovered),
        "temperature": _agreed(reward.temperature for reward in recovered),
        "reward_kind": _distinct(reward.kind for reward in recovered),
        "expectation": _distinct(reward.expectation.name for reward in recovered),
        "terminal": _distinct(reward.terminal for reward in recovered),
    }


def _reward_ids(rewards: Mapping[str, Reward]) -> dict[str, str]:
    """The id of each reward that has one; plain functions and rewards that cannot be saved have none."""
    ids = {}
    for name, reward in rewards.items():
        if isinstance(reward, RewardModel):
            with contextlib.suppress(RewardError):
                ids[name] = reward.reward_id
    return ids


def _described(reference: Reward | None) -> str:
    if reference is None:
        return "Recorded with the transitions."
    return reference.note if isinstance(reference, TrueReward) else "A given function."


def _agreed(values: Iterable[float]) -> float | None:
    """The value that all share, or None if values differ or there are none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _distinct(values: Iterable[str]) -> str | None:
    """The distinct values, sorted, as a list in words; None if there are none."""
    return ", ".join(sorted(set(values))) or None


def _check_rewards(rewards: Mapping[str, Reward], reference: Reward | None) -> None:
    if not isinstance(rewards, Mapping) or not rewards:
        got = "an empty one" if isinstance(rewards, Mapping) else type(rewards).__name__
        raise ValueError(f"Rewards must be a mapping name → reward, such as {{'iq': reward}}; got {got}.")
    named = {**rewards, **({} if reference is None else {"the reference": reference})}
    for name, reward in named.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"Every reward must have a name, a non-empty string; got {name!r}.")
        if not callable(reward):
            raise ValueError(
                "A reward must be callable as reward(observations, actions, next_observations, terminated); "
                f"'{name}' is {type(reward).__name__}. Load a saved one with load_reward."
            )


def _check_coverages(coverages: Mapping[str, Transitions], must: str, what: str = "coverage") -> None:
    if not isinstance(coverages, Mapping) or not coverages:
        got = "an empty mapping" if isinstance(coverages, Mapping) else type(coverages).__name__
        raise ValueError(f"{must}; got {got}.")
    for coverage, steps in coverages.items():
        if not isinstance(coverage, str) or not coverage.strip(".") or "/" in coverage:
            raise ValueError(f"A {what}'s name must be a string without '/', such as 'expert'; got {coverage!r}.")
        if not isinstance(steps, Transitions):
            raise ValueError(f"{what.capitalize()} '{coverage}' must be Transitions; got {type(steps).__name__}.")
        if not steps.contiguous:
            raise ValueError(
                f"Sums over windows and episodes need every step, and steps were left out of {what} '{coverage}' "
                "(subsample). Compare before subsampling."
            )
