"""Demonstrations: choosing episodes and steps, saving, recording, and whether they fit an environment."""

import json
import re
import tracemalloc
import zipfile

import gymnasium
import numpy as np
import pytest
from demo_files import LENGTHS, TERMINATED, expected, write_flat
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from irl_probe import Transitions
from irl_probe.demos import (
    DemoError,
    Demonstrations,
    Spread,
    bundled_demos,
    check_demos,
    load_demos,
    record_demos,
    save_demos,
)

RETURNS = (0.3, 1.0, 8.6)


def demonstrations(discrete=True, **changes):
    given = {
        "transitions": expected(discrete),
        "env_id": "Toy-v0",
        "source": "a test",
        "observation_space": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "action_space": spaces.Discrete(2) if discrete else spaces.Box(-1, 1, (2,), np.float32),
    }
    return Demonstrations(**(given | changes))


def balance(observations, deterministic=True):
    return (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)


class Corridor(gymnasium.Env):
    """Observation: the step, in float64. It ends at step `end` (None: never), terminated, truncated or both."""

    def __init__(self, end=3, terminated=True, truncated=False):
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
        self.action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)
        self.end, self.ends, self.closed = end, (terminated, truncated), False

    def observe(self):
        return np.array([1e9 + self.t + 1 / 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        over = self.t == self.end
        return self.observe(), float(action[0]), over and self.ends[0], over and self.ends[1], {}

    def close(self):
        self.closed = True


class TestChoosing:
    def test_subsampled_demonstrations_still_have_the_true_returns_and_lengths(self):
        described = demonstrations().subsample(3).describe()
        assert described.returns.mean == pytest.approx(np.mean(RETURNS))
        assert described.returns.max == pytest.approx(8.6)
        assert described.lengths == Spread.of(np.array(LENGTHS))
        assert (described.terminated, described.truncated, described.unfinished) == (1, 2, 0)
        assert (described.steps, described.recorded_steps, described.subsampled) == (5, 8, 3)

    def test_subsampling_keeps_true_successors_and_the_terminal_step(self):
        kept = demonstrations().subsample(3).transitions
        assert kept.observations[:, 1].tolist() == [0, 2, 0, 0, 3]  # 2 is the terminal step of episode 0
        assert kept.next_observations[:, 1].tolist() == [1, 3, 1, 1, 4]
        assert kept.terminated.tolist() == [False, True, False, False, False]

    def test_chosen_episodes_have_their_own_facts_in_the_order_chosen(self):
        chosen = demonstrations().episodes([2, 0])
        assert chosen.whole.positions.tolist() == [2, 0]
        np.testing.assert_allclose(chosen.whole.returns, [RETURNS[2], RETURNS[0]])
        assert chosen.whole.terminated.tolist() == [False, True]
        assert chosen.transitions.observations[:, 0].tolist() == [2, 2, 2, 2, 0, 0, 0]
        assert chosen.subsample(2).episodes([1]).whole.positions.tolist() == [0]

    def test_subsampling_twice_multiplies_the_factors(self):
        assert demonstrations().subsample(2).subsample(2).subsampled == 4

    def test_the_hash_is_that_of_the_transitions_and_changes_with_any_number(self):
        demos = demonstrations()
        t = demos.transitions
        changed = Transitions(**{**vars(t), "rewards": t.rewards + np.eye(1, len(t))[0] * 1e-9})
        assert demos.content_hash() == t.content_hash() != demonstrations(transitions=changed).content_hash()

    @pytest.mark.parametrize(
        "selection", [0, 4, 10**30, -1, [3], [-1], [], 1.5, [1.5], "x", [None], np.array([3]), None]
    )
    def test_episodes_that_do_not_exist_are_refused(self, selection):
        message = (
            "There are 3 episodes. Choose a number of them, from the first, or a list of positions from 0 to 2; got"
        )
        with pytest.raises(DemoError, match=re.escape(message)):
            demonstrations().episodes(selection)

    def test_a_million_episodes_are_refused_in_a_short_message_and_little_memory(self):
        tracemalloc.start()
        with pytest.raises(DemoError) as refused:
            demonstrations().episodes(10**6)
        assert len(str(refused.value)) < 200
        assert tracemalloc.get_traced_memory()[1] < 100_000  # bytes
        tracemalloc.stop()

    def test_an_episode_can_be_chosen_only_once(self):
        with pytest.raises(DemoError, match="names one twice"):
            demonstrations().episodes([1, 1])

    @pytest.mark.parametrize("every", [0, -1, 1.5, "x", None])
    def test_subsampling_takes_only_whole_numbers_of_at_least_one(self, every):
        with pytest.raises(DemoError, match=f"k must be a whole number, at least 1; got {every!r}"):
            demonstrations().subsample(every)


class TestDescribe:
    def test_the_description_is_an_aligned_table(self):
        text = str(demonstrations(notes=("Read by a rule.",)).subsample(3).describe())
        lines = text.splitlines()
        assert {line[12:14].strip() == "" for line in lines} == {True}
        assert "steps         5, 1 in 3 of 8" in lines
        assert "true return   3.30 ± 3.76 (min 0.30, max 8.60)" in lines
        assert "ended by      termination 1, truncation 2" in lines
        assert "actions       int64 (), Discrete(2)" in lines
        assert "note          Read by a rule." in lines

    def test_a_single_transition_without_rewards_or_spaces_is_described(self):
        one = Transitions(np.ones((1, 2)), np.zeros(1, int), np.ones((1, 2)), [False], [False], [0])
        described = Demonstrations(one, env_id=None, source="a test").describe()
        assert (described.episodes, described.steps, described.returns) == (1, 1, None)
        assert described.lengths == Spread(1.0, 0.0, 1.0, 1.0)
        assert described.unfinished == 1
        text = str(described)
        assert "unknown: no rewards" in text
        assert "space not stated" in text
        assert "1 without a mark" in text


def same(a, b):
    assert a.content_hash() == b.content_hash()
    assert str(a.describe()) == str(b.describe())
    assert (a.observation_space, a.action_space) == (b.observation_space, b.action_space)
    for name, value in vars(a.whole).items():
        np.testing.assert_array_equal(value, getattr(b.whole, name))


class TestSaving:
    @pytest.mark.parametrize("discrete", [True, False])
    @pytest.mark.parametrize("subsample", [1, 3])
    def test_loaded_demonstrations_equal_the_saved_ones(self, tmp_path, discrete, subsample):
        demos = demonstrations(discrete, notes=("One.", "Two.")).episodes([2, 0]).subsample(subsample)
        same(load_demos(save_demos(demos, tmp_path / "a.npz")), demos)

    @settings(max_examples=30, deadline=None)
    @given(
        observations=hnp.arrays(np.float64, (7, 2), elements=st.floats(-3, 3)),
        successors=hnp.arrays(np.float64, (7, 2), elements=st.sampled_from([0.0, -0.0, 1.5])),
        splits=st.lists(st.booleans(), min_size=7, max_size=7),
    )
    def test_any_successors_are_loaded_byte_for_byte(self, tmp_path_factory, observations, successors, splits):
        nothing = np.zeros(7, bool)
        t = Transitions(observations, np.zeros((7, 1)), successors, nothing, nothing, np.cumsum(splits))
        demos = Demonstrations(t, env_id=None, source="a test")
        same(load_demos(save_demos(demos, tmp_path_factory.mktemp("saved") / "a.npz")), demos)

    def test_the_same_demonstrations_give_the_same_bytes_also_after_loading(self, tmp_path):
        first = save_demos(demonstrations(), tmp_path / "a.npz")
        again = save_demos(load_demos(first), tmp_path / "b.npz")
        assert first.read_bytes() == again.read_bytes()
        with zipfile.ZipFile(first) as file:
            assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}

    def test_consecutive_observations_are_stored_once(self, tmp_path):
        with np.load(save_demos(demonstrations(), tmp_path / "a.npz"), allow_pickle=False) as file:
            assert len(file["successors"]) == len(LENGTHS)
            metadata = json.loads(str(file["metadata"]))
        assert metadata["version"] == 1
        assert metadata["versions"]["gymnasium"] == gymnasium.__version__

    def test_bounds_of_every_size_and_infinite_ones_are_loaded_unchanged(self, tmp_path):
        box = spaces.Box(np.array([-np.inf, 0.1], np.float32), np.array([1e30, np.inf], np.float32))
        image = spaces.Box(0, 255, (2,), np.uint8)
        demos = demonstrations(observation_space=box, action_space=spaces.Discrete(3, start=-1))
        loaded = load_demos(save_demos(demos, tmp_path / "a.npz"))
        assert (loaded.observation_space, loaded.action_space) == (box, spaces.Discrete(3, start=-1))
        demos = demonstrations(observation_space=image, action_space=None)
        assert load_demos(save_demos(demos, tmp_path / "b.npz")).observation_space == image

    def test_an_existing_file_is_not_overwritten_unless_asked(self, tmp_path):
        path = save_demos(demonstrations(), tmp_path / "a.npz")
        before = path.read_bytes()
        with pytest.raises(
            DemoError, match="exists and was not overwritten; choose another name or pass overwrite=True"
        ):
            save_demos(demonstrations(False), path)
        assert path.read_bytes() == before
        save_demos(demonstrations(False), path, overwrite=True)
        assert path.read_bytes() != before

    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        path = save_demos(demonstrations(), tmp_path / "a.npz")
        before = path.read_bytes()

        def full(*_):
            raise OSError("disk full")

        monkeypatch.setattr("os.replace", full)
        with pytest.raises(OSError, match="disk full"):
            save_demos(demonstrations(False), path, overwrite=True)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_only_npz_files_are_written(self, tmp_path):
        with pytest.raises(DemoError, match=r"ending in \.npz; got"):
            save_demos(demonstrations(), tmp_path / "a.pkl")

    def test_spaces_that_a_file_cannot_hold_are_refused(self, tmp_path):
        with pytest.raises(DemoError, match="Dict and Tuple spaces can be saved; got Text"):
            save_demos(demonstrations(action_space=spaces.Text(3)), tmp_path / "a.npz")


def resaved(tmp_path, change):
    """A saved file with its members changed by `change(members)`."""
    with np.load(save_demos(demonstrations(), tmp_path / "a.npz"), allow_pickle=False) as file:
        members = dict(file)
    metadata = json.loads(str(members["metadata"]))
    change(members, metadata)
    np.savez(tmp_path / "b.npz", **(members | {"metadata": np.array(json.dumps(metadata))}))
    return tmp_path / "b.npz"


class TestSavedFilesAreChecked:
    def test_an_untouched_copy_loads(self, tmp_path):
        same(load_demos(resaved(tmp_path, lambda members, metadata: None)), demonstrations())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda a, m: a["rewards"].__setitem__(0, 5.0), "do not have the content hash"),
            (lambda a, m: a.pop("episode"), "episode is missing"),
            (lambda a, m: a["successor_rows"].__setitem__(0, 99), "successors do not fit"),
            (lambda a, m: a.update(successors=a["successors"][1:]), "successors do not fit"),
            (lambda a, m: a.update(successor_rows=a["successor_rows"] * 1.0), "vector of whole numbers"),
            (lambda a, m: a.update(whole_lengths=a["whole_lengths"] - 1), "whole episodes do not fit"),
            (lambda a, m: a.update(whole_returns=a["whole_returns"][1:]), "whole episodes do not fit"),
            (lambda a, m: m.update(version=2), "reads version 1 of the format; the file is version 2"),
            (lambda a, m: m.update(format="other"), "must state the format"),
            (lambda a, m: m.pop("env_id"), "env_id is missing"),
            (lambda a, m: m.update(env_id=3), "'env_id' in the metadata must be a string or null; got 3"),
            (lambda a, m: m.update(subsampled=0), "at least 1; got 0"),
            (lambda a, m: m.update(notes="x"), "must be a list of sentences"),
            (lambda a, m: m.update(action_space={"type": "Graph"}), "must describe a space"),
            (lambda a, m: m["observation_space"].update(low=[1]), "does not describe one"),
        ],
    )
    def test_a_changed_file_is_refused(self, tmp_path, change, message):
        with pytest.raises(DemoError, match=message):
            load_demos(resaved(tmp_path, change))

    @pytest.mark.parametrize("metadata", [np.array("{"), np.array(3), np.array(["{}"])])
    def test_metadata_that_is_not_a_json_string_is_refused(self, tmp_path, metadata):
        np.savez(tmp_path / "a.npz", metadata=metadata, **dict.fromkeys(_members(), np.zeros(1)))
        with pytest.raises(DemoError, match="'metadata' must be one JSON string"):
            load_demos(tmp_path / "a.npz")


def _members():
    arrays = ("observations", "actions", "terminated", "truncated", "episode", "successors", "successor_rows")
    return arrays + tuple(f"whole_{name}" for name in ("positions", "lengths", "terminated", "truncated"))


class TestRecording:
    def test_recorded_steps_are_those_of_the_environment(self):
        demos = record_demos(balance, "CartPole-v1", 3, seed=5)
        t, env = demos.transitions, gymnasium.make("CartPole-v1")
        seeds = np.random.SeedSequence(5).generate_state(3)
        row = 0
        for episode, length in enumerate(t.lengths):
            observation, _ = env.reset(seed=int(seeds[episode]))
            for _ in range(length):
                np.testing.assert_array_equal(t.observations[row], observation)
                observation, reward, terminated, truncated, _ = env.step(t.actions[row])
                np.testing.assert_array_equal(t.next_observations[row], observation)
                assert (t.rewards[row], t.terminated[row], t.truncated[row]) == (reward, terminated, truncated)
                row += 1
        assert row == len(t)
        assert (demos.env_id, demos.action_space) == ("CartPole-v1", env.action_space)
        assert t.actions.dtype == np.int64
        assert t.observations.dtype == np.float32
        check_demos(demos, env)

    def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(self):
        a, b, c = (record_demos(balance, "CartPole-v1", 2, seed=s, epsilon=0.3).content_hash() for s in (1, 1, 2))
        assert a == b != c

    def test_the_source_names_the_options_of_the_environment(self):
        env = gymnasium.make("Pendulum-v1", g=9.81)
        demos = record_demos(lambda o, deterministic: np.zeros((1, 1)), env, 1, seed=3, epsilon=0.1, time_limit=2)
        assert demos.source == "recorded in Pendulum-v1, g=9.81, seed 3, epsilon 0.1"

    def test_the_first_episodes_do_not_depend_on_how_many_follow(self):
        short = record_demos(balance, "CartPole-v1", 1)
        assert record_demos(balance, "CartPole-v1", 3).episodes(1).content_hash() == short.content_hash()

    def test_float64_observations_keep_every_digit_and_the_given_environment_stays_open(self):
        env = Corridor()
        t = record_demos(lambda o, deterministic: np.ones((1, 1)), env, 2).transitions
        assert t.observations.dtype == np.float64
        assert t.observations[1, 0] == 1e9 + 1 + 1 / 3
        assert t.rewards.tolist() == [1.0] * 6
        assert not env.closed

    @pytest.mark.parametrize(
        ("terminated", "truncated", "ends"),
        [(True, False, (True, False)), (False, True, (False, True)), (True, True, (True, False))],
    )
    def test_a_step_that_is_terminated_and_truncated_counts_as_terminated(self, terminated, truncated, ends):
        env = Corridor(terminated=terminated, truncated=truncated)
        t = record_demos(lambda o, deterministic: np.zeros((1, 1)), env, 1).transitions
        assert (t.terminated[-1], t.truncated[-1]) == ends

    def test_a_time_limit_truncates_an_environment_that_never_ends(self):
        t = record_demos(lambda o, deterministic: np.zeros((1, 1)), Corridor(end=None), 2, time_limit=4).transitions
        assert t.lengths.tolist() == [4, 4]
        assert t.truncated[[3, 7]].all()

    def test_epsilon_is_the_share_of_uniformly_random_actions(self):
        zero = record_demos(lambda o, deterministic: np.zeros((1, 1)), Corridor(2000), 1, epsilon=0.25)
        actions = zero.transitions.actions[:, 0]
        assert 0.2 < (actions != 0).mean() < 0.3
        assert abs(actions[actions != 0].std() - 4 / np.sqrt(12)) < 0.1
        always = record_demos(lambda o, deterministic: np.zeros((1, 1)), Corridor(50), 1, epsilon=1.0)
        assert (always.transitions.actions != 0).all()

    def test_deterministic_is_passed_to_the_policy(self):
        asked = []
        record_demos(lambda o, deterministic: asked.append(deterministic) or np.zeros((1, 1)), Corridor(1), 1)
        record_demos(
            lambda o, deterministic: asked.append(deterministic) or np.zeros((1, 1)),
            Corridor(1),
            1,
            deterministic=False,
        )
        assert asked == [True, False]

    @pytest.mark.parametrize(
        ("policy", "env", "message"),
        [
            (lambda o, deterministic: np.zeros(2), Corridor(), r"shape \(1, 1\); got \(2,\) in episode 0, step 0"),
            (lambda o, deterministic: np.full((1, 1), 2.5), Corridor(), r"must lie in Box.*got \[2.5\]"),
            (lambda o, deterministic: np.full((1, 1), np.nan), Corridor(), r"must lie in Box.*got \[nan\]"),
            (lambda o, deterministic: np.zeros(1), "CartPole-v1", "whole numbers; the policy returned float64"),
            (lambda o, deterministic: np.array([2]), "CartPole-v1", r"must lie in Discrete\(2\); got 2"),
        ],
    )
    def test_actions_that_do_not_fit_are_refused(self, policy, env, message):
        with pytest.raises(DemoError, match=message):
            record_demos(policy, env, 1)

    @pytest.mark.parametrize(
        ("name", "values", "message"),
        [
            ("episodes", (0, 1.5, "3", None), "whole number, at least 1"),
            ("time_limit", (0, 2.5, "x"), "whole number, at least 1"),
            ("seed", (-1, 0.5, None), "whole number, at least 0"),
            ("epsilon", (1.5, -0.1, "x", float("nan"), None), "a probability, from 0 to 1"),
            ("policy", (None, 3), "a function policy"),
            ("env", (3, None), "a Gymnasium id or environment"),
        ],
    )
    def test_arguments_out_of_range_or_of_the_wrong_type_are_refused(self, name, values, message):
        for value in values:
            given = {"policy": balance, "env": "CartPole-v1", "episodes": 1, name: value}
            with pytest.raises(DemoError, match=f"{message}.*; got {value!r}"):
                record_demos(**given)

    def test_spaces_that_transitions_cannot_hold_are_refused(self):
        env = Corridor()
        env.observation_space = spaces.Dict({"x": spaces.Text(3)})
        with pytest.raises(DemoError, match=r"Observations must be a Box, .*; got Dict"):
            record_demos(lambda o, deterministic: np.zeros((1, 1)), env, 1)


class TestFit:
    SPACES = (spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(2))
    BOX = (spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Box(-1, 1, (2,), np.float32))

    def test_demonstrations_that_fit_pass(self):
        check_demos(demonstrations(), self.SPACES)
        check_demos(demonstrations(False), self.BOX)

    def test_the_environment_can_be_given_by_its_id(self):
        with pytest.raises(DemoError, match=r"have shape \(2,\), and those of the environment \(4,\)"):
            check_demos(demonstrations(), "CartPole-v1")

    @pytest.mark.parametrize(("discrete", "other"), [(True, BOX), (False, SPACES)])
    def test_discrete_actions_do_not_fit_a_continuous_space_nor_the_reverse(self, discrete, other):
        kinds = "are discrete.*are continuous" if discrete else "are continuous.*are discrete"
        with pytest.raises(DemoError, match=f"actions of the demonstrations.*{kinds}"):
            check_demos(demonstrations(discrete), other)

    def test_other_action_dimensions_are_refused(self):
        with pytest.raises(DemoError, match=r"actions .* have shape \(2,\), and those of the environment \(3,\)"):
            check_demos(demonstrations(False), (self.BOX[0], spaces.Box(-1, 1, (3,), np.float32)))

    def test_the_message_about_an_action_out_of_bounds_says_where_and_by_how_much(self):
        narrow = (self.BOX[0], spaces.Box(-0.25, 0.35, (2,), np.float32))
        with pytest.raises(DemoError, match=r"1 of 8 .*outside by 0\.05: episode 2, step 3, component 1"):
            check_demos(demonstrations(False), narrow)

    def test_rounding_at_a_bound_is_allowed(self):
        check_demos(demonstrations(False), (self.BOX[0], spaces.Box(-0.3, 0.3 - 2e-7, (2,), np.float64)))

    def test_discrete_actions_out_of_range_are_refused(self):
        with pytest.raises(
            DemoError, match=r"Discrete\(1\); 4 of 8 .* The worst is 1, outside by 1: episode 0, step 1\."
        ):
            check_demos(demonstrations(), (self.SPACES[0], spaces.Discrete(1)))
        with pytest.raises(DemoError, match=r"The worst is 0, outside by 1"):
            check_demos(demonstrations(), (self.SPACES[0], spaces.Discrete(2, start=1)))

    def test_discrete_observations_must_be_in_range(self):
        t = demonstrations().transitions
        states = Transitions(**{**vars(t), "observations": np.arange(8), "next_observations": np.arange(1, 9)})
        demos = demonstrations(transitions=states)
        check_demos(demos, (spaces.Discrete(9), spaces.Discrete(2)))
        with pytest.raises(DemoError, match=r"observations must lie in Discrete\(8\).*The worst is 8"):
            check_demos(demos, (spaces.Discrete(8), spaces.Discrete(2)))
        with pytest.raises(DemoError, match=r"observations of the demonstrations.*are discrete"):
            check_demos(demos, self.SPACES)

    def test_other_kinds_of_space_are_refused(self):
        with pytest.raises(DemoError, match=r"do not fit the environment: Actions of MultiBinary\(2\) must have shape"):
            check_demos(demonstrations(), (self.SPACES[0], spaces.MultiBinary(2)))


class TestNames:
    @pytest.fixture
    def bundled(self, tmp_path, monkeypatch):
        """A package folder with one bundled file."""
        (tmp_path / "package" / "data").mkdir(parents=True)
        save_demos(demonstrations(), tmp_path / "package" / "data" / "Toy-v0.npz")
        monkeypatch.setattr("irl_probe.demos.loading.files", lambda package: tmp_path / "package")

    @pytest.mark.usefixtures("bundled")
    def test_a_bundled_name_loads_with_a_selection(self):
        assert bundled_demos() == ("Toy-v0",)
        demos = load_demos("Toy-v0", episodes=1, subsample=2, env_id="Other-v0")
        assert (len(demos.whole.lengths), demos.subsampled, demos.env_id) == (1, 2, "Other-v0")

    @pytest.mark.usefixtures("bundled")
    @pytest.mark.parametrize("name", ["toy-v0", "Toy-v1", "Toyv0"])
    def test_an_unknown_name_is_answered_with_the_nearest(self, name):
        with pytest.raises(DemoError, match=r"Did you mean 'Toy-v0'\? Bundled: Toy-v0\."):
            load_demos(name)

    def test_all_bundled_demonstrations_load_and_fit_their_environment(self):
        assert "CartPole-v1" in bundled_demos()
        for name in bundled_demos():
            demos = load_demos(name)
            assert demos.env_id == name
            check_demos(demos, (demos.observation_space, demos.action_space))

    def test_an_unknown_file_is_answered_with_the_nearest(self, tmp_path):
        write_flat(tmp_path / "hopper.npz")
        with pytest.raises(DemoError, match=r"There is no file .*hoper\.npz'\. Did you mean '.*hopper\.npz'\?"):
            load_demos(tmp_path / "hoper.npz")
        with pytest.raises(DemoError, match=r"There is no file .*nowhere/a\.npz'\. Give"):
            load_demos(tmp_path / "nowhere" / "a.npz")

    def test_the_constants_of_this_file_agree_with_demo_files(self):
        assert TERMINATED.tolist() == [True, False, False]
        assert np.allclose(demonstrations().whole.returns, RETURNS)
