"""The shipped rewards: folders recovered_rewards/<env_id>/<name>, found by the id "<env_id>/<name>"."""

from __future__ import annotations

import difflib
from pathlib import Path

from irl_probe.rewards.errors import RewardError

_PACKAGE = Path(__file__).parents[1]


def zoo_folder() -> Path:
    """Where the shipped rewards are: inside the installed package, or in the repository of an editable install."""
    packaged = _PACKAGE / "recovered_rewards"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "recovered_rewards"


def list_zoo() -> tuple[str, ...]:
    """The ids of the shipped rewards, "<env_id>/<name>", sorted. Any of them loads with `load_reward`."""
    root = zoo_folder()
    return tuple(sorted(path.parent.relative_to(root).as_posix() for path in root.glob("**/reward.json")))


def locate(source: str) -> Path:
    """The folder `source`, or else the shipped reward of that id; the folder as it stands where neither is there."""
    return zoo_folder() / source if not Path(source).is_dir() and source in list_zoo() else Path(source)


def unknown(source: str) -> RewardError:
    """The error for what is neither a folder nor a shipped reward, with the nearest ids."""
    known = list_zoo()
    near = difflib.get_close_matches(source, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Shipped are: {', '.join(known) or 'none'}."
    return RewardError(f"A reward is a folder or the id of a shipped one; got {source!r}, which is neither. {hint}")
