"""What can be set about learning, with the defaults that the studies chose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from irl_probe._config import Config, check_option

_DISCRETE: dict[str, Any] = {
    "temperature": 1.0,
    "hidden": (64, 64),
    "activation": "tanh",
    "normalise": True,
    "learning_rate": 1e-3,
    "weight_decay": 1e-2,
    "target_rate": 0.0,
    "batch_size": 64,
    "learning_starts": 0,
}
_CONTINUOUS: dict[str, Any] = {  # the step sizes and sizes of Garg et al. 2021
    "hidden": (256, 256),
    "activation": "relu",
    "normalise": True,
    "learning_rate": 3e-4,
    "actor_learning_rate": 3e-5,
    "weight_decay": 0.0,
    "target_rate": 0.005,
    "batch_size": 256,
    "critics": 1,
    "learning_starts": 1000,
}
CONTINUOUS_ONLY = ("rize", "lsiq", "csil")
ANY: dict[str, Any] = {
    "terminal": "zero",
    "layer_norm": False,
    "bound_values": False,
    "warm_start": 0,
    "policy_average": 0.0,
    "update_every": 1,
}
BY_OBJECTIVE: dict[str, dict[str, Any]] = {
    "lsiq": {"reward_targets": (2.0, -2.0), "bound_values": True, "terminal": "absorbing"},
    "rize": {"reward_targets": (10.0, 5.0), "bound_values": False},  # its targets move, and with them the bounds
    "sqil": {"reward_targets": (1.0, 0.0)},
    "csil": {"warm_start": 5000, "bound_values": False},
}
_NO_DEMONSTRATIONS = {
    "value_term": "mixture",
    "chi2_on": "mixture",
    "chi2_c": 0.5,
    "reward_targets": (0.0, 0.0),
}  # unread
DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("discrete", "offline"): _DISCRETE
    | {"value_term": "expert", "chi2_on": "expert", "chi2_c": 50.0, "reward_targets": (1.0, 1.0), "steps": 10_000},
    ("discrete", "online"): _DISCRETE
    | {
        "value_term": "expert",
        "chi2_on": "mixture",
        "chi2_c": 0.5,
        "reward_targets": (1.0, 0.0),
        "temperature": 0.1,
        "activation": "relu",
        "normalise": False,
        "terminal": "absorbing",  # what ending is worth is learned: much in Acrobot, nothing in CartPole
        "weight_decay": 0.1,
        "target_rate": 0.01,
        "learning_starts": 5000,  # random steps show what failing is worth; with few, retraining finds that it pays
        "steps": 20_000,
    },
    ("discrete", "bellman"): _DISCRETE
    | _NO_DEMONSTRATIONS
    | {
        "hidden": (128, 128),
        "activation": "relu",
        "layer_norm": True,  # without it Q runs away on rewards that are large where the expert never was
        "learning_rate": 5e-4,
        "weight_decay": 0.0,
        "target_rate": 0.01,
        "batch_size": 256,
        "update_every": 250,  # updates between single steps lose CartPole's policy again, one time in two
        "policy_average": 2e-4,
        "learning_starts": 1000,
        "steps": 40_000,
    },
    ("continuous", "offline"): _CONTINUOUS
    | {
        "value_term": "expert",
        "chi2_on": "expert",
        "chi2_c": 0.5,
        "reward_targets": (1.0, 1.0),
        "temperature": 0.01,
        "actor_learning_rate": 3e-4,
        "target_rate": 0.0,
        "steps": 10_000,
    },
    ("continuous", "online"): _CONTINUOUS
    | {
        "value_term": "mixture",
        "chi2_on": "mixture",
        "chi2_c": 0.5,
        "reward_targets": (2.0, -2.0),  # ±1/c, with bounds and absorbing states as in LS-IQ
        "bound_values": True,
        "terminal": "absorbing",
        "layer_norm": True,
        "warm_start": 5000,
        "weight_decay": 0.3,  # without it the critic learns one demonstration by heart, and the policy is lost again
        "actor_learning_rate": 5e-5,
        "policy_average": 2e-4,  # of the last five thousand updates: single ones fall (Hopper, Ant)
        "batch_size": 128,
        "temperature": 0.03,
        "steps": 100_000,
    },
    ("continuous", "bellman"): _CONTINUOUS
    | _NO_DEMONSTRATIONS
    | {"temperature": 0.1, "critics": 2, "normalise": False, "actor_learning_rate": 3e-4, "steps": 100_000},
}


Divergence = Literal["chi2", "kl", "hellinger", "js", "tv", "w1"]
ValueTerm = Literal["initial", "expert", "mixture", "expert_states"]
Chi2On = Literal["expert", "mixture"]


@dataclass(frozen=True)
class IQSettings:
    """The options of `iq_loss`; `irl_probe.IQConfig` says what each means."""

    gamma: float
    divergence: Divergence
    value_term: ValueTerm
    chi2_on: Chi2On
    chi2_c: float
    reward_targets: tuple[float, float]
    reward_bound: float
    max_weight: float

    def __post_init__(self) -> None:
        check_option(self.chi2_on, Chi2On, "chi2_on")


Objective = Literal["iq", "rize", "lsiq", "sqil", "csil", "bc", "bellman"]
Terminal = Literal["zero", "absorbing"]
Activation = Literal["relu", "tanh", "elu"]
Precision = Literal["float32", "float64"]
Reduction = Literal["min", "mean"]


@dataclass(frozen=True)
class IQConfig(Config):
    """How a soft Q-function is learned. None means: the default for this kind of action space, offline or online.

    `IQConfig().resolve(discrete=True, online=False)` shows those defaults. Rewards, Q, V and α share one unit.

    Objective:
        objective: `iq` (IQ-Learn), `rize` (iq whose reward targets follow the rewards), `lsiq` (least squares on ±1/c,
        bounded values), `sqil` (rewards 1 and 0), `csil` (the clone's log density as reward), `bc` (behavioural
        cloning), `bellman` (a given reward). rize, lsiq and csil take continuous actions.
        divergence: chi2, kl, hellinger, js, tv or w1; see `irl_probe.learn.objectives.phi`.
        value_term: initial, expert, mixture or expert_states; see `irl_probe.learn.objectives.value_term`.
        chi2_on: whose steps the χ² regulariser averages over: expert or mixture.
        chi2_c: c of (r − target)²/(4c); the larger, the weaker the regulariser.
        reward_targets: what the regulariser pulls the rewards of expert and of policy steps to; lsiq's and sqil's
        rewards. target_step: share of the way to their mean reward that rize moves them at each update.
        reward_bound: r_max of tv.
        max_weight: the largest weight φ′ that kl, hellinger and js may give an expert step.
        gradient_penalty: weight of w1's Lipschitz penalty.
        terminal: `zero` (V = 0 after termination) or `absorbing` (the absorbing state has a reward of its own).
        bound_values: keep V(s′) between what the two reward targets are worth for ever (continuous actions).
        observation_only: ignore the demonstrations' actions and draw them from the policy (IQ-Learn §5.4).
        gamma: discount γ. temperature: α, the scale on which the policy is softmax(Q/α).

    Network and optimiser:
        hidden, activation: shape of the networks. layer_norm: LayerNorm before every activation.
        normalise: observations by the demonstrations' moments.
        learning_rate, weight_decay: AdamW's. anneal: let the learning rate fall linearly to 0 over the run.
        target_rate: Polyak rate of the target network for V(s′); 0 uses none.
        batch_size: steps of the expert and as many of the policy; 0 takes every step (full batch).
        policy_average: rate of the Polyak average that is evaluated and handed over: of Q for discrete actions, of the
        policy for continuous ones, whose V the recovered reward takes. In the first 9/rate updates it is of about the
        last ninth of them. The environment's steps are the latest policy's. 0 takes the latest for all.
        precision: float32 or float64.

    Continuous actions only (discrete ones leave these unread):
        critics: how many Q-functions; each has its own loss. reduction: min or mean over them, in V and for the policy.
        actor_learning_rate: of the policy; `learning_rate` is the critics'.
        entropy_target: nats per action dimension (in units where an action's range is [−1, 1]; SAC's usual target is
        −1) that α is learned to keep, starting from `temperature`; None keeps α at `temperature`.
        warm_start: updates that clone the expert into the policy before anything else.

    Run:
        steps: gradient updates offline, environment steps online. update_every: online, environment steps from one
        round of updates to the next. updates_per_step: updates per environment step; a round has update_every times as
        many, rounded, and at least one. learning_starts: environment steps with random actions before the first one.
        episode_steps: length at which episodes are cut off while learning online, as by a time limit: V goes on there.
        None leaves it to the environment; evaluations always do. Short ones keep the replay from filling with what
        follows a fall that nothing ends.
        replay_capacity: steps kept. epsilon: share of uniformly random actions online.
        evaluate_every, evaluate_episodes: steps between evaluations, and their episodes; 0 evaluates never.
        checkpoint_every, log_every: steps. seed: of everything.

    Raises ValueError for values that cannot be, naming the field, and for an unknown field, suggesting the near miss.
    """

    objective: Objective = "iq"
    divergence: Divergence = "chi2"
    value_term: ValueTerm | None = None
    chi2_on: Chi2On | None = None
    chi2_c: float | None = None
    reward_targets: tuple[float, float] | None = None
    reward_bound: float = 1.0
    max_weight: float = 10.0
    gradient_penalty: float = 10.0
    target_step: float = 1e-4
    bound_values: bool | None = None
    terminal: Terminal | None = None
    observation_only: bool = False
    gamma: float = 0.99
    temperature: float | None = None

    hidden: tuple[int, ...] | None = None
    activation: Activation | None = None
    layer_norm: bool | None = None
    normalise: bool | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    anneal: bool = True
    target_rate: float | None = None
    batch_size: int | None = None
    policy_average: float | None = None
    precision: Precision = "float32"

    critics: int | None = None
    reduction: Reduction = "min"
    actor_learning_rate: float | None = None
    entropy_target: float | None = None
    warm_start: int | None = None

    steps: int | None = None
    updates_per_step: float = 1
    update_every: int | None = None
    learning_starts: int | None = None
    episode_steps: int | None = None
    replay_capacity: int = 200_000
    epsilon: float = 0.0
    evaluate_every: int = 0
    evaluate_episodes: int = 10
    checkpoint_every: int = 10_000
    log_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (low, high, what) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be {what}; got {value!r}.")
        if self.hidden and min(self.hidden) < 1:
            raise ValueError(f"hidden must be widths of at least 1, or () for no hidden layer; got {self.hidden}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The config of these fields."""
        return cls(**values)

    def resolve(self, *, discrete: bool, online: bool) -> IQConfig:
        """This config with every None filled in by the default for the setting.

        Raises ValueError for an objective that discrete actions do not have, and for a warm start that reads actions
        which observation_only ignores.
        """
        if discrete and self.objective in CONTINUOUS_ONLY:
            raise ValueError(
                f"The objective {self.objective!r} takes continuous actions; these are discrete. Use 'iq' or 'sqil'."
            )
        given = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        setting = "bellman" if self.objective == "bellman" else "online" if online else "offline"
        defaults = DEFAULTS["discrete" if discrete else "continuous", setting]
        without_actions = {"warm_start": 0} if self.observation_only else {}
        by_objective = BY_OBJECTIVE.get(self.objective, {})
        config = replace(self, **{**ANY, **defaults, **by_objective, **without_actions, **given})
        if config.observation_only and config.warm_start:
            raise ValueError(
                f"warm_start clones the demonstrated actions, which observation_only ignores; got {config.warm_start} "
                "updates of it. Leave one of the two out."
            )
        return config

    def settings(self) -> IQSettings:
        """The part that `iq_loss` reads; of a resolved config."""
        assert self.value_term is not None
        assert self.chi2_on is not None
        assert self.chi2_c is not None
        assert self.reward_targets is not None
        return IQSettings(
            self.gamma,
            self.divergence,
            self.value_term,
            self.chi2_on,
            self.chi2_c,
            self.reward_targets,
            self.reward_bound,
            self.max_weight,
        )


_TINY = math.ulp(0.0)
_POSITIVE = (_TINY, math.inf, "positive")
_NOT_NEGATIVE = (0.0, math.inf, "zero or more")
_SHARE = (0.0, 1.0, "between 0 and 1")
_RANGES: dict[str, tuple[float, float, str]] = {
    "chi2_c": _POSITIVE,
    "reward_bound": _POSITIVE,
    "max_weight": (1.0, math.inf, "at least 1, the weight at r = 0"),
    "gradient_penalty": _NOT_NEGATIVE,
    "gamma": (0.0, 1 - 1e-12, "at least 0 and below 1"),
    "temperature": _POSITIVE,
    "learning_rate": _POSITIVE,
    "weight_decay": _NOT_NEGATIVE,
    "target_rate": _SHARE,
    "batch_size": (0, math.inf, "zero (every step) or more"),
    "critics": (1, math.inf, "at least 1"),
    "actor_learning_rate": _POSITIVE,
    "target_step": _SHARE,
    "warm_start": _NOT_NEGATIVE,
    "policy_average": _SHARE,
    "entropy_target": (-math.inf, math.log(2), "at most log 2, the entropy of a uniform action"),
    "steps": (1, math.inf, "at least 1"),
    "updates_per_step": _POSITIVE,
    "update_every": (1, math.inf, "at least 1"),
    "learning_starts": _NOT_NEGATIVE,
    "episode_steps": (1, math.inf, "at least 1"),
    "replay_capacity": (1, math.inf, "at least 1"),
    "epsilon": _SHARE,
    "evaluate_every": _NOT_NEGATIVE,
    "evaluate_episodes": (1, math.inf, "at least 1"),
    "checkpoint_every": (1, math.inf, "at least 1"),
    "log_every": (1, math.inf, "at least 1"),
    "seed": (0, 2**32 - 1, "between 0 and 2³² − 1"),
}
