"""trajectory-attack: pushes on the sampling trajectory, and who withstands them.

Three Gaussians, 10 % of the training points uniform on [-6, 6]², as in gmm-outliers. The paper (arXiv:2505.21742)
claims that equivariant adversarial training resists perturbations of the states x_t that a sampler goes through. Here
every method is trained and measured as in any study, and then its sampler is attacked: with pushes of x_T, of one state
in the middle, or before every evaluation, found at random, greedily or through all remaining steps, by several budgets.
The same attacks on the exact denoisers say what any flow to these laws would suffer; `excess-` measures are the paired
difference to exact-clean.
"""

import threading
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from toylab.attacks import Threat, Victim
from toylab.attacks.victim import Share, attackable
from toylab.configuration import AimChoice, AttackChoice, Settings
from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.experiments.experiment import Experiment, Progress
from toylab.experiments.gmm_outliers import COMMON, METHODS
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.pipeline import FIGURES, Work, measured, trained
from toylab.experiments.study import SMOKE, MethodStudy
from toylab.experiments.subjects import SampleSource
from toylab.experiments.trainings import honest, side_by_side, workers
from toylab.metrics.damage import Comparison, Damage, Yardstick
from toylab.perturbations import Norm
from toylab.randomness import Generators
from toylab.results import Measurement
from toylab.runs import Run
from toylab.samplers import Walk

REFERENCE = "exact-clean"
_ATTACKS = {
    "random": AttackChoice.model_validate("random"),
    "greedy": AttackChoice.model_validate("greedy"),
    "adaptive": AttackChoice.model_validate({"name": "adaptive", "steps": 10}),
}


class Attacking(Settings):
    """Every attack at every place, with every budget, on the first `points` of the noises that samples start from."""

    attacks: dict[str, AttackChoice] = Field(_ATTACKS, min_length=1)
    aim: AimChoice = AimChoice.model_validate("displacement")
    places: list[Literal["start", "middle", "every"]] = Field(["start", "middle", "every"], min_length=1)
    middle_ratio: float = Field(1.0, gt=0, description="σ/α of the state that is pushed in the middle")
    norm: Norm = "linf"
    budgets: list[float] = Field([0.0, 0.05, 0.1, 0.2, 0.4], min_length=1, description="radii in units of noise")
    share: Share = Field("step", description="whether each push has the whole budget, or shares it with the others")
    points: int = Field(200, ge=2, description="of each seed; at most the number of samples")
    draws: int = Field(1, ge=1, description="fresh noises of the sampler that an attack is judged on")


class AttackStudy(MethodStudy):
    """A study whose samplers are attacked at the end."""

    attack: Attacking = Attacking()

    @model_validator(mode="after")
    def _can_be_attacked(self) -> Self:
        attack = self.attack
        try:
            attack.aim.build(self.law.build())
            attackable(self.sampler.bind())
            self.schedule.build().time(attack.middle_ratio)
            for budget in attack.budgets:
                Threat(budget)
        except BadInput as error:
            raise ValueError(f"attack: {error}") from None
        return self


class _Case(NamedTuple):
    """One attack on one subject at one place, with every budget."""

    subject: str
    denoiser: Denoiser
    attack: str
    place: str


class _Stopped(Exception):
    """The run is left early."""


def run(study: AttackStudy, folder: Run, device: torch.device) -> Generator[Progress, None, list[Measurement]]:
    """Train and measure as any study does, then attack."""
    work = _work(study)
    lab, subjects = yield from trained(study, folder, device, work)
    rows = yield from measured(lab, subjects, folder, work)
    rows += yield from _attacked(study, lab, subjects, work)
    return honest(rows, lab, folder)


def _work(study: AttackStudy) -> Work:
    work = Work(study)
    work.beyond = _cost(study, work.subjects)
    return work


def _cost(study: AttackStudy, subjects: int) -> float:
    """Of all attacks, in the units of `Work`."""
    attack = study.attack
    steps = sum((choice.model_extra or {}).get("steps", 1) for choice in attack.attacks.values())
    points = attack.points * len(attack.budgets) / study.training.batch
    return subjects * len(attack.places) * steps * study.nfe * points


def _attacked(
    study: AttackStudy, lab: Laboratory, subjects: Sequence[SampleSource], work: Work
) -> Generator[Progress, None, list[Measurement]]:
    """Attack every subject that is sampled by steps, side by side."""
    attack, stop = study.attack, threading.Event()
    yardstick = Yardstick(lab.clean, lab.bench.region, attack.draws)
    sampled = [(subject.name, subject.denoiser) for subject in subjects if subject.denoiser is not None]
    cases = [_Case(*subject, *how) for subject in sampled for how in product(attack.attacks, attack.places)]
    tasks = [partial(_damage, case, study, lab, yardstick, stop) for case in cases]
    before, found = work.done, []
    for found in side_by_side(tasks, workers(lab, len(tasks)), stop):
        work.done = before + work.beyond * len(found) / len(tasks)
        yield work.at(f"attacking, {len(found)} of {len(tasks)} done")
    of = {(case.subject, case.attack, case.place): damage for case, damage in zip(cases, found, strict=True)}
    work.done = work.total
    yield work.at("attacked")
    return [row for case in cases for row in _rows(case, of, study, lab)]


def _damage(case: _Case, study: AttackStudy, lab: Laboratory, yardstick: Yardstick, stop: threading.Event) -> Damage:
    """The damage at (M, budgets · points), all budgets side by side; every subject meets the same noises and draws."""
    attack = study.attack
    x = lab.start(study.samples)[0][:, : attack.points]
    radii = torch.tensor(attack.budgets, dtype=x.dtype, device=x.device).repeat_interleave(x.shape[1])
    threat = Threat(radii, attack.norm, _place(case.place, study, lab), attack.share)
    walk = partial(_until, study.sampler.bind(), stop)
    victim = Victim(walk, case.denoiser, x.repeat(1, len(attack.budgets), 1), study.nfe, study.spacing.bind())
    search, aim = attack.attacks[case.attack].build(), attack.aim.build(lab.clean)
    found, judged = (lab.streams(f"{purpose}/{case.attack}/{case.place}") for purpose in ("attack", "attack-judged"))
    return yardstick.damage(victim, threat, search(victim, threat, aim, found), judged)


def _place(place: str, study: AttackStudy, lab: Laboratory) -> Any:
    return lab.schedule.time(study.attack.middle_ratio) if place == "middle" else place


def _until(
    walk: Walk, stop: threading.Event, denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators
) -> Iterator[Tensor]:
    """A walk that breaks off when the run is left."""
    for state in walk(denoiser, x, times, generators):
        if stop.is_set():
            raise _Stopped
        yield state


def _rows(
    case: _Case, of: dict[tuple[str, str, str], Damage], study: AttackStudy, lab: Laboratory
) -> Iterator[Measurement]:
    """Means for every budget, and those of the paired difference to the reference."""
    own, reference = (of[name, case.attack, case.place] for name in (case.subject, REFERENCE))
    estimates = {}
    for name in own:
        model, exact = (side[name].unflatten(1, (len(study.attack.budgets), -1)) for side in (own, reference))
        compared = Comparison.of(model, exact, name)
        estimates[name] = compared.model
        if case.subject != REFERENCE:
            estimates[f"excess-{name}"] = compared.excess
    for name, estimate in estimates.items():
        for member, seed in enumerate(lab.seeds):
            for number, budget in enumerate(study.attack.budgets):
                value, stderr = (float(part[member, number]) for part in estimate)
                how = Measurement(case.subject, seed, name, "clean", value, stderr, None, study.sampler.name, study.nfe)
                yield how._replace(attack=case.attack, place=case.place, budget=budget)


_TRAINED: dict[str, Any] = COMMON | {"methods": {k: v for k, v in METHODS.items() if k != "invariance"}}

EXPERIMENT = Experiment(
    AttackStudy,
    {
        "smoke": _TRAINED | SMOKE | {"attack": {"budgets": [0.0, 0.2, 0.4], "points": 50}},
        "default": _TRAINED | {"nfe": 50},
    },
    run,
    (*FIGURES, "attack-displacement", "attack-outlier-mass"),
    work=lambda study: _work(study).total,
)
