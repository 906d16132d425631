"""The page as a file: complete, self-contained, safe from hostile names, and clear about what is missing."""

import base64
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

from irl_probe import judgement
from irl_probe.judgement import judge, read
from irl_probe.report import print_report, write_report
from irl_probe.report.page import brush_data, provenance, render, warnings_about
from irl_probe.results import load_results, new_results, points_group, save_results, stack_runs


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


def test_every_section_with_results_is_there(page, grid_page):
    headings = (
        "Returns|True against recovered reward|Correlations|Learning curve|Where the results come from|Definitions"
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


def test_ids_are_unique_and_links_and_labels_point_to_ids_of_the_page(page, grid_page):
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


def test_hostile_names_are_shown_as_text():
    points = trees.points(np.random.default_rng(0), np.array([5, 7]), {HOSTILE: 0.5})
    tree = new_results(
        {f"points/{HOSTILE.replace('/', '')}": points, "correlation": trees.correlations({HOSTILE: points})},
        title=HOSTILE,
        env_id=HOSTILE,
        terminal=HOSTILE,
        demonstrations={HOSTILE: HOSTILE},
        config={HOSTILE: {HOSTILE: HOSTILE}},
    )
    tree.attrs["no_distances"] = HOSTILE  # a warning
    assert any(HOSTILE in warning["text"] for warning in judgement.warnings_of(tree))
    hostile = Page(render(tree))
    assert [script.get("type") for script in hostile.all("script")] == ["application/json", None]
    assert not hostile.all("img")
    assert not [name for _, attrs in hostile.tags for name in attrs if name.startswith("on")]
    assert hostile.text.count("</svg>") >= 5  # shown as text


def test_every_term_links_to_its_definition_and_shows_it_on_hover(page):
    used = [a for a in page.all("a") if a.get("class") == "term"]
    assert len(used) > 20
    for link in used:
        assert judgement.glossary.TERMS[link["href"].removeprefix("#def-")].definition == link["title"]


def test_undefined_figures_are_shown_with_their_reason(page):
    reason = "the true reward is the same everywhere here, and a constant has no correlation"
    assert f"undefined: {reason}" in page.text
    assert "nan" not in page.text.lower().split()


def test_captions_hold_raw_constant_and_controlled_figures(grid_page):
    group = trees.gridworld()["correlation"].to_dataset().sel(reward="30 demonstrations", metric="pearson")
    values = group["value"].sel(coverage="expert", level="episode", bound="estimate").squeeze()
    raw, constant, controlled = (
        f"{float(values.sel(control=c)):.2f}".replace("-", "−") for c in ("none", "constant", "length")
    )
    pattern = rf"Pearson {raw} \[[^]]*\]; constant baseline {constant} \[[^]]*\]; length controlled {controlled} \["
    assert re.search(rf"Episode level, “30 demonstrations” on expert data\. {pattern}", grid_page.text)


def test_the_four_answers_are_on_the_page_and_say_what_was_not_measured(page):
    for question in ("Which reward is best?", "Can I retrain on it?", "Does it transfer?", "How sure are we?"):
        assert question in page.text
    assert "Not measured No policy was trained on it in changed dynamics." in page.text
    assert "“irl-probe transfer REWARD --env ENV --out DIR” measures it." in page.text


def test_stacked_seeds_are_averaged_and_other_stacks_are_refused():
    runs = {seed: trees.cartpole() for seed in range(3)}
    stacked = stack_runs(runs, "seed")
    assert "interquartile mean of 3 runs" in render(stacked)
    with pytest.raises(ValueError, match=r"A page is about one environment and one variant; .* stacked along task"):
        render(stack_runs({"one": stacked, "two": stacked}, "task"))


def test_transfer_distances_and_decompositions_have_their_figures_and_tables():
    page = Page(render(trees.full()))
    for shown in (
        "Transfer", "friction ×0.5", "all changes", "How far the sampled distances can be trusted.", "truth + shaping",
        "queries outside the data", "12 %", "What the difference is made of", "scale λ", "Distances by every measure",
        "Order of policies",
    ):  # fmt: skip
        assert shown in page.text, shown
    labels = " ".join(svg["aria-label"] for svg in page.all("svg"))
    assert "mean over changes: carried over 0.55" in labels
    assert "trained on “iq-kl” 0.65" in labels


def test_brushed_episodes_have_their_totals_and_their_series_to_one_part_in_255():
    points = points_group([0, 0, 0, 4, 4], [1, 2, 3, 5, 5], {"iq": [0.0, 1.0, 0.25, -2.0, 2.0]})
    block = brush_data(read(new_results({"points/all": points})).points, [("iq", "all")])
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
    block = brush_data(read(tree).points, [("reward-0", "expert"), ("reward-1", "expert")])
    assert block["points"] == 240
    length = block["coverages"]["expert"]["length"][0]
    long = points_group(np.zeros(1000), np.arange(1000.0), {"iq": np.arange(1000.0)})
    block = brush_data(read(new_results({"points/all": long})).points, [("iq", "all")])
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


def test_names_in_the_terminal_are_not_read_as_markup():
    console = Console(width=120, file=io.StringIO())
    name = "[red]x[/]"
    points = trees.points(np.random.default_rng(0), np.array([5, 7, 9]), {"iq": 0.5})
    tree = new_results({"correlation": trees.correlations({"a": points})}, title=name)
    tree.attrs["no_distances"] = name
    print_report(tree, console)
    assert console.file.getvalue().count(name) == 2


def test_best_reward_is_the_one_that_retrains_best_and_its_figures_come_first():
    tree = trees.many(steps=400, episodes=4, rewards=2, metrics=("pearson",))
    tree["retraining"]["normalised_mean"].loc[{"reward": "reward-1"}] = [1.1, 1.0, 1.2]
    assert judge(read(tree)).reward == "reward-1"
    options = [o["value"] for o in Page(render(tree)).all("option")]
    assert options[:4] == ["reward-1", "reward-0", "noisy expert mixture", "expert"]


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
    for shown in ("chi2", "64, 64", "resettable simulator", "absorbing", "9f2c" * 16, "γ 0.99"):
        assert shown in page.text
    for name, version in json.loads(cartpole.attrs["versions"]).items():
        assert f"{name} {version}" in page.text
    for warning in judgement.warnings_of(cartpole):
        assert warning["text"] in page.text


@pytest.mark.parametrize("make", [trees.cartpole, trees.gridworld, trees.full])
def test_a_page_reads_each_group_of_the_results_once(make, monkeypatch):
    tree, read_groups = make(), []
    to_dataset = xr.DataTree.to_dataset

    def counted(node, *args, **settings):
        read_groups.append(node.path)
        return to_dataset(node, *args, **settings)

    def refused(node, key):
        raise AssertionError(f"'{key}' is read out of the tree again")

    monkeypatch.setattr(xr.DataTree, "to_dataset", counted)
    monkeypatch.setattr(xr.DataTree, "__getitem__", refused)
    assert "Verdict" in render(tree)
    assert sorted(read_groups) == sorted(node.path for node in tree.subtree if node.parent is not None)


def test_results_loaded_from_disk_give_the_same_page(tmp_path):
    tree = trees.many(steps=400, episodes=8, rewards=1, metrics=("pearson",))
    again = load_results(save_results(tree, tmp_path / "results.nc"))
    assert render(again) == render(tree)


def test_report_is_not_overwritten_unless_asked(tmp_path):
    tree, path = new_results({}), tmp_path / "deep" / "report.html"
    assert write_report(tree, path) == path
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"A report is not overwritten unless asked to; .* pass overwrite=True"):
        write_report(tree, path)
    assert path.read_text() == "mine"
    write_report(tree, str(path), overwrite=True)
    assert path.read_text().startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_report(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    broken = new_results({})
    broken.attrs["config"] = "not json"
    with pytest.raises(ValueError, match="Expecting value"):
        write_report(broken, path, overwrite=True)
    assert path.read_text() == "mine"


def test_a_folder_as_the_path_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"The report is one file; .* is a folder"):
        write_report(new_results({}), tmp_path)


def test_only_a_results_tree_makes_a_report(tmp_path):
    with pytest.raises(TypeError, match=r"made of an xarray.DataTree of results; got Dataset"):
        write_report(xr.Dataset(), tmp_path / "report.html")
    with pytest.raises(ValueError, match="must carry the attribute format"):
        write_report(xr.DataTree(), tmp_path / "report.html")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of the memory from /proc")
def test_a_million_steps_make_a_small_page_in_little_memory(tmp_path):
    code = (
        "import re, sys, time; import trees; from irl_probe.report import write_report\n"
        "tree = trees.many(steps=1_000_000, episodes=1000, rewards=1, metrics=('pearson',))\n"
        "started = time.process_time()\n"
        "page = write_report(tree, sys.argv[1])\n"
        # ru_maxrss would count the process that started this one, which holds what other tests left.
        "peak = int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])\n"
        "print(time.process_time() - started, peak / 2**20, page.stat().st_size)"
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


def test_warnings_about_the_judged_reward_come_first_and_the_others_are_in_a_closed_list():
    tree = trees.many(steps=2000, episodes=20, rewards=3, metrics=("pearson",))
    ours, others = warnings_about(read(tree), "reward-0")
    assert others
    assert all(warning["reward"] != "reward-0" for warning in others)
    text = render(tree)
    assert f"About the other rewards ({len(others)})" in text
    console = Console(width=120, file=io.StringIO())
    print_report(tree, console)
    assert f"{len(others)} more about the other rewards are on the page" in " ".join(console.file.getvalue().split())
    assert text.index("Each reward at a glance") < text.index("Read this before trusting the figures")
    assert ours == [w for w in judgement.warnings_of(tree) if w not in others]


def test_if_the_truth_is_the_same_at_every_step_the_verdict_says_which_figure_to_use(cartpole, page):
    note = "The return after retraining is the figure to go by"
    assert note in judge(read(cartpole)).note
    assert note in page.text
    console = Console(width=300, file=io.StringIO())
    print_report(cartpole, console)
    assert note in console.file.getvalue()
    assert judge(read(trees.full())).note == ""
    correlation = cartpole["correlation"].to_dataset().copy(deep=True)
    correlation["reason"] = correlation["reason"].astype(object)
    correlation["reason"].loc[{"level": "step"}] = "The true reward does not vary at step level."
    assert note in judge(read(new_results({"correlation": correlation}))).note  # without the steps themselves
    assert judge(read(new_results({"returns": cartpole["returns"].to_dataset()}))).note == ""


def test_settings_left_at_their_default_are_on_one_line():
    blocks = {title: values for title, _, values in provenance({"demonstrations": '{"rewards": null}'})}
    assert blocks["demonstrations"] == [("rewards", "None")]  # a missing fact is not a setting left at its default
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
