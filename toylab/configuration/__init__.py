"""Configurations: validated settings, and named choices with their parameters.

A `Settings` class refuses unknown keys and says which are allowed. A `Choice` is a name from an index with
the parameters of the definition behind it, `{"name": "outliers", "fraction": 0.2}`; the name alone stands for
its defaults. Parameters are those of the definition's signature, so a new definition is configurable as soon
as it is in the index. A validated configuration is complete: every default is written out.
"""

from toylab.configuration.choices import (
    AimChoice,
    AttackChoice,
    Contamination,
    Corruption,
    FeatureChoice,
    ImageSet,
    Law,
    Method,
    NetworkChoice,
    Sampler,
    ScheduleChoice,
    Spacing,
)
from toylab.configuration.layers import assignments, nested, overlay, read, relaid, undotted
from toylab.configuration.settings import Choice, Settings, some_of, validate

__all__ = [
    "AimChoice",
    "AttackChoice",
    "Choice",
    "Contamination",
    "Corruption",
    "FeatureChoice",
    "ImageSet",
    "Law",
    "Method",
    "NetworkChoice",
    "Sampler",
    "ScheduleChoice",
    "Settings",
    "Spacing",
    "assignments",
    "nested",
    "overlay",
    "read",
    "relaid",
    "some_of",
    "undotted",
    "validate",
]
