"""The settings of learning: two configs, what each resolves to, and the defaults, which the studies chose."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from irl_probe._config import (
    Config,
    Count,
    CountOrZero,
    Discount,
    Must,
    NotNegative,
    Positive,
    Seed,
    Share,
    Widths,
    at_least,
    check_option,
)

Objective = Literal["iq", "rize", "lsiq", "sqil", "csil", "bc"]
Divergence = Literal["chi2", "kl", "hellinger", "js", "tv", "w1"]
ValueTerm = Literal["initial", "expert", "mixture", "expert_states"]
Chi2On = Literal["expert", "mixture"]
Chi2Square = Literal["sampled", "double"]
Terminal = Literal["zero", "absorbing"]
Activation = Literal["relu", "tanh", "elu"]
Precision = Literal["float32", "float64"]
Reduction = Literal["min", "mean"]
ExpertTarget = Literal["fixed", "bootstrapped"]
Clone = Literal["stationary", "plain"]
BatchSize = Annotated[int, Must(lambda size: size >= 0, "be zero (every step) or more")]
Weight = Annotated[float, at_least(1, ", the weight at r = 0")]
EntropyTarget = Annotated[
    float, Must(lambda nats: nats <= math.log(2), "be at most log 2, the entropy of a uniform action")
]


@dataclass(frozen=True)
class IQConfig(Config):
    """How a soft Q-function is learned from demonstrations. Rewards, Q, V and α share one unit.

    None stands for a default that depends on the actions (discrete or continuous) and on whether the run is offline or
    online; the docstring under each field names those values, and `resolve` fills them in.

    Raises ValueError for values out of bounds, naming the field, and for an unknown field, suggesting the near miss.
    """

    objective: Objective = "iq"
    """iq (IQ-Learn), rize (iq whose reward targets follow the rewards: RIZE's adaptive targets alone, without its
    distributional critic), lsiq (least squares on ±1/c, bounded values), sqil (rewards 1 and 0), csil (the clone's log
    density as reward, without the authors' pull to the clone and smaller entropy bonus) or bc (behavioural cloning).
    rize, lsiq and csil need continuous actions."""
    divergence: Divergence = "chi2"
    """The divergence of iq and rize, see irl_probe.learn.objectives.phi."""
    value_term: ValueTerm | None = None
    """How iq and rize estimate (1 − γ)E[V(s0)], see irl_probe.learn.objectives.value_term
    (default: expert; continuous online mixture)."""
    chi2_on: Chi2On | None = None
    """Whose steps the χ² regulariser averages over (default: offline expert; online mixture)."""
    chi2_square: Chi2Square = "sampled"
    """The square of r in the χ² regulariser where s′ is a matter of chance: sampled (r² at the observed s′, larger than
    the square of the marginal reward by γ²·Var V(s′)) or double (r₁r₂ at two s′ that a simulator draws, which has the
    right mean and more noise)."""
    chi2_c: Positive | None = None
    """c of the regulariser (r − target)²/(4c), and of lsiq's rewards; a larger c regularises less
    (default: 0.5; discrete offline 50)."""
    reward_targets: tuple[float, float] | None = None
    """The values to which the regulariser pulls the rewards of expert steps and of policy steps; with lsiq and sqil
    they are the rewards (default: offline (1.0, 1.0); discrete online (1.0, 0.0); continuous online (2.0, -2.0); with
    lsiq ±1/c, for c = 0.5 (2.0, -2.0); with rize (10.0, 5.0); with sqil (1.0, 0.0))."""
    reward_bound: Positive = 1.0
    """r_max of the divergence tv."""
    max_weight: Weight = 10.0
    """The largest weight φ′ that kl, hellinger and js may give an expert step."""
    gradient_penalty: NotNegative = 10.0
    """Weight of the Lipschitz penalty of w1."""
    target_step: Share = 1e-4
    """Share of the way to their mean reward that rize moves the reward targets at each update."""
    expert_target: ExpertTarget = "fixed"
    """What lsiq regresses Q of the expert's steps on: fixed (1/c for ever, 1/(c(1 − γ)), the authors' default) or
    bootstrapped (1/c + γV(s′))."""
    clone: Clone = "stationary"
    """The clone whose log density csil pays: stationary (tends to the prior off the data, as the authors' does) or
    plain (a copy of the cloned policy)."""
    reward_learning_rate: NotNegative = 0.0
    """Learning rate at which csil refines the clone, and so its reward, as it goes: up on the expert's steps, to 0 on
    the policy's; 0 keeps the reward. The authors' is 1e-3."""
    bound_values: bool | None = None
    """Keep V(s′) between the values of receiving the one and the other reward target for ever; continuous actions only
    (default: False; continuous online True; with lsiq True; with rize or csil False)."""
    terminal: Terminal | None = None
    """zero (V = 0 after termination) or absorbing (the absorbing state has its own reward)
    (default: offline zero; online absorbing; with lsiq or csil absorbing). csil is coherent with absorbing alone, where
    that state has the value of every other."""
    observation_only: bool = False
    """Ignore the demonstrated actions and draw them from the policy (IQ-Learn §5.4); iq and rize only."""
    gamma: Discount = 0.99
    """Discount γ."""
    temperature: Positive | None = None
    """α, the scale on which the policy is softmax(Q/α), in reward units
    (default: discrete offline 1.0, online 0.1; continuous offline 0.01, online 0.03)."""

    hidden: Widths | None = None
    """Widths of the hidden layers (default: discrete (64, 64); continuous (256, 256))."""
    activation: Activation | None = None
    """Activation of the hidden layers (default: relu; discrete offline tanh)."""
    layer_norm: bool | None = None
    """LayerNorm before every activation (default: False; continuous online True)."""
    normalise: bool | None = None
    """Normalise observations by the moments of the demonstrations (default: True; discrete online False)."""
    learning_rate: Positive | None = None
    """Learning rate of AdamW; with continuous actions that of the critics (default: discrete 1e-3; continuous 3e-4)."""
    weight_decay: NotNegative | None = None
    """Weight decay of AdamW (default: discrete offline 0.01, online 0.1; continuous offline 0.0, online 0.3)."""
    anneal: bool = True
    """Let the learning rates fall linearly to 0 over the run."""
    target_rate: Share | None = None
    """Polyak rate of the target network for V(s′); 0 uses none
    (default: offline 0.0; discrete online 0.01; continuous online 0.005)."""
    batch_size: BatchSize | None = None
    """Steps of the expert in a batch, and as many of the policy; 0 takes every step
    (default: discrete 64; continuous offline 256, online 128)."""
    policy_average: Share | None = None
    """Rate of the Polyak average that is evaluated and returned: of Q with discrete actions, of the policy with
    continuous ones. During the first 9/rate updates it covers about the last ninth of them. Steps in the environment
    are taken by the latest policy. 0 returns the latest (default: 0.0; continuous online 2e-4)."""
    precision: Precision = "float32"
    """Precision of the networks."""

    critics: Count | None = None
    """How many Q-functions, each with its own loss; continuous actions only (default: 1)."""
    reduction: Reduction = "min"
    """How V and the policy combine the critics; continuous actions only."""
    actor_learning_rate: Positive | None = None
    """Learning rate of the policy; continuous actions only (default: offline 3e-4; online 5e-5)."""
    entropy_target: EntropyTarget | None = None
    """The policy's entropy that α is learned to keep, starting from temperature, in nats per action dimension (in units
    where an action's range is [−1, 1]; SAC's usual target is −1); continuous actions only (default: α
    stays at temperature)."""
    warm_start: CountOrZero | None = None
    """Updates that clone the expert's actions into the policy, before all others; continuous actions only
    (default: 0; continuous online 5000; with csil 5000; with observation_only 0)."""
    critic_warm_start: CountOrZero | None = None
    """Updates that fit the critics of csil to the clone's own soft Q-function, after the policy's warm start and before
    all others (default: 0; with csil 5000)."""

    steps: Count | None = None
    """Gradient updates offline, environment steps online
    (default: offline 10000; discrete online 20000; continuous online 100000)."""
    updates_per_step: Positive = 1
    """Updates per environment step online. Each round has update_every times this many, rounded, and at least one."""
    update_every: Count | None = None
    """Environment steps from one round of updates to the next (default: 1)."""
    learning_starts: CountOrZero | None = None
    """Environment steps with random actions before the first update (default: discrete online 5000; continuous 1000;
    discrete offline 0), online at most half of all steps."""
    episode_steps: Count | None = None
    """Length at which episodes are cut off while learning online; as at a time limit, V(s′) still counts there. Short
    episodes keep the replay from filling with steps after a fall that does not end the episode (default: only the
    environment ends episodes, as in evaluations)."""
    replay_capacity: Count = 200_000
    """Environment steps that the replay holds."""
    epsilon: Share = 0.0
    """Share of uniformly random actions online."""
    evaluate_every: CountOrZero | None = None
    """Steps between evaluations; 0 turns them off (default: offline 0; online steps/20, at least 1000)."""
    evaluate_episodes: Count = 10
    """Episodes of an evaluation."""
    checkpoint_every: Count = 10_000
    """Steps between checkpoints."""
    log_every: Count = 500
    """Steps between logged figures."""
    seed: Seed = 0
    """Seed of everything."""

    @classmethod
    def _of_another_kind(cls, values: Mapping[str, Any]) -> Config | None:
        if values.get("objective") != "bellman":
            return None
        warnings.warn("IQConfig(objective='bellman', …) is RLConfig(…). Write that.", DeprecationWarning, stacklevel=3)
        return RLConfig(**{name: value for name, value in values.items() if name != "objective"})

    def resolve(self, *, discrete: bool, online: bool) -> ResolvedIQ:
        """This config with every None filled in by the default for the setting.

        Raises ValueError for discrete actions with an objective that needs continuous ones, for observation_only with
        an objective that reads the demonstrated actions or with a warm start, which clones them, for
        chi2_square="double" without a χ² regulariser, and for options that csil cannot have, or no other.
        """
        if self.chi2_square == "double" and (self.divergence != "chi2" or self.objective not in ("iq", "rize")):
            raise ValueError(
                "chi2_square='double' changes the square in the χ² regulariser of 'iq' and 'rize'; got the objective "
                f"{self.objective!r} with the divergence {self.divergence!r}, which have none. Leave it out."
            )
        if discrete and self.objective in CONTINUOUS_ONLY:
            raise ValueError(
                f"The objective {self.objective!r} takes continuous actions; these are discrete. Use 'iq' or 'sqil'."
            )
        defaults = IQ_DEFAULTS["discrete" if discrete else "continuous", "online" if online else "offline"]
        without_actions = {"warm_start": 0} if self.observation_only else {}
        labels = {"reward_targets": (1 / c, -1 / c)} if self.objective == "lsiq" and (c := self.chi2_c) else {}
        values = defaults | BY_OBJECTIVE.get(self.objective, {}) | labels | without_actions | _given(self)
        if self.observation_only and values["warm_start"]:
            raise ValueError(
                f"warm_start clones the demonstrated actions, which observation_only ignores; got "
                f"{values['warm_start']} updates of it. Leave one of the two out."
            )
        _check_clone(values)
        if self.observation_only and self.objective not in ("iq", "rize"):
            raise ValueError(
                f"observation_only is an option of 'iq' and 'rize'; the objective {self.objective!r} reads the "
                "demonstrated actions. Leave it out, or use 'iq'."
            )
        if online:
            values |= _start(self.learning_starts, values)
        return ResolvedIQ(**({"evaluate_every": _evaluations(values["steps"]) if online else 0} | values))


@dataclass(frozen=True)
class RLConfig(Config):
    """How a soft Q-function is learned from a given reward. Rewards, Q, V and α share one unit.

    None stands for a default that depends on the actions (discrete or continuous); the docstring under each field names
    those values, and `resolve` fills them in.

    Raises ValueError for values out of bounds, naming the field, and for an unknown field, suggesting the near miss.
    """

    gamma: Discount = 0.99
    """Discount γ."""
    temperature: Positive | None = None
    """α, the scale on which the policy is softmax(Q/α), in reward units. If it is not given, retraining on a recovered
    reward takes that reward's own α and γ (default: discrete 1.0; continuous 0.1)."""

    hidden: Widths | None = None
    """Widths of the hidden layers (default: discrete (128, 128); continuous (256, 256))."""
    activation: Activation | None = None
    """Activation of the hidden layers (default: relu)."""
    layer_norm: bool | None = None
    """LayerNorm before every activation (default: discrete True; continuous False)."""
    learning_rate: Positive | None = None
    """Learning rate of AdamW; with continuous actions that of the critics. With discrete actions steps of the output
    layer are longer where errors are larger than 1 (default: discrete 5e-4; continuous 3e-4)."""
    weight_decay: NotNegative | None = None
    """Weight decay of AdamW (default: 0.0)."""
    anneal: bool = True
    """Let the learning rates fall linearly to 0 over the run."""
    target_rate: Share | None = None
    """Polyak rate of the target network for V(s′); 0 uses none (default: discrete 0.01; continuous 0.005)."""
    batch_size: BatchSize | None = None
    """Steps in a batch; 0 takes every step (default: 256)."""
    policy_average: Share | None = None
    """Rate of the Polyak average that is evaluated and returned: of Q with discrete actions, of the policy with
    continuous ones. During the first 9/rate updates it covers about the last ninth of them. Steps in the environment
    are taken by the latest policy. 0 returns the latest (default: discrete 2e-4; continuous 0.0)."""
    precision: Precision = "float32"
    """Precision of the networks."""

    critics: Count | None = None
    """How many Q-functions, each with its own loss; continuous actions only (default: discrete 1; continuous 2)."""
    reduction: Reduction = "min"
    """How V and the policy combine the critics; continuous actions only."""
    actor_learning_rate: Positive | None = None
    """Learning rate of the policy; continuous actions only (default: 3e-4)."""
    entropy_target: EntropyTarget | None = None
    """The policy's entropy that α is learned to keep, starting from temperature, in nats per action dimension (in units
    where an action's range is [−1, 1]; SAC's usual target is −1); continuous actions only (default: α
    stays at temperature)."""

    steps: Count | None = None
    """Environment steps (default: discrete 40000; continuous 100000)."""
    updates_per_step: Positive = 1
    """Updates per environment step. Each round has update_every times this many, rounded, and at least one."""
    update_every: Count | None = None
    """Environment steps from one round of updates to the next (default: discrete 250; continuous 1)."""
    learning_starts: CountOrZero | None = None
    """Environment steps with random actions before the first update (default: 1000, at most half of all steps)."""
    episode_steps: Count | None = None
    """Length at which episodes are cut off while learning; as at a time limit, V(s′) still counts there. Short
    episodes keep the replay from filling with steps after a fall that does not end the episode (default: only the
    environment ends episodes, as in evaluations)."""
    replay_capacity: Count = 200_000
    """Environment steps that the replay holds."""
    epsilon: Share | None = None
    """Share of uniformly random actions while learning (default: discrete 0.2; continuous 0.0)."""
    evaluate_every: CountOrZero | None = None
    """Steps between evaluations; 0 turns them off (default: steps/20, at least 1000)."""
    evaluate_episodes: Count = 10
    """Episodes of an evaluation."""
    checkpoint_every: Count = 10_000
    """Steps between checkpoints."""
    log_every: Count = 500
    """Steps between logged figures."""
    seed: Seed = 0
    """Seed of everything."""

    def resolve(self, *, discrete: bool) -> ResolvedRL:
        """This config with every None filled in by the default for these actions."""
        values = RL_DEFAULTS["discrete" if discrete else "continuous"] | _given(self)
        values |= _start(self.learning_starts, values)
        return ResolvedRL(**({"evaluate_every": _evaluations(values["steps"])} | values))


def _start(given: int | None, values: Mapping[str, Any]) -> dict[str, int]:
    """When learning starts: by default after half of all steps at the latest, so that a short run learns too."""
    steps, starts = values["steps"], values["learning_starts"]
    if given is None:
        return {"learning_starts": min(starts, steps // 2)}
    if given >= steps:
        raise ValueError(
            f"A run learns only after learning_starts steps with random actions, so it needs more steps than that; got "
            f"steps {steps} and learning_starts {given}. Give more steps, or a smaller learning_starts."
        )
    return {}


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The settings that learning from demonstrations and from a reward share, resolved; see the configs."""

    gamma: float
    temperature: float
    hidden: tuple[int, ...]
    activation: Activation
    layer_norm: bool
    learning_rate: float
    weight_decay: float
    anneal: bool
    target_rate: float
    batch_size: int
    policy_average: float
    precision: Precision
    critics: int
    reduction: Reduction
    actor_learning_rate: float
    entropy_target: float | None = None
    """None: α is not learned."""
    steps: int
    updates_per_step: float
    update_every: int
    learning_starts: int
    episode_steps: int | None = None
    """None: only the environment ends episodes."""
    replay_capacity: int
    epsilon: float
    evaluate_every: int
    evaluate_episodes: int
    checkpoint_every: int
    log_every: int
    seed: int

    @property
    def value_bounds(self) -> tuple[float, float] | None:
        """The bounds of V(s′); None sets none."""
        return None


@dataclass(frozen=True, kw_only=True)
class ResolvedRL(Resolved):
    """A resolved `RLConfig`."""


@dataclass(frozen=True, kw_only=True)
class ResolvedIQ(Resolved):
    """A resolved `IQConfig`."""

    objective: Objective
    divergence: Divergence
    value_term: ValueTerm
    chi2_on: Chi2On
    chi2_square: Chi2Square = "sampled"
    chi2_c: float
    reward_targets: tuple[float, float]
    reward_bound: float
    max_weight: float
    gradient_penalty: float
    target_step: float
    expert_target: ExpertTarget
    clone: Clone
    reward_learning_rate: float
    bound_values: bool
    terminal: Terminal
    observation_only: bool
    normalise: bool
    warm_start: int
    critic_warm_start: int

    @property
    def value_bounds(self) -> tuple[float, float] | None:
        """The values of receiving the lower, and the higher, reward target for ever.

        Without the entropy bonus every V lies between them.
        """
        if not self.bound_values:
            return None
        return min(self.reward_targets) / (1 - self.gamma), max(self.reward_targets) / (1 - self.gamma)

    def settings(self) -> IQSettings:
        """The part that `iq_loss` reads."""
        return IQSettings(**{f.name: getattr(self, f.name) for f in fields(IQSettings)})


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


def _given(config: Config) -> dict[str, Any]:
    """The fields that are not None."""
    return {f.name: value for f in fields(config) if (value := getattr(config, f.name)) is not None}  # type: ignore[arg-type]  # every config is a dataclass


def _check_clone(values: dict[str, Any]) -> None:
    """Raise ValueError for options that csil cannot have, and for csil's own options with another objective."""
    csil = values["objective"] == "csil"
    if not csil and (values["critic_warm_start"] or values["reward_learning_rate"]):
        raise ValueError(
            "critic_warm_start and reward_learning_rate are options of the objective 'csil'; got the objective "
            f"{values['objective']!r}. Leave them out."
        )
    if csil and values.get("entropy_target") is not None:
        raise ValueError(
            f"With 'csil' α is the unit of the rewards, so no α has the policy keep an entropy; got entropy_target "
            f"{values['entropy_target']}. Leave it out: the policy has the clone's entropy."
        )
    if csil and not values["warm_start"]:
        raise ValueError(
            "csil pays the log density of a policy cloned from the expert's actions; it needs a warm start, and none "
            "with observation_only. Leave out observation_only, and give warm_start at least 1."
        )


def _evaluations(steps: int) -> int:
    """Steps between two evaluations, unless the config says otherwise."""
    return max(1000, steps // 20)


CONTINUOUS_ONLY = ("rize", "lsiq", "csil")
_ANY: dict[str, Any] = {
    "terminal": "zero",
    "layer_norm": False,
    "bound_values": False,
    "warm_start": 0,
    "critic_warm_start": 0,
    "policy_average": 0.0,
    "update_every": 1,
    "critics": 1,
    "actor_learning_rate": 3e-4,
    "value_term": "expert",
    "chi2_c": 0.5,
}
_DISCRETE = _ANY | {
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
_CONTINUOUS = _ANY | {  # the step sizes and sizes of Garg et al. 2021
    "hidden": (256, 256),
    "activation": "relu",
    "normalise": True,
    "learning_rate": 3e-4,
    "weight_decay": 0.0,
    "target_rate": 0.005,
    "batch_size": 256,
    "learning_starts": 1000,
}
IQ_DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("discrete", "offline"): _DISCRETE
    | {"chi2_on": "expert", "chi2_c": 50.0, "reward_targets": (1.0, 1.0), "steps": 10_000},
    ("discrete", "online"): _DISCRETE
    | {
        "chi2_on": "mixture",
        "reward_targets": (1.0, 0.0),
        "temperature": 0.1,
        "activation": "relu",
        "normalise": False,
        "terminal": "absorbing",  # the value of ending is learned: large in Acrobot, 0 in CartPole
        "weight_decay": 0.1,
        "target_rate": 0.01,
        "learning_starts": 5000,  # random steps show that failing is bad; with few, retrained policies learn to fail
        "steps": 20_000,
    },
    ("continuous", "offline"): _CONTINUOUS
    | {
        "chi2_on": "expert",
        "reward_targets": (1.0, 1.0),
        "temperature": 0.01,
        "target_rate": 0.0,
        "steps": 10_000,
    },
    ("continuous", "online"): _CONTINUOUS
    | {
        "value_term": "mixture",
        "chi2_on": "mixture",
        "reward_targets": (2.0, -2.0),  # ±1/c, bounds and absorbing states as in LS-IQ
        "bound_values": True,
        "terminal": "absorbing",
        "layer_norm": True,
        "warm_start": 5000,
        "weight_decay": 0.3,  # without it the critic memorises one demonstration, and the policy gets worse again
        "actor_learning_rate": 5e-5,
        "policy_average": 2e-4,  # averages the last 5000 updates: policies of a single update fall (Hopper, Ant)
        "batch_size": 128,
        "temperature": 0.03,
        "steps": 100_000,
    },
}
BY_OBJECTIVE: dict[str, dict[str, Any]] = {
    "lsiq": {"reward_targets": (2.0, -2.0), "bound_values": True, "terminal": "absorbing"},
    "rize": {"reward_targets": (10.0, 5.0), "bound_values": False},  # its targets move, so there are no fixed bounds
    "sqil": {"reward_targets": (1.0, 0.0)},
    "csil": {"warm_start": 5000, "critic_warm_start": 5000, "bound_values": False, "terminal": "absorbing"},
}
RL_DEFAULTS: dict[str, dict[str, Any]] = {
    "discrete": {
        "temperature": 1.0,
        "hidden": (128, 128),
        "activation": "relu",
        "layer_norm": True,  # without it Q diverges on rewards that are large where the expert never was
        "learning_rate": 5e-4,
        "weight_decay": 0.0,
        "target_rate": 0.01,
        "batch_size": 256,
        "policy_average": 2e-4,
        "critics": 1,
        "actor_learning_rate": 3e-4,
        "epsilon": 0.2,  # a soft policy with a small α never tries an action again that was unlucky at first
        "update_every": 250,  # with updates after every step, CartPole's policy is lost again in half of the runs
        "learning_starts": 1000,
        "steps": 40_000,
    },
    "continuous": {
        "temperature": 0.1,
        "hidden": (256, 256),
        "activation": "relu",
        "layer_norm": False,
        "learning_rate": 3e-4,
        "weight_decay": 0.0,
        "target_rate": 0.005,
        "batch_size": 256,
        "policy_average": 0.0,
        "critics": 2,
        "epsilon": 0.0,
        "actor_learning_rate": 3e-4,
        "update_every": 1,
        "learning_starts": 1000,
        "steps": 100_000,
    },
}
