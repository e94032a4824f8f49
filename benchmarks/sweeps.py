"""What a sweep costs by the number of its cells: 1, 10, 100, and the same values of λ as versions inside one cell.

    python -m benchmarks.sweeps                  about 10 minutes on two cores of their own; writes sweeps.csv here, and
                                                 the table between two marks of docs/sweeps.md
    python -m benchmarks.sweeps --cells 1,10     fewer; writes nothing but what it prints

Cells are trainings of 20 steps, next to nothing, so that what is measured is what comes with a cell: three processes
that start, torch, a run folder. Every command is a process of its own, timed from outside; its CPU time is that of all
processes it starts, and hardly depends on what else a machine does.
"""

import argparse
import csv
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from toylab import process

process.settle()

from toylab.summaries import markdown  # noqa: E402
from toylab.sweeping.engines import cores  # noqa: E402

ROWS = Path(__file__).with_name("sweeps.csv")
PAGE = Path(__file__).parents[1] / "docs" / "sweeps.md"
BEGIN, END = "<!-- made by python -m benchmarks.sweeps -->", "<!-- end -->"
COLUMNS = ("cells", "values", "jobs", "wall", "cpu", "alone")
FILE = """
experiment = "benchmark-task"
preset = "smoke"
seeds = 1
group = {group}
methods = ["robust-ran"]

[settings]
methods = {{robust-ran = "robust-ran"}}
samples = 50
nfe = 5
size = 100
training = {{steps = 20, batch = 16}}
network = {{width = 8, depth = 1}}
evaluation = {{levels = 1, points = 20, pair = 20, metrics = ["eps-mse"], references = []}}

[grid]
"methods.robust-ran.lam" = {values}
"""


class Took(NamedTuple):
    """Seconds of a command."""

    wall: float
    cpu: float


def took(*arguments: object) -> Took:
    """What a `toylab` command took, with all processes that it started."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    start, before = time.perf_counter(), used()
    subprocess.run([sys.executable, "-m", "toylab", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return Took(time.perf_counter() - start, used() - before)


def measured(values: int, grouped: bool, root: Path) -> dict[str, float]:
    """A sweep over so many values of λ: its wall and CPU time, and the CPU time of one of its cells by `toylab run`."""
    file = root / f"{values}-{grouped}.toml"
    lams = [(k + 1) / 100 for k in range(values)]
    file.write_text(FILE.format(group=str(grouped).lower(), values=lams), encoding="utf-8")
    out = root / file.stem
    whole = took("sweep", file, "--out", out)
    cells = sorted(path.parent for path in out.glob("*/finished.json"))
    alone = took("run", "benchmark-task", "--config", cells[0] / "config.json", "--out", root / f"{file.stem}-alone")
    found = len(cells), values, min(cores(), len(cells)), whole.wall, whole.cpu, alone.cpu
    return dict(zip(COLUMNS, found, strict=True))


def table(rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Heading and lines. CPU of a cell is over that of the same cell by `toylab run`; of a value, over that of the
    first line."""
    lines = [["cells", "values of λ", "jobs at once", "wall, s", "CPU, s", "CPU a cell over `toylab run`",
              "CPU a value over one cell's"]]  # fmt: skip
    of = [{key: float(value) for key, value in row.items()} for row in rows]
    for row in of:
        counts = [f"{row[key]:.0f}" for key in ("cells", "values", "jobs", "wall", "cpu")]
        cell = row["cpu"] / row["cells"] / row["alone"]
        value = row["cpu"] / row["values"] / (of[0]["cpu"] / of[0]["values"])
        lines.append([*counts, f"{cell:.2f}", f"{value:.2f}"])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", help="numbers of cells, with commas; nothing is written then")
    asked = parser.parse_args().cells
    with TemporaryDirectory() as folder:
        todo = [(int(n), False) for n in (asked or "1,10,100").split(",")] + ([] if asked else [(10, True)])
        rows = []
        for values, grouped in todo:
            row = measured(values, grouped, Path(folder))
            rows.append({key: f"{value:.2f}".removesuffix(".00") for key, value in row.items()})
            print(rows[-1], flush=True)
    text = markdown(table(rows))
    print(text)
    if asked is None:
        with ROWS.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
