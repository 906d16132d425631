"""The loop around any learner: act, learn, log, evaluate, checkpoint; it can stop at any moment and be resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from irl_probe._spaces import Env
from irl_probe.learn.config import Resolved
from irl_probe.learn.evaluation import evaluate
from irl_probe.learn.folder import (
    CheckpointError,
    TrainingDiverged,
    TrainingInterrupted,
    load_checkpoint,
    save_checkpoint,
)
from irl_probe.learn.logs import Bar, Log, Row, progress_bar
from irl_probe.learn.replay import Batch, Interaction, Replay
from irl_probe.learn.stopping import Stop
from irl_probe.softq.functions import SoftQ

CHECKPOINT = "checkpoint.pt"
NOTHING_SAVED = "nothing was saved, since the run has no folder (out=)."
Q_LIMIT = 1e6  # mean |Q| beyond which a run counts as diverged, where Q has no known bound


class Learner(Protocol):
    """What the loop needs from an engine."""

    @property
    def soft_q(self) -> SoftQ: ...
    @property
    def terminal_value(self) -> Tensor | None: ...
    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Any: ...
    def anneal(self, share: float) -> None: ...
    def update(self, batches: Mapping[str, Batch], starts: Tensor, generator: torch.Generator) -> Tensor: ...
    def metrics(self, batches: Mapping[str, Batch], generator: torch.Generator) -> Row: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


class Limit(Protocol):
    """When a run counts as diverged, and what to do then."""

    @property
    def remedy(self) -> str: ...
    def q_limit(self, rows: list[Row]) -> float:
        """Mean |Q| beyond which the run counts as diverged, after these logged rows."""


@dataclass(frozen=True)
class FixedLimit:
    """A fixed limit, for runs in which Q has no known bound."""

    remedy: str

    def q_limit(self, rows: list[Row]) -> float:
        """`Q_LIMIT`, for any rows."""
        return Q_LIMIT


@dataclass(frozen=True)
class RewardLimit:
    """A limit from the given rewards and the entropy bonus, which bound Q.

    It is three times the most that they can add up to, (max |r| + max α·|entropy|)/(1 − γ), and at least 1000. Without
    it a diverging run stays finite for a long time and overwrites good checkpoints.
    """

    remedy: str
    paid: Replay
    gamma: float

    def q_limit(self, rows: list[Row]) -> float:
        """The limit from the rewards and entropies so far."""
        bonus = max(row["temperature"] * abs(row["entropy"]) for row in rows if "entropy" in row)
        return min(Q_LIMIT, max(1000.0, 3 * (self.paid.largest_reward + bonus) / (1 - self.gamma)))


@dataclass(frozen=True)
class Online:
    """How a run collects its own steps: the episodes, and the replay that stores them."""

    interaction: Interaction
    replay: Replay


@dataclass
class Loop:
    """A run in progress.

    Attributes:
        learner: the engine.
        config: the resolved config.
        title: of the progress bar.
        replays: where batches are sampled from: "expert" where there are demonstrations, then "policy" where there are
            the policy's own steps or others'.
        starts: encoded initial states, (starts, width); empty where the objective reads none.
        limit: when the run counts as diverged.
        online: where the policy's own steps come from, or None offline.
        evaluation_env: makes the environment of the evaluations, or None.
        folder: where checkpoints and logs go, or None.
    """

    learner: Learner
    config: Resolved
    title: str
    replays: Mapping[str, Replay]
    starts: Tensor
    limit: Limit
    online: Online | None = None
    evaluation_env: Callable[[], Env] | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        self.step = 0
        self.loss: Tensor | None = None
        self.rng = np.random.default_rng([self.config.seed, 1])
        self.generator = torch.Generator().manual_seed(self.config.seed)
        self.log = Log(None)

    def run(self, stop: Stop, *, resume: bool = False, progress: bool | None = None) -> None:
        """Learn until `config.steps`.

        Raises TrainingDiverged, which leaves the last good checkpoint; TrainingInterrupted where `stop` noted a signal,
        once the step is finished and a checkpoint written.
        """
        rows = self._restore(self.folder / CHECKPOINT) if resume and self.folder is not None else []
        self.log = Log(self.folder, rows)
        try:
            with progress_bar(self.title, self.config.steps, start=self.step, progress=progress) as bar:
                if self._evaluation_is_due():  # it was interrupted
                    self._evaluate(bar, stop)
                while self.step < self.config.steps and not stop.came:
                    self._advance(bar, stop)
            self._checkpoint()
            if stop.came:
                raise TrainingInterrupted(self._how_to_resume())
        finally:
            self.log.close()

    def _advance(self, bar: Bar, stop: Stop) -> None:
        """One step: offline a gradient update, online an environment step and the updates due after it."""
        config = self.config
        self.step += 1
        updates = 1
        if self.online is not None:
            self._interact(self.online)
            due = self.step > config.learning_starts and self.step % config.update_every == 0
            updates = max(1, round(config.update_every * config.updates_per_step)) if due else 0
        if config.anneal:
            self.learner.anneal(1 - (self.step - 1) / config.steps)
        for _ in range(updates):
            self.loss = self.learner.update(self._batches(), self._starts(), self.generator)
        bar.move(self.step)
        if self.loss is not None and (self.step % config.log_every == 0 or self.step == config.steps):
            self._log(self.loss, bar)
        if self._evaluation_is_due():
            self._evaluate(bar, stop)
        if self.step % config.checkpoint_every == 0:
            self._checkpoint()

    def _interact(self, online: Online) -> None:
        """Take one step in the environment and add it to the replay."""
        space = online.interaction.env.action_space
        explore = self.step <= self.config.learning_starts or self.rng.random() < self.config.epsilon
        if explore:
            space.seed(int(self.rng.integers(2**31)))
            action = space.sample()
        else:
            action = self.learner.act(online.interaction.observation, self.rng)
        step = online.interaction.step(action)
        ended = np.array([step.terminated])
        columns = (step.observation[None], np.asarray(step.action)[None], step.successor[None])
        online.replay.extend(*columns, ended, np.array([step.reward]))

    def _batches(self) -> dict[str, Batch]:
        return {name: each.sample(self.config.batch_size, self.generator) for name, each in self.replays.items()}

    def _starts(self) -> Tensor:
        size = self.config.batch_size
        if not size or not len(self.starts):
            return self.starts
        return self.starts[torch.randint(len(self.starts), (size,), generator=self.generator)]

    def _log(self, loss: Tensor, bar: Bar) -> None:
        batches, _ = self._batches(), self._starts()  # both, so that logging draws the same numbers as an update
        row = {"loss": loss.item(), **self.learner.metrics(batches, self.generator)}
        scale = max((abs(value) for name, value in row.items() if name.startswith("q_")), default=0.0)
        limit = self.limit.q_limit([*self.log.rows, row])
        if not math.isfinite(row["loss"]) or not scale < limit:
            raise self._diverged(f"loss {row['loss']:.4g}, mean |Q| {scale:.4g} (limit {limit:.4g})")
        self._put({"step": self.step, **row}, bar)

    def _diverged(self, found: str) -> TrainingDiverged:
        saved = f" The last good checkpoint is in {self.folder}." if self.folder else ""
        return TrainingDiverged(
            f"Learning diverged at step {self.step}: {found}.{saved} "
            f"Lower the learning rate, use a slower target network (target_rate=0.005), or {self.limit.remedy}."
        )

    def _evaluation_is_due(self) -> bool:
        """Whether this step has an evaluation, and none is logged yet."""
        every = self.config.evaluate_every
        if self.evaluation_env is None or not every or not self.step or self.step % every:
            return False
        return not any(row["step"] == self.step and "return_mean" in row for row in self.log.rows[-2:])

    def _evaluate(self, bar: Bar, stop: Stop) -> None:
        """Evaluate the policy and log its returns; where a signal comes first, a resumed run does it again."""
        assert self.evaluation_env is not None
        try:
            with stop.acts_at_once():
                result = evaluate(
                    self.learner.soft_q.policy,
                    self.evaluation_env,
                    episodes=self.config.evaluate_episodes,
                    seed=self.config.seed + 1_000_000,
                )
        except TrainingInterrupted:
            return
        figures = {"return_mean": float(result.returns.mean()), "return_sd": float(result.returns.std())}
        self._put({"step": self.step, **figures}, bar)

    def _put(self, row: Row, bar: Bar) -> None:
        self.log.add(row)
        bar.show(row)

    def _checkpoint(self) -> None:
        """Write a checkpoint. Raises TrainingDiverged, and keeps the last one, where the loss is not finite."""
        if self.loss is not None and not math.isfinite(self.loss.item()):
            raise self._diverged(f"loss {self.loss.item():.4g}")
        if self.folder is not None:
            save_checkpoint(self.folder / CHECKPOINT, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "loss": self.loss,
            "learner": self.learner.state(),
            "policy": self.replays["policy"].state() if "policy" in self.replays else None,
            "interaction": None if self.online is None else self.online.interaction.state(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "generator": self.generator.get_state(),
            "rows": self.log.rows,
        }

    def _restore(self, checkpoint: Path) -> list[Row]:
        """Restore a checkpoint; returns the rows of its log."""
        state = load_checkpoint(checkpoint)
        try:
            self.step, self.loss = state["step"], state["loss"]
            self.learner.restore(state["learner"])
            if "policy" in self.replays:
                self.replays["policy"].restore(state["policy"])
            if self.online is not None:
                self.online.interaction.restore(state["interaction"])
            self.rng.bit_generator.state = json.loads(state["rng"])
            self.generator.set_state(state["generator"])
            rows: list[Row] = state["rows"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{checkpoint} is the checkpoint of another kind of run ({error}). Start again in another folder."
            ) from error
        return rows

    def _how_to_resume(self) -> str:
        if self.folder is None:
            return f"Interrupted at step {self.step}; {NOTHING_SAVED}"
        return (
            f"Interrupted at step {self.step}; checkpointed in {self.folder}. "
            "Repeat the call with resume=True to continue."
        )
