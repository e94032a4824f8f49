"""Metrics: each returns an Estimate, a value with its standard error, both with a leading axis of members.

A metric says by its parameters' names what it is computed from, and is measured wherever all of it exists:

    samples         (M, n, d)
    training        the points trained on (M, N, d), where there are finitely many
    denoiser, x_t, t   a denoiser at points (M, n, d) of one time; x_t follows the law that is compared with, else
                    the contaminated law
    law             what is compared with: the clean law, then the contaminated one
    reference       an exact denoiser: that of the clean law, of the contaminated one, and, where a study asks for
                    theory, the exact optimum of the subject's objective
    clean, contaminated   both at once
    region          the clean law's highest-density region; `modal_region` where that law has modes
    support         the clean law, where its support is not all of space; subspace, the affine one that holds it
    walk, noise, nfe   the sampler, where it is deterministic, noise (M, n, d) for it to start from, and its steps
    generators      one a member, for exact samples of the metric's own; `size`, how many of them at a time

value ± 1.96 stderr is a 95 % interval, as far as a mean is normal: docs/calibration.md has it counted for every metric
where the answer is known, and the docstrings say from how many points it holds where that is more than about 200.

A leading M may be missing from the points, and is then missing from the result.
"""

from toylab.metrics.estimate import Estimate

__all__ = ["Estimate"]
