"""The page in a real browser: figures have size, controls work, nothing is logged, nothing overflows.

Headless Chromium prints its DOM (`--dump-dom`). A probe script writes facts that only a browser knows into the DOM of a
copy of the page, whose content policy allows the script. The original page must run without any console message.
"""

import functools
import html
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import trees
import xarray as xr

from irl_probe.report import write_report
from irl_probe.results import new_results

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("IRL_PROBE_REQUIRE_BROWSER") == "1"
pytestmark = pytest.mark.skipif(
    BROWSER is None and not REQUIRED,
    reason="left out: no chromium or google-chrome on PATH (Debian: apt-get install chromium)",
)
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
]

PROBE = """
const labelOf = (figure) => figure.querySelector("svg").ariaLabel;
const shown = (e) => e.getClientRects().length > 0;
const figures = [...document.querySelectorAll("figure")];
const section = document.getElementById("points");
const select = section.querySelector("select[name=coverage]");
const level = section.querySelector("select[name=level]");
const visible = () => [...section.querySelectorAll("figure")].filter(shown).map(labelOf);
const found = { overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth };
found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
found.ink = getComputedStyle(document.querySelector("figure svg text")).fill;
found.paper = getComputedStyle(document.documentElement).backgroundColor;
found.smallest = Math.min(...[...document.querySelectorAll("figure svg text")].filter(shown)
  .map((t) => t.getBBox().height * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b)));
if (select) {
  found.before = visible();
  select.value = select.options[1].value;
  select.dispatchEvent(new Event("change"));
  found.chosen = select.value;
  found.after = visible();
  level.value = "episode";
  level.dispatchEvent(new Event("change"));
  found.oneLevel = visible();
  level.value = "";
  level.dispatchEvent(new Event("change"));
}
const brushable = section ? [...section.querySelectorAll("figure[data-kind=episodes]:has(.brushed)")] : [];
const figure = brushable.find(shown);
if (figure) {
  const picture = figure.querySelector("svg"), box = picture.getBoundingClientRect();
  picture.setPointerCapture = () => {};
  const point = (type, x, y) => picture.dispatchEvent(new PointerEvent(type, {
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, button: 0, pointerType: "mouse" }));
  const trace = [...section.querySelectorAll("figure[data-kind=trace]")].filter(shown)[0];
  const told = () => figure.querySelector(".brushed").textContent;
  const lines = () => [...trace.querySelectorAll("svg.live polyline")].map((l) => l.points.numberOfItems);
  found.brush = { dots: figure.querySelectorAll(".episodes use").length, before: told() };
  point("pointerdown", 0, 0); point("pointermove", 1, 1); point("pointerup", 1, 1);
  Object.assign(found.brush, { all: told(), lines: lines(), caption: trace.querySelector("figcaption").textContent });
  figure.querySelectorAll(".tools button")[1].click();
  found.brush.next = trace.querySelector("figcaption").textContent;
  const dot = figure.querySelector(".episodes use").getBoundingClientRect();
  const [x, y] = [(dot.left + dot.width / 2 - box.left) / box.width, (dot.top + dot.height / 2 - box.top) / box.height];
  point("pointerdown", x, y); point("pointerup", x, y);
  found.brush.one = told();
  figure.querySelectorAll(".tools button")[2].click();
  Object.assign(found.brush, { cleared: told(), live: lines().length });
}
const term = document.querySelector("a.term");
term.focus();
const tip = document.querySelector(".tip");
const box = tip.getBoundingClientRect();
found.tip = { text: tip.textContent, shown: shown(tip), inside: box.left >= 0 && box.right <= innerWidth };
document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
found.tipAfterEscape = shown(tip);
for (const hidden of document.querySelectorAll("[hidden]")) hidden.hidden = false;
for (const details of document.querySelectorAll("details")) details.open = true;
found.figures = figures.map((figure) => {
  const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect(), drawn = svg.getBBox();
  return { name: svg.ariaLabel, width: box.width, height: box.height, drawn: drawn.width * drawn.height,
           marks: svg.querySelectorAll("path, use").length, words: svg.querySelectorAll("text").length };
});
found.images = [...document.querySelectorAll("img")].map((image) => image.naturalWidth);
const out = document.createElement("pre");
out.id = "probe";
out.textContent = JSON.stringify(found);
document.body.append(out);
"""


def chromium(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    if BROWSER is None:
        pytest.fail("IRL_PROBE_REQUIRE_BROWSER=1, but there is no chromium or google-chrome on PATH.")
    command = [BROWSER, *QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def console(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probe(page: Path, folder: Path, *options: str, width: int = 1280) -> dict:
    """The findings of PROBE in a copy of the page, laid out `width` pixels wide."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", text, count=1)
    copy = folder / f"{page.stem}-probe.html"
    copy.write_text(text.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    done = chromium(copy, folder / "profile", f"--window-size={width},900", "--dump-dom", *options)
    assert console(done) == []
    return json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, flags=re.DOTALL)[1]))


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "cartpole": write_report(trees.cartpole(), folder / "cartpole.html"),
        "full": write_report(trees.full(), folder / "full.html"),
        "gridworld": write_report(trees.gridworld(), folder / "gridworld.html"),
        "hostile": write_report(hostile(), folder / "hostile.html"),
    }


@pytest.fixture(scope="module")
def found(pages, tmp_path_factory):
    """`found(name, *options, width=)`: the findings of PROBE; each combination runs the browser once."""

    @functools.cache
    def look(name: str, *options: str, width: int = 1280) -> dict:
        return probe(pages[name], tmp_path_factory.mktemp("probe"), *options, width=width)

    return look


def hostile() -> xr.DataTree:
    name = "</svg></script><script>document.title='broken into'</script>"
    tree = new_results({}, title=name, env_id=name, config={name: name})
    tree.attrs["no_distances"] = name  # a warning
    return tree


@pytest.mark.parametrize("name", ["cartpole", "full", "gridworld", "hostile"])
def test_page_runs_without_any_console_message(pages, tmp_path, name):
    done = chromium(pages[name], tmp_path / "profile", "--dump-dom")
    assert console(done) == []
    assert 'role="tooltip" id="tip"' in done.stdout  # the page's own script ran under its policy
    assert "<title>broken into" not in done.stdout


@pytest.mark.parametrize("name", ["cartpole", "full", "gridworld"])
def test_every_figure_is_drawn(found, name):
    seen = found(name)
    assert len(seen["figures"]) >= 10
    for figure in seen["figures"]:
        assert figure["width"] > 200, figure
        assert figure["height"] > 80, figure
        assert figure["drawn"] > 0, figure
        assert figure["marks"] > 5, figure
        assert figure["words"] > 3, figure
    assert all(width > 0 for width in seen["images"])


def test_controls_choose_what_is_shown(found):
    seen = found("cartpole")
    assert len(seen["before"]) == len(seen["after"]) == 4
    assert all("noisy expert mixture" in name for name in seen["before"])
    assert all(f"on {seen['chosen']} data" in name for name in seen["after"])


def test_level_is_chosen_and_the_episode_over_time_stays(found):
    seen = found("cartpole")
    assert len(seen["oneLevel"]) == 2
    assert "episode level" in seen["oneLevel"][0]
    assert "over time" in seen["oneLevel"][1]


def test_brushed_episodes_are_counted_correlated_and_drawn_over_time(found):
    seen = found("full")["brush"]
    assert seen["dots"] == 30
    assert seen["before"].startswith("Drag over dots")
    assert re.fullmatch(r"30 episodes of \d+ to \d+ steps; Pearson among them 0\.9\d\.", seen["all"])
    assert len(seen["lines"]) == 2
    assert seen["lines"][0] == seen["lines"][1] > 50
    assert re.match(r"Episode \d+: \d+ steps, true return ", seen["caption"])
    assert seen["next"] != seen["caption"]
    assert seen["one"].startswith("1 episode of ")
    assert seen["cleared"] == seen["before"]
    assert seen["live"] == 0


def test_page_is_complete_without_javascript(pages, tmp_path):
    text = pages["full"].read_text(encoding="utf-8")
    still = tmp_path / "still.html"
    still.write_text(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    done = chromium(still, tmp_path / "profile", "--dump-dom")
    body = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    figures = re.findall(r"<figure[^>]*>", body)
    assert len(figures) == text.count("<figure ") + text.count("<figure>")
    assert not [figure for figure in figures if "hidden" in figure]


def test_definition_shows_on_focus_and_leaves_on_escape(found):
    seen = found("cartpole")
    assert seen["tip"]["shown"]
    assert seen["tip"]["inside"]
    assert "the learned soft Q-function implies" in seen["tip"]["text"]
    assert not seen["tipAfterEscape"]


@pytest.mark.parametrize("name", ["cartpole", "full", "gridworld"])
def test_page_fits_a_narrow_window(found, name):
    seen = found(name, width=500)  # the narrowest window that Chromium makes
    assert seen["overflow"] <= 0
    assert seen["smallest"] > 9


def test_dark_theme_turns_page_and_figures(found):
    light, dark = found("cartpole"), found("cartpole", "--blink-settings=preferredColorScheme=0")
    assert (light["dark"], dark["dark"]) == (False, True)
    for name in ("ink", "paper"):
        assert light[name] != dark[name]


def test_page_prints(pages, tmp_path):
    printed = tmp_path / "page.pdf"
    chromium(pages["cartpole"], tmp_path / "profile", f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    pdf = printed.read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12


def test_screenshot_has_the_asked_size_and_is_not_blank(pages, tmp_path):
    shot = tmp_path / "page.png"
    chromium(pages["cartpole"], tmp_path / "profile", f"--screenshot={shot}", "--window-size=1280,900")
    data = shot.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1280, 900)
    assert len(data) > 30_000
