"""Sweeps over processes and machines: plans, jobs, engines, going on, and tables. Slow: real jobs, and a real Slurm."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import sweeps
from toylab import launch, runs
from toylab.errors import BadInput, Unable
from toylab.experiments.study import MethodStudy
from toylab.experiments.sweep import Sweep
from toylab.results import Measurement, to_csv
from toylab.runs import Run
from toylab.summaries import markdown
from toylab.sweeping import carrying, engines, gathering
from toylab.sweeping.engines import Alive, Local, OnSlurm
from toylab.sweeping.folder import JOBS, State, SweepFolder
from toylab.sweeping.job import Files, Job, interrupt, is_held
from toylab.sweeping.plan import Cell, Slurm, plan

CPU = torch.device("cpu")
TINY = """
samples = 50
nfe = 5
size = 100
training = {steps = 20, batch = 16}
network.width = 8
evaluation = {levels = 1, points = 20, pair = 30, metrics = ["eps-mse"]}
"""
SEEDS = f'experiment = "lab"\npreset = "smoke"\nseeds = 1\n[settings]{TINY}[[cells]]\nseed = 1\n[[cells]]\nseed = 2\n'


def planned(folder: Path, text: str) -> list[Cell]:
    """The cells of a file of this text."""
    file = folder / "sweep.toml"
    file.write_text(text, encoding="utf-8")
    return plan(file).cells


def study(cell: Cell) -> MethodStudy:
    settings = cell.configured.settings
    assert isinstance(settings, MethodStudy)
    return settings


def until(is_so: Callable[[], object], seconds: float = 600.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# -- plans -------------------------------------------------------------------------------------------------------

GMM = 'experiment = "gmm-outliers"\npreset = "smoke"\nmethods = ["ddpm", "robust-adv"]\n'
GRID = '[grid]\n"contamination.fraction" = [0.05, 0.1]\n"methods.*.lam" = [0.3, 1.0]\n'


def test_versions_of_a_method_share_a_run_and_all_else_is_a_cell(tmp_path: Path):
    cells = planned(tmp_path, GMM + GRID)
    assert [cell.place for cell in cells] == ["fraction 0.05", "fraction 0.1"]
    for cell, fraction in zip(cells, (0.05, 0.1), strict=True):
        settings = study(cell)
        assert settings.contamination.model_dump()["fraction"] == fraction
        assert list(settings.methods) == ["ddpm", "robust-adv-1", "robust-adv-2"]
        assert [settings.methods[f"robust-adv-{k}"].build().lam for k in (1, 2)] == [0.3, 1.0]


def test_without_groups_every_value_is_a_cell(tmp_path: Path):
    cells = planned(tmp_path, GMM + "group = false\n" + GRID)
    found = [
        (study(c).contamination.model_dump()["fraction"], study(c).methods["robust-adv"].build().lam) for c in cells
    ]
    assert found == [(0.05, 0.3), (0.05, 1.0), (0.1, 0.3), (0.1, 1.0)]
    assert cells[1].place == "fraction 0.05, lam 1.0"


def test_a_cell_is_what_toylab_run_makes_of_its_settings(tmp_path: Path):
    (cell, _) = planned(tmp_path, GMM + GRID)
    folder = SweepFolder(tmp_path / "out", CPU)
    job = folder.job(cell, {}, apart=True)
    again = launch.configure("gmm-outliers", None, job.files.settings)
    assert again.config == cell.configured.config
    assert runs.open_run(folder.path, again.config, CPU).path.name == cell.name
    assert job.command == [
        *(sys.executable, "-m", "toylab", "run", "gmm-outliers", "--config", str(job.files.settings)),
        *("--out", str(folder.path), "--device", "cpu"),
    ]
    assert folder.standing(cell).state is State.MISSING


def test_the_grid_is_gone_over_in_every_entry_of_the_list_and_the_same_run_is_one_cell(tmp_path: Path):
    text = GMM + "[[cells]]\nlaw = 'circle'\n[[cells]]\n[[cells]]\nlaw = 'three-gaussians'\n" + GRID
    cells = planned(tmp_path, text)
    assert [(study(cell).law.name, cell.place) for cell in cells] == [
        ("circle", "law circle, fraction 0.05"), ("circle", "law circle, fraction 0.1"),
        ("three-gaussians", "fraction 0.05"), ("three-gaussians", "fraction 0.1"),
    ]  # fmt: skip


def test_an_experiment_that_is_a_sweep_brings_its_grid(tmp_path: Path):
    """That of its methods stays inside, where its figures are drawn over it; the rest is spread over cells."""
    (cell,) = planned(tmp_path, 'experiment = "radius-map"\npreset = "smoke"\nmethods = ["robust-ran"]\n')
    settings = study(cell)
    assert isinstance(settings, Sweep)
    assert set(settings.grid) == {"methods.*.lam", "methods.*.radius.r0", "methods.*.radius.rho"}
    assert len(settings.cells[0].study.methods) == 4
    text = 'experiment = "contamination-grid"\npreset = "smoke"\nmethods = ["ddpm"]\nseeds = 1\n'
    spread = planned(tmp_path, text)
    assert [(c.at["contamination.fraction"], c.at["contamination.std"]) for c in spread] == [
        (0.3, 0.1), (0.3, 0.2), (0.9, 0.1), (0.9, 0.2),
    ]  # fmt: skip
    assert {len(study(c).model_dump()["grid"]) for c in spread} == {0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "experiment: Field required"),
        ('experiment = "lap"', "unknown experiment 'lap'; did you mean 'lab'?"),
        ('experiment = "lab"\npreset = "smok"', "unknown preset 'smok'; did you mean 'smoke'?"),
        ('experiment = "lab"\ngrids = {}', "unknown key 'grids'; did you mean 'grid'?"),
        ('experiment = "lab"\n[settings]\ntraining.stepz = 1', "training: unknown key 'stepz'; did you mean 'steps'?"),
        ('experiment = "lab"\n[settings]\ngrid.nfe = [1]', "settings: the grid is a table of its own"),
        ('experiment = "lab"\n[grid]\nnfe = 5', "grid: nfe: a list of at least one value, not '5'"),
        ('experiment = "lab"\n[grid]\nnfe = [5, 1]', "nfe: Input should be greater than or equal to 2"),
        ('experiment = "lab"\n[grid]\n"methods.*.lam" = [1.0]', "no method has the key of 'methods.*.lam'"),
        (GMM + '[grid]\n"methods.*.lamm" = [1.0]', "no method has the key of 'methods.*.lamm'"),
        ('experiment = "lab"\n[grid]\nseeds = [1, 2]', "a grid goes over neither seeds nor grids"),
        (f'experiment = "lab"\n[grid]\nnfe = {list(range(2, 1003))}', "at most 1000 combinations, not 1001"),
        ('experiment = "lab"\n[grid]\n"nfe,nfe" = [[5, 6]]', "nfe,nfe: the same key twice"),
        ('experiment = "lab"\n[grid]\nnfe = [5]\n" nfe " = [6]', "' nfe ' and 'nfe' are the same entry"),
        ('experiment = "lab"\n[grid]\nlaw = [1979-05-27]', "1979-05-27 is a date or a time, and no setting is one"),
        (f'experiment = "lab"\n[[cells]]\nseed = 0x{"f" * 5000}', "cannot read the configuration"),
        ('experiment = "lab"\nmethods = ["dpm"]', "unknown method 'dpm'; did you mean 'ddpm'?"),
        ('experiment = "lab"\n[slurm]\npartition = "a\\nrm"', "slurm.partition"),
        ('experiment = "lab"\n[slurm]\ncpu = 2', "slurm: unknown key 'cpu'; did you mean 'cpus'?"),
        ('experiment = "lab"\n[settings]\nobjective = "evil:Thing"', "is run only with --allow-code"),
        ("experiment = ", "cannot read the configuration"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(BadInput, match=r"sweep\.toml") as caught:
        planned(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "evil" not in sys.modules


def test_bad_input_is_exit_2_and_no_folder(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    Path("a.toml").write_text(SEEDS)
    for arguments, message in (
        (["sweep", "a.toml", "--engine", "slrm"], "unknown engine 'slrm'; did you mean 'slurm'?"),
        (["sweep", "a.toml", "--engine", "slurm", "--jobs", 2], "--jobs is for --engine local"),
        (["sweep", "a.toml", "--dry-run", "--jobs", 1000], "--jobs: from 1 to "),
        (["results", "nowhere"], "nowhere is no folder"),
        (["results", "."], "there is no finished run in ."),
        (["results", ".", "-o", "x.txt"], "-o must name a .csv or .parquet file"),
    ):
        code, _, err = toylab(*arguments)
        assert (code, message in err, err.count("\n")) == (2, True, 1)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("a.toml", "runs")] == []


# -- jobs --------------------------------------------------------------------------------------------------------


def in_a_process(job: Job) -> int:
    """Its number."""
    child = os.fork()
    if child == 0:
        try:
            job()
        finally:
            os._exit(0)
    return child


def python(folder: Path, code: str) -> Job:
    return Job([sys.executable, "-S", "-c", code], Files(folder, "cell"), {"TOLD": "3"}, apart=True)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('error: first'); print('error: out of\tluck'); raise SystemExit(1)", "out of\tluck"),
        ("print('so far so good'); raise SystemExit(3)", "exit 3: so far so good"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL, as where memory runs out"),
        ("import os; os.kill(os.getpid(), 15)", None),
        ("raise SystemExit(130)", None),
    ],
)
def test_a_failure_is_recorded_and_being_stopped_is_none(tmp_path: Path, code: str, error: str | None):
    job = python(tmp_path, code)
    with pytest.raises(RuntimeError, match="exit"):
        job()
    recorded = job.files.failure.exists() and json.loads(job.files.failure.read_text())["error"]
    assert (recorded or None) == error
    python(tmp_path, "import os; assert os.environ['TOLD'] == '3'")()
    assert not job.files.failure.exists()
    assert not is_held(job.files.lock)


def test_a_command_that_outlives_its_job_is_not_started_again_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = python(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(60)")
    watcher = in_a_process(job)
    until(lambda: job.files.log.exists() and job.files.log.read_text())
    os.kill(watcher, signal.SIGKILL)
    os.waitpid(watcher, 0)
    assert is_held(job.files.lock)
    monkeypatch.setattr("toylab.sweeping.job._PATIENCE", 0.1)
    with pytest.raises(RuntimeError, match="runs already"):
        job()
    assert interrupt(job.files.lock)
    until(lambda: not is_held(job.files.lock), 10)
    job.files.lock.write_text(f"elsewhere {os.getpid()}")
    assert not interrupt(job.files.lock)


def test_when_the_time_is_up_the_command_writes_its_checkpoints_before_it_is_queued_again(tmp_path: Path):
    wait = (
        "try: print('up', flush=True); time.sleep(60)\nexcept KeyboardInterrupt: print('saved'); raise SystemExit(130)"
    )
    job = python(tmp_path, f"import time\n{wait}")

    def queued_again(*_: object) -> None:
        assert job.checkpoint().function == job
        job.files.failure.with_name("queued").write_text(job.files.log.read_text())
        sys.exit(255)

    before = signal.signal(signal.SIGUSR2, queued_again)
    watcher = in_a_process(job)
    signal.signal(signal.SIGUSR2, before)
    until(lambda: job.files.log.exists() and job.files.log.read_text())
    os.kill(watcher, signal.SIGUSR2)
    os.waitpid(watcher, 0)
    assert (tmp_path / "queued").read_text() == "up\nsaved\n"
    assert not job.files.failure.exists()


# -- carrying out ------------------------------------------------------------------------------------------------


class Pretended:
    """An engine whose jobs are over at the second look, and do what is told."""

    poll = 0.0

    def __init__(self, folder: SweepFolder, at_once: int, does: Callable[[Cell], object]):
        self.folder, self.at_once, self.does = folder, at_once, does
        self.jobs: dict[str, tuple[Cell, int]] = {}
        self.submitted: list[str] = []
        self.most = 0

    def submit(self, cells: Sequence[Cell]) -> None:
        self.jobs |= {cell.name: (cell, 2) for cell in cells}
        self.submitted += [cell.name for cell in cells]
        self.most = max(self.most, len(self.jobs))

    def alive(self) -> Alive:
        for cell, looks in list(self.jobs.values()):
            self.jobs[cell.name] = cell, looks - 1
            if looks == 0:
                self.does(cell)
                del self.jobs[cell.name]
        return dict.fromkeys(self.jobs, "running")

    def reason(self, cell: Cell) -> str:
        return "the plug was pulled"

    def interrupted(self, cells: Sequence[Cell]) -> str:
        return ""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    """Four, that differ in their seed."""
    text = SEEDS + "[[cells]]\nseed = 3\n[[cells]]\nseed = 4\n"
    return planned(tmp_path_factory.mktemp("plan"), text)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    (tmp_path / JOBS).mkdir()
    return SweepFolder(tmp_path, CPU)


def finish(folder: SweepFolder, cell: Cell) -> Run:
    run = runs.open_run(folder.path, cell.configured.config, CPU)
    run.finish()
    return run


def fail(folder: SweepFolder, cell: Cell) -> None:
    folder.files(cell).failure.write_text('{"error": "it burnt"}')


def names(found: Sequence[Cell]) -> list[str]:
    return [cell.name for cell in found]


def test_what_is_missing_is_run_and_what_failed_only_if_it_is_asked(folder: SweepFolder, cells: list[Cell]):
    first, second, third, fourth = cells
    finish(folder, first)
    fail(folder, second)
    engine = Pretended(folder, 1, lambda cell: finish(folder, cell))
    *_, last = carrying.carry_out(carrying.look(cells, folder), folder, engine)
    assert engine.submitted == names([third, fourth])
    assert engine.most == 1
    assert names(last.of(State.FINISHED)) == names([first, third, fourth])
    assert last.standings[second.name] == (State.FAILED, "it burnt")
    assert last.label == "4 cells: 3 done, 1 failed"
    again = Pretended(folder, 9, lambda cell: finish(folder, cell))
    *_, last = carrying.carry_out(carrying.look(cells, folder), folder, again, retry=True)
    assert again.submitted == [second.name]
    assert len(last.of(State.FINISHED)) == len(last.over) == 4


def test_jobs_fill_the_engine_and_what_becomes_of_them_is_told_apart(folder: SweepFolder, cells: list[Cell]):
    does = dict(zip(names(cells), (finish, fail, lambda *_: None, finish), strict=True))
    engine = Pretended(folder, 3, lambda cell: does[cell.name](folder, cell))
    *_, last = carrying.carry_out(carrying.look(cells, folder), folder, engine)
    assert engine.most == 3
    assert names(last.of(State.FINISHED)) == names([cells[0], cells[3]])
    assert names(last.of(State.FAILED)) == [cells[1].name]
    assert last.stopped == {cells[2].name: "the plug was pulled"}
    assert carrying.look(cells, folder).standings[cells[2].name].state is State.MISSING  # so it goes on


def test_a_cell_that_somebody_runs_is_waited_for(folder: SweepFolder, cells: list[Cell]):
    job = Job([sys.executable, "-S", "-c", "import time; time.sleep(0.5)"], folder.files(cells[0]), {}, apart=True)
    runner = in_a_process(job)
    until(lambda: is_held(job.files.lock))
    engine = Pretended(folder, 2, lambda cell: finish(folder, cell))
    engine.poll = 0.02
    found = carrying.look(cells[:2], folder)
    assert found.standings[cells[0].name].state is State.RUNNING
    *_, last = carrying.carry_out(found, folder, engine)
    os.waitpid(runner, 0)
    assert engine.submitted == [cells[1].name]
    assert cells[0].name in last.stopped  # that job finished nothing


@pytest.mark.slow
def test_five_hundred_cells_are_each_run_once_and_gathered(toylab, folder: SweepFolder):
    """By two sweeps, the first of which ends half-way; their jobs write a row."""
    grid = f'[grid]\n"contamination.fraction" = {[k / 100 for k in range(25)]}\nnfe = {[*range(4, 24)]}\n'
    cells = planned(folder.path, GMM + grid)

    def measure(cell: Cell) -> None:
        run = runs.open_run(folder.path, cell.configured.config, CPU)
        run.write("results.csv", to_csv([value("ddpm", study(cell).nfe)], {"experiment": "e", "preset": "p"}, {}))
        run.finish()

    submitted = []
    for least in (250, 500):
        engine, found = Pretended(folder, 2, measure), carrying.look(cells, folder)
        for progress in carrying.carry_out(found, folder, engine):
            if len(progress.of(State.FINISHED)) >= least:
                break
        while engine.alive():  # jobs go on without their sweep
            pass
        submitted += engine.submitted
    assert sorted(submitted) == sorted(names(cells))
    assert len({*submitted}) == 500
    code, out, _ = toylab("results", folder.path)
    assert (code, out.count("ddpm ")) == (0, 500)
    assert toylab("results", folder.path, "--sql", "select count(*), sum(value) from results")[1].split()[-2:] == [
        "500", str(25 * sum(range(4, 24))),
    ]  # fmt: skip


def test_only_one_sweep_is_at_work_in_a_folder(folder: SweepFolder):
    with folder.held(), pytest.raises(Unable, match="another process is sweeping into"), folder.held():
        pass
    with folder.held():
        pass


def test_cores_are_shared_out_and_never_more_jobs_than_there_are(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    shares = [(local.at_once, local.threads) for local in (Local(folder, n) for n in (1, 3, 8, 100))]
    assert shares == [(1, 8), (3, 2), (8, 1), (8, 1)]
    assert Local(folder, 100, jobs=2).threads == 4
    with pytest.raises(BadInput, match="--jobs: from 1 to 8, a job a core, not 9"):
        Local(folder, 100, jobs=9)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Local(folder, 1).threads == 3


# -- Slurm, by programs that say what it would ---------------------------------------------------------------------


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs: what is written to `queue` is what squeue says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (
        ("squeue", f"/bin/cat {programs}/queue"),
        ("sbatch", f'/bin/cp "$1" {programs}/script; echo sbatch >> {programs}/calls; echo Submitted batch job 7'),
        ("srun", "exit 1"),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    (programs / "queue").write_text("")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(engines, "_SETTLED", 0.0)
    return programs


def test_what_is_in_the_queue_is_not_submitted_again(slurm: Path, folder: SweepFolder, cells: list[Cell]):
    asked = Slurm(minutes=7, cpus=3, memory=1.5, partition="main", parallel=2)
    OnSlurm(folder, 4, asked).submit(cells[:2])
    script = (slurm / "script").read_text()
    for line in ("--time=7", "--cpus-per-task=3", "--mem=1536MB", "--partition=main", "--array=0-1%2"):
        assert f"#SBATCH {line}\n" in script.replace("'", "")
    assert "srun" in script
    assert "--cpus-per-task 3" in script
    (slurm / "queue").write_text("7_0 RUNNING\n7_1 PENDING\n9 RUNNING\n")
    engine = OnSlurm(folder, 4, asked)  # another head, which reads what the first wrote
    engines._SETTLED = 60.0
    assert engine.alive() == {cells[0].name: "running", cells[1].name: "queued"}
    progress = carrying.carry_out(carrying.look(cells[:2], folder), folder, engine)
    found = next(progress)
    assert found.label == "2 cells: 0 done, 1 running, 1 queued"
    progress.close()
    assert (slurm / "calls").read_text() == "sbatch\n"
    assert engine.interrupted([]) == "its jobs go on in the queue; scancel 7 stops them"


def test_what_left_the_queue_is_over(slurm: Path, folder: SweepFolder, cells: list[Cell]):
    engine = OnSlurm(folder, 4, Slurm())
    engine.submit(cells[:1])
    assert engine.alive() == {}  # seen, and settled
    assert OnSlurm(folder, 4, Slurm()).alive() == {}
    assert json.loads((folder.path / JOBS / "slurm.json").read_text()) == {cells[0].name: "7"}


def test_slurms_own_words_are_passed_on(slurm: Path, folder: SweepFolder, cells: list[Cell]):
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    engine = OnSlurm(folder, 4, Slurm())
    with pytest.raises(BadInput, match=r"Slurm does not take the jobs: .*invalid partition"):
        engine.submit(cells[:2])
    (slurm / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    assert engine.alive() == {}
    with pytest.raises(BadInput, match="squeue does not answer: Unable to contact"):
        OnSlurm(folder, 4, Slurm())
    (slurm / "sbatch").unlink()
    with pytest.raises(BadInput, match="needs Slurm's sbatch"):
        OnSlurm(folder, 4, Slurm())


# -- tables ------------------------------------------------------------------------------------------------------


def made(
    root: Path, config: dict[str, Any], measured: Sequence[Measurement], changed: dict[str, Any], date: str
) -> Run:
    """A finished run folder of these results; an unfinished one without a date."""
    run = Run(root)
    run.write_json("config.json", config)
    run.write_json("environment.json", {})
    run.write("results.csv", to_csv(measured, {"experiment": "e", "preset": "p"}, changed))
    if date:
        run.write_json("finished.json", {"date": date})
    return run


def config(fraction: float, methods: dict[str, Any]) -> dict[str, Any]:
    shared = {"experiment": "e", "preset": "p", "seed": 0, "seeds": 1, "nfe": 5}
    return shared | {"contamination": {"name": "outliers", "fraction": fraction}, "methods": methods}


def value(method: str, number: float, **at: object) -> Measurement:
    return Measurement(method, 0, "w2", "clean", number, 0.1, cell=at)


@pytest.fixture
def gathered(tmp_path: Path) -> Path:
    """Three settings, two with versions and one with a grid of its own; an older run, and one that was broken off."""
    adv = {f"adv-{k}": {"name": "robust-adv", "lam": lam, "radius": {"r0": 1.0}} for k, lam in ((1, 0.3), (2, 1.0))}
    both = {"ddpm": {"name": "ddpm"}, **adv}
    changed = {"methods.adv-1.lam": 0.3, "methods.adv-2.lam": 1.0}
    three = [value("ddpm", 1.0), value("adv-1", 2.0), value("optimum-adv-2", 3.0), value("exact-clean", 0.5)]
    made(tmp_path / "a", config(0.1, both), three, changed, "2026-01-02")
    made(tmp_path / "a-old", config(0.1, both), [value("ddpm", 99.0)], changed, "2026-01-01")
    made(tmp_path / "deep/b", config(0.2, both), three[:1], changed, "2026-01-02")
    made(tmp_path / "c", config(0.3, both), three, changed, "")
    own = {"ddpm": {"name": "ddpm"}, "adv": {"name": "robust-adv", "lam": 5.0, "radius": {"r0": 1.0}}}
    at = {"contamination.fraction": 0.4, "methods.*.lam": 0.7}
    swept = [value("adv", 4.0, **at), value("ddpm", 5.0, **{"contamination.fraction": 0.4})]
    made(tmp_path / "d", config(0.1, own) | {"nfe": 6}, swept, {}, "2026-01-02")
    made(tmp_path / "d/cells/01", config(0.9, own), swept, {}, "2026-01-02")
    return tmp_path


def test_settings_that_vary_are_columns_of_the_rows_they_belong_to(gathered: Path):
    table = gathering.gather(gathered)
    assert (table.runs, table.unfinished) == (3, 1)
    assert table.keys == ["contamination.fraction", "methods.*.lam", "nfe"]
    found = {
        (row["run"], row["method"]): (*(row[f"set.{key}"] for key in table.keys), row["value"]) for row in table.rows
    }
    assert found == {
        ("a", "ddpm"): ("0.1", "", "5", "1.0"),
        ("a", "adv-1"): ("0.1", "0.3", "5", "2.0"),
        ("a", "optimum-adv-2"): ("0.1", "1.0", "5", "3.0"),
        ("a", "exact-clean"): ("0.1", "", "5", "0.5"),
        ("deep/b", "ddpm"): ("0.2", "", "5", "1.0"),
        ("d", "adv"): ("0.4", "0.7", "6", "4.0"),
        ("d", "ddpm"): ("0.4", "", "6", "5.0"),
    }


def test_the_table_is_written_asked_and_shown(toylab, gathered: Path):
    import duckdb

    code, out, err = toylab("results", gathered, "-o", gathered / "all.csv")
    assert (code, err) == (0, "7 rows of 3 finished runs, 1 not finished\n")
    with (gathered / "all.csv").open(encoding="utf-8") as file:
        assert [row["value"] for row in csv.DictReader(file)] == [r["value"] for r in gathering.gather(gathered).rows]
    assert toylab("results", gathered, "-o", gathered / "all.parquet")[0] == 0
    kept = duckdb.sql(f"SELECT sum(value), max(\"set.methods.*.lam\") FROM '{gathered}/all.parquet'").fetchall()
    assert kept == [(16.5, 1.0)]
    query = "select method, fraction, lam, \"set.nfe\" n, value from results where method like 'adv%' order by value"
    code, out, _ = toylab("results", gathered, "--sql", query)
    assert code == 0
    assert [line.split() for line in out.splitlines()[-3:]] == [
        ["method", "fraction", "lam", "n", "value"], ["adv-1", "0.1", "0.3", "5", "2"], ["adv", "0.4", "0.7", "6", "4"],
    ]  # fmt: skip
    code, _, err = toylab("results", gathered, "--sql", "select nothing from results")
    assert (code, "nothing" in err, err.count("\n")) == (2, True, 1)
    code, out, _ = toylab("results", gathered)
    assert (code, next(line for line in out.splitlines() if "method" in line).split()[1:3]) == (0, ["fraction", "lam"])


@pytest.mark.parametrize("place", ["config.json", "results.csv"])
def test_the_name_of_a_setting_is_never_a_part_of_a_query(toylab, tmp_path: Path, place: str):
    """A run folder that is a stranger's names them as it likes."""
    written = tmp_path / "written"
    ours = f"""x" FROM whole; COPY (SELECT 42) TO '{written}'; --"""
    for number in (1, 2):
        keys = {"x": number, ours: number}
        told, changed = (keys, {}) if place == "config.json" else ({"date": number}, keys)
        made(tmp_path / str(number), config(0.1, {}) | told, [value("ddpm", number)], changed, "2026-01-02")
    code, out, err = toylab("results", tmp_path, "--json", "--sql", "from results")
    assert not written.exists()
    assert (code, err) == (0, "2 rows of 2 finished runs\n")
    rows = json.loads(out)["rows"]
    assert [(row["run"], row["value"], row[ours]) for row in rows] == [("1", 1.0, 1), ("2", 2.0, 2)]
    assert toylab("results", tmp_path, "-o", tmp_path / "all.parquet")[0] == 0
    assert not written.exists()


@pytest.mark.parametrize(
    ("module", "arguments"), [("submitit", ["sweep"]), ("duckdb", ["results", "--sql", "from results"])]
)
def test_what_is_not_installed_is_named_with_its_extra(
    toylab, gathered: Path, monkeypatch: pytest.MonkeyPatch, module: str, arguments: list[str]
):
    import importlib.util

    (gathered / "a.toml").write_text(SEEDS)
    monkeypatch.chdir(gathered)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == module else find(name, *a))
    code, _, err = toylab(arguments[0], "a.toml" if module == "submitit" else ".", *arguments[1:])
    extra = {"submitit": "sweep", "duckdb": "analysis"}[module]
    assert (code, err) == (2, f"error: this needs {module}: pip install 'toylab[{extra}]'\n")
    assert not (gathered / "runs").exists()


def test_the_example_of_the_docs_is_a_plan(tmp_path: Path):
    page = (Path(__file__).parents[1] / "docs/sweeps.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"<!-- file: lams.toml -->\n```toml\n(.*?)```", page, flags=re.S)
    cells = planned(tmp_path, text)
    assert [cell.place for cell in cells] == [f"fraction {share}" for share in (0.0, 0.05, 0.1, 0.2)]
    assert [len(study(cell).methods) for cell in cells] == [4] * 4


def test_the_table_of_costs_is_that_of_the_committed_rows():
    with sweeps.ROWS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cells"], row["values"]) for row in rows] == [("1", "1"), ("10", "10"), ("100", "100"), ("1", "10")]
    assert markdown(sweeps.table(rows)) in sweeps.PAGE.read_text(encoding="utf-8")
    one = {"cells": "4", "values": "8", "jobs": "2", "wall": "9", "cpu": "24", "alone": "5"}
    assert sweeps.table([one])[1] == ["4", "8", "2", "9", "24", "1.20", "1.00"]


# -- real jobs ---------------------------------------------------------------------------------------------------


def started(*arguments: object) -> subprocess.Popen[str]:
    """`toylab` in a process of its own, which can be interrupted though the tests be run in the background."""
    command = [sys.executable, "-m", "toylab", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finished_in(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("*/finished.json"))


def alone(out: Path, cell: Path) -> bytes:
    """The results of a cell's settings, run without a sweep."""
    done = started("run", "lab", "--config", cell / "config.json", "--out", out)
    done.communicate()
    assert done.returncode == 0
    return (out / cell.name / "results.csv").read_bytes()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A sweep of two trainings that take a while; what still runs after the test is stopped."""
    path = tmp_path / "sweep.toml"
    path.write_text(SEEDS.replace("steps = 20", "steps = 1600"), encoding="utf-8")
    yield path
    for lock in tmp_path.rglob("jobs/*.lock"):
        if is_held(lock):
            interrupt(lock)


@pytest.mark.slow
@pytest.mark.short
def test_a_sweep_killed_half_way_goes_on_and_finishes(file: Path, tmp_path: Path):
    """Killed outright its job goes on and is waited for; interrupted it stops. All is done once, with the same bits."""
    out = tmp_path / "out"
    sweep = ("sweep", file, "--out", out, "--jobs", 1)
    head = started(*sweep)
    until(lambda: list(out.glob("lab-*/log.txt")) or list(out.glob("lab-*/environment.json")))
    os.kill(head.pid, signal.SIGKILL)
    head.wait()
    held = [lock for lock in (out / JOBS).glob("lab-*.lock") if is_held(lock)]
    assert len(held) == 1
    head = started(*sweep)
    until(lambda: len(finished_in(out)) == 1)
    until(lambda: len([path for path in out.glob("lab-*/environment.json")]) == 2)
    time.sleep(0.5)  # into its training
    os.kill(head.pid, signal.SIGINT)
    _, err = head.communicate(timeout=300)
    assert head.returncode == 130
    assert "its jobs are stopped; the same command goes on" in err
    assert not any(map(is_held, (out / JOBS).glob("lab-*.lock")))
    assert len(finished_in(out)) == 1
    assert not list((out / JOBS).glob("*.failed.json"))
    head = started(*sweep)
    said, err = head.communicate(timeout=900)
    assert (head.returncode, err) == (0, "")
    assert "all 2 cells are finished" in said
    cells = finished_in(out)
    assert len(cells) == 2
    for cell in cells:
        assert (cell / "timings.csv").read_text().count(",training,") == 2  # ddpm and robust-adv, each once
    interrupted = next(cell for cell in cells if "interrupted" in (cell / "log.txt").read_text())
    assert (interrupted / "results.csv").read_bytes() == alone(tmp_path / "alone", interrupted)


@pytest.mark.slow
def test_a_cell_that_fails_is_listed_left_and_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An objective that fails in one cell until a file is there."""
    monkeypatch.chdir(tmp_path)
    Path("brittle.py").write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\n\n\n"
        "@dataclass(frozen=True)\nclass Brittle:\n    most: float = 1.0\n    evaluations = 1\n\n"
        "    def __call__(self, denoiser, batch, generator=None):\n"
        "        if self.most > 2 and batch.step > 9 and not Path('mended').exists():\n"
        "            raise ValueError('the loss ran away')\n"
        "        level = denoiser.at(batch.t)\n"
        "        return (level.eps(level.noised(batch.x0, batch.eps)) - batch.eps).square().mean((-2, -1))\n"
    )
    text = f'experiment = "lab"\npreset = "smoke"\nseeds = 1\n[settings]\nobjective = "brittle:Brittle"{TINY}'
    Path("a.toml").write_text(text + '[grid]\n"objective.most" = [1.0, 3.0]\n')
    sweep = ("sweep", "a.toml", "--allow-code")
    head = started(*sweep)
    said, err = head.communicate(timeout=900)
    assert head.returncode == 1
    assert "failed: most 3.0\n" in said
    assert "failed: most 3.0: the run failed: the loss ran away (see " in err
    assert "error: 1 of 2 cells failed; --retry runs them again\n" in err
    assert len(finished_in(Path("runs/a"))) == 1
    Path("mended").touch()
    again = started(*sweep)
    _, err = again.communicate(timeout=900)
    assert (again.returncode, "1 of 2 cells failed" in err) == (1, True)
    retried = started(*sweep, "--retry")
    retried.communicate(timeout=900)
    assert retried.returncode == 0
    threads = {json.loads((cell / "environment.json").read_text())["threads"] for cell in finished_in(Path("runs/a"))}
    assert threads == {1}


@pytest.mark.slow
def test_a_sweep_on_slurm_killed_half_way_goes_on_and_finishes(
    real_slurm: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLURM_CONF", real_slurm)
    file.write_text(file.read_text() + "[[cells]]\nseed = 3\n[slurm]\nminutes = 10\nparallel = 1\n")
    out = tmp_path / "out"
    sweep = ("sweep", file, "--out", out, "--engine", "slurm")
    head = started(*sweep)
    until(lambda: len(finished_in(out)) == 1)
    os.kill(head.pid, signal.SIGKILL)
    head.wait()
    before = (out / JOBS / "slurm.json").read_text()
    head = started(*sweep)
    until(lambda: len(finished_in(out)) == 2)
    os.kill(head.pid, signal.SIGINT)
    _, err = head.communicate(timeout=300)
    assert (head.returncode, "its jobs go on in the queue; scancel " in err) == (130, True)
    array = json.loads(before).popitem()[1].partition("_")[0]
    subprocess.run(["scancel", array], check=True)
    until(lambda: not any(map(is_held, (out / JOBS).glob("lab-*.lock"))))
    until(lambda: not subprocess.run(["squeue", "--noheader"], capture_output=True, check=True).stdout)
    assert (out / JOBS / "slurm.json").read_text() == before  # none was submitted twice
    assert len(finished_in(out)) == 2
    head = started(*sweep)
    said, err = head.communicate(timeout=900)
    assert (head.returncode, err) == (0, "")
    assert "all 3 cells are finished" in said
    cells = finished_in(out)
    again = json.loads((out / JOBS / "slurm.json").read_text())
    assert sum(again[cell.name] != json.loads(before)[cell.name] for cell in cells) == 1
    for cell in cells:
        assert (cell / "timings.csv").read_text().count(",training,") == 2
    assert (cells[0] / "results.csv").read_bytes() == alone(tmp_path / "alone", cells[0])
