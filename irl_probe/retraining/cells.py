"""The folders of a study: the result of each policy and seed, with fingerprints of what it was made from."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._config import check_kind
from irl_probe._plain import named
from irl_probe._policies import Policy, acting
from irl_probe._spaces import Env
from irl_probe.demos import record_demos
from irl_probe.learn import random_policy
from irl_probe.learn.folder import CheckpointError, differences, write_atomically
from irl_probe.learn.resume import DESCRIPTION
from irl_probe.rewards import Reward, RewardError, RewardModel, evaluate_reward
from irl_probe.transitions import Transitions

RESULT = "cell.json"
EPISODES, STEPS = 20, 20  # of a fingerprint; short, since rounding differs between machines and the error grows
Fingerprint = str | list[float]


@dataclass(frozen=True)
class Cell:
    """The folder of one policy's result for one seed, and what the result was made from.

    Attributes:
        folder: the folder; None writes nothing to disk.
        made_from: everything that the result depends on, as plain values.
    """

    folder: Path | None
    made_from: Mapping[str, Any]

    @property
    def run(self) -> Path | None:
        """The folder of the policy's training run."""
        return None if self.folder is None else self.folder / "run"

    def resume(self) -> bool:
        """Whether the folder of the training run holds one to resume; a folder without run.json is removed."""
        if self.run is None or not self.run.exists():
            return False
        if (self.run / DESCRIPTION).is_file():
            return True
        shutil.rmtree(self.run)
        return False

    def check(self) -> None:
        """Raise CheckpointError where the folder holds something else, finished or not (the differences are named)."""
        if self.folder is not None and (self.folder / RESULT).is_file():
            self._read(self.folder / RESULT)

    def result(self, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The result in the folder; if there is none, that of `compute`, which is then written there atomically.

        What it is made from is written there before, so that nothing else goes on with its unfinished run. An error of
        `compute` before a run has begun takes that back.

        Raises CheckpointError as `check` does.
        """
        if self.folder is None:
            return dict(compute())
        path = self.folder / RESULT
        known = self._read(path) if path.is_file() else None
        if known is not None:
            return known
        self._write(None)
        try:
            found = dict(compute())
        except Exception:
            if not (self.folder / "run" / DESCRIPTION).is_file():
                path.unlink()
            raise
        self._write(found)
        return found

    def _write(self, result: dict[str, Any] | None) -> None:
        assert self.folder is not None
        text = json.dumps({"made_from": self.made_from, "result": result}, indent=2)
        write_atomically(self.folder / RESULT, lambda file: file.write(text.encode()))

    def _read(self, path: Path) -> dict[str, Any] | None:
        """The result; None as long as it is being computed."""
        try:
            written = json.loads(path.read_text())
            before = dict(written["made_from"])
            result = None if written["result"] is None else dict(written["result"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} must hold a cell's result; it does not ({error}). Remove it.") from error
        now = json.loads(json.dumps(self.made_from))
        shared = before.keys() & now.keys()  # older results lack some fields
        found = differences({name: before[name] for name in shared}, {name: now[name] for name in shared})
        if found:
            raise CheckpointError(
                f"What is in {self.folder} was made from something else: {'; '.join(found)}. "
                "Name another folder, or remove that one."
            )
        return result


def cell_folder(out: Path | None, *names: str, seed: int) -> Path | None:
    """out/<name>/…/seed-<seed>, in letters that every file system takes."""
    return None if out is None else out.joinpath(*map(_plain_name, names), f"seed-{seed}")


def how_to_go_on(out: Path | None) -> str:
    """The message after an interruption."""
    if out is None:
        return "Interrupted; nothing was saved, since no folder was given (out=)."
    return f"Interrupted; the finished part is in {out}. Repeat the call to continue there."


def check_cells(out: Path | None, names: Sequence[str]) -> None:
    """Raise unless `out` can be a folder and the names (of rewards, policies) lead to different folders in it."""
    for name in names:
        check_kind(name, str, "The name of a reward", "Write a string.")
    if out is None:
        return
    if file := next((place for place in (out, *out.parents) if place.is_file()), None):
        raise ValueError(f"Results go into a folder; {file} is a file. Name another one (out=).")
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(_plain_name(name), name)
        if other != name:
            raise ValueError(
                f"Names must differ in more than spaces and punctuation, which are left out of folder names; got "
                f"{other!r} and {name!r}."
            )


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", name.replace("′", "2")).strip("-")


def reward_fingerprint(reward: Reward, env: Env) -> Fingerprint:
    """The id of a recovered or distilled reward; of any other, a summary of its values on random steps in `env`.

    Two functions that differ only where random actions never lead have the same fingerprint.
    """
    if isinstance(reward, RewardModel):
        try:
            return reward.reward_id
        except RewardError:  # it cannot be saved, since its expectation is the user's own
            pass
    return _of_random_steps(lambda steps: evaluate_reward(reward, steps, name=type(reward).__name__), env)


def policy_fingerprint(policy: Policy, env: Env) -> Fingerprint:
    """A summary of the policy's most likely actions in the states of random steps in `env`."""
    act = acting(policy)
    return _of_random_steps(lambda steps: act(named(env.observation_space, steps.observations), True, None), env)


def environment_fingerprint(env: Env) -> dict[str, Fingerprint]:
    """A summary of the successors, and one of the rewards, of random steps in `env`."""
    columns = {"successors": "next_observations", "rewards": "rewards"}
    return {name: _of_random_steps(attrgetter(column), env) for name, column in columns.items()}


def _of_random_steps(of: Callable[[Transitions], ArrayLike], env: Env) -> list[float]:
    """The summary of `of(random steps)`; [] if `env` does not repeat itself, given its reset seed."""
    policy = random_policy(env.action_space)
    first, again = (
        _summary(of(record_demos(policy, env, EPISODES, seed=0, epsilon=1.0, max_steps=STEPS).transitions))
        for _ in range(2)
    )
    return [] if differences({"": first}, {"": again}) else first


def _summary(values: ArrayLike) -> list[float]:
    """Mean, standard deviation, and two weighted means that change with the order of the values."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    waves = [np.cos(rate * np.arange(len(flat))) for rate in (1.0, 0.1)]
    return [float(flat.mean()), float(flat.std()), *(float((wave * flat).mean()) for wave in waves)]
