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


def find(reward_id: str) -> Path:
    """The folder of a shipped reward. Raises RewardError where none has that id, with the nearest ones."""
    known = list_zoo()
    if reward_id in known:
        return zoo_folder() / reward_id
    near = difflib.get_close_matches(reward_id, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Shipped are: {', '.join(known) or 'none'}."
    raise RewardError(f"A reward is a folder or the id of a shipped one; got {reward_id!r}, which is neither. {hint}")
