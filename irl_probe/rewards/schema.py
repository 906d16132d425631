"""reward.json: a strict description of a saved reward. Run as a module, this prints its JSON Schema.

Every field is read with its exact type and bounds, fields that the schema does not have are refused, and the parts
must fit each other: spaces and networks, forms and tables, kinds and expectations. A file that breaks a rule raises
RewardError with one sentence. Reading builds no network and imports no module.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import gymnasium
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from irl_probe._spaces import SPACE_SCHEMA, Space, space_from_json, space_to_json
from irl_probe._words import brief
from irl_probe.rewards.distil_config import Form
from irl_probe.rewards.protocol import Normalisation, RewardError, check_spaces_fit
from irl_probe.rewards.reward_network import table_sizes
from irl_probe.rewards.strict_json import Json, Part, canonical, parse, plain, validated
from irl_probe.softq import LogStd, NetworkSpec

SCHEMA, SCHEMA_VERSION, WEIGHTS = "irl_probe.reward", 2, "reward.safetensors"
WIDEST = 1 << 22  # of a layer, an observation or a set of actions, so the product of two sizes cannot overflow
MOST_ENTRIES = 1 << 28  # of a table

# The parts of the description, from the smallest to the whole file


def _read_space(value: object, info: ValidationInfo) -> Space:
    try:
        if isinstance(value, gymnasium.Space):
            space_to_json(value)  # raises where it cannot be saved
            return value
        return space_from_json(value)
    except ValueError as error:
        raise ValueError(f"The field '{info.field_name}' of reward.json.reward must be a space. {error}") from error


def _registered(env_id: str) -> str:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", env_id):  # never "module:Env-v0", which would import that module
        raise ValueError(
            f"The simulator of a reward must name a registered environment; got {env_id!r}. Register it as 'Name-v0', "
            "without a module."
        )
    return env_id


def _beside(file: str) -> str:
    if file != WEIGHTS:
        raise ValueError(
            f"The weights must be the file {WEIGHTS!r} beside reward.json; got {file!r}. A path that leads elsewhere "
            "is never opened."
        )
    return file


SpaceField = Annotated[Any, PlainValidator(_read_space), PlainSerializer(space_to_json), WithJsonSchema(SPACE_SCHEMA)]
Width = Annotated[int, Field(ge=1, le=WIDEST)]
Axes = Annotated[tuple[Width, ...], Strict(False), Field(max_length=8)]
Layers = Annotated[tuple[Width, ...], Strict(False), Field(max_length=64)]
Bounds = Annotated[tuple[float, ...], Strict(False), Field(max_length=4096)]
Samples = Annotated[int, Field(ge=2, le=4096)]
Seed = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
Count = Annotated[int, Field(ge=0, le=1 << 62)]
Discount = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(gt=0)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
EnvId = Annotated[str, AfterValidator(_registered)]
WeightsFile = Annotated[str, AfterValidator(_beside), WithJsonSchema({"const": WEIGHTS})]
Dtype = Literal["float32", "float64"]
Provenance = dict[str, bool | int | float | str]


class Network(Part):
    """The shape of a network: the fields of `softq.NetworkSpec`."""

    observation_shape: Axes
    """Of one observation; [] for a discrete one."""
    observation_count: Width | None
    """States of a discrete observation space, or null."""
    action_count: Width | None
    """Actions of a discrete action space, or null."""
    action_low: Bounds | None
    """The least action in each dimension of a Box, or null."""
    action_high: Bounds | None
    """The greatest action in each dimension of a Box, or null."""
    hidden: Layers
    """Widths of the hidden layers; [] is linear, or a table where states and actions are discrete."""
    activation: Literal["relu", "tanh", "elu"]
    """After each hidden layer."""
    layer_norm: bool
    """Whether layers are normalised before the activation."""
    critics: Annotated[int, Field(ge=1, le=64)]
    """Networks side by side: critics of a Q-function, members of learned dynamics."""
    log_std: LogStd
    """How a policy bounds its log σ."""

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        low, high = self.action_low, self.action_high
        if low is not None or high is not None:
            low, high = low or (), high or ()
            if not low or len(low) != len(high) or not all(map(float.__lt__, low, high)):
                raise ValueError("The action bounds of a network must have one low < high for every dimension.")
        if math.prod(self.observation_shape) > WIDEST:
            raise ValueError(f"An observation must have at most {WIDEST} numbers; got {self.observation_shape}.")
        self.shape()
        return self

    def shape(self) -> NetworkSpec:
        """The same as a `NetworkSpec`."""
        return NetworkSpec(**dict(self))


class DiscreteNetworks(Part):
    """The network of a Q-function of discrete actions."""

    q: Network


class ContinuousNetworks(Part):
    """The networks of a Q-function of continuous actions."""

    critic: Network
    actor: Network


class DiscreteQ(Part):
    """Q(s, ·) of discrete actions, with V = α log Σ exp(Q/α)."""

    kind: Literal["discrete"]
    dtype: Dtype
    gamma: Discount
    temperature: Temperature
    networks: DiscreteNetworks

    @model_validator(mode="after")
    def _has_discrete_actions(self) -> Self:
        if self.networks.q.action_count is None:
            raise ValueError("The network 'q' must have discrete actions (action_count); got continuous ones.")
        return self


class ContinuousQ(Part):
    """Q(s, a) of continuous actions, with V = E[Q − α log π] over sampled actions."""

    kind: Literal["continuous"]
    dtype: Dtype
    gamma: Discount
    temperature: Temperature
    networks: ContinuousNetworks
    reduce: Literal["min", "mean"]
    """What is taken over the critics."""
    samples: Samples
    """Actions sampled for V."""
    seed: Seed
    """Of those samples."""

    @model_validator(mode="after")
    def _networks_agree(self) -> Self:
        critic, actor = self.networks.critic, self.networks.actor
        if critic.action_low is None or actor.action_low is None:
            raise ValueError("The networks 'critic' and 'actor' must have continuous actions (action_low and _high).")
        for name in ("observation_shape", "observation_count", "action_low", "action_high"):
            if getattr(critic, name) != getattr(actor, name):
                raise ValueError(
                    f"The networks 'critic' and 'actor' must take the same observations and actions; their {name} "
                    f"differs: {brief(getattr(critic, name))} and {brief(getattr(actor, name))}."
                )
        return self


class Observed(Part):
    """No expectation: the s′ that was observed."""

    name: Literal["observed"]


class Exact(Part):
    """Over P(s′|s, a), which the weights file holds."""

    name: Literal["exact"]


class Simulated(Part):
    """Over successors that the default simulator of an environment draws."""

    name: Literal["simulator"]
    env_id: EnvId
    samples: Annotated[int, Field(ge=1, le=4096)]


class Learned(Part):
    """Over successors drawn from learned dynamics, whose network the weights file holds."""

    name: Literal["learned dynamics"]
    network: Network
    log_likelihood: float
    """Of held-out s′, nats a step."""
    baseline: float
    """The same of one Gaussian for all steps."""
    held_out: Annotated[int, Field(ge=1, le=1 << 62)]
    """Steps that both are means over."""
    samples: Samples
    seed: Seed

    @model_validator(mode="after")
    def _has_real_observations(self) -> Self:
        if self.network.observation_count is not None:
            raise ValueError("Learned dynamics must have a Box of real numbers; got discrete observations.")
        return self


class Terminal(Part):
    """The value after the MDP ended."""

    convention: Literal["zero", "absorbing"]
    value: float
    """V_abs; 0 in the convention "zero"."""

    @model_validator(mode="after")
    def _convention_is_that_of_the_value(self) -> Self:
        if self.convention != (wanted := "zero" if self.value == 0 else "absorbing"):
            raise ValueError(
                f"The field 'convention' of reward.json.reward.terminal must be {wanted!r}; got {self.convention!r}. "
                f"The value is {self.value}."
            )
        return self


class Moments(Part):
    """What a wrapper had paid when the reward was saved; see `Normalisation`."""

    count: Count
    mean: float
    variance: float

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        Normalisation(**dict(self))
        return self


class Recovered(Part):
    """r = Q − γ E[V], all of it but the weights."""

    kind: Literal["per-transition", "marginal"]
    observation_space: SpaceField
    action_space: SpaceField
    terminal: Terminal
    provenance: Provenance
    normalisation: Moments | None
    expectation: Annotated[Observed | Exact | Simulated | Learned, Field(discriminator="name")]
    soft_q: Annotated[DiscreteQ | ContinuousQ, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        wanted = "per-transition" if isinstance(self.expectation, Observed) else "marginal"
        if self.kind != wanted:
            raise ValueError(
                f"The field 'kind' of reward.json.reward must be {wanted!r}; got {self.kind!r}. The expectation "
                f"over s′ is {self.expectation.name!r}."
            )
        networks = list(dict(self.soft_q.networks).values())
        if isinstance(self.expectation, Learned):
            networks.append(self.expectation.network)
        for one in networks:
            check_spaces_fit(one.shape(), self.observation_space, self.action_space)
        if isinstance(self.expectation, Exact) and None in (networks[0].observation_count, networks[0].action_count):
            raise ValueError("An exact expectation over s′ must have discrete observations and actions.")
        return self


class ExplicitNetworks(Part):
    """g, and the potential h of a shaped reward."""

    g: Network
    h: Network | None


class Distilled(Part):
    """r = g + γh(s′) − h(s), or g alone, all of it but the weights."""

    kind: Literal["distilled"]
    observation_space: SpaceField
    action_space: SpaceField
    terminal: Terminal
    provenance: Provenance
    normalisation: Moments | None
    form: Form
    """What g depends on."""
    shaping: bool
    """Whether there is a potential h."""
    dtype: Dtype
    gamma: Discount
    temperature: Temperature | None
    """α of the reward that it was fitted to; null where that has none."""
    networks: ExplicitNetworks

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.shaping != (self.networks.h is not None):
            problem = "must have the field 'h'" if self.shaping else "has the unexpected field 'h'"
            raise ValueError(f"reward.json.reward.networks {problem}: its 'shaping' is {str(self.shaping).lower()}.")
        forms: tuple[tuple[Network | None, Form], ...] = ((self.networks.g, self.form), (self.networks.h, "state"))
        for one, form in forms:
            if one is None:
                continue
            if math.prod(table_sizes(one.shape(), form) or ()) > MOST_ENTRIES:
                raise ValueError(f"A table must have at most {MOST_ENTRIES} entries; reward.json has a larger one.")
            check_spaces_fit(one.shape(), self.observation_space, self.action_space)
        return self


RewardSpec = Recovered | Distilled


class Weights(Part):
    """The file of weights that belongs to this description."""

    file: WeightsFile
    bytes: Count
    sha256: Sha256


class RewardFile(Part):
    """All of reward.json."""

    model_config = ConfigDict(validate_by_alias=True, title="irl_probe reward.json")

    schema_name: Annotated[Literal["irl_probe.reward"], Field(alias="schema")]
    schema_version: Literal[2]
    id: Sha256
    """SHA-256 of all the rest, as JSON with sorted names and an indent of 1."""
    reward: Annotated[Recovered | Distilled, Field(discriminator="kind")]
    """The reward without its weights."""
    weights: Weights
    figures: dict[str, JsonValue]
    """What was measured of it, by name."""
    versions: dict[str, str]
    """Of the libraries that wrote it."""


# Reading and writing


def describe(
    spec: RewardSpec, weights: bytes, figures: Mapping[str, object], versions: Mapping[str, str]
) -> dict[str, Any]:
    """reward.json of a reward whose file of weights holds `weights`."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "reward": plain(spec.model_dump(), "reward"),
        "weights": {"file": WEIGHTS, "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()},
        "figures": plain(figures, "figures"),
        "versions": {**versions},
    }
    return content | {"id": content_id(content)}


def read(data: bytes) -> RewardFile:
    """reward.json, with every field checked. Raises RewardError that names the first field that is wrong."""
    content = parse(data, "reward.json")
    ours = content.get("schema") == SCHEMA and "schema_version" in content  # else validation says what is wrong
    if ours and content["schema_version"] != SCHEMA_VERSION:
        raise RewardError(_other_version(content["schema_version"]))
    if ours and content.get("id") != content_id(content):
        raise RewardError(
            "reward.json must be as it was written; its content does not have the hash in its field 'id'. "
            "It was changed or damaged: fetch it again."
        )
    return validated(RewardFile, content, "reward.json")


def _other_version(found: Json) -> str:
    must = f"reward.json must have the schema version {SCHEMA_VERSION}; got {brief(found)}."
    if found == 1 and isinstance(found, int) and not isinstance(found, bool):
        return (
            f"{must} It was saved by an earlier version of irl_probe: load it with that one, or make the reward again "
            "with this one (train, then recover or distil, then save_reward)."
        )
    return f"{must} Another version of irl_probe wrote it: upgrade irl_probe, or save the reward again with this one."


def content_id(content: Mapping[str, object]) -> str:
    """SHA-256 of the content of reward.json without its "id"; it covers the weights, whose hash is part of it."""
    return hashlib.sha256(canonical({k: v for k, v in content.items() if k != "id"})).hexdigest()


def reward_id(spec: RewardSpec, weights_sha256: str) -> str:
    """SHA-256 of what makes a reward what it is: its description and its weights; not its figures or versions."""
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "reward": spec.model_dump()}
    return content_id(content | {"weights": weights_sha256})


def json_schema() -> dict[str, Any]:
    """The JSON Schema of reward.json, without the rules that it cannot express, such as parts that must fit."""
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **RewardFile.model_json_schema(schema_generator=_Untitled),
    }


class _Untitled(GenerateJsonSchema):
    """Without a title on every field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


if __name__ == "__main__":
    print(canonical(json_schema()).decode(), end="")
