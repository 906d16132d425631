"""The results tree: its groups, its file and its table."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from irl_probe.results import (
    COLUMNS,
    SCHEMA,
    correlation_group,
    coverages_group,
    decomposition_group,
    distance_group,
    grid_group,
    join_results,
    learning_group,
    load_results,
    new_results,
    points_group,
    ranking_group,
    retraining_group,
    returns_group,
    save_results,
    to_dataframe,
    transfer_group,
    validate,
)

RETURNS = {"expert": [500.0, 500.0], "learned": [480.0, 460.0, 500.0], "random": [20.0, 22.0]}


def correlation() -> xr.Dataset:
    value = np.arange(2 * 2 * 3, dtype=float).reshape(2, 1, 1, 1, 2, 1, 3) / 20
    value[1, ..., 1, 0, :] = np.nan
    reason = np.full(value.shape[:-1], "")
    reason = np.where(np.isnan(value[..., 0]), "the true reward is constant", reason)
    return correlation_group(
        value,
        reason,
        rewards=["iq α", "constant"],
        references=["true"],
        coverages=["expert"],
        metrics=["pearson"],
        levels=["step", "episode"],
        controls=["none"],
    )


def every_group() -> dict[str, xr.Dataset]:
    grid = np.array([[0.0, np.nan], [1.0, 2.0]])
    return {
        "learning": learning_group([0, 10], {"return_mean": [1, 2], "loss": [np.nan, 0.5]}),
        "returns": returns_group(RETURNS, RETURNS, resamples=50),
        "correlation": correlation(),
        "coverages": coverages_group({"expert": 2, "noisy mixture": 1}),
        "distance": distance_group(
            np.full((1, 1, 1, 1, 3), 0.25),
            np.full((1, 1, 1, 1), ""),
            rewards=["iq"],
            references=["true"],
            coverages=["expert"],
            metrics=["epic"],
            exact=False,
            shaped=np.zeros((1, 1, 1, 1, 3)),
            shaped_10=np.zeros((1, 1, 1, 1, 3)),
            random=np.full((1, 1, 1, 3), 0.7),
            off_support=[[0.25]],
        ),
        "decomposition": decomposition_group(
            np.full((1, 1, 1, 4, 3), 0.25),
            np.full((1, 1, 1, 4), ""),
            np.ones((1, 1, 1, 3)),
            rewards=["iq"],
            references=["true"],
            coverages=["expert"],
            parts=["scale", "potential", "redistribution", "residual"],
        ),
        "points/expert": points_group([0, 0, 1], [1, 2, 3], {"iq": [0.1, 0.2, 0.3], "bc": [3, 2, 1]}),
        "points/noisy mixture": points_group([4], [1], {"iq": [0.1]}),
        "ranking": ranking_group(
            [[0.5, 0.2, 1.0]],
            [""],
            [1.0, 1.0, 1.0],
            true=[1.0, 2.0, 3.0],
            recovered=[[0.1, 0.3, 0.2]],
            gamma=[0.9],
            cut=[[0.0, 0.1, 0.0]],
            undiscounted={
                "value": [[1.0, 0.5, 1.0]],
                "constant": [-1.0, -1.0, -1.0],
                "true": [10.0, 20.0, 30.0],
                "recovered": [[1.0, 2.0, 3.0]],
            },
            rewards=["iq"],
            policies=["noise 1", "noise 0", "expert"],
        ),
        "transfer": transfer_group(
            np.arange(12.0).reshape(2, 3, 2),
            variants=["unchanged", "mass ×2"],
            policies=["random", "iq", "true reward"],
            seeds=[0, 1],
            mean=np.arange(18.0).reshape(2, 3, 3),
            value=np.arange(18.0).reshape(2, 3, 3) / 18,
            reason=np.full((2, 3), ""),
            overall=np.arange(9.0).reshape(3, 3) / 9,
            parameter=["nothing", "mass"],
            factor=[1.0, 2.0],
        ),
        "retraining": retraining_group(
            [[400.0, 500.0]], rewards=["iq"], seeds=[0, 1], normalised=[[0.8, 1.0]], mean=[[450, 400, 500]]
        ),
        "grid": grid_group(grid, {"30 demonstrations": grid, "exact occupancy": 2 * grid}, grid, None),
    }


@pytest.fixture
def tree() -> xr.DataTree:
    return new_results(
        every_group(),
        title="γ on CartPole",
        env_id="CartPole-v1",
        gamma=0.99,
        temperature=0.01,
        seed=3,
        stochastic=False,
        demonstrations={"episodes": 2, "hash": "ab"},
        config={"compare": {"resamples": 50}},
    )


def test_the_example_holds_every_group_of_the_schema(tree):
    assert set(tree.children) == set(SCHEMA)
    assert set(tree["points"].children) == {"expert", "noisy mixture"}


def test_root_attributes_are_strings_and_numbers_that_json_reads_back(tree):
    assert all(isinstance(value, str | int | float) for value in tree.attrs.values())
    assert json.loads(tree.attrs["versions"]).keys() >= {"python", "numpy", "torch", "gymnasium", "xarray"}
    assert json.loads(tree.attrs["demonstrations"]) == {"episodes": 2, "hash": "ab"}
    assert "warnings" not in tree.attrs
    assert tree.attrs["stochastic"] == 0
    assert "reward_kind" not in tree.attrs


def test_file_round_trip_is_exact(tree, tmp_path):
    path = save_results(tree, tmp_path / "new folder" / "results.nc")
    loaded = load_results(path)
    xr.testing.assert_identical(loaded, tree)
    assert loaded.attrs == tree.attrs
    assert {k: type(v) for k, v in loaded.attrs.items()} == {k: type(v) for k, v in tree.attrs.items()}
    for path_in_tree, before in every_group().items():
        after = loaded[path_in_tree].to_dataset()
        assert {n: v.dtype for n, v in after.variables.items()} == {n: v.dtype for n, v in before.variables.items()}
    assert [p.name for p in path.parent.iterdir()] == ["results.nc"]  # no temporary file stays


def test_another_netcdf_reader_opens_the_file(tree, tmp_path):
    with h5py.File(save_results(tree, tmp_path / "results.nc")) as file:
        assert file["correlation/value"].shape == (2, 1, 1, 1, 2, 1, 3)
        assert file["points/noisy mixture/true"].attrs["units"] == "true reward per step"


def test_saving_refuses_to_overwrite_unless_asked(tree, tmp_path):
    path = save_results(tree, tmp_path / "results.nc")
    before = path.read_bytes()
    tree.attrs["title"] = "another"
    with pytest.raises(FileExistsError, match=r"not overwritten unless asked.*overwrite=True"):
        save_results(tree, path)
    assert path.read_bytes() == before
    assert load_results(save_results(tree, path, overwrite=True)).attrs["title"] == "another"


def test_a_save_that_fails_leaves_the_old_file(tree, tmp_path):
    path = save_results(tree, tmp_path / "results.nc")
    before = path.read_bytes()
    tree.attrs["demonstrations"] = object()
    with pytest.raises(TypeError, match="HDF5"):
        save_results(tree, path, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_loading_an_absent_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no results file at"):
        load_results(tmp_path / "none.nc")


@pytest.mark.parametrize("kept", [0, 7, 2000, -1])
def test_loading_a_truncated_file_says_so(tree, tmp_path, kept):
    path = save_results(tree, tmp_path / "results.nc")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"must be NetCDF-4.*truncated or of another kind"):
        load_results(path)


def test_loading_another_kind_of_file_says_so(tmp_path):
    path = tmp_path / "results.nc"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="must be NetCDF-4"):
        load_results(path)


def test_loading_another_netcdf_file_says_so(tmp_path):
    path = tmp_path / "climate.nc"
    xr.Dataset({"temperature": ("time", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(
        ValueError, match=r"climate.nc' was not written by save_results. It is another table .holding temperature."
    ):
        load_results(path)


def test_loading_another_schema_version_says_so(tree, tmp_path):
    path = save_results(tree, tmp_path / "results.nc")
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 99
    with pytest.raises(ValueError, match=r"reads results of schema 1, 2 and 3; got 99.*'versions'"):
        load_results(path)


@pytest.mark.parametrize("schema", [1, 2])
def test_older_results_load_without_stored_warnings_and_without_intervals_over_seeds(tree, tmp_path, schema):
    path = save_results(tree, tmp_path / "results.nc")
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = schema
        file.attrs["warnings"] = json.dumps([{"code": "length-confound", "text": "old"}])
    loaded = load_results(path)
    assert "warnings" not in loaded.attrs
    for group, names in {"retraining": ("mean",), "transfer": ("mean", "value", "overall")}.items():
        assert "older schema" in loaded[group].attrs["interval"]
        for name in names:
            now, before = loaded[group][name], tree[group][name]
            xr.testing.assert_equal(now.sel(bound="estimate"), before.sel(bound="estimate"))
            assert now.sel(bound=["low", "high"]).isnull().all()
    for group in ("retraining", "transfer"):
        del loaded[group], tree[group]
    tree["distance"].dataset = tree["distance"].to_dataset().drop_vars("shaped")  # at another scale today
    xr.testing.assert_identical(loaded, tree)  # intervals over episodes stay


def test_older_averages_load_without_intervals(tree, tmp_path):
    tree.attrs["averaged"] = "mean over seed"
    path = save_results(tree, tmp_path / "results.nc")
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 2
    assert load_results(path)["correlation"]["value"].sel(bound=["low", "high"]).isnull().all()


def test_each_group_says_how_its_intervals_are_made(tree):
    for path in ("returns", "correlation", "distance", "decomposition", "ranking"):
        assert tree[path].attrs["interval"].startswith("over episodes")
    for path in ("retraining", "transfer"):
        assert tree[path].attrs["interval"].startswith("over seeds")


@pytest.mark.parametrize("exact", [0, 1])
def test_sampled_starc_distances_of_the_second_schema_are_taken_out_and_exact_ones_stay(tree, tmp_path, exact):
    old = tree["distance"].to_dataset().assign_coords(metric=["starc_minimal"]).assign_attrs(exact=exact)
    tree["distance"].dataset = old
    tree.attrs["schema"] = 2
    tree.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    found = load_results(tmp_path / "old.nc")["distance"].to_dataset()
    if exact:
        xr.testing.assert_identical(found, old)
    else:
        assert found["value"].isnull().all()
        assert "found biased: compare again" in str(found["reason"].squeeze().item())
        assert "shaped" not in found


def test_an_order_of_the_second_schema_loads_as_the_undiscounted_one(tree, tmp_path):
    ranking = tree["ranking"].to_dataset()
    old = ranking[["value", "reason", "constant", "true", "recovered"]]
    old["constant"], old["true"] = old["constant"].isel(reward=0), old["true"].isel(reward=0)
    tree["ranking"].dataset = old
    tree.attrs["schema"] = 2
    tree.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    found = load_results(tmp_path / "old.nc")["ranking"].to_dataset()
    for name in ("value", "constant", "true", "recovered"):
        np.testing.assert_array_equal(found[f"undiscounted_{name}"], old[name])
        assert found[name].isnull().all()
    assert found["reason"].values.tolist() == ["Only the undiscounted order was measured."]


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("analyses/**/*.nc")), ids=lambda path: path.stem)
def test_committed_results_load_whatever_schema_wrote_them(path):
    with h5py.File(path) as file:
        if "format" not in file.attrs:
            pytest.skip("a study's own table")
        assert file.attrs["schema"] in (1, 2, 3)
    tree = load_results(path)
    validate(tree)
    assert "warnings" not in tree.attrs


def test_table_has_one_row_a_figure_with_its_labels(tree):
    table = to_dataframe(tree)
    assert tuple(table.columns) == COLUMNS
    assert table.groupby("group").size().to_dict() == {
        "correlation": 4,
        "decomposition": 5,
        "distance": 5,
        "ranking": 20,
        "retraining": 5,
        "returns": 6,
        "transfer": 27,
    }
    row = table.query("group == 'correlation' and reward == 'iq α' and level == 'episode'").iloc[0]
    assert (row.estimate, row.low, row.high, row.reason) == (0.15, 0.2, 0.25, "")
    undefined = table[table.reason != ""]
    assert undefined.reason.tolist() == ["the true reward is constant"]
    assert undefined.estimate.isna().all()
    retrained = table.query("group == 'retraining' and metric == 'return_mean'")
    assert retrained.seed.tolist() == [0, 1]
    assert retrained.estimate.tolist() == [400, 500]
    assert set(retrained.units) == {"true reward per episode"}
    assert (
        table.query("group == 'transfer' and metric == 'value'").variant.tolist() == ["unchanged"] * 3 + ["mass ×2"] * 3
    )
    assert table.query("group == 'returns' and metric == 'mean'").policy.tolist() == list(RETURNS)


def test_table_of_a_tree_without_figures_is_empty_with_the_columns():
    table = to_dataframe(new_results({}))
    assert tuple(table.columns) == COLUMNS
    assert table.empty


def test_returns_are_normalised_to_random_zero_and_expert_one():
    group = returns_group(RETURNS, RETURNS, resamples=200, seed=1)
    scaled = group["normalised"].sel(bound="estimate")
    assert scaled.sel(policy="random") == 0
    assert scaled.sel(policy="expert") == 1
    assert float(scaled.sel(policy="learned")) == pytest.approx((480 - 21) / (500 - 21))
    assert group["mean"].sel(policy="learned", bound="estimate") == 480
    low, high = (group["mean"].sel(policy="learned", bound=b).item() for b in ("low", "high"))
    assert 460 <= low < 480 < high <= 500
    assert np.isnan(group["returns"].sel(policy="random")[2])


def test_bootstrap_interval_of_a_mean_has_the_standard_errors_width():
    values = np.random.default_rng(0).normal(size=400)
    low, high = returns_group({"p": values}, {"p": values}, resamples=4000)["mean"].values[0, 1:]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_normalised_is_undefined_if_expert_and_random_return_the_same():
    group = returns_group({"expert": [1.0], "random": [1.0]}, {"expert": [5], "random": [5]})
    assert group["normalised"].isnull().all()


def test_returns_need_an_episode_and_one_length_for_each():
    with pytest.raises(ValueError, match="policy 'learned' has 2 returns and 1 lengths"):
        returns_group({"learned": [1.0, 2.0]}, {"learned": [1]})
    with pytest.raises(ValueError, match="policy 'learned' has 0 returns and 0 lengths"):
        returns_group({"learned": []}, {"learned": []})


def test_joining_keeps_all_groups_and_configs(tree):
    groups = every_group()
    other = new_results(
        {"returns": groups["returns"]},
        title="later",
        expectation="exact",
        config={"retrain": {"steps": 5}},
    )
    first = new_results({"grid": groups["grid"]}, title="first", gamma=0.9, config={"compare": {}})
    joined = join_results(first, other)
    assert set(joined.children) == {"grid", "returns"}
    assert joined.attrs["title"] == "first"
    assert joined.attrs["gamma"] == 0.9
    assert joined.attrs["expectation"] == "exact"
    assert json.loads(joined.attrs["config"]) == {"compare": {}, "retrain": {"steps": 5}}


def test_joining_refuses_the_same_group_twice_and_another_discount(tree):
    with pytest.raises(ValueError, match="two trees hold '/learning'"):
        join_results(tree, tree)
    with pytest.raises(ValueError, match=r"agree on 'gamma'; got 0.99 and 0.5"):
        join_results(tree, new_results({}, gamma=0.5))


def test_validation_names_what_is_wrong():
    groups = every_group()
    with pytest.raises(ValueError, match=r"got 'corelation'. Did you mean 'correlation'\?"):
        new_results({"corelation": correlation()})
    with pytest.raises(ValueError, match="points/<coverage>"):
        new_results({"points": groups["points/expert"]})
    with pytest.raises(ValueError, match=r"'/correlation' must hold \['reason'\]"):
        new_results({"correlation": correlation().drop_vars("reason")})
    with pytest.raises(ValueError, match=r"got 'true_rewards'. Did you mean 'true_reward'\?"):
        new_results({"grid": groups["grid"].assign(true_rewards=groups["grid"]["true_reward"])})
    with pytest.raises(
        ValueError, match=r"'/grid/true_reward' must have the dims \('row', 'col'\); got \('col', 'row'\)"
    ):
        new_results({"grid": groups["grid"].transpose("kind", "col", "row")})
    with pytest.raises(ValueError, match=r"must have the coordinate bound = \('estimate', 'low', 'high'\)"):
        new_results({"correlation": correlation().assign_coords(bound=["a", "b", "c"])})
    unexplained = correlation()
    unexplained["reason"][:] = ""
    with pytest.raises(
        ValueError, match=r"must have a reason; '/correlation' at .*'reward': 'constant'.*'level': 'episode'"
    ):
        new_results({"correlation": unexplained})


def test_validation_asks_for_the_root_attributes(tree):
    del tree.attrs["versions"]
    with pytest.raises(ValueError, match=r"must carry the attributes \['versions'\]"):
        validate(tree)


def test_the_message_about_a_studys_own_table_says_what_it_holds_and_where_its_page_is(tmp_path):
    path = tmp_path / "results.nc"
    xr.Dataset({"final": ("task", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(
        ValueError,
        match=r"was not written by save_results\. It is another table \(holding final\).*xarray\.open_dataset",
    ) as raised:
        load_results(path)
    assert "report.html" not in str(raised.value)
    (tmp_path / "report.html").write_text("page")
    with pytest.raises(ValueError, match=r"Its own page is '.*report\.html'"):
        load_results(path)
