"""Saved rewards: a folder with reward.json, reward.safetensors and README.md; nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from irl_probe._config import check_kind
from irl_probe.rewards import schema
from irl_probe.rewards.card import card
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.hub import CARD, DESCRIPTION, FILES, SCHEME, fetch_reward
from irl_probe.rewards.model import RewardModel, Shapes
from irl_probe.rewards.protocol import RewardError
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.rewards.schema import WEIGHTS
from irl_probe.rewards.strict_json import canonical
from irl_probe.rewards.zoo import locate, unknown

MAX_BYTES = 256 << 20
_MAX_JSON = 16 << 20
_MODELS: dict[type[schema.RewardSpec], type[RewardModel]] = {
    schema.Recovered: RecoveredReward,
    schema.Distilled: DistilledReward,
}


def save_reward(
    reward: RewardModel,
    folder: str | os.PathLike[str],
    *,
    figures: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a reward as a folder that `load_reward` reads back bit for bit.

    The same reward and figures give the same bytes (under the same versions of the libraries, which are recorded). The
    folder is written under a temporary name and then renamed, so a reader sees all of it or nothing.

    Args:
        reward: a reward that `recover` or `distil` returned.
        folder: where to save it; missing parent folders are made.
        figures: the measured figures by name, for the card; None takes `reward.figures`.
        overwrite: replace a reward that is already there.

    Returns the folder's path. Raises RewardError where the folder exists (without `overwrite`, or if it holds anything
    but a reward), and where the reward or a figure cannot be written or is not finite.
    """
    if not isinstance(reward, RewardModel):
        raise RewardError(
            f"Only what recover or distil gives can be saved; got {type(reward).__name__}. "
            "Distil a plain function first."
        )
    target = Path(folder).absolute()
    measured = reward.figures if figures is None else figures
    check_kind(measured, Mapping, "The figures of a reward", "Name each: figures={'return': 480.0}.")
    weights = reward.weights()
    described = schema.describe(reward.spec(), weights, measured, _versions())
    _check_replaceable(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        fresh = Path(scratch, "new")
        fresh.mkdir()
        (fresh / WEIGHTS).write_bytes(weights)
        (fresh / DESCRIPTION).write_bytes(canonical(described))
        (fresh / CARD).write_text(card(described, reward.formula()), encoding="utf-8")
        old = Path(scratch, "old")
        try:
            if target.exists():
                target.rename(old)
            fresh.rename(target)
        except OSError as error:
            if old.exists():
                old.rename(target)
            raise RewardError(
                f"{target} could not be put in place ({error}); does something else write there?"
            ) from error
    return target


def load_reward(source: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> RewardModel:
    """Read a reward that `save_reward` wrote.

    Everything is checked before anything is built: each field of reward.json, sizes, hashes, and the name, shape, type
    and finiteness of every tensor. Nothing is unpickled and no module is imported.

    Args:
        source: the folder, or the id of a shipped reward ("CartPole-v1/iq"); an existing folder of that name wins. Or
            "hf://user/name" on the Hugging Face Hub, also with a "@revision" (the extra [hub]).
        max_bytes: the largest weights file to read.

    Raises RewardError if there is no such reward (with the nearest names) or if anything in it is wrong.
    """
    if not isinstance(source, str | os.PathLike):
        raise RewardError(f"A reward to load is a folder or the id of a shipped one; got {type(source).__name__}.")
    if os.fspath(source).startswith(SCHEME):
        with tempfile.TemporaryDirectory() as scratch:
            fetch_reward(os.fspath(source), Path(scratch, "reward"))
            return load_reward(Path(scratch, "reward"), max_bytes=max_bytes)
    folder = locate(os.fspath(source))
    data, weights = _read_pair(folder, max_bytes)
    try:
        described = schema.read(data)
        model = _MODELS[type(described.reward)]
        with torch.inference_mode(False):  # tensors that are made in inference mode could never be trained on
            tensors = _read_tensors(weights, described.weights, model.shapes(described.reward))
            reward = model.from_spec(described.reward, tensors, described.figures)
    except RewardError as error:
        raise RewardError(f"The reward in {folder} cannot be used. {error}") from error
    reward.remember_id(schema.reward_id(described.reward, described.weights.sha256))
    return reward


def _versions() -> dict[str, str]:
    """The versions of the libraries that write a reward; "source" for one that is not installed."""
    found = {}
    for package in ("irl_probe", "gymnasium", "numpy", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "source"
    return found


def _check_replaceable(target: Path, overwrite: bool) -> None:
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise RewardError(f"{target} exists already; choose another folder, or replace it with overwrite=True.")
    if not target.is_dir() or target.is_symlink():
        raise RewardError(f"{target} is not a reward folder, so it was not overwritten; choose another place.")
    others = sorted({part.name for part in target.iterdir()} - set(FILES))
    if others:
        raise RewardError(
            f"{target} holds more than a reward ({', '.join(others[:3])}), so it was not overwritten; choose another "
            "folder."
        )


def _read_pair(folder: Path, max_bytes: int) -> tuple[bytes, bytes]:
    """reward.json and the weights that belong to it.

    A writer may replace the folder between the two reads. Then the JSON has changed too, or, if a second writer put
    the old one back, it does not give the hash of these weights. Both are then read again. A folder that is being
    replaced is missing for a moment, so try three times before treating it as missing, or a wrong hash as damage.
    """
    pair = None
    for pause in (0.005, 0.02, 0.1):
        try:
            data = _read_file(folder, DESCRIPTION, _MAX_JSON)
            weights = _read_file(folder, WEIGHTS, max_bytes)
            if _read_file(folder, DESCRIPTION, _MAX_JSON) == data:
                pair = data, weights
                if hashlib.sha256(weights).hexdigest().encode() in data:
                    return pair
        except FileNotFoundError:
            time.sleep(pause)
    if pair is not None:
        return pair
    if not folder.is_dir():
        raise unknown(str(folder))
    missing = [name for name in (DESCRIPTION, WEIGHTS) if not (folder / name).is_file()]
    raise RewardError(
        f"{folder} must hold a reward, the files {DESCRIPTION} and {WEIGHTS}; "
        + (f"missing: {', '.join(missing)}." if missing else "it changes faster than it can be read.")
    )


def _read_file(folder: Path, name: str, limit: int) -> bytes:
    path = folder / name
    if path.is_symlink():
        raise RewardError(
            f"{path} must be a regular file; it is a link, which may lead out of the folder. Copy the file."
        )
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RewardError(f"{path} cannot be read: {error}.") from error
    if len(data) > limit:
        raise RewardError(f"{path} must not be larger than {limit} bytes; if it is meant to be, raise max_bytes.")
    return data


def _rests(names: Iterable[str]) -> list[tuple[str, str]]:
    """The means of observations, each with the name of its further digits, which only a far mean has."""
    return [(name, f"{name.removesuffix('mean')}rest") for name in names if name.endswith(".encoder.mean")]


def _read_tensors(weights: bytes, described: schema.Weights, shapes: Shapes) -> dict[str, torch.Tensor]:
    """The tensors of the weights file, after checking its bytes, and their names, types, shapes and values."""
    if len(weights) != described.bytes:
        raise RewardError(f"{WEIGHTS} must have {described.bytes} bytes; got {len(weights)}. The copy is incomplete.")
    if hashlib.sha256(weights).hexdigest() != described.sha256:
        raise RewardError(f"{WEIGHTS} does not have the hash that reward.json gives; it was changed or damaged.")
    try:
        found = {name: (view["dtype"], tuple(view["shape"])) for name, view in safetensors.deserialize(weights)}  # type: ignore[no-untyped-call]  # safetensors has no types
    except safetensors.SafetensorError as error:
        raise RewardError(f"{WEIGHTS} must be a safetensors file; {error}.") from error
    types = {torch.float32: "F32", torch.float64: "F64"}
    wanted = {name: (types[dtype], shape) for name, (dtype, shape) in shapes.items()}
    wanted |= {rest: wanted[mean] for mean, rest in _rests(wanted) if rest in found}
    if found.keys() != wanted.keys():
        missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
        raise RewardError(
            f"{WEIGHTS} must hold the tensors of the networks in reward.json; "
            f"missing: {', '.join(missing) or 'none'}; unexpected: {', '.join(unexpected) or 'none'}."
        )
    for name, (dtype, shape) in wanted.items():
        if found[name] != (dtype, shape):
            raise RewardError(
                f"The tensor '{name}' must be {dtype} of shape {shape}; got {found[name][0]} of {found[name][1]}."
            )
    tensors = safetensors.torch.load(weights)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise RewardError(f"The tensor '{name}' must be finite; it holds NaN or infinite values.")
    return tensors
