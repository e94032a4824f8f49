"""Denoisers from other libraries and for them. None of those is imported, or needed, here.

`from_azula` and `to_azula` for whatever follows azula's protocol, schedule(t) -> (α, σ) and (x_t, t) -> an object with
`.mean`; `sample_by_scheduler` for the schedulers of diffusers.
"""

from toylab.interop.azula import AzulaDenoiser, Posterior, from_azula, to_azula
from toylab.interop.diffusers import Scheduler, sample_by_scheduler

__all__ = ["AzulaDenoiser", "Posterior", "Scheduler", "from_azula", "sample_by_scheduler", "to_azula"]
