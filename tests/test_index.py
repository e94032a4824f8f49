"""The index: every entry loads, and looking at it loads nothing."""

import pytest

from toylab import index
from toylab.entries import Index
from toylab.errors import BadInput, unknown

ALL = [section for section in vars(index).values() if isinstance(section, Index)]


@pytest.mark.parametrize("section", ALL, ids=lambda s: s.kind)
def test_every_entry_loads_and_has_a_one_line_summary(section: Index):
    assert len(section) > 0
    for name, entry in section.items():
        assert section.load(name) is not None
        assert entry.summary
        assert "\n" not in entry.summary


def test_unknown_names_get_the_nearest_one():
    with pytest.raises(BadInput, match="unknown law 'three-gausians'; did you mean 'three-gaussians'\\?"):
        index.LAWS.load("three-gausians")
    assert unknown("law", "zzz", ["a", "b"]) == "unknown law 'zzz'; allowed: a, b"


def test_presets_never_run_are_labelled_in_the_list():
    for entry, experiment in ((e, index.EXPERIMENTS.load(n)) for n, e in index.EXPERIMENTS.items()):
        for preset in experiment.untried:
            assert f"preset {preset} never run" in entry.summary


def test_other_packages_add_entries(monkeypatch: pytest.MonkeyPatch):
    from importlib import metadata

    found = metadata.EntryPoint("mine", "toylab.objectives:robust_ran", "toylab.objectives")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [found] if group == "toylab.objectives" else [])
    assert "mine" in index.OBJECTIVES
    assert index.OBJECTIVES.load("mine")().evaluations == 2
    assert "ddpm" in index.OBJECTIVES


def test_what_needs_an_extra_is_listed_where_that_is_installed(monkeypatch: pytest.MonkeyPatch):
    assert "digits" in index.LAWS
    monkeypatch.setitem(
        index.LAWS._entries, "digits", index.LAWS["digits"]._replace(needs=("no_such_module", "images"))
    )
    assert "digits" not in index.LAWS
    assert len(index.LAWS) == len(list(index.LAWS))
    with pytest.raises(BadInput, match=r"'digits' needs no_such_module: pip install 'toylab\[images\]'"):
        index.LAWS.load("digits")
