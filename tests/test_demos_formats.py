"""Files of other libraries: written by them (here, or in tests/data by its scripts), and variants in their layouts.

D4RL has no writer of its own: its files are what h5py writes, and the package cannot be installed any more (it needs
mujoco_py), so h5py and NumPy write them here. pandas and polars are in test_demos_arrays.py, Stable-Baselines3 in
test_sb3_env.py.
"""

import json
from pathlib import Path

import datasets
import gymnasium
import h5py
import numpy as np
import pyarrow
import pytest
from demo_files import LENGTHS, TERMINATED, episodes, expected, write_d4rl, write_npy
from gymnasium import spaces
from pyarrow import parquet
from test_demos_readers import assert_same_steps, create_minari, with_ends

import irl_probe as ip
from irl_probe import Demonstrations, Transitions, save_demos
from irl_probe.demos import DemoError, check_demos, load_demos

RETURNS = [0.3, 1.0, 8.6]
LAST = np.cumsum(LENGTHS) - 1
# With one row a step and no final observation: episode 1 has one step, so nothing of it is left.
ROWS, SUCCESSORS = [[0, 0], [0, 1], [0, 2], [2, 0], [2, 1], [2, 2]], [[0, 1], [0, 2], [0, 2], [2, 1], [2, 2], [2, 3]]


DATA = Path(__file__).parent / "data"


class TestFilesThatTheirOwnLibrariesWrote:
    """Each folder or file of tests/data holds the episodes of demo_files; the scripts beside them name the versions."""

    @pytest.mark.parametrize(
        ("name", "terminated", "limit"),
        [
            ("imitation", [0], None),
            ("iq_learn_memory.npy", [0], None),
            ("iq_learn_expert.pkl", [0, 1], 4),
            ("iq_learn_expert.pkl", [0, 1, 2], None),
        ],
    )
    def test_files_with_all_successors(self, name, terminated, limit):
        demos = load_demos(DATA / name, time_limit=limit)
        assert_same_steps(demos, with_ends(expected(False), terminated))
        assert any("one flag" in note for note in demos.notes) == (len(terminated) == 3)

    def test_lerobot(self):
        demos = load_demos(DATA / "lerobot", time_limit=4)
        t, wanted = demos.transitions, expected(False)
        kept = [0, 1, 2, 3, 4, 5, 6]  # nothing says what followed the last step of an episode
        episode, time = wanted.observations[kept].T
        assert t.observations.tolist() == np.stack([episode, 2 * episode, time], axis=1).tolist()
        inner = [0, 1, 4, 5, 6]
        assert t.next_observations[inner].tolist() == (t.observations[inner] + [0, 0, 1]).tolist()
        assert t.actions.tolist() == wanted.actions[kept].tolist()
        assert t.terminated.tolist() == [False, False, True, True, False, False, False]
        assert not t.truncated[:-1].any()
        assert demos.whole.lengths.tolist() == list(LENGTHS)
        np.testing.assert_allclose(demos.whole.returns, RETURNS, rtol=1e-6)  # LeRobot's rewards are float32
        assert demos.notes[:2] == (
            "The observation is observation.environment_state, observation.state, one after the other.",
            "Left out, because they are not numbers: observation.images.wrist.",
        )
        assert load_demos(DATA / "lerobot").whole.terminated.all()

    def test_the_successor_that_robomimic_copies_in_place_of_the_unknown_one_is_not_read(self):
        demos = load_demos(DATA / "robomimic_d4rl.hdf5", time_limit=4)
        t, wanted = demos.transitions, expected(False)
        assert t.observations.tolist() == wanted.observations[:7].tolist()  # the truncated one loses its last step
        inner = [0, 1, 4, 5, 6]
        assert t.next_observations[inner].tolist() == wanted.next_observations[inner].tolist()
        assert t.actions.tolist() == wanted.actions[:7].tolist()
        assert t.terminated.tolist() == [False, False, True, True, False, False, False]
        assert demos.whole.truncated.tolist() == [False, False, True]
        np.testing.assert_allclose(demos.whole.returns, RETURNS, rtol=1e-6)
        assert demos.env_id == "toy-medium-v2"
        assert any("is a copy of its observation" in note for note in demos.notes)
        assert len(load_demos(DATA / "robomimic_d4rl.hdf5").transitions) == 8


def flat(discrete=True):
    """Observations without the final ones, actions, rewards, and (N,) marks of the last steps."""
    made = episodes(discrete)
    columns = [
        np.concatenate(c) for c in ([o[:-1] for o, _, _ in made], *zip(*[(a, r) for _, a, r in made], strict=True))
    ]
    return *columns, np.isin(np.arange(sum(LENGTHS)), LAST)


def rows_without_successors(demos):
    t = demos.transitions
    assert (t.observations.tolist(), t.next_observations.tolist()) == (ROWS, SUCCESSORS)
    assert demos.whole.positions.tolist() == [0, 2]
    np.testing.assert_allclose(demos.whole.returns, [RETURNS[0], RETURNS[2]])


class TestD4RLInNpz:
    @pytest.mark.parametrize("discrete", [True, False])
    def test_the_keys_mean_the_same_as_in_hdf5(self, tmp_path, discrete):
        with h5py.File(write_d4rl(tmp_path / "a.hdf5", discrete)) as file:
            arrays = {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}
        np.savez(tmp_path / "a.npz", **arrays)
        assert_same_steps(load_demos(tmp_path / "a.npz"), expected(discrete))
        del arrays["next_observations"]
        np.savez(tmp_path / "b.npz", **arrays)
        demos = load_demos(tmp_path / "b.npz")
        assert demos.content_hash() == load_demos(write_d4rl(tmp_path / "b.hdf5", discrete, False)).content_hash()

    def test_the_limit_is_taken_as_in_hdf5(self, tmp_path):
        o, a, r, last = flat()
        np.savez(tmp_path / "a.npz", observations=o, actions=a, rewards=r, terminals=last)
        assert load_demos(tmp_path / "a.npz", time_limit=4).whole.truncated.tolist() == [False, False, True]

    def test_missing_keys_are_named(self, tmp_path):
        np.savez(tmp_path / "a.npz", observations=np.zeros((3, 1)), terminals=np.zeros(3))
        with pytest.raises(DemoError, match="actions is missing"):
            load_demos(tmp_path / "a.npz")


def memory(discrete=True):
    """What IQ-Learn's Memory.save writes: np.asarray of a deque of tuples; `done` is cleared at a time limit."""
    t = expected(discrete)
    rows = np.empty((len(t), 5), dtype=object)
    for i in range(len(t)):
        rows[i] = [t.observations[i], t.next_observations[i], t.actions[i], float(t.rewards[i]), bool(t.terminated[i])]
    return rows


class TestIQLearnMemory:
    @pytest.mark.parametrize("discrete", [True, False])
    def test_rows_are_split_where_they_end_or_do_not_follow(self, tmp_path, discrete):
        demos = load_demos(write_npy(tmp_path / "a.npy", memory(discrete)))
        assert_same_steps(demos, expected(discrete))
        assert demos.notes == ()

    def test_discrete_states_are_whole_numbers_again(self, tmp_path):
        rows = np.array([(0, 1, 1, 0.5, 0.0), (1, 2, 0, 0.5, 1.0), (0, 2, 1, 0.5, 0.0)])  # NumPy makes floats of them
        t = load_demos(write_npy(tmp_path / "a.npy", rows)).transitions
        assert (t.observations.dtype, t.actions.dtype) == (np.int64, np.int64)
        assert (t.terminated.tolist(), t.truncated.tolist()) == ([False, True, False], [False, False, True])

    def test_a_shuffled_memory_is_refused(self, tmp_path):
        rows = memory()[np.random.default_rng(0).permutation(8)]
        with pytest.raises(DemoError, match=r"must be in time order; only \d of the \d rows.*from_arrays"):
            load_demos(write_npy(tmp_path / "a.npy", rows))

    def test_rows_that_are_not_numbers_are_refused(self, tmp_path):
        rows = memory()
        rows[3, 0] = "state"
        with pytest.raises(DemoError, match="'state' must be an array of numbers"):
            load_demos(write_npy(tmp_path / "a.npy", rows))
        rows[3, 0] = np.zeros(2)
        rows[0, 4] = 0.5
        with pytest.raises(DemoError, match="'done' must hold true or false"):
            load_demos(write_npy(tmp_path / "b.npy", rows))


class TestMinari:
    @pytest.fixture
    def minari(self):
        return pytest.importorskip("minari", reason="the optional package minari is not installed")

    @pytest.mark.parametrize("discrete", [True, False])
    def test_a_dataset_object_is_read_like_its_id(self, tmp_path, monkeypatch, minari, discrete):
        dataset = create_minari(minari, tmp_path, monkeypatch, discrete)
        assert_same_steps(Demonstrations.from_minari(dataset), expected(discrete))
        chosen = Demonstrations.from_minari(dataset.filter_episodes(lambda e: len(e) > 1))
        assert chosen.whole.lengths.tolist() == [3, 4]

    @pytest.mark.parametrize("mark", ["terminations", "truncations"])
    def test_after_a_mark_inside_an_episode_a_new_one_begins(self, tmp_path, monkeypatch, minari, mark):
        at = {"terminations": np.zeros(5, bool), "truncations": np.arange(5) == 4}
        at[mark] = at[mark] | (np.arange(5) == 1)
        buffer = minari.data_collector.EpisodeBuffer(
            observations=np.zeros((6, 2), np.float32), actions=np.zeros(5, int), rewards=np.ones(5), **at
        )
        dataset = create_minari(minari, tmp_path, monkeypatch, buffer=[buffer])
        demos = Demonstrations.from_minari(dataset)
        assert demos.whole.lengths.tolist() == [2, 3]
        assert demos.whole.terminated.tolist() == [mark == "terminations", False]
        assert demos.whole.truncated.tolist() == [mark == "truncations", True]
        assert "1 end marks stand before the last step" in demos.notes[0]

    def test_dict_observations_become_the_vectors_of_flatten_observation(self, tmp_path, monkeypatch, minari):
        space = spaces.Dict(
            {
                "z": spaces.Box(-9, 9, (2, 2), np.float32),
                "a": spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)]),
                "m": spaces.MultiDiscrete([2, 3]),
            }
        )
        rng = np.random.default_rng(0)
        rows = {
            "z": rng.normal(size=(3, 2, 2)).astype(np.float32),
            "a": (np.array([1, 3, 2]), np.eye(3, 2, dtype=np.int8)),
            "m": np.array([[0, 2], [1, 1], [1, 0]]),
        }
        buffer = minari.data_collector.EpisodeBuffer(
            observations=rows,
            actions=np.array([0, 1]),
            rewards=np.ones(2),
            terminations=np.array([False, True]),
            truncations=np.zeros(2, bool),
        )
        dataset = create_minari(minari, tmp_path, monkeypatch, buffer=[buffer], observation_space=space)
        demos = Demonstrations.from_minari(dataset)
        wanted = [
            spaces.flatten(space, {"z": rows["z"][i], "a": tuple(p[i] for p in rows["a"]), "m": rows["m"][i]})
            for i in range(3)
        ]
        np.testing.assert_array_equal(demos.transitions.observations, wanted[:2])
        np.testing.assert_array_equal(demos.transitions.next_observations, wanted[1:])
        assert demos.observation_space == space
        assert load_demos(save_demos(demos, tmp_path / "saved.npz")).observation_space == space
        check_demos(demos, (space, dataset.action_space))
        run = ip.train(demos, ip.IQConfig(steps=2, hidden=(4,), batch_size=2), progress=False)
        assert run.policy(demos.transitions.observations[:1]).shape == (1,)


def write_robomimic(path, *, done_mode=1, images=False, next_obs=True, env_type=1, **changes):
    """The layout of https://robomimic.github.io/docs/datasets/overview.html, with several keys in `obs`."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(LENGTHS)
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": env_type, "env_kwargs": {}})
        for i in (2, 0, 1):  # the order of creation is not that of the numbers
            o, a, r = episodes(False)[i]
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"] = len(a)
            arrays = {"actions": a, "rewards": r, "dones": np.arange(len(a)) == len(a) - 1} | changes
            if done_mode == 0:
                arrays["dones"] = np.full(len(a), i == 2) & (np.arange(len(a)) >= 1)
            for name, array in arrays.items():
                if array is not None:
                    demo[name] = np.asarray(array, dtype=int if name == "dones" else None)
            for prefix, rows in (("obs", o[:-1]), ("next_obs", o[1:] if next_obs else None)):
                if rows is not None:
                    demo[f"{prefix}/b_y"], demo[f"{prefix}/a_x"] = rows[:, 1:], rows[:, 0]
                    if images:
                        demo[f"{prefix}/front_image"] = np.zeros((len(a), 4, 4, 3), np.uint8)
        file["mask/train"] = np.array([b"demo_0", b"demo_1"])
    return path


class TestRobomimic:
    def test_demonstrations_in_the_order_of_their_numbers(self, tmp_path):
        demos = load_demos(write_robomimic(tmp_path / "a.hdf5", images=True), time_limit=4)
        assert_same_steps(demos, with_ends(expected(False), [0, 1]))
        assert "The observation is a_x, b_y" in demos.notes[0]
        assert "front_image" in demos.notes[1]
        assert demos.env_id is None
        assert load_demos(write_robomimic(tmp_path / "b.hdf5", env_type=2)).env_id == "Lift"

    def test_without_next_observations(self, tmp_path):
        demos = load_demos(write_robomimic(tmp_path / "a.hdf5", next_obs=False, dones=None))
        t = demos.transitions
        assert t.observations[:, 1].tolist() == [0, 1, 0, 1, 2]  # every episode was cut, and loses its last step
        assert demos.whole.truncated.all()
        assert "Nothing says how the episodes ended" in str(demos.describe())

    def test_an_episode_ends_at_its_first_success(self, tmp_path):
        demos = load_demos(write_robomimic(tmp_path / "a.hdf5", done_mode=0))
        assert demos.whole.lengths.tolist() == [3, 1, 2]
        assert demos.whole.terminated.tolist() == [False, False, True]
        assert demos.whole.returns.tolist() == pytest.approx([0.3, 1.0, 4.1])
        assert any("ends at its first" in note or "ends at the first" in note for note in demos.notes)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"actions": np.zeros((2, 2))}, "demo_0: each key must have one row a step"),
            ({"actions": None}, "a demonstration of robomimic needs the keys actions, obs; actions is missing"),
            ({"rewards": np.array([b"x"] * 3)}, "'rewards' must be an array of numbers|one row a step"),
        ],
    )
    def test_demonstrations_that_do_not_fit_are_refused(self, tmp_path, changes, message):
        with pytest.raises(DemoError, match=message):
            load_demos(write_robomimic(tmp_path / "a.hdf5", **changes))


def as_lists(arrays):
    return [np.asarray(array).tolist() for array in arrays]


class TestDatasets:
    """Folders that the package datasets wrote."""

    @pytest.mark.parametrize("discrete", [True, False])
    @pytest.mark.parametrize("infos", [True, False])
    def test_imitations_rows_of_trajectories(self, tmp_path, discrete, infos):
        o, a, r = zip(*episodes(discrete, np.float64), strict=True)
        rows = {"obs": as_lists(o), "acts": as_lists(a), "rews": as_lists(r), "terminal": [True] * 3}
        said = [{"TimeLimit.truncated": bool(not end), "x": {"py/object": "numpy.ndarray"}} for end in TERMINATED]
        written = [
            ["{}"] * (n - 1) + [json.dumps(info if infos else {})] for n, info in zip(LENGTHS, said, strict=True)
        ]
        datasets.Dataset.from_dict(rows | {"infos": written}).save_to_disk(tmp_path / "d")
        demos = load_demos(tmp_path / "d")
        assert demos.transitions.observations.dtype == np.float64  # the format "numpy" of datasets makes float32
        wanted = expected(discrete, np.float64) if infos else with_ends(expected(discrete, np.float64), [0, 1, 2])
        for name in ("observations", "next_observations", "terminated", "truncated", "rewards"):
            np.testing.assert_array_equal(getattr(demos.transitions, name), getattr(wanted, name))
        assert bool(demos.notes) is not infos

    def test_one_row_a_step_with_the_keys_of_d4rl(self, tmp_path):
        o, a, r, last = flat(False)
        terminals = last & np.repeat(TERMINATED, LENGTHS)
        rows = {"observations": o.tolist(), "actions": a.tolist(), "rewards": r, "terminals": terminals}
        datasets.Dataset.from_dict(rows | {"timeouts": last & ~terminals}).save_to_disk(tmp_path / "d")
        rows_without_successors(load_demos(tmp_path / "d"))

    def test_one_row_a_step_with_labels_in_a_fixed_shape(self, tmp_path):
        o, a, r, _ = flat(False)
        rows = {"observations": o, "actions": a, "rewards": r, "episode": np.repeat(["x", "y", "z"], LENGTHS)}
        rows |= {"terminated": np.repeat(TERMINATED, LENGTHS) & flat()[3]}
        kinds = datasets.Features(
            {
                "observations": datasets.Sequence(datasets.Value("float32"), length=2),
                "actions": datasets.Sequence(datasets.Value("float32"), length=2),
                "rewards": datasets.Value("float64"),
                "episode": datasets.Value("string"),
                "terminated": datasets.Value("bool"),
            }
        )
        whole = datasets.Dataset.from_dict(rows, features=kinds)
        datasets.DatasetDict({"train": whole}).save_to_disk(tmp_path / "d")
        rows_without_successors(load_demos(tmp_path / "d"))

    def test_one_row_an_episode_under_plain_names(self, tmp_path):
        o, a, r = map(as_lists, zip(*episodes(), strict=True))
        rows = {"observations": o, "actions": a, "rewards": r, "terminated": TERMINATED}
        datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "d")
        t = load_demos(tmp_path / "d").transitions
        np.testing.assert_array_equal(t.next_observations, expected().next_observations)
        assert t.actions.dtype == np.int64
        assert t.terminated.tolist() == expected().terminated.tolist()

    def test_other_folders_columns_and_gaps_are_refused(self, tmp_path):
        with pytest.raises(DemoError, match=r"is a folder, but not one of `datasets`.*or LeRobot"):
            load_demos(tmp_path)
        rows = {"observations": [[0.0], [1.0]], "actions": [0, 1]}
        datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "a")
        with pytest.raises(DemoError, match=r"there must be a column 'episode'.*from_dataframe"):
            load_demos(tmp_path / "a")
        datasets.Dataset.from_dict(rows | {"terminals": [None, True]}).save_to_disk(tmp_path / "b")
        with pytest.raises(DemoError, match="'terminals' must not have gaps; 1 entries are null"):
            load_demos(tmp_path / "b")
        datasets.Dataset.from_dict({"text": ["x"]}).save_to_disk(tmp_path / "c")
        with pytest.raises(DemoError, match="needs the keys observations, actions"):
            load_demos(tmp_path / "c")
        both = {name: datasets.Dataset.from_dict(rows) for name in ("train", "test")}
        datasets.DatasetDict(both).save_to_disk(tmp_path / "e")
        with pytest.raises(DemoError, match="splits train, test; give the folder of one of them"):
            load_demos(tmp_path / "e")
        (tmp_path / "b" / "state.json").write_text("{")
        with pytest.raises(DemoError, match="cannot be read"):
            load_demos(tmp_path / "b")

    def test_without_the_package_the_message_says_what_to_install(self, tmp_path, monkeypatch):
        (tmp_path / "state.json").touch()
        monkeypatch.setattr("irl_probe.demos.readers.hugging_face.find_spec", lambda name: None)
        with pytest.raises(DemoError, match=r"pip install 'irl_probe\[huggingface\]'"):
            load_demos(tmp_path)


def write_lerobot(folder, *, version="v3.0", done=True, rows=None, **changes):
    """LeRobot's layout (https://huggingface.co/docs/lerobot/lerobot-dataset-v3), to change and to damage."""
    o, a, r, last = flat(False)
    kinds = {
        "observation.images.front": {"dtype": "video", "shape": [4, 4, 3]},
        "observation.state": {"dtype": "float32", "shape": [1]},
        "observation.environment_state": {"dtype": "float32", "shape": [1]},
        "action": {"dtype": "float32", "shape": [2]},
        **({"next.done": {"dtype": "bool", "shape": [1]}} if done else {}),
        **{name: {"dtype": "float32", "shape": [1]} for name in ("next.reward", "timestamp")},
        **{name: {"dtype": "int64", "shape": [1]} for name in ("frame_index", "episode_index", "index", "task_index")},
    }
    frame = np.concatenate([np.arange(n) for n in LENGTHS])
    columns = {
        "observation.environment_state": [[x] for x in o[:, 0].tolist()],
        "observation.state": [[y] for y in o[:, 1].tolist()],
        "action": a.tolist(),
        "next.done": last,
        "next.reward": r,
        "timestamp": frame / 10,
        "frame_index": frame,
        "episode_index": np.repeat(np.arange(3), LENGTHS),
        "index": np.arange(8),
        "task_index": np.zeros(8, int),
    } | changes
    columns = {name: values for name, values in columns.items() if done or name != "next.done"}
    (folder / "meta").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    info = {"codebase_version": version, "total_episodes": 3, "total_frames": 8, "fps": 10, "features": kinds}
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    table = pyarrow.table(columns)
    if rows is not None:
        table = table.take(rows)
    for i, part in enumerate((table.slice(0, 5), table.slice(5))):
        parquet.write_table(part, folder / "data" / "chunk-000" / f"file-{i:03d}.parquet")
    return folder


class TestLeRobot:
    def test_frames_become_steps_and_the_clock_needs_the_limit(self, tmp_path):
        demos = load_demos(write_lerobot(tmp_path / "d"), time_limit=4)
        assert demos.whole.terminated.tolist() == [True, True, False]
        assert demos.transitions.observations.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0], [2, 1], [2, 2]]
        np.testing.assert_allclose(demos.whole.returns, RETURNS)
        assert "observation.environment_state, observation.state" in demos.notes[0]
        assert "observation.images.front" in demos.notes[1]
        unlimited = load_demos(tmp_path / "d")
        assert unlimited.whole.terminated.all()
        assert "time_limit" in str(unlimited.describe())

    def test_without_marks_each_end_is_a_truncation(self, tmp_path):
        demos = load_demos(write_lerobot(tmp_path / "d", done=False, version="v2.1"))
        assert demos.whole.truncated.all()
        assert demos.whole.positions.tolist() == [0, 2]

    def test_the_order_of_the_rows_does_not_matter(self, tmp_path):
        wanted = load_demos(write_lerobot(tmp_path / "a"))
        mixed = load_demos(write_lerobot(tmp_path / "b", rows=[4, 0, 7, 2, 1, 6, 3, 5]))
        assert mixed.content_hash() == wanted.content_hash()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"version": "v1.6"}, "versions 2 and 3 of LeRobot's layout are read; this one is 'v1.6'"),
            (
                {"next.done": np.arange(8) == 1},
                "must stop where 'next.done' is true; in episode 0 it is true at step 1",
            ),
            ({"frame_index": np.arange(8)}, "frames of an episode must be 0, 1, 2, …; episode 1 has frame 3"),
            ({"action": [[0.0]] * 7 + [None]}, "'action' must not have gaps"),
            ({"action": [[0.0]] * 7 + [[0.0, 1.0]]}, "'action' must have rows of one shape"),
        ],
    )
    def test_files_that_do_not_fit_are_refused(self, tmp_path, changes, message):
        with pytest.raises(DemoError, match=message):
            load_demos(write_lerobot(tmp_path / "d", **changes))

    def test_damaged_files_are_refused(self, tmp_path):
        folder = write_lerobot(tmp_path / "d")
        file = folder / "data" / "chunk-000" / "file-001.parquet"
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(DemoError, match="parquet files cannot be read"):
            load_demos(folder)
        (folder / "meta" / "info.json").write_text("[]")
        with pytest.raises(DemoError, match="must be the JSON that LeRobot writes"):
            load_demos(folder)


def test_every_reader_gives_transitions_that_fit_an_environment(tmp_path):
    env = gymnasium.make("CartPole-v1")
    t = load_demos("CartPole-v1", episodes=1).transitions
    rows = {"observations": t.observations, "actions": t.actions, "next_observations": t.next_observations}
    np.savez(tmp_path / "a.npz", **rows, rewards=t.rewards, terminals=t.terminated, timeouts=t.truncated)
    loaded = load_demos(tmp_path / "a.npz", env_id="CartPole-v1").transitions
    assert isinstance(loaded, Transitions)
    assert loaded.content_hash() == t.content_hash()
    env.close()
