"""The benchmark: its tasks stay as they are, its arithmetic is right, and a method can join."""

import csv
import json
import math
import re
from pathlib import Path

import pytest
import torch

from tests.test_experiments import TINY
from tests.test_outside import stranger  # noqa: F401
from tests.test_readme import README, block
from toylab import index
from toylab.errors import BadInput
from toylab.experiments import benchmark_task
from toylab.experiments.experiment import flat
from toylab.objectives import Denoising
from toylab.statistics import student
from toylab.suite import records
from toylab.suite.entries import Entry, rehearsed
from toylab.suite.page import page
from toylab.suite.records import Line, Record, from_csv, to_csv
from toylab.suite.scores import comparison, score, table
from toylab.suite.tasks import FIELD, TASKS, VERSION
from toylab.summaries import markdown

# -- tasks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_changed_task_is_a_new_version(task: str):
    """Every setting of suite 1 has the value that it had when that was published; a new setting may stand beside."""
    published = json.loads((Path(__file__).parent / f"suite-{VERSION}.json").read_text())
    assert list(published) == ["common", *TASKS]
    now = flat(Entry.of("ddpm").configured(task, "default").config)
    expected = published["common"] | published[task]
    assert {key: now.get(key) for key in expected} == expected


def test_seeds_are_none_on_which_anything_was_chosen_or_shown():
    settings = Entry.of("ddpm").configured("outliers", "default").settings
    assert not {*range(settings.seed, settings.seed + settings.seeds)} & {*range(8), 100, 101}


def test_units_are_those_of_the_same_law():
    for task in TASKS.values():
        assert task.unit is None or (TASKS[task.unit].law, TASKS[task.unit].metric) == (task.law, task.metric)
    assert {name for name, task in TASKS.items() if task.unit} == {
        name for name, task in TASKS.items() if task.contamination["name"] == "none"
    }


def test_who_is_told_the_noise_joins_where_that_is_the_noise():
    assert Entry.of("ambient").tasks == ["plane-noise", "sphere-noise"]
    assert Entry.of("oracle-clean").tasks == Entry.of("ddpm").tasks == list(TASKS)
    std = Entry.of("ambient").method.build().std
    assert all(TASKS[task].contamination["std"] == std for task in Entry.of("ambient").tasks)


# -- scores --------------------------------------------------------------------------------------------------------

SEEDS = (5, 6, 7, 8)
EXACT = [0.30, 0.34, 0.28, 0.33]
PLAIN = [0.80, 0.95, 0.70, 0.85]


def line(method: str, of_seeds: dict[str, list[float]], evaluations: float = 1.0, oracle: bool = False) -> Line:
    """A method with the same numbers by samples and by the field."""
    values = {
        (task, metric): dict(zip(SEEDS, of_seeds[task], strict=True))
        for task in of_seeds for metric in (TASKS[task].metric, FIELD)
    }  # fmt: skip
    return Line(method, oracle, evaluations, values)


def between(share: float) -> list[float]:
    return [e + share * (d - e) for e, d in zip(EXACT, PLAIN, strict=True)]


CLEAN = [e + 0.01 for e in EXACT]
RECORD = Record(
    "here",
    {
        found.method: found
        for found in (
            line("ddpm", {task: CLEAN if task == "clean" else PLAIN for task in TASKS}),
            line("exact-clean", dict.fromkeys(TASKS, EXACT), math.nan),
            line("half", {task: between(0.5) for task in TASKS}, 2.0),
            line("worse", {"outliers": between(1.2), "plane-noise": between(1.1)}, 3.0, oracle=True),
            line("lost", {task: [math.nan, *PLAIN[1:]] for task in TASKS}),
        )
    },
)


def test_the_exact_score_is_0_plain_denoising_1_and_half_way_a_half():
    for task in set(TASKS) - {"clean"}:
        for field in (False, True):
            assert score(RECORD, "ddpm", task, field) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
            assert score(RECORD, "exact-clean", task, field) == (0, 0)
            assert score(RECORD, "half", task, field) == (pytest.approx(0.5), pytest.approx(0, abs=1e-12))
    assert score(RECORD, "worse", "clean") is None


def test_on_clean_data_the_score_is_a_price_in_units_of_the_contaminated_task():
    """ddpm loses 0.01 on every seed, where the outliers cost it 0.5125 on average."""
    found = score(RECORD, "ddpm", "clean")
    unit = [d - e for d, e in zip(PLAIN, EXACT, strict=True)]
    mean = sum(unit) / 4
    assert found is not None
    assert found.mean == pytest.approx(0.01 / mean)
    residual = [0.01 - found.mean * u for u in unit]
    std = math.sqrt(sum(r**2 for r in residual) / 3)
    assert found.half == pytest.approx(student(4) * std / 2 / mean)


def test_what_is_not_finite_or_has_no_unit_has_no_score():
    assert math.isnan(score(RECORD, "lost", "outliers").mean)  # type: ignore[union-attr]
    near = line("ddpm", {task: [e + d for e, d in zip(EXACT, (0.1, -0.1, 0.2, 0.0), strict=True)] for task in TASKS})
    other = Record("here", {**RECORD.lines, "ddpm": near})
    assert math.isnan(score(other, "half", "outliers").mean)  # type: ignore[union-attr]


def test_better_and_worse_are_counted_after_holm():
    """`half` is worse on clean data; of two tasks `worse` has both; nothing is clear of what is not finite."""
    assert comparison(RECORD, "half") == (5, 1, 6)
    assert comparison(RECORD, "worse") == (0, 2, 2)
    assert comparison(RECORD, "lost") == (0, 0, 6)
    assert comparison(RECORD, "ddpm") == (0, 0, 6)
    # p is 0.03 by itself in each of two tasks, so 0.06 for both: not clear
    close = [p - d for p, d in zip(PLAIN, (0.02, 0.05, 0.04, 0.07), strict=True)]
    one = line("one", {"outliers": close})
    both = line("both", {"outliers": close, "plane-noise": PLAIN, "sphere-noise": PLAIN})
    several = Record("here", {**RECORD.lines, "one": one, "both": both})
    assert comparison(several, "one") == (1, 0, 1)
    assert comparison(several, "both") == (0, 0, 3)


def test_the_table_has_a_line_a_method_and_the_first_record_wins():
    theirs = Record("theirs", {**RECORD.lines, "other": line("other", {"outliers": between(0.25)}, 4.0)})
    heading, *lines = table([RECORD, theirs])
    assert heading == ["method", *TASKS, "better / worse", "cost", "from"]
    assert [(cells[0], cells[-1]) for cells in lines] == [
        ("ddpm", "here"), ("half", "here"), ("worse (oracle)", "here"), ("lost", "here"), ("other", "theirs")
    ]  # fmt: skip
    cells = dict(zip(heading, lines[2], strict=True))
    assert cells["outliers"] == str(score(RECORD, "worse", "outliers"))
    assert (cells["clean"], cells["better / worse"], cells["cost"]) == ("-", "0 / 2 of 2", "3.00")


# -- records -------------------------------------------------------------------------------------------------------


def test_a_record_survives_its_csv():
    again = from_csv(to_csv(RECORD, "default"), "here", "default")
    assert again is not None
    assert table([again]) == table([RECORD])
    assert table([again], field=True) == table([RECORD], field=True)
    assert from_csv(to_csv(RECORD, "default"), "here", "smoke") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("suite,preset", "suit,preset", "no record of the benchmark"),
        (f"\n{VERSION},default", "\n0,default", "line 2: it is of suite 0, this one is 1"),
        (",w2,5,0.8\n", ",w2,5,many\n", "could not convert string to float"),
        (",w2,5,0.8\n", ",w2,6,0.8\n", "twice"),
        (",w2,5,0.8\n", ",w2\n", "as many fields as the heading"),
        (",w2,5,0.8\n", ",w2,5,0.8\n1,2\n", "this one is|as many fields as the heading"),
        (",w2,5,0.8\n", ",w3,5,0.8\n", "no task 'outliers' with the metric 'w3'"),
        ("half,0,2.0,w2,5", "half,0,2.0,w2,9", "half has not the seeds of ddpm and exact-clean in outliers"),
        ("half,0,2.0,", "half,0,0.0,", "evaluations must be a positive number"),
        ("half,0,2.0,", "\x1b[31mhalf,0,2.0,", "a method's name has at most 120"),
        ("half,0,2.0,", "[/red],0,2.0,", "a method's name has at most 120"),
        (",ddpm,", ",dpm,", "ddpm is not there for every task"),
        (",exact-clean,", ",exact,", "evaluations must be"),
    ],
)
def test_a_record_that_cannot_be_is_refused(old: str, new: str, message: str):
    text = to_csv(RECORD, "default")
    assert old in text
    with pytest.raises(BadInput, match=message):
        from_csv(text.replace(old, new), "theirs", "default")


def test_a_record_that_was_cut_is_refused():
    """Also in the last digits of its last number."""
    text = to_csv(RECORD, "default")
    for length in range(len(text) - 30, len(text)):
        with pytest.raises(BadInput, match="theirs: its last line has no end"):
            from_csv(text[:length], "theirs", "default")


def test_what_is_shipped_can_be_read():
    """Of the present suite; the objectives in it are built in."""
    for preset in ("default", "smoke"):
        found = records.shipped(preset)
        assert found is None or set(found.lines) <= {*index.OBJECTIVES, "exact-clean"}


# -- entries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", index.OBJECTIVES)
def test_the_evaluations_that_are_counted_are_those_that_are_declared(name: str):
    objective = Entry.of(name).method.build()
    assert rehearsed(name, objective) == pytest.approx(objective.evaluations)


class Wrong(Denoising):
    """Denoising, spoiled."""

    def __init__(self, spoil):
        super().__init__()
        object.__setattr__(self, "spoil", spoil)

    def __call__(self, denoiser, batch, generator=None):
        return self.spoil(super().__call__(denoiser, batch, generator))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (torch.mean, r"one finite loss a member, for two members of shape \(2,\), not .* of shape \(\)"),
        (lambda loss: loss * math.nan, "one finite loss a member"),
        (lambda loss: loss.detach(), "fails in training: RuntimeError: .*does not require grad"),
        (lambda loss: 3.0, "fails in training: AttributeError"),
    ],
)
def test_a_loss_that_cannot_be_trained_is_told_before_anything_is(spoil, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        rehearsed("mine:Wrong", Wrong(spoil))
    assert "\n" not in str(caught.value)


# -- the command ---------------------------------------------------------------------------------------------------

MINE = """
from toylab.objectives import Denoising

def same(weight: float = 0.5) -> Denoising:
    return Denoising()
"""


@pytest.fixture
def tiny(undrawn, monkeypatch: pytest.MonkeyPatch):
    """The smoke preset at the smallest sizes, on two tasks, without figures."""
    smoke = {**benchmark_task.EXPERIMENT.presets["smoke"], **TINY}
    monkeypatch.setitem(benchmark_task.EXPERIMENT.presets, "smoke", smoke)  # type: ignore[arg-type]
    for task in set(TASKS) - {"outliers", "clean"}:
        monkeypatch.delitem(TASKS, task)


def printed(out: str) -> list[tuple[str, str]]:
    """Method and place of every line of the Markdown tables."""
    rows = [row.strip("| ").split(" | ") for row in out.splitlines() if row.startswith("| ") and "---" not in row]
    return [(row[0], row[-1]) for row in rows]


def test_a_method_joins_and_finds_the_runs_of_the_others(toylab, stranger, tiny, tmp_path: Path):  # noqa: F811
    """Those of two built-in methods stay; the new one, plain denoising by another name, has plain denoising's numbers,
    bit for bit and in every seed, though it ran in other folders; changed code runs anew."""
    stranger(MINE)
    command = ["benchmark", "stranger:same", "--preset", "smoke"]
    code, _, err = toylab("benchmark", "trimmed", "--preset", "smoke", "-o", "theirs.csv")
    assert code == 0
    assert [row for row in err.splitlines() if " of 4: " in row] == [
        "1 of 4: ddpm, outliers", "2 of 4: ddpm, clean", "3 of 4: trimmed, outliers", "4 of 4: trimmed, clean"
    ]  # fmt: skip
    before = {folder: (folder / "results.csv").stat().st_mtime_ns for folder in (tmp_path / "runs").iterdir()}

    code, out, err = toylab(*command, "--markdown", "-o", "page.md", "-o", "record.csv")
    assert (code, err.count("writing to")) == (0, 2)
    assert all((folder / "results.csv").stat().st_mtime_ns == time for folder, time in before.items())
    assert printed(out) == [("method", "from"), *((m, "here") for m in ("ddpm", "stranger:same", "trimmed"))] * 2
    assert set(out.splitlines()) <= set((tmp_path / "page.md").read_text().splitlines())
    with (tmp_path / "record.csv").open() as file:
        rows = [*csv.DictReader(file)]
    values = {
        method: [(row["task"], row["metric"], row["seed"], row["value"]) for row in rows if row["method"] == method]
        for method in ("ddpm", "stranger:same", "exact-clean")
    }
    assert values["ddpm"] == values["stranger:same"] != values["exact-clean"]
    assert len(values["ddpm"]) == len(values["exact-clean"]) == 2 * 2 * 2

    stranger(MINE + "\n# changed\n")
    code, out, err = toylab(*command, "--markdown", "--beside", "theirs.csv", "--beside", "record.csv")
    assert (code, err.count("writing to")) == (0, 2)
    assert len([*(tmp_path / "runs").iterdir()]) == 8


def test_others_are_put_beside(toylab, stranger, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    heading, *rows = to_csv(RECORD, "smoke").splitlines()
    Path("theirs.csv").write_text("\n".join([heading, *(row for row in rows if row.split(",")[3] in TASKS), ""]))
    code, out, _ = toylab("benchmark", "ddpm", "--preset", "smoke", "--markdown", "--beside", "theirs.csv")
    assert code == 0
    assert (
        printed(out)
        == [("method", "from"), ("ddpm", "here"), ("half", "theirs"), ("worse (oracle)", "theirs"), ("lost", "theirs")]
        * 2
    )
    code, _, err = toylab("benchmark", "ddpm", "--beside", "theirs.csv")
    assert (code, "theirs.csv holds nothing of the preset default" in err) == (2, True)


def test_the_example_of_readme_joins(toylab, stranger, tiny, tmp_path: Path):  # noqa: F811
    """Its file and its command, at the smallest sizes."""
    stranger(block("mine"), "mine.py")
    (command,) = re.findall(r"<!-- command: join -->\n```sh\ntoylab (.*)\n```", README)
    code, out, _ = toylab(*command.split(), "--preset", "smoke", "--markdown")
    assert code == 0
    assert printed(out) == [("method", "from"), ("ddpm", "here"), ("mine:Clipped", "here")] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name an objective of toylab list, or one of your own as module:object, or give --all"),
        (["trimed"], "unknown objective 'trimed'; did you mean 'trimmed'?"),
        (["nowhere:x"], "cannot import nowhere:x: No module named 'nowhere'"),
        (["toylab.objectives:square"], "toylab.objectives:square"),
        (["trimmed", "--preset", "smok"], "unknown preset 'smok'"),
        (["trimmed", "-o", "x.txt"], "-o must name a .md or .csv file"),
        (["trimmed", "-o", "no/x.md"], "-o must name a .md or .csv file"),
        (["trimmed", "--beside", "none.csv"], "cannot read none.csv"),
        (["trimmed", "--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_no_folder(toylab, tmp_path: Path, monkeypatch, arguments, message: str):
    monkeypatch.chdir(tmp_path)
    code, _, err = toylab("benchmark", *arguments)
    assert (code, [row for row in err.splitlines() if row.startswith("error: ")]) == (2, err.splitlines()[-1:])
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_the_page_says_what_the_tasks_are_and_what_made_it():
    text = page([RECORD], "default", "toylab benchmark --all")
    assert markdown(table([RECORD])) in text
    assert markdown(table([RECORD], field=True)) in text
    for name, task in TASKS.items():
        assert f"| {name} | {task.law['name']}" in text
        assert task.why in text
    assert "Made by `toylab benchmark --all` with toylab" in text
    assert "seeds 2000 to 2007" in text


@pytest.mark.slow
def test_every_objective_runs_on_every_task(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    smoke = {**benchmark_task.EXPERIMENT.presets["smoke"], **TINY}
    monkeypatch.setitem(benchmark_task.EXPERIMENT.presets, "smoke", smoke)  # type: ignore[arg-type]
    code, out, _ = toylab("benchmark", "--all", "--preset", "smoke", "--markdown", "--out", tmp_path)
    assert code == 0
    assert {name.removesuffix(" (oracle)") for name, _ in printed(out)} == {"method", *index.OBJECTIVES}
