"""The verb distil: an explicit reward model, fitted to a recovered reward on a stated coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from irl_probe._config import check_kind, takes_config
from irl_probe._names import UNNAMED
from irl_probe._plain import plain_steps, to_own_observations
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.metrics.bootstrap import Estimate, percentile_interval, resample_counts
from irl_probe.rewards.distil_config import FORMS, DistilConfig
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.expectation import ExactExpectation
from irl_probe.rewards.fitting import Steps, fit_by_gradient, fit_by_lasso, fit_by_least_squares
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import Reward, RewardError, evaluate_reward
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.rewards.reward_network import RewardNetwork
from irl_probe.softq import NetworkSpec, learns
from irl_probe.transitions import Transitions

RESAMPLES, CONFIDENCE = 1000, 0.95
TOTAL = "all"  # the label of the figure of all coverages together


@takes_config(DistilConfig, "irl_probe.distil(reward, DistilConfig(form='state'), transitions=steps)")
@learns
def distil(
    reward: Reward,
    config: DistilConfig | None = None,
    *,
    transitions: Mapping[str, Transitions] | Transitions,
    spaces: tuple[Space, Space] | None = None,
) -> DistilledReward:
    """Fit an explicit reward r(s), r(s, a) or r(s, a, s′), with or without shaping, to `reward` by least squares.

    The fit is known only on the given coverage: state it, and mix coverages where the reward will meet other states.
    Table entries that the coverage never visits are the mean reward. The figures have the share of variance explained,
    1 − Σ(r − r̂)²/Σ(r − r̄)² over the steps of the held-out episodes, with an interval over episodes, for each coverage
    and for all together. For a marginal reward with an exact expectation, tables are fitted and judged in expectation,
    g + γE[h(s′)] − h(s). Any other reward is fitted at the observed s′, which costs a shaped form some of its fit in a
    stochastic environment.

    Args:
        reward: a recovered reward, or any other.
        config: see `DistilConfig`; None takes the defaults.
        transitions: coverage → steps to fit, or the steps alone, whose coverage is then named "data". The name "all"
            is reserved for the figure of all coverages together. True rewards are not read.
        spaces: observation and action space; None takes the recovered reward's.

    Raises RewardError where `reward` is not recovered and spaces or γ are missing, where the name of a coverage is
    "all" or not a string, where a coverage has fewer than two episodes, where a reward value is not finite, where a
    ridge or lasso is set with hidden layers (the default for most spaces), and where a lasso is set on discrete states
    or does not converge; TypeError where the config or the steps are of another type.
    """
    config = config or DistilConfig()
    coverages = _coverages(transitions)
    known = reward if isinstance(reward, RewardModel) else None
    gamma, (observation_space, action_space) = _gamma(config, known), _spaces(spaces, known)
    spec = _spec(observation_space, action_space, config)
    if spec.hidden and config.penalty is not None:
        raise RewardError(config.unfit_penalty(spec.hidden))
    if config.lasso and spec.observation_count is not None:
        raise RewardError(
            "A lasso chooses among features, and discrete states have none: each is an entry of a table; got "
            f"lasso={config.lasso}. Use a ridge."
        )
    training, held_out = _split(coverages, config)
    distilled = DistilledReward(
        *_networks(spec, config),
        gamma=gamma,
        temperature=None if known is None else known.temperature,
        observation_space=observation_space,
        action_space=action_space,
        terminal_value=0.0 if known is None else known.terminal_value,
    )
    exact = _exact_expectation(reward)
    values = evaluate_reward(reward, training, name="to distil")
    batch = Steps.of(distilled, training, values, None if exact is None else exact.transition)
    _fit(distilled, batch, config)
    _centre(distilled, training)
    judged = Transitions.concatenate(held_out.values())
    figures = {name: _explained(reward, distilled, steps, config.seed) for name, steps in held_out.items()}
    figures |= {TOTAL: _explained(reward, distilled, judged, config.seed)} if len(held_out) > 1 else {}
    return replace(
        distilled,
        provenance={
            **({} if known is None else known.provenance),
            "distilled_form": config.form + (" + shaping" if config.shaping else ""),
            "distilled_on": ", ".join(coverages),
            "distilled_on_sha256": Transitions.concatenate(coverages.values()).content_hash(),
            "distilled_steps": len(training),
            "distilled_held_out_episodes": len(judged.starts),
            "distilled_seed": config.seed,
            **({} if config.penalty is None else {f"distilled_{config.penalty}": getattr(config, config.penalty)}),
        },
        figures={"explained_variance": figures},
    )


@takes_config(DistilConfig, "distil_forms(reward, irl_probe.DistilConfig(steps=1000), transitions=steps)")
def distil_forms(
    reward: Reward,
    config: DistilConfig | None = None,
    *,
    transitions: Mapping[str, Transitions] | Transitions,
    spaces: tuple[Space, Space] | None = None,
) -> dict[str, DistilledReward]:
    """Every form by name, "state" to "transition + shaping", fitted to the same steps and judged on the same episodes.

    `compare({"recovered": reward, **distil_forms(reward, transitions=steps)}, ...)` shows what each form
    loses in every measure.
    """
    config = config or DistilConfig()
    return {
        form + (" + shaping" if shaping else ""): distil(
            reward, replace(config, form=form, shaping=shaping), transitions=transitions, spaces=spaces
        )
        for shaping in (False, True)
        for form in FORMS
    }


def _coverages(transitions: Mapping[str, Transitions] | Transitions) -> dict[str, Transitions]:
    """Coverage → steps; the name of a coverage labels its figure."""
    if isinstance(transitions, Transitions):
        return {UNNAMED: transitions}
    check_kind(transitions, Mapping, "The transitions to distil on", "For demonstrations give demos.transitions.")
    for name, steps in transitions.items():
        if not isinstance(name, str) or name == TOTAL:
            raise RewardError(
                f"The name of a coverage must be a string other than {TOTAL!r}, the label of the figure of all "
                f"coverages together; got {name!r}. Name it after where its steps come from, such as 'expert'."
            )
        check_kind(steps, Transitions, f"The coverage {name!r}", "For demonstrations give demos.transitions.")
    return dict(transitions)


def _gamma(config: DistilConfig, known: RewardModel | None) -> float:
    if config.gamma is not None:
        return config.gamma
    if known is None:
        raise RewardError("A reward that was not recovered has no discount; give DistilConfig(gamma=...).")
    return known.gamma


def _spaces(given: tuple[Space, Space] | None, known: RewardModel | None) -> tuple[Space, Space]:
    if given is not None:
        return given
    if known is None:
        raise RewardError(
            "A reward that was not recovered has no spaces; give spaces=(env.observation_space, env.action_space)."
        )
    return known.observation_space, known.action_space


def _spec(observation_space: Space, action_space: Space, config: DistilConfig) -> NetworkSpec:
    try:
        spec = NetworkSpec.of(observation_space, action_space, hidden=(), activation=config.activation)
    except ValueError as error:
        raise RewardError(str(error)) from error
    discrete = spec.observation_count is not None and spec.action_count is not None
    hidden = config.hidden if config.hidden is not None else () if discrete else (64, 64)
    return replace(spec, hidden=tuple(hidden))


def _networks(spec: NetworkSpec, config: DistilConfig) -> tuple[RewardNetwork, RewardNetwork | None]:
    """g and h with initial weights from the config's seed; tables and linear models in double precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        g = RewardNetwork(spec, config.form)
        h = RewardNetwork(spec, "state") if config.shaping else None
    if not spec.hidden:
        g, h = g.double(), None if h is None else h.double()
    return g, h


def _split(coverages: Mapping[str, Transitions], config: DistilConfig) -> tuple[Transitions, dict[str, Transitions]]:
    """All training steps, and the held-out steps of each coverage: whole episodes, at least one of each."""
    rng = np.random.default_rng(config.seed)
    training, held_out = [], {}
    for name, steps in coverages.items():
        episodes = len(steps.starts)
        if episodes < 2:
            raise RewardError(
                f"Each coverage must have at least two episodes, one of them to judge the fit by; '{name}' has "
                f"{episodes}. Record more, or concatenate it with another coverage."
            )
        order = rng.permutation(episodes).tolist()
        count = min(max(round(config.held_out * episodes), 1), episodes - 1)
        held_out[name] = steps.episodes(sorted(order[:count]))
        training.append(steps.episodes(sorted(order[count:])))
    if not training:
        raise RewardError("A reward is distilled on at least one coverage; got an empty mapping.")
    return Transitions.concatenate(training), held_out


def _fit(distilled: DistilledReward, batch: Steps, config: DistilConfig) -> None:
    """Fit g and h to the batch: exactly where they are linear or tables, else by gradient descent."""
    if distilled.g.spec.hidden:
        fit_by_gradient(
            distilled,
            batch,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            steps=config.steps,
            batch_size=config.batch_size,
            seed=config.seed,
        )
    elif config.lasso:
        fit_by_lasso(distilled, batch, share=config.lasso)
    else:
        fit_by_least_squares(distilled, batch, ridge=config.ridge)


def _exact_expectation(reward: Reward) -> ExactExpectation | None:
    """The reward's expectation over s′, if that is exact; else None."""
    if isinstance(reward, RecoveredReward) and isinstance(reward.expectation, ExactExpectation):
        return reward.expectation
    return None


def _centre(distilled: DistilledReward, steps: Transitions) -> None:
    """Shift h to mean 0 on the steps, and g with it, where that does not change the reward.

    As long as no step ends the MDP, h − m and g − (1 − γ)m make the same reward as h and g. At an end, where h counts
    as 0, they do not.
    """
    if distilled.h is None or steps.terminated.any():
        return
    mean = float(distilled.potential(steps.observations).mean())
    with torch.no_grad():
        _constant(distilled.h).sub_(mean)
        _constant(distilled.g).sub_((1 - distilled.gamma) * mean)


def _constant(network: RewardNetwork) -> torch.Tensor:
    """The parameter that shifts the network's output: a constant added to it is added to the output."""
    return network.table if network.tabular else network.layers[-1].bias  # type: ignore[return-value]  # a Linear's


def _explained(reward: Reward, distilled: DistilledReward, steps: Transitions, seed: int) -> dict[str, object]:
    """Share of the variance of `reward` over the steps that `distilled` explains, with an interval over episodes."""
    true = evaluate_reward(reward, steps, name="to distil")
    residual = true - _predicted(reward, distilled, steps)
    counts = resample_counts(len(steps.starts), RESAMPLES, seed)

    def total(values: Floats) -> Floats:
        return np.asarray(counts @ np.add.reduceat(values, steps.starts))

    centred = true - true.mean()  # avoids cancellation; the variance is about the mean of each resample
    variance = total(centred**2) - total(centred) ** 2 / total(np.ones_like(true))
    scale = max(float(np.abs(true).max()), 1e-300)
    if variance[0] <= (1e-12 * scale) ** 2 * len(true):
        estimate = Estimate.undefined("The reward is constant on the held-out episodes: there is no variance.")
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = 1 - total(residual**2) / np.where(variance > 0, variance, np.nan)
        single = "One held-out episode has no interval." if len(steps.starts) == 1 else ""
        estimate = percentile_interval(share, CONFIDENCE, without=single)
    bounds = dict(zip(("estimate", "low", "high"), estimate.array.tolist(), strict=True))
    shown: dict[str, object] = {name: value if np.isfinite(value) else None for name, value in bounds.items()}
    return shown | ({"reason": estimate.reason} if estimate.reason else {})


def _predicted(reward: Reward, distilled: DistilledReward, steps: Transitions) -> Floats:
    """The distilled reward of each step; in expectation over s′ if the reward's own expectation is exact."""
    batch: tuple[Array, Array, Array, Bools]
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    exact = _exact_expectation(reward)
    if exact is None or distilled.h is None:
        return distilled(*batch)

    def after(states: Array, ended: Bools) -> Floats:
        return np.where(ended, 0.0, distilled.potential(to_own_observations(distilled.observation_space, states)))

    p = plain_steps((distilled.observation_space, distilled.action_space), steps)
    expected, _ = exact(after, p.observations, p.actions, p.next_observations, p.terminated)
    return distilled.unshaped(*batch) + distilled.gamma * expected - distilled.potential(steps.observations)
