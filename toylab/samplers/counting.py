"""Counting what sampling costs."""

from torch import Tensor

from toylab.denoisers import Denoiser, NoiseLevel
from toylab.errors import BadInput


class Counted(Denoiser):
    """A denoiser that counts its evaluations (of a whole batch each) and, given `most`, refuses more than that.

    The predictions are those of the denoiser inside, bit for bit. Raises BadInput at the evaluation after the last.
    """

    def __init__(self, denoiser: Denoiser, most: int | None = None):
        self.denoiser, self.schedule, self.most = denoiser, denoiser.schedule, most
        self.evaluations = 0

    def at(self, t: Tensor | float) -> NoiseLevel:
        return _CountedLevel(self, self.denoiser.at(t))

    def count(self) -> None:
        """One more evaluation."""
        if self.evaluations == self.most:
            raise BadInput(
                f"{self.most} evaluations of the denoiser are not enough: allow more (nfe), or loosen the tolerances"
            )
        self.evaluations += 1


class _CountedLevel(NoiseLevel):
    def __init__(self, counter: Counted, level: NoiseLevel):
        self.counter, self.level = counter, level
        self.alpha, self.sigma, self.gain, self.data_std = level.alpha, level.sigma, level.gain, level.data_std

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        self.counter.count()
        return self.level.predict(x_t)

    def eps(self, x_t: Tensor) -> Tensor:
        self.counter.count()
        return self.level.eps(x_t)
