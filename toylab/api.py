"""Experiments from Python: run one, and read what it found.

    import toylab as tl

    run = tl.run("gmm-outliers", "smoke", seeds=2)
    run.table().loc["ddpm", "outlier mass"]      # mean and half-width of the 95 % interval
    run.plot("samples")["samples"].savefig("samples.png")
    run.samples["ddpm"]                          # (seeds, n, d)
    run.denoiser("ddpm", seed=0)                 # goes wherever an exact one does

Whatever is wrong with what was asked for is a `ToylabError` of one line (toylab/errors.py).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from toylab import figures, index, ledger, report, results, runs, summaries
from toylab.bars import new_bar
from toylab.configuration import undotted
from toylab.errors import BadInput, Unable, UnknownName, one_line, printable, unknown
from toylab.experiments.experiment import Experiment
from toylab.launch import Launch, configure, prepare
from toylab.statistics import Interval

if TYPE_CHECKING:
    import pandas


class Run(runs.Run):
    """A finished run, for its reader: its tables, figures, samples and models.

    `results` is all that was measured, a data frame with a row a measurement; `denoiser(method, seed)` a trained model;
    `config`, `environment`, `methods`, `seeds`, `seconds` and `path` say what the run was.
    """

    def table(self) -> "pandas.DataFrame":
        """What `toylab show` prints, as numbers: a row a method (and value of each key of a sweep, as text), a pair of
        columns a metric, its `mean` over seeds and `±`, the half-width of the 95 % interval. NaN where nothing was
        measured, and for the half-width of a single seed. Raises BadInput where results.csv cannot be read.
        """
        with runs.readable(self.path):
            keys = ["method", *results.short(results.swept(self.rows))]
            found: dict[tuple[str, ...], dict[str, Interval]] = {
                (line.method, *line.cell): line.intervals for line in summaries.lines(self.rows)
            }
            return _frame(found, keys, [column.heading for column in summaries.SUMMARY])

    def ledger(self) -> "pandas.DataFrame":
        """The error ledger (toylab/ledger.py) as numbers: a row a quantity (W2, ε, nats) and method, a pair of columns
        a part. Raises BadInput for a run that was not measured for it, and for a sweep.
        """
        with runs.readable(self.path):
            report.ledger(self)  # refuses what has none
            quantities = {**ledger.accounts(self.rows), "nats": ledger.prior_accounts(self.rows)}
            found: dict[tuple[str, ...], dict[str, Interval]] = {
                (quantity, method): {part: Interval.of(values) for part, values in account.items()}
                for quantity, of in quantities.items()
                for method, account in of.items()
            }
            return _frame(found, ["quantity", "method"], ledger.ORDER)

    def plot(self, *names: str) -> dict[str, Figure]:
        """Figures by name, drawn from what is stored: these, or all of the experiment's that this run has something to
        show for. Raises BadInput for an unknown name, and for one that it has nothing to show for.
        """
        with runs.readable(self.path):
            experiment: Experiment = index.EXPERIMENTS.load(self.config["experiment"])
            drawn = figures.drawn(self, names or experiment.figures)
        for name in names:
            if name not in drawn:
                own = ", ".join(experiment.figures)
                raise BadInput(f"{self.path} has nothing to show as '{name}'; figures of its experiment: {own}")
        return drawn

    @cached_property
    def samples(self) -> "Samples":
        """Stored samples by method, and those of the references: (seeds, n, d), float32. Raises BadInput for a run that
        stores none, as a sweep does not."""
        return Samples(self)

    def __str__(self) -> str:
        found = report.tables(self)
        tables = (f"{title}\n{summaries.aligned(lines)}" for title, lines in found.tables.items())
        return printable("\n\n".join(filter(None, [*tables, found.footnote])))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


class Samples(Mapping[str, Tensor]):
    """Samples of a run by method, each read when it is asked for. Raises UnknownName for a method without samples."""

    def __init__(self, run: runs.Run):
        with runs.readable(run.path):
            if not (run.path / "samples.npz").exists():
                cells = f"; a sweep's are in the folders of {run.path / runs.CELLS}" if _has_cells(run) else ""
                raise BadInput(f"{run.path} stores no samples{cells}")
            self._path, self._stored = run.path, run.stored("samples.npz")

    def __getitem__(self, method: str) -> Tensor:
        if method not in self._stored.files:
            raise UnknownName(unknown("method", method, self._stored.files))
        with runs.readable(self._path):
            return torch.from_numpy(self._stored[method])

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored.files)

    def __len__(self) -> int:
        return len(self._stored.files)


def load(path: str | Path) -> Run:
    """A finished run, all of it as it was written. Raises BadInput where the folder holds none, or a file is damaged,
    which it names."""
    return Run(runs.load(path).path)


def run(
    name: str,
    preset: str | None = None,
    methods: Sequence[str] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    out: str | Path = "runs",
    fresh: bool = False,
    progress: bool = True,
    **more: Any,
) -> Run:
    """Run an experiment as `toylab run` does, and return its finished run: one that is there is reused, one that was
    interrupted goes on.

    settings: what differs from the preset, with the keys of `--set`, {"methods.robust-adv.lam": 1.0}; more: the same by
    name, seeds=8, groups as tables, training={"steps": 500}. methods: only these. out: where run folders are kept.
    fresh: neither reuse nor resume. progress: show a bar. A device is chosen by
    carry_out(prepare(configure(name), device="cuda")).
    Raises BadInput for settings that cannot be, Unable where another process is at work in the folder or the disk is
    full.
    """
    configured = configure(name, preset, changes=[undotted({**(settings or {}), **more})], methods=methods)
    if progress and configured.note:
        print(configured.note)
    return carry_out(prepare(configured, root=Path(out), fresh=fresh), progress)


def carry_out(launch: Launch, progress: bool = True) -> Run:
    """Carry a launch out, under a bar, and return its run; one that is interrupted goes on when it is repeated. Raises
    Unable where another process is at work in the folder, or it cannot be written."""
    bar, start, reusing = new_bar(progress), time.perf_counter(), launch.reusing
    if reusing:
        bar.end(reusing)
        return Run(launch.folder.path)
    how = "interrupted; the same call goes on"
    try:
        for at in launch.carry_out():
            bar.at(at.done / at.total, at.label)
        how = f"{launch.configured.name} ({launch.configured.preset}): done, {time.perf_counter() - start:.1f} s"
    except OSError as error:  # what was written before is whole
        how = f"the run failed: {error.filename or launch.folder.path}: {error.strerror or one_line(error)}"
        raise Unable(f"{how}; the same call goes on") from error
    except Exception as error:
        how = f"the run failed: {error}"
        raise
    finally:
        launch.folder.log(how)
        bar.end(how)
    return Run(launch.folder.path)


def _has_cells(run: runs.Run) -> bool:
    return (run.path / runs.CELLS).is_dir()


def _frame(
    lines: Mapping[tuple[str, ...], Mapping[str, Interval]], keys: Sequence[str], headings: Sequence[str]
) -> "pandas.DataFrame":
    """A row for each of these, its key as the index; a pair of columns for each heading that there is."""
    import pandas

    used = [heading for heading in headings if any(heading in found for found in lines.values())]
    nothing = Interval(float("nan"), float("nan"))
    columns = pandas.MultiIndex.from_product([used, ["mean", "±"]])
    rows = [[number for heading in used for number in found.get(heading, nothing)] for found in lines.values()]
    of = pandas.MultiIndex.from_tuples(list(lines), names=keys)
    return pandas.DataFrame(rows, of if len(keys) > 1 else of.get_level_values(0), columns)
