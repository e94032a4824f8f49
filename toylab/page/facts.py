"""What is said of a run in words: what it asks, how it was made, how to repeat it, which claims it touches."""

import json
import shlex
from typing import NamedTuple

from toylab import index, outside
from toylab.claims import CLAIMS, OfRun, judge, table
from toylab.experiments.experiment import flat, told
from toylab.page.reading import Shown
from toylab.runs import WHOLE

Lines = list[list[str]]


class Question(NamedTuple):
    """What an experiment is, in one line, and what it asks."""

    summary: str
    asks: str


def question(experiment: str) -> Question:
    """From the first two paragraphs of its module; empty for one that is not installed here, whose name may be
    anything."""
    return Question(*(told(experiment) if experiment in index.EXPERIMENTS else ("", "")))


def commands(shown: Shown) -> list[str]:
    """What repeats the run from its config.json, and what compares a repetition with it."""
    code = ["--allow-code"] if outside.named(shown.run.config) else []
    again = ["toylab", "run", shown.experiment, "--config", "config.json", *code]
    return [shlex.join(again), shlex.join(["toylab", "reproduce", shown.name])]


def configuration(shown: Shown) -> str:
    """config.json, as it is stored."""
    return json.dumps(shown.run.config, indent=2, ensure_ascii=False) + "\n"


def settings(shown: Shown) -> Lines:
    """Heading, then every key and its value."""
    body = [[key, json.dumps(value, ensure_ascii=False)] for key, value in flat(shown.run.config).items()]
    return [["setting", "value"], *body]


def environment(shown: Shown) -> Lines:
    """Heading, then what the run was made with, and when it was finished."""
    made = flat(shown.run.environment) | {"finished": (shown.run.finished or {})["date"]}
    return [["what", "value"], *([key, "-" if value is None else str(value)] for key, value in made.items())]


def timings(shown: Shown) -> Lines:
    """Heading, then the seconds of every method by part, over all attempts; the whole run last. Empty where none were
    recorded."""
    parts = list(dict.fromkeys(part for _, part in shown.run.timings if part != WHOLE))
    methods = dict.fromkeys(method for method, part in shown.run.timings if part != WHOLE)
    body = [[name, *(_seconds(shown, name, part) for part in parts)] for name in methods]
    whole = _seconds(shown, "", WHOLE)
    if whole != "-":
        body.append(["the whole run", *([whole] + ["-"] * (len(parts) - 1) if parts else [whole])])
    return [["method", *(f"{part}, s" for part in parts or [WHOLE])], *body] if body else []


def claims(shown: Shown) -> Lines:
    """Heading, then every claim that is judged by this experiment, and its verdict by this run's rows; untested where
    these are not those of the default preset. Empty where there is none."""
    judgements = [judge(claim, OfRun(shown.rows)) for claim in CLAIMS if claim.experiment == shown.experiment]
    return table(judgements) if judgements else []


def _seconds(shown: Shown, method: str, part: str) -> str:
    found = shown.run.timings.get((method, part))
    return "-" if found is None else f"{found:.1f}"
