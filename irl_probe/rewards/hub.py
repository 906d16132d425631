"""Rewards on the Hugging Face Hub (the optional package huggingface_hub): push one, and load "hf://user/name"."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irl_probe.rewards.card import card
from irl_probe.rewards.protocol import RewardError
from irl_probe.rewards.strict_json import parse

if TYPE_CHECKING:
    from irl_probe.rewards.model import RewardModel

SCHEME = "hf://"
DESCRIPTION, CARD = "reward.json", "README.md"
FILES = (DESCRIPTION, "reward.safetensors", CARD)


def push_reward(
    reward: RewardModel | str | os.PathLike[str],
    repository: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str = "Add a reward",
) -> str:
    """Put a reward on the Hugging Face Hub; anybody reads it with `load_reward("hf://user/name")`.

    The three files of `save_reward` become one commit of a model repository, which is made if it does not exist. The
    card says how to load the reward from there, and begins with the Hub's metadata (tags, library, licence).

    Args:
        reward: a reward, or the folder or id of a saved one, which is checked first.
        repository: "user/name", or "hf://user/name".
        private: whether a new repository is private; None is the Hub's default.
        token: an access token; None takes that of `hf auth login`, or HF_TOKEN.
        message: of the commit.

    Returns the address of the commit. Raises RewardError where the reward cannot be saved, `repository` is not
    "user/name" or the Hub refuses; ImportError where huggingface_hub is not installed.
    """
    from irl_probe.rewards.artifact import load_reward, save_reward

    hub, (name, revision) = _hub(), _parsed(f"{SCHEME}{str(repository).removeprefix(SCHEME)}")
    if revision is not None:
        raise RewardError(f"A reward is pushed to the main branch of 'user/name'; got {repository!r}. Leave '@' out.")
    if isinstance(reward, str | os.PathLike):
        reward = load_reward(reward)
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_reward(reward, Path(scratch, "reward"))
        described = parse((folder / DESCRIPTION).read_bytes(), DESCRIPTION)
        (folder / CARD).write_text(card(described, reward.formula(), source=f"{SCHEME}{name}"), encoding="utf-8")
        api = hub.HfApi(token=token, library_name="irl_probe")
        try:
            api.create_repo(name, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=name, folder_path=folder, commit_message=message).commit_url)
        except (hub.errors.HfHubHTTPError, OSError, ValueError) as error:
            raise RewardError(
                f"The reward could not be pushed to {name}: {error}. Check the network, and sign in with "
                "'hf auth login', with a token that may write there."
            ) from error


def fetch_reward(source: str, folder: Path) -> None:
    """Copy the files of the reward "hf://user/name" (or "hf://user/name@revision") into a new folder.

    All are of one commit. Files that were fetched before come from the Hub's cache, also without a network.

    Raises RewardError where there is no such repository or revision, or it cannot be reached.
    """
    hub, (name, revision) = _hub(), _parsed(source)
    try:
        cached = hub.snapshot_download(name, revision=revision, allow_patterns=list(FILES))
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        raise RewardError(
            f"{source} could not be fetched from the Hugging Face Hub: {error} A private repository needs "
            "'hf auth login'."
        ) from error
    folder.mkdir()
    for file in FILES:
        if Path(cached, file).is_file():
            shutil.copyfile(Path(cached, file), folder / file)  # the cache holds links


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError("The Hub needs the package huggingface_hub: pip install 'irl_probe[hub]'.") from error
    return huggingface_hub


def _parsed(source: str) -> tuple[str, str | None]:
    """The repository "user/name" of a source "hf://user/name@revision", and its revision if it has one."""
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source)
    if match is None:
        raise RewardError(
            f"A reward on the Hugging Face Hub is 'hf://user/name', or 'hf://user/name@revision'; got {source!r}."
        )
    return match[1], match[2]
