"""The shipped rewards: folders recovered_rewards/<env_id>/<name>, found by the id "<env_id>/<name>"."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from irl_probe._config import check_kind
from irl_probe._files import whole_file
from irl_probe._words import did_you_mean
from irl_probe.rewards.protocol import RewardError
from irl_probe.rewards.schema import Count, Sha256
from irl_probe.rewards.strict_json import Part, canonical, parse, validated

INDEX = "index.json"
_PACKAGE = Path(__file__).parents[1]
_FILES = ("README.md", "reward.json", "reward.safetensors")


def zoo_folder() -> Path:
    """Where the shipped rewards are: inside the installed package, or in the repository of an editable install."""
    packaged = _PACKAGE / "recovered_rewards"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "recovered_rewards"


def list_zoo() -> tuple[str, ...]:
    """The ids of the shipped rewards, "<env_id>/<name>", sorted. Any of them loads with `load_reward`."""
    root = zoo_folder()
    return tuple(sorted(path.parent.relative_to(root).as_posix() for path in root.glob("**/reward.json")))


def show_zoo(reward_id: str) -> str:
    """The card of a shipped reward, Markdown. Raises RewardError for an unknown id (with the nearest)."""
    return (_shipped(reward_id) / "README.md").read_text(encoding="utf-8")


def copy_zoo(reward_id: str, folder: str | Path) -> Path:
    """Check a shipped reward against the index and copy it into a new folder; returns the folder.

    Raises RewardError if there is no such reward, if a file differs from the index, and if the folder exists.
    """
    source, target = _shipped(reward_id), Path(folder)
    if target.exists():
        raise RewardError(f"{target} exists already; choose another folder.")
    rewards = _index(zoo_folder())
    if reward_id not in rewards:
        raise RewardError(f"{INDEX} must list every shipped reward; it lacks {reward_id!r}. Write it with write_index.")
    _check_files(source, rewards[reward_id])
    target.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(source / name, target / name)
    return target


def write_index(root: Path) -> Path:
    """Write index.json of a zoo: SHA-256 and size of every file of every reward, by its id; returns its path."""
    rewards = {}
    for described in sorted(root.glob("**/reward.json")):
        folder = described.parent
        parts = {name: (folder / name).read_bytes() for name in _FILES}
        rewards[folder.relative_to(root).as_posix()] = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in parts.items()
        }
    with whole_file(root / INDEX) as fresh:
        fresh.write_bytes(canonical({"schema": "irl_probe.zoo", "schema_version": 1, "rewards": rewards}))
    return root / INDEX


def write_cards(root: Path) -> Path:
    """Write the card of every reward of a zoo again, from its reward.json, and then index.json; returns its path."""
    from irl_probe.rewards.artifact import load_reward
    from irl_probe.rewards.card import card

    for described in sorted(root.glob("**/reward.json")):
        content = parse(described.read_bytes(), described.name)
        text = card(content, load_reward(described.parent).formula())
        described.with_name("README.md").write_text(text, encoding="utf-8")
    return write_index(root)


def check_zoo(root: Path | None = None) -> tuple[str, ...]:
    """Check every shipped reward against the index; returns their ids.

    Raises RewardError where the index is missing or wrong, where a file differs from it, and where a reward is in only
    one of the two.
    """
    root = zoo_folder() if root is None else root
    rewards = _index(root)
    found = {path.parent.relative_to(root).as_posix() for path in root.glob("**/reward.json")}
    if found != rewards.keys():
        lost, new = sorted(rewards.keys() - found), sorted(found - rewards.keys())
        raise RewardError(
            f"{root / INDEX} must list the rewards beside it; missing: {', '.join(lost) or 'none'}; not listed: "
            f"{', '.join(new) or 'none'}. Write it again with write_index."
        )
    for reward_id in rewards:
        _check_files(root / reward_id, rewards[reward_id])
    return tuple(sorted(rewards))


def locate(source: str) -> Path:
    """The folder `source` if it exists, else that of the shipped reward of this id, else `source` itself."""
    return zoo_folder() / source if not Path(source).is_dir() and source in list_zoo() else Path(source)


def unknown(source: str) -> RewardError:
    """The error for a source that is neither a folder nor a shipped reward, with the nearest ids."""
    known = list_zoo()
    hint = did_you_mean(source, known, most=3, cutoff=0.65) or f" Shipped are: {', '.join(known) or 'none'}."
    return RewardError(f"A reward is a folder or the id of a shipped one; got {source!r}, which is neither.{hint}")


class _File(Part):
    """A file of a reward, as the index lists it."""

    bytes: Count
    sha256: Sha256


class _Files(Part):
    """All files of a reward."""

    card: Annotated[_File, Field(alias="README.md")]
    description: Annotated[_File, Field(alias="reward.json")]
    weights: Annotated[_File, Field(alias="reward.safetensors")]


class _Index(Part):
    """index.json: the files of each reward by its id."""

    schema_name: Annotated[Literal["irl_probe.zoo"], Field(alias="schema")]
    schema_version: Literal[1]
    rewards: dict[str, _Files]


def _shipped(reward_id: str) -> Path:
    """The folder of a shipped reward."""
    check_kind(reward_id, str, "The id of a shipped reward", "irl_probe.zoo.list_zoo() lists them.")
    if reward_id not in list_zoo():
        raise unknown(reward_id)
    return zoo_folder() / reward_id


def _index(root: Path) -> dict[str, _Files]:
    """What index.json lists, by id."""
    try:
        content = parse((root / INDEX).read_bytes(), INDEX)
    except FileNotFoundError as error:
        raise RewardError(f"A zoo must have the file {INDEX}; {root} has none. Write it with write_index.") from error
    return validated(_Index, content, INDEX).rewards


def _check_files(folder: Path, listed: _Files) -> None:
    for name, entry in zip(_FILES, (listed.card, listed.description, listed.weights), strict=True):
        data = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise RewardError(f"{folder / name} must be the file that {INDEX} lists; its SHA-256 or size differs.")
