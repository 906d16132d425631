"""The verb train: demonstrations (and an environment) to a soft Q-function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces

from irl_probe._config import check_kind, takes_config
from irl_probe._plain import plain_actions, plain_env, plain_steps
from irl_probe._spaces import Env, Space, space_from_json
from irl_probe._types import Array
from irl_probe.demos import Demonstrations, check_demos
from irl_probe.demos.sanity import dynamics_fault
from irl_probe.envs import check_spaces, env_name, make_env
from irl_probe.envs import simulator as make_simulator
from irl_probe.envs.copying import alike, evaluation_env
from irl_probe.envs.make import env_record
from irl_probe.learn.config import IQConfig, Resolved, ResolvedIQ, ResolvedRL, RLConfig
from irl_probe.learn.continuous import Cloner, SoftActorCritic
from irl_probe.learn.discrete import SoftQLearner
from irl_probe.learn.folder import CheckpointError, TrainingInterrupted, load_checkpoint
from irl_probe.learn.logs import progress_bar, tell_tensorboard
from irl_probe.learn.loop import CHECKPOINT, NOTHING_SAVED, FixedLimit, Learner, Loop, Online, RewardLimit
from irl_probe.learn.replay import Chance, Counted, Interaction, PlainChance, Replay
from irl_probe.learn.resume import (
    check_folder,
    config_of,
    describe_run,
    in_folder,
    provenance_of,
    read_description,
    stopped_early,
)
from irl_probe.learn.run import Run, history_dataset
from irl_probe.learn.stopping import stoppable
from irl_probe.softq import NetworkSpec, ObservationEncoder, learns
from irl_probe.transitions import Transitions


@takes_config(IQConfig, "irl_probe.train(demos, irl_probe.IQConfig(steps=1000), env='CartPole-v1')")
@learns
def train(
    demos: Demonstrations,
    config: IQConfig | None = None,
    *,
    env: str | Env | None = None,
    others: Transitions | None = None,
    simulator: Chance | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    note: Mapping[str, Any] | None = None,
) -> Run:
    """Learn a soft Q-function from demonstrations by the objective of the config.

    Args:
        demos: what the expert did. Their true rewards, if any, are not read.
        config: see `IQConfig`; None takes the defaults for this action space, offline or online.
        env: the environment (or its id) to collect the policy's own steps in; None learns offline.
        others: steps of any other policy, used as policy steps. Offline they are the only ones, and make `mixture`
            possible; online the replay begins with them, and drops them first. `bc` does not use them.
        simulator: what draws the s′ of chi2_square="double"; None takes `envs.simulator` of `env`, or of the
            environment that the demonstrations name.
        out: folder for run.json, checkpoints, log.jsonl and TensorBoard events; None writes nothing to disk.
        resume: continue the run in `out`, or start it again if it was stopped before its first checkpoint. The result
            is the same, bit for bit, as without the interruption.
        progress: show a progress bar, or without a terminal a line for each evaluation and one a minute. None shows
            the bar or the line a minute; False shows nothing. At the start of a run in a folder, how TensorBoard is
            opened is printed too, unless False.
        note: more fields for run.json, as plain values.

    Where a simulator of `env`, or offline of the environment that the demonstrations name, does not reproduce the
    demonstrated steps, it warns (`demos.check_demos`).

    Evaluations (config.evaluate_every) run in copies of `env` as it is then, with its wrappers, time limit and
    attributes, or offline in the environment that the demonstrations name. There are none if `env` cannot be copied, or
    if the named one has other spaces; if evaluate_every is given, an error is raised instead.

    Raises TypeError for a config of another type; ValueError where the demonstrations or the others do not fit the
    environment, where the spaces are not supported, where there are fewer than two steps, more others than the replay
    holds, or no simulator for chi2_square="double"; TrainingDiverged; TrainingInterrupted after Ctrl-C or SIGTERM, at
    any moment, the warm start included, and then `out` holds a run that can be resumed; CheckpointError where `out` is
    not empty, resume does not fit, or another process is at work in `out`.
    """
    check_kind(demos, Demonstrations, "The first argument of train", "Load them: irl_probe.load_demos(name or path).")
    check_folder(out, resume=resume)
    given = config or IQConfig()
    steps = demos.transitions
    if len(steps) < 2:
        raise ValueError(f"Learning needs at least two demonstrated steps; got {len(steps)}. Record or load more.")
    live = make_env(env) if isinstance(env, str) else env
    if live is not None:
        check_spaces(live)
    online = live is not None
    observation_space, action_space = _spaces(demos, live)
    check_demos(demos, (observation_space, action_space))
    if others is not None:
        _check_others(others, demos, (observation_space, action_space), given.replay_capacity if online else None)
    of = observation_space, action_space
    hashes = steps.content_hash(), None if others is None else others.content_hash()
    steps, others = plain_steps(of, steps), None if others is None else plain_steps(of, others)
    actions = plain_actions(action_space)
    resolved = given.resolve(discrete=isinstance(actions, spaces.Discrete), online=online)
    spec = _spec(observation_space, action_space, resolved)
    env_id = env_name(live) if live is not None else demos.env_id
    chance = _chance(resolved, live, demos.env_id, simulator)
    chance = None if chance is None else PlainChance(chance, *of)
    make_evaluation_env = evaluation_env(env, env_id, of, asked=bool(given.evaluate_every))

    def begin(fresh: bool) -> Loop:
        checked = fresh and not resolved.observation_only  # else the actions are not those taken
        if checked and (fault := _dynamics_fault(demos, live, of)):
            warnings.warn(f"{fault} Learning goes on, in case that is meant.", stacklevel=5)
        learner = _learner(spec, resolved, actions, steps.observations if resolved.normalise else None)
        encoder = learner.network.encoder
        expert = Replay.of(spec, encoder, steps, chance=chance)
        title = f"{resolved.objective} {env_id or ''} seed {resolved.seed}"
        if isinstance(learner, SoftActorCritic) and fresh:
            _warm_start(learner, expert, resolved, title, progress)
        replays = {"expert": expert}
        if online or others is not None:
            capacity = resolved.replay_capacity if online else None
            replays["policy"] = _policy_steps(others, spec, encoder, capacity, chance)
        starts = encoder(torch.as_tensor(steps.observations[steps.starts]))
        return Loop(
            learner,
            resolved,
            title,
            replays=replays,
            starts=starts if resolved.value_term == "initial" else starts[:0],
            limit=FixedLimit("bound the rewards (chi2_c)"),
            online=None if live is None else _online(live, resolved, replays["policy"]),
            evaluation_env=make_evaluation_env,
        )

    environment = None if live is None else env_record(live)
    described = describe_run(spec, of, resolved, *hashes, env_id, environment) | dict(note or {})
    return _learn(begin, described, resolved, of, out=out, resume=resume, progress=progress)


def _warm_start(
    learner: SoftActorCritic, expert: Replay, config: ResolvedIQ, title: str, progress: bool | None
) -> None:
    twice = config.objective == "csil" and config.clone == "stationary"  # the policy, and the clone that is paid
    total = (1 + twice) * config.warm_start + config.critic_warm_start
    with progress_bar(f"warm start of {title}", total, start=0, progress=progress if total else False) as bar:
        learner.warm_start(Counted(expert, bar.move), config.warm_start, config.critic_warm_start)


def _dynamics_fault(demos: Demonstrations, env: Env | None, of: tuple[Space, Space]) -> str:
    """`dynamics_fault` in `env`, or without it in the environment that the demonstrations name, if that has the spaces.

    "" where there is no such environment.
    """
    if env is not None:
        return dynamics_fault(demos, env)
    if demos.env_id is None:
        return ""
    try:
        named = make_env(demos.env_id)
    except Exception:  # what a user registered may raise anything, and offline it is not needed
        return ""
    try:
        same = all(map(alike, (named.observation_space, named.action_space), of))
        return dynamics_fault(demos, named) if same else ""
    finally:
        named.close()


def _check_others(others: Transitions, demos: Demonstrations, of: tuple[Space, Space], capacity: int | None) -> None:
    """Raise unless the other steps fit the spaces and the replay."""
    check_kind(others, Transitions, "The argument others", "For demonstrations give demos.transitions.")
    check_demos(replace(demos, transitions=others, source="the argument others"), of)
    if capacity is not None and len(others) > capacity:
        raise ValueError(
            f"The replay must hold the steps of `others`: they are {len(others)}, and replay_capacity is {capacity}. "
            "Raise replay_capacity or give fewer."
        )


def _policy_steps(
    others: Transitions | None,
    spec: NetworkSpec,
    encoder: ObservationEncoder,
    capacity: int | None,
    chance: Chance | None,
) -> Replay:
    """The replay of policy steps: those of `others`, if given, with room for `capacity` steps, if given."""
    if others is None:
        return Replay(spec, encoder, capacity or 0, chance)
    return Replay.of(spec, encoder, others, capacity, chance)


def _chance(config: ResolvedIQ, env: Env | None, env_id: str | None, given: Chance | None) -> Chance | None:
    """What draws two s′ for each (s, a), if the config asks for it."""
    if config.chi2_square == "sampled":
        return None
    if given is not None:
        if not hasattr(given, "step"):
            raise TypeError(
                f"'simulator' must have a method step(observations, actions); got {given!r}. Make one with "
                "irl_probe.envs.simulator(env)."
            )
        return given
    needed = "chi2_square='double' draws two s′ for each (s, a), which needs a simulator"
    source = env if env is not None else env_id
    if source is None:
        raise ValueError(
            f"{needed}; the demonstrations name no environment. Give simulator=irl_probe.envs.simulator(env), or use "
            "chi2_square='sampled'."
        )
    try:
        found: Chance = make_simulator(source)
    except ValueError as error:
        raise ValueError(f"{needed}. Use chi2_square='sampled', or give simulator=. {error}") from error
    return found


def _online(env: Env, config: Resolved, replay: Replay) -> Online:
    return Online(Interaction(plain_env(env), config.seed, config.episode_steps), replay)


@takes_config(RLConfig, "train_on_reward('CartPole-v1', irl_probe.RLConfig(steps=1000))")
@learns
def train_on_reward(
    env: str | Env,
    config: RLConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    note: Mapping[str, Any] | None = None,
) -> Run:
    """Soft Q-learning (or soft actor-critic) on a given reward; it trains experts and retrained policies.

    Args:
        env: the environment (or its id) whose reward is learned from. `RewardWrapper` makes it pay any other reward.
        config: see `RLConfig`; None takes the defaults for this action space.
        out: folder, as in `train`.
        resume: as in `train`.
        progress: as in `train`.
        note: as in `train`. `irl_probe.retrain` records the reward that `env` pays in its field "reward"; a run is not
            resumed if that differs.

    Raises as `train` does.
    """
    check_folder(out, resume=resume)
    given = config or RLConfig()
    live = make_env(env) if isinstance(env, str) else env
    check_spaces(live)
    actions = plain_actions(live.action_space)
    resolved = given.resolve(discrete=isinstance(actions, spaces.Discrete))
    spec = _spec(live.observation_space, live.action_space, resolved)
    env_id = env_name(live)
    spaces_ = (live.observation_space, live.action_space)
    make_evaluation_env = evaluation_env(env, env_id, spaces_, asked=bool(given.evaluate_every))

    def begin(fresh: bool) -> Loop:
        learner = _learner(spec, resolved, actions)
        replay = Replay(spec, learner.network.encoder, resolved.replay_capacity)
        continuous, remedy = isinstance(learner, SoftActorCritic), "make the rewards smaller"
        return Loop(
            learner,
            resolved,
            f"on reward {env_id} seed {resolved.seed}",
            replays={"policy": replay},
            starts=torch.empty(0, spec.input_width, dtype=learner.network.encoder.mean.dtype),
            limit=RewardLimit(remedy, replay, resolved.gamma) if continuous else FixedLimit(remedy),
            online=_online(live, resolved, replay),
            evaluation_env=make_evaluation_env,
        )

    described = describe_run(spec, spaces_, resolved, None, None, env_id, env_record(live)) | dict(note or {})
    return _learn(begin, described, resolved, spaces_, out=out, resume=resume, progress=progress)


def _learn(
    begin: Callable[[bool], Loop],
    description: dict[str, Any],
    config: ResolvedIQ | ResolvedRL,
    spaces_: tuple[Space, Space],
    *,
    out: str | Path | None,
    resume: bool,
    progress: bool | None,
) -> Run:
    """Begin a run, in a folder if one is given, let it learn, and return it.

    `begin` makes the loop; its argument says whether the run is at its start. The folder is begun before that, so that
    a run that is stopped during its warm start can be resumed: it then starts again, and ends in the same bytes.
    """
    folder = None if out is None else Path(out)
    with stoppable() as stop, in_folder(folder, description, resume=resume):
        again = resume and not stopped_early(folder, config)
        if folder is not None and progress is not False:
            tell_tensorboard(folder)
        try:
            with stop.acts_at_once():
                loop = begin(not again)
        except TrainingInterrupted as error:
            raise TrainingInterrupted(_before_the_first_step(folder)) from error
        loop.folder = folder
        loop.run(stop, resume=again, progress=progress)
    return _run(loop.learner, config, loop.log.rows, description, spaces_, loop.step)


def _before_the_first_step(folder: Path | None) -> str:
    if folder is None:
        return f"Interrupted before the first step; {NOTHING_SAVED}"
    return f"Interrupted before the first step. The run in {folder} goes on if you repeat the call with resume=True."


def _run(
    learner: Learner,
    config: ResolvedIQ | ResolvedRL,
    rows: list[dict[str, float]],
    description: dict[str, Any],
    of: tuple[Space, Space],
    steps: int,
) -> Run:
    end = learner.terminal_value
    return Run(
        learner.soft_q,
        config,
        0.0 if end is None else end.item(),
        history_dataset(rows),
        description["env_id"],
        *of,
        provenance_of(description, steps),
    )


@learns
def load_run(folder: str | Path) -> Run:
    """The run that a folder holds, at its last checkpoint.

    Raises CheckpointError where the folder holds no whole run.
    """
    description = read_description(Path(folder))
    state = load_checkpoint(Path(folder) / CHECKPOINT)
    try:
        spec = NetworkSpec.from_dict(description["spec"])
        of = space_from_json(description["observation_space"]), space_from_json(description["action_space"])
        actions = plain_actions(of[1])
        config = config_of(description, discrete=isinstance(actions, spaces.Discrete))
        learner = _learner(spec, config, actions)
        learner.restore(state["learner"])
        return _run(learner, config, state["rows"], description, of, state["step"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"The run in {folder} does not hold what it must ({error}). Train it again.") from error


def _learner(
    spec: NetworkSpec, config: ResolvedIQ | ResolvedRL, action_space: Space, observations: Array | None = None
) -> SoftQLearner | SoftActorCritic:
    """The engine for these actions and this objective."""
    if isinstance(action_space, spaces.Box):
        engine = Cloner if isinstance(config, ResolvedIQ) and config.objective == "bc" else SoftActorCritic
        return engine(spec, config, observations, action_space)
    return SoftQLearner(spec, config, observations)


def _spec(observation_space: Space, action_space: Space, config: Resolved) -> NetworkSpec:
    return NetworkSpec.of(
        observation_space,
        action_space,
        hidden=config.hidden,
        activation=config.activation,
        layer_norm=config.layer_norm,
        critics=config.critics,
    )


def _spaces(demos: Demonstrations, env: Env | None) -> tuple[Space, Space]:
    """The spaces of the live environment, else of the demonstrations, else of the environment that these name."""
    if env is not None:
        return env.observation_space, env.action_space
    if demos.observation_space is not None and demos.action_space is not None:
        return demos.observation_space, demos.action_space
    if demos.env_id is None:
        raise ValueError(
            "Learning needs the spaces of the environment, and these demonstrations "
            f"({demos.source}) name neither spaces nor an environment. Give env=, or env_id= where they are made: "
            "load_demos(..., env_id=), Demonstrations.from_arrays(..., env_id=)."
        )
    made = make_env(demos.env_id)
    made.close()
    return made.observation_space, made.action_space
