"""The results of all finished run folders below a folder, as one table.

Its rows are those of their results.csv (toylab/results.py), each with the folder it is from, `run`, and the settings
that vary: those in which runs differ, on every row, and as `set.methods.*.KEY` those in which versions of a method
differ, NAME and NAME-1, NAME-2, ..., on the rows of each. Of runs of one configuration the one that was finished last
counts.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from toylab.errors import BadInput, one_line
from toylab.experiments.experiment import flat
from toylab.results import COLUMNS, REFERENCES, SET, Row, short
from toylab.runs import UNREADABLE, Run

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_LEFT_OUT = {"experiment", "preset", "seed", "seeds", "grid", "methods"}
_NUMBERS = {"seed": "BIGINT", "nfe": "BIGINT"} | dict.fromkeys(("t", "budget", "value", "stderr"), "DOUBLE")
_TYPES = {"run": "VARCHAR"} | {column: _NUMBERS.get(column, "VARCHAR") for column in COLUMNS}
_VERSIONS = "methods.*."


class Table(NamedTuple):
    """rows: with `run`, the columns of results.csv and a column for each of the keys, which vary; runs, unfinished: how
    many folders."""

    rows: list[Row]
    keys: list[str]
    runs: int
    unfinished: int

    @property
    def columns(self) -> list[str]:
        """In order."""
        return ["run", *COLUMNS, *(SET + key for key in self.keys)]

    def csv(self) -> str:
        """As text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def gather(root: Path) -> Table:
    """The table of the runs below a folder. Raises BadInput where there is none, or one cannot be read."""
    if not root.is_dir():
        raise BadInput(f"{root} is no folder")
    try:
        found = [_Source(Run(path), str(path.relative_to(root))) for path in sorted(_folders(root))]
        newest: dict[str, _Source] = {}
        for source in found:
            same = newest.get(source.identity)
            if source.finished and (same is None or source.finished > same.finished):
                newest[source.identity] = source
        rows = [row for source in newest.values() for row in source.rows()]
    except UNREADABLE as error:
        raise BadInput(f"cannot read the runs in {root}: {one_line(error)}") from None
    if not rows:
        raise BadInput(f"there is no finished run in {root}")
    unfinished = {source.identity for source in found} - newest.keys()
    keys = _varying(source.settings for source in newest.values())
    return Table(_with(keys, rows), keys, len(newest), len(unfinished))


def answer(table: Table, query: str) -> list[list[str]]:
    """Heading and lines that answer a query of the table, `results`; a column of a setting is called by the setting's
    last part where nothing else is called so. Raises BadInput where it cannot be answered."""
    with _asked(table, query) as found:
        return [found.columns, *([_shown(value) for value in row] for row in found.fetchall())]


def document(table: Table, query: str | None = None) -> dict[str, Any]:
    """The table with numbers as numbers, or what answers a query. Raises BadInput where it cannot be answered."""
    about = {"runs": table.runs, "unfinished": table.unfinished}
    if query is None:
        return about | {"settings": table.keys, "rows": [_typed(row, table.keys) for row in table.rows]}
    with _asked(table, query) as found:
        return about | {"rows": [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]}


def _typed(row: Row, keys: Sequence[str]) -> dict[str, Any]:
    """A row; empty fields are None. keys: settings that vary, of which those count that have a part in it."""
    kinds = {"BIGINT": int, "DOUBLE": float}
    own: dict[str, Any] = {"run": row["run"]}
    for column in COLUMNS:
        own[column] = kinds.get(_NUMBERS.get(column, ""), str)(row[column]) if row[column] else None
    return own | {"settings": {key: row[SET + key] for key in keys if row[SET + key]}}


def content(table: Table, suffix: str, query: str | None = None) -> bytes:
    """Of a file, .csv or .parquet, of the table, or of what answers a query. Raises BadInput where none can."""
    if query is None and suffix == ".csv":
        return table.csv().encode()
    with TemporaryDirectory() as folder, _asked(table, query) as found:
        file = Path(folder) / f"answer{suffix}"
        (found.write_csv if suffix == ".csv" else found.write_parquet)(str(file))
        return file.read_bytes()


@contextmanager
def _asked(table: Table, query: str | None) -> "Iterator[DuckDBPyRelation]":
    import duckdb

    names = table.columns if query is None else ["run", *COLUMNS, *_words(table.keys)]
    # what a query names is not fetched from the network
    with TemporaryDirectory() as folder, duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        file = Path(folder) / "table.csv"
        file.write_text(table.csv(), encoding="utf-8")
        try:
            # names are given as values: they are a run folder's own, and in a query they could be one themselves
            whole = connection.read_csv(
                str(file), header=True, names=names, dtype=_TYPES, sample_size=-1,
                sep=",", quotechar='"', escapechar='"',
            )  # fmt: skip
            whole.create("results")
            found = connection.sql(query or "FROM results")
            if found is None:
                raise BadInput("--sql: a query that answers with a table, as: select method, value from results")
            yield found
        except duckdb.Error as error:
            raise BadInput(f"duckdb: {one_line(error)}") from None


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _text(value)


def _words(keys: Sequence[str]) -> list[str]:
    taken = {"run", *COLUMNS}
    return [SET + key if word in taken else word for key, word in zip(keys, short(keys), strict=True)]


class _Source:
    """A run folder, and the settings of its rows."""

    def __init__(self, run: Run, name: str):
        self.run, self.name = run, name
        self.identity = json.dumps(run.config, sort_keys=True)
        self.finished = (run.finished or {}).get("date", "")
        self.settings: dict[tuple[str, ...], Row] = {}

    def rows(self) -> Iterator[tuple[Row, Row]]:
        """Those of results.csv with the folder, and beside each its settings, one table for all rows that share it."""
        for row in self.run.rows:
            own = {key.removeprefix(SET): value for key, value in row.items() if key.startswith(SET) and value}
            place = (row["method"], *own, *own.values())
            if place not in self.settings:
                self.settings[place] = self._settings(row["method"], own)
            yield {"run": self.name} | {key: row[key] for key in COLUMNS}, self.settings[place]

    def _settings(self, method: str, own: Mapping[str, str]) -> Row:
        """What the row itself says goes before what the configuration says."""
        prefix = next((prefix for prefix in REFERENCES if method.startswith(prefix)), "")
        name = method.removeprefix(prefix)
        said = dict(_of_method(own, name))
        told = self._of_run | {
            _VERSIONS + key: _text(value) for key, value in flat(self._methods.get(name, {})).items()
        }
        return {key: value for key, value in told.items() if not _is_inside(key, said)} | said

    @cached_property
    def _of_run(self) -> Row:
        settings = {key: value for key, value in self.run.config.items() if key not in _LEFT_OUT}
        return {key: _text(value) for key, value in flat(settings).items()}

    @property
    def _methods(self) -> Mapping[str, Any]:
        return self.run.config.get("methods") or {}


def _of_method(own: Mapping[str, str], method: str) -> Iterator[tuple[str, str]]:
    """Keys of all methods and of this one alike; none of another."""
    for key, value in own.items():
        first, _, rest = key.partition(".")
        if first != "methods":
            yield key, value
        elif (whose := rest.partition("."))[0] in ("*", method):
            yield _VERSIONS + whose[2], value


def _is_inside(key: str, tables: Iterable[str]) -> bool:
    return any(key == table or key.startswith(f"{table}.") for table in tables)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _varying(settings: Iterable[Mapping[tuple[str, ...], Row]]) -> list[str]:
    """The keys that tell runs apart, or the versions of a method."""
    values: dict[tuple[str, str], set[str]] = {}
    for (method, *_), table in (item for of_run in settings for item in of_run.items()):
        stem = re.sub(r"-\d+$", "", method)
        for key, value in table.items():
            if value:
                values.setdefault((key, stem if key.startswith(_VERSIONS) else ""), set()).add(value)
    return sorted({key for (key, _), found in values.items() if len(found) > 1})


def _with(keys: Sequence[str], rows: Iterable[tuple[Row, Row]]) -> list[Row]:
    return [row | {SET + key: settings.get(key, "") for key in keys} for row, settings in rows]


def _folders(root: Path) -> Iterator[Path]:
    """Run folders, not those inside another."""
    for path, inside, files in os.walk(root):
        if "config.json" in files and "environment.json" in files:
            inside.clear()
            yield Path(path)
