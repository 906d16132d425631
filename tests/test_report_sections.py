"""The sections of the page: their figures and captions."""

import numpy as np
import trees

from irl_probe.judgement import read
from irl_probe.report.sections import sections
from irl_probe.results import new_results


def test_if_there_are_too_many_pairs_of_reward_and_data_the_page_draws_the_deciding_ones(monkeypatch):
    monkeypatch.setattr("irl_probe.report.sections.MOST_VIEWS", 3)
    points = trees.points(np.random.default_rng(0), np.array([3, 4]), {"a": 0.5, "b": 0.5})
    tree = new_results({"points/first": points, "points/second": points})
    (section,) = sections(read(tree), "b")
    assert [tuple(f.select.values()) for f in section.items if f.kind == "trace"] == [
        ("b", "first"),
        ("a", "first"),
        ("b", "second"),
    ]
    assert "The page draws 3 of 4 pairs" in section.intro


def test_for_one_reward_the_retrained_policies_are_a_table_without_a_figure():
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    section = next(s for s in sections(read(tree), "reward-0") if s.key == "retraining")
    (table,) = section.items
    assert [cell.text for cell in table.rows[0].cells][-1].count(",") >= 4
    more = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    _, table = next(s for s in sections(read(more), "reward-0") if s.key == "retraining").items
    assert [row.headings[0].label for row in table.rows] == ["reward-0", "reward-1"]


def test_the_caption_of_transfer_defines_one_and_says_that_lines_may_lie_above_it():
    section = next(s for s in sections(read(trees.full()), "iq-chi2") if s.key == "transfer")
    caption = section.items[0].caption
    assert "reach with the same budget. If those are poor, a line may lie above 1" in caption
