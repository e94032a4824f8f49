"""What has no name in the index, measured as what has.

Any denoiser, in five lines, whoever trained it:

    print(evaluate(Given(eps, schedule), clean, contaminated))

There is one model and no seeds here, so an interval is what the metric's own standard error says of these samples and
points; what another training would have given is not in it.

Any objective, beside those of a study, on the same data and noise, seed by seed:

    print(trial(configure("gmm-outliers", "smoke").settings, {"mine": Mine()}))
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toylab import judgement, randomness
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.errors import BadInput, unknown
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.measuring import Bench, Subject, measure, times_between
from toylab.experiments.study import CHEAP, Study
from toylab.experiments.sweep import Sweep
from toylab.experiments.trainings import marked, without
from toylab.index import METRICS
from toylab.objectives import Objective
from toylab.results import Measurement, Row, from_csv, to_csv
from toylab.samplers import Counted, Spacing, Walk, ddim, evenly_in_t, prior, sample
from toylab.statistics import NORMAL, Interval
from toylab.summaries import aligned, footnote, markdown, summary
from toylab.training import Trainer

MODEL = "model"


@dataclass(frozen=True)
class Protocol:
    """How to measure: samples drawn, by which sampler; `levels` noise levels from σ/α = `lowest` to `highest`, evenly
    spaced in its logarithm, with `points` points each; `pair` points a side of a transport problem."""

    sampler: Walk = ddim
    spacing: Spacing = evenly_in_t
    nfe: int = 100
    samples: int = 4000
    levels: int = 12
    lowest: float = 0.05
    highest: float = 8.0
    points: int = 2000
    pair: int = 1000
    metrics: Sequence[str] = CHEAP
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a model, and of the exact references beside it."""

    rows: list[Measurement]

    def table(self) -> list[list[str]]:
        """Heading, then one line a metric and law: value ± 95 % interval of the model and of each reference."""
        found = {
            (row.metric, row.against, row.method): Interval(row.value, NORMAL * row.stderr)
            for row in self.rows if row.t is None
        }  # fmt: skip
        subjects = list(dict.fromkeys(row.method for row in self.rows))
        lines = dict.fromkeys((metric, against) for metric, against, _ in found)
        body = [[*line, *(str(found.get((*line, subject), "-")) for subject in subjects)] for line in lines]
        return [["metric", "against", *subjects], *body]

    def __str__(self) -> str:
        return aligned(self.table())

    def _repr_markdown_(self) -> str:
        return markdown(self.table())


def evaluate(
    denoiser: Denoiser, clean: Distribution, contaminated: Distribution | None = None, protocol: Protocol = Protocol()
) -> Evaluation:
    """Every metric of the protocol that applies, of a denoiser against the exact laws; contaminated: what it was
    trained on, where that is not the clean law.

    Beside it stand the same metrics of the exact denoisers, through the same sampler from the same noise, and of exact
    samples, whose distances to their own law are the floor of the transport metrics. Raises BadInput for an unknown
    metric, and for a schedule that does not span the protocol's noise levels.
    """
    for name in protocol.metrics:
        if name not in METRICS:
            raise BadInput(unknown("metric", name, METRICS))
    bench = _bench(denoiser, clean, contaminated, protocol)
    subjects = [_sampled(MODEL, denoiser, protocol, clean.dim)]
    for name, law in bench.laws.items():
        subjects.append(_sampled(f"exact-{name}", Exact(law, denoiser.schedule), protocol, clean.dim))
    for name, law in bench.laws.items():
        x = law.sample(protocol.samples, _stream(protocol, "exact-samples"))
        subjects.append(Subject(f"{name}-samples", None, x[None], "", 0))
    return Evaluation([row for subject in subjects for row in measure(subject, bench)])


@dataclass(frozen=True)
class Trial:
    """What was measured of every objective, and of the exact references beside it."""

    rows: list[Measurement]

    def table(self) -> list[list[str]]:
        """Heading, then one line a method: mean and 95 % interval over seeds, as of a run."""
        return summary(self._as_read, judgement.under_trained(self._as_read))

    @property
    def _as_read(self) -> list[Row]:
        """The rows of a results.csv."""
        return from_csv(to_csv(self.rows, {}, {}))

    def __str__(self) -> str:
        return "\n".join(filter(None, [aligned(self.table()), *self._footnotes()]))

    def _repr_markdown_(self) -> str:
        return "\n\n".join(filter(None, [markdown(self.table()), *self._footnotes()]))

    def _footnotes(self) -> list[str]:
        return [footnote(self._as_read), judgement.footnote(self._as_read)]


def trial(
    study: Study,
    own: Mapping[str, Objective],
    watched: Callable[[Trainer], Iterable[object]] = iter,
    device: str = "cpu",
) -> Trial:
    """Train the objectives of a study and one's `own`, and measure them all as a run of the study does.

    Every objective sees the same initial weights, training sets and noise of each seed, an oracle its own. Nothing is
    written: a run folder would be found again by the names of its objectives, and code that has none changes unseen.
    watched: what each training is stepped through, for example toylab.notebook.watch. Raises BadInput for a name that
    the study has, and for a sweep.
    """
    if isinstance(study, Sweep) and study.grid:
        raise BadInput("a sweep is many studies: give one without a grid")
    named = {name: method.build() for name, method in study.objectives.items()}
    for name in own:
        if name in named:
            raise BadInput(f"the study has a method '{name}'; give one's own another name")
    lab = Laboratory(study, torch.device(device))
    lab.rehearse()
    found: list[tuple[str, Denoiser]] = []
    failed: dict[str, dict[int, int]] = {}
    for name, objective in {**named, **own}.items():
        recipe = study.training.model_copy(update={"steps": study.steps_of(name)})
        trainer = Trainer(lab.denoiser(), lab.sources_for(objective), objective, recipe, lab.seeds)
        for _ in watched(trainer):
            pass
        failed[name] = trainer.diverged()
        found.append((name, without(failed[name], trainer.ema.to(lab.exact_device)).eval()))
    found += [(f"exact-{name}", Exact(law, lab.schedule)) for name, law in lab.bench.laws.items()]
    subjects = [Subject(name, of, *_of_study(lab, of)) for name, of in found]
    subjects += [
        Subject(f"{name}-samples", None, lab.exact_samples(law), "", 0) for name, law in lab.bench.laws.items()
    ]
    return Trial(marked((row for subject in subjects for row in measure(subject, lab.bench)), lab.seeds, failed))


def _of_study(lab: Laboratory, denoiser: Denoiser) -> tuple[Tensor, str, int]:
    with torch.no_grad():
        x, nfe = lab.sample(denoiser)
    return x, lab.study.sampler.name, nfe


def _bench(denoiser: Denoiser, clean: Distribution, contaminated: Distribution | None, protocol: Protocol) -> Bench:
    times = times_between(denoiser.schedule, protocol.lowest, protocol.highest, protocol.levels)
    return Bench(
        clean, contaminated, denoiser.schedule, times, [protocol.seed], protocol.points, protocol.pair,
        torch.device(protocol.device), protocol.metrics, protocol.sampler, protocol.spacing,
    )  # fmt: skip


def _sampled(name: str, denoiser: Denoiser, protocol: Protocol, dim: int) -> Subject:
    counted, noise = Counted(denoiser), [_stream(protocol, "sampling")]
    like = torch.empty(0, device=protocol.device)
    x = prior(denoiser.schedule, (1, protocol.samples, dim), noise, like)
    with torch.no_grad():
        x = sample(protocol.sampler, counted, x, protocol.nfe, noise, protocol.spacing)
    sampler = getattr(protocol.sampler, "func", protocol.sampler)
    return Subject(name, denoiser, x, getattr(sampler, "__name__", ""), counted.evaluations)


def _stream(protocol: Protocol, purpose: str) -> torch.Generator:
    return randomness.stream(protocol.seed, purpose, torch.device(protocol.device))
