"""Learn a soft Q-function from demonstrations, read out the reward it implies, and say what that reward is worth.

`__init__.pyi` lists the names. Each is loaded when it is first used, so `import irl_probe` loads nothing heavy.
"""

from typing import Any

import lazy_loader

__version__ = "0.1.0"
_load, _, _lazy = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_lazy, "__version__"]
_FILES = {"plots": "report/plots.py", "zoo": "rewards/zoo.py"}  # the other rooms are folders
_ROOMS = (*_FILES, "envs", "demos", "learn", "rewards", "results", "metrics", "comparison", "retraining", "transfers")
_ROOMS += ("pipeline", "report", "judgement", "softq")


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Load a public name; one that is in a room is found there, with a DeprecationWarning that says where.

    Raises AttributeError that says which name is near.
    """
    if name in _lazy:
        return _load(name)
    if name.startswith("_"):
        raise AttributeError(f"irl_probe has no name {name!r}.")
    return _elsewhere(name)


def _elsewhere(name: str) -> Any:
    import warnings
    from importlib import import_module

    from irl_probe._words import nearest

    places = dict.fromkeys(__all__, "irl_probe")
    for room in _ROOMS:
        for public in _names_in(_FILES.get(room, f"{room}/__init__.py")):
            places.setdefault(public, f"irl_probe.{room}")
    if name in places:
        warnings.warn(f"irl_probe.{name} is {places[name]}.{name}. Write that.", DeprecationWarning, stacklevel=3)
        room = places[name].removeprefix("irl_probe.")
        return getattr(_load(room) if room in _lazy else import_module(places[name]), name)
    near = [f"{places[one]}.{one}" for one in nearest(name, places, most=2)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise AttributeError(f"irl_probe has no name {name!r}.{hint}")


def _names_in(file: str) -> list[str]:
    """The public names of a room, read from its source, because importing it may load torch."""
    import ast
    from pathlib import Path

    source = Path(__file__).parent / file
    stub = source.with_suffix(".pyi")
    body = ast.parse((stub if stub.exists() else source).read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return [node.name for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
