"""Learned dynamics: a model of s′ for the expectation over s′, where neither P nor a simulator is known."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from irl_probe._config import Config, Count, Must, Seed, at_least
from irl_probe._plain import plain_actions, plain_observations, plain_steps, to_plain_actions
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.envs import SimulatedStep
from irl_probe.rewards.distil_config import HeldOut, LearningRate
from irl_probe.rewards.expectation import Kind, ValueAfter
from irl_probe.rewards.protocol import RewardError
from irl_probe.softq import ACTIVATIONS, ActionScale, EnsembleLinear, Network, NetworkSpec, learns, standardisation
from irl_probe.softq.in_numpy import NumpyLayers, array_of, piece_rows, pieces
from irl_probe.transitions import Transitions

LEAST_STEPS = 100
DYNAMICS = "expectation.network"  # the name of the network among the weights of a saved reward
LOG_STD = (-7.0, 1.0)  # bounds of log σ of the change of s, in units of its standard deviation
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class DynamicsConfig(Config):
    """How `fit_dynamics` learns. Raises RewardError where a value is out of its range."""

    members: Count = 3
    """Networks in the ensemble."""
    hidden: Annotated[
        tuple[int, ...], Must(lambda widths: min(widths, default=0) >= 1, "be one or more widths of at least 1")
    ] = (128, 128)
    """Widths of the hidden layers of each network."""
    updates: Count = 3000
    """Gradient steps."""
    batch_size: Count = 256
    """Steps in a member's batch."""
    learning_rate: LearningRate = 1e-3
    """Learning rate of AdamW; it falls linearly to 0."""
    held_out: HeldOut = 0.2
    """Share of the episodes held out for the stated figures; of a single episode, the share of its last steps."""
    samples: Annotated[int, at_least(2, " successors, for a standard error of E[V(s′)]")] = 16
    """Successors drawn for E[V(s′)]."""
    seed: Seed = 0
    """Seed of the weights, the batches and the draws."""

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ValueError as error:
            raise RewardError(str(error)) from None


@learns
def fit_dynamics(
    transitions: Transitions,
    observation_space: spaces.Space[object],
    action_space: spaces.Space[object],
    *,
    config: DynamicsConfig | None = None,
) -> LearnedDynamics:
    """Fit an ensemble of Gaussian dynamics to steps by maximum likelihood (as in Chua et al. 2018, §4).

    Every member draws its own batches. A share of the episodes is held out and used only for the stated figures.

    Args:
        transitions: at least 100 steps, and 5 for each of the network's inputs.
        observation_space: a Box of real numbers, or a Dict or Tuple whose flat vector is one.
        action_space: a Discrete, MultiDiscrete or MultiBinary space, or a Box with finite bounds.
        config: see `DynamicsConfig`; None takes the defaults.

    Raises RewardError where there are too few steps, where they do not fit the spaces, where observations are discrete
    (count P(s′ | s, a) and take an `ExactExpectation`) or whole numbers, and where training diverges. (`Transitions`
    itself refuses NaN and infinite observations and actions.)
    """
    config = config or DynamicsConfig()
    spec = _spec(observation_space, action_space, config)
    try:
        transitions = plain_steps((observation_space, action_space), transitions)
    except ValueError as error:
        raise RewardError(f"The transitions must be those of the spaces. {error}") from error
    _check_steps(transitions, spec, plain_observations(observation_space), plain_actions(action_space))
    learned_from, held = _divide(transitions, config.held_out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = GaussianDynamics(spec)
    network.fit_moments(learned_from)
    _train(network, learned_from, config)
    likelihood, baseline = log_likelihoods(network, held)
    if not np.isfinite(likelihood):
        raise RewardError(
            "The dynamics model diverged in training; lower the learning rate, or scale the observations."
        )
    return LearnedDynamics(network.eval(), likelihood, baseline, len(held), config.samples, config.seed, action_space)


@dataclass(frozen=True, eq=False)
class LearnedDynamics:
    """The mean of V(s′) over `samples` successors drawn from a learned model; it is only as good as that model.

    E ≈ (1/K) Σ_k (1 − p_k)·V(s + Δ_k) + p_k·V_abs, Δ_k ~ N(μ_m(s, a), σ_m(s, a)²) of member m = k mod M, p_k its
    probability of termination. All states and actions share the same standard normal draws, so the reward is a
    function of (s, a). The standard error is that of the K values. It includes the disagreement of the members, but not
    the errors that all of them share.

    Attributes:
        network: the model, as `fit_dynamics` makes it.
        log_likelihood: log likelihood of held-out s′, in nats a step, under the mixture of members.
        baseline: the same under one Gaussian for the change of s, which ignores s and a; useful models are far above.
        held_out: the number of steps over which both are means.
        samples, seed: number and seed of the draws.
        action_space: of the steps that it was fitted to; None where it is not known, as in a reward that was loaded.
    """

    network: GaussianDynamics
    log_likelihood: float
    baseline: float
    held_out: int
    samples: int = 16
    seed: int = 0
    action_space: Space | None = None
    name: ClassVar[str] = "learned dynamics"
    kind: ClassVar[Kind] = "marginal"

    def __post_init__(self) -> None:
        if not bool((self.network.scale > 0).all() and (self.network.change_scale > 0).all()):
            raise RewardError("The scales of learned dynamics must be positive; these are not. Fit them again.")

    def __call__(
        self, value: ValueAfter, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> tuple[Floats, Floats]:
        count, shape = len(observations), observations.shape[1:]
        noise = np.random.default_rng(self.seed).standard_normal((self.samples, self.network.spec.input_width))
        drawn, floats = np.empty((self.samples, count)), _floats(observations)
        layers, spec = NumpyLayers(self.network.layers), self.network.spec
        for rows in pieces(count, piece_rows(spec)):
            o = observations[rows]
            flat = o.reshape(len(o), spec.input_width).astype(np.float64)
            mean, deviation, ended = self.moments(layers, o, actions[rows])
            no_end = np.zeros(len(o), dtype=bool)
            for k, draw in enumerate(noise):
                member = k % spec.critics
                successors = (flat + mean[member] + deviation[member] * draw).reshape(-1, *shape)
                drawn[k, rows] = value(successors.astype(floats), no_end)
                if len(o) and ended.any():
                    after = value(successors[:1].astype(floats), np.ones(1, dtype=bool))
                    drawn[k, rows] += ended[member] * (after - drawn[k, rows])
        return drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / math.sqrt(self.samples)

    def moments(self, layers: NumpyLayers, observations: Array, actions: Array) -> tuple[Floats, Floats, Floats]:
        """Mean and σ of s′ − s (M, N, width) in the environment's units, and the probability of the end (M, N)."""
        network = self.network
        inputs = network.inputs(observations, actions).astype(np.float32)
        outputs, width = layers(inputs).astype(np.float64), network.spec.input_width
        mean, logit = outputs[..., :width], outputs[..., -1]
        log_std = LOG_STD[0] + 0.5 * (LOG_STD[1] - LOG_STD[0]) * (np.tanh(outputs[..., width:-1]) + 1)
        scale = array_of(network.change_scale)
        ended = float(network.ends) / (1 + np.exp(-logit))
        return mean * scale + array_of(network.change_mean), np.exp(log_std) * scale, ended

    def spec(self) -> dict[str, object]:
        """Its description in reward.json."""
        return {
            "name": self.name,
            "network": asdict(self.network.spec),
            "log_likelihood": self.log_likelihood,
            "baseline": self.baseline,
            "held_out": self.held_out,
            "samples": self.samples,
            "seed": self.seed,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the network."""
        state = self.network.state_dict()
        return {f"{DYNAMICS}.{key}": tensor.detach().cpu().contiguous() for key, tensor in state.items()}


@dataclass(frozen=True)
class LearnedSimulator:
    """A `Simulator` that draws s′ ~ N(s + μ_m(s, a), σ_m(s, a)²) and the end, of probability p_m(s, a), of a member m.

    Each draw picks m uniformly. It is only as good as the model. It does not know the rewards: they are NaN.

    Attributes:
        model: the model that `fit_dynamics` returned.
        seed: seed of the draws, which differ from call to call.
        action_space: of the actions that `step` gets; None takes that of the steps that the model was fitted to, or
            else actions counted from 0.
    """

    model: LearnedDynamics
    seed: int = 0
    action_space: Space | None = None
    deterministic: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    @property
    def name(self) -> str:
        """Its label in results."""
        return self.model.name

    @property
    def note(self) -> str:
        """How good the model is, in words."""
        return (
            f"held-out log likelihood {self.model.log_likelihood:.2f} nats a step, "
            f"one Gaussian for all steps {self.model.baseline:.2f}"
        )

    def step(self, observations: Array, actions: Array) -> SimulatedStep:
        """One draw from each row: observations (N, *obs_shape), actions in the environment's units."""
        spec, layers = self.model.network.spec, NumpyLayers(self.model.network.layers)
        space = self.model.action_space if self.action_space is None else self.action_space
        actions = actions if space is None else to_plain_actions(space, actions)
        successors, ended = np.empty(observations.shape, _floats(observations)), np.zeros(len(observations), dtype=bool)
        for rows in pieces(len(observations), piece_rows(spec)):
            o = observations[rows]
            mean, deviation, ends = self.model.moments(layers, o, actions[rows])
            member, place = self._rng.integers(spec.critics, size=len(o)), np.arange(len(o))
            change = mean[member, place] + deviation[member, place] * self._rng.standard_normal(mean.shape[1:])
            successors[rows] = o.astype(np.float64) + change.reshape(o.shape)
            ended[rows] = self._rng.random(len(o)) < ends[member, place]
        return SimulatedStep(successors, np.full(len(observations), np.nan), ended)


def _floats(observations: Array) -> np.dtype[Any]:
    """The dtype of predicted successors: that of the observations, unless those are whole numbers."""
    return observations.dtype if observations.dtype.kind == "f" else np.dtype(np.float32)


class GaussianDynamics(Network):
    """An ensemble of networks (s, a) → mean and log σ of s′ − s in every dimension, and a logit of termination.

    `spec.critics` is the number of members. Inputs and the change of s are standardised with moments that are buffers.
    `ends` is 1 if the data held a termination; else it is 0, and the model predicts none.
    """

    mean: Tensor
    scale: Tensor
    change_mean: Tensor
    change_scale: Tensor
    ends: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec, states = spec, spec.input_width
        for name, fill in (("mean", 0.0), ("scale", 1.0), ("change_mean", 0.0), ("change_scale", 1.0)):
            self.register_buffer(name, torch.full((states,), fill, dtype=torch.float32))
        self.register_buffer("ends", torch.zeros((), dtype=torch.float32))
        layers: list[nn.Module] = []
        width = states + (spec.action_count or len(spec.action_low or ()))
        for hidden in spec.hidden:
            layers += [EnsembleLinear(spec.critics, width, hidden), ACTIVATIONS[spec.activation]()]
            width = hidden
        last = EnsembleLinear(spec.critics, width, 2 * states + 1)
        with torch.no_grad():  # start at σ = 1, the spread of the data: a model that starts small ends overconfident
            last.bias[..., states:-1] = math.atanh(-2 * LOG_STD[0] / (LOG_STD[1] - LOG_STD[0]) - 1)
        self.layers = nn.Sequential(*layers, last)

    def inputs(self, observations: Array, actions: Array) -> Floats:
        """What the layers see: standardised s, then a (one-hot where discrete, else in [−1, 1]); (N, width)."""
        flat = observations.reshape(len(observations), self.spec.input_width).astype(np.float64)
        states = (flat - array_of(self.mean)) / array_of(self.scale)
        if self.spec.action_count is None:
            return np.concatenate([states, ActionScale(self.spec).to_unit(actions)], axis=1)
        chosen = np.zeros((len(states), self.spec.action_count))
        chosen[np.arange(len(states)), actions.astype(np.int64)] = 1
        return np.concatenate([states, chosen], axis=1)

    def targets(self, observations: Array, next_observations: Array) -> Floats:
        """The standardised change of s, (N, width)."""
        shape = (len(observations), self.spec.input_width)
        change = next_observations.astype(np.float64) - observations.astype(np.float64)
        return np.asarray((change.reshape(shape) - array_of(self.change_mean)) / array_of(self.change_scale))

    def fit_moments(self, steps: Transitions) -> None:
        """Take the moments of s and of its change, and whether there are terminations, from `steps`."""
        flat = steps.observations.reshape(len(steps), -1)
        change = steps.next_observations.reshape(flat.shape).astype(np.float64) - flat.astype(np.float64)
        largest = np.abs(flat).max(axis=0)
        found = standardisation(flat), standardisation(change.astype(flat.dtype), magnitude=largest)
        for (mean, scale), (its_mean, its_scale) in zip(
            ((self.mean, self.scale), (self.change_mean, self.change_scale)), found, strict=True
        ):
            mean.copy_(torch.as_tensor(its_mean))
            scale.copy_(torch.as_tensor(its_scale))
        self.ends.fill_(float(steps.terminated.any()))

    def forward(self, inputs: Float[Tensor, "members batch in"]) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, log σ (members, batch, states) and logit of termination (members, batch), standardised."""
        return split(self.layers(inputs), self.spec.input_width)


def split(outputs: Tensor, states: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, log σ within `LOG_STD` and logit of termination, from the output of the layers."""
    mean, raw, logit = outputs[..., :states], outputs[..., states:-1], outputs[..., -1]
    low, high = LOG_STD
    return mean, low + 0.5 * (high - low) * (torch.tanh(raw) + 1), logit


def _spec(
    observation_space: spaces.Space[object], action_space: spaces.Space[object], config: DynamicsConfig
) -> NetworkSpec:
    flat = plain_observations(observation_space)
    if not (isinstance(flat, spaces.Box) and np.issubdtype(flat.dtype, np.floating)):
        instead = (
            "For discrete states count P(s′ | s, a), (S, A, S), and give ExactExpectation(P)."
            if isinstance(observation_space, spaces.Discrete)
            else "Take whole numbers as floats: gymnasium.wrappers.DtypeObservation(env, np.float32), around "
            "gymnasium.wrappers.FlattenObservation(env) if it has parts, and observations.astype(np.float32)."
        )
        raise RewardError(
            f"Gaussian dynamics are learned for a Box of real numbers; got {observation_space}. {instead}"
        )
    try:
        return NetworkSpec.of(
            observation_space, action_space, hidden=config.hidden, activation="elu", critics=config.members
        )
    except ValueError as error:
        raise RewardError(str(error)) from error


def _check_steps(
    steps: Transitions,
    spec: NetworkSpec,
    observation_space: spaces.Space[object],
    action_space: spaces.Space[object],
) -> None:
    """Raise RewardError unless the steps fit the spaces and are enough for this number of inputs."""
    for role, array, space in (
        ("observations", steps.observations, observation_space),
        ("actions", steps.actions, action_space),
    ):
        if array.shape[1:] != space.shape:
            raise RewardError(
                f"The {role} must be those of {space}, one row a step; got shape {array.shape}. "
                "Take the spaces of the environment that the transitions come from."
            )
    if spec.action_count is not None and not (steps.actions.min() >= 0 and steps.actions.max() < spec.action_count):
        raise RewardError(f"The actions must be in {action_space}; got {steps.actions.min()} to {steps.actions.max()}.")
    inputs = spec.input_width + (spec.action_count or len(spec.action_low or ()))
    least = max(LEAST_STEPS, 5 * inputs)
    if len(steps) < least:
        raise RewardError(
            f"Dynamics of {inputs} inputs are learned from at least {least} steps; got {len(steps)}. Record more, or "
            "take the per-transition reward (expectation='observed')."
        )


def _divide(steps: Transitions, share: float) -> tuple[Transitions, Transitions]:
    """Steps to learn from and steps held out: episodes at even distances, or the last steps of a single episode."""
    count = len(steps.starts)
    if count == 1:
        first = len(steps) - max(1, round(share * len(steps)))
        return steps.rows(np.arange(first)), steps.rows(np.arange(first, len(steps)))
    wanted = min(count - 1, max(1, round(share * count)))
    chosen = set(np.linspace(0, count - 1, wanted, dtype=int).tolist())
    return steps.episodes([i for i in range(count) if i not in chosen]), steps.episodes(sorted(chosen))


def _train(network: GaussianDynamics, steps: Transitions, config: DynamicsConfig) -> None:
    inputs = torch.as_tensor(network.inputs(steps.observations, steps.actions), dtype=torch.float32)
    targets = torch.as_tensor(network.targets(steps.observations, steps.next_observations), dtype=torch.float32)
    ended = torch.as_tensor(steps.terminated, dtype=torch.float32)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    generator = torch.Generator().manual_seed(config.seed)
    for update in range(config.updates):
        optimiser.param_groups[0]["lr"] = config.learning_rate * (1 - update / config.updates)
        rows = torch.randint(len(inputs), (config.members, config.batch_size), generator=generator)
        mean, log_std, logit = network(inputs[rows])
        loss = -_log_normal(targets[rows], mean, log_std).sum(-1).mean()
        if network.ends:
            loss = loss + functional.binary_cross_entropy_with_logits(logit, ended[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives Tensor.backward no types
        optimiser.step()


def log_likelihoods(network: GaussianDynamics, steps: Transitions) -> tuple[float, float]:
    """Mean log density of s′, nats a step: of the mixture of members, and of one Gaussian with the training moments."""
    target = torch.as_tensor(network.targets(steps.observations, steps.next_observations))
    inputs = torch.as_tensor(network.inputs(steps.observations, steps.actions), dtype=torch.float32)
    with torch.no_grad():
        mean, log_std, _ = (part.double() for part in network(inputs.expand(network.spec.critics, -1, -1)))
    each = _log_normal(target, mean, log_std).sum(-1)
    mixture = torch.logsumexp(each, dim=0) - math.log(len(each))
    units = float(network.change_scale.double().log().sum())
    baseline = _log_normal(target, torch.zeros(()), torch.zeros(())).sum(-1)
    return float(mixture.mean()) - units, float(baseline.mean()) - units


def _log_normal(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    return -0.5 * ((x - mean) * torch.exp(-log_std)).square() - log_std - 0.5 * math.log(2 * math.pi)
