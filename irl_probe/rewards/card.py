"""The card of a saved reward: its README.md, written from reward.json and the formula of a linear reward."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from irl_probe._plain import flat_order
from irl_probe._spaces import space_from_json
from irl_probe.rewards.strict_json import Json


def card(described: Mapping[str, Json], formula: str | None, *, source: str | None = None) -> str:
    """Markdown that says what the reward is, where it comes from, what was measured and how to load it.

    Args:
        described: the content of reward.json.
        formula: the terms of a linear reward, or None.
        source: what `load_reward` takes in the card's example; None is the reward's id in the zoo, or a folder.
    """
    reward = _part(described, "reward")
    source = source or str(_part(reward, "provenance").get("zoo_id", "path/to/this/folder"))
    return "\n".join([*_front_matter(reward), *_lines(described, reward, formula, source)]) + "\n"


def _front_matter(reward: Mapping[str, Json]) -> Iterator[str]:
    """The metadata that the Hugging Face Hub reads (huggingface.co/docs/hub/model-cards), as YAML."""
    provenance = _part(reward, "provenance")
    stated = str(provenance.get("licence", "MIT"))
    tags = [
        "irl_probe",
        "inverse-reinforcement-learning",
        "reward-model",
        "reinforcement-learning",
        str(reward["kind"]),
    ]
    tags += [str(provenance[name]) for name in ("algorithm", "env_id") if name in provenance]
    yield "---"
    yield "library_name: irl_probe"
    yield "pipeline_tag: reinforcement-learning"
    if re.match(r"MIT\b", stated):
        yield "license: mit"
    else:
        yield "license: other"
        yield f"license_name: {_quoted(stated)}"
    yield "tags:"
    yield from (f"- {_quoted(tag)}" for tag in dict.fromkeys(tags))
    yield "---"
    yield ""


def _quoted(text: str) -> str:
    """A YAML string: every JSON string is one."""
    return json.dumps(text, ensure_ascii=False)


def _lines(
    described: Mapping[str, Json], reward: Mapping[str, Json], formula: str | None, source: str
) -> Iterator[str]:
    provenance, terminal = _part(reward, "provenance"), _part(reward, "terminal")
    env_id = provenance.get("env_id", "an environment that was not recorded")
    distilled = reward["kind"] == "distilled"
    yield f"# A {'distilled' if distilled else 'recovered'} reward for {env_id}"
    yield ""
    introduction, facts = _distilled(reward) if distilled else _recovered(reward)
    yield from introduction
    yield ""
    yield "## What it is"
    yield ""
    yield from _table(
        {
            **facts,
            **({} if formula is None else {"g": f"`{formula}` (weights to three digits; s[i] counts from 0)"}),
            **_normalisation(reward),
            "after the end": f'convention "{terminal["convention"]}", V = {terminal["value"]}',
            "observations": _space(_part(reward, "observation_space")),
            "actions": _space(_part(reward, "action_space")),
        }
    )
    yield "## Data and algorithm"
    yield ""
    yield from _table(dict(sorted(provenance.items()))) if provenance else ("Not recorded.", "")
    yield "## Figures"
    yield ""
    yield from _figures(_part(described, "figures"))
    yield "## Limits"
    yield ""
    yield from _limits_distilled(reward) if distilled else _limits_recovered(reward)
    if terminal["convention"] == "absorbing":
        yield "- At a termination the reward pays only r; `RewardWrapper` adds γ·V, the value of the absorbing state."
    else:
        yield "- After a termination the value is 0, so the sign of the reward decides whether staying alive pays."
    yield "- A policy that imitates well does not prove a good reward: read the figures, and see which are missing."
    yield ""
    yield "## How to load it"
    yield ""
    yield "```python"
    yield "import irl_probe as ip"
    yield ""
    yield f'reward = ip.load_reward("{source}")'
    yield f'env = ip.RewardWrapper(ip.envs.make_env("{provenance.get("env_id", "CartPole-v1")}"), reward)'
    yield "```"
    yield ""
    yield "## Files"
    yield ""
    weights = _part(described, "weights")
    yield f"- `{weights['file']}`: the weights, {weights['bytes']} bytes, SHA-256 `{weights['sha256']}`"
    yield f"- `reward.json`: everything on this page and more, id `{described['id']}`"
    yield f"- written with {', '.join(f'{name} {v}' for name, v in sorted(_part(described, 'versions').items()))}"
    yield ""
    yield "## Licence"
    yield ""
    yield f"{provenance.get('licence', 'MIT, like irl_probe')}, as far as the demonstrations' own terms allow."
    yield "The method may be covered by a patent; check before commercial use."


def _recovered(reward: Mapping[str, Json]) -> tuple[list[str], dict[str, Json]]:
    soft_q, marginal = _part(reward, "soft_q"), reward["kind"] == "marginal"
    formula = "r(s, a) = Q(s, a) − γ·E[V(s′)]" if marginal else "r(s, a, s′) = Q(s, a) − γ·V(s′)"
    introduction = [
        f"The {reward['kind']} reward `{formula}` that a learned soft Q-function implies",
        "(IQ-Learn, Garg et al., NeurIPS 2021, Lemma 3.1). Written by `irl_probe.save_reward`.",
    ]
    return introduction, {
        "reward": f"{reward['kind']}; E over s′: {_part(reward, 'expectation')['name']}",
        "discount γ": soft_q["gamma"],
        "temperature α": f"{soft_q['temperature']} (the policy is softmax(Q/α))",
        "Q-function": f"{soft_q['kind']}, {soft_q['dtype']}",
    }


def _distilled(reward: Mapping[str, Json]) -> tuple[list[str], dict[str, Json]]:
    inputs = {"state": "s", "state-action": "s, a", "transition": "s, a, s′"}[str(reward["form"])]
    formula = f"g({inputs}) + γh(s′) − h(s)" if reward["shaping"] else f"g({inputs})"
    introduction = [
        f"The explicit model `r = {formula}`, fitted to a recovered reward. It needs no value function and no",
        "simulator. Written by `irl_probe.save_reward`.",
    ]
    return introduction, {
        "reward": f"distilled; {_model(reward)}, {reward['dtype']}",
        "discount γ": reward["gamma"],
        "temperature α": "none" if reward["temperature"] is None else reward["temperature"],
    }


def _model(reward: Mapping[str, Json]) -> str:
    """The kind of model of g, in words."""
    network = _part(_part(reward, "networks"), "g")
    if network["hidden"]:
        return f"a network with hidden layers {network['hidden']}"
    known_actions = reward["form"] == "state" or network["action_count"] is not None
    return "a table" if known_actions and network["observation_count"] is not None else "linear"


def _normalisation(reward: Mapping[str, Json]) -> dict[str, Json]:
    """The normalisation that was saved with the reward, if any, by which a wrapper with normalise="frozen" divides."""
    if reward["normalisation"] is None:
        return {}
    part = _part(reward, "normalisation")
    deviation = _cell(float(part["variance"]) ** 0.5)  # type: ignore[arg-type]  # a number
    return {
        "normalisation": f"{part['count']} rewards of standard deviation {deviation}, mean {_cell(part['mean'])}; "
        'used by normalise="frozen" and "running"'
    }


def _limits_recovered(reward: Mapping[str, Json]) -> Iterator[str]:
    yield "- Known only where the demonstrations and the learner's own steps went; elsewhere Q extrapolates."
    yield "- It depends on the dynamics that it was learned in, because Q and V look ahead. In others, retrain."
    if reward["kind"] != "marginal":
        yield "- It is α·log π(a|s) plus shaping: if the dynamics are stochastic, EPIC and DARD see only α·log π."


def _limits_distilled(reward: Mapping[str, Json]) -> Iterator[str]:
    yield "- Fitted on the steps named above (`distilled_on`) and reliable only there; elsewhere it extrapolates."
    yield "- The part of the recovered reward's variance that it does not explain is lost: see the figures."
    if reward["shaping"]:
        yield "- For other dynamics take `reward.unshaped`, which is g alone; the shaping belongs to these dynamics."


def _part(described: Mapping[str, Json], name: str) -> dict[str, Json]:
    part = described[name]
    assert isinstance(part, dict)
    return part


def _table(rows: Mapping[str, Json]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for name, value in rows.items():
        yield f"| {_cell(name)} | {_cell(value)} |"
    yield ""


def _cell(value: Json) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else "undefined" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _figures(figures: Mapping[str, Json]) -> Iterator[str]:
    """Single figures first, then a table for each section; an estimate is shown with its interval."""
    if not figures:
        yield from ("None were measured. Compare and retrain before use.", "")
        return
    single = {name: value for name, value in figures.items() if not _section(value)}
    if single:
        yield from _table(dict(sorted(_flat(single))))
    for name in sorted(figures.keys() - single.keys(), key=lambda name: (_rank(name), name)):
        yield f"### {name[:1].upper()}{name[1:]}"
        yield ""
        yield from _table(dict(sorted(_flat(_part(figures, name)))))


def _section(value: Json) -> bool:
    return isinstance(value, dict) and "estimate" not in value


def _rank(section: str) -> int:
    """The order of the sections: what users ask first (does it train, what does it explain), then the measures."""
    first = ("retraining", "explained_variance", "returns", "distance", "correlation")
    return next((place for place, name in enumerate(first) if section.startswith(name)), len(first))


def _flat(figures: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    for name, value in figures.items():
        if isinstance(value, dict) and "estimate" in value:
            yield f"{prefix}{name}", _interval(value)
        elif isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name} / ")
        else:
            yield f"{prefix}{name}", value


def _interval(figure: Mapping[str, Json]) -> str:
    """The estimate and its interval, like 0.91 [0.88, 0.94], or why there is none."""
    estimate, low, high = (figure.get(name) for name in ("estimate", "low", "high"))
    if estimate is None:
        return f"undefined: {figure.get('reason', 'no reason recorded')}"
    bounds = "" if low is None or high is None else f" [{_cell(low)}, {_cell(high)}]"
    return f"{_cell(estimate)}{bounds}"


def _space(space: Mapping[str, Json]) -> str:
    if space["type"] in ("Dict", "Tuple", "MultiDiscrete", "MultiBinary"):
        own = space_from_json(space)
        order = f"; a flat observation has {flat_order(own)}" if space["type"] in ("Dict", "Tuple") else ""
        return " ".join(str(own).split()) + order
    if space["type"] == "Discrete":
        start = f", start={space['start']}" if space["start"] else ""
        return f"Discrete({space['n']}{start})"
    return f"Box, shape {space['shape']}, {space['dtype']}"
