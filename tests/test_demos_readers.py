"""Each format of other projects is read as it is defined; damaged or hostile files raise DemoError and nothing else."""

import pickle
import random
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from demo_files import (
    LENGTHS,
    TERMINATED,
    episodes,
    expected,
    iq_learn_dict,
    write_d4rl,
    write_flat,
    write_imitation,
    write_npy,
    write_pickle,
)
from gymnasium import spaces

from irl_probe import Demonstrations, Transitions
from irl_probe.demos import DemoError, load_demos, save_demos
from tests.fuzzing import demo_files, fuzz_demos

SHARED = Path(__file__).parents[2] / "shared" / "demos"
RETURNS = [0.3, 1.0, 8.6]


def assert_same_steps(demos, wanted):
    got = demos.transitions
    for name, value in vars(wanted).items():
        np.testing.assert_array_equal(getattr(got, name), value, err_msg=name)
    assert got.actions.dtype == (np.int64 if wanted.actions.ndim == 1 else np.float32)
    np.testing.assert_allclose(demos.whole.returns, RETURNS)
    assert demos.whole.lengths.tolist() == list(LENGTHS)


def with_ends(t, terminated):
    """`t`, but the episodes listed in `terminated` end by termination and the others by truncation."""
    last = np.append(t.starts[1:], len(t)) - 1
    ends = np.zeros(len(t), dtype=bool)
    ends[last[terminated]] = True
    clock = np.zeros(len(t), dtype=bool)
    clock[last] = True
    return Transitions(**{**vars(t), "terminated": ends, "truncated": clock & ~ends})


@pytest.mark.parametrize("discrete", [True, False])
class TestEveryFormatGivesTheSameSteps:
    def test_flat(self, tmp_path, discrete):
        assert_same_steps(load_demos(write_flat(tmp_path / "a.npz", discrete)), expected(discrete))

    def test_imitation(self, tmp_path, discrete):
        demos = load_demos(write_imitation(tmp_path / "a.npz", discrete))
        assert_same_steps(demos, expected(discrete))
        assert demos.notes == ()

    def test_d4rl(self, tmp_path, discrete):
        assert_same_steps(load_demos(write_d4rl(tmp_path / "a.hdf5", discrete)), expected(discrete))

    @pytest.mark.parametrize("container", [tuple, list, np.asarray])
    @pytest.mark.parametrize("protocol", [0, 2, 4, 5])
    def test_iq_learn_pickle(self, tmp_path, discrete, container, protocol):
        path = write_pickle(tmp_path / "a.pkl", iq_learn_dict(discrete, container), protocol)
        assert_same_steps(load_demos(path), with_ends(expected(discrete), [0, 1, 2]))

    def test_iq_learn_npy(self, tmp_path, discrete):
        path = write_npy(tmp_path / "a.npy", iq_learn_dict(discrete))
        assert_same_steps(load_demos(path), with_ends(expected(discrete), [0, 1, 2]))

    def test_minari(self, tmp_path, discrete, monkeypatch):
        minari = pytest.importorskip("minari", reason="the optional package minari is not installed")
        create_minari(minari, tmp_path, monkeypatch, discrete)
        demos = load_demos("minari:toy/walk/test-v0")
        assert_same_steps(demos, expected(discrete))
        assert demos.observation_space == spaces.Box(-np.inf, np.inf, (2,), np.float32)
        assert demos.action_space == action_space(discrete)


def action_space(discrete):
    return spaces.Discrete(2) if discrete else spaces.Box(-1, 1, (2,), np.float32)


def create_minari(minari, folder, monkeypatch, discrete=True, **changes):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    buffers = []
    for (observations, actions, rewards), terminated in zip(episodes(discrete), TERMINATED, strict=True):
        last = np.arange(len(actions)) == len(actions) - 1
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                observations=observations,
                actions=actions,
                rewards=rewards,
                terminations=last & terminated,
                truncations=last & ~terminated,
            )
        )
    given = {
        "dataset_id": "toy/walk/test-v0",
        "buffer": buffers,
        "observation_space": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "action_space": action_space(discrete),
        "algorithm_name": "none",
        "author": "a test",
        "author_email": "a@example.org",
        "code_permalink": "https://example.org",
        "description": "a test",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # minari warns that there is no evaluation environment
        return minari.create_dataset_from_buffers(**(given | changes))


class TestTimeLimits:
    """Files of other projects mark the end of the clock as the end of the MDP."""

    def test_an_iq_learn_file_needs_the_limit_to_separate_truncation_from_termination(self, tmp_path):
        path = write_pickle(tmp_path / "a.pkl", iq_learn_dict())
        plain, limited = load_demos(path), load_demos(path, time_limit=4)
        assert plain.whole.terminated.tolist() == [True, True, True]
        assert "load it with time_limit=" in str(plain.describe())
        assert limited.whole.terminated.tolist() == [True, True, False]
        assert limited.whole.truncated.tolist() == [False, False, True]
        assert limited.notes == ()
        assert_same_steps(limited, with_ends(expected(), [0, 1]))

    def test_a_trajectory_that_is_not_marked_done_is_truncated(self, tmp_path):
        cut = iq_learn_dict()
        cut["dones"] = [(False,) * n for n in LENGTHS]
        assert load_demos(write_pickle(tmp_path / "a.pkl", cut)).whole.truncated.all()

    def test_an_imitation_file_without_infos_is_read_by_its_flag_and_a_note_says_so(self, tmp_path):
        path = write_imitation(tmp_path / "a.npz", clock_in_infos=False, rewards=False)
        demos = load_demos(path)
        assert demos.whole.terminated.all()
        assert "time_limit" in demos.notes[0]
        assert demos.transitions.rewards is None
        assert load_demos(path, time_limit=4).whole.truncated.tolist() == [False, False, True]

    def test_the_time_limit_also_applies_to_subsampled_saved_files(self, tmp_path):
        demos = load_demos(write_pickle(tmp_path / "a.pkl", iq_learn_dict())).subsample(3)
        limited = load_demos(save_demos(demos, tmp_path / "a.npz"), time_limit=4)
        assert limited.transitions.terminated.tolist() == [False, True, True, False, False]
        assert limited.transitions.truncated.tolist() == [False, False, False, False, True]

    def test_a_limit_shorter_than_an_episode_is_refused(self, tmp_path):
        with pytest.raises(DemoError, match=r"longer than time_limit=3; episode 2 has 4 steps"):
            load_demos(write_flat(tmp_path / "a.npz"), time_limit=3)

    def test_a_limit_below_one_is_refused(self, tmp_path):
        with pytest.raises(DemoError, match="at least 1; got 0"):
            load_demos(write_flat(tmp_path / "a.npz"), time_limit=0)


class TestD4RL:
    def test_without_next_observations_no_successor_is_the_observation_after_a_reset(self, tmp_path):
        demos = load_demos(write_d4rl(tmp_path / "a.hdf5", True, next_observations=False))
        t = demos.transitions
        assert t.observations.tolist() == [
            [0, 0],
            [0, 1],
            [0, 2],
            [2, 0],
            [2, 1],
            [2, 2],
        ]  # episode 1 is gone
        assert t.next_observations.tolist() == [[0, 1], [0, 2], [0, 2], [2, 1], [2, 2], [2, 3]]
        assert t.terminated.tolist() == [False, False, True, False, False, False]
        assert t.truncated.tolist() == [False] * 5 + [True]
        assert demos.whole.lengths.tolist() == [3, 4]
        np.testing.assert_allclose(demos.whole.returns, [RETURNS[0], RETURNS[2]])
        assert "no next_observations" in demos.notes[0]

    def test_a_terminal_at_the_limit_is_a_truncation_without_an_invented_successor(self, tmp_path):
        marked = np.zeros(8, dtype=bool)
        marked[[2, 3, 7]] = True
        path = write_d4rl(tmp_path / "a.hdf5", True, next_observations=False, timeouts=False, terminals=marked)
        demos = load_demos(path, time_limit=4)
        assert demos.whole.truncated.tolist() == [False, False, True]
        assert demos.transitions.next_observations[-1].tolist() == [
            2,
            3,
        ]  # the fourth step is only the successor of the third

    def test_without_timeouts_the_limit_ends_episodes(self, tmp_path):
        nothing = np.zeros(8, dtype=bool)
        path = write_d4rl(tmp_path / "a.hdf5", timeouts=False, next_observations=False, terminals=nothing)
        assert load_demos(path, time_limit=3).whole.lengths.tolist() == [3, 3, 2]
        assert load_demos(path).whole.lengths.tolist() == [8]
        assert load_demos(path).whole.truncated.tolist() == [True]
        assert "all rows were read as one" in load_demos(path).notes[0]

    @pytest.mark.parametrize("marked", [False, True])
    def test_an_episode_ends_where_the_next_row_is_not_its_next_observation(self, tmp_path, marked):
        path = write_d4rl(tmp_path / "a.hdf5", timeouts=False, terminals=(np.arange(8) == 3) & marked)
        demos = load_demos(path)
        assert demos.transitions.episode.tolist() == expected(False).episode.tolist()
        assert demos.whole.lengths.tolist() == [3, 1, 4]
        assert demos.whole.truncated.tolist() == [True, not marked, True]
        np.testing.assert_allclose(demos.whole.returns, RETURNS)
        assert demos.notes[0].startswith(f"{1 if marked else 2} episodes end without a mark")
        assert load_demos(path, time_limit=3).whole.lengths.tolist() == [3, 1, 3, 1]
        assert not load_demos(write_d4rl(tmp_path / "b.hdf5")).notes

    def test_with_timeouts_the_limit_does_not_start_an_episode(self, tmp_path):
        with pytest.raises(DemoError, match="longer than time_limit=2"):
            load_demos(write_d4rl(tmp_path / "a.hdf5"), time_limit=2)

    def test_terminated_wins_over_a_timeout(self, tmp_path):
        whole = load_demos(write_d4rl(tmp_path / "a.hdf5", terminals=np.arange(8) == 7)).whole  # timeouts: 3 and 7
        assert (whole.terminated.tolist(), whole.truncated.tolist()) == ([False, False, True], [True, True, False])

    def test_columns_of_one_are_vectors(self, tmp_path):
        columns = {"terminals": np.arange(8)[:, None] == 7, "rewards": np.ones((8, 1)), "timeouts": None}
        assert load_demos(write_d4rl(tmp_path / "a.hdf5", **columns)).whole.returns.tolist() == [3.0, 1.0, 4.0]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"actions": None}, "needs the keys observations, actions, terminals; actions is missing"),
            ({"actions": np.zeros((7, 2))}, "one row a step, at least one; the shapes are"),
            ({"observations": np.float64(3)}, "one row a step, at least one; the shapes are"),
            ({"terminals": np.arange(8)}, "'terminals' must hold true or false"),
            ({"terminals": np.zeros((8, 2), bool)}, "'terminals' must be one number a step"),
            ({"rewards": np.full(8, np.nan)}, "'rewards' must be finite; episode 0, step 0"),
        ],
    )
    def test_keys_that_are_missing_or_do_not_fit_are_refused(self, tmp_path, changes, message):
        with pytest.raises(DemoError, match=message):
            load_demos(write_d4rl(tmp_path / "a.hdf5", **changes))

    def test_one_step_without_a_successor_is_refused(self, tmp_path):
        one = {name: np.zeros((1, 2)) for name in ("observations", "actions")}
        one |= {"rewards": np.zeros(1), "terminals": np.zeros(1, bool)}
        path = write_d4rl(tmp_path / "a.hdf5", timeouts=False, next_observations=False, **one)
        with pytest.raises(DemoError, match="one step without a next observation"):
            load_demos(path)


class TestFlat:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"terminated": None}, "terminated is missing. The file has: actions, episode_lengths, observations"),
            ({"observations": np.zeros((8, 2))}, "one more than the actions in each episode, 11 rows in all"),
            ({"actions": np.zeros(7, int)}, "'actions' must have one row a step, 8 for the 3 episodes"),
            ({"episode_lengths": np.array([3, 0, 5])}, "each of at least one step"),
            ({"episode_lengths": np.array([], int)}, "at least one episode"),
            ({"episode_lengths": np.ones((3, 1))}, "vector of whole numbers"),
            ({"truncated": np.zeros(2, bool)}, "'truncated' must say how each of the 3 episodes ended"),
            ({"actions": np.array(["a"] * 8)}, "'actions' must be an array of numbers; got dtype <U1"),
            ({"observations": None, "episode_lengths": None}, "not those of a known layout"),
        ],
    )
    def test_keys_that_are_missing_or_do_not_fit_are_refused(self, tmp_path, changes, message):
        with pytest.raises(DemoError, match=message):
            load_demos(write_flat(tmp_path / "a.npz", **changes))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_the_message_about_a_number_that_is_not_finite_names_episode_and_step(self, tmp_path, value):
        observations = np.concatenate([o for o, _, _ in episodes()])
        observations[7, 1] = value  # episode 2, its second observation
        with pytest.raises(DemoError, match=r"a\.npz: 'observations' must be finite; episode 2, step 1 holds"):
            load_demos(write_flat(tmp_path / "a.npz", observations=observations))

    def test_a_vector_of_floats_becomes_a_column_and_one_of_integers_stays_discrete(self, tmp_path):
        t = load_demos(write_flat(tmp_path / "a.npz", observations=np.arange(11.0), actions=np.ones(8))).transitions
        assert (t.observations.shape, t.actions.shape) == ((8, 1), (8, 1))
        t = load_demos(
            write_flat(tmp_path / "b.npz", observations=np.arange(11, dtype=">i2"), actions=np.ones((8, 1), bool))
        ).transitions
        assert (t.observations.shape, t.observations.dtype, t.actions.shape) == ((8,), np.dtype(np.int64), (8,))

    def test_big_endian_and_fortran_arrays_are_read(self, tmp_path):
        observations = np.concatenate([o for o, _, _ in episodes()]).astype(">f4")
        path = write_flat(tmp_path / "a.npz", observations=np.asfortranarray(observations))
        assert_same_steps(load_demos(path), expected())


class TestIQLearn:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"lengths": [3, 1, 5]}, "'lengths' does not say how long the trajectories are"),
            ({"actions": [(0,) * 3, (0,) * 2, (0,) * 4]}, "in trajectory 1 it has 2 and 'states' 1. Repair the file"),
            ({"rewards": [(-1,) * 3, (-1,)]}, "'rewards' must have as many trajectories as 'states', 3; it has 2"),
            ({"states": 3}, "a list with one sequence per trajectory"),
            ({"rewards": [-1, -1, -1]}, "an entry is a single number"),
            ({"dones": [(True, False, True), (True,), (False,) * 4]}, "true at a trajectory's last step only"),
            ({"states": ["abc", "a", "abcd"]}, "'states' must be an array of numbers; got dtype <U"),
            ({"actions": [[[0], [0, 1], [0]], [[0]], [[0]] * 4]}, "rows of one shape"),
            ({"actions": [np.zeros((3, 2)), np.zeros((1, 3)), np.zeros((4, 2))]}, "must have rows of one shape; got"),
            ({n: [] for n in ("states", "next_states", "actions", "rewards", "dones", "lengths")}, "at least one"),
        ],
    )
    def test_keys_that_are_missing_or_do_not_fit_are_refused(self, tmp_path, changes, message):
        with pytest.raises(DemoError, match=message):
            load_demos(write_pickle(tmp_path / "a.pkl", iq_learn_dict(**changes)))

    def test_missing_keys_are_named(self, tmp_path):
        data = dict(iq_learn_dict())
        del data["next_states"], data["dones"]
        with pytest.raises(DemoError, match=r"next_states, dones are missing. The file has: actions, lengths, rewards"):
            load_demos(write_pickle(tmp_path / "a.pkl", data))

    def test_rewards_and_lengths_may_be_absent(self, tmp_path):
        data = dict(iq_learn_dict())
        del data["rewards"], data["lengths"]
        assert load_demos(write_pickle(tmp_path / "a.pkl", data)).describe().returns is None

    @pytest.mark.parametrize("value", [[1, 2], np.arange(3), {"a"}])
    def test_a_file_without_a_dict_is_refused(self, tmp_path, value):
        with pytest.raises(DemoError, match="hold a dict with states"):
            load_demos(write_pickle(tmp_path / "a.pkl", value))
        if isinstance(value, np.ndarray):
            with pytest.raises(DemoError, match="this one holds a ndarray"):
                load_demos(write_npy(tmp_path / "a.npy", value))

    def test_arrays_written_by_an_older_numpy_are_read(self, tmp_path):
        raw = pickle.dumps(iq_learn_dict(container=np.asarray), protocol=2)
        path = tmp_path / "a.pkl"
        path.write_bytes(raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        assert_same_steps(load_demos(path, time_limit=4), with_ends(expected(), [0, 1]))

    def test_fortran_and_big_endian_arrays_in_a_pickle_are_read(self, tmp_path):
        def twisted(array):
            array = np.asarray(array)
            return np.asfortranarray(array).astype(array.dtype.newbyteorder(">"))

        for protocol in (2, 5):
            path = write_pickle(tmp_path / "a.pkl", iq_learn_dict(container=twisted), protocol)
            assert_same_steps(load_demos(path, time_limit=4), with_ends(expected(), [0, 1]))


class Hostile:
    """An object that would write a file if it were unpickled in the usual way."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


class Opcodes:
    """Raw pickles that name a function in other ways."""

    SYSTEM = b"cos\nsystem\n(S'true'\ntR."
    STACKED = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
    DOTTED = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    INSTANCE = b"(S'true'\nios\nsystem\n."


class TestHostilePickles:
    def assert_refused_and_not_run(self, path, target, name="io.open"):
        with pytest.raises(DemoError, match=rf"asks for '{name}'.*refused and nothing was run"):
            load_demos(path)
        assert not target.exists()

    def test_the_attack_works_if_pickle_reads_the_file(self, tmp_path):
        pickle.loads(pickle.dumps(Hostile(tmp_path / "owned"))).close()
        assert (tmp_path / "owned").exists()

    @pytest.mark.parametrize("protocol", [0, 2, 4, 5])
    def test_a_pickle_that_would_write_a_file_is_refused(self, tmp_path, protocol):
        data = dict(iq_learn_dict(), extra=Hostile(tmp_path / "owned"))
        path = write_pickle(tmp_path / "a.pkl", data, protocol)
        self.assert_refused_and_not_run(path, tmp_path / "owned", "(io|_io).open|__builtin__.open")

    def test_such_a_pickle_in_an_npy_file_is_refused(self, tmp_path):
        path = write_npy(tmp_path / "a.npy", dict(iq_learn_dict(), extra=Hostile(tmp_path / "owned")))
        self.assert_refused_and_not_run(path, tmp_path / "owned", "(io|_io).open")

    def test_such_a_pickle_in_the_infos_of_an_npz_file_is_refused(self, tmp_path):
        path = write_imitation(tmp_path / "a.npz")
        with np.load(path, allow_pickle=True) as file:
            arrays = dict(file)
        arrays["infos"][0] = {"x": Hostile(tmp_path / "owned")}
        np.savez(path, **arrays)
        self.assert_refused_and_not_run(path, tmp_path / "owned", "(io|_io).open")

    def test_such_a_pickle_in_an_array_of_a_flat_file_is_refused(self, tmp_path):
        path = write_flat(tmp_path / "a.npz", rewards=np.array([Hostile(tmp_path / "owned")] * 8, dtype=object))
        self.assert_refused_and_not_run(path, tmp_path / "owned", "(io|_io).open")

    @pytest.mark.parametrize(
        ("raw", "name"),
        [
            (Opcodes.SYSTEM, "os.system"),
            (Opcodes.STACKED, "posix.system"),
            (Opcodes.DOTTED, "numpy.ndarray.tofile"),
            (Opcodes.INSTANCE, "os.system"),
        ],
    )
    def test_a_function_named_by_raw_opcodes_is_refused(self, tmp_path, raw, name):
        (tmp_path / "a.pkl").write_bytes(raw)
        with pytest.raises(DemoError, match=f"asks for '{name}'"):
            load_demos(tmp_path / "a.pkl")

    def test_a_refused_module_is_not_even_imported(self, tmp_path):
        assert "antigravity" not in sys.modules
        (tmp_path / "a.pkl").write_bytes(b"cantigravity\nfly\n.")
        with pytest.raises(DemoError, match=r"antigravity\.fly"):
            load_demos(tmp_path / "a.pkl")
        assert "antigravity" not in sys.modules

    def test_a_type_with_object_fields_over_raw_bytes_is_refused(self, tmp_path):
        array = np.zeros(3, dtype=[("x", "O"), ("y", "f8")])
        with pytest.raises(DemoError, match=r"arrays of type 'V16' are not read"):
            load_demos(write_pickle(tmp_path / "a.pkl", array))

    def test_an_array_larger_than_its_bytes_is_refused_before_memory_is_taken(self, tmp_path):
        raw = pickle.dumps(np.zeros(3), protocol=2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85")
        (tmp_path / "a.pkl").write_bytes(raw)
        with pytest.raises(DemoError, match="bytes do not fit its shape"):
            load_demos(tmp_path / "a.pkl")

    def test_a_huge_memo_index_is_refused_before_memory_is_taken(self, tmp_path):
        (tmp_path / "a.pkl").write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
        with pytest.raises(DemoError, match="memo index beyond the file's size"):
            load_demos(tmp_path / "a.pkl")


class TestMinari:
    @pytest.fixture
    def minari(self):
        return pytest.importorskip("minari", reason="the optional package minari is not installed")

    def test_a_dataset_states_its_environment_and_spaces(self, tmp_path, monkeypatch, minari):
        buffer = minari.data_collector.EpisodeBuffer(
            observations=np.zeros((3, 4), np.float32),
            actions=np.array([0, 1]),
            rewards=np.ones(2),
            terminations=np.array([False, False]),
            truncations=np.array([False, False]),
        )
        env = gymnasium.make("CartPole-v1")
        create_minari(
            minari, tmp_path, monkeypatch, buffer=[buffer], env=env, observation_space=None, action_space=None
        )
        demos = load_demos("minari:toy/walk/test-v0", episodes=1)
        assert (demos.env_id, demos.action_space) == ("CartPole-v1", env.action_space)
        assert demos.whole.truncated.tolist() == [True]  # not marked: cut

    def test_the_message_about_a_missing_dataset_says_how_to_get_it_and_names_the_nearest(
        self, tmp_path, monkeypatch, minari
    ):
        create_minari(minari, tmp_path, monkeypatch)
        with pytest.raises(DemoError, match=r"Did you mean 'minari:toy/walk/test-v0'\? Download.*minari download toy/"):
            load_demos("minari:toy/walk/tset-v0")

    def test_without_the_package_the_message_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr("irl_probe.demos.readers.minari.find_spec", lambda name: None)
        with pytest.raises(DemoError, match=r"pip install 'irl_probe\[minari\]'"):
            load_demos("minari:toy/walk/test-v0")


def saved(path):
    return save_demos(load_demos(write_flat(path.with_suffix(".flat.npz"))).subsample(2), path)


FORMATS = {
    "own.npz": saved,
    "flat.npz": write_flat,
    "imitation.npz": write_imitation,
    "d4rl.hdf5": write_d4rl,
    "iq.pkl": lambda path: write_pickle(path, iq_learn_dict()),
    "iq0.pkl": lambda path: write_pickle(path, iq_learn_dict(container=np.asarray), 0),
    "iq.npy": lambda path: write_npy(path, iq_learn_dict(container=np.asarray)),
}


@pytest.mark.parametrize("name", FORMATS)
class TestDamage:
    def test_the_message_about_an_empty_file_says_that_it_is_empty(self, tmp_path, name):
        (tmp_path / name).touch()
        with pytest.raises(DemoError, match=r"is empty \(0 bytes\)"):
            load_demos(tmp_path / name)

    def test_a_file_cut_off_anywhere_is_refused(self, tmp_path, name):
        raw = FORMATS[name](tmp_path / name).read_bytes()
        for size in np.unique(np.linspace(1, len(raw) - 1, 150).astype(int)):
            (tmp_path / name).write_bytes(raw[:size])
            with pytest.raises(
                DemoError, match=r"damaged or cut off|is not a whole|with \w+ infos|must|needs the keys"
            ):
                load_demos(tmp_path / name)

    def test_random_bytes_give_demonstrations_or_a_demo_error(self, tmp_path, name):
        raw = FORMATS[name](tmp_path / name).read_bytes()
        outcomes = {True: 0, False: 0}
        for seed in range(250):
            chance = random.Random(seed)
            changed = bytearray(raw)
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            (tmp_path / name).write_bytes(changed)
            try:
                demos = load_demos(tmp_path / name)
            except DemoError:
                outcomes[False] += 1
            else:
                outcomes[True] += 1
                str(demos.describe())
        assert outcomes[False] > 10

    def test_a_file_of_another_kind_with_that_suffix_is_refused(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"not what it says" * 100)
        with pytest.raises(DemoError, match=r"damaged|is not a whole"):
            load_demos(tmp_path / name)


class TestPaths:
    def test_what_is_no_path_is_refused_and_the_message_names_the_way_in(self):
        with pytest.raises(DemoError, match=r"or a path; got ndarray\. Give arrays to Demonstrations.from_arrays"):
            load_demos(np.zeros((3, 2)))
        with pytest.raises(DemoError, match=r"a minari.MinariDataset; got str.*load_demos: 'minari:<dataset id>'"):
            Demonstrations.from_minari("toy/mine-v0")

    def test_other_suffixes_are_refused(self, tmp_path):
        (tmp_path / "a.csv").write_text("1")
        with pytest.raises(DemoError, match=r"read from \.npz, \.hdf5, \.h5, \.npy, \.pkl; got '\.csv'"):
            load_demos(tmp_path / "a.csv")

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(DemoError, match="is a folder"):
            load_demos(tmp_path)

    def test_a_single_transition_loads(self, tmp_path):
        one = {"observations": np.zeros((2, 2)), "actions": np.zeros(1, int), "rewards": np.ones(1)}
        ends = {"episode_lengths": np.ones(1, int), "terminated": [True], "truncated": [False]}
        demos = load_demos(write_flat(tmp_path / "a.npz", **one, **ends))
        assert len(demos) == 1
        assert "termination 1" in str(demos.describe())


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"there are no experts in {SHARED}")
class TestSharedExperts:
    """The returns are those of the table in shared/demos/README.md."""

    @pytest.mark.parametrize(
        ("name", "episodes", "mean", "sd"),
        [
            ("CartPole-v1", 25, 500, 0),
            ("Acrobot-v1", 25, -73.4, 10.6),
            ("Hopper-v5", 25, 3655, 17),
            ("Hopper-v5-smooth", 25, 3728, 4),
            ("HalfCheetah-v5", 25, 9405, 104),
            ("HalfCheetah-v5-smooth", 25, 4138, 80),
            ("Ant-v5", 25, 5074, 123),
            ("Humanoid-v5", 10, 8241, 38),
        ],
    )
    def test_the_returns_are_those_of_the_table(self, name, episodes, mean, sd):
        described = load_demos(SHARED / f"{name}.npz", subsample=20).describe()
        assert described.episodes == episodes
        assert described.returns.mean == pytest.approx(mean, abs=0.51)
        assert described.returns.sd == pytest.approx(sd, abs=0.51)
        assert described.terminated + described.truncated == episodes

    def test_acrobot_terminates_and_cartpole_is_truncated(self):
        assert load_demos(SHARED / "Acrobot-v1.npz").whole.terminated.all()
        assert load_demos(SHARED / "CartPole-v1.npz").whole.truncated.all()


@pytest.mark.parametrize("kind", list(demo_files()))
def test_a_mutated_file_loads_or_is_refused(kind, tmp_path):
    outcomes = fuzz_demos(kind, tmp_path, 60, seed=3)
    assert outcomes["refused"] > 10
