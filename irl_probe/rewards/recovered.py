"""The reward that a soft Q-function implies: r = Q − γ E[V]  (IQ-Learn, Lemma 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from irl_probe._plain import bounded_actions, to_own_actions, to_plain_actions
from irl_probe._policies import is_stable_baselines
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats, flags
from irl_probe.rewards import schema
from irl_probe.rewards.dynamics import DYNAMICS, GaussianDynamics, LearnedDynamics
from irl_probe.rewards.expectation import (
    TRANSITION,
    ExactExpectation,
    Expectation,
    Kind,
    ObservedSuccessor,
    SavedExpectation,
    SimulatedExpectation,
)
from irl_probe.rewards.model import (
    DTYPES,
    Provenance,
    RewardModel,
    Shapes,
    dtype_name,
    fill,
    shapes_of,
    shared_fields,
    tensors_of,
)
from irl_probe.rewards.protocol import (
    Normalisation,
    RewardError,
    check_same_units,
    check_spaces_fit,
    network_actions,
    plain_batch,
    plain_rows,
    widest_observations,
)
from irl_probe.rewards.stable_baselines import from_stable_baselines
from irl_probe.rewards.strict_json import validated
from irl_probe.rewards.torch_module import RecoveredModule
from irl_probe.softq import ContinuousQ, DiscreteQ, GaussianPolicy
from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ, SoftQ


@runtime_checkable
class SoftQSource(Protocol):
    """An object with a learned soft Q-function, such as a training run.

    Attributes:
        soft_q: the Q-function.
        terminal_value: V_abs, the value after the MDP ended that the learner used; 0 is the convention "zero".
        observation_space: the environment's.
        action_space: the environment's.
        provenance: what it was learned from and how, as plain numbers and strings.
    """

    @property
    def soft_q(self) -> SoftQ: ...
    @property
    def observation_space(self) -> Space: ...
    @property
    def action_space(self) -> Space: ...
    @property
    def terminal_value(self) -> float: ...
    @property
    def provenance(self) -> Provenance: ...


@runtime_checkable
class _AnySoftQ(SoftQ, Protocol): ...


@dataclass(frozen=True, eq=False)
class RecoveredReward(RewardModel):
    """r(s, a, s′, d) = Q(s, a) − γ E[(1 − d)·V(s′) + d·V_abs]  (Garg et al. 2021, Lemma 3.1 and eq. 4).

    d is whether the MDP terminated. `expectation` decides what E is, and so whether this is the per-transition reward
    r(s, a, s′) = Q − γV(s′) or the marginal r(s, a) = Q − γE[V(s′)]. In reward units, those in which the policy
    is softmax(Q/α). Calling it follows `Reward`: (N, …) arrays in, (N,) float64 out.

    Attributes:
        soft_q: the soft Q-function, with its γ and α.
        observation_space, action_space: the spaces of its arguments.
        terminal_value: V_abs; 0 is the convention "zero" (nothing after the end), anything else "absorbing".
        expectation: how E over s′ is taken.
        provenance: where it comes from (algorithm, environment, hash of the demonstrations, ...).
        figures: measured figures by name; plain numbers and strings, nested as needed.
        normalisation: the moments of the rewards that a wrapper paid, for normalise="running" and "frozen"; calling the
            reward does not use it.

    Raises RewardError where the spaces do not fit the Q-network or V_abs is not finite.
    """

    soft_q: SoftQ
    observation_space: Space
    action_space: Space
    terminal_value: float = 0.0
    expectation: Expectation = field(default_factory=ObservedSuccessor)
    provenance: Provenance = field(default_factory=dict)
    figures: Mapping[str, object] = field(default_factory=dict)
    normalisation: Normalisation | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.terminal_value):
            raise RewardError(f"The value after the end must be finite; got {self.terminal_value}.")
        object.__setattr__(self, "terminal_value", float(self.terminal_value))
        self.check_spaces(self.observation_space, self.action_space)
        if isinstance(self.expectation, SimulatedExpectation):
            object.__setattr__(self, "expectation", replace(self.expectation, spaces=self._spaces))
        if isinstance(self.expectation, LearnedDynamics):
            check_spaces_fit(self.expectation.network.spec, self.observation_space, self.action_space)

    @property
    def gamma(self) -> float:
        """The discount γ of Q."""
        return self.soft_q.gamma

    @property
    def temperature(self) -> float:
        """The temperature α of Q, in reward units."""
        return self.soft_q.temperature

    @property
    def kind(self) -> Kind:
        """Whether it is the "per-transition" reward r(s, a, s′) or the "marginal" one r(s, a)."""
        return self.expectation.kind

    def check_spaces(self, observation_space: Space, action_space: Space) -> None:
        """Raise RewardError unless the reward takes observations and actions of these spaces."""
        check_spaces_fit(self.soft_q.spec, observation_space, action_space, self.provenance.get("env_id"))
        check_same_units(self._spaces, (observation_space, action_space))

    @property
    def _spaces(self) -> tuple[Space, Space]:
        return self.observation_space, self.action_space

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /) -> Floats:
        o, a, o2, d = plain_batch(
            self._spaces, self.soft_q.spec, (observations, actions, next_observations, terminated)
        )
        if isinstance(self.expectation, ObservedSuccessor) and isinstance(self.soft_q, DiscreteSoftQ | ContinuousSoftQ):
            q, value = self.soft_q.step_values(o, a, o2)
            return q - self.gamma * np.where(d, self.terminal_value, value)
        expected, _ = self.expectation(self._value_after, o, a, o2, d)
        return self.soft_q.q(o, a) - self.gamma * expected

    def torch(self) -> RecoveredModule:
        """As `RewardModel.torch`. Raises RewardError where E over s′ is by a simulator, which has no gradient."""
        return RecoveredModule(self.soft_q, self.expectation, self.terminal_value, self._spaces)

    def q(self, observations: Array, actions: Array) -> Floats:
        """Q(s, a), (N,): the part of the reward that depends on s and a."""
        try:
            chosen = to_plain_actions(self.action_space, bounded_actions(self.action_space, actions))
        except ValueError as error:
            raise RewardError(str(error)) from error
        return self.soft_q.q(plain_rows(self.observation_space, observations), chosen)

    def v(self, observations: Array) -> Floats:
        """The soft value of s, (N,).

        Where the MDP does not end, the reward is r(s, a, s′) = q(s, a) − γ v(s′).
        """
        return self.soft_q.value(plain_rows(self.observation_space, observations))

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """The policy that Q implies: actions (N, …) in the environment's units."""
        plain = self.soft_q.policy(plain_rows(self.observation_space, observations), deterministic, rng=rng)
        return to_own_actions(self.action_space, plain)

    def value_after(self, next_observations: Array, terminated: Bools) -> Floats:
        """(1 − d)·V(s′) + d·V_abs, (N,)."""
        try:
            ended = flags(terminated, "terminated")
        except ValueError as error:
            raise RewardError(str(error)) from error
        return np.where(ended, self.terminal_value, self.v(next_observations))

    def _value_after(self, plain: Array, terminated: Bools) -> Floats:
        """`value_after` of observations as networks see them."""
        return np.where(terminated, self.terminal_value, self.soft_q.value(plain))

    def standard_error(
        self, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> Floats:
        """Standard error of the reward, (N,): γ times that of E[V], from sampled successors and sampled actions.

        0 where both are exact (discrete actions, and an observed or exact s′). Action samples are shared by all
        states, so their errors do not average out over successors: the mean error over s′ is taken, an upper bound.
        """
        given = (observations, actions, next_observations, terminated)
        batch = plain_batch(self._spaces, self.soft_q.spec, given)
        _, from_successors = self.expectation(self._value_after, *batch)
        soft_q = self.soft_q
        if not isinstance(soft_q, ContinuousSoftQ):
            return self.gamma * from_successors
        from_actions, _ = self.expectation(lambda o, d: np.where(d, 0.0, soft_q.value_error(o)), *batch)
        return self.gamma * np.hypot(from_successors, from_actions)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks of Q by the names under which they are saved."""
        if isinstance(self.soft_q, DiscreteSoftQ | ContinuousSoftQ):
            return self.soft_q.modules
        raise RewardError(f"Only a DiscreteSoftQ or a ContinuousSoftQ can be saved; got {type(self.soft_q).__name__}.")

    def spec(self) -> schema.Recovered:
        """As `RewardModel.spec`."""
        content = {
            **self.shared_spec(),
            "kind": self.kind,
            "expectation": self._saved_expectation.spec(),
            "soft_q": self._soft_q_spec(),
        }
        return validated(schema.Recovered, content, "the reward")

    def tensors(self) -> dict[str, Tensor]:
        """As `RewardModel.tensors`: those of the networks, and of the expectation over s′."""
        return tensors_of(self.networks) | self._saved_expectation.tensors()

    @classmethod
    def shapes(cls, spec: schema.Recovered) -> Shapes:
        """As `RewardModel.shapes`."""
        return shapes_of(_blank(spec)) | _expectation_shapes(spec)

    @classmethod
    def from_spec(cls, spec: schema.Recovered, tensors: Mapping[str, Tensor], figures: Mapping[str, object]) -> Self:
        """As `RewardModel.from_spec`."""
        networks = _blank(spec)
        fill(networks, tensors)
        return cls(_soft_q(spec, networks), expectation=_expectation(spec, tensors), **shared_fields(spec, figures))

    @property
    def _saved_expectation(self) -> SavedExpectation:
        if isinstance(self.expectation, SavedExpectation):
            return self.expectation
        raise RewardError(
            "Only an observed, exact, simulated or learned expectation over s′ can be saved; got "
            f"{type(self.expectation).__name__}, which loading could not build again. Save the per-transition reward "
            "(recover without it), or distil the reward, which then needs none."
        )

    def _soft_q_spec(self) -> dict[str, object]:
        soft_q, networks = self.soft_q, self.networks
        content: dict[str, object] = {
            "kind": "discrete",
            "dtype": dtype_name(networks),
            "gamma": float(soft_q.gamma),
            "temperature": float(soft_q.temperature),
            "networks": {name: asdict(network.spec) for name, network in networks.items()},  # type: ignore[call-overload]  # each has a NetworkSpec
        }
        if isinstance(soft_q, ContinuousSoftQ):
            content |= {"kind": "continuous", "reduce": soft_q.reduce, "samples": soft_q.samples, "seed": soft_q.seed}
        return content


def _blank(spec: schema.Recovered) -> dict[str, nn.Module]:
    """The networks of Q on torch's meta device: their tensors have shapes but no memory."""
    networks = spec.soft_q.networks
    with torch.device("meta"):
        if isinstance(networks, schema.DiscreteNetworks):
            blank: dict[str, nn.Module] = {"q": DiscreteQ(networks.q.shape())}
        else:
            blank = {"critic": ContinuousQ(networks.critic.shape()), "actor": GaussianPolicy(networks.actor.shape())}
        return {name: network.to(DTYPES[spec.soft_q.dtype]) for name, network in blank.items()}


def _soft_q(spec: schema.Recovered, networks: Mapping[str, Any]) -> DiscreteSoftQ | ContinuousSoftQ:
    """The soft Q-function of these networks, which hold their weights."""
    own = spec.soft_q
    if isinstance(own, schema.DiscreteQ):
        return DiscreteSoftQ(networks["q"], gamma=own.gamma, temperature=own.temperature)
    return ContinuousSoftQ(
        networks["critic"],
        networks["actor"],
        gamma=own.gamma,
        temperature=own.temperature,
        reduce=own.reduce,
        samples=own.samples,
        seed=own.seed,
    )


def _expectation_shapes(spec: schema.Recovered) -> Shapes:
    """Type and shape of the tensors of the expectation over s′: P(s′|s, a), or the network of learned dynamics."""
    expectation = spec.expectation
    if isinstance(expectation, schema.Learned):
        return shapes_of({DYNAMICS: _blank_dynamics(expectation)})
    if not isinstance(expectation, schema.Exact):
        return {}
    assert isinstance(spec.soft_q, schema.DiscreteQ)  # the schema has checked it
    shape = spec.soft_q.networks.q
    assert shape.observation_count is not None
    assert shape.action_count is not None
    return {TRANSITION: (torch.float64, (shape.observation_count, shape.action_count, shape.observation_count))}


def _expectation(spec: schema.Recovered, tensors: Mapping[str, Tensor]) -> Expectation:
    """The expectation of this description. Raises RewardError where its tensors or its simulator cannot be used."""
    match spec.expectation:
        case schema.Exact():
            return ExactExpectation(tensors[TRANSITION].numpy())
        case schema.Simulated(env_id=env_id, samples=samples):
            return SimulatedExpectation.rebuilt(env_id, samples, spec.observation_space, spec.action_space)
        case schema.Learned() as saved:
            network = _blank_dynamics(saved)
            fill({DYNAMICS: network}, tensors)
            figures = (saved.log_likelihood, saved.baseline, saved.held_out)
            return LearnedDynamics(network.eval(), *figures, samples=saved.samples, seed=saved.seed)
    return ObservedSuccessor()


def _blank_dynamics(saved: schema.Learned) -> GaussianDynamics:
    with torch.device("meta"):
        return GaussianDynamics(saved.network.shape())


def recover(
    source: SoftQSource | SoftQ | object,
    *,
    temperature: float | None = None,
    action_samples: int | None = None,
    expectation: Expectation | Literal["observed"] = "observed",
    terminal: float | Literal["zero"] | None = None,
    observation_space: Space | None = None,
    action_space: Space | None = None,
) -> RecoveredReward:
    """The reward that a soft Q-function implies (`RecoveredReward` has the equation).

    Args:
        source: a training run (anything with `soft_q`, `terminal_value` and `provenance`), a soft Q-function, or a
            SAC or DQN model of Stable-Baselines3 (`stable_baselines.from_stable_baselines` says how it is read).
        temperature: the α of a DQN model, in reward units; all other sources have their own.
        action_samples: K, the number of sampled actions that estimate V(s′) = E_{a~π}[Q − α log π] where actions are
            continuous. The cost of the reward grows with K, and its standard error (`RecoveredReward.standard_error`)
            falls like 1/√K. None takes the source's K (16 by default).
        expectation: "observed" for the per-transition reward r(s, a, s′); an `ExactExpectation`, a
            `SimulatedExpectation` or, where neither is available, `LearnedDynamics` for the marginal reward r(s, a).
        terminal: the value V_abs after the MDP ended; "zero" is 0. None takes the value that `source` was trained with
            (0 for a bare soft Q-function). Another value gives another reward, since it prices the end of an episode.
        observation_space: the environment's; None takes the run's, or for a bare soft Q-function the widest that fits.
        action_space: the environment's; None takes the run's, or the network's bounds, with one dimension.

    Raises RewardError if `source` is a run of 'bc', which learns no Q-function; if `source`, `expectation` or
    `terminal` is of another kind, if a DQN is given no temperature or another source is given one, and if spaces do not
    fit.
    """
    if is_stable_baselines(source):
        source = from_stable_baselines(source, temperature=temperature)
    elif temperature is not None:
        raise RewardError(
            "A 'temperature' is only for a DQN model of Stable-Baselines3; a "
            f"{type(source).__name__} has its own. Leave it out; got {temperature}."
        )
    if isinstance(source, SoftQSource):
        soft_q, trained, provenance = source.soft_q, source.terminal_value, dict(source.provenance)
        if provenance.get("algorithm") == "bc":
            raise RewardError(
                "A reward is recovered from a Q-function, and this run is a clone (objective 'bc'), which learns the "
                "policy alone: its Q is not learned, or only up to any function of the state. Train with the objective "
                "'iq' or 'sqil', or 'csil', whose reward is the log density of a clone."
            )
        observation_space = source.observation_space if observation_space is None else observation_space
        action_space = source.action_space if action_space is None else action_space
    elif isinstance(source, _AnySoftQ):
        soft_q, trained, provenance = source, 0.0, {}
    else:
        raise RewardError(
            "A reward is recovered from a training run, a soft Q-function (softq.SoftQ: spec, gamma, temperature, "
            f"modules, q, value, policy), or a SAC or DQN model of Stable-Baselines3; got {type(source).__name__}."
        )
    if action_samples is not None:
        soft_q = _with_samples(soft_q, action_samples)
    if isinstance(terminal, str) and terminal != "zero":
        raise RewardError(f"'terminal' must be a number (V_abs), 'zero' or None (as trained); got {terminal!r}.")
    if expectation != "observed" if isinstance(expectation, str) else not hasattr(expectation, "kind"):
        raise RewardError(
            f"'expectation' must be 'observed', or an expectation over s′ as an object; got {expectation!r}. "
            "For the marginal reward give ExactExpectation(transition), SimulatedExpectation.of(env) or what "
            "fit_dynamics gives."
        )
    return RecoveredReward(
        soft_q=soft_q,
        terminal_value=trained if terminal is None else 0.0 if isinstance(terminal, str) else terminal,
        expectation=ObservedSuccessor() if isinstance(expectation, str) else expectation,
        observation_space=widest_observations(soft_q.spec) if observation_space is None else observation_space,
        action_space=network_actions(soft_q.spec) if action_space is None else action_space,
        provenance=provenance,
    )


def _with_samples(soft_q: SoftQ, count: int) -> ContinuousSoftQ:
    if not isinstance(soft_q, ContinuousSoftQ):
        raise RewardError(
            f"'action_samples' is for continuous actions; the soft value of a {type(soft_q).__name__} takes none. "
            f"Leave it out; got {count}."
        )
    try:
        return soft_q.with_samples(count)
    except ValueError as error:
        raise RewardError(str(error)) from error
