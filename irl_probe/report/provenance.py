"""What was learned from what, as the page lists it: settings, conventions, hashes, versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence


def provenance(
    attributes: Mapping[str, object], rewards: Sequence[str] = ()
) -> list[tuple[str, str | None, list[tuple[str, str]]]]:
    """(title, definition key, [(name, value), ...]) of what was learned from what, nested settings flattened.

    Of each of the `rewards` the hash is given, or said to be missing.
    """
    singles = [
        ("environment", None, "env_id"),
        ("discount γ", "gamma", "gamma"),
        ("temperature α", "temperature", "temperature"),
        ("kind of reward", "reward_kind", "reward_kind"),
        ("expectation over s′", "expectation", "expectation"),
        ("true reward taken from", "true", "true_reward"),
        ("terminal convention", "terminal", "terminal"),
        ("stochastic", None, "stochastic"),
        ("seed", None, "seed"),
        ("made on", None, "created"),
    ]
    blocks: list[tuple[str, str | None, list[tuple[str, str]]]] = []
    for label, term, name in singles:
        value = attributes.get(name)
        if name == "stochastic" and value is not None:
            value = "yes" if value else "no"
        blocks.append((label, term, [("", "not recorded" if value is None else str(value))]))
    for label in ("demonstrations", "config", "hashes", "versions"):
        lines = list(_flatten(_parsed(attributes.get(label))))
        lines = _without_defaults(lines) if label == "config" else lines
        blocks.append((label, None, lines + _without_hash(attributes, rewards) if label == "hashes" else lines))
    return blocks


def _without_defaults(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The names whose value is None together on one line: what was left to its default."""
    unset = [name for name, value in lines if value == "None"]
    told = [line for line in lines if line[1] != "None"]
    return [*told, ("left at the default", ", ".join(unset))] if unset else told


def _without_hash(attributes: Mapping[str, object], rewards: Sequence[str]) -> list[tuple[str, str]]:
    hashes = _parsed(attributes.get("hashes"))
    known = hashes.get("rewards", {}) if isinstance(hashes, dict) else {}
    why = "not recorded: a plain function has none, nor have results from before they were kept"
    return [(f"rewards.{reward}", why) for reward in rewards if reward not in known]


def _parsed(text: object) -> object:
    if not isinstance(text, str):
        return "not recorded" if text is None else text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _flatten(value: object, name: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for place, inner in enumerate(value):
            yield from _flatten(inner, f"{name}.{place}" if name else str(place))
    elif isinstance(value, list):
        yield name, ", ".join(str(item) for item in value)
    else:
        yield name, str(value)
