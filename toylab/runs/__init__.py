"""Run folders: configuration, environment, results, weights, samples, figures.

A folder is ROOT/EXPERIMENT-PRESET-HASH, the hash that of the complete configuration:

    config.json        complete; `toylab run NAME --config config.json` repeats the run
    environment.json   versions, device, threads, seed, hash of toylab's files, git revision if there is one
    results.csv        one row a measurement (see results.py)
    timings.csv        seconds of each part and dates, a row each time it ran; part `run`: of the whole
    samples.npz        samples of every method, (seeds, n, d)
    fields.npz         density and score fields on a grid, where the law can be drawn (experiments/fields.py),
                       and score fields along the paths of samples
    trajectories.npz   the states that some samples of every method went through, likewise
    provenance.json    of a study of images: extractor, weights, resize, split, counts (metrics/images.py)
    weights/*.safetensors      averaged weights of every method, a leading axis of seeds
    checkpoints/NAME/*         the state of a training under way (checkpoints.py)
    cells/NAME         of a sweep of several studies: a run folder for each, which holds what of the above is its own
    figures/           PNG and SVG
    tensorboard/METHOD         losses while it trained, where they were asked for (tracking.py)
    log.txt            what happened, with dates
    checksums.json     until then: those of what is written so far (checksums.py)
    finished.json      written last: date and version, and the checksums of all that was written (checksums.py)
    .lock              held by the process at work

A finished folder is reused; one made by other sources of this package, or on another kind of device, is left
alone, and the run is made in a new folder beside it. Writes are atomic: a temporary file, fsync, rename. A file that is
not as it was written is never used: whoever reads it is told, and a run that is asked for again makes it anew.
"""

from toylab.runs.folder import CELLS, LOCK, WHOLE, Run, as_safetensors
from toylab.runs.opening import UNREADABLE, find, load, name_of, open_run, readable

__all__ = [
    "CELLS",
    "LOCK",
    "UNREADABLE",
    "WHOLE",
    "Run",
    "as_safetensors",
    "find",
    "load",
    "name_of",
    "open_run",
    "readable",
]
