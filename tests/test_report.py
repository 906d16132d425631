"""The page as a file: complete, self-contained, inert to what names say, and honest about what is missing."""

import base64
import functools
import inspect
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trees
import xarray as xr
from rich.console import Console

from irl_probe import cli
from irl_probe.judgement.glossary import TERMS
from irl_probe.judgement.grades import with_interval
from irl_probe.judgement.verdict import RETRAIN_COMMAND, TRANSFER_COMMAND, answers, judge
from irl_probe.judgement.warnings import current_warnings
from irl_probe.report import print_report, write_report
from irl_probe.report.page import brush_data, provenance, render, warnings_about
from irl_probe.report.sections import sections
from irl_probe.report.tables import (
    cell,
    correlation_table,
    distance_table,
    glance_table,
    number,
    ranking_table,
    transfer_table,
)
from irl_probe.results import (
    average_runs,
    load_results,
    new_results,
    points_group,
    returns_group,
    save_results,
    stack_runs,
)


class Page(HTMLParser):
    """Tags, ids, links and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def cartpole() -> xr.DataTree:
    return trees.cartpole()


@pytest.fixture(scope="module")
def html(cartpole) -> str:
    return render(cartpole)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def grid_page() -> Page:
    return Page(render(trees.gridworld()))


def normalised(policies: dict[str, float]) -> xr.DataTree:
    """Results whose policies have these normalised returns, without spread."""
    episodes = {"expert": [1.0, 1.0], "random": [0.0, 0.0]} | {p: [v, v] for p, v in policies.items()}
    return new_results({"returns": returns_group(episodes, episodes, resamples=10)})


def with_correlations(tree: xr.DataTree, **figures: tuple[float, float, float]) -> xr.DataTree:
    """The tree's correlations with Pearson figures on the mixture replaced, by "level_control"."""
    group = tree["correlation"].to_dataset().copy(deep=True)
    for name, bounds in figures.items():
        level, control = name.split("_")
        where = {"level": level, "control": control, "metric": "pearson", "coverage": "noisy expert mixture"}
        group["value"].loc[where] = np.array(bounds)
        group["reason"].loc[where] = "made so" if np.isnan(bounds[0]) else ""
    return new_results({"correlation": group})


def test_every_section_with_results_is_there(page, grid_page):
    headings = (
        "Returns|True against recovered reward|Correlations|Learning curve|What was learned from what|Definitions"
    )
    for heading in headings.split("|"):
        assert heading in page.text
    assert "Distances" in grid_page.text
    assert "Reward and value on the grid" in grid_page.text
    assert "Distances" not in page.text


def test_page_needs_no_network_and_no_other_file(html, page):
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert re.match(r"#|data:|$", attrs.get(name, "")), attrs
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_ids_are_unique_and_links_and_labels_lead_somewhere(page, grid_page):
    for one in (page, grid_page):
        ids = [attrs["id"] for _, attrs in one.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        targets = [a[name][1:] for _, a in one.tags for name in ("href", "xlink:href") if a.get(name, "")[:1] == "#"]
        targets += [word for _, a in one.tags for word in a.get("aria-labelledby", "").split()]
        assert set(targets) <= set(ids)


def test_page_is_accessible_by_its_markup(page):
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert all(len(svg["aria-label"]) > 20 and svg["role"] == "img" for svg in page.all("svg"))
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))
    assert all(attrs.get("tabindex", "0") == "0" for _, attrs in page.tags)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two hex colours."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return float(
            [0.2126, 0.7152, 0.0722] @ np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        )

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_enough_contrast(theme):
    style = files("irl_probe.report").joinpath("style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6});", blocks[theme]))
    for ground in ("paper", "panel"):
        for text in ("ink", "muted", "link", "good", "caution", "bad"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for mark in ("blue", "vermilion", "green", "purple"):
            assert contrast(colours[mark], colours[ground]) >= 3, (mark, ground)


HOSTILE = '</svg></script><script>alert("x")</script><img src=x onerror=alert(1)>" onload="alert(2)'


def test_hostile_names_are_inert():
    points = trees.points(np.random.default_rng(0), np.array([5, 7]), {HOSTILE: 0.5})
    tree = new_results(
        {f"points/{HOSTILE.replace('/', '')}": points, "correlation": trees.correlations({HOSTILE: points})},
        title=HOSTILE,
        env_id=HOSTILE,
        terminal=HOSTILE,
        demonstrations={HOSTILE: HOSTILE},
        config={HOSTILE: {HOSTILE: HOSTILE}},
        warnings=[{"code": HOSTILE, "text": HOSTILE}],
    )
    hostile = Page(render(tree))
    assert [script.get("type") for script in hostile.all("script")] == ["application/json", None]
    assert not hostile.all("img")
    assert not [name for _, attrs in hostile.tags for name in attrs if name.startswith("on")]
    assert hostile.text.count("</svg>") >= 5  # shown as text


def test_every_definition_used_is_defined_and_one_hover_away(page):
    used = [a for a in page.all("a") if a.get("class") == "term"]
    assert len(used) > 20
    for link in used:
        assert TERMS[link["href"].removeprefix("#def-")].definition == link["title"]


def test_undefined_figures_are_shown_with_their_reason(cartpole, page):
    table = correlation_table(cartpole["correlation"].to_dataset(), "iq", "true", "pearson")
    assert table.rows[0].cells[0].text == "undefined"
    reason = "the true reward is the same everywhere here, and a constant has no correlation"
    assert f"undefined: {reason}" in table.notes
    assert f"undefined: {reason}" in page.text
    assert "nan" not in page.text.lower().split()


def test_captions_hold_raw_constant_and_controlled_figures(grid_page):
    group = trees.gridworld()["correlation"].to_dataset().sel(reward="30 demonstrations", metric="pearson")
    values = group["value"].sel(coverage="expert", level="episode", bound="estimate").squeeze()
    raw, constant, controlled = (number(float(values.sel(control=c))) for c in ("none", "constant", "length"))
    pattern = rf"Pearson {raw} \[[^]]*\]; constant baseline {constant} \[[^]]*\]; length controlled {controlled} \["
    assert re.search(rf"Episode level, “30 demonstrations” on expert data\. {pattern}", grid_page.text)


def test_tables_hold_the_figures_of_the_results():
    tree = trees.gridworld()
    table = distance_table(tree["distance"].to_dataset())
    assert [h.label for h in table.header][3:] == ["EPIC", "DARD", "STARC (value)", "STARC (minimal)", "NPEC", "regret"]
    assert [c.text for c in table.rows[0].cells] == ["0.2100", "0.1900", "0.3100", "0.2800", "0.2000", "0.0400"]
    assert not any(c.interval for c in table.rows[0].cells)
    glance = glance_table(tree)
    assert [[c.best for c in row.cells] for row in glance.rows] == [
        [False] * 7,
        [False] * 7,  # beside the other, and not competing
    ]
    assert glance.rows[1].first


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.126, 2, "0.13"), (-0.5, 1, "−0.5"), (-0.001, 2, "0.00"), (12345.6, 1, "12,346"), (0, 0, "0")],
)
def test_numbers_read_well(value, digits, text):
    assert number(value, digits) == text


def test_cell_says_why_it_is_empty():
    assert cell((np.nan, np.nan, np.nan)).reason == "no reason was recorded"
    assert cell((0.5, np.nan, np.nan), reason="One episode only.").note == "no interval: one episode only"
    assert cell((0.5, 0.4, 0.6)).interval == "[0.40, 0.60]"
    assert cell((0.5, 0.5, 0.5)).interval == ""


@pytest.mark.parametrize(
    ("share", "tone", "phrase"),
    [
        (0.95, "good", "usable for retraining in this environment"),
        (0.6, "caution", "only partly usable for retraining"),
        (0.1, "bad", "not usable for retraining"),
        (-0.2, "bad", "not usable for retraining"),
    ],
)
def test_verdict_on_retraining_follows_its_thresholds(share, tone, phrase):
    claim = judge(normalised({"retrained": share})).claims[0]
    assert (claim.tone, claim.phrase) == (tone, phrase)
    assert f"{100 * share:.0f}\u00a0%".replace("-", "−") in claim.sentence


def test_verdict_is_on_the_reward_from_demonstrations_not_on_the_ideal_one_beside_it():
    verdict = judge(trees.gridworld(3))
    assert verdict.reward == "30 demonstrations"
    assert "best of" not in verdict.headline
    assert "0.04" in next(claim.sentence for claim in verdict.claims if claim.term == "regret")


def asked(tree: xr.DataTree) -> dict[str, tuple[str, str, str]]:
    """Question → short answer, tone and sentence."""
    return {a.question: (a.short, a.tone, a.sentence) for a in answers(tree, judge(tree))}


def test_the_four_questions_are_answered_from_the_figures():
    found = asked(trees.full())
    assert list(found) == [
        "Which reward is best?",
        "Can I retrain on it?",
        "Does it transfer?",
        "How sure are we?",
    ]
    short, tone, sentence = found["Which reward is best?"]
    assert (short, tone) == ("“iq-chi2”, clearly", "good")
    assert "0.97 [0.95, 0.99]; next comes “iq-kl” with 0.85" in sentence
    assert found["Can I retrain on it?"][:2] == ("Yes", "good")
    short, tone, sentence = found["Does it transfer?"]
    assert (short, tone) == ("Probably", "caution")  # the interval reaches below .9
    assert "reaches 92\u00a0% [88, 96]" in sentence
    assert "carried over unchanged, reaches 55\u00a0%" in sentence
    assert "Worst of 3 changes: mass ×2, 90\u00a0%" in sentence
    short, tone, sentence = found["How sure are we?"]
    assert (short, tone) == ("Fairly", "caution")
    assert (
        "one training run of each reward; of “iq-chi2”: retraining, 3 seeds; transfer, 3 seeds and 3 changes; "
        "agreement, 30 episodes on each kind of data." in sentence
    )
    assert "In changed dynamics (3 changes, 3 seeds) a policy" in found["Does it transfer?"][2]
    _, _, bare = asked(normalised({"learned": 1.0}))["How sure are we?"]
    assert "retraining, not measured; transfer, not measured; agreement, not measured." in bare


def test_the_four_answers_stand_on_the_page_and_say_what_was_not_measured(page):
    for question in ("Which reward is best?", "Can I retrain on it?", "Does it transfer?", "How sure are we?"):
        assert question in page.text
    assert "Not measured No policy was trained on it in changed dynamics." in page.text
    assert "“irl-probe transfer REWARD ENV --out DIR” measures it." in page.text
    unmeasured = asked(normalised({"learned": 1.0}))["Can I retrain on it?"]
    assert "“irl-probe retrain-study REWARD --env ENV --out DIR” measures it." in unmeasured[2]
    found = asked(new_results({}))
    assert found["Which reward is best?"][0] == "None here"
    assert found["Can I retrain on it?"][0] == "Not measured"
    assert found["How sure are we?"][0] == "Not very"


@pytest.mark.parametrize("command", [RETRAIN_COMMAND, TRANSFER_COMMAND])
def test_the_commands_that_would_measure_it_are_commands(command, monkeypatch):
    prog, verb, *arguments = command.split()
    taken = {}
    names = list(inspect.signature(cli.VERBS[verb]).parameters)
    recorder = functools.wraps(cli.VERBS[verb])(lambda *a, **named: taken.update(zip(names, a, strict=False), **named))
    monkeypatch.setitem(cli.VERBS, verb, recorder)
    monkeypatch.setattr(sys, "argv", [prog, verb, *arguments])
    cli.main()
    assert (taken["env"], taken["out"]) == ("ENV", Path("DIR"))


@pytest.mark.parametrize(
    ("bounds", "text"),
    [((-0.001, -0.01, 0.004), "0.00 [−0.01, 0.00]"), ((-0.25, -0.26, -0.24), "−0.25 [−0.26, −0.24]")],
)
def test_figures_in_sentences_have_a_true_minus_and_no_minus_zero(bounds, text):
    assert with_interval(bounds) == text


def test_overlapping_intervals_do_not_make_a_clear_lead():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    tree["retraining"]["normalised_mean"].loc[{"reward": "reward-1"}] = [0.9, 0.85, 1.05]
    short, tone, sentence = asked(tree)["Which reward is best?"]
    assert (short, tone) == ("“reward-0”, by a little", "caution")
    assert "overlap: another run may turn the order" in sentence


def test_a_transfer_no_better_than_the_carried_policy_is_partial():
    tree = trees.full()
    tree["transfer"]["overall"].loc[{"policy": "carried over"}] = [0.95, 0.9, 1.0]
    assert "transferable, but no better than the policy it came from" in judge(tree).headline
    assert asked(tree)["Does it transfer?"][0] == "In part"
    tree["transfer"]["overall"].loc[{"policy": "iq-chi2"}] = [0.2, 0.1, 0.3]
    assert "not transferable" in judge(tree).headline


def test_where_even_the_true_reward_fails_in_changed_dynamics_transfer_is_not_measured():
    tree = trees.full()
    transfer = tree["transfer"].to_dataset().drop_vars("overall")
    transfer["value"][:], transfer["reason"][:] = np.nan, "Training there was no better than random."
    tree = new_results({"correlation": tree["correlation"].to_dataset(), "transfer": transfer})
    short, tone, sentence = asked(tree)["Does it transfer?"]
    assert (short, tone) == ("Not measured", "open")
    assert "training on the true reward itself was no better than random actions" in sentence


def test_the_only_reward_is_known_to_transfer_under_the_name_recovered():
    transfer = trees.full()["transfer"].to_dataset().sel(policy=["random", "iq-chi2", "true reward"])
    transfer = transfer.assign_coords(policy=["random", "recovered", "true reward"])
    tree = new_results({"correlation": trees.correlations({"a": POINTS}), "transfer": transfer})
    assert "reaches 92\u00a0% [88, 96]" in asked(tree)["Does it transfer?"][2]
    assert judge(tree).reward == "iq"


def test_rewards_whose_figures_read_alike_are_not_told_apart():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    del tree["correlation"], tree["points"]
    tree["retraining"]["normalised_mean"][:] = [[0.971, 0.97, 0.972], [0.968, 0.967, 0.969]]
    assert asked(tree)["Which reward is best?"][0] == "“reward-0”, not told apart"


def test_many_runs_make_it_well_supported():
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    averaged = average_runs(stack_runs(dict.fromkeys(range(5), tree), "seed"))
    short, tone, sentence = asked(averaged)["How sure are we?"]
    assert (short, tone) == ("Well supported", "good")
    assert "5 training runs: retraining, 25 seeds" in sentence


def test_stacked_seeds_are_averaged_and_other_stacks_are_refused():
    runs = {seed: trees.cartpole() for seed in range(3)}
    stacked = stack_runs(runs, "seed")
    assert "interquartile mean of 3 runs" in render(stacked)
    with pytest.raises(ValueError, match=r"A page is about one environment and one variant; .* stacked along task"):
        render(stack_runs({"one": stacked, "two": stacked}, "task"))


def test_transfer_measured_of_another_reward_is_said_to_be_of_another():
    transfer = trees.full()["transfer"].to_dataset().sel(policy=["random", "iq-chi2", "true reward"])
    correlations = trees.correlations({"a": POINTS, "b": POINTS})
    short, _, sentence = asked(new_results({"correlation": correlations, "transfer": transfer}))["Does it transfer?"]
    assert short == "Not measured"
    assert (
        "No policy was trained on it in changed dynamics. The section on transfer is about others: “iq-chi2”"
        in sentence
    )


def test_transfer_distances_and_decompositions_have_their_figures_and_tables():
    page = Page(render(trees.full()))
    for told in (
        "Transfer", "friction ×0.5", "all changes", "How far the sampled distances can be trusted.", "truth + shaping",
        "asked off the data", "12 %", "What the difference is made of", "scale λ", "Distances by every measure",
    ):  # fmt: skip
        assert told in page.text, told
    labels = " ".join(svg["aria-label"] for svg in page.all("svg"))
    assert "mean over changes: carried over 0.55" in labels
    assert "trained on “iq-kl” 0.65" in labels


def test_one_change_has_one_figure_and_says_what_was_resampled():
    transfer = trees.full()["transfer"].to_dataset().isel(variant=[0, 1], seed=[0, 1])
    tree = new_results({"transfer": transfer})
    assert transfer["overall"].sel(policy="iq-chi2", bound="estimate") != 0.93  # as it was stored
    table = transfer_table(transfer)
    assert [row.headings[0].label for row in table.rows] == ["unchanged", "mass ×0.5"]
    assert "reaches 93\u00a0% [89, 97]" in asked(tree)["Does it transfer?"][2]
    assert "(one change, 2 seeds)" in asked(tree)["Does it transfer?"][2]
    assert table.notes == [
        "interval over 2 seeds, from resampling each policy's seeds, random's and the true reward's",
        "an interval over only 2 seeds is too narrow",
    ]
    transfer["value"].loc[{"policy": "carried over"}] = 0.5
    assert {row.cells[1].interval for row in transfer_table(transfer).rows} == {"[0.50, 0.50]"}
    assert "of no width" in transfer_table(transfer).notes[-1]
    *_, everywhere = transfer_table(trees.full()["transfer"].to_dataset()).rows
    assert everywhere.headings[0].label == "all changes"


def test_seeds_that_came_out_alike_are_not_passed_off_as_exact():
    tree = trees.full()
    tree["transfer"]["overall"].loc[{"policy": "carried over"}] = 0.55
    assert "carried over unchanged, reaches 55\u00a0% [55, 55]." in asked(tree)["Does it transfer?"][2]
    tree["transfer"].attrs["exact"] = 1
    assert "carried over unchanged, reaches 55\u00a0%." in asked(tree)["Does it transfer?"][2]


def test_the_order_of_policies_is_a_table_in_the_order_of_the_truth():
    table = ranking_table(trees.full()["ranking"].to_dataset())
    assert [heading.label for heading in table.header] == ["reward", "agreement τ", "noise 1", "noise 0.4", "expert"]
    first = {row.headings[0].label: row.cells for row in table.rows}
    assert [cell.text for cell in first["true"]] == ["1", "20.00", "800.00", "2,900"]
    assert [cell.text for cell in first["iq-kl"]] == ["0.60", "0.10", "4.00", "3.00"]
    assert first["sqil"][0].reason == "all policies have the same mean return"
    assert first["constant"][0].text == "0.80"
    assert "Order of policies" in Page(render(trees.full())).text
    ranking = trees.full()["ranking"].to_dataset().assign_coords(reward=["constant", "iq-kl", "true"])
    rows = ranking_table(ranking).rows
    assert [row.headings[0].label for row in rows] == ["true", "iq-kl", "constant"]  # each once
    assert [cell.text for cell in rows[-1].cells] == ["0.80", "0.20", "8.00", "29.00"]


def test_the_true_reward_and_the_constant_stand_beside_the_rewards_and_do_not_compete():
    table = glance_table(trees.full())
    assert [row.headings[0].label for row in table.rows] == ["iq-chi2", "iq-kl", "sqil", "true", "constant"]
    assert not any(cell.best for row in table.rows[3:] for cell in row.cells)
    assert table.rows[3].first
    assert table.rows[3].cells[0].text == "–"


def test_brushed_episodes_carry_their_totals_and_series_to_within_a_step_of_a_byte():
    points = points_group([0, 0, 0, 4, 4], [1, 2, 3, 5, 5], {"iq": [0.0, 1.0, 0.25, -2.0, 2.0]})
    block = brush_data(new_results({"points/all": points}), [("iq", "all")])
    part = block["coverages"]["all"]
    assert (part["episode"], part["length"]) == ([0, 4], [3, 2])
    assert part["series"][""]["total"] == [6, 10]
    series = part["series"]["iq"]
    assert series["total"] == [1.25, 0]
    rows = np.frombuffer(base64.b64decode(series["bytes"]), dtype=np.uint8).reshape(2, block["points"])
    low, high = series["low"][0], series["high"][0]
    assert np.abs(low + (high - low) * rows[0, :3] / 255 - [0, 1, 0.25]).max() < 1 / 255


def test_long_episodes_are_shortened_by_means_of_stretches_within_the_budget():
    tree = trees.many(steps=4000, episodes=10, rewards=2, metrics=("pearson",))
    block = brush_data(tree, [("reward-0", "expert"), ("reward-1", "expert")])
    assert block["points"] == 240
    length = block["coverages"]["expert"]["length"][0]
    long = points_group(np.zeros(1000), np.arange(1000.0), {"iq": np.arange(1000.0)})
    block = brush_data(new_results({"points/all": long}), [("iq", "all")])
    assert block["coverages"]["all"]["series"]["iq"]["low"][0] == pytest.approx(1.5, abs=0.6)
    assert length < 1000


def test_terminal_has_the_verdict_the_answers_and_the_table_of_the_page():
    console = Console(width=120, file=io.StringIO())
    print_report(trees.full(), console)
    text = " ".join(console.file.getvalue().split())
    assert "“iq-chi2” is clearly the best of 3 rewards" in text
    assert "Does it transfer?" in text
    assert "0.97 ★" in text
    assert "[0.95, 0.99]" in text
    assert "constant" in text


def test_terminal_reads_no_markup_in_names():
    console = Console(width=120, file=io.StringIO())
    name = "[red]x[/]"
    warning = {"code": "x", "text": name}
    print_report(
        new_results({"correlation": trees.correlations({"a": POINTS})}, title=name, warnings=[warning]), console
    )
    assert console.file.getvalue().count(name) == 2


POINTS = trees.points(np.random.default_rng(0), np.array([5, 7, 9]), {"iq": 0.5})


def test_verdict_says_what_was_not_measured():
    verdict = judge(normalised({"learned": 1.0}))
    assert verdict.headline == "Retraining not measured; the learned policy imitates the expert."
    assert judge(new_results({})).headline.startswith("Retraining not measured")


@pytest.mark.parametrize(
    ("raw", "constant", "controlled", "phrase"),
    [
        ((0.99, 0.98, 1.0), 0.98, (0.6, 0.5, 0.7), "mostly length"),
        ((0.9, 0.8, 0.95), 0.5, (0.2, 0.1, 0.3), "mostly length"),
        ((0.9, 0.8, 0.95), 0.5, (0.5, -0.1, 0.8), "may be no more than length"),
        ((0.8, 0.7, 0.9), 0.99, (np.nan,) * 3, "mostly length"),
        ((0.99, 0.98, 1.0), -0.98, (0.6, 0.5, 0.7), "mostly length"),  # rewards of −1 a step
        ((0.9, 0.8, 0.95), 0.3, (0.8, 0.7, 0.9), "strong beyond length"),
        ((0.99, 0.98, 1.0), 0.98, (0.6, 0.5, 0.7), "mostly length, with moderate agreement beyond it"),
        ((0.91, 0.61, 0.97), 1.0, (0.53, 0.35, 0.8), "moderate beyond length"),  # Hopper: not strong
        ((0.8, 0.7, 0.9), 0.9, (0.8, 0.4, 0.9), "at least moderate beyond length"),
        ((0.8, 0.7, 0.9), 0.6, (0.8, 0.1, 0.9), "weak to strong beyond length"),
        ((0.6, 0.5, 0.7), 0.9, (0.8, 0.7, 0.9), "agreement is moderate."),  # worse than a constant as it stands
        ((0.6, 0.5, 0.7), np.nan, (0.6, 0.5, 0.7), "episode-level agreement is moderate."),
        ((-0.6, -0.7, -0.5), 0.9, (-0.2, -0.3, 0.1), "against the truth"),
        ((0.1, 0.0, 0.2), 0.0, (0.1, 0.0, 0.2), "weak"),
    ],
)
def test_verdict_tells_length_from_agreement(cartpole, raw, constant, controlled, phrase):
    tree = with_correlations(cartpole, episode_none=raw, episode_constant=(constant,) * 3, episode_length=controlled)
    assert phrase in judge(tree).headline


@pytest.mark.parametrize(
    ("raw", "phrase"),
    [
        ((0.8, 0.75, 0.9), "agrees with the truth"),
        ((0.8, 0.6, 0.9), "is at least moderate"),
        ((0.8, np.nan, np.nan), "is strong by a figure without an interval"),
        ((0.5, 0.4, 0.6), "is moderate"),
        ((0.5, -0.1, 0.8), "is unclear"),
        ((0.1, 0.05, 0.2), "is weak"),
        ((0.1, -0.1, 0.2), "is weak or absent"),
        ((-0.1, -0.2, -0.05), "is weakly contrary"),
        ((-0.5, -0.6, -0.1), "is contrary, perhaps only weakly"),
        ((-0.5, -0.6, -0.4), "contrary to the truth"),
    ],
)
def test_verdict_on_steps_is_no_stronger_than_its_interval(cartpole, raw, phrase):
    claim = next(c for c in judge(with_correlations(cartpole, step_none=raw)).claims if c.term == "step")
    assert phrase in claim.phrase
    assert claim.tone == {0.75: "good", -0.6: "bad" if raw[2] < -0.3 else "caution"}.get(raw[1], "caution")


@pytest.mark.parametrize(
    ("bounds", "word", "phrase"),
    [
        ((0.97, 0.92, 1.0), "Yes", "usable for retraining in this environment"),
        ((0.97, 0.7, 1.0), "Probably", "probably usable for retraining in this environment"),
        ((0.97, 0.2, 1.0), "Perhaps", "perhaps usable for retraining in this environment"),
        ((0.97, np.nan, np.nan), "Perhaps", "perhaps usable for retraining in this environment"),
        ((0.7, 0.6, 0.8), "In part", "only partly usable for retraining"),
        ((0.8, 0.6, 1.0), "At least in part", "partly usable for retraining"),
        ((0.7, 0.2, 1.0), "Perhaps in part", "perhaps partly usable for retraining"),
        ((0.2, 0.1, 0.3), "No", "not usable for retraining"),
        ((0.4, 0.1, 0.8), "Not shown", "not shown to be usable for retraining"),
    ],
)
def test_answer_on_retraining_is_no_stronger_than_its_interval(bounds, word, phrase):
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = np.array(bounds)
    found = next(claim for claim in judge(tree).claims if claim.term == "retrained")
    assert found.phrase == phrase
    assert asked(tree)["Can I retrain on it?"][0] == word
    assert (found.tone == "good") is (word == "Yes")
    assert (found.tone == "bad") is (word == "No")


def test_the_best_is_clear_only_against_all_the_others():
    tree = trees.many(steps=400, episodes=4, rewards=3, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = [[0.95, 0.9, 1.0], [0.8, 0.75, 0.85], [0.7, 0.1, 1.0]]
    short, _, sentence = asked(tree)["Which reward is best?"]
    assert short == "“reward-0”, by a little"
    assert "overlaps those of “reward-2”" in sentence
    assert "“reward-0” leads 3 rewards, though not beyond doubt" in judge(tree).headline


def test_figures_that_read_alike_leave_the_order_to_the_next():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = [[0.998, 0.99, 1.0], [1.0, 0.99, 1.0]]  # .998 reads as 1.00
    where = {"level": "episode", "control": "length", "metric": "pearson", "coverage": "noisy expert mixture"}
    tree["correlation"]["value"].loc[where | {"reward": "reward-0"}] = [0.9, 0.8, 0.95]
    tree["correlation"]["value"].loc[where | {"reward": "reward-1"}] = [0.2, 0.1, 0.3]
    short, _, sentence = asked(tree)["Which reward is best?"]
    assert short == "“reward-0”, clearly"
    assert "By length-controlled episode Pearson: 0.90" in sentence


def test_many_runs_with_a_wide_interval_are_not_well_supported():
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    averaged = average_runs(stack_runs(dict.fromkeys(range(5), tree), "seed"))
    averaged["retraining"]["normalised_mean"][:] = [0.95, 0.3, 1.0]
    short, _, sentence = asked(averaged)["How sure are we?"]
    assert short == "Fairly"
    assert "Its interval leaves open how well retraining works." in sentence


def test_best_reward_is_the_one_that_retrains_best_and_its_figures_come_first():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    tree["retraining"]["normalised_mean"].loc[{"reward": "reward-1"}] = [1.1, 1.0, 1.2]
    assert judge(tree).reward == "reward-1"
    options = [o["value"] for o in Page(render(tree)).all("option")]
    assert options[:4] == ["reward-1", "reward-0", "noisy expert mixture", "expert"]


def test_of_too_many_pairs_of_reward_and_data_those_that_decide_are_drawn(monkeypatch):
    monkeypatch.setattr("irl_probe.report.sections.MOST_VIEWS", 3)
    points = trees.points(np.random.default_rng(0), np.array([3, 4]), {"a": 0.5, "b": 0.5})
    tree = new_results({"points/first": points, "points/second": points})
    (section,) = sections(tree, "b", window=20)
    assert [tuple(f.select.values()) for f in section.items if f.kind == "trace"] == [
        ("b", "first"),
        ("a", "first"),
        ("b", "second"),
    ]
    assert "Drawn are 3 of 4 pairs" in section.intro


@pytest.mark.parametrize("group", ["correlation", "points", "retraining", "grid", "distance"])
def test_missing_groups_are_left_out(group):
    tree = (
        trees.gridworld(3)
        if group in ("grid", "distance")
        else trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    )
    del tree[group]
    assert "Verdict" in Page(render(tree)).text


def test_results_without_any_group_still_make_a_page():
    text = Page(render(new_results({}))).text
    assert "Recovered reward: unnamed environment" in text
    assert "not recorded" in text


def test_provenance_is_on_the_page(cartpole, page):
    for told in ("chi2", "64, 64", "resettable simulator", "absorbing", "9f2c" * 16, "γ 0.99"):
        assert told in page.text
    for name, version in json.loads(cartpole.attrs["versions"]).items():
        assert f"{name} {version}" in page.text
    for warning in current_warnings(cartpole):
        assert warning["text"] in page.text


def test_report_reads_back_from_disk_the_same(tmp_path):
    tree = trees.many(steps=400, episodes=8, rewards=1, metrics=("pearson",))
    again = load_results(save_results(tree, tmp_path / "results.nc"))
    assert render(again) == render(tree)


def test_report_is_not_overwritten_unless_asked(tmp_path):
    tree, path = normalised({}), tmp_path / "deep" / "report.html"
    assert write_report(tree, path) == path
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"A report is not overwritten unless asked to; .* pass overwrite=True"):
        write_report(tree, path)
    assert path.read_text() == "mine"
    write_report(tree, str(path), overwrite=True)
    assert path.read_text().startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_the_old_report(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    broken = normalised({})
    broken.attrs["warnings"] = "not json"
    with pytest.raises(ValueError, match="Expecting value"):
        write_report(broken, path, overwrite=True)
    assert path.read_text() == "mine"


def test_folder_as_path_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"The report is one file; .* is a folder"):
        write_report(normalised({}), tmp_path)


def test_what_is_no_results_tree_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"made of an xarray.DataTree of results; got Dataset"):
        write_report(xr.Dataset(), tmp_path / "report.html")
    with pytest.raises(ValueError, match="must carry the attribute format"):
        write_report(xr.DataTree(), tmp_path / "report.html")


def test_million_steps_make_a_small_page_in_little_memory(tmp_path):
    code = (
        "import resource, sys, time; import trees; from irl_probe.report import write_report\n"
        "tree = trees.many(steps=1_000_000, episodes=1000, rewards=1, metrics=('pearson',))\n"
        "started = time.process_time()\n"
        "page = write_report(tree, sys.argv[1])\n"
        "print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "
        "page.stat().st_size)"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "report.html")],
        env={"PYTHONPATH": f"{here}:{here.parent}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, gigabytes, size = (float(word) for word in done.stdout.split())
    assert seconds < 10
    assert gigabytes < 1
    assert size < 3e6


def test_training_on_the_true_reward_stands_beside_the_others_and_is_not_judged():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    group = tree["retraining"].to_dataset()
    both = xr.concat([group, group.isel(reward=[0]).assign_coords(reward=["true reward"])], "reward")
    both["normalised_mean"][:] = [[0.6, 0.5, 0.7], [0.2, 0.1, 0.3], [0.65, 0.55, 0.75]]
    tree = new_results({"correlation": tree["correlation"].to_dataset(), "retraining": both})
    verdict = judge(tree)
    assert "2 rewards" in verdict.headline
    short, tone, sentence = asked(tree)["Can I retrain on it?"]
    assert (short, tone) == ("Can’t tell", "open")  # as many steps on the truth do no better
    assert "As many steps on the true reward bring 65\u00a0% [55, 75]." in sentence
    table = glance_table(tree)
    assert [row.headings[0].label for row in table.rows] == ["reward-0", "reward-1", "true"]
    assert table.rows[2].cells[0].text == "0.65"
    texts = {v["reward"]: v["text"] for v in current_warnings(tree) if v["code"] == "retraining"}
    assert set(texts) == {"reward-0", "reward-1"}
    assert "too few steps to tell a bad reward from a good one" in texts["reward-0"]
    assert "does not bring back the expert's behaviour" in texts["reward-1"]  # clearly worse than the truth


def test_warnings_about_the_judged_reward_come_first_and_the_others_are_folded():
    tree = trees.many(steps=2000, episodes=20, rewards=3, metrics=("pearson",))
    ours, others = warnings_about(tree, "reward-0")
    assert others
    assert all(warning["reward"] != "reward-0" for warning in others)
    text = render(tree)
    assert f"About the other rewards ({len(others)})" in text
    console = Console(width=120, file=io.StringIO())
    print_report(tree, console)
    assert f"{len(others)} more about the other rewards are on the page" in " ".join(console.file.getvalue().split())
    assert text.index("Each reward at a glance") < text.index("Read this before trusting the figures")
    assert ours == [w for w in current_warnings(tree) if w not in others]


def test_of_one_reward_the_retrained_policies_are_a_table_and_no_empty_figure():
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    section = next(s for s in sections(tree, "reward-0", window=20) if s.key == "retraining")
    (table,) = section.items
    assert [cell.text for cell in table.rows[0].cells][-1].count(",") >= 4
    more = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    _, table = next(s for s in sections(more, "reward-0", window=20) if s.key == "retraining").items
    assert [row.headings[0].label for row in table.rows] == ["reward-0", "reward-1"]


@pytest.mark.parametrize(
    ("figures", "marked"),
    [
        ([[1.0, 0.9, 1.1], [0.996, 0.9, 1.1], [0.5, 0.4, 0.6]], [True, True, False]),  # what ties is marked alike
        ([[1.0, 0.9, 1.1], [0.8, 0.7, 0.89], [0.5, 0.4, 0.6]], [True, False, False]),
        ([[1.0, 0.9, 1.1], [0.996, 0.9, 1.1], [0.99, 0.8, 1.0]], [False, False, False]),  # nothing is told apart
        ([[0.9, 0.9, 0.9], [0.8, 0.8, 0.8], [0.7, 0.7, 0.7]], [True, False, False]),
    ],
)
def test_a_mark_is_for_what_is_told_apart_and_shared_by_what_is_not(figures, marked):
    tree = trees.many(steps=400, episodes=4, rewards=3, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = figures
    assert [row.cells[0].best for row in glance_table(tree).rows] == marked


@pytest.mark.parametrize(("best", "marked"), [((0.92, 0.88, 0.96), True), ((0.7, 0.66, 0.95), False)])
def test_a_reward_that_is_not_shown_to_transfer_has_no_mark(best, marked):
    tree = trees.full()
    tree["transfer"]["overall"].loc[{"policy": "iq-chi2"}] = np.array(best)
    tree["transfer"]["overall"].loc[{"policy": "iq-kl"}] = [0.5, 0.4, 0.6]
    assert [row.cells[1].best for row in glance_table(tree).rows][:3] == [marked, False, False]


def test_where_the_truth_is_the_same_at_every_step_the_verdict_says_what_to_go_by(cartpole, page):
    told = "The return after retraining is the figure to go by"
    assert told in judge(cartpole).note
    assert told in page.text
    console = Console(width=300, file=io.StringIO())
    print_report(cartpole, console)
    assert told in console.file.getvalue()
    assert judge(trees.full()).note == ""
    correlation = cartpole["correlation"].to_dataset().copy(deep=True)
    correlation["reason"] = correlation["reason"].astype(object)
    correlation["reason"].loc[{"level": "step"}] = "The true reward does not vary at step level."
    assert told in judge(new_results({"correlation": correlation})).note  # without the steps themselves
    assert judge(new_results({"returns": cartpole["returns"].to_dataset()})).note == ""


def test_transfer_says_what_one_is_and_that_it_may_be_exceeded():
    section = next(s for s in sections(trees.full(), "iq-chi2", window=20) if s.key == "transfer")
    caption = section.items[0].caption
    assert "reach with the same budget. Where those are poor a line may lie above 1" in caption


def test_a_correlation_that_length_explains_is_not_marked_as_the_best(cartpole):
    tree = trees.many(steps=2000, episodes=20, rewards=2, metrics=("pearson",))
    where = {"level": "episode", "control": "constant", "coverage": "noisy expert mixture"}
    place = [heading.label for heading in glance_table(tree).header].index("episode Pearson") - 1
    tree["correlation"]["value"].loc[where] = 0.9
    assert not any(row.cells[place].best for row in glance_table(tree).rows)
    tree["correlation"]["value"].loc[where] = 0.1
    assert any(row.cells[place].best for row in glance_table(tree).rows)


def test_distance_is_judged_apart_from_shaping():
    tree = trees.gridworld()
    claim = next(c for c in judge(tree).claims if c.term == "starc_minimal")
    assert claim.phrase == "agreement apart from shaping is strong"  # .28: a cosine of .96
    tree["distance"]["value"].loc[{"metric": "starc_minimal"}] = np.array([1.49, 1.41, 1.96])
    assert next(c for c in judge(tree).claims if c.term == "starc_minimal").phrase.endswith("is unclear")


def test_policies_that_all_came_out_alike_have_their_interval_shown():
    assert cell((1.0, 1.0, 1.0), exact=False).interval == "[1.00, 1.00]"
    tree = trees.many(steps=400, episodes=4, rewards=1, metrics=("pearson",))
    tree["retraining"]["normalised_mean"][:] = [1.0, 1.0, 1.0]
    assert "5 fresh policies trained on this reward alone each reach 100" in asked(tree)["Can I retrain on it?"][2]


def test_rewards_that_stand_beside_the_saved_one_are_named_and_not_judged():
    tree = trees.gridworld()
    tree.attrs["beside"] = json.dumps({"exact occupancy": "the most that could be had"})
    tree["distance"] = tree["distance"].to_dataset().assign_coords(reward=["30 demonstrations", "exact occupancy"])
    verdict = judge(tree)
    assert verdict.reward == "30 demonstrations"
    short, _, sentence = asked(tree)["Which reward is best?"]
    assert short == "“30 demonstrations”"
    assert sentence.startswith("It is the one that was saved. Beside it, for comparison only, stand “exact occupancy”")
    short, _, sentence = asked(tree)["Can I retrain on it?"]
    assert short == "Yes"
    assert "optimal for it loses 0.04 of the true return at stake" in sentence


def test_settings_left_at_their_default_stand_on_one_line():
    told = {title: values for title, _, values in provenance({"demonstrations": '{"rewards": null}'})}
    assert told["demonstrations"] == [("rewards", "None")]  # what is missing there was not left to any default
    config = '{"seed": 0, "learner": {"steps": null, "hidden": null, "objective": "iq"}}'
    blocks = {title: values for title, _, values in provenance({"config": config})}
    assert blocks["config"] == [
        ("seed", "0"),
        ("learner.objective", "iq"),
        ("left at the default", "learner.steps, learner.hidden"),
    ]


def test_rewards_without_a_hash_are_said_to_have_none():
    blocks = {
        title: dict(values) for title, _, values in provenance({"hashes": '{"rewards": {"a": "9f2c"}}'}, ["a", "b"])
    }
    assert blocks["hashes"]["rewards.a"] == "9f2c"
    assert blocks["hashes"]["rewards.b"].startswith("not recorded: a plain function has none")
