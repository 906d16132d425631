"""reward.json: what a saved reward is, written and read field by field."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

import torch

from irl_probe.networks import ContinuousQ, DiscreteQ, GaussianPolicy
from irl_probe.rewards.encoding import (
    MOST_SAMPLES,
    NETWORKS,
    Network,
    check_expectation,
    expectation_to_json,
    networks_to_json,
    read_networks,
    read_provenance,
    read_space,
    space_to_json,
)
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.expectation import ExactExpectation, ObservedSuccessor
from irl_probe.rewards.fields import Fields, Json, canonical, parse, plain
from irl_probe.rewards.recovered import Provenance, RecoveredReward, Space, check_spaces_fit
from irl_probe.softq import ContinuousSoftQ, DiscreteSoftQ

SCHEMA = "irl_probe.reward"
SCHEMA_VERSION = 1
WEIGHTS = "reward.safetensors"
TRANSITION = "expectation.transition"
DTYPES = {"float32": torch.float32, "float64": torch.float64}


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

    def tensors(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Type and shape of every tensor that the weights must hold."""
        return {
            f"{name}.{key}": (self.dtype, tuple(tensor.shape))
            for name, network in self.networks.items()
            for key, tensor in network.state_dict().items()
        }

    def build(self, tensors: Mapping[str, torch.Tensor]) -> DiscreteSoftQ | ContinuousSoftQ:
        """The soft Q-function that holds `tensors`, which must be those of `tensors()`."""
        for name, network in self.networks.items():
            own = {key: tensors[f"{name}.{key}"] for key in network.state_dict()}
            network.load_state_dict(own, assign=True)
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
class Description:
    """reward.json, read and checked; nothing of the reward is built yet."""

    soft_q: SoftQDescription
    observation_space: Space
    action_space: Space
    terminal_value: float
    expectation: Fields
    exact: bool
    weights_bytes: int
    weights_sha256: str
    provenance: Provenance
    figures: dict[str, Json]

    def tensors(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Type and shape of every tensor that the weights must hold; an exact expectation keeps P(s′|s, a) there."""
        result = self.soft_q.tensors()
        if self.exact:
            spec = next(iter(self.soft_q.networks.values())).spec
            if spec.observation_count is None or spec.action_count is None:
                raise RewardError("An exact expectation over s′ takes discrete observations and actions.")
            states = spec.observation_count
            result[TRANSITION] = (torch.float64, (states, spec.action_count, states))
        return result


def describe(reward: RecoveredReward, weights: bytes, figures: Mapping[str, object]) -> dict[str, Json]:
    """reward.json of a reward whose weights file holds `weights`; its "id" is the hash of all the rest.

    Raises RewardError where the reward holds something that an artifact cannot.
    """
    soft_q = reward.soft_q
    networks = networks_of(reward)
    sampling: dict[str, Json] = {}
    if isinstance(soft_q, ContinuousSoftQ):
        sampling = {"reduce": soft_q.reduce, "samples": soft_q.samples, "seed": soft_q.seed}
    content: dict[str, object] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "kind": reward.kind,
        "soft_q": {
            "kind": "continuous" if sampling else "discrete",
            "dtype": _dtype_name(networks),
            "gamma": float(soft_q.gamma),
            "temperature": float(soft_q.temperature),
            "networks": networks_to_json(networks),
            "sampling": sampling,
        },
        "observation_space": space_to_json(reward.observation_space),
        "action_space": space_to_json(reward.action_space),
        "terminal": {"convention": reward.terminal, "value": reward.terminal_value},
        "expectation": expectation_to_json(reward.expectation),
        "weights": {"file": WEIGHTS, "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()},
        "provenance": reward.provenance,
        "figures": figures,
        "versions": {name: version(name) for name in ("irl_probe", "gymnasium", "numpy", "torch")},
    }
    described = {name: plain(part, name) for name, part in content.items()}
    described["id"] = content_id(described)
    return described


def networks_of(reward: RecoveredReward) -> dict[str, Network]:
    """The networks of a reward by saved name. Raises RewardError for a soft Q-function of another make."""
    soft_q = reward.soft_q
    if isinstance(soft_q, DiscreteSoftQ):
        return {"q": soft_q.network}
    if isinstance(soft_q, ContinuousSoftQ):
        return {"critic": soft_q.critic, "actor": soft_q.actor}
    raise RewardError(f"An artifact holds a DiscreteSoftQ or a ContinuousSoftQ; got {type(soft_q).__name__}.")


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
    expectation = top.inner("expectation")
    name = check_expectation(expectation)
    top.text("kind", ("per-transition" if name == ObservedSuccessor.name else "marginal",))
    top.mapping("versions")
    weights = top.inner("weights")
    if (file := weights.text("file")) != WEIGHTS:
        raise RewardError(
            f"The weights must be the file {WEIGHTS!r} beside reward.json; got {file!r}. "
            "A path that leads elsewhere is never opened."
        )
    result = Description(
        soft_q=_read_soft_q(top.inner("soft_q")),
        observation_space=read_space(top.inner("observation_space")),
        action_space=read_space(top.inner("action_space")),
        terminal_value=_read_terminal(top.inner("terminal")),
        expectation=expectation,
        exact=name == ExactExpectation.name,
        weights_bytes=weights.integer("bytes", 0, 1 << 62),
        weights_sha256=weights.text("sha256"),
        provenance=read_provenance(top.mapping("provenance")),
        figures=top.mapping("figures"),
    )
    weights.finish()
    top.finish()
    for network in result.soft_q.networks.values():
        check_spaces_fit(network.spec, result.observation_space, result.action_space)
    return result


def _read_soft_q(fields: Fields) -> SoftQDescription:
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


def _read_terminal(fields: Fields) -> float:
    value = fields.number("value")
    fields.text("convention", ("zero" if value == 0 else "absorbing",))
    fields.finish()
    return value


def _dtype_name(networks: Mapping[str, Network]) -> str:
    found = {tensor.dtype for network in networks.values() for tensor in network.state_dict().values()}
    names = [name for name, dtype in DTYPES.items() if found == {dtype}]
    if not names:
        raise RewardError(f"All weights must be of one type, {' or '.join(DTYPES)}; got {sorted(map(str, found))}.")
    return names[0]
