"""The figures draw known data correctly, and do not change matplotlib's settings."""

import matplotlib
import numpy as np
import pytest
import trees
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irl_probe.report import plots
from irl_probe.report.drawing import inline_svg
from irl_probe.results import distance_group, learning_group, points_group, returns_group


@pytest.fixture(scope="module")
def cartpole() -> xr.DataTree:
    return trees.cartpole()


def noisy_points(steps: int) -> xr.Dataset:
    rng = np.random.default_rng(0)
    true = rng.normal(size=steps)
    return points_group(np.arange(steps) // 10, true, {"iq": 2 * true + 1})


def test_levels_sum_steps_blocks_and_episodes():
    values, episode = np.arange(7.0), np.array([0, 0, 0, 0, 0, 5, 5])
    assert plots.aggregate(values, episode, "step").tolist() == values.tolist()
    assert plots.aggregate(values, episode, "partial", 2).tolist() == [1, 5, 4, 11]  # the block of one does not cross
    assert plots.aggregate(values, episode, "episode").tolist() == [10, 11]


def test_unknown_level_is_refused():
    with pytest.raises(ValueError, match="must be one of step, partial, episode; got 'steps'"):
        plots.aggregate(np.ones(2), np.zeros(2, dtype=int), "steps")


def test_few_points_are_dots_and_many_are_a_density_that_counts_all_of_them():
    few = plots.reward_scatter(noisy_points(100), "iq", "step")
    assert not few.collections
    assert len(few.lines[0].get_xdata()) == 100
    many = plots.reward_scatter(noisy_points(5000), "iq", "step")
    # Logarithmic counts: matplotlib keeps the counts themselves in the array and takes the logarithm in the norm.
    assert many.collections[0].get_array().sum() == 5000


def test_fit_is_the_line_between_the_rewards():
    line = plots.reward_scatter(noisy_points(100), "iq", "step").lines[-1]
    assert line.get_slope() == pytest.approx(2.0)
    x, y = line.get_xy1()
    assert y == pytest.approx(2 * x + 1)


def test_outliers_do_not_compress_the_rest_and_are_counted():
    points = noisy_points(5000)
    points["true"][:3] = 1e6
    ax = plots.reward_scatter(points, "iq", "step")
    assert ax.get_xlim()[1] < 100
    assert ax.get_title(loc="left") == "3 of 5,000 lie outside the axes"


def test_a_constant_truth_is_noted_and_the_recovered_reward_is_shown_as_a_distribution(cartpole):
    ax = plots.reward_scatter(cartpole["points/expert"].to_dataset(), "iq", "step")
    assert ax.get_title(loc="left") == "the true reward per step is always 1"
    assert sum(bar.get_width() for bar in ax.patches) == cartpole["points/expert"].sizes["step"]


def test_episodes_are_coloured_by_length(cartpole):
    points = cartpole["points/random"].to_dataset()
    lengths = np.unique(points["episode"], return_counts=True)[1]
    dots = plots.reward_scatter(points, "iq", "episode").collections[0]
    assert dots.get_array().tolist() == lengths.tolist()


def test_points_that_are_not_finite_are_left_out():
    points = noisy_points(20)
    points["recovered"][0, :5] = np.nan
    assert len(plots.reward_scatter(points, "iq", "step").lines[0].get_xdata()) == 15
    points["recovered"][:] = np.nan
    assert plots.reward_scatter(points, "iq", "step").get_title(loc="left") == "no finite points"
    assert np.isnan(plots.episode_trace(points, "iq").lines[1].get_ydata()).all()


def test_trace_is_the_median_episode_standardised():
    points = points_group([0, 0, 7, 7, 3, 3], [0, 0, 1, 3, 9, 9], {"iq": [5, 5, 10, 30, 0, 0]})
    true, recovered = (line.get_ydata() for line in plots.episode_trace(points, "iq").lines)
    assert true.tolist() == recovered.tolist() == [-1, 1]


def test_forest_shows_raw_controlled_and_constant_with_their_intervals(cartpole):
    group = cartpole["correlation"].to_dataset().sel(coverage=["random"], level=["episode"])
    ax = plots.correlation_forest(group, "iq", "pearson")
    values = group["value"].sel(metric="pearson", level="episode").squeeze()
    drawn = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
    assert set(drawn) == {float(values.sel(control=c, bound="estimate")) for c in ("none", "constant")}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["random", "episode"]
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["raw", "length controlled", "constant reward"]


def test_forest_writes_undefined_if_there_is_no_figure(cartpole):
    ax = plots.correlation_forest(cartpole["correlation"].to_dataset(), "iq", "pearson")
    assert "undefined" in [t.get_text() for t in ax.texts]


def test_returns_show_every_episode_and_the_mean():
    episodes = {"expert": [10.0, 12.0], "random": [0.0, 1.0, 2.0]}
    ax = plots.returns_by_policy(returns_group(episodes, episodes, resamples=20))
    assert sorted(len(line.get_xdata()) for line in ax.lines) == [1, 1, 2, 2, 2, 3]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["expert", "random"]


def test_learning_curve_skips_steps_without_evaluation(cartpole):
    learning = cartpole["learning"].to_dataset()
    learning["return_mean"][1] = np.nan
    ax = plots.learning_curve(learning, references={"expert": 500.0})
    assert len(ax.lines[0].get_xdata()) == learning.sizes["step"] - 1
    assert ax.lines[1].get_ydata()[0] == 500


def test_grid_numbers_are_in_their_cells_and_walls_are_blank():
    cells = xr.DataArray([[1.0, np.nan], [-2.5, 0.0]], dims=("row", "col"))
    ax = plots.grid_heatmap(cells)
    assert {t.get_text(): t.get_position() for t in ax.texts} == {
        "1.00": (0.5, 0.5),
        "−2.50": (0.5, 1.5),
        "0.00": (1.5, 1.5),
    }
    assert ax.yaxis_inverted()


def test_large_grid_has_a_colour_bar_instead_of_numbers():
    ax = plots.grid_heatmap(xr.DataArray(np.arange(400.0).reshape(20, 20), dims=("row", "col")))
    assert not ax.texts
    assert ax.child_axes[0].get_ylabel() == "reward units"


def test_heat_map_has_every_distance_and_a_dash_for_an_undefined_one():
    distance = trees.full()["distance"].to_dataset()
    distance["value"].loc[{"reward": "sqil", "metric": "epic"}] = np.nan
    ax = plots.distance_heatmap(distance, coverage="mixture")
    shown = {t.get_position(): t.get_text() for t in ax.texts}
    assert shown[(0.5, 0.5)] == ".31"
    assert shown[(2.5, 2.5)] == "1.20"
    assert shown[(0.5, 2.5)] == "–"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["EPIC", "DARD", "STARC value", "STARC minimal"]


def test_heat_map_rounds_as_the_tables_do():
    distance = trees.full()["distance"].to_dataset()
    distance["value"].loc[{"reward": "sqil", "metric": "starc_minimal"}] = 1.449
    ax = plots.distance_heatmap(distance, coverage="mixture")
    assert {t.get_position(): t.get_text() for t in ax.texts}[(3.5, 2.5)] == "1.45"


def test_heat_map_of_one_measure_is_reward_by_reward():
    names = ["a", "b", "true"]
    value = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))[:, :, None, None, None] / 4 + np.zeros(3)
    group = distance_group(
        value,
        np.full((3, 3, 1, 1), ""),
        rewards=names,
        references=names,
        coverages=["all"],
        metrics=["epic"],
        exact=True,
    )
    ax = plots.distance_heatmap(group, "epic")
    assert [t.get_text() for t in ax.get_xticklabels()] == [t.get_text() for t in ax.get_yticklabels()] == names
    assert {t.get_position(): t.get_text() for t in ax.texts}[(2.5, 0.5)] == ".50"
    assert ax.get_xlabel() == "EPIC (no unit)"


def test_distance_forest_shows_its_calibration_beside_the_rewards():
    ax = plots.distance_forest(trees.full()["distance"].to_dataset())
    drawn = {float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1}
    assert {0.02, 0.95, 0.31} <= drawn
    assert [t.get_text() for t in ax.get_yticklabels()][:4] == ["EPIC", "iq-chi2", "iq-kl", "sqil"]


@pytest.mark.parametrize("share", [np.nan, 1e-17])
def test_bars_of_undefined_or_tiny_shares_still_show_the_axis_from_0_to_1(share):
    decomposition = trees.full()["decomposition"].to_dataset()
    decomposition["value"][:] = share
    left, right = plots.decomposition_bars(decomposition).get_xlim()
    assert left <= 0
    assert 1 <= right < 1.5


def test_bars_stack_the_shares_and_put_negative_ones_left_of_zero():
    ax = plots.decomposition_bars(trees.full()["decomposition"].to_dataset())
    bars = [(b.get_x(), b.get_width()) for b in ax.patches if abs(b.get_width()) > 0 and b.get_height() > 0.5]
    assert bars[:4] == [pytest.approx(b) for b in [(0, 0.6), (0.6, 0.25), (0.85, 0.05), (0.9, 0.1)]]
    assert min(min(x, x + width) for x, width in bars) == pytest.approx(-0.05)


def test_slopes_draw_every_policy_except_the_two_that_define_the_scale():
    ax = plots.transfer_slopes(trees.full()["transfer"].to_dataset())
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["carried over", "iq-chi2", "iq-kl", "sqil"]
    line = next(one for one in ax.lines if one.get_label() == "iq-chi2")
    assert line.get_ydata().tolist() == [0.97, 0.93, 0.9, 0.92]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["unchanged", "mass ×0.5", "mass ×2", "friction ×0.5"]


def test_learning_curves_of_several_runs_show_their_interquartile_mean():
    runs = [learning_group([0, 10], {"return_mean": [seed, 10.0 * seed]}) for seed in (0, 1, 2, 9)]
    ax = plots.learning_curve(xr.concat(runs, dim="seed"))
    assert len(ax.lines) == 5
    assert ax.lines[-1].get_ydata().tolist() == [1.5, 15]
    assert ax.lines[-1].get_label() == "interquartile mean of 4 runs"


def every_plot(cartpole: xr.DataTree, ax: Axes | None) -> list[Axes]:
    points = cartpole["points/random"].to_dataset()
    full = trees.full()
    retraining = trees.many(steps=200, episodes=4, rewards=2)["retraining"].to_dataset()
    return [
        plots.learning_curve(cartpole["learning"].to_dataset(), ax=ax),
        plots.diagnostic(cartpole["learning"].to_dataset(), "loss", ax=ax),
        plots.returns_by_policy(cartpole["returns"].to_dataset(), ax=ax),
        plots.retraining_by_reward(retraining, ax=ax),
        *(plots.reward_scatter(points, "iq", level, ax=ax) for level in ("step", "partial", "episode")),
        plots.episode_trace(points, "iq", ax=ax),
        plots.correlation_forest(cartpole["correlation"].to_dataset(), "iq", "kendall", ax=ax),
        plots.grid_heatmap(trees.gridworld()["grid"]["true_value"], ax=ax),
        plots.distance_heatmap(full["distance"].to_dataset(), ax=ax),
        plots.distance_forest(full["distance"].to_dataset(), ax=ax),
        plots.decomposition_bars(full["decomposition"].to_dataset(), ax=ax),
        plots.transfer_slopes(full["transfer"].to_dataset(), ax=ax),
    ]


def test_plots_label_both_axes_or_name_their_rows_and_change_no_setting(cartpole):
    before = dict(matplotlib.rcParams)
    for ax in every_plot(cartpole, None):
        assert ax.get_xlabel() or [t.get_text() for t in ax.get_xticklabels()]
        assert ax.get_ylabel() or [t.get_text() for t in ax.get_yticklabels()]
    assert dict(matplotlib.rcParams) == before


def test_plots_draw_on_the_axes_they_are_given(cartpole):
    ax = Figure().add_subplot()
    assert all(drawn is ax for drawn in every_plot(cartpole, ax))


@pytest.mark.parametrize("name", ["$x", r"$\frac{$", "<script>alert(1)</script>", "名前", "a\nb", ""])
def test_any_name_is_drawn_as_text(name):
    points = points_group([0, 0, 1], [0.0, 1.0, 2.0], {name: [1.0, 2.0, 3.0]})
    episodes = {name: [1.0, 2.0]}
    for ax in (
        plots.reward_scatter(points, name, "step"),
        plots.returns_by_policy(returns_group(episodes, episodes, resamples=9)),
    ):
        assert "<script" not in inline_svg(ax, "f", name)


def test_inline_svg_follows_the_theme_and_repeats_byte_for_byte():
    def draw() -> str:
        return inline_svg(plots.reward_scatter(noisy_points(50), "iq", "step"), "fig-a", 'says "so" & <b>')

    text = draw()
    assert text == draw()
    assert 'role="img" aria-label="says &#34;so&#34; &amp; &lt;b&gt;"' in text
    assert "var(--blue)" in text
    assert "#0072b2" not in text
    assert text.count(' id="') == text.count(' id="fig-a-')
    assert "<style" not in text
