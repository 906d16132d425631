"""From the words that were typed to a call of a verb; an error that the user can mend is a message, not a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape

import irl_probe as ip
from irl_probe._words import did_you_mean
from irl_probe.cli.options import Refused, call, in_options, renamed
from irl_probe.cli.verbs import DEFAULTS, RENAMED, SUBJECTS, VERBS
from irl_probe.learn import TrainingDiverged, TrainingInterrupted

RULE = """\
The subject of a verb comes first, without an option. Everything else is an option, the same in every verb:
  --env ENV         the environment, where it is not the subject
  --out DIR         where the results go
  --steps N         the learner's steps, short for --learner.steps
  --seed N          the seed, short for --learner.seed
  --learner.X ...   any other setting of the learner
A REWARD is a folder, the id of a shipped reward (see: irl-probe zoo list) or, except in distil, forms and retrain,
true or constant."""


def main() -> None:
    """Run a verb. Exits with 2 after an error that the user can mend, with 130 after Ctrl-C or SIGTERM."""
    verb, *words = sys.argv[1:] or [""]
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that --env module:Env-v0 finds a module beside the data, as python -m does
    try:
        signal.signal(signal.SIGTERM, _terminate)  # a run takes it over while it learns
        if verb in ("", "-h", "--help"):
            print(_help())
            sys.exit(0 if verb else 2)
        if verb == "--version":
            print(f"irl-probe {ip.__version__}")
        elif verb in VERBS:
            words = renamed(words, RENAMED.get(verb, {}))
            call(VERBS[verb], verb, words, DEFAULTS.get(verb, {}))
        else:
            raise ValueError(_unknown(verb))
    except BrokenPipeError:  # the reader has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        sys.exit(1)
    except (Refused, ValueError, ImportError, OSError, TrainingDiverged) as error:
        _stop(f"[red]irl-probe:[/] {escape(in_options(str(error), words))}", 2)
    except TrainingInterrupted as interrupted:
        _stop(f"\n{escape(str(interrupted))}", 130)
    except KeyboardInterrupt:
        _stop("\nInterrupted. Nothing was kept: begin again with the same command.", 130)


def _terminate(number: int, frame: Any) -> NoReturn:
    """End as Ctrl-C does, so that files and locks are closed."""
    raise KeyboardInterrupt


def _stop(message: str, code: int) -> NoReturn:
    Console(stderr=True).print(message, highlight=False, soft_wrap=True)
    sys.exit(code)


def _help() -> str:
    calls = {name: f"{name} {SUBJECTS[name]}".strip() for name in VERBS}
    width = max(map(len, calls.values()))
    verbs = [f"  {calls[name]:<{width}}  {str(verb.__doc__).partition(chr(10))[0]}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: irl-probe VERB SUBJECT [OPTIONS]",
            "       irl-probe VERB --help        every option of a verb, with its default",
            "       irl-probe --version",
            "",
            str(ip.__doc__).partition("\n")[0],
            "",
            RULE,
            "",
            "Verbs:",
            *verbs,
        ]
    )


def _unknown(verb: str, known: Sequence[str] = tuple(VERBS)) -> str:
    return f"There is no verb {verb!r}.{did_you_mean(verb, known)} The verbs are {', '.join(known)}."
