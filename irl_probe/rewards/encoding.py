"""The parts of a saved reward, to JSON and back: spaces, network shapes, provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from irl_probe.networks import ACTIVATIONS, LOG_STD_RANGES, ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.fields import Fields, Json, plain
from irl_probe.rewards.network import RewardNetwork
from irl_probe.rewards.recovered import Provenance, Space
from irl_probe.transitions import Array

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
