"""Variants of an environment: the same task and true reward, one change to the dynamics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from irl_probe._names import UNCHANGED
from irl_probe._spaces import Env
from irl_probe.envs.changes import (
    TABULAR,
    UNITS,
    changed,
    changed_mdp,
    env_name,
    find_parameter,
    parameters_of,
    tabular_variant,
    variant_id,
)
from irl_probe.envs.copying import env_maker
from irl_probe.envs.make import check_wrappers, make_env
from irl_probe.envs.tabular import TabularEnv, TabularMDP

Changes = Mapping[str, Iterable[float]] | Iterable[str]


@dataclass(frozen=True, eq=False)
class Variant:
    """An environment with one change to its dynamics; its reward for a transition is the same.

    Attributes:
        env_id: the unchanged environment.
        parameter: what is changed, such as "mass"; "nothing" for the environment itself.
        factor: the factor that multiplies it; for slip its probability, for a disabled leg its number, 1 for a switch.
        options: keyword arguments for `make_env`.
        mdp: the changed MDP of a tabular variant.
        function: makes the environment, for a change that this library does not have.
    """

    env_id: str
    parameter: str = UNCHANGED
    factor: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    mdp: TabularMDP | None = None
    function: Callable[[], Env] | None = None

    @property
    def name(self) -> str:
        """In words: "mass ×2", "slip 0.2", "moved wall", "unchanged"."""
        if self.parameter == UNCHANGED:
            return "unchanged"
        unit = UNITS.get(self.parameter, "factor")
        if unit == "switch":
            return self.parameter
        return f"{self.parameter} {'×' if unit == 'factor' else ''}{self.factor:g}"

    @property
    def id(self) -> str:
        """The id from which `make_env` makes it: "Hopper-v5[mass=2]"."""
        return self.env_id if self.parameter == UNCHANGED else variant_id(self.env_id, self.parameter, self.factor)

    def make(self) -> Env:
        """A new environment with this change."""
        if self.function is not None:
            return self.function()
        if self.mdp is not None:
            return tabular_variant(self.mdp, self.id)
        return make_env(self.id, **self.options)

    def __repr__(self) -> str:
        return f"Variant({self.id!r})"


def variants(
    env: str | Env | Callable[[], Env] | TabularMDP,
    changes: Changes | None = None,
    *,
    unchanged: bool = True,
    **options: Any,
) -> tuple[Variant, ...]:
    """The variants of an environment, the unchanged one first.

    Args:
        env: an id for `make_env`, an environment, a function that makes one, or a tabular MDP. Of an environment copies
            are changed (`copy_env`), with its wrappers, time limit and attributes; it stays as it is.
        changes: parameters with their factors, {"mass": [0.5, 2]}, or a list of names, ["mass", "length=2"], where a
            name without a factor has its default factors. None is every parameter with its default factors.
        unchanged: whether the environment itself comes first.
        **options: for `make_env`, if `env` is an id.

    Raises ValueError for an environment without variants, a parameter that it does not have (with the nearest), a
    factor that the parameter cannot have, options for what is not an id, a tabular environment in a wrapper that may
    change a step, or a function that returns the same environment twice; TypeError for anything else.
    """
    own: Callable[[], Env] | None = None
    tabular = env if isinstance(env, TabularMDP) else None
    if not isinstance(env, TabularMDP):
        make = env_maker(env, **options)
        made = make()
        name, known = env_name(made), parameters_of(made)
        if isinstance(made.unwrapped, TabularEnv):
            check_wrappers(made)
            tabular = made.unwrapped.mdp
        elif not isinstance(env, str):
            own = make
        made.close()
    if tabular is not None:
        name, known = tabular.name, TABULAR
    chosen = {p: list(known[p].factors) for p in known} if changes is None else _choice(changes)
    found = [Variant(name, options=options, mdp=tabular, function=own)] if unchanged else []
    for parameter, given in chosen.items():
        entry = find_parameter(known, parameter, name)
        for factor in given or entry.factors:
            entry.check(parameter, factor)
            mdp = None if tabular is None else changed_mdp(tabular, parameter, factor)
            function = None if own is None else partial(_changed, own, parameter, float(factor))
            found.append(Variant(name, parameter, float(factor), options, mdp, function))
    return tuple(found)


def _changed(make: Callable[[], Env], parameter: str, factor: float) -> Env:
    return changed(make(), parameter, factor)


def _choice(changes: Changes) -> dict[str, list[float]]:
    """Parameter → its factors; an empty list means the default ones."""
    if isinstance(changes, Mapping):
        return {name: [float(f) for f in factors] for name, factors in changes.items()}
    if isinstance(changes, str):
        raise ValueError(f"Changes must be a list of names or a mapping to factors; got the string {changes!r}.")
    chosen: dict[str, list[float]] = {}
    for word in changes:
        name, equals, factor = word.partition("=")
        given = chosen.setdefault(name.strip(), [])
        if equals:
            try:
                given.append(float(factor))
            except ValueError:
                raise ValueError(
                    f"A change must be a name, or name=factor with a number, as in 'mass=2'; got {word!r}."
                ) from None
    return chosen
