"""Demonstrations: transitions with their source and the facts of their whole episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats, Ints
from irl_probe.transitions import Transitions

if TYPE_CHECKING:
    from irl_probe.demos.arrays import Episodes


class DemoError(ValueError):
    """Raised for demonstrations that cannot be read, saved, recorded or used; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Transitions and where they come from.

    Attributes:
        transitions: the steps, in time order.
        env_id: the Gymnasium id of their environment, or None if the source does not say.
        source: where they come from, in words.
        observation_space: of the environment, or None if the source does not say.
        action_space: of the environment, or None if the source does not say.
        kept: facts of the whole episodes, if `transitions` lacks some of their steps or the reader states them; None
            means that `whole` computes them.
        subsampled: k if only every k-th step is here; 1 if all are.
        notes: sentences that say which rule was used for facts that the source does not state.
    """

    transitions: Transitions
    env_id: str | None
    source: str
    observation_space: Space | None = None
    action_space: Space | None = None
    kept: WholeEpisodes | None = None
    subsampled: int = 1
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.transitions)

    @staticmethod
    def from_arrays(
        observations: Episodes,
        actions: Episodes,
        *,
        rewards: Episodes | None = None,
        next_observations: Episodes | None = None,
        terminated: Episodes | None = None,
        truncated: Episodes | None = None,
        lengths: ArrayLike | None = None,
        episode: ArrayLike | None = None,
        source: str = "arrays",
        env_id: str | None = None,
        observation_space: Space | None = None,
        action_space: Space | None = None,
    ) -> Demonstrations:
        """Demonstrations from arrays of whole episodes, in time order.

        Args:
            observations: a list with one array for each episode, or one array with all rows. Each episode has one row
                a step, or also its final observation (T + 1 rows), which is better.
            actions: in the same form, one row a step: (T, k), or (T,) whole numbers where they are discrete.
            rewards: true rewards in the same form; they are for evaluation only.
            next_observations: the true successors in the same form, if they are stored apart.
            terminated: whether the task ended (V(s′) = 0): one mark for all, for each episode, or for each step.
            truncated: whether only the clock ended, in the same form. If there is only `terminated`, all other ends
                are truncations. If there is neither, all ends are, and a note says so.
            lengths: (E,) steps (actions) of each episode, if arrays hold all rows.
            episode: instead, a label for each row. Without both, marks at the steps must say where episodes end.
            source: where they come from, in words; messages begin with it.
            env_id: the Gymnasium id of the environment, if there is one.
            observation_space: of the environment, if it is known. Whole numbers in a space of fractions, and the
                reverse, take the kind of their space.
            action_space: in the same way.

        Without final observations the successor of a terminal step is its own observation (no value is taken there),
        and the last step of a truncated episode is left out; a note says so.

        Raises DemoError if it is not clear where episodes begin and end, if lengths do not fit, if steps are not in
        time order, if an episode is marked as both terminated and truncated or before its last step, if numbers are
        masked or not finite, or if observations or actions are not in their spaces.
        """
        from irl_probe.demos.arrays import from_arrays

        return from_arrays(
            observations,
            actions,
            rewards=rewards,
            next_observations=next_observations,
            terminated=terminated,
            truncated=truncated,
            lengths=lengths,
            episode=episode,
            source=source,
            env_id=env_id,
            observation_space=observation_space,
            action_space=action_space,
        )

    @staticmethod
    def from_dataframe(
        frame: Any,
        *,
        observations: str | Sequence[str],
        actions: str | Sequence[str],
        episode: str,
        time: str | None = None,
        rewards: str | None = None,
        next_observations: str | Sequence[str] | None = None,
        terminated: str | None = None,
        truncated: str | None = None,
        source: str = "a table",
        env_id: str | None = None,
        observation_space: Space | None = None,
        action_space: Space | None = None,
    ) -> Demonstrations:
        """Demonstrations from a DataFrame of pandas or polars with one row a step.

        Args:
            frame: the table. If the action is missing in the last row of every episode, that row is the final
                observation.
            observations: the name of a column, whose cells may be vectors, or the names of several, one a component.
            actions: in the same way. One column of whole numbers is a discrete action.
            episode: the column whose value is the same within an episode.
            time: the column to sort the rows of an episode by. Without it the rows are taken in their order.
            rewards: the column of true rewards.
            next_observations: the columns of the true successors, as `observations`.
            terminated: the column of marks where the task ended, as in `from_arrays`.
            truncated: the column of marks where the clock ended.
            source: where the table comes from, in words; messages begin with it.
            env_id: as in `from_arrays`.
            observation_space: as in `from_arrays`.
            action_space: as in `from_arrays`. A column of pandas with a gap holds floats; with
                `action_space=Discrete(n)` they become whole numbers again.

        Raises DemoError as `from_arrays` does, or for a column that does not exist.
        """
        from irl_probe.demos.arrays import from_dataframe

        return from_dataframe(
            frame,
            observations=observations,
            actions=actions,
            episode=episode,
            time=time,
            rewards=rewards,
            next_observations=next_observations,
            terminated=terminated,
            truncated=truncated,
            source=source,
            env_id=env_id,
            observation_space=observation_space,
            action_space=action_space,
        )

    @staticmethod
    def from_minari(dataset: Any) -> Demonstrations:
        """Demonstrations from a `minari.MinariDataset`, also one that was filtered or split; see `load_demos`.

        Raises DemoError if it cannot be read.
        """
        from irl_probe.demos.readers.minari import from_minari

        return from_minari(dataset)

    @property
    def whole(self) -> WholeEpisodes:
        """Positions, lengths, true returns and ends of the whole episodes, as they were before subsampling."""
        return WholeEpisodes.of(self.transitions) if self.kept is None else self.kept

    def episodes(self, selection: int | Sequence[int]) -> Demonstrations:
        """The first `selection` episodes, or those at the listed positions; `whole.positions` says where they were.

        Raises DemoError if an episode does not exist or is chosen twice.
        """
        try:
            positions = self.transitions.positions(selection)
        except ValueError as error:
            raise DemoError(f"{self.source}: {error}") from error
        if len(set(positions)) < len(positions):
            raise DemoError(f"Each episode can be chosen only once; got {selection!r}, which names one twice.")
        return replace(self, transitions=self.transitions.episodes(positions), kept=self.whole.at(positions))

    def subsample(self, every: int) -> Demonstrations:
        """Every `every`-th step of each episode, from its first, and each terminal step, with their true successors.

        `whole` still has the returns, lengths and ends of the whole episodes.

        Raises DemoError unless `every` is at least 1.
        """
        try:
            steps = self.transitions.subsample(every)
        except ValueError as error:
            raise DemoError(f"{self.source}: {error}") from error
        return replace(self, transitions=steps, kept=self.whole, subsampled=self.subsampled * int(every))

    def content_hash(self) -> str:
        """SHA-256 of the transitions (names, shapes, types and bytes of all arrays), as hexadecimal digits."""
        return self.transitions.content_hash()

    def describe(self) -> DemoDescription:
        """Counts, returns, lengths, ends, spaces and content hash; `print(demos.describe())` shows them as a table."""
        t, whole = self.transitions, self.whole
        return DemoDescription(
            env_id=self.env_id,
            source=self.source,
            episodes=len(whole.lengths),
            steps=len(t),
            recorded_steps=int(whole.lengths.sum()),
            subsampled=self.subsampled,
            returns=None if whole.returns is None else Spread.of(whole.returns),
            lengths=Spread.of(whole.lengths),
            terminated=int(whole.terminated.sum()),
            truncated=int(whole.truncated.sum()),
            unfinished=int((~whole.terminated & ~whole.truncated).sum()),
            observation_shape=t.observations.shape[1:],
            observation_dtype=str(t.observations.dtype),
            action_shape=t.actions.shape[1:],
            action_dtype=str(t.actions.dtype),
            observation_space=_one_line(self.observation_space),
            action_space=_one_line(self.action_space),
            content_hash=self.content_hash(),
            notes=self.notes,
        )


@dataclass(frozen=True, eq=False)
class WholeEpisodes:
    """Facts of the whole episodes, which stay the same when steps or other episodes are left out.

    Attributes:
        positions: (E,) int64; the place of each episode in its source.
        lengths: (E,) int64; environment steps of the whole episode.
        returns: (E,) float64 undiscounted true returns, or None if the source has no rewards.
        terminated: (E,) bool; the MDP ended the episode.
        truncated: (E,) bool; the clock (or the end of the file) ended it. Both are false if the episode was cut without
            a mark.
    """

    positions: Ints
    lengths: Ints
    returns: Floats | None
    terminated: Bools
    truncated: Bools

    @staticmethod
    def of(transitions: Transitions) -> WholeEpisodes:
        """The facts of transitions that have every step of their episodes; if steps are missing, without returns."""
        lengths = transitions.lengths
        last = np.cumsum(lengths) - 1
        summable = transitions.rewards is not None and transitions.contiguous
        return WholeEpisodes(
            positions=np.arange(len(lengths)),
            lengths=lengths,
            returns=transitions.returns() if summable else None,
            terminated=transitions.terminated[last],
            truncated=transitions.truncated[last],
        )

    def at(self, positions: Sequence[int]) -> WholeEpisodes:
        """The facts of the listed episodes, in that order."""
        index = list(positions)
        return WholeEpisodes(
            positions=self.positions[index],
            lengths=self.lengths[index],
            returns=None if self.returns is None else self.returns[index],
            terminated=self.terminated[index],
            truncated=self.truncated[index],
        )


@dataclass(frozen=True)
class DemoDescription:
    """A summary of demonstrations; `str()` gives it as an aligned table.

    Returns, lengths and ends are those of the whole episodes, also if only some of their `steps` are here.
    """

    env_id: str | None
    source: str
    episodes: int
    steps: int
    recorded_steps: int
    subsampled: int
    returns: Spread | None
    lengths: Spread
    terminated: int
    truncated: int
    unfinished: int
    observation_shape: tuple[int, ...]
    observation_dtype: str
    action_shape: tuple[int, ...]
    action_dtype: str
    observation_space: str | None
    action_space: str | None
    content_hash: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        every = f", 1 in {self.subsampled} of {self.recorded_steps}" if self.subsampled > 1 else ""
        unfinished = f", {self.unfinished} without a mark" if self.unfinished else ""
        spaces = {
            "observations": (self.observation_space, self.observation_shape, self.observation_dtype),
            "actions": (self.action_space, self.action_shape, self.action_dtype),
        }
        rows = [
            ("environment", self.env_id or "not stated"),
            ("source", self.source),
            ("episodes", str(self.episodes)),
            ("steps", f"{self.steps}{every}"),
            ("true return", "unknown: no rewards" if self.returns is None else str(self.returns)),
            ("length", str(self.lengths)),
            ("ended by", f"termination {self.terminated}, truncation {self.truncated}{unfinished}"),
            *(
                (name, f"{dtype} {shape}, {space or 'space not stated'}")
                for name, (space, shape, dtype) in spaces.items()
            ),
            ("content", f"sha256 {self.content_hash}"),
            *(("note", note) for note in self.notes),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


@dataclass(frozen=True)
class Spread:
    """Mean, population standard deviation, smallest and largest value of one number for each episode."""

    mean: float
    sd: float
    min: float
    max: float

    @staticmethod
    def of(values: Array) -> Spread:
        """The spread of (E,) values."""
        x = values.astype(np.float64)
        return Spread(float(x.mean()), float(x.std()), float(x.min()), float(x.max()))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.sd:.2f} (min {self.min:.2f}, max {self.max:.2f})"


def _one_line(space: Space | None) -> str | None:
    return None if space is None else " ".join(str(space).split())
