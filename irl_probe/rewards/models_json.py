"""The two makes of saved reward, to JSON and back without their weights: a soft Q-function, or a distilled model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from irl_probe.networks import ContinuousQ, DiscreteQ, GaussianPolicy
from irl_probe.rewards.distil_config import FORMS, Form
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.encoding import MOST_SAMPLES, NETWORKS, Network, networks_to_json, read_networks, read_spec
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.fields import Fields, Json
from irl_probe.rewards.network import RewardNetwork, table_sizes
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.softq import ContinuousSoftQ, DiscreteSoftQ

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
