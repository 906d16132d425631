"""Results combined and printed: rewards side by side, runs stacked and averaged, tables for a paper."""

import json

import numpy as np
import pytest
import trees
import xarray as xr
from scipy import stats

from irl_probe.metrics import iqm
from irl_probe.results import (
    average_runs,
    correlation_group,
    decomposition_group,
    distance_group,
    join_results,
    learning_group,
    load_results,
    merge_results,
    new_results,
    points_group,
    retraining_group,
    returns_group,
    save_results,
    stack_runs,
    to_dataframe,
    to_latex,
    to_markdown,
    transfer_group,
    validate,
)

LABELS = {"references": ["true"], "coverages": ["expert"], "metrics": ["pearson"], "levels": ["step", "episode"]}


def correlated(figures: dict[str, float], *, controls=("none",)) -> xr.Dataset:
    """Step and episode correlations of each reward: the figure and the figure + .1, intervals .05 to either side."""
    value = np.zeros((len(figures), 1, 1, 1, 2, len(controls), 3))
    for row, figure in enumerate(figures.values()):
        value[row, 0, 0, 0, :, :] = np.array([figure, figure + 0.1])[:, None, None] + np.array([0, -0.05, 0.05])
    reason = np.where(np.isnan(value[..., 0]), "the true reward is constant", "")
    return correlation_group(value, reason, rewards=list(figures), controls=list(controls), **LABELS)


def run_of(seed: int, figure: float, **attributes) -> xr.DataTree:
    episodes = {"expert": [10.0, 12.0], "learned": [8.0 + seed] * (2 + seed), "random": [0.0, 0.0]}
    return new_results(
        {
            "correlation": correlated({"iq": figure}),
            "returns": returns_group(episodes, episodes, resamples=9),
            "learning": learning_group([0, 10], {"return_mean": [seed, 2.0 + seed]}),
            "retraining": retraining_group([[9.0 + seed]], rewards=["iq"], seeds=[1], normalised=[[0.9 + seed / 100]]),
            "points/expert": points_group(np.arange(3 + seed), np.ones(3 + seed), {"iq": np.ones(3 + seed)}),
        },
        env_id="Grid",
        seed=seed,
        gamma=0.9,
        **attributes,
    )


FIGURES = (0.1, 0.2, 0.6)


@pytest.fixture
def runs() -> dict[int, xr.DataTree]:
    return {seed: run_of(seed, figure) for seed, figure in enumerate(FIGURES)}


def test_rewards_that_were_measured_separately_are_merged_side_by_side():
    points = {"points/expert": points_group([0, 0, 1], [1, 2, 3], {"a": [1, 2, 3]})}
    one = new_results({"correlation": correlated({"a": 0.5}), **points}, env_id="Grid")
    points = {"points/expert": points_group([0, 0, 1], [1, 2, 3], {"b": [3, 2, 1]})}
    other = new_results({"correlation": correlated({"b": 0.7}, controls=["none", "length"]), **points}, gamma=0.9)
    merged = merge_results(one, other)
    validate(merged)
    assert merged.attrs["env_id"] == "Grid"
    assert merged.attrs["gamma"] == 0.9
    assert merged["points/expert"]["recovered"].sel(reward="b").values.tolist() == [3, 2, 1]
    value = merged["correlation"]["value"].sel(level="step", bound="estimate", control="none").squeeze()
    assert value.to_series().to_dict() == {"a": 0.5, "b": 0.7}
    reason = merged["correlation"]["reason"].sel(reward="a", control="length", level="step").item()
    assert reason == "It was not measured in this run."


def test_merging_keeps_all_labels_and_is_exact_on_disk(tmp_path):
    names = ["z", "a", "m"]
    merged = merge_results(*(new_results({"correlation": correlated({n: 0.5})}) for n in names))
    assert set(merged["correlation"]["reward"].values) == set(names)
    xr.testing.assert_identical(load_results(save_results(merged, tmp_path / "merged.nc")), merged)


def test_merging_refuses_results_that_do_not_fit_together():
    one = new_results({"correlation": correlated({"a": 0.5})})
    with pytest.raises(ValueError, match=r"'/correlation' holds other figures under the same labels. Rename a reward"):
        merge_results(one, new_results({"correlation": correlated({"a": 0.6})}))
    with pytest.raises(ValueError, match=r"agree on 'gamma'; got 0\.9 and 0\.5"):
        merge_results(new_results({}, gamma=0.9), new_results({}, gamma=0.5))
    steps = [{"points/x": points_group([0], [true], {n: [0.0]})} for true, n in ((1.0, "a"), (2.0, "b"))]
    with pytest.raises(ValueError, match="side by side on the same steps only; '/points/x' holds different ones"):
        merge_results(*(new_results(groups) for groups in steps))
    log = new_results({"learning": learning_group([0], {"loss": [1.0]})})
    with pytest.raises(ValueError, match="A tree can have only one '/learning'; 2 results hold it"):
        merge_results(log, log)


def test_runs_are_stacked_with_their_own_attributes_kept(runs):
    stacked = stack_runs(runs, "seed")
    value = stacked["correlation"]["value"].sel(level="step", bound="estimate").squeeze()
    assert value.values.tolist() == list(FIGURES)
    assert value["seed"].values.tolist() == [0, 1, 2]
    assert stacked["learning"]["return_mean"].dims == ("seed", "step")
    assert stacked["retraining"]["return_mean"].values.tolist() == [[9, 10, 11]]
    assert "points" not in stacked.children
    assert stacked.attrs["gamma"] == 0.9
    assert "seed" not in stacked.attrs
    assert [own["seed"] for own in json.loads(stacked.attrs["runs"]).values()] == [0, 1, 2]
    assert json.loads(stacked.attrs["runs"])["0"].keys() >= {"created", "versions", "config"}


def test_stacked_runs_are_exact_on_disk_and_tidy(runs, tmp_path):
    stacked = stack_runs(runs, "seed")
    loaded = load_results(save_results(stacked, tmp_path / "runs.nc"))
    xr.testing.assert_identical(loaded, stacked)
    table = to_dataframe(loaded).query("group == 'correlation' and level == 'step'")
    assert dict(zip(table["seed"], table["estimate"], strict=True)) == dict(enumerate(FIGURES))


def test_seeds_nest_in_tasks_and_figures_that_a_task_lacks_are_undefined_with_a_reason(runs):
    other = new_results({"correlation": correlated({"bc": 0.3})})
    nested = stack_runs({"one": stack_runs(runs, "seed"), "two": stack_runs({0: other}, "seed")}, "task")
    value = nested["correlation"]["value"]
    assert value.dims[:2] == ("task", "seed")
    assert float(value.sel(task="one", seed=2, reward="iq", level="step", bound="estimate").squeeze()) == 0.6
    assert nested["correlation"]["reason"].sel(task="two", seed=0, reward="iq", level="step").item() != ""
    assert set(to_dataframe(nested)["task"]) == {"one", "two"}


def test_average_is_the_mean_over_runs_with_an_interval_over_runs(runs):
    averaged = average_runs(stack_runs(runs, "seed"))
    assert averaged["correlation"]["value"].dims[0] == "reward"
    estimate, low, high = averaged["correlation"]["value"].sel(level="step").squeeze().values
    assert estimate == pytest.approx(0.3)
    # Student's t of the three runs is at least as narrow; correlations end at ±1
    half = stats.t.ppf(0.975, 2) * np.std(FIGURES, ddof=1) / np.sqrt(3)
    assert -1 <= low < 0.3 - half
    assert min(0.3 + half, 1) <= high <= 1
    assert averaged["returns"]["mean"].sel(policy="learned", bound="estimate").item() == 9
    assert averaged["learning"]["return_mean"].dims == ("seed", "step")
    assert averaged["retraining"]["normalised_mean"].sel(bound="estimate").item() == pytest.approx(0.91)
    assert averaged.attrs["averaged"] == "mean over seed"
    assert averaged.attrs["runs_averaged"] == 3


def test_the_average_of_two_runs_has_no_interval(runs):
    averaged = average_runs(stack_runs({seed: runs[seed] for seed in (0, 1)}, "seed"))
    for group, name in (("correlation", "value"), ("returns", "mean"), ("retraining", "mean")):
        ends = averaged[group][name].sel(bound=["low", "high"])
        assert ends.isnull().all()
        assert "over seeds" in averaged[group].attrs["interval"]


def test_runs_are_counted_and_not_the_seeds_that_they_retrained_with():
    group = retraining_group([[9.0, 8.0]], rewards=["iq"], seeds=[0, 1], normalised=[[0.9, 0.8]])
    runs = {seed: new_results({"retraining": group}) for seed in range(3)}
    averaged = average_runs(stack_runs(runs, "seed"))
    assert averaged["retraining"].sizes["seed"] == 6
    assert averaged.attrs["runs_averaged"] == 3


def test_transfers_are_averaged_over_runs_by_their_normalised_value():
    def transferred(value: float) -> xr.DataTree:
        figures = np.full((1, 2, 3), value)
        group = transfer_group(
            np.full((1, 2, 2), value), variants=["mass ×2"], policies=["iq", "true reward"], seeds=[0, 1],
            mean=figures, value=figures, reason=np.full((1, 2), ""), parameter=["mass"], factor=[2.0],
        )  # fmt: skip
        return new_results({"transfer": group})

    averaged = average_runs(stack_runs({0: transferred(0.2), 1: transferred(0.6)}, "seed"))
    value = averaged["transfer"]["value"]
    assert value.dims == ("variant", "policy", "bound")
    assert value.sel(policy="iq", bound="estimate").item() == pytest.approx(0.4)
    assert averaged["transfer"]["factor"].item() == 2


def test_average_by_interquartile_mean():
    figures = [0.0, 0.2, 0.3, 0.9]
    stacked = stack_runs({s: new_results({"correlation": correlated({"a": f})}) for s, f in enumerate(figures)}, "seed")
    averaged = average_runs(stacked, statistic="iqm")
    value = averaged["correlation"]["value"].sel(level="step", bound="estimate").item()
    assert value == pytest.approx(float(iqm(figures)))


def test_the_average_is_undefined_if_a_run_is_and_has_that_runs_reason():
    figures = [0.5, np.nan]
    stacked = stack_runs({s: new_results({"correlation": correlated({"a": f})}) for s, f in enumerate(figures)}, "seed")
    group = average_runs(stacked)["correlation"].to_dataset()
    assert group["value"].isnull().all()
    assert set(group["reason"].values.ravel()) == {"the true reward is constant"}


def test_one_run_has_no_interval_over_runs(runs):
    averaged = average_runs(stack_runs({0: runs[0]}, "seed"))
    assert averaged["correlation"]["value"].sel(bound=["low", "high"]).isnull().all()


def test_stacking_and_averaging_refuse_wrong_arguments_and_say_why(runs):
    with pytest.raises(ValueError, match="stacked along one of seed, task, variant; got 'seeds'"):
        stack_runs(runs, "seeds")
    with pytest.raises(ValueError, match="at least one run to stack"):
        stack_runs({}, "seed")
    stacked = stack_runs(runs, "seed")
    with pytest.raises(ValueError, match=r"Run '7' is stacked along 'seed' already"):
        stack_runs({7: stacked}, "seed")
    with pytest.raises(ValueError, match="Nothing is stacked along 'task' here"):
        average_runs(stacked, "task")
    with pytest.raises(ValueError, match="must be one of mean, iqm; got 'median'"):
        average_runs(stacked, statistic="median")


def test_markdown_holds_intervals_and_the_best_in_bold():
    tree = new_results({"correlation": correlated({"iq": 0.5, "bc": -0.2, "true": 1.0}, controls=("none", "constant"))})
    assert to_markdown(tree).splitlines() == [
        "| reward | step, none | step, constant | episode, none | episode, constant |",
        "|---|---:|---:|---:|---:|",
        "| iq | **0.50 [0.45, 0.55]** | 0.50 [0.45, 0.55] | **0.60 [0.55, 0.65]** | 0.60 [0.55, 0.65] |",
        "| bc | −0.20 [−0.25, −0.15] | −0.20 [−0.25, −0.15] | −0.10 [−0.15, −0.05] | −0.10 [−0.15, −0.05] |",
        "| true | 1.00 [0.95, 1.05] | 1.00 [0.95, 1.05] | 1.10 [1.05, 1.15] | 1.10 [1.05, 1.15] |",
    ]


def test_latex_escapes_names_and_prints_minus_signs():
    text = to_latex(new_results({"correlation": correlated({"iq_50%": 0.5, "bc & co": -0.2})}))
    assert text.startswith("\\begin{tabular}{lrr}\n\\toprule\nreward & step, none & episode, none \\\\")
    assert "iq\\_50\\% & $\\mathbf{0.50}$ {\\small $[0.45, 0.55]$} &" in text
    assert "bc \\& co & $-0.20$ {\\small $[-0.25, -0.15]$} &" in text


def test_least_distance_is_best_and_exact_figures_have_no_interval():
    value = np.array([[0.2, 0.3], [0.1, np.nan]])[:, None, None, :, None].repeat(3, axis=-1)
    group = distance_group(
        value, np.where(np.isnan(value[..., 0]), "why", ""), rewards=["a", "b"], references=["true"],
        coverages=["uniform"], metrics=["epic", "dard"], exact=True,
    )  # fmt: skip
    lines = to_markdown(new_results({"distance": group}), "distance", digits=1).splitlines()
    assert lines[2:] == ["| a | 0.2 | 0.3 |", "| b | **0.1** | – |"]


def test_the_least_residual_and_the_largest_share_of_the_truth_are_best_and_shaping_has_no_best():
    value = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])[:, None, None, :, None].repeat(3, axis=-1)
    group = decomposition_group(
        value, np.full((2, 1, 1, 3), ""), np.full((2, 1, 1, 3), 7.0), rewards=["a", "b"], references=["true"],
        coverages=["uniform"], parts=["scale", "potential", "residual"],
    )  # fmt: skip
    tree = new_results({"decomposition": group})
    table = to_markdown(tree, "decomposition", where={"metric": "value"}, across=["part"], digits=1)
    assert table.splitlines()[2:] == ["| a | 0.2 | 0.5 | 0.3 |", "| b | **0.6** | 0.3 | **0.1** |"]
    by_row = to_markdown(tree, "decomposition", where={"metric": "value"}, digits=1)
    assert [line for line in by_row.splitlines() if "**" in line] == [
        "| b | scale | **0.6** |",
        "| b | residual | **0.1** |",
    ]
    assert "**" not in to_markdown(tree, "decomposition", where={"metric": "scale"})


def test_the_least_regret_and_the_highest_return_in_changed_dynamics_are_best():
    figures = np.array([[0.2, 0.9, 1.0]])[..., None].repeat(3, axis=-1)
    group = transfer_group(
        figures[..., :1], variants=["mass ×2"], policies=["a", "b", "true reward"], seeds=[0], mean=figures,
        value=figures, reason=np.full((1, 3), ""), parameter=["mass"], factor=[2.0],
        regret_greedy=[[0.1, 0.4, 0.0]], exact=True,
    )  # fmt: skip
    regrets = to_markdown(new_results({"transfer": group}), "transfer", where={"metric": "regret_greedy"}, digits=1)
    assert regrets.splitlines()[2:] == ["| a | **0.1** |", "| b | 0.4 |", "| true reward | 0.0 |"]
    values = to_markdown(new_results({"transfer": group}), "transfer", where={"metric": "value"}, digits=1)
    assert values.splitlines()[2:] == ["| a | 0.2 |", "| b | **0.9** |", "| true reward | 1.0 |"]


def test_figures_that_print_the_same_are_best_together_and_zero_has_no_sign():
    tree = new_results({"correlation": correlated({"a": 0.502, "b": 0.498, "c": -0.004})})
    lines = to_markdown(tree, across=["level"]).splitlines()
    assert [line.count("**0.50 ") for line in lines[2:]] == [1, 1, 0]
    assert "| c | 0.00 [−0.05, 0.05] |" in lines[4]
    assert "$0.00$ {\\small $[-0.05, 0.05]$}" in to_latex(tree)


def test_rows_compete_within_their_coverage_only():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson", "kendall"))
    lines = to_markdown(tree, where={"level": "step", "control": "none", "metric": "kendall"}).splitlines()
    assert lines[0] == "| reward | coverage | step, none |"
    assert [line.count("**") for line in lines[2:]].count(2) == 2  # one for each coverage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": "corelation"}, r"hold the groups correlation, retraining; got 'corelation'. Did you mean"),
        ({"where": {"levl": "step"}}, r"labels of a figure are .*; got 'levl'. Did you mean 'level'\?"),
        ({"where": {"level": "steps"}}, r"'level' is one of episode, partial, step; got 'steps'"),
        ({"across": ["levels"]}, r"got 'levels'. Did you mean 'level'\?"),
    ],
)
def test_unknown_names_in_a_table_are_refused(arguments, message):
    tree = trees.many(steps=200, episodes=4, rewards=1, metrics=("pearson",))
    with pytest.raises(ValueError, match=message):
        to_markdown(tree, **arguments)


def test_a_table_of_retraining_prints_single_seeds_and_their_mean():
    assert "| 0.91 |" in to_markdown(
        new_results({"retraining": run_of(1, 0.5)["retraining"].to_dataset()}), "retraining"
    )


def test_joined_results_keep_the_hashes_of_all():
    one, two = (new_results({}) for _ in range(2))
    one.attrs["hashes"] = json.dumps({"rewards": {"a": "1"}})
    two.attrs["hashes"] = json.dumps({"rewards": {"b": "2"}, "transitions": {"expert": "3"}})
    joined = json.loads(join_results(one, two).attrs["hashes"])
    assert joined == {"rewards": {"a": "1", "b": "2"}, "transitions": {"expert": "3"}}


def test_a_printed_table_leaves_out_rows_and_columns_that_no_run_measured():
    runs = {
        task: new_results({"correlation": correlated({name: figure})})
        for task, (name, figure) in {"one": ("a", 0.5), "two": ("b", 0.25)}.items()
    }
    table = to_markdown(stack_runs(runs, "task"))
    assert len(table.splitlines()) == 2 + 2  # not one x b, nor two x a
    assert all(text in table for text in ("one", "two", "0.50", "0.25"))
