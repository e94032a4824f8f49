"""What strangers may give: command lines, files of settings, parameters of laws, run folders, records.

Whatever it is, it works or is refused in one line, with exit 0, 1 or 2. Every parser has a defect seeded on purpose in
a slow test, which its cases find.
"""

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.tiny import finished
from toylab import cli, configuration, index, launch
from toylab.configuration import layers
from toylab.configuration.choices import Law
from toylab.errors import BadInput
from toylab.suite import records
from toylab.sweeping import plan as planning

NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 5), st.floats(allow_nan=True), st.sampled_from([10**9, 2**63, 10**400, -1, 0, 1e308, 1e-320, 0.5])
)
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", "..", "../../x", "/etc/x", "a\0b", "a\nb", "ddpm", "os:system", "x.pt", "\ud800", "NaN", "name"]
    ),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)
DEEP = st.integers(1, 900).map(lambda depth: _nested(depth))
KEYS = st.sampled_from(
    ["law", "law.name", "contamination", "contamination.fraction", "methods", "methods.ddpm", "methods.robust-adv.lam",
     "methods.x", "training.steps", "training.lr", "training.betas", "network", "network.width", "schedule",
     "schedule.T", "sampler", "nfe", "few_steps", "samples", "size", "seed", "seeds", "evaluation", "evaluation.levels",
     "evaluation.metrics", "parametrization", "spacing", "longer", "experiment", "preset"]
)  # fmt: skip


def _nested(depth: int) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made]
    return made


def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Dotted keys as tables; a later one wins."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        at, (*path, last) = made, key.split(".")
        for part in path:
            if not isinstance(at.get(part), dict):
                at[part] = {}
            at = at[part]
        at[last] = value
    return made


TABLES = st.lists(st.tuples(KEYS, st.one_of(VALUES, DEEP)), max_size=3).map(table)


def told(*arguments: str) -> str:
    """The line on standard error of a command that is refused; empty for one that works."""
    before, err = sys.argv, io.StringIO()
    sys.argv = ["toylab", *arguments]
    try:
        with redirect_stderr(err), redirect_stdout(io.StringIO()):
            cli.main()
    except SystemExit as stop:
        code, said = stop.code, err.getvalue()
    finally:
        sys.argv = before
    assert code in (0, 1, 2), code
    if code:
        assert said.startswith("error: "), said
        assert said.count("\n") == 1, said
    return said


def refused(work: Callable[[], object]) -> None:
    """What cannot be is refused as bad input, by no other error."""
    with suppress(BadInput):
        work()


def fuzz(cases: st.SearchStrategy[Any], of: Callable[[Any], None], many: int) -> None:
    """Try so many cases; the first that fails is raised, made as simple as can be."""
    tried = given(cases)(lambda case: of(case))
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example]
    phases = [Phase.explicit, Phase.generate]
    settings(
        max_examples=many, deadline=None, derandomize=True, database=None, suppress_health_check=quiet, phases=phases
    )(tried)()


# -- parsers: cases, and what is done with each ------------------------------------------------------------------

SETTINGS = st.one_of(
    st.tuples(KEYS, WORDS.filter(lambda word: "\0" not in word)).map("=".join),
    st.tuples(KEYS, st.one_of(VALUES, DEEP)).map(lambda pair: f"{pair[0]}={json.dumps(pair[1])}"),
)
OPTIONS = st.sampled_from(
    ["--set", "--seeds", "--seed", "--config", "--methods", "--device", "--precision", "--preset"]
)
ARGUMENTS = st.lists(
    st.one_of(
        st.tuples(st.just("--set"), SETTINGS),
        st.tuples(OPTIONS, st.one_of(WORDS, NUMBERS.map(str)).filter(lambda word: "\0" not in word)),
        st.sampled_from(["show", "sample", "results", "reproduce", "claims", "-n", "-o", "--dry-run"]).map(
            lambda w: (w,)
        ),
    ),
    max_size=3,
).map(lambda parts: [word for part in parts for word in part])


def command_line(words: list[str]) -> None:
    told("run", "gmm-outliers", "--preset", "smoke", *words)
    told(*words)


def assignment(text: str) -> None:
    refused(lambda: layers.assignments([text]))


ASSIGNMENTS = st.one_of(
    st.text(max_size=30),
    st.tuples(KEYS, WORDS).map("=".join),
    st.integers(1, 3000).map(lambda n: "a=" + "[" * n + "]" * n),
)


def settings_of(values: dict[str, Any]) -> None:
    refused(lambda: launch.configure_from(values, "gmm-outliers", "smoke"))


def in_file(write: Callable[[Path], None], read: Callable[[Path], object], suffix: str, folder: Path) -> None:
    path = folder / f"given{suffix}"
    write(path)
    refused(lambda: read(path))


TEXTS = st.one_of(
    st.binary(max_size=40),
    TABLES.map(lambda values: json.dumps(values).encode()),
    st.integers(1, 200_000).map(lambda n: b"[" * n),
    st.integers(1, 3_000).map(lambda n: b'{"a":' * n + b"1" + b"}" * n),
    st.integers(1, 3_000).map(lambda n: b"a = " + b"[" * n + b"]" * n),
)
LAW = st.tuples(
    st.sampled_from([*index.LAWS]),
    st.lists(st.tuples(st.integers(0, 9), st.one_of(NUMBERS, VALUES)), min_size=1, max_size=2),
)


def law(case: tuple[str, list[tuple[int, Any]]]) -> None:
    """Its own parameters, with values that may be anything."""
    name, given = case
    known = [*Law._settings(name).model_fields] or ["x"]
    chosen = {known[place % len(known)]: value for place, value in given}
    refused(lambda: configuration.validate(Law, {"name": name, **chosen}))


SWEEPS = st.fixed_dictionaries(
    {"experiment": st.one_of(st.just("gmm-outliers"), WORDS)},
    optional={
        "preset": st.one_of(st.just("smoke"), VALUES), "seeds": NUMBERS, "settings": TABLES, "group": VALUES,
        "grid": st.dictionaries(KEYS, st.lists(VALUES, max_size=3), max_size=2), "cells": st.lists(TABLES, max_size=2),
        "slurm": VALUES, "methods": VALUES,
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its checksums forgotten, as a stranger may send it."""
    folder = finished(tmp_path_factory.mktemp("runs"))
    (folder / "finished.json").write_text('{"date": "2000-01-01", "version": "0"}')
    return folder


FILES = ("config.json", "environment.json", "results.csv", "finished.json", "timings.csv", "weights/ddpm.safetensors")
FOLDERS = st.tuples(
    st.sampled_from(FILES),
    st.one_of(
        st.binary(max_size=60),
        VALUES.map(lambda value: json.dumps(value).encode()),
        st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=3)),  # these bytes there
        st.integers(0, 2000),  # cut short
    ),
)


def altered(content: bytes, change: Any) -> bytes:
    if isinstance(change, bytes):
        return change
    if isinstance(change, int):
        return content[: change % (len(content) + 1)]
    place, new = change
    place %= len(content) or 1
    return content[:place] + new + content[place + len(new) :]


@contextmanager
def with_file(path: Path, change: Any) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(altered(before, change))
    try:
        yield
    finally:
        path.write_bytes(before)


def run_folder(folder: Path, case: tuple[str, Any]) -> None:
    name, change = case
    with with_file(folder / name, change):
        told("show", str(folder))
        told("show", str(folder), "--ledger")
        told("results", str(folder.parent))
        told("sample", str(folder), "--method", "ddpm", "-n", "2", "-o", str(folder.parent / "x.npz"))
        told("claims", "--results", str(folder.parent))


RECORDS = st.one_of(
    st.text(max_size=60),
    st.lists(st.lists(WORDS, min_size=10, max_size=10), max_size=2).map(
        lambda rows: "\n".join([",".join(records.COLUMNS), *(",".join(row) for row in rows), ""])
    ),
    st.lists(st.tuples(WORDS, NUMBERS), min_size=1, max_size=2).map(
        lambda rows: "\n".join(
            [",".join(records.COLUMNS), *(f"1,default,0,{m},a,0,{v},w2,{v},{v}" for m, v in rows), ""]
        )
    ),
)


def record(text: str) -> None:
    refused(lambda: records.from_csv(text, "theirs", "default"))


# -- what must hold ----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are good are not carried out."""

    def prepare(*arguments: object) -> None:
        raise BadInput("good")

    monkeypatch.setattr(launch, "prepare", prepare)
    monkeypatch.setattr("toylab.cli.running._rehearse", prepare)


PARSERS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any, Path, Path], None], int]] = {
    "arguments": (ARGUMENTS, lambda case, folder, run: command_line(case), 4),
    "assignments": (ASSIGNMENTS, lambda case, folder, run: assignment(case), 60),
    "settings": (TABLES, lambda case, folder, run: settings_of(case), 20),
    "json": (TEXTS, lambda case, folder, run: in_file(lambda p: p.write_bytes(case), layers.read, ".json", folder), 40),
    "toml": (TEXTS, lambda case, folder, run: in_file(lambda p: p.write_bytes(case), layers.read, ".toml", folder), 40),
    "law": (LAW, lambda case, folder, run: law(case), 40),
    "sweep": (
        SWEEPS,
        lambda case, folder, run: in_file(lambda p: p.write_text(json.dumps(case)), planning.plan, ".json", folder),
        15,
    ),
    "folder": (FOLDERS, lambda case, folder, run: run_folder(run, case), 6),
    "record": (RECORDS, lambda case, folder, run: record(case), 30),
}


@pytest.mark.parametrize("many", [1, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PARSERS)
def test_whatever_is_given_works_or_is_refused_in_one_line(name: str, many: int, made: Path, tmp_path: Path):
    cases, of, few = PARSERS[name]
    fuzz(cases, lambda case: of(case, tmp_path, made), few * many)


def _unread(path: Path) -> Any:
    return json.loads(path.read_text())


def _merged(kind: object, base: Any, changes: Any, whole_tables: bool = False) -> dict[str, Any]:
    return {key: {**value, **changes.get(key, {})} if isinstance(value, dict) else value for key, value in base.items()}


ANYTHING = (Exception, SystemExit)
DEFECTS: dict[str, tuple[str, Any]] = {
    "arguments": (
        "toylab.cli.running._of_machine",
        lambda *chosen: {"network": {"precision": {"32-true": "fp32"}[chosen[3]]}} if chosen[3] else {},
    ),
    "assignments": ("toylab.configuration.layers._assignment", lambda text: json.loads(text.split("=")[1])),
    "settings": ("toylab.experiments.experiment.overlay", _merged),
    "json": ("toylab.configuration.layers.read", _unread),
    "toml": ("toylab.configuration.layers._is_shallow", lambda values: values["a"]),
    "law": ("toylab.configuration.choices._law", lambda text: 1 // json.loads(text).get("dim", 1)),
    "sweep": ("toylab.sweeping.plan.validate", lambda kind, values: kind.model_validate(values)),
    "folder": ("toylab.runs.opening.UNREADABLE", ()),
    "record": ("toylab.suite.records._take", lambda row, lines: int(float(row["value"]))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.short] * (name == "toml")) for name in PARSERS])
def test_a_defect_that_is_seeded_is_found(name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In as many cases as the slow test above tries."""
    cases, of, few = PARSERS[name]
    monkeypatch.setattr(*DEFECTS[name])
    with pytest.raises(ANYTHING) as found:
        fuzz(cases, lambda case: of(case, tmp_path, made), 20 * few)
    assert not isinstance(found.value, BadInput)
