"""The loop around any learner: act, learn, log, evaluate, checkpoint; stop at any moment and go on later."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from irl_probe._spaces import Env
from irl_probe.learn.config import ResolvedIQ, ResolvedRL
from irl_probe.learn.evaluation import evaluate
from irl_probe.learn.folder import (
    CheckpointError,
    TrainingDiverged,
    TrainingInterrupted,
    load_checkpoint,
    save_checkpoint,
)
from irl_probe.learn.logs import Bar, Log, progress_bar
from irl_probe.learn.replay import Batch, Interaction, Replay
from irl_probe.softq.functions import SoftQ

CHECKPOINT = "checkpoint.pt"
Q_LIMIT = 1e6  # mean |Q| beyond which a run counts as diverged, where nothing tells how large Q can be


class Learner(Protocol):
    """What the loop needs of an engine."""

    @property
    def soft_q(self) -> SoftQ: ...
    @property
    def terminal_value(self) -> Tensor | None: ...
    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Any: ...
    def anneal(self, share: float) -> None: ...
    def update(
        self, expert: Batch | None, policy: Batch | None, starts: Tensor, generator: torch.Generator
    ) -> Tensor: ...
    def metrics(self, expert: Batch | None, policy: Batch | None, generator: torch.Generator) -> dict[str, float]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


@dataclass
class Loop:
    """A run in progress.

    Attributes:
        learner: the engine. config: resolved. title: for the progress bar.
        expert: the demonstrations' steps, or None where the objective reads none.
        policy: the policy's steps (filled online) and others', or None.
        starts: encoded initial states, (starts, width).
        interaction: the environment online, or None.
        evaluation_env: makes the environment of the evaluations, or None.
        folder: where checkpoints and logs go, or None.
    """

    learner: Learner
    config: ResolvedIQ | ResolvedRL
    title: str
    expert: Replay | None
    policy: Replay | None
    starts: Tensor
    interaction: Interaction | None = None
    evaluation_env: Callable[[], Env] | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        self.step = 0
        self.loss: Tensor | None = None
        self.rng = np.random.default_rng([self.config.seed, 1])
        self.generator = torch.Generator().manual_seed(self.config.seed)
        self.log = Log(None)

    def run(self, *, resume: bool = False, progress: bool | None = None) -> None:
        """Learn until `config.steps`.

        Raises TrainingDiverged, the last good checkpoint kept; TrainingInterrupted after SIGINT, once the step is
        finished and a checkpoint written.
        """
        rows = self._restore() if resume else []
        self.log = Log(self.folder, rows)
        shown = sys.stderr.isatty() if progress is None else progress
        try:
            with (
                _deferred_interrupt() as interrupted,
                progress_bar(self.title, self.config.steps, start=self.step, shown=shown) as bar,
            ):
                while self.step < self.config.steps:
                    self._advance(bar)
                    if interrupted():
                        self._checkpoint()
                        raise TrainingInterrupted(self._how_to_resume())
            self._checkpoint()
        finally:
            self.log.close()

    def _advance(self, bar: Bar) -> None:
        """One step: offline a gradient update, online an environment step and the updates due after it."""
        config = self.config
        self.step += 1
        updates = 1
        if self.interaction is not None:
            self._interact(self.interaction)
            due = self.step > config.learning_starts and self.step % config.update_every == 0
            updates = max(1, round(config.update_every * config.updates_per_step)) if due else 0
        if config.anneal:
            self.learner.anneal(1 - (self.step - 1) / config.steps)
        for _ in range(updates):
            self.loss = self.learner.update(*self._batches(), self.generator)
        if self.step % 100 == 0:
            bar.move(self.step)
        if self.loss is not None and (self.step % config.log_every == 0 or self.step == config.steps):
            self._log(self.loss, bar)
        if config.evaluate_every and self.step % config.evaluate_every == 0:
            self._evaluate(bar)
        if self.step % config.checkpoint_every == 0:
            self._checkpoint()

    def _interact(self, interaction: Interaction) -> None:
        assert self.policy is not None
        space = interaction.env.action_space
        explore = self.step <= self.config.learning_starts or self.rng.random() < self.config.epsilon
        if explore:
            space.seed(int(self.rng.integers(2**31)))
            action = space.sample()
        else:
            action = self.learner.act(interaction.observation, self.rng)
        step = interaction.step(action)
        ended = np.array([step.terminated])
        columns = (step.observation[None], np.asarray(step.action)[None], step.successor[None])
        self.policy.extend(*columns, ended, np.array([step.reward]))

    def _batches(self) -> tuple[Batch | None, Batch | None, Tensor]:
        size = self.config.batch_size
        assert size is not None
        expert = None if self.expert is None else self.expert.sample(size, self.generator)
        policy = None if self.policy is None else self.policy.sample(size, self.generator)
        starts = self.starts
        if size and self.config.value_term == "initial":
            starts = starts[torch.randint(len(starts), (size,), generator=self.generator)]
        return expert, policy, starts

    def _log(self, loss: Tensor, bar: Bar) -> None:
        expert, policy, _ = self._batches()
        row = {"loss": loss.item(), **self.learner.metrics(expert, policy, self.generator)}
        scale = max((abs(value) for name, value in row.items() if name.startswith("q_")), default=0.0)
        limit = self._q_limit(row)
        if not math.isfinite(row["loss"]) or not scale < limit:
            raise self._diverged(f"loss {row['loss']:.4g}, mean |Q| {scale:.4g} (limit {limit:.4g})")
        self._put({"step": self.step, **row}, bar)

    def _q_limit(self, row: dict[str, float]) -> float:
        """Mean |Q| beyond which the run counts as diverged.

        Of continuous actions on given rewards it is three times (max |r| + max α·|entropy|)/(1 − γ), what they can add
        up to, but at least 1000: a policy that runs away stays finite for long, and checkpoints go over good ones.
        """
        if self.config.objective != "bellman" or "entropy" not in row:
            return Q_LIMIT
        assert self.policy is not None
        logged = (before for before in (*self.log.rows, row) if "entropy" in before)
        bonus = max(before["temperature"] * abs(before["entropy"]) for before in logged)
        return min(Q_LIMIT, max(1000.0, 3 * (self.policy.largest_reward + bonus) / (1 - self.config.gamma)))

    def _diverged(self, found: str) -> TrainingDiverged:
        kept = f" The last good checkpoint is in {self.folder}." if self.folder else ""
        given = self.config.objective == "bellman"
        remedy = "make the rewards smaller" if given else "bound the rewards (chi2_c)"
        return TrainingDiverged(
            f"Learning diverged at step {self.step}: {found}.{kept} "
            f"Lower the learning rate, use a slower target network (target_rate=0.005), or {remedy}."
        )

    def _evaluate(self, bar: Bar) -> None:
        if self.evaluation_env is None:
            return
        result = evaluate(
            self.learner.soft_q.policy,
            self.evaluation_env,
            episodes=self.config.evaluate_episodes,
            seed=self.config.seed + 1_000_000,
        )
        figures = {"return_mean": float(result.returns.mean()), "return_sd": float(result.returns.std())}
        self._put({"step": self.step, **figures}, bar)

    def _put(self, row: dict[str, float], bar: Bar) -> None:
        self.log.add(row)
        bar.show(row)

    def _checkpoint(self) -> None:
        """Write the state down. Raises TrainingDiverged, and leaves the last one, where the loss is not finite."""
        if self.loss is not None and not math.isfinite(self.loss.item()):
            raise self._diverged(f"loss {self.loss.item():.4g}")
        if self.folder is not None:
            save_checkpoint(self.folder / CHECKPOINT, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "loss": self.loss,
            "learner": self.learner.state(),
            "policy": None if self.policy is None else self.policy.state(),
            "interaction": None if self.interaction is None else self.interaction.state(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "generator": self.generator.get_state(),
            "rows": self.log.rows,
        }

    def _restore(self) -> list[dict[str, float]]:
        """Take the folder's checkpoint back; returns its log."""
        assert self.folder is not None
        state = load_checkpoint(self.folder / CHECKPOINT)
        try:
            self.step, self.loss = state["step"], state["loss"]
            self.learner.restore(state["learner"])
            if self.policy is not None:
                self.policy.restore(state["policy"])
            if self.interaction is not None:
                self.interaction.restore(state["interaction"])
            self.rng.bit_generator.state = json.loads(state["rng"])
            self.generator.set_state(state["generator"])
            rows: list[dict[str, float]] = state["rows"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"The checkpoint in {self.folder} is of another kind of run ({error}). Start anew in another folder."
            ) from error
        return rows

    def _how_to_resume(self) -> str:
        if self.folder is None:
            return f"Interrupted at step {self.step}; nothing was kept of this learner, which has no folder (out=)."
        return (
            f"Interrupted at step {self.step}; checkpointed in {self.folder}. The same again with resume=True goes on."
        )


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Let a step finish when SIGINT comes, and tell whether it came; a second SIGINT acts at once."""
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: signals are not ours to take
        yield lambda: False
        return
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, before)
