"""reward.json: what a saved reward is, written and read field by field."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TypedDict

import torch

from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.encoding import read_provenance, read_space, space_to_json
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.expectation import ObservedSuccessor
from irl_probe.rewards.expectation_json import ExpectationDescription, expectation_to_json, read_expectation
from irl_probe.rewards.fields import Fields, Json, canonical, parse, plain
from irl_probe.rewards.models_json import (
    DistilledDescription,
    RewardModel,
    SoftQDescription,
    Tensors,
    distilled_to_json,
    read_distilled,
    read_soft_q,
    soft_q_to_json,
)
from irl_probe.rewards.normalisation import Normalisation
from irl_probe.rewards.recovered import Provenance, RecoveredReward, Space, check_spaces_fit

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
