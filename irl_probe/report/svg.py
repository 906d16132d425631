"""A matplotlib figure as inline SVG that follows the page's theme and fonts."""

from __future__ import annotations

import io
import re
import warnings

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG

from irl_probe.report.palette import DOTS, THEME

FAMILY = re.compile(r" *font-family: [^;\"]*;?")
ATTRIBUTE = re.compile(r'="[^"]*"')
LONG_DECIMAL = re.compile(r"(\.\d\d)\d+")
PLACE = re.compile(r'(?<= [dxy]=)"[^"]*"')  # in points: a tenth of one is finer than a pixel
PLACE_DECIMAL = re.compile(r"(\.\d)\d+")
COLOUR = re.compile("|".join(THEME))


def inline_svg(ax: Axes, identifier: str, alt: str) -> Markup:
    """The figure of `ax` as an `<svg role="img">` that scales with its box and names itself to screen readers.

    Every id is prefixed with `identifier` (unique on the page), the colours of palette.THEME become CSS variables,
    and text stays text in the page's font. matplotlib escapes what it draws; `alt` is escaped here.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("An Axes must be on a figure to be drawn; this one was removed from its own.")
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier}), warnings.catch_warnings():
        # The browser draws the text with its own fonts, so a glyph that matplotlib's font lacks is no loss here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]  # matplotlib gives it no types
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = text.replace(f'<g id="{DOTS}">', f'<g class="{DOTS}">')
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{identifier}-", text)
    text = re.sub(
        r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL
    )  # it would style the page
    text = ATTRIBUTE.sub(lambda match: LONG_DECIMAL.sub(r"\1", re.sub(r"\s+", " ", match.group())), text)
    text = PLACE.sub(lambda match: PLACE_DECIMAL.sub(r"\1", match.group()), text)
    text = FAMILY.sub("", text)  # the page's style sheet has the family
    text = COLOUR.sub(lambda match: f"var({THEME[match.group()]})", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = _smaller(text, identifier)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1))  # matplotlib's own markup


def _smaller(text: str, identifier: str) -> str:
    """The same drawing in fewer letters: a page holds dozens of them."""
    text = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", text)
    text = re.sub(r'(<use [^>]*?) clip-path="[^"]*"', r"\1", text)  # marks stand inside the axes anyway
    text = re.sub(r'<g(?: clip-path="[^"]*")?>\s*(<use [^>]*/>)\s*</g>', r"\1", text)
    text = re.sub(r'style="[^"]*"', lambda match: re.sub(r"([:;]) +", r"\1", match.group()), text)
    text = text.replace("xlink:href=", "href=").replace(' xmlns:href="http://www.w3.org/1999/xlink"', "")
    text = re.sub(r' (xmlns(:xlink)?|version)="[^"]*"', "", text)  # known to an HTML page
    names = dict.fromkeys(re.findall(r' id="([^"]*)"', text))
    short = {name: f"{identifier}-{number}" for number, name in enumerate(names)}
    text = re.sub(
        r'(?<= id=")[^"]*(?=")|(?<=")#[^"]*(?=")|(?<=url\(#)[^)]*', lambda m: _renamed(m.group(), short), text
    )
    while (bare := re.sub(r"<g>\s*</g>", "", text)) != text:
        text = bare
    return re.sub(r"\n\s*", "\n", text)


def _renamed(name: str, short: dict[str, str]) -> str:
    return f"#{short.get(name[1:], name[1:])}" if name.startswith("#") else short.get(name, name)
