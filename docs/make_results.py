"""Write docs/results.md, the table of README.md and the list of terms in docs/glossary.md: `python docs/make_results.py`.

It only reads committed results: the .nc files under analyses/, the reward.json files under recovered_rewards/, the cards of the bundled
demonstrations and benchmarks/figures.json. Nothing is trained or measured. tests/test_results_page.py checks that the
committed pages are what this command makes.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from irl_probe.judgement.glossary import terms
from irl_probe.metrics import stratified_bootstrap

ROOT = Path(__file__).parents[1]
PAGE, GLOSSARY, README = ROOT / "docs" / "results.md", ROOT / "docs" / "glossary.md", ROOT / "README.md"
DEMONSTRATIONS = {
    "CartPole-v1": "1, every 20th step",
    "Acrobot-v1": "1",
    "LunarLander-v3": "10, every 5th step",
}
ONE_DEMO_TARGETS = {  # asked for before the runs; analyses/one_demo/study.py has them too
    "Hopper-v5": 3545,
    "HalfCheetah-v5-smooth": 4097,
    "Hopper-v5-smooth": 3690,
    "Ant-v5": 4720,
    "HalfCheetah-v5": 8465,
}
LAST = 5  # evaluations that count as the end of a run


def readme_table() -> str:
    """One row a task: what the imitator reaches, and what fresh policies reach on a shipped reward alone."""
    imitated = discrete()["return"].sel(variant="offline")
    shipped = {reward.rpartition("/")[0]: reward for reward in cards()}  # the last of an environment's rewards
    rows = []
    for task, demonstrations in DEMONSTRATIONS.items():
        own = cards()[shipped[task]]
        expert = own["expert's true return"]
        cells = [over_seeds(imitated.sel(task=task), 0), number(expert, 0), retrained(own)]
        rows.append([task, demonstrations, *cells, name_of(shipped[task])])
    for task, env_id in {"Hopper-v5": "", "HalfCheetah-v5": "", "Ant-v5": "Ant27-v5", "Humanoid-v5": ""}.items():
        reward = shipped.get(env_id or task)
        rest = [retrained(cards()[reward]), name_of(reward)] if reward else ["–", "–"]
        rows.append([task, "1", ", ".join(ends(task)), number(expert_of(task), 0), *rest])
    pendulum = shipped["Pendulum-v1"]
    rows.insert(3, ["Pendulum-v1", "–", "–", "–", retrained(cards()[pendulum]), name_of(pendulum)])
    head = ["task", "demonstrations", "imitator's return", "expert's", "fresh policies on the reward alone", "reward"]
    return markdown(head, rows)


def name_of(reward: str) -> str:
    return f"`{reward.rpartition('/')[2]}`"


def page() -> str:
    """docs/results.md."""
    parts = [
        HEAD,
        imitation(),
        one_demonstration(),
        shipped_rewards(),
        length(),
        transfer(),
        sampled_measures(),
        any_soft_q(),
        bundled(),
        speed(),
        before_you_trust_a_reward(),
    ]
    return wrapped("\n\n".join(part.strip() for part in parts)) + "\n"


HEAD = """# Results

This page is made from the committed results by `make results` (`python docs/make_results.py`); do not edit it by hand. Returns
are true returns, which no learner sees. Numbers in brackets are 95 % intervals. Those over seeds are Student's t, lengthened
for skewness (`irl_probe.metrics.seed_interval`): three to five seeds say little, and such an interval may end beyond the best
possible return. One or two seeds have none, nor have seeds with equal figures, which do not show how much others differ. The
[lab notes](lab_notes.md) say what was tried along the way, and what failed."""


# ---------------------------------------------------------------------------------------------------------- sections


def imitation() -> str:
    data = discrete()
    rows = []
    for task, demonstrations in DEMONSTRATIONS.items():
        returns = data["return"].sel(task=task)
        rows.append(
            [task, demonstrations, *(over_seeds(returns.sel(variant=v), 1) for v in ("offline", "online", "bc"))]
        )
    table = markdown(["task", "demonstrations", "offline", "online", "behavioural cloning"], rows)
    return f"""## Imitation with discrete actions

Five seeds, each with its own demonstrations; a seed's figure is the mean of 20 episodes. IQ-Learn has one default offline and one online.

{table}

Made by `python analyses/discrete/study.py run` and `merge` ({versions(data.attrs)}). The
study (`analyses/discrete`) has thirteen variants, the correlations of their rewards, and what policies trained on them reach."""


def one_demonstration() -> str:
    data = one_demo()
    rows = []
    for task in ("Hopper-v5", "HalfCheetah-v5-smooth", "Hopper-v5-smooth", "Ant-v5", "HalfCheetah-v5", "Humanoid-v5"):
        steps = int(data["step"].sel(task=task).max())
        target = ONE_DEMO_TARGETS.get(task)
        rows.append(
            [
                task,
                f"{steps // 1000}k",
                str(len(ends(task))),
                ", ".join(ends(task)),
                number(expert_of(task), 0),
                "–" if target is None else str(target),
            ]
        )
    table = markdown(["task", "steps", "seeds", "returns, by seed", "expert", "target"], rows)
    low = minimum_final("HalfCheetah-v5", 0)
    return f"""## MuJoCo from one demonstration

One set of defaults for all tasks, chosen on all of them but Humanoid-v5. The figure is the mean of the last {LAST} of 40
evaluations, 10 episodes each.

{table}

- "-smooth" names demonstrations of another, smoother expert in the same environment. Ant-v5 is trained as Ant27-v5, which leaves
  the contact forces out of the observations.
- Seed 0 of HalfCheetah-v5-smooth only just meets its target. On HalfCheetah-v5, a
  fast gait, seed 0 meets the target and seed 1 misses it.
- On HalfCheetah-v5, Ant-v5 and Humanoid-v5 single episodes still fail: the worst of the ten final episodes of HalfCheetah-v5's
  seed 0 returns {low}.
- Defaults and budgets were chosen on seed 0, so read these as figures of chosen settings and not as a fresh test.

Made by `python analyses/one_demo/study.py run` and `merge` ({versions(json.loads(str(first(data["versions"]))))}). The
study (`analyses/one_demo`) has each run's final episodes, its time, and the correlations of its reward."""


def shipped_rewards() -> str:
    rows = []
    for reward, figures in cards().items():
        retraining, mixture = figures["retraining"], figures.get("correlation, mixture", {})
        on_random = figures.get("correlation, random", {})
        rows.append(
            [
                reward,
                figures["retrained policies"].removesuffix(" environment steps each").replace(",", " of"),
                interval(retraining["normalised_mean"]),
                interval(retraining.get("normalised_mean (true reward)")),
                f"{bare(figures.get(IMITATOR))} of {number(figures[EXPERT], 0)}",
                interval(mixture.get("pearson, step")),
                interval(on_random.get("pearson, step")),
                interval(mixture.get("pearson, episode, length partialled out")),
                interval(on_random.get("pearson, episode")),
            ]
        )
    head = [
        "reward",
        "policies",
        "on it alone",
        "on the true reward",
        "imitator of expert",
        "step, mixture",
        "step, random",
        "episode, length out, mixture",
        "episode, random",
    ]
    data = ("mixture", "random")
    cartpole = {on: interval(cards()["CartPole-v1/iq"][f"correlation, {on}"]["pearson, episode"]) for on in data}
    linear, sparse = cards()["HalfCheetah-v5/sqil-linear"], cards()["HalfCheetah-v5/sqil-sparse"]
    return f"""## Fresh policies on the shipped rewards

A reward is for training policies, so this is its test: new policies are trained on it and nothing else. The figure is their true
return, with a random policy at 0 and the expert at 1. "On the true reward" has the same learner and as many steps, except for α.
"step" and "episode" (undiscounted sums) are Pearson correlations with the true reward, on the mixture of noisy clones and on random
actions. A dash is undefined or not measured.

{markdown(head, rows)}

- Three policies say little: read the interval, not only the figure. Where the three are equal there is none.
- **Read both kinds of data.** A reward can agree with the truth on the mixture and not on random steps. CartPole's true reward is
  the same at every step, so per step nothing is measured; over episodes CartPole-v1/iq has {cartpole["mixture"]} on the mixture and
  {cartpole["random"]} on random steps. The cards hold neither canonical distances nor an order of policies.
- A `sqil-linear` reward is the linear part, in the state, of the reward that SQIL's Q-function implies; `sqil-sparse` keeps the
  few weights that a lasso leaves. With continuous actions, few of the recovered rewards themselves train a policy.
- HalfCheetah-v5/sqil-linear trained three policies, which return {linear["their true returns"]}; the third runs on its back. The sparse
  reward's three, in training episodes of 200 steps, reach {sparse["their true returns"]}; policies on the true reward with the
  same learner and budget reach {sparse["true reward, their true returns"]}.
- Ant27-v5/sqil-sparse leaves out the cost of control, and its policies reach {cards()["Ant27-v5/sqil-sparse"]["their true returns"]}.

Made by `python analyses/zoo/study.py make`; each card names its settings and versions. See the
study (`analyses/zoo`) and [how to make one](tutorials/retrain.md)."""


def length() -> str:
    data = tree("analyses/paper/hopper.nc", "correlation")
    data = data.sel(metric="pearson", coverage="mixture", reference="true")["value"]
    rows = [
        [
            str(reward),
            *(bounds(data.sel(reward=reward, level=level, control=control).values) for level, control in LEVELS),
        ]
        for reward in data["reward"].values
    ]
    constant = bounds(data.sel(reward="constant", level="episode", control="none").values, 3)
    head = ["reward", "step", "episode", "episode, a constant reward", "episode, length out"]
    return f"""## What ".99" means

On Hopper-v5 a reward that is the same at every step correlates {constant} with the true one over whole
episodes, because both follow the number of steps. [This page](what_99_means.md) explains it.

{markdown(head, rows)}

Made by `python analyses/paper/study.py hopper DEMOS`, seed 0. The study (`analyses/paper`) has the same
table for every shipped reward."""


LEVELS = (("step", "none"), ("episode", "none"), ("episode", "constant"), ("episode", "length"))


def transfer() -> str:
    tables = []
    for name, title in TRANSFERS.items():
        data = tree(f"analyses/transfer/results/{name}.nc", "transfer")
        rows = [
            [str(policy), *(bounds(data["value"].sel(policy=policy, variant=v).values) for v in data["variant"].values)]
            for policy in data["policy"].values
        ]
        seeds = counted(data.sizes["seed"], "seed")
        tables.append(f"**{title}**, {seeds}\n\n{markdown(['policy', *map(str, data['variant'].values)], rows)}")
    joined = "\n\n".join(tables)
    return f"""## Changed dynamics

Policies are trained on the reward in the changed environment. 0 is a random policy, and 1 is what policies reach that are trained
there on the true reward with as many steps. "carried over" is the imitator, unchanged.

{joined}

Three policies say little: the intervals are as long as three seeds make them, and two seeds or one have none. With CartPole's pole five times as long the three policies on the disentangled form g(s) return {returns("disentangled")} and those on
the recovered reward {returns("recovered")}. On the grids, which are solved exactly, g(s) transfers to every change and rewards of (s, a) fail
where actions are swapped. In the maze no reward is shown to transfer. In the ant's table 1 is a policy that stands still, so that table
says less than it seems to.

Made by `python analyses/transfer/study.py run`; the study (`analyses/transfer`) has the grids and every form."""


TRANSFERS = {
    "cartpole_far": "CartPole-v1/iq",
    "halfcheetah": "HalfCheetah-v5/sqil-sparse, half the strength",
    "ant": "Ant27-v5/sqil-sparse, one leg disabled",
    "maze": "PointMaze-v0, the wall moved; a reward a seed",
}


def returns(policy: str) -> str:
    data = tree("analyses/transfer/results/cartpole_far.nc", "transfer")
    return ", ".join(number(each, 0) for each in data["return_mean"].sel(policy=policy, variant="length ×5").values)


def sampled_measures() -> str:
    data = dataset("analyses/estimators/results.nc")
    low, high = data["value"].sel(bound="low"), data["value"].sel(bound="high")
    held = ((low <= data["exact"] + 1e-9) & (high >= data["exact"] - 1e-9)).mean("replication")
    rows = [
        [str(measure), *(f"{float(held.sel(measure=measure, episodes=e).min()):.2f}" for e in data["episodes"].values)]
        for measure in data["measure"].values
    ]
    head = ["measure", *(f"{count} episodes" for count in data["episodes"].values)]
    return f"""## Do the sampled measures' intervals cover?

For {data.sizes["problem"]} problems the exact value is known. A share is that of {data.sizes["replication"]} replications whose 95 % interval holds
it, and the table has the least share over the problems. Over all {held.size} shares the least is {float(held.min()):.2f} and the mean
{float(held.mean()):.2f}.

{markdown(head, rows)}

Made by `python analyses/estimators/study.py run`, seed {data.attrs["seed"]}. See the study (`analyses/estimators`)."""


def any_soft_q() -> str:
    data = dataset("analyses/any_soft_q/results.nc")
    values = [bounds(data["correlation"].sel(seed=0, level=level).values, 3) for level in data["level"].values]
    row = [number(float(data["return_mean"][0]), 0), *values, f"{float(data['slope'][0]):.2f}"]
    head = ["return", *map(str, data["level"].values), "slope"]
    return f"""## The reward in an agent of Stable-Baselines3

SAC was trained on Pendulum-v1's own reward. `recover` reads a reward out of its Q-function; the table has the Pearson correlations
of this reward with the known one. One seed.

{markdown(head, [row])}

Made by `python analyses/any_soft_q/study.py sac` ({versions(data.attrs)}). The study (`analyses/any_soft_q`) has DQN
on the grid as well."""


def bundled() -> str:
    rows = []
    for card in sorted((ROOT / "irl_probe" / "demos" / "data").glob("*-v*.md")):
        text = card.read_text(encoding="utf-8")
        count = re.search(r"(\d+) episodes of our own expert", text)
        found = re.search(r"Evaluated on (\d+) other.*?: (\S+ ± \S+) over.*?random policy gets (\S+ ± \S+) over", text)
        if count is None or found is None:
            raise ValueError(f"{card} must say how many episodes it has and what its expert returns.")
        rows.append([card.stem, count[1], *(figure.replace("-", "−") for figure in found.groups()[1:])])
    return f"""## Bundled demonstrations

Episodes of our own experts. Returns are means ± standard deviations over 100 other episodes. Ant27-v5's expert is not steady.

{markdown(["environment", "episodes", "expert's return", "random policy's"], rows)}

Made by `python analyses/experts/study.py`; each has a card in `irl_probe/demos/data/`."""


def speed() -> str:
    lines = [
        f"- {each['text']} *Measured on {each['measured_on']} (revision {each['revision']}, {each['machine']}):* `{each['command']}`."
        for each in json.loads((ROOT / "benchmarks" / "figures.json").read_text(encoding="utf-8"))["figures"]
    ]
    return (
        "## Speed\n\nNo committed result holds these figures; they are copied from `benchmarks/figures.json`.\n\n"
        + "\n".join(lines)
    )


def before_you_trust_a_reward() -> str:
    data = discrete()
    offline = over_seeds(data["episode"].sel(task="CartPole-v1", variant="offline"), 2)
    lander, again = data["return"].sel(task="LunarLander-v3"), data["retrained"].sel(task="LunarLander-v3")
    cheetah = tree("analyses/transfer/results/halfcheetah.nc", "transfer")["value"].sel(variant="strength ×0.5")
    on_random = interval(cards()["CartPole-v1/iq"]["correlation, random"]["pearson, episode"])
    return f"""## Before you trust a recovered reward

- **A good imitator is not a good reward.** Demonstrations without failures say nothing about failing. Offline, CartPole's recovered
  reward correlates {offline} with the truth over episodes, while its policies return
  {over_seeds(data["return"].sel(task="CartPole-v1", variant="offline"), 0)} of 500. The online default adds the policy's own
  steps and pulls rewards towards 1 on the expert and towards 0 elsewhere, which repairs the sign on noisy experts. On random
  steps alone the sign can stay wrong ({on_random} for CartPole-v1/iq).
- **In the environment where a reward was learned, its sign does not decide.** The policies retrained there mostly reach the imitator's
  return all the same. In a changed environment they may not (see "Changed dynamics"). Measure each reward before you use it.
- **On LunarLander learn offline.** Online the default's mean return is lower ({over_seeds(lander.sel(variant="online"), 0)} against
  {over_seeds(lander.sel(variant="offline"), 0)}; five seeds do not tell them apart), and the one policy that was retrained on its
  reward does not land ({over_seeds(again.sel(variant="online"), 0)}; offline {over_seeds(again.sel(variant="offline"), 0)}, one policy too).
- **With continuous actions, distil before you retrain.** Few of the recovered rewards themselves train a policy: Pendulum's on
  some seeds, none of those tried on HalfCheetah.
- **An imitator may not survive a change that its reward survives.** In one trial, with motors of half the strength HalfCheetah's imitator has
  {bounds(cheetah.sel(policy="carried over").values)} of the true reward's return and policies on the shipped reward {bounds(cheetah.sel(policy="recovered").values)} (means of two
  seeds of 80 thousand steps, too few for an interval).
- **What demonstrations never visit is not identified.** The grid's reward from 30 demonstrations contradicts the truth in the corners,
  although the policy is the same. `probe GridWorld` shows it beside two rewards that know more.
- **Episode correlation is mostly length.** Each comes with that of a constant reward and with the figure with length taken out.
  The report warns if the constant is as good.
- **The per-transition reward is not the marginal reward.** Q(s, a) − γV(s′) is α·log π plus shaping; if the dynamics are
  stochastic, EPIC and DARD see only α·log π. Results name the kind of reward."""


# ------------------------------------------------------------------------------------------ what the sections read

EXPERT, IMITATOR = "expert's true return", "imitator's true return"


@cache
def dataset(path: str) -> xr.Dataset:
    with xr.open_dataset(ROOT / path, engine="h5netcdf") as data:
        return data.load()


@cache
def tree(path: str, group: str) -> xr.Dataset:
    with xr.open_dataset(ROOT / path, group=group, engine="h5netcdf") as data:
        return data.load()


def discrete() -> xr.Dataset:
    return dataset("analyses/discrete/results.nc")


def one_demo() -> xr.Dataset:
    return dataset("analyses/one_demo/results.nc")


@cache
def cards() -> dict[str, dict[str, Any]]:
    """The figures of every shipped reward, by id."""
    folder = ROOT / "recovered_rewards"
    return {
        path.parent.relative_to(folder).as_posix(): json.loads(path.read_text(encoding="utf-8"))["figures"]
        for path in sorted(folder.glob("*/*/reward.json"))
    }


def ends(task: str) -> list[str]:
    """The mean of each seed's last evaluations."""
    curves = one_demo()["return_mean"].sel(task=task).dropna("seed", how="all")
    return [number(curve.dropna("evaluation").values[-LAST:].mean(), 0) for curve in curves.transpose("seed", ...)]


def expert_of(task: str) -> float:
    return float(one_demo()["expert"].sel(task=task).dropna("seed")[0])


def minimum_final(task: str, seed: int) -> str:
    return number(float(one_demo()["final"].sel(task=task, seed=seed).min()), 0)


def first(values: xr.DataArray) -> Any:
    """The first value that is not missing."""
    return next(each for each in values.values.ravel() if str(each) not in ("", "nan"))


# ------------------------------------------------------------------------------------------ how figures are written


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def wrapped(page: str, width: int = 120) -> str:
    """The page with its paragraphs and list items wrapped; tables, headings and code are left alone."""
    lines: list[str] = []
    for block in re.split(r"(?m)\n(?=\n|- )", page):
        if re.match(r"\s*(\||#|```|<!--|\*\*.*\|)", block) or "\n|" in block:
            lines.append(block)
            continue
        indent = "  " if block.lstrip().startswith("- ") else ""
        text = textwrap.fill(
            " ".join(block.split()), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines.append("\n" * (len(block) - len(block.lstrip("\n"))) + text)
    return "\n".join(lines)


def number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def bounds(values: np.ndarray, digits: int = 2) -> str:
    """An estimate with its interval, where it has one."""
    estimate, low, high = values
    if np.isnan(estimate):
        return "–"
    if np.isnan(low) or low == high:
        return number(estimate, digits)
    return f"{number(estimate, digits)} [{number(low, digits)}, {number(high, digits)}]"


def interval(figure: dict[str, float | None] | None) -> str:
    """A figure of a card."""
    if figure is None or figure["estimate"] is None:
        return "–"
    return bounds(np.array([figure[name] for name in ("estimate", "low", "high")], dtype=float))


def bare(figure: dict[str, float] | None) -> str:
    return "–" if figure is None else number(figure["estimate"], 0)


def retrained(figures: dict[str, Any]) -> str:
    return interval(figures["retraining"]["normalised_mean"])


def over_seeds(values: xr.DataArray, digits: int) -> str:
    """The mean over seeds with its interval over seeds, as analyses/discrete/study.py has it."""
    found = stratified_bootstrap(values.dropna("seed").values, statistic=lambda rows: rows.mean(axis=1)).array
    correlation = values.name not in ("return", "retrained")
    return bounds(found.clip(-1, 1) if correlation else found, digits)


def versions(attributes: dict[str, Any]) -> str:
    """The packages and versions that the results name, such as "torch 2.13.0+cpu"."""
    found = {name.removesuffix("_version"): value for name, value in attributes.items()}
    known = ("irl_probe", "torch", "gymnasium", "stable_baselines3", "numpy")
    return ", ".join(f"{name} {found[name]}" for name in known if name in found)


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def put(path: Path, name: str, text: str) -> str:
    """A page with the part between <!-- name --> and <!-- end name --> replaced."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end {name} -->")
    if not (begin and end):
        raise ValueError(f"{path.name} must hold <!-- {name} --> and <!-- end {name} -->, each once.")
    return f"{before}{begin}{text}\n{end}{after}"


def pages() -> dict[Path, str]:
    """Path → text of each page that this command writes."""
    words = "\n\n".join(f"**{term}.** {definition}" for term, definition in terms())
    return {
        PAGE: page(),
        README: put(README, "results", readme_table()),
        GLOSSARY: put(GLOSSARY, "terms", wrapped(words)),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"Wrote {path.relative_to(ROOT)}.")
