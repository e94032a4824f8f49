"""What a study measures.

Besides the methods, references are measured in the same way:

    endless-METHOD                       the method trained on endless data, where the error ledger is asked for
    optimum-METHOD                       the exact optimum of its objective, where that or theory is asked for
    implied-METHOD                       the law that its objective is known to learn, on one Gaussian and if asked for
    exact-clean, exact-contaminated      the exact score of either law through the same sampler
    exact-...-from-law                   the same from that law's own x_T, where the error ledger is asked for
    clean-samples, contaminated-samples  fresh exact samples: the floor of the transport metrics
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toylab.data import Source
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.trainings import loaded
from toylab.ledger import FROM_LAW, chain_of
from toylab.results import ENDLESS
from toylab.runs import Run


@dataclass(frozen=True)
class SampleSource:
    """What samples come from: a denoiser, or else a law.

    optimum: the exact one of the objective it was trained with; sources: the training sets, for a reference those of
    the methods, which it never saw; chain: of the error ledger (toylab/ledger.py); start: the law whose x_T samples
    start from, instead of the prior.
    """

    name: str
    denoiser: Denoiser | None
    law: Distribution
    sources: Sequence[Source]
    optimum: Denoiser | None = None
    chain: Mapping[str, Denoiser] = field(default_factory=dict)
    start: Distribution | None = None


def sample_sources(lab: Laboratory, folder: Run) -> list[SampleSource]:
    """All that a study measures."""
    trained = {name: loaded(name, lab, folder) for name in lab.study.trainings}
    methods, twins, optima, implied = [], [], [], []
    for name, method in lab.study.objectives.items():
        objective, twin = method.build(), ENDLESS + name
        law, optimum = lab.trained_on(objective), lab.optimum(objective)
        chain = _chain(law, optimum, trained[name], trained.get(twin), lab)
        methods.append(SampleSource(name, trained[name], law, lab.sources_for(objective), optimum, chain))
        if twin in trained:
            twins.append(SampleSource(twin, trained[twin], law, lab.sources_for(objective, endless=True), optimum))
        if optimum is not None:
            optima.append(SampleSource(f"optimum-{name}", optimum, law, lab.sources))
        learned = lab.implied(objective)
        if learned is not None:
            implied.append(SampleSource(f"implied-{name}", Exact(learned, lab.schedule), learned, lab.sources))
    return methods + twins + optima + implied + _references(lab)


def _chain(
    law: Distribution, optimum: Denoiser | None, trained: Denoiser, twin: Denoiser | None, lab: Laboratory
) -> dict[str, Denoiser]:
    if not lab.study.evaluation.ledger:
        return {}
    trained_on = None if law is lab.clean else Exact(law, lab.schedule)
    return chain_of(Exact(lab.clean, lab.schedule), trained_on, optimum, twin, trained)


def _references(lab: Laboratory) -> list[SampleSource]:
    laws = {"clean": lab.clean} | ({"contaminated": lab.contaminated} if lab.contaminated is not None else {})
    exact = {name: Exact(law, lab.schedule) for name, law in laws.items()}
    found = [SampleSource(f"exact-{name}", exact[name], law, lab.sources) for name, law in laws.items()]
    if lab.study.evaluation.ledger:
        found += [
            SampleSource(f"exact-{name}{FROM_LAW}", exact[name], law, lab.sources, start=law)
            for name, law in laws.items()
        ]
    found += [SampleSource(f"{name}-samples", None, law, lab.sources) for name, law in laws.items()]
    asked = lab.study.evaluation.references
    return [source for source in found if source.name.removesuffix(FROM_LAW) in asked]
