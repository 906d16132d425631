"""reward.json: what a saved reward is, written and read field by field."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, TypedDict

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from irl_probe._spaces import Space
from irl_probe._types import Array
from irl_probe._words import did_you_mean
from irl_probe.envs import make_env, simulator
from irl_probe.rewards.distil_config import FORMS, Form
from irl_probe.rewards.dynamics import GaussianDynamics, LearnedDynamics
from irl_probe.rewards.expectation import ExactExpectation, Expectation, ObservedSuccessor, SimulatedExpectation
from irl_probe.rewards.explicit import DistilledReward, RewardNetwork, table_sizes
from irl_probe.rewards.protocol import Normalisation, RewardError
from irl_probe.rewards.recovered import Provenance, RecoveredReward, check_spaces_fit
from irl_probe.softq import ACTIVATIONS, LOG_STD_RANGES, ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec
from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ

MAX_DEPTH = 16

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def parse(data: bytes, where: str) -> dict[str, Json]:
    """The JSON object in `data`. Raises RewardError for anything but one object of finite numbers and unique names."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise RewardError(f"{where} must be valid JSON; {error}. The file is damaged: fetch it again.") from error
    if not isinstance(value, dict):
        raise RewardError(f"{where} must be one JSON object; got {type(value).__name__}.")
    plain(value, where)
    return value


def canonical(value: Mapping[str, object]) -> bytes:
    """JSON with sorted names, an indent of one and no choice left: the same content is the same bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def plain(value: object, where: str, depth: int = 0) -> Json:
    """`value` in JSON's own types; NumPy's numbers, tuples and mappings are turned into them.

    Raises RewardError unless it is made of finite numbers, texts, truth values, None, lists and mappings by name.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if depth > MAX_DEPTH:
        raise RewardError(f"{where} must not be nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, Mapping):
        absurd = [name for name in value if not isinstance(name, str)]
        if absurd:
            raise RewardError(f"Names in {where} must be texts; got {absurd[0]!r}.")
        return {name: plain(part, f"{where}.{name}", depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, f"{where}[{index}]", depth + 1) for index, part in enumerate(value)]
    if value is None or isinstance(value, str | bool):
        return value
    if not isinstance(value, int | float):
        raise RewardError(f"{where} must be a number, text, list or mapping; got {type(value).__name__}.")
    if not -1e308 < value < 1e308:
        raise RewardError(f"{where} must be a finite number; got {_brief(value)}. Use None and say why beside it.")
    return value


class Fields:
    """One JSON object, read field by field; `finish` refuses what was not asked for."""

    def __init__(self, content: Mapping[str, Json], where: str) -> None:
        self._content, self._where, self._asked = content, where, set[str]()

    def value(self, name: str) -> Json:
        """The field as it is. Raises RewardError where it is missing."""
        self._asked.add(name)
        if name not in self._content:
            raise RewardError(f"{self._where} must have the field '{name}'; it is missing.")
        return self._content[name]

    def text(self, name: str, among: tuple[str, ...] | None = None) -> str:
        """A text, one of `among` if given."""
        value = self.value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        if among is not None and value not in among:
            raise self._wrong(name, " or ".join(map(repr, among)), value)
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        """An integer in [least, most]."""
        return self._integer(name, self.value(name), least, most)

    def optional_integer(self, name: str, least: int, most: int) -> int | None:
        """An integer in [least, most], or null."""
        value = self.value(name)
        return None if value is None else self._integer(name, value, least, most)

    def integers(self, name: str, least: int, most: int, *, length: int) -> tuple[int, ...]:
        """At most `length` integers in [least, most]."""
        return tuple(self._integer(name, part, least, most) for part in self._list(name, self.value(name), length))

    def number(self, name: str) -> float:
        """A finite number."""
        return self._number(name, self.value(name))

    def optional_numbers(self, name: str, *, length: int) -> tuple[float, ...] | None:
        """At most `length` finite numbers, or null."""
        value = self.value(name)
        return None if value is None else tuple(self._number(name, part) for part in self._list(name, value, length))

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def mapping(self, name: str) -> dict[str, Json]:
        """An object, as it is."""
        value = self.value(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return value

    def inner(self, name: str) -> Fields:
        """An object, to be read field by field."""
        return Fields(self.mapping(name), f"{self._where}.{name}")

    def finish(self) -> None:
        """Raise RewardError where a field is left that nobody asked for."""
        for name in sorted(self._content.keys() - self._asked):
            hint = did_you_mean(name, self._asked)
            raise RewardError(f"{self._where} has the unexpected field {_brief(name)}.{hint}")

    def _integer(self, name: str, value: Json, least: int, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"whole, from {least} to {most}", value)
        return value

    def _number(self, name: str, value: Json) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._wrong(name, "a finite number", value)
        return float(value)

    def _list(self, name: str, value: Json, length: int) -> list[Json]:
        if not isinstance(value, list) or len(value) > length:
            raise self._wrong(name, f"a list of at most {length}", value)
        return value

    def _wrong(self, name: str, wanted: str, value: Json) -> RewardError:
        return RewardError(f"The field '{name}' of {self._where} must be {wanted}; got {_brief(value)}.")


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def _not_a_number(token: str) -> float:
    raise ValueError(f"{token} is not a number")


Network = DiscreteQ | ContinuousQ | GaussianPolicy
NETWORKS: dict[str, dict[str, type[Network]]] = {
    "discrete": {"q": DiscreteQ},
    "continuous": {"critic": ContinuousQ, "actor": GaussianPolicy},
}
WIDEST = 1 << 22  # no layer, observation or set of actions is wider, so that products of two sizes cannot overflow
MOST_LAYERS, MOST_CRITICS, MOST_ACTION_DIMENSIONS, MOST_SAMPLES = 64, 64, 4096, 4096

_SPACE_DTYPES = (
    *("float32", "float64", "float16"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("int8", "int16", "int32", "int64"),
)


def space_to_json(space: Space) -> Json:
    """A Box or Discrete space; bounds that are the same everywhere as one number, infinite ones as text.

    Raises RewardError for any other space, and for one that JSON's numbers cannot hold exactly.
    """
    if isinstance(space, spaces.Discrete):
        content: dict[str, Json] = {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    elif isinstance(space, spaces.Box):
        content = {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _bounds_to_json(space.low),
            "high": _bounds_to_json(space.high),
        }
    else:
        raise RewardError(f"An artifact holds Box and Discrete spaces; got {space}. Flatten it.")
    if read_space(Fields(content, "the space")) != space:
        raise RewardError(f"The space {space} cannot be written to JSON exactly; use bounds that float64 can hold.")
    return content


def read_space(fields: Fields) -> Space:
    """The space that `space_to_json` wrote. Raises RewardError unless it is well formed."""
    if fields.text("type", ("Box", "Discrete")) == "Discrete":
        discrete = spaces.Discrete(fields.integer("n", 1, WIDEST), start=fields.integer("start", -WIDEST, WIDEST))
        fields.finish()
        return discrete
    shape = fields.integers("shape", 1, WIDEST, length=8)
    if math.prod(shape) > WIDEST:
        raise RewardError(f"A space must have at most {WIDEST} dimensions; got the shape {shape}.")
    dtype = np.dtype(fields.text("dtype", _SPACE_DTYPES))
    low, high = (_read_bounds(fields.value(name), shape, dtype, name) for name in ("low", "high"))
    fields.finish()
    if not (low <= high).all():
        raise RewardError("A Box must have low ≤ high in every dimension.")
    return spaces.Box(low, high, shape, dtype.type)


def networks_to_json(networks: Mapping[str, Network | RewardNetwork]) -> Json:
    """The shape of every network by name."""
    return plain({name: asdict(network.spec) for name, network in networks.items()}, "networks")


def read_networks(fields: Fields, kind: str, dtype: torch.dtype) -> dict[str, Network]:
    """The networks on torch's meta device: their tensors have shapes but no numbers, so that none is allocated.

    Raises RewardError unless exactly those that `kind` has are there, for the same observations and actions.
    """
    networks: dict[str, Network] = {}
    for name, network in NETWORKS[kind].items():
        inner = fields.inner(name)
        try:
            with torch.device("meta"):
                networks[name] = network(read_spec(inner)).to(dtype)
        except RewardError:
            raise
        except ValueError as error:
            raise RewardError(f"The network {name!r} of reward.json cannot be built: {error}") from error
        inner.finish()
    fields.finish()
    shared = [
        (spec.observation_shape, spec.observation_count, spec.action_count, spec.action_low, spec.action_high)
        for spec in (network.spec for network in networks.values())
    ]
    if any(other != shared[0] for other in shared[1:]):
        raise RewardError("The networks of reward.json must take the same observations and actions; they differ.")
    return networks


def read_provenance(fields: Mapping[str, Json]) -> Provenance:
    """Numbers and texts by name."""
    result: dict[str, str | float | int] = {}
    for name, value in fields.items():
        if not isinstance(value, str | int | float):
            raise RewardError(f"reward.json.provenance.{name} must be a text or a number; got {type(value).__name__}.")
        result[name] = value
    return result


def read_spec(fields: Fields) -> NetworkSpec:
    """The shape of one network, every field checked; nothing of that size is built."""
    low, high = (fields.optional_numbers(name, length=MOST_ACTION_DIMENSIONS) for name in ("action_low", "action_high"))
    if (low is not None or high is not None) and not _bounded(low or (), high or ()):
        raise RewardError("The action bounds of a network must have one low < high for every dimension.")
    spec = NetworkSpec(
        observation_shape=fields.integers("observation_shape", 1, WIDEST, length=8),
        observation_count=fields.optional_integer("observation_count", 1, WIDEST),
        action_count=fields.optional_integer("action_count", 1, WIDEST),
        action_low=low,
        action_high=high,
        hidden=fields.integers("hidden", 1, WIDEST, length=MOST_LAYERS),
        activation=fields.text("activation", tuple(ACTIVATIONS)),  # type: ignore[arg-type]  # one of its literals
        layer_norm=fields.flag("layer_norm"),
        critics=fields.integer("critics", 1, MOST_CRITICS),
        log_std=fields.text("log_std", tuple(LOG_STD_RANGES)),  # type: ignore[arg-type]  # one of its literals
    )
    if math.prod(spec.observation_shape) > WIDEST:
        raise RewardError(f"An observation must have at most {WIDEST} numbers; got the shape {spec.observation_shape}.")
    return spec


def _bounded(low: tuple[float, ...], high: tuple[float, ...]) -> bool:
    return len(low) > 0 and len(low) == len(high) and all(map(float.__lt__, low, high))


def _bounds_to_json(bounds: Array) -> Json:
    values: list[Json] = [
        str(v) if math.isinf(v) else float(v) if float(v) == v else v  # a whole number that no float is stays whole
        for v in bounds.ravel().tolist()
    ]
    return values[0] if len(set(values)) == 1 else values


def _read_bounds(value: Json, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    parts = value if isinstance(value, list) else [value]
    infinite = {"inf": math.inf, "-inf": -math.inf}
    numbers = [
        infinite.get(part) if isinstance(part, str) else None if isinstance(part, bool | list | dict) else part
        for part in parts
    ]
    if (isinstance(value, list) and len(parts) != math.prod(shape)) or None in numbers:
        raise RewardError(
            f"'{name}' of a Box must be one number (or 'inf', '-inf'), or a flat list of one for each of the "
            f"{math.prod(shape)} dimensions."
        )
    bounds = [number for number in numbers if number is not None]  # all of them: the check is above
    least, most = (-math.inf, math.inf) if dtype.kind == "f" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    with np.errstate(over="ignore"):
        outside = [n for n in bounds if not least <= n <= most or (math.isfinite(n) and np.isinf(dtype.type(n)))]
    if outside:
        raise RewardError(f"'{name}' of a Box of {dtype} must be within its range; got {outside[0]}.")
    array = np.array(bounds, dtype)
    if array.tolist() != bounds:
        raise RewardError(f"'{name}' of a Box must be exact in its type {dtype}; it is not.")
    return array.reshape(shape) if isinstance(value, list) else np.full(shape, array[0])


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


MOST_ENTRIES = 1 << 28  # of a table, so that the product of its sizes cannot overflow
DTYPES = {"float32": torch.float32, "float64": torch.float64}
RewardModel = RecoveredReward | DistilledReward
Tensors = dict[str, tuple[torch.dtype, tuple[int, ...]]]


@dataclass(frozen=True)
class SoftQDescription:
    """A soft Q-function without its weights.

    `networks` are on torch's meta device: they have the shapes that the weights must have, but no numbers.
    """

    dtype: torch.dtype
    gamma: float
    temperature: float
    networks: dict[str, Network]
    reduce: str
    samples: int
    seed: int

    def tensors(self) -> Tensors:
        """Type and shape of every tensor that the weights must hold."""
        return _tensors(self.networks, self.dtype)

    def build(self, tensors: Mapping[str, torch.Tensor]) -> DiscreteSoftQ | ContinuousSoftQ:
        """The soft Q-function that holds `tensors`, which must be those of `tensors()`."""
        _fill(self.networks, tensors)
        match self.networks:
            case {"q": DiscreteQ() as network}:
                return DiscreteSoftQ(network, gamma=self.gamma, temperature=self.temperature)
            case {"critic": ContinuousQ() as critic, "actor": GaussianPolicy() as actor}:
                return ContinuousSoftQ(
                    critic,
                    actor,
                    gamma=self.gamma,
                    temperature=self.temperature,
                    reduce=self.reduce,
                    samples=self.samples,
                    seed=self.seed,
                )
        raise RewardError(
            f"A soft Q-function is a 'q' network, or a 'critic' and an 'actor'; got {list(self.networks)}."
        )


@dataclass(frozen=True)
class DistilledDescription:
    """A distilled reward without its weights; `networks`, "g" and perhaps "h", are on torch's meta device."""

    dtype: torch.dtype
    gamma: float
    temperature: float | None
    networks: dict[str, RewardNetwork]

    def tensors(self) -> Tensors:
        """Type and shape of every tensor that the weights must hold."""
        return _tensors(self.networks, self.dtype)

    def build(self, tensors: Mapping[str, torch.Tensor]) -> tuple[RewardNetwork, RewardNetwork | None]:
        """g and h that hold `tensors`, which must be those of `tensors()`."""
        _fill(self.networks, tensors)
        return self.networks["g"], self.networks.get("h")


def networks_of(reward: RewardModel) -> Mapping[str, Network | RewardNetwork]:
    """The networks of a reward by saved name. Raises RewardError for a soft Q-function of another make."""
    if isinstance(reward, DistilledReward):
        return reward.networks
    soft_q = reward.soft_q
    if isinstance(soft_q, DiscreteSoftQ):
        return {"q": soft_q.network}
    if isinstance(soft_q, ContinuousSoftQ):
        return {"critic": soft_q.critic, "actor": soft_q.actor}
    raise RewardError(f"An artifact holds a DiscreteSoftQ or a ContinuousSoftQ; got {type(soft_q).__name__}.")


def soft_q_to_json(reward: RecoveredReward) -> dict[str, Json]:
    """All of the soft Q-function but its weights."""
    soft_q, networks = reward.soft_q, networks_of(reward)
    sampling: dict[str, Json] = {}
    if isinstance(soft_q, ContinuousSoftQ):
        sampling = {"reduce": soft_q.reduce, "samples": soft_q.samples, "seed": soft_q.seed}
    return {
        "kind": "continuous" if sampling else "discrete",
        "dtype": _dtype_name(networks),
        "gamma": float(soft_q.gamma),
        "temperature": float(soft_q.temperature),
        "networks": networks_to_json(networks),
        "sampling": sampling,
    }


def read_soft_q(fields: Fields) -> SoftQDescription:
    """What `soft_q_to_json` wrote, every field checked."""
    kind = fields.text("kind", tuple(NETWORKS))
    gamma, temperature = fields.number("gamma"), fields.number("temperature")
    if not (0 <= gamma <= 1 and temperature > 0):
        raise RewardError(f"A soft Q-function has γ in [0, 1] and α > 0; reward.json has {gamma} and {temperature}.")
    dtype = DTYPES[fields.text("dtype", tuple(DTYPES))]
    networks = read_networks(fields.inner("networks"), kind, dtype)
    reduce, samples, seed = "min", 2, 0
    sampling = fields.inner("sampling")
    if kind == "continuous":
        reduce = sampling.text("reduce", ("min", "mean"))
        samples = sampling.integer("samples", 2, MOST_SAMPLES)
        seed = sampling.integer("seed", 0, (1 << 63) - 1)
    for part in (sampling, fields):
        part.finish()
    return SoftQDescription(dtype, gamma, temperature, networks, reduce, samples, seed)


def distilled_to_json(reward: DistilledReward) -> dict[str, Json]:
    """All of a distilled reward's own but its weights."""
    return {
        "form": reward.form,
        "shaping": reward.h is not None,
        "dtype": _dtype_name(reward.networks),
        "gamma": float(reward.gamma),
        "temperature": None if reward.temperature is None else float(reward.temperature),
        "networks": networks_to_json(reward.networks),
    }


def read_distilled(fields: Fields) -> DistilledDescription:
    """What `distilled_to_json` wrote, every field checked."""
    form: Form = fields.text("form", FORMS)  # type: ignore[assignment]  # one of its literals
    shaping = fields.flag("shaping")
    gamma = fields.number("gamma")
    temperature = None if fields.value("temperature") is None else fields.number("temperature")
    if not 0 <= gamma <= 1 or (temperature is not None and not temperature > 0):
        raise RewardError(f"A distilled reward has γ in [0, 1] and α > 0 or null; got {gamma} and {temperature}.")
    dtype = DTYPES[fields.text("dtype", tuple(DTYPES))]
    inner = fields.inner("networks")
    forms: dict[str, Form] = {"g": form}
    if shaping:
        forms["h"] = "state"
    networks = {}
    for name, its_form in forms.items():
        spec_fields = inner.inner(name)
        spec = read_spec(spec_fields)
        spec_fields.finish()
        if math.prod(table_sizes(spec, its_form) or ()) > MOST_ENTRIES:
            raise RewardError(f"A table must have at most {MOST_ENTRIES} entries; reward.json has a larger one.")
        with torch.device("meta"):
            networks[name] = RewardNetwork(spec, its_form).to(dtype)
    inner.finish()
    fields.finish()
    return DistilledDescription(dtype, gamma, temperature, networks)


def _tensors(networks: Mapping[str, Network | RewardNetwork], dtype: torch.dtype) -> Tensors:
    return {
        f"{name}.{key}": (dtype, tuple(tensor.shape))
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def _fill(networks: Mapping[str, Network | RewardNetwork], tensors: Mapping[str, torch.Tensor]) -> None:
    for name, network in networks.items():
        own = {key: tensors[f"{name}.{key}"] for key in network.state_dict()}
        network.load_state_dict(own, assign=True)


def _dtype_name(networks: Mapping[str, Network | RewardNetwork]) -> str:
    found = {tensor.dtype for network in networks.values() for tensor in network.state_dict().values()}
    names = [name for name, dtype in DTYPES.items() if found == {dtype}]
    if not names:
        raise RewardError(f"All weights must be of one type, {' or '.join(DTYPES)}; got {sorted(map(str, found))}.")
    return names[0]


SCHEMA = "irl_probe.reward"
SCHEMA_VERSION = 1
WEIGHTS = "reward.safetensors"
DISTILLED = "distilled"


class _Kept(TypedDict):
    """What every reward keeps beside its model."""

    provenance: Provenance
    figures: Mapping[str, object]
    normalisation: Normalisation | None


@dataclass(frozen=True)
class Description:
    """reward.json, read and checked; nothing of the reward is built yet.

    `expectation` is None where the reward is distilled, which takes none.
    """

    model: SoftQDescription | DistilledDescription
    observation_space: Space
    action_space: Space
    terminal_value: float
    expectation: ExpectationDescription | None
    weights_bytes: int
    weights_sha256: str
    provenance: Provenance
    figures: dict[str, Json]
    normalisation: Normalisation | None

    def tensors(self) -> Tensors:
        """Type and shape of every tensor that the weights must hold, those of the expectation too."""
        spec = next(iter(self.model.networks.values())).spec
        return self.model.tensors() | ({} if self.expectation is None else self.expectation.tensors(spec))

    def build(self, tensors: Mapping[str, torch.Tensor]) -> RewardModel:
        """The reward that holds `tensors`, which must be those of `tensors()`."""
        spaces = (self.observation_space, self.action_space)
        kept = _Kept(provenance=self.provenance, figures=self.figures, normalisation=self.normalisation)
        if isinstance(self.model, DistilledDescription):
            g, h = self.model.build(tensors)
            gamma, temperature = self.model.gamma, self.model.temperature
            return DistilledReward(g, h, gamma, temperature, *spaces, terminal_value=self.terminal_value, **kept)
        assert self.expectation is not None
        expectation = self.expectation.build(tensors, *spaces)
        soft_q = self.model.build(tensors)
        return RecoveredReward(soft_q, *spaces, self.terminal_value, expectation, **kept)


def describe(reward: RewardModel, weights: bytes, figures: Mapping[str, object]) -> dict[str, Json]:
    """reward.json of a reward whose weights file holds `weights`; its "id" is the hash of all the rest.

    Raises RewardError where the reward holds something that an artifact cannot.
    """
    content: dict[str, object] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "observation_space": space_to_json(reward.observation_space),
        "action_space": space_to_json(reward.action_space),
        "terminal": {"convention": reward.terminal, "value": reward.terminal_value},
        "weights": {"file": WEIGHTS, "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()},
        "provenance": reward.provenance,
        "figures": figures,
        "versions": {name: version(name) for name in ("irl_probe", "gymnasium", "numpy", "torch")},
    }
    if isinstance(reward, DistilledReward):
        content |= {"kind": DISTILLED, "distilled": distilled_to_json(reward)}
    else:
        content |= {
            "kind": reward.kind,
            "soft_q": soft_q_to_json(reward),
            "expectation": expectation_to_json(reward.expectation),
        }
    if reward.normalisation is not None:
        content["normalisation"] = asdict(reward.normalisation)
    described = {name: plain(part, name) for name, part in content.items()}
    described["id"] = content_id(described)
    return described


def content_id(described: Mapping[str, Json]) -> str:
    """SHA-256 of all that reward.json says but its own "id": the weights too, whose hash it gives."""
    return hashlib.sha256(canonical({k: v for k, v in described.items() if k != "id"})).hexdigest()


def version(package: str) -> str:
    """The installed version of a package; "source" where it runs uninstalled."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "source"


def read(data: bytes) -> Description:
    """reward.json, every field checked. Raises RewardError that names the first field that is wrong."""
    content = parse(data, "reward.json")
    top = Fields(content, "reward.json")
    top.text("schema", (SCHEMA,))
    if (found := top.integer("schema_version", 0, 1 << 31)) != SCHEMA_VERSION:
        raise RewardError(
            f"reward.json must have the schema version {SCHEMA_VERSION}; got {found}. Another version of irl_probe "
            f"wrote it (this one is {version('irl_probe')}): install that one, or save the reward again."
        )
    if top.text("id") != content_id(content):
        raise RewardError(
            "reward.json must be as it was written; its content does not have the hash in its field 'id'. "
            "It was changed or damaged: fetch it again."
        )
    kind = top.text("kind", ("per-transition", "marginal", DISTILLED))
    expectation = None
    if kind != DISTILLED:
        expectation = read_expectation(top.inner("expectation"))
        top.text("kind", ("per-transition" if expectation.name == ObservedSuccessor.name else "marginal",))
    top.mapping("versions")
    weights = top.inner("weights")
    if (file := weights.text("file")) != WEIGHTS:
        raise RewardError(
            f"The weights must be the file {WEIGHTS!r} beside reward.json; got {file!r}. "
            "A path that leads elsewhere is never opened."
        )
    result = Description(
        model=read_distilled(top.inner("distilled")) if kind == DISTILLED else read_soft_q(top.inner("soft_q")),
        observation_space=read_space(top.inner("observation_space")),
        action_space=read_space(top.inner("action_space")),
        terminal_value=_read_terminal(top.inner("terminal")),
        expectation=expectation,
        weights_bytes=weights.integer("bytes", 0, 1 << 62),
        weights_sha256=weights.text("sha256"),
        provenance=read_provenance(top.mapping("provenance")),
        figures=top.mapping("figures"),
        normalisation=_read_normalisation(top.inner("normalisation")) if "normalisation" in content else None,
    )
    weights.finish()
    top.finish()
    for network in result.model.networks.values():
        check_spaces_fit(network.spec, result.observation_space, result.action_space)
    return result


def _read_terminal(fields: Fields) -> float:
    value = fields.number("value")
    fields.text("convention", ("zero" if value == 0 else "absorbing",))
    fields.finish()
    return value


def _read_normalisation(fields: Fields) -> Normalisation:
    """The one part that a reward may be without, which is then not in reward.json at all."""
    count, mean, variance = fields.integer("count", 0, 1 << 62), fields.number("mean"), fields.number("variance")
    fields.finish()
    return Normalisation(count, mean, variance)
