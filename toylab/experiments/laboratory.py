"""What a study's settings stand for: laws, schedule, training sets, streams and untrained networks."""

from collections.abc import Sequence
from functools import cached_property

import torch

from toylab.data import Endless, Finite, LabelledEndless, LabelledFinite, Source
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution, GaussianMixture
from toylab.errors import BadInput
from toylab.experiments.measuring import Bench, times_between
from toylab.experiments.study import Study
from toylab.experiments.workshop import Workshop, spread_of
from toylab.objectives import Denoising, Objective
from toylab.samplers import cost
from toylab.theory import GridOptimum, implied_law

_SAME_LAW = 1e-6  # relative: what its fixed point is known to


class Laboratory(Workshop):
    """The objects of a study."""

    def __init__(self, study: Study, device: torch.device):
        super().__init__(study, device)
        self.study = study
        self.clean: Distribution = study.law.build()
        self.seen: Distribution = study.contamination.build(self.clean)
        self.contaminated = self.seen if self.seen is not self.clean else None

    @property
    def shape(self) -> Sequence[int]:
        return self.clean.shape

    @cached_property
    def sources(self) -> list[Source]:
        """The training set of each seed, the same for every method but oracles."""
        return self._sources(self.seen, self.study.size)

    def sources_for(self, objective: Objective, endless: bool = False) -> list[Source]:
        """Those an objective is trained on: for an oracle the clean law's, or the same points with labels; or, instead
        of training sets, endless data."""
        law, size = self.trained_on(objective), None if endless else self.study.size
        if getattr(objective, "oracle", None) == "labelled":
            return self._sources(law, size, LabelledFinite, LabelledEndless)
        return self.sources if law is self.seen and size == self.study.size else self._sources(law, size)

    def trained_on(self, objective: Objective) -> Distribution:
        """The law whose points an objective is trained on."""
        return self.clean if getattr(objective, "oracle", None) == "clean" else self.seen

    def _sources(
        self, law: Distribution, size: int | None, finite: type[Finite] = Finite, endless: type[Endless] = Endless
    ) -> list[Source]:
        if size is None:
            return [endless(law, device=self.exact_device) for _ in self.seeds]
        return [finite(law, size, g, device=self.device) for g in self.streams("data")]

    @cached_property
    def data_std(self) -> torch.Tensor:
        return spread_of(self.sources, self.seeds)

    def start(
        self, n: int, purpose: str = "sampling", law: Distribution | None = None
    ) -> tuple[torch.Tensor, list[torch.Generator]]:
        """The noise (M, n, d) that every denoiser's samples start from, or with a law its own x_T of this noise; and
        the streams that go on from there."""
        x, noise = self.noise(n, purpose)
        if law is not None:
            alpha, sigma = self.schedule(self.schedule.t_max)
            x0 = torch.stack([law.sample(n, g) for g in self.streams(f"{purpose}/x0")])
            x = (alpha * x0 + sigma / torch.hypot(alpha, sigma) * x).to(x)
        return x, noise

    def sample(
        self, denoiser: Denoiser, nfe: int | None = None, law: Distribution | None = None
    ) -> tuple[torch.Tensor, int]:
        """(M, n, d) samples, by the study's budget of evaluations or `nfe`, and the evaluations they took; from the
        prior, or from a law's own x_T."""
        return self.walked(denoiser, *self.start(self.study.samples, law=law), nfe or self.study.nfe)

    def rehearse(self) -> None:
        """Raise BadInput where a sampler that chooses its own steps does not reach its tolerance within the study's
        nfe, on a few points with the exact score: to be told so before anything is trained."""
        if cost(self.study.sampler.bind()) is None:
            for nfe in (self.study.nfe, *self.study.few_steps):
                self.walked(Exact(self.seen, self.schedule), *self.start(8, "rehearsal"), nfe)

    def exact_samples(self, law: Distribution) -> torch.Tensor:
        """(M, n, d) fresh samples of a law."""
        return torch.stack([law.sample(self.study.samples, g) for g in self.streams("exact-samples")])

    def optimum(self, objective: Objective) -> Denoiser | None:
        """The exact optimum of an objective on the law it is trained on; None where not asked for, or not known."""
        study = self.study
        if not (study.evaluation.theory or study.evaluation.ledger):
            return None
        law = self.trained_on(objective)
        if isinstance(objective, Denoising):
            return Exact(law, self.schedule)
        # those of the walks and of the bench, and one that is drawn
        levels = study.nfe + sum(study.few_steps) + study.evaluation.levels + 2
        found = GridOptimum(objective, law, self.schedule, levels=levels)
        try:
            found.solution(self.schedule.time(study.evaluation.drawn_ratio))
        except BadInput:
            return None
        return found

    def implied(self, objective: Objective) -> Distribution | None:
        """The law that an objective is known to learn instead of the one it is trained on; None where theory is not
        asked for, and where there is none: it is that of one Gaussian, if the same at every noise level."""
        law, evaluation = self.trained_on(objective), self.study.evaluation
        if not evaluation.theory or isinstance(objective, Denoising):
            return None
        if not isinstance(law, GaussianMixture) or len(law.means) != 1:
            return None
        levels = [self.schedule(self.schedule.time(r)) for r in (evaluation.ratio_low, 1.0, evaluation.ratio_high)]
        try:
            laws = [implied_law(objective, law, float(alpha), float(sigma)) for alpha, sigma in levels]
        except BadInput:
            return None
        spread = torch.stack([other.cov - laws[0].cov for other in laws]).abs().max()
        return laws[0] if float(spread) <= _SAME_LAW * float(law.cov.abs().max()) else None

    @cached_property
    def bench(self) -> Bench:
        """What the metrics need."""
        e = self.study.evaluation
        times = times_between(self.schedule, e.ratio_low, e.ratio_high, e.levels)
        return Bench(
            self.clean, self.contaminated, self.schedule, times, self.seeds, e.points, e.pair, self.exact_device,
            e.metrics, self.study.sampler.bind(), self.study.spacing.bind(),
        )  # fmt: skip
