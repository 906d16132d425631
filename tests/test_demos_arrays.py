"""Numbers from outside: masks, byte orders, dtypes, marks and gaps; demonstrations from arrays and tables."""

import gymnasium
import numpy as np
import pandas as pd
import polars
import pytest
from demo_files import LENGTHS, TERMINATED, episodes, expected, write_d4rl
from gymnasium import spaces

import irl_probe as ip
from irl_probe import Demonstrations, Transitions
from irl_probe.demos import DemoError, check_demos, load_demos, save_demos
from irl_probe.metrics import correlations, ranking_agreement

RETURNS = [0.3, 1.0, 8.6]
LAST = np.cumsum(LENGTHS) - 1
STEPS = expected()


def steps(**changes):
    return Transitions(**{**vars(STEPS), **changes})


def marks(of):
    flags = np.zeros(sum(LENGTHS), bool)
    flags[LAST] = of
    return flags


def same_steps(demos, wanted=STEPS):
    for name, value in vars(wanted).items():
        np.testing.assert_array_equal(getattr(demos.transitions, name), value, err_msg=name)
    np.testing.assert_allclose(demos.whole.returns, RETURNS)
    assert demos.whole.lengths.tolist() == list(LENGTHS)


class TestNumbersFromOutside:
    @pytest.mark.parametrize("name", ["observations", "actions", "next_observations", "rewards", "terminated"])
    def test_masked_entries_are_refused(self, name):
        array = np.ma.array(getattr(STEPS, name))
        array[2] = np.ma.masked
        with pytest.raises(ValueError, match=rf"'{name}' must have no masked entries; \d of \d+ are masked.*Leave"):
            steps(**{name: array})

    def test_a_mask_that_hides_nothing_is_no_mask(self):
        t = steps(rewards=np.ma.array(STEPS.rewards, mask=False))
        assert type(t.rewards) is np.ndarray
        assert t.content_hash() == STEPS.content_hash()

    def test_masked_entries_are_refused_by_measures_and_by_from_arrays(self):
        hidden = np.ma.array(np.arange(8.0), mask=np.arange(8) == 3)
        with pytest.raises(ValueError, match="'true' must have no masked entries"):
            correlations(np.arange(8.0), hidden, [4, 4], resamples=2)
        with pytest.raises(DemoError, match=r"'rewards' must be an array of numbers.*masked"):
            Demonstrations.from_arrays(np.zeros((8, 1)), np.zeros(8, int), rewards=hidden, lengths=[8])

    def test_masked_values_of_a_reward_are_refused(self):
        def reward(observations, actions, next_observations, terminated):
            return np.ma.array(np.ones(len(observations)), mask=np.arange(len(observations)) == 0)

        with pytest.raises(ip.RewardError, match="some of its values are masked"):
            ip.rewards.evaluate_reward(reward, STEPS, name="mine")

    def test_big_endian_arrays_have_the_hash_of_native_ones_and_can_be_saved(self, tmp_path):
        foreign = {n: v.astype(v.dtype.newbyteorder(">")) for n, v in vars(STEPS).items() if v.dtype.itemsize > 1}
        t = steps(**foreign)
        assert all(array.dtype.isnative for array in vars(t).values())
        assert t.content_hash() == STEPS.content_hash()
        demos = Demonstrations(t, None, "a FITS file")
        assert load_demos(save_demos(demos, tmp_path / "a.npz")).content_hash() == demos.content_hash()

    def test_whole_observations_before_fractions_keep_the_fractions(self, tmp_path):
        t = steps(observations=np.arange(16).reshape(8, 2), next_observations=np.arange(16.0).reshape(8, 2) + 0.5)
        assert (t.observations.dtype, t.next_observations.dtype) == (np.float64, np.float64)
        assert t.next_observations[0, 0] == 0.5
        demos = Demonstrations(t, None, "a test")
        assert load_demos(save_demos(demos, tmp_path / "a.npz")).content_hash() == demos.content_hash()

    def test_float16_rewards_are_summed_in_float64(self):
        t = Transitions(
            np.zeros((4096, 1)), np.zeros(4096, int), np.zeros((4096, 1)), np.zeros(4096, bool), np.zeros(4096, bool),
            np.zeros(4096, int), np.full(4096, 30, np.float16),
        )  # fmt: skip
        assert t.returns().tolist() == [4096 * 30.0]  # float16 ends at 65504

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"terminated": np.full(8, np.nan)}, "'terminated' must hold true or false"),
            ({"truncated": np.full(8, 0.5)}, "'truncated' must hold true or false"),
            ({"terminated": np.array(["False"] * 8)}, "'terminated' must hold true or false"),
            ({"episode": np.arange(8) / 4}, "'episode' must hold whole numbers"),
            ({"episode": np.array(list("aabbccdd"))}, "'episode' must hold whole numbers.*np.unique"),
            ({"observations": np.zeros((8, 2), complex)}, "'observations' must be real numbers; got dtype complex128"),
        ],
    )
    def test_marks_labels_and_numbers_of_another_kind_are_refused(self, changes, message):
        with pytest.raises(ValueError, match=message):
            steps(**changes)

    def test_a_numpy_number_can_be_the_subsampling_of_a_saved_file(self, tmp_path):
        demos = Demonstrations(STEPS, None, "a test").subsample(np.int64(2))
        assert load_demos(save_demos(demos, tmp_path / "a.npz")).subsampled == 2

    def test_numpy_seeds_give_what_python_seeds_give(self):
        def still(observations, deterministic=True, rng=None):
            return np.zeros(len(observations), int)

        recorded = {
            ip.record_demos(still, "CartPole-v1", 1, seed=s).content_hash() for s in (3, np.int64(3), np.uint8(3))
        }
        assert len(recorded) == 1
        rolled = {ip.coverages("MountainCar-v0", episodes=1, seed=s)["random"].content_hash() for s in (3, np.int64(3))}
        assert len(rolled) == 1
        assert ip.evaluate(still, "CartPole-v1", episodes=1, seed=np.uint8(3)).lengths.size == 1
        assert ip.envs.simulator("CartPole-v1", seed=np.int32(3)).deterministic
        ip.rewards.check_reward_model(ip.load_reward("CartPole-v1/iq"), "CartPole-v1", steps=4, seed=np.int64(3))


class TestOutliers:
    """One huge sum must not tie the others: their ranks are exact."""

    def test_ranks_of_sums_are_those_of_the_sums_beside_an_outlier(self):
        rng = np.random.default_rng(0)
        true = rng.normal(size=100)
        recovered = true.copy()
        true[-1] = recovered[-1] = 1e15
        found = correlations(recovered, true, [2] * 50, window=2, resamples=5)
        opposite = correlations(np.append(-recovered[:-1], 1e15), true, [2] * 50, window=2, resamples=5)
        for level in ("partial", "episode"):
            for metric in ("spearman", "kendall"):
                assert found.at(metric, level).value == pytest.approx(1, abs=1e-12)
                assert opposite.at(metric, level).value < -0.8  # 49 sums reversed, one in its place

    def test_means_of_policies_are_not_tied_by_an_outlier(self):
        levels = [0.0, 1.0, 2.0, 1e15]
        true = [np.full(4, level) for level in levels]
        wrong = [np.full(4, -level if level < 10 else level) for level in levels]
        assert ranking_agreement(true, true, resamples=5).value == pytest.approx(1)
        assert ranking_agreement(true, wrong, resamples=5).value == pytest.approx(0)  # three pairs right, three wrong


class TestRowsThatAreLeftOut:
    def test_a_last_row_without_a_reward_is_a_final_observation_and_not_a_step(self, tmp_path):
        rewards = np.ones(8)
        rewards[7] = np.nan
        demos = load_demos(write_d4rl(tmp_path / "a.hdf5", next_observations=False, rewards=rewards))
        assert demos.whole.returns.tolist() == [3, 3]
        assert demos.whole.lengths.tolist() == [3, 3]
        assert demos.transitions.lengths.tolist() == [3, 3]
        assert "read as a final observation" in str(demos.describe())

    def test_an_infinite_reward_in_a_left_out_row_is_refused(self, tmp_path):
        rewards = np.ones(8)
        rewards[7] = np.inf
        path = write_d4rl(tmp_path / "a.hdf5", next_observations=False, rewards=rewards)
        with pytest.raises(DemoError, match="'rewards' must be finite; the last step of episode 2 holds inf"):
            load_demos(path)

    def test_a_reward_that_is_not_finite_in_an_episode_that_is_left_out_does_not_matter(self, tmp_path):
        rewards = np.ones(8)
        rewards[3] = np.nan
        demos = load_demos(write_d4rl(tmp_path / "a.hdf5", next_observations=False, rewards=rewards))
        assert demos.whole.returns.tolist() == [3, 4]

    def test_positions_and_messages_name_the_place_in_the_source(self, tmp_path):
        demos = load_demos(write_d4rl(tmp_path / "a.hdf5", next_observations=False))
        assert demos.whole.positions.tolist() == [0, 2]  # episode 1 has one step and no successor
        assert demos.episodes([1]).whole.positions.tolist() == [2]
        actions = np.zeros((8, 1))
        actions[5] = np.inf
        with pytest.raises(DemoError, match="'actions' must be finite; episode 2, step 1"):
            load_demos(write_d4rl(tmp_path / "b.hdf5", next_observations=False, actions=actions))


def columns(discrete=True):
    made = episodes(discrete)
    return [o for o, _, _ in made], [a for _, a, _ in made], [r for _, _, r in made]


class TestFromArrays:
    @pytest.mark.parametrize("discrete", [True, False])
    def test_lists_of_episodes_with_final_observations(self, discrete):
        o, a, r = columns(discrete)
        same_steps(Demonstrations.from_arrays(o, a, rewards=r, terminated=TERMINATED), expected(discrete))

    @pytest.mark.parametrize("ends", [TERMINATED, list(TERMINATED), marks(TERMINATED), marks(TERMINATED)[:, None]])
    @pytest.mark.parametrize("where", [{"lengths": LENGTHS}, {"episode": np.repeat(["b", "a", "c"], LENGTHS)}])
    def test_one_array_with_lengths_or_labels_and_marks_of_episodes_or_steps(self, ends, where):
        o, a, r = map(np.concatenate, columns())
        same_steps(Demonstrations.from_arrays(o, a, rewards=r, terminated=ends, **where))

    def test_labels_may_also_cover_the_final_observations(self):
        o, a, r = map(np.concatenate, columns())
        labels = np.repeat([5, 4, 9], np.add(LENGTHS, 1))
        same_steps(Demonstrations.from_arrays(o, a, rewards=r, episode=labels, terminated=TERMINATED))

    def test_next_observations_and_marks_alone_say_where_episodes_end(self):
        t = STEPS
        given = {"rewards": t.rewards, "next_observations": t.next_observations}
        ends = {"terminated": t.terminated, "truncated": t.truncated}
        same_steps(Demonstrations.from_arrays(t.observations, t.actions, **given, **ends))

    def test_without_final_observations_no_successor_is_invented(self):
        t = STEPS
        demos = Demonstrations.from_arrays(
            t.observations, t.actions, rewards=t.rewards, lengths=LENGTHS, terminated=TERMINATED
        )
        assert demos.transitions.next_observations[:, 1].tolist() == [1, 2, 2, 1, 2, 3]
        assert demos.whole.positions.tolist() == [0, 2]
        np.testing.assert_allclose(demos.whole.returns, [0.3, 8.6])
        assert "no next_observations" in str(demos.describe())

    def test_without_marks_each_end_is_a_truncation_and_a_note_says_so(self):
        o, a, _ = columns()
        demos = Demonstrations.from_arrays(o, a)
        assert demos.whole.truncated.all()
        assert "Nothing says how the episodes ended" in demos.notes[0]
        assert Demonstrations.from_arrays(o, a, terminated=True).whole.terminated.all()
        assert Demonstrations.from_arrays(o, a, truncated=True).notes == ()

    def test_scalar_and_whole_actions_take_the_shape_and_kind_of_their_space(self):
        o = np.zeros((4, 2))
        box = spaces.Box(-1, 1, (1,), np.float32)
        scalar = spaces.Box(-1.0, 1.0, (), np.float32)
        seen = spaces.Box(-9, 9, (2,), np.float64)
        for space, given in ((box, np.array([0, 1, 0])), (scalar, np.array([0.5, 0, 1])), (box, np.zeros((3, 1)))):
            demos = Demonstrations.from_arrays([o], [given], action_space=space, observation_space=seen)
            assert demos.transitions.actions.shape == (3, *space.shape)
            assert demos.transitions.actions.dtype.kind == "f"
            check_demos(demos, (seen, space))
        found = Demonstrations.from_arrays([o], [np.array([0.0, 1.0, 0.0])], action_space=spaces.Discrete(2))
        assert found.transitions.actions.dtype == np.int64
        with pytest.raises(DemoError, match=r"'actions' of Discrete\(2\) must be whole numbers"):
            Demonstrations.from_arrays([o], [np.array([0.0, 0.5, 0.0])], action_space=spaces.Discrete(2))

    def test_a_later_change_of_the_given_arrays_changes_nothing(self):
        t = STEPS
        given = [t.observations.copy(), t.actions.copy(), t.next_observations.copy()]
        demos = Demonstrations.from_arrays(given[0], given[1], next_observations=given[2], lengths=LENGTHS)
        before = demos.content_hash()
        for array in given:
            array += 1
        assert demos.content_hash() == before

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({}, "where one episode ends and the next begins must be known.*lengths="),
            ({"lengths": [3, 1, 5]}, "lengths of the episodes must sum to the number of actions; they sum to 9"),
            ({"lengths": [4, 2, 5]}, "sum to the number of actions"),  # observations counted
            ({"lengths": [3.0, 1.0, 4.0]}, "'lengths' must be whole numbers"),
            ({"lengths": [8, 0]}, "each of at least one step"),
            ({"lengths": LENGTHS, "episode": np.zeros(8)}, "either lengths= or episode="),
            ({"episode": [0, 0, 1, 1, 0, 0, 2, 2]}, "episode .*0.* begins again.*Sort the rows"),
            ({"episode": [0, 1]}, "one label for each observation or action"),
            ({"lengths": LENGTHS, "terminated": True, "truncated": True}, "not by both; episode 0 has both.*wins"),
            (
                {"lengths": LENGTHS, "truncated": [True, False, True]},
                "episode 1, and nothing says whether",
            ),
            ({"lengths": LENGTHS, "terminated": np.arange(8) == 1}, "in episode 0 it is true at step 1.*Split it"),
            (
                {"lengths": LENGTHS, "terminated": [True, False]},
                "each of the 3 episodes or 8 steps; got 2",
            ),
            (
                {"lengths": [8], "next_observations": STEPS.next_observations},
                "time order.*after step 2 of episode 0",
            ),
            (
                {"lengths": LENGTHS, "next_observations": np.zeros((7, 2))},
                "'next_observations' must have one row a step",
            ),
            ({"lengths": LENGTHS, "rewards": np.zeros(7)}, "'rewards' must have one row a step"),
        ],
    )
    def test_arrays_that_are_ambiguous_or_do_not_fit_are_refused(self, changes, message):
        with pytest.raises(DemoError, match=message):
            Demonstrations.from_arrays(STEPS.observations, STEPS.actions, source="mine", **changes)

    @pytest.mark.parametrize(
        ("observations", "actions", "message"),
        [
            (
                [np.zeros((4, 2)), np.zeros((3, 2))],
                [np.zeros(3, int)] * 2,
                "one observation more.*episode 1",
            ),
            ([np.zeros((9, 2))], [np.zeros(3, int)], "episode 0 has 9 observations and 3 actions"),
            ([np.zeros((4, 2))], [np.zeros(3, int)] * 2, "as many episodes as 'observations', 1; it has 2"),
            ([np.zeros(2)] * 3, [0, 1, 0], "an entry is a single number. For arrays with one row a step give lengths="),
            ([np.zeros((4, 2))], np.zeros(3, int), "'observations' is a list.*so 'actions' must be one too"),
            ([], [], "at least one episode"),
        ],
    )
    def test_lists_that_do_not_fit_are_refused(self, observations, actions, message):
        with pytest.raises(DemoError, match=message):
            Demonstrations.from_arrays(observations, actions)

    def test_they_train_and_fit_their_environment(self):
        env = gymnasium.make("CartPole-v1")
        demos = load_demos("CartPole-v1", episodes=1)
        t = demos.transitions
        mine = Demonstrations.from_arrays(
            [np.concatenate([t.observations, t.next_observations[-1:]])],
            [t.actions],
            truncated=True,
            env_id=demos.env_id,
        )
        check_demos(mine, env)
        assert mine.content_hash() == Transitions(**{**vars(t), "rewards": None}).content_hash()


def table(final=True):
    """The rows of all episodes as columns; the last row of each is its final observation, without an action."""
    rows = []
    for i, (o, a, r) in enumerate(episodes()):
        for t in range(len(a) + final):
            over = t == len(a) - 1
            step = t < len(a)
            rows.append(
                {
                    "x": o[t, 0],
                    "y": o[t, 1],
                    "act": int(a[t]) if step else None,
                    "r": r[t] if step else None,
                    "end": bool(over and TERMINATED[i]),
                    "who": f"run {i}",
                    "t": t,
                }
            )
    return {name: [row[name] for row in rows] for name in rows[0]}


NAMES = {"observations": ["x", "y"], "actions": "act", "episode": "who", "rewards": "r", "terminated": "end"}


class TestFromDataFrame:
    @pytest.mark.parametrize("make", [pd.DataFrame, polars.DataFrame])
    def test_rows_with_final_observations(self, make):
        demos = Demonstrations.from_dataframe(make(table()), **NAMES, action_space=spaces.Discrete(2))
        same_steps(demos)

    def test_whole_numbers_with_gaps_stay_whole_where_the_column_says_so(self):
        nullable = pd.DataFrame(table()).astype({"act": "Int64"})
        for frame in (nullable, polars.DataFrame(table())):
            assert Demonstrations.from_dataframe(frame, **NAMES).transitions.actions.dtype == np.int64

    @pytest.mark.parametrize("make", [pd.DataFrame, polars.DataFrame])
    def test_rows_without_final_observations_in_any_order_of_time(self, make):
        plain = {name: np.array(values) for name, values in table(final=False).items()}
        shuffled = np.array([2, 0, 1, 3, 7, 5, 6, 4])
        mixed = make({name: values[shuffled] for name, values in plain.items()})
        wanted = Demonstrations.from_dataframe(make(plain), **NAMES)
        assert Demonstrations.from_dataframe(mixed, **NAMES, time="t").content_hash() == wanted.content_hash()
        assert wanted.transitions.observations[:, 1].tolist() == [0, 1, 2, 0, 1, 2]

    @pytest.mark.parametrize("make", [pd.DataFrame, polars.DataFrame])
    def test_cells_may_hold_vectors(self, make):
        rows = table()
        rows["o"] = [list(pair) for pair in zip(rows["x"], rows["y"], strict=True)]
        names = NAMES | {"observations": "o", "action_space": spaces.Discrete(2)}
        same_steps(Demonstrations.from_dataframe(make(rows), **names))

    def test_columns_and_gaps_that_do_not_fit_are_refused(self):
        frame = pd.DataFrame(table())
        with pytest.raises(DemoError, match=r"there is no column 'acts'. Did you mean 'act'"):
            Demonstrations.from_dataframe(frame, **NAMES | {"actions": "acts"})
        gap = frame.copy()
        gap.loc[1, "act"] = None
        with pytest.raises(DemoError, match="may be missing only in the last row of an episode"):
            Demonstrations.from_dataframe(gap, **NAMES)
        with pytest.raises(DemoError, match=r"the column 't' must differ from row to row.*twice or a gap"):
            Demonstrations.from_dataframe(frame.assign(t=0), **NAMES, time="t")
        with pytest.raises(DemoError, match="begins again"):
            Demonstrations.from_dataframe(pd.DataFrame(table(False)).iloc[[0, 4, 1]], **NAMES)

    def test_a_csv_file_is_named_its_way(self, tmp_path):
        pd.DataFrame(table()).to_csv(tmp_path / "a.csv")
        with pytest.raises(DemoError, match=r"Demonstrations\.from_dataframe"):
            load_demos(tmp_path / "a.csv")


@pytest.mark.parametrize("given", ["mine.csv", [[0.0, 1]], None])
def test_what_is_not_a_table_is_refused_with_the_way_to_read_one(given):
    with pytest.raises(DemoError, match=r"takes a table of pandas or polars; got .*pandas\.read_csv"):
        Demonstrations.from_dataframe(given, observations="x", actions="a", episode="e")


def test_a_misspelt_keyword_is_refused_and_not_swallowed():
    with pytest.raises(TypeError, match="reward"):
        Demonstrations.from_arrays([np.zeros((3, 2))], [np.zeros((3, 1))], reward=[np.ones(3)])
    with pytest.raises(TypeError, match="dones"):
        Demonstrations.from_dataframe(pd.DataFrame({"x": [0.0]}), observations="x", actions="x", episode="x", dones="x")


@pytest.mark.parametrize(
    ("actions", "stated", "message"),
    [
        (np.array([0, 1, 5]), {"action_space": spaces.Discrete(2)}, r"must lie in Discrete\(2\); 1 of 3"),
        (np.full((3, 1), 2.0), {"action_space": spaces.Box(-1, 1, (1,))}, "must lie in Box"),
        (np.array([0, 1, 1]), {"observation_space": spaces.Box(-1, 1, (3,))}, r"have shape \(2,\)"),
    ],
)
def test_steps_outside_the_stated_spaces_are_refused(actions, stated, message):
    with pytest.raises(DemoError, match=message):
        Demonstrations.from_arrays([np.zeros((4, 2))], [actions], **stated)


def test_times_as_text_are_refused_because_they_would_be_sorted_as_text():
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "a": [0, 1, 0], "t": ["1", "10", "2"], "e": 0})
    with pytest.raises(DemoError, match="'t' must hold numbers or dates to sort by"):
        Demonstrations.from_dataframe(frame, observations="x", actions="a", episode="e", time="t")
