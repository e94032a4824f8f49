"""toylab in Jupyter, as a kernel would see it: what is displayed, what is drawn anew, what is said without one."""

import io
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output
from ipywidgets import Widget
from matplotlib.figure import Figure
from PIL import Image

from toylab import api, bars, notebook, randomness
from toylab.contamination import heavy_tail
from toylab.data import Finite
from toylab.denoisers import Exact, Learned
from toylab.distributions import Distribution
from toylab.distributions.named import sphere, three_gaussians, two_gaussians
from toylab.errors import BadInput
from toylab.evaluation import Protocol, evaluate
from toylab.metrics import Estimate
from toylab.metrics.damage import Comparison
from toylab.networks import MLP
from toylab.objectives import Denoising
from toylab.schedules import DDPM
from toylab.training import Trainer, Training

WIDGET = "application/vnd.jupyter.widget-view+json"
TINY = {
    "training": {"steps": 6, "batch": 16}, "network": {"width": 8}, "nfe": 3, "samples": 60, "size": 100,
    "evaluation": {"levels": 2, "points": 20, "pair": 30, "metrics": ["eps-mse", "outlier-mass"]},
}  # fmt: skip


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell with the extension, that takes itself for a kernel's."""
    shell = InteractiveShell.instance()
    shell.display_formatter.active_types = shell.display_formatter.format_types
    shell.kernel = object()
    notebook.load_ipython_extension(shell)
    yield shell
    InteractiveShell.clear_instance()


def trainer(steps: int = 7) -> Trainer:
    """Two members on points of a small law."""
    seeds = [0, 1]
    sources = [Finite(three_gaussians(), 100, g) for g in randomness.streams(seeds, "data")]
    network = MLP(2, 8, 1, members=2, generators=randomness.streams(seeds, "weights"))
    return Trainer(Learned(network, DDPM()), sources, Denoising(), Training(steps=steps, batch=16), seeds)


def size(png: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(png))
    assert image.convert("L").getextrema() != (255, 255)  # something is drawn
    return image.size


def shown(outputs: list[RichOutput]) -> list[dict]:
    return [output._repr_mimebundle_()[0] for output in outputs]


# -- what things look like ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [two_gaussians(), three_gaussians(), sphere()], ids=["1-D", "2-D", "3-D"])
def test_a_law_shows_its_portrait(law: Distribution, shell: InteractiveShell):
    found, _ = shell.display_formatter.format(law)
    width, height = size(found["image/png"])
    assert width > 2 * height  # four panels
    assert found["text/plain"].startswith(f"{type(law).__name__} on ")


def test_a_law_of_infinite_variance_is_said_in_words(shell: InteractiveShell):
    found, _ = shell.display_formatter.format(heavy_tail(three_gaussians(), df=2))
    assert "image/png" not in found
    assert found["text/plain"] == "Contaminated on R^2"


@pytest.mark.parametrize(
    ("value", "stderr", "lines"),
    [
        (0.5, 0.01, ["0.500 ± 0.020"]),
        ([0.5, 2.0], [0.01, 0.1], ["| member | value ± 95 % |", "| 0 | 0.500 ± 0.020 |", "| 1 | 2.00 ± 0.20 |"]),
        ([[0.5, 2.0]], [[0.01, 0.1]], ["| member | part 1 | part 2 |", "| 0 | 0.500 ± 0.020 | 2.00 ± 0.20 |"]),
    ],
)
def test_an_estimate_shows_its_interval(value, stderr, lines: list[str], shell: InteractiveShell):
    estimate = Estimate(torch.tensor(value, dtype=torch.float64), torch.tensor(stderr, dtype=torch.float64))
    found = shell.display_formatter.format(estimate)[0]["text/markdown"].splitlines()
    assert [line for line in found if "---" not in line] == lines


def test_a_comparison_under_attack_shows_all_three(shell: InteractiveShell):
    model, exact = torch.tensor([[1.0, 3.0], [2.0, 2.0]]), torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    lines = shell.display_formatter.format(Comparison.of(model, exact))[0]["text/markdown"].splitlines()
    assert lines[0] == "| member | model | exact | excess |"
    cells = [[float(cell.split()[0]) for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert cells == [[0, 2, 1, 1], [1, 2, 1, 1]]


def test_an_evaluation_is_a_table_in_words_too(shell: InteractiveShell):
    protocol = Protocol(nfe=4, samples=40, levels=2, points=20, pair=20, metrics=["eps-mse"])
    found, _ = shell.display_formatter.format(
        evaluate(Exact(three_gaussians(), DDPM()), three_gaussians(), None, protocol)
    )
    assert found["text/plain"].splitlines()[0].split() == ["metric", "against", "model", "exact-clean"]
    assert found["text/markdown"].startswith("| metric | against |")


def test_without_the_extension_all_is_as_before(shell: InteractiveShell):
    notebook.unload_ipython_extension(shell)
    found, _ = shell.display_formatter.format(three_gaussians())
    assert [*found] == ["text/plain"]
    assert " at 0x" in found["text/plain"]


# -- progress ----------------------------------------------------------------------------------------------------


def test_watching_changes_nothing(shell: InteractiveShell):
    plain, watched = trainer(), trainer()
    with capture_output():
        steps = list(notebook.watch(watched))
    for mine, theirs in zip(steps, plain, strict=True):
        assert mine.number == theirs.number
        assert torch.equal(mine.loss, theirs.loss)
    for mine, theirs in zip(watched.ema.parameters(), plain.ema.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_training_shows_a_bar_then_its_loss(shell: InteractiveShell):
    with capture_output() as captured:
        for _ in notebook.watch(trainer(), every=0.0):
            pass
    bundles = shown(captured.outputs)
    assert WIDGET in bundles[0]
    figures = [bundle["image/png"] for bundle in bundles if "image/png" in bundle]
    assert len(figures) == 8  # one a step, as every = 0, and the last
    assert size(figures[-1])[0] > 200
    (end,) = [bundle["text/plain"] for bundle in bundles if bundle.get("text/plain", "").startswith("Denoising:")]
    assert end.startswith("Denoising: 7 of 7 steps, ")
    assert "mean loss of the last 7: " in end


def test_a_figure_of_ones_own_is_drawn_with_the_trainer(shell: InteractiveShell):
    seen = []

    def draw(trainer: Trainer) -> Figure:
        seen.append(trainer.step)
        return Figure()

    with capture_output():
        for step in notebook.watch(trainer(), draw, every=0.0):
            if step.number == 3:
                break
    assert seen == [1, 2, 3] or seen == [1, 2, 3, 3]  # the last when the loop is left


def test_a_training_left_early_says_where(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]):
    del shell.kernel
    steps = notebook.watch(trainer())
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert capsys.readouterr().out.startswith("Denoising: 1 of 7 steps, ")


def test_without_a_notebook_there_are_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(bars, "_LINE_SECONDS", 0.0)
    for _ in notebook.watch(trainer()):
        pass
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 1 of 7: 14%"
    assert lines[-1].startswith("Denoising: 7 of 7 steps, ")


def test_without_widgets_there_are_lines_and_the_figure(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bars.importlib.util, "find_spec", lambda name: None)
    with capture_output() as captured:
        for _ in notebook.watch(trainer()):
            pass
    assert captured.stdout.startswith("Denoising: 7 of 7 steps, ")
    assert ["image/png" in bundle for bundle in shown(captured.outputs)] == [True]


def test_a_run_is_carried_out_reused_and_shown(shell: InteractiveShell, tmp_path):
    with capture_output() as captured:
        folder = api.run("cost", "smoke", ["ddpm"], out=tmp_path, seeds=2, **TINY)
    assert folder.finished
    assert folder.config["seeds"] == 2
    assert [*folder.config["methods"]] == ["ddpm"]
    first, *_, end = shown(captured.outputs)
    assert WIDGET in first
    assert end["text/plain"].startswith("cost (smoke): done, ")
    with capture_output() as captured:
        again = api.run("cost", "smoke", ["ddpm"], out=tmp_path, seeds=2, **TINY)
        shell.display_formatter.format(again)
    assert again.path == folder.path
    _, reusing, tables, *figures = shown(captured.outputs)
    assert reusing["text/plain"].startswith("reusing the run finished ")
    assert "**cost** (smoke), seeds 8 to 9" in tables["text/markdown"]
    assert "| ddpm | " in tables["text/markdown"]
    assert [bundle["text/plain"] for bundle in figures] == ["score-error", "outlier-mass"]
    assert all(size(bundle["image/png"])[0] > 200 for bundle in figures)


def test_a_run_that_fails_says_so(shell: InteractiveShell, tmp_path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("toylab.figures.draw", fail)
    with capture_output() as captured, pytest.raises(RuntimeError, match="out of luck"):
        api.run("gmm-outliers", "smoke", ["ddpm"], out=tmp_path, seeds=2, **TINY)
    assert shown(captured.outputs)[-1]["text/plain"] == "the run failed: out of luck"
    (folder,) = tmp_path.iterdir()
    assert "the run failed: out of luck" in (folder / "log.txt").read_text()


# -- sliders -----------------------------------------------------------------------------------------------------


def waves(height: float, shape: str) -> Figure:
    if height > 2:
        raise BadInput("too high")
    figure = Figure()
    figure.subplots().set(title=f"{shape} {height}")
    return figure


@pytest.mark.filterwarnings("ignore:Widget.widgets is deprecated")
def test_a_slider_draws_anew_and_its_value_follows(shell: InteractiveShell):
    with capture_output() as captured:
        values = notebook.explore(waves, height=(0.0, 4.0, 1.0), shape=["sine", "saw"])
        controls, figure = shown(captured.outputs)
        slider, choice = Widget.widgets[controls[WIDGET]["model_id"]].children
        assert values == {"height": 1.0, "shape": "sine"}
        assert controls["text/plain"] == "sliders at height = 1.0, shape = sine"
        slider.value = 2.0
        choice.value = "saw"
        slider.value = 3.0
        *_, drawn, refused = shown(captured.outputs)
    assert len(captured.outputs) == 5
    assert drawn["image/png"] != figure["image/png"]
    assert refused == {"text/plain": "too high"}
    assert values == {"height": 3.0, "shape": "saw"}


@pytest.mark.slow
def test_a_slider_moved_by_a_frontend_in_a_real_kernel(monkeypatch: pytest.MonkeyPatch):
    """Over the wire: what moves is a message to the slider, what comes back the figure, in its old place."""
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    code = """
        from matplotlib.figure import Figure
        from toylab.notebook import explore
        values = explore(lambda height: Figure(), height=(0.0, 4.0, 1.0))
    """
    manager, client = start_new_kernel(kernel_name="python3")
    try:

        def answers(to: str) -> list[dict]:
            found = [client.get_iopub_msg(timeout=120)]
            while found[-1]["content"].get("execution_state") != "idle" or found[-1]["parent_header"]["msg_id"] != to:
                found.append(client.get_iopub_msg(timeout=120))
            return found

        def of_kind(found: list[dict], kind: str) -> list[dict]:
            return [message["content"] for message in found if message["msg_type"] == kind]

        made = answers(client.execute(textwrap.dedent(code)))
        (slider,) = [
            comm["comm_id"] for comm in of_kind(made, "comm_open")
            if comm["data"]["state"].get("_model_name") == "FloatSliderModel"
        ]  # fmt: skip
        moved = {"comm_id": slider, "data": {"method": "update", "state": {"value": 3.0}, "buffer_paths": []}}
        message = client.session.msg("comm_msg", moved)
        client.shell_channel.send(message)
        (drawn,) = of_kind(answers(message["header"]["msg_id"]), "update_display_data")
        assert drawn["transient"] == of_kind(made, "display_data")[-1]["transient"]
        assert "image/png" in drawn["data"]
        (printed,) = of_kind(answers(client.execute("print(values)")), "stream")
        assert printed["text"] == "{'height': 3.0}\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_without_a_notebook_the_first_values_stand(capsys: pytest.CaptureFixture[str]):
    asked = []

    def draw(height: float) -> Figure:
        asked.append(height)
        return Figure()

    assert notebook.explore(draw, height=(0.0, 4.0, 1.0)) == {"height": 1.0}
    assert asked == [1.0]


@pytest.mark.parametrize("control", [(0.0, 1.0, 2.0), (1.0, 1.0, 1.0), [], "names", [1, 2]])
def test_controls_that_cannot_be_are_refused(control):
    with pytest.raises(BadInput, match="height must be"):
        notebook.explore(waves, height=control)
