"""The tables of the page have the figures of the results, mark the best, and say why a cell is empty."""

import numpy as np
import pytest
import trees
import xarray as xr

from irl_probe import judgement
from irl_probe.judgement import read
from irl_probe.report.tables import (
    cell,
    correlation_table,
    distance_table,
    glance_table,
    number,
    ranking_table,
    retraining_table,
    transfer_table,
)
from irl_probe.results import new_results, retraining_group


def test_undefined_figures_are_shown_with_their_reason():
    table = correlation_table(read(trees.cartpole()).correlation, "iq", "true", "pearson")
    assert table.rows[0].cells[0].text == "undefined"
    reason = "the true reward is the same everywhere here, and a constant has no correlation"
    assert f"undefined: {reason}" in table.notes


def test_tables_hold_the_figures_of_the_results():
    tree = trees.gridworld()
    table = distance_table(read(tree).distance)
    assert [h.label for h in table.header][3:] == ["EPIC", "DARD", "STARC (value)", "STARC (minimal)", "NPEC", "regret"]
    assert [c.text for c in table.rows[0].cells] == ["0.2100", "0.1900", "0.3100", "0.2800", "0.2000", "0.0400"]
    assert not any(c.interval for c in table.rows[0].cells)
    glance = glance_table(read(tree))
    assert [[c.best for c in row.cells] for row in glance.rows] == [
        [False] * 7,
        [False] * 7,  # shown for comparison, never marked
    ]
    assert glance.rows[1].first


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.126, 2, "0.13"), (-0.5, 1, "−0.5"), (-0.001, 2, "0.00"), (12345.6, 1, "12,346"), (0, 0, "0")],
)
def test_numbers_have_fixed_decimals_grouped_thousands_and_a_true_minus(value, digits, text):
    assert number(value, digits) == text


def test_cell_says_why_it_is_empty():
    assert cell((np.nan, np.nan, np.nan)).reason == "no reason was recorded"
    assert cell((0.5, np.nan, np.nan), reason="One episode only.").note == "no interval: one episode only"
    assert cell((0.5, 0.4, 0.6)).interval == "[0.40, 0.60]"
    assert cell((0.5, 0.5, 0.5)).interval == ""


def test_one_change_has_one_row_and_a_note_on_what_was_resampled():
    transfer = trees.full()["transfer"].to_dataset().isel(variant=[0, 1])

    def table():
        return transfer_table(read(new_results({"transfer": transfer})).transfer)

    assert [row.headings[0].label for row in table().rows] == ["unchanged", "mass ×0.5"]
    assert table().notes == [
        "interval over 3 seeds (Student's t, lengthened for skewness), from resampling each policy's seeds, "
        "random's and the true reward's"
    ]
    transfer["value"].loc[{"policy": "carried over"}] = 0.5
    assert {row.cells[1].interval for row in table().rows} == {"[0.50, 0.50]"}
    transfer = transfer.isel(seed=[0, 1])
    assert not any(cell.interval for row in table().rows for cell in row.cells)
    assert table().notes == []
    *_, everywhere = transfer_table(read(trees.full()).transfer).rows
    assert everywhere.headings[0].label == "all changes"


def test_the_order_of_policies_is_a_table_in_the_order_of_the_truth():
    table = ranking_table(read(trees.full()).ranking)
    assert [heading.label for heading in table.header] == ["reward", "agreement τ", "noise 1", "noise 0.4", "expert"]
    first = {row.headings[0].label: row.cells for row in table.rows}
    assert [cell.text for cell in first["true"]] == ["1", "20.00", "800.00", "2,900"]
    assert [cell.text for cell in first["iq-kl"]] == ["0.60", "0.10", "4.00", "3.00"]
    assert first["sqil"][0].reason == "all policies have the same mean return"
    assert first["constant"][0].text == "0.80"
    ranking = trees.full()["ranking"].to_dataset().assign_coords(reward=["constant", "iq-kl", "true"])
    rows = ranking_table(read(new_results({"ranking": ranking})).ranking).rows
    assert [row.headings[0].label for row in rows] == ["true", "iq-kl", "constant"]  # each once
    assert [cell.text for cell in rows[-1].cells] == ["0.80", "0.20", "8.00", "29.00"]


def test_the_true_reward_and_the_constant_come_last_and_are_never_marked():
    table = glance_table(read(trees.full()))
    assert [row.headings[0].label for row in table.rows] == ["iq-chi2", "iq-kl", "sqil", "true", "constant"]
    assert not any(cell.best for row in table.rows[3:] for cell in row.cells)
    assert table.rows[3].first
    assert table.rows[3].cells[0].text == "–"


def test_training_on_the_true_reward_is_shown_and_not_judged():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    group = tree["retraining"].to_dataset()
    both = xr.concat([group, group.isel(reward=[0]).assign_coords(reward=["true reward"])], "reward")
    both["normalised_mean"][:] = [[0.6, 0.5, 0.7], [0.2, 0.1, 0.3], [0.65, 0.55, 0.75]]
    tree = new_results({"correlation": tree["correlation"].to_dataset(), "retraining": both})
    figures = read(tree)
    verdict = judgement.judge(figures)
    assert "2 rewards" in verdict.headline
    answer = judgement.answers(figures, verdict)[1]
    assert answer.question == "Can I retrain on it?"
    assert (answer.short, answer.tone) == ("Can’t tell", "open")  # as many steps on the truth do no better
    assert "As many steps on the true reward reach 65\u00a0% [55, 75]." in answer.sentence
    table = glance_table(read(tree))
    assert [row.headings[0].label for row in table.rows] == ["reward-0", "reward-1", "true"]
    assert table.rows[2].cells[0].text == "0.65"
    found = {v["reward"]: v["text"] for v in judgement.warnings_of(tree) if v["code"] == "retraining"}
    assert set(found) == {"reward-0", "reward-1"}
    assert "too few steps to tell a bad reward from a good one" in found["reward-0"]
    assert "does not bring back the expert's behaviour" in found["reward-1"]  # clearly worse than the truth


@pytest.mark.parametrize(
    ("figures", "marked"),
    [
        ([[1.0, 0.9, 1.1], [0.996, 0.9, 1.1], [0.5, 0.4, 0.6]], [True, True, False]),  # a tie is marked too
        ([[1.0, 0.9, 1.1], [0.8, 0.7, 0.89], [0.5, 0.4, 0.6]], [True, False, False]),
        ([[1.0, 0.9, 1.1], [0.996, 0.9, 1.1], [0.99, 0.8, 1.0]], [False, False, False]),  # nothing is distinguishable
        ([[0.9, 0.9, 0.9], [0.8, 0.8, 0.8], [0.7, 0.7, 0.7]], [True, False, False]),
    ],
)
def test_the_mark_is_on_the_best_and_on_figures_that_tie_with_it(figures, marked):
    tree = trees.many(steps=400, episodes=4, rewards=3, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = figures
    assert [row.cells[0].best for row in glance_table(read(tree)).rows] == marked


@pytest.mark.parametrize(("best", "marked"), [((0.92, 0.88, 0.96), True), ((0.7, 0.66, 0.95), False)])
def test_a_reward_that_is_not_shown_to_transfer_has_no_mark(best, marked):
    tree = trees.full()
    tree["transfer"]["overall"].loc[{"policy": "iq-chi2"}] = np.array(best)
    tree["transfer"]["overall"].loc[{"policy": "iq-kl"}] = [0.5, 0.4, 0.6]
    assert [row.cells[1].best for row in glance_table(read(tree)).rows][:3] == [marked, False, False]


def test_a_correlation_that_length_explains_is_not_marked_as_the_best():
    tree = trees.many(steps=2000, episodes=20, rewards=2, metrics=("pearson",))
    where = {"level": "episode", "control": "constant", "coverage": "noisy expert mixture"}
    place = [heading.label for heading in glance_table(read(tree)).header].index("episode Pearson") - 1
    tree["correlation"]["value"].loc[where] = 0.9
    assert not any(row.cells[place].best for row in glance_table(read(tree)).rows)
    tree["correlation"]["value"].loc[where] = 0.1
    assert any(row.cells[place].best for row in glance_table(read(tree)).rows)


def test_a_row_without_an_interval_says_why():
    returns = {"one": [1.0, np.nan, np.nan], "two": [0.9, 1.0, np.nan], "equal": [1.0, 1.0, 1.0]}
    group = retraining_group(
        list(returns.values()), rewards=list(returns), seeds=[0, 1, 2], normalised=list(returns.values())
    )
    table = retraining_table(read(new_results({"retraining": group})).retraining, list(returns))
    notes = [row.cells[0].note for row in table.rows]
    for note, why in zip(notes, ("there is one seed", "there are two seeds", "all 3 seeds have equal"), strict=True):
        assert note.startswith(f"no interval: {why}")
    assert not any(row.cells[0].interval for row in table.rows)
