"""How a saved reward takes E over s′: to JSON and tensors, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch

from irl_probe.envs import make_env, simulator
from irl_probe.networks import NetworkSpec
from irl_probe.rewards.dynamics import GaussianDynamics, LearnedDynamics
from irl_probe.rewards.encoding import MOST_SAMPLES, read_spec
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.expectation import ExactExpectation, Expectation, ObservedSuccessor, SimulatedExpectation
from irl_probe.rewards.fields import Fields, Json, plain
from irl_probe.rewards.recovered import Space, check_spaces_fit

TRANSITION, NETWORK = "expectation.transition", "expectation.network."

_NAMES = (ObservedSuccessor.name, ExactExpectation.name, SimulatedExpectation.name, LearnedDynamics.name)
_ENV_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")  # never "module:Env-v0", which would import that module


@dataclass(frozen=True)
class ExpectationDescription:
    """An expectation without its tensors; nothing of it is built yet.

    `network` is that of learned dynamics, on torch's meta device: shapes, no numbers.
    """

    name: str
    env_id: str = ""
    samples: int = 0
    seed: int = 0
    network: GaussianDynamics | None = None
    log_likelihood: float = 0.0
    baseline: float = 0.0
    held_out: int = 0

    def tensors(self, spec: NetworkSpec) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Type and shape of the tensors that it keeps; `spec` is that of the reward's networks."""
        if self.network is not None:
            return {NETWORK + key: (t.dtype, tuple(t.shape)) for key, t in self.network.state_dict().items()}
        if self.name != ExactExpectation.name:
            return {}
        if spec.observation_count is None or spec.action_count is None:
            raise RewardError("An exact expectation over s′ takes discrete observations and actions.")
        states = spec.observation_count
        return {TRANSITION: (torch.float64, (states, spec.action_count, states))}

    def build(self, tensors: Mapping[str, torch.Tensor], observation_space: Space, action_space: Space) -> Expectation:
        """The expectation that holds its `tensors`. Raises RewardError where they or the spaces do not fit."""
        if self.network is not None:
            return self._learned(self.network, tensors, observation_space, action_space)
        if self.name == ExactExpectation.name:
            return ExactExpectation(tensors[TRANSITION].numpy())
        if self.name == SimulatedExpectation.name:
            return _simulated(self.env_id, self.samples, observation_space, action_space)
        return ObservedSuccessor()

    def _learned(
        self,
        network: GaussianDynamics,
        tensors: Mapping[str, torch.Tensor],
        observation_space: Space,
        action_space: Space,
    ) -> LearnedDynamics:
        check_spaces_fit(network.spec, observation_space, action_space)
        network.load_state_dict({key: tensors[NETWORK + key] for key in network.state_dict()}, assign=True)
        if not bool((network.scale > 0).all() and (network.change_scale > 0).all()):
            raise RewardError("The scales of learned dynamics must be positive; reward.safetensors holds others.")
        figures = (self.log_likelihood, self.baseline, self.held_out)
        return LearnedDynamics(network.eval(), *figures, self.samples, self.seed)


def expectation_to_json(expectation: Expectation) -> Json:
    """How E over s′ is taken. Raises RewardError for an expectation that loading could not build again."""
    if isinstance(expectation, SimulatedExpectation):
        if not _ENV_ID.fullmatch(expectation.env_id):
            raise RewardError(
                f"A saved expectation names a registered environment; got {expectation.env_id!r}. Register it as "
                "'Name-v0', without a module."
            )
        return {"name": expectation.name, "env_id": expectation.env_id, "samples": expectation.samples}
    if isinstance(expectation, LearnedDynamics):
        return {
            "name": expectation.name,
            "network": plain(asdict(expectation.network.spec), "network"),
            "log_likelihood": expectation.log_likelihood,
            "baseline": expectation.baseline,
            "held_out": expectation.held_out,
            "samples": expectation.samples,
            "seed": expectation.seed,
        }
    if isinstance(expectation, ObservedSuccessor | ExactExpectation):
        return {"name": expectation.name}
    raise RewardError(
        "An artifact holds an observed, exact, simulated or learned expectation over s′; got "
        f"{type(expectation).__name__}, which loading could not build again. Save the per-transition reward "
        "(recover without it), or distil the reward, which then needs none."
    )


def expectation_tensors(expectation: Expectation) -> dict[str, torch.Tensor]:
    """What the weights file keeps of it: P(s′|s, a), or the learned network."""
    if isinstance(expectation, ExactExpectation):
        return {TRANSITION: torch.tensor(expectation.transition)}
    if isinstance(expectation, LearnedDynamics):
        state = expectation.network.state_dict()
        return {NETWORK + key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    return {}


def read_expectation(fields: Fields) -> ExpectationDescription:
    """A well-formed expectation, every field checked."""
    name = fields.text("name", _NAMES)
    described = ExpectationDescription(name)
    if name == SimulatedExpectation.name:
        samples = fields.integer("samples", 1, MOST_SAMPLES)
        if not _ENV_ID.fullmatch(env_id := fields.text("env_id")):
            raise RewardError(f"The simulator of reward.json must name a registered environment; got {env_id!r}.")
        described = ExpectationDescription(name, env_id, samples)
    elif name == LearnedDynamics.name:
        inner = fields.inner("network")
        spec = read_spec(inner)
        inner.finish()
        if spec.observation_count is not None:
            raise RewardError("Learned dynamics are of a Box of real numbers; reward.json has discrete observations.")
        with torch.device("meta"):
            network = GaussianDynamics(spec)
        described = ExpectationDescription(
            name,
            samples=fields.integer("samples", 2, MOST_SAMPLES),
            seed=fields.integer("seed", 0, (1 << 63) - 1),
            network=network,
            log_likelihood=fields.number("log_likelihood"),
            baseline=fields.number("baseline"),
            held_out=fields.integer("held_out", 1, 1 << 62),
        )
    fields.finish()
    return described


def _simulated(env_id: str, samples: int, observation_space: Space, action_space: Space) -> SimulatedExpectation:
    try:
        env = make_env(env_id)
        built = SimulatedExpectation(env_id, simulator(env), samples)
    except (ValueError, ImportError) as error:
        raise RewardError(
            f"The reward is marginal, with E over s′ by a simulator of {env_id}, which cannot be built: {error}"
        ) from error
    if (env.observation_space.shape, env.action_space.shape) != (observation_space.shape, action_space.shape):
        raise RewardError(
            f"The simulator of {env_id} takes observations and actions of {env.observation_space} and "
            f"{env.action_space}; the reward is for {observation_space} and {action_space}. They must have one shape."
        )
    return built
