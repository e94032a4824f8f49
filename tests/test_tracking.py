"""Scalars of a training: what is logged is what was trained, and nothing changes by it."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import toylab as tl
from tests.test_docs import ROOT, blocks
from tests.test_experiments import TINY
from tests.test_notebook import trainer
from toylab import tracking
from toylab.experiments.experiment import flat


def test_tracking_changes_nothing_and_gives_means_over_steps():
    """Seven steps, an entry every three: after 3, 6, and the last."""
    plain, tracked = trainer(), trainer()
    entries: dict[int, dict[str, float]] = {}
    losses, rates = [], []
    for step in plain:
        losses.append(step.loss.double())
        rates.append(plain.lr)
    numbers = [
        step.number for step in tl.track(tracked, lambda scalars, step: entries.update({step: scalars}), every=3)
    ]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    assert all(torch.equal(a, b) for a, b in zip(plain.ema.parameters(), tracked.ema.parameters(), strict=True))
    assert [*entries] == [3, 6, 7]
    for last, first in ((3, 0), (6, 3), (7, 6)):
        of_members = torch.stack(losses[first:last]).mean(0)
        assert [entries[last]["loss/0"], entries[last]["loss/1"]] == pytest.approx(of_members.tolist(), rel=1e-12)
        assert entries[last]["loss"] == pytest.approx(float(of_members.mean()), rel=1e-12)
        assert entries[last]["lr"] == rates[last - 1]
    assert len(set(rates)) > 3


def test_losses_stay_on_the_device_between_entries(monkeypatch: pytest.MonkeyPatch):
    made, waits, original = trainer(12), list[int](), torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: waits.append(1) or original(self))
    monkeypatch.setattr(torch.Tensor, "item", lambda self: pytest.fail("waited for the device"))
    monkeypatch.setattr(torch.Tensor, "__float__", lambda self: pytest.fail("waited for the device"))
    for step in tl.track(made, lambda scalars, step: None, every=5):
        assert len(waits) == (step.number) // 5
    assert len(waits) == 3


def test_a_training_left_early_keeps_what_it_had():
    entries: list[int] = []
    for step in tl.track(trainer(), lambda scalars, step: entries.append(step), every=100):
        if step.number == 4:
            break
    assert entries == [4]


def test_bad_choices_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toylab):
    with pytest.raises(tl.BadInput, match="every must be at least 1, not 0"):
        next(tl.track(trainer(), print, every=0))
    with (
        pytest.raises(tl.BadInput, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"),
        tl.tracked_by("tensorbord"),
    ):
        pass
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(tl.BadInput, match=r"^TensorBoard needs tensorboard: pip install 'toylab\[track\]'$"):
        tl.TensorBoard(tmp_path)
    assert toylab("run", "lab", "--track", "tensorboard", "--out", tmp_path) == (
        2, "", "error: TensorBoard needs tensorboard: pip install 'toylab[track]'\n"
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


# -- TensorBoard -------------------------------------------------------------------------------------------------


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_reads_what_was_trained(tmp_path: Path):
    """Its values are in single precision."""
    pytest.importorskip("tensorboard")
    plain = list(trainer())
    with tl.TensorBoard(tmp_path) as log:
        for _ in tl.track(trainer(), log, every=1):
            pass
    found = scalars(tmp_path)
    assert set(found) == {"loss", "loss/0", "loss/1", "lr"}
    assert found["loss/1"] == [(step.number, float(step.loss[1])) for step in plain]
    assert [number for number, _ in found["lr"]] == [1, 2, 3, 4, 5, 6, 7]


def test_what_was_lost_of_an_earlier_attempt_is_hidden(tmp_path: Path):
    pytest.importorskip("tensorboard")
    for last, value in ((5, 1.0), (4, 2.0)):
        with tl.TensorBoard(tmp_path, after=0 if value == 1 else 2) as log:
            for step in range(1 if value == 1 else 3, last + 1):
                log({"loss": value}, step)
    assert scalars(tmp_path)["loss"] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


@pytest.mark.slow
def test_runs_keep_their_trainings_where_that_was_asked_for(tmp_path: Path, toylab, undrawn):
    """With the same bytes in the results, and only there."""
    pytest.importorskip("tensorboard")
    words = [f"--set={key}={value}" for key, value in flat(TINY).items()]
    for name, more in (("tracked", ["--track", "tensorboard"]), ("plain", [])):
        assert toylab("run", "lab", "--preset", "smoke", *words, *more, "--out", tmp_path / name)[0] == 0
    (tracked,), (plain,) = ([*(tmp_path / name).iterdir()] for name in ("tracked", "plain"))
    assert not (plain / "tensorboard").exists()
    assert (plain / "results.csv").read_bytes() == (tracked / "results.csv").read_bytes()
    methods = tl.load(tracked).methods
    assert methods
    for method in methods:
        assert [step for step, _ in scalars(tracked / "tensorboard" / method)["loss"]] == [4]


def test_from_python_it_is_a_context(tmp_path: Path):
    pytest.importorskip("tensorboard")
    with tl.tracked_by("tensorboard"):
        assert len(list(tracking.steps_of(trainer(), tmp_path, "inside"))) == 7
    assert len(list(tracking.steps_of(trainer(), tmp_path, "outside"))) == 7
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["inside"]
    assert scalars(tmp_path / "tensorboard/inside")["loss"][0][0] == 7


def test_only_the_first_of_several_processes_writes(tmp_path: Path):
    second = trainer()
    second.company.rank = 1  # type: ignore[attr-defined]
    tracking._chosen.add(tracking.TENSORBOARD)
    try:
        assert [step.number for step in tracking.steps_of(second, tmp_path, "ddpm")][-1] == 7
    finally:
        tracking._chosen.clear()
    assert not list(tmp_path.iterdir())


def test_weights_and_biases_get_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The page's own code with a stand-in for wandb, whose `log` has the signature of the real one's."""
    logged: list[tuple[dict[str, float], int | None]] = []

    class Theirs:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            logged.append(({}, None))

        def log(self, data: dict[str, float], step: int | None = None, commit: bool | None = None) -> None:
            logged.append((data, step))

    def init(project: str, mode: str, config: dict[str, object]) -> Theirs:
        assert (mode, config["steps"]) == ("offline", 20)
        return Theirs()

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    names: dict[str, object] = {}
    for code in blocks(ROOT / "docs/how-to/tracking.md", "python"):
        exec(code, names)
    assert [step for _, step in logged] == [10, 20, None]
    assert set(logged[0][0]) == {"loss", "loss/0", "loss/1", "lr"}
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["10", "20"]
