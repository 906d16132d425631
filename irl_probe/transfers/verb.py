"""The verb transfer: how well a reward does in changed dynamics, as labelled results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr

from irl_probe._config import takes_config
from irl_probe._names import CARRIED_OVER, RANDOM, RECOVERED, TRUE_REWARD, UNNAMED
from irl_probe._plain import named, one_observation
from irl_probe._spaces import Env
from irl_probe.envs import UNCHANGED, TabularMDP, Variant, variants
from irl_probe.learn import Policy, TrainingInterrupted
from irl_probe.results import new_results
from irl_probe.retraining.cells import check_cells, how_to_go_on
from irl_probe.rewards import RecoveredReward, Reward, RewardModel
from irl_probe.rewards.protocol import check_values
from irl_probe.transfers.config import TransferConfig
from irl_probe.transfers.exact import transfer_exactly
from irl_probe.transfers.learned import Source, transfer_by_learning
from irl_probe.transitions import Transitions

Rewards = Reward | Sequence[Reward]


@takes_config(TransferConfig, "irl_probe.transfer(reward, TransferConfig(seeds=(0, 1)), env='CartPole-v1')")
def transfer(
    reward: Rewards | Mapping[str, Rewards],
    config: TransferConfig | None = None,
    *,
    env: str | Env | Callable[[], Env] | TabularMDP | Sequence[Variant],
    policy: Policy | Sequence[Policy] | None = None,
    transitions: Mapping[str, Transitions] | Transitions | None = None,
    out: str | Path | None = None,
    progress: bool = False,
) -> xr.DataTree:
    """How well a reward, and the policy that came with it, still do where the dynamics have changed.

    Measures in each variant the true return of (a) the imitator's policy carried over, of policies trained there (b) on
    the reward, (c) on each of its distilled forms and (d) on the true reward, and (e) of random actions, scaled so that
    (e) is 0 and (d) is 1. Variants of a tabular MDP are solved exactly, with both regrets, instead of learned.

    Args:
        reward: the reward to carry over; or several by name, of which the first is distilled. In place of one reward, a
            sequence with one for each seed of the config, each from its own run; intervals then include the differences
            between runs.
        config: see `TransferConfig`.
        env: the environment, its id, a function that makes it, or a tabular MDP, which is changed in each of its
            parameters; or the variants themselves, as `envs.variants` makes them, the unchanged environment among
            them. Of an environment copies are changed and used, with its wrappers, time limit and attributes.
        policy: the imitator's (or one for each seed). None takes that of a recovered reward's Q; without either, no
            policy is carried over.
        transitions: the coverage to distil on; None records it (`TransferConfig.coverage_episodes`).
        out: folder, with a subfolder for each variant, policy and seed. Finished results are read from it, and a run
            that was interrupted is resumed. None writes nothing to disk.
        progress: print each result as soon as it is known.

    Returns results with the group `/transfer`; `irl_probe.judgement.warnings_of` names the variants in which a
    reward fails.

    Raises ValueError where the variants are of several environments, repeat one or lack the unchanged one, where the
    reward does not fit their spaces, or where a sequence does not have one reward or policy for each seed;
    CheckpointError where `out` holds other results; TrainingInterrupted after Ctrl-C or SIGTERM.
    """
    config = config or TransferConfig()
    if isinstance(env, Variant):
        raise ValueError(
            f"Give a sequence of variants, as irl_probe.envs.variants(env) makes it, or an environment; got {env!r}."
        )
    changed = env if isinstance(env, Sequence) and not isinstance(env, str) else variants(env)
    unchanged = _check_variants(changed)
    named: Mapping[str, Rewards] = reward if isinstance(reward, Mapping) else {RECOVERED: reward}
    _check_names(named, config)
    for name, each in named.items():
        if not callable(each) and (isinstance(each, str) or not isinstance(each, Sequence)):
            raise TypeError(
                f"The reward {name!r} must be the reward itself; got {each!r}. Read a saved one with "
                "irl_probe.load_reward."
            )
    base = unchanged.mdp
    if base is not None and all(not isinstance(each, Sequence) for each in named.values()):
        rewards: dict[str, list[Reward]] = {name: [cast(Reward, each)] for name, each in named.items()}
    else:
        rewards = {name: _per_seed(each, config, f"rewards of {name!r}") for name, each in named.items()}
    for name, several in rewards.items():
        for one in several if len(set(map(id, several))) > 1 else several[:1]:
            _check_fit(one, name, changed)
    if base is not None:
        group = transfer_exactly(rewards, changed, base, config)
    else:
        sources = _sources(rewards, policy, unchanged, config, transitions)
        folder = None if out is None else Path(out)
        for names in (
            [RANDOM, CARRIED_OVER, TRUE_REWARD, *config.forms, *named],
            [variant.name for variant in changed],
        ):
            check_cells(folder, names)
        try:
            group = transfer_by_learning(sources, changed, config, out=folder, progress=progress)
        except KeyboardInterrupt as error:
            raise TrainingInterrupted(how_to_go_on(folder)) from error
    group.attrs["carried"] = next(iter(named))  # the reward that the policy "carried over" belongs to
    once = not any(isinstance(each, Sequence) for each in named.values())
    settings = asdict(config) | {"rewards": "one for all seeds" if once else "one for each seed"}
    return new_results(
        {"transfer": group},
        title=f"{unchanged.env_id}: transfer to changed dynamics",
        env_id=unchanged.env_id,
        seed=config.seeds[0],
        true_reward="of the environment; the same in every variant",
        config={"transfer": settings},
    )


def _sources(
    rewards: Mapping[str, Sequence[Reward]],
    policy: Policy | Sequence[Policy] | None,
    unchanged: Variant,
    config: TransferConfig,
    transitions: Mapping[str, Transitions] | Transitions | None,
) -> list[Source]:
    """What is carried over, for each seed."""
    steps = {UNNAMED: transitions} if isinstance(transitions, Transitions) else transitions
    policies = [None] * len(config.seeds) if policy is None else _per_seed(policy, config, "policies")
    sources = []
    for i, seed in enumerate(config.seeds):
        own = {name: several[i] for name, several in rewards.items()}
        carried = _own_policy(next(iter(own.values()))) if policies[i] is None else policies[i]
        sources.append(Source(own, carried, unchanged, config, seed, steps))
    return sources


def _check_variants(variants: Sequence[Variant]) -> Variant:
    """The unchanged variant. Raises ValueError unless the variants can be studied together."""
    if wrong := [each for each in variants if not isinstance(each, Variant)]:
        raise TypeError(f"Each variant must be a Variant of irl_probe.envs; got {wrong[0]!r}.")
    environments = sorted({v.env_id for v in variants})
    if len(environments) != 1:
        raise ValueError(f"The variants must be of one environment, at least one; got those of {environments}.")
    names = [v.name for v in variants]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f"Each variant must be given once; {twice!r} is there {names.count(twice)} times.")
    unchanged = [v for v in variants if v.parameter == UNCHANGED]
    if not unchanged:
        raise ValueError(
            "The unchanged environment must be among the variants, to tell a reward that does not transfer from one "
            f"that never worked; got {', '.join(names)}. irl_probe.envs.variants(env, changes) puts it first."
        )
    return unchanged[0]


def _check_names(named: Mapping[str, Any], config: TransferConfig) -> None:
    """Raise ValueError unless there are rewards, and their names are not reserved."""
    taken = {RANDOM, CARRIED_OVER, TRUE_REWARD, *config.forms} & set(named)
    if not named or taken:
        raise ValueError(
            f"Rewards must have names of their own, at least one, none of {RANDOM!r}, {CARRIED_OVER!r}, "
            f"{TRUE_REWARD!r} or a distilled form; got {sorted(named)}."
        )


def _per_seed(given: Any, config: TransferConfig, what: str) -> list[Any]:
    """One value for each seed: the given ones, or the given one every time."""
    if not isinstance(given, Sequence):
        return [given] * len(config.seeds)
    if len(given) != len(config.seeds):
        raise ValueError(
            f"There must be one for each of the {len(config.seeds)} seeds, or one alone; got {len(given)} {what}."
        )
    return list(given)


def _own_policy(reward: Reward) -> Policy | None:
    return reward.policy if isinstance(reward, RecoveredReward) else None


def _check_fit(reward: Reward, name: str, variants: Sequence[Variant]) -> None:
    """Raise ValueError unless the reward takes the variants' transitions, before anything is trained."""
    for variant in variants:
        env = variant.make()
        if isinstance(reward, RewardModel):
            reward.check_spaces(env.observation_space, env.action_space)
        else:
            observation, _ = env.reset(seed=0)
            env.action_space.seed(0)
            o = named(env.observation_space, one_observation(env.observation_space, observation)[None])
            a = np.asarray(env.action_space.sample())[None]
            check_values(reward(o, a, o, np.zeros(1, dtype=bool)), 1, name=name)
        env.close()
