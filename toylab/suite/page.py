"""The benchmark as a page of Markdown: the tasks, how scores are made, the tables, and what a score cannot tell."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from toylab import __version__
from toylab.launch import configure
from toylab.suite.records import Record
from toylab.suite.scores import table
from toylab.suite.tasks import BASELINE, TASKS, VERSION
from toylab.summaries import markdown

_HEAD = """# The benchmark, suite {version}

Tasks are laws that are known exactly, contaminated exactly. A score is

    (m - e) / (d - e)

with m the metric of a method, e that of the exact clean score sent through the same sampler from the same noise, and d
that of plain denoising, `ddpm`: **0 is as good as the exact clean score, 1 as good as plain denoising**, and lower is
better. On clean data d - e would be the learning error alone, so there the unit is that of the task of the same law
with outliers, and the score is a price. Every number is a mean over {seeds} seeds with its 95 % interval; seeds are
paired, as all methods see the same data and noise.

*better / worse* counts the tasks on which a method is clearly better, and clearly worse, than plain denoising, by
Student's t test of the paired differences and Holm's correction over its tasks, at 0.05. *cost* is evaluations of the
network a training step, counted, plain denoising = 1. An *(oracle)* is told what the others are not. *nan* stands where
samples are not finite, or d is not clearly above e. There is no rank and no mean over tasks, whose units differ.
"""

_FIELD = """
## By the field

The same scores by the mean squared error of ε against the exact clean one, averaged over the noise levels.
"""

_WHY = """
## What a score cannot tell

- Whether the score was learned: samples can be good through another field. The second table says that.
- Where an error lies. W2 and W1 see all of the law, so that what shrinks modes or drops them pays for it, but in one
  number: the run folders hold the samples, and `toylab run lab` measures the rest.
- How a method does with other samplers, steps, networks, or more data: all of that is fixed here, and every
  objective has its defaults on all tasks.
- How settings were chosen. Those chosen on these tasks are not comparable with those that were not; whoever joins
  should say which they are. Of toylab's own, `robust-onesided` was set on the law of `outliers` and `robust-l2` on that
  of `plane-noise`, both on other seeds.
- Anything of images. These are laws in 2 to 16 dimensions, and that is why they can be judged exactly.
- What a seed's luck is worth beyond the interval: the training sets of {seeds} seeds, no more. A score below 0 is
  within that luck, or cancels an error of the sampler.
"""


def page(records: Sequence[Record], preset: str, command: str) -> str:
    """The page; command: what made it."""
    settings = configure("benchmark-task", preset).settings
    seeds, last = settings.seeds, settings.seed + settings.seeds - 1
    parts = [
        _HEAD.format(version=VERSION, seeds=seeds),
        "## By samples\n",
        markdown(table(records)),
        _FIELD,
        markdown(table(records, field=True)),
        "\n## The tasks\n",
        markdown(_tasks()),
        _WHY.format(seeds=seeds),
        f"Made by `{command}` with toylab {__version__}, preset {preset}, seeds {settings.seed} to {last}.",
    ]
    return "\n".join(parts) + "\n"


def _tasks() -> list[list[str]]:
    heading = ["task", "law", "contamination", "metric", f"whose {BASELINE} is 1", "why"]
    body = [
        [name, _described(task.law), _described(task.contamination), task.metric, task.unit or name, task.why]
        for name, task in TASKS.items()
    ]
    return [heading, *body]


def _described(choice: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{key} {json.dumps(value)}" for key, value in choice.items() if key != "name")
    return f"{choice['name']}" + (f" ({parameters})" if parameters else "")
