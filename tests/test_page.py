"""The page of a run: whole in itself, true to the rows, and safe whatever a run folder says."""

import base64
import gzip
import hashlib
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from toylab import page
from toylab.figures.style import colour
from toylab.launch import configure
from toylab.page import charts, comparing, facts
from toylab.page import document as pages
from toylab.results import Measurement, to_csv
from toylab.runs import Run
from toylab.statistics import Interval, paired

VOID = {"meta", "link", "img", "input", "br"}
VALUES = {"ddpm": [0.125, 0.25, 0.1875], "robust-adv": [0.0625, 0.21875, 0.09375], "exact-clean": [0.001, 0.002, 0.003]}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
HOSTILE = '</script></style><script>alert(1)</script><img src=x onerror="alert(2)">"\'><b>'


class Page(HTMLParser):
    """What a page is made of: elements with their attributes, text by element, tables; tags must match."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        self.text.setdefault(tag, []).append("")
        if tag == "caption":
            self.lines: list[list[str]] = []
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            assert self.caption not in self.tables
            self.tables[self.caption] = self.lines

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]][-1] += data
        if {"td", "th"} & set(self.open):
            self.lines[-1][-1] += data.strip("\n")
        elif "caption" in self.open:
            self.caption = data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def folder(root: Path, values: dict[str, list[float]] = VALUES, seed: int = 0, **changes: Any) -> Path:
    """A finished run of gmm-outliers as a page needs it, made by hand."""
    config = configure("gmm-outliers", "smoke", changes=[{"seed": seed, "seeds": 3, **changes}]).config
    measured = [
        Measurement(name, seed + member, metric, "clean", value * factor, 0.01, t=t, nfe=None if t else 20)
        for name, of in values.items()
        for member, value in enumerate(of)
        for metric, t, factor in (
            ("outlier-mass", None, 1),
            ("leakage", 0.25, 2),
            ("leakage", 0.75, 3),
            ("w2", None, 4),
        )
    ]
    rng, names = np.random.default_rng(seed), list(values)
    run = Run(root)
    run.write_json("config.json", config)
    run.write_json("environment.json", {"toylab": "0.1.0", "packages": {"torch": "2.6"}, "device": "cpu", "git": None})
    run.write("results.csv", to_csv(measured, {"experiment": "gmm-outliers", "preset": "smoke"}, {}))
    timings = "date,method,part,seconds\nd,ddpm,training,1.5\nd,ddpm,training,2.0\nd,,run,9.0\n"
    (root / "timings.csv").write_text(timings)  # line by line as it goes, so without a checksum
    run.write_arrays("samples.npz", {name: rng.normal(size=(3, 1500, 2)).astype("f4") for name in names})
    paths = {name: rng.normal(size=(4, 101, 2)).astype("f4") for name in names}
    run.write_arrays("trajectories.npz", {"t": np.linspace(1, 0, 101), **paths})
    along = {"along/t": np.linspace(1, 0.1, 21), "along/u": rng.normal(size=(9, 2))}
    axis = np.linspace(-3, 3, 201)
    density = {"axis": axis, "log_density": -0.5 * np.add.outer(axis**2, axis**2).ravel()}
    scores = {f"along/score/{name}": rng.normal(size=(21, 9, 2)).astype("f4") for name in names}
    run.write_arrays("fields.npz", along | density | scores)
    run.write("figures/outlier-mass.svg", SVG)
    run.finish()
    return root


def test_a_line_of_timings_that_was_cut_short_costs_that_line_alone(tmp_path: Path):
    """As a process leaves it that is killed while it writes, before another one goes on."""
    root = folder(tmp_path / "run")
    with (root / "timings.csv").open("ab") as file:
        file.write(b"2026-01-01\nd,ddpm,tra\nd,ddpm,training,\nd,ddpm,training,1e\n\xff\nd,ddpm,training,0.5\n")
    (shown,) = page.read([root])
    assert shown.run.timings == {("ddpm", "training"): 4.0, ("", "run"): 9.0}
    assert shown.run.seconds == 9.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("runs") / "made-1")


@pytest.fixture(scope="module")
def text(made: Path) -> str:
    return written(made)


@pytest.fixture(scope="module")
def found(text: str) -> Page:
    return Page(text)


def written(*paths: Path) -> str:
    return page.html(page.read(paths), "toylab report")


def numbers(text: str) -> Any:
    (packed,) = re.findall(r'id="numbers">([^<]*)<', text)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_a_page_is_whole_in_itself_and_small_and_runs_nothing_but_its_own_scripts(text: str, found: Page):
    assert len(text.encode()) < page.LIMIT == 8_000_000
    addresses = [v for _, attributes in found.elements for k, v in attributes.items() if k in ("src", "href", "srcset")]
    assert len(addresses) > 8
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\(", found.text["style"][0])
    (policy,) = (a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    running = [s for s, a in zip(found.text["script"], found.all("script"), strict=True) if not a]
    library = gzip.decompress(base64.b64decode(next(s for s in found.text["script"] if s not in running)))
    assert len(running) == 2
    assert library.decode() == get_plotlyjs()
    for script in [*(s.encode() for s in running), library]:
        assert base64.b64encode(hashlib.sha256(script).digest()).decode() in policy


def test_its_structure_is_that_of_a_document(found: Page):
    ranks = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert ranks.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(ranks))
    assert found.all("html") == [{"lang": "en"}]
    assert all(len(found.all(landmark)) == 1 for landmark in ("header", "nav", "main", "footer"))
    assert all(image["alt"] for image in found.all("img"))
    assert all(cell["scope"] in ("row", "col") for cell in found.all("th"))
    assert len(found.tables) == len(found.all("table")) >= 6
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for a in found.all("a") if a["href"].startswith("#")}
    labels = {a["aria-labelledby"] for _, a in found.elements if "aria-labelledby" in a}
    assert links | labels <= set(ids)


def test_tables_and_charts_hold_what_the_rows_say(made: Path, text: str, found: Page):
    lines = found.tables["mean ± 95 % interval over 3 seeds"]
    assert lines[0] == ["method", "outlier mass", "W2 to clean"]
    want = {name: [str(Interval.of(v)), str(Interval.of([4 * x for x in v]))] for name, v in VALUES.items()}
    assert {line[0]: line[1:] for line in lines[1:]} == want
    drawn = numbers(text)
    metrics = {each["title"]: each["points"] for each in drawn["metrics"]}
    assert list(metrics) == ["outlier mass", "W2 to clean"]
    for _, name, cell, mean, half in metrics["outlier mass"]:
        assert (cell, [mean, half]) == ([], pytest.approx(Interval.of(VALUES[name]), rel=1e-4))
    (curve,) = drawn["curves"]
    _, name, _, x, means, _ = curve["lines"][0]
    assert means == pytest.approx([factor * np.mean(VALUES[name]) for factor in (2, 3)], rel=1e-4)
    schedule = page.read([made])[0].schedule
    assert x == pytest.approx([float(s / a) for a, s in map(schedule, (0.25, 0.75))], rel=1e-4)
    assert drawn["methods"]["ddpm"]["light"] == colour("ddpm", list(VALUES))


def test_pixels_are_no_points_of_a_plane(tmp_path: Path):
    """The figures show them as pictures."""
    run = Run(folder(tmp_path / "run"))
    run.write_arrays("samples.npz", {name: np.zeros((3, 9, 16), "f4") for name in VALUES})
    (shown,) = page.read([run.path])
    assert charts.data([shown])["clouds"] == []
    run.write_arrays("fields.npz", {"axes": np.eye(2, 16), "origin": np.zeros(16)})  # a cut is a plane
    (shown,) = page.read([run.path])
    assert len(charts.data([shown])["clouds"]) == 1


def test_words_of_code_look_like_it(text: str):
    assert "<code>ledger</code>" in text
    assert "`ledger`" not in text
    assert pages._code("a `b` < c") == "a <code>b</code> &lt; c"


def test_many_points_are_thinned_and_that_is_said(made: Path, text: str):
    stored, drawn = Run(made), numbers(text)
    (cloud,), (walk,) = drawn["clouds"], drawn["walks"]
    assert (len(cloud["methods"]["ddpm"][0]), cloud["of"]) == (charts.POINTS, 1500)
    assert cloud["methods"]["ddpm"][1] == pytest.approx(stored.arrays("samples.npz")["ddpm"][0, ::3, 1], rel=1e-3)
    assert (len(walk["t"]), walk["of"]) == (charts.STATES, 101)
    assert walk["t"] == pytest.approx(np.linspace(1, 0, 101)[::2])
    assert walk["paths"]["ddpm"][0][-1] == pytest.approx(stored.arrays("trajectories.npz")["ddpm"][:, -1, 0], rel=1e-3)
    field = stored.arrays("fields.npz")["along/score/ddpm"]
    assert walk["field"]["scores"]["ddpm"][1][20] == pytest.approx(field[20, :, 1], rel=1e-2)


def test_names_and_settings_of_strangers_are_text(tmp_path: Path, found: Page):
    clean = found
    values = {"ddpm": VALUES["ddpm"], HOSTILE: VALUES["robust-adv"]}
    path = folder(tmp_path / "run", {name: values[name] for name in ("ddpm",)})
    run, stranger = Run(path), HOSTILE.replace('"', '""')
    text = (path / "results.csv").read_text()
    run.write(
        "results.csv", text + "\n".join(f'"{stranger}",'.join(line.split("ddpm,")) for line in text.splitlines()[1:])
    )
    run.write_json("config.json", run.config | {"experiment": HOSTILE, "law": {"name": HOSTILE}, HOSTILE: 1})
    run.write_json("environment.json", run.environment | {"device": HOSTILE, "toylab": HOSTILE})
    (path / "figures" / "<img src=x onerror=alert(3)>.svg").write_bytes(SVG)
    hostile = written(path)
    found = Page(hostile)
    assert HOSTILE in found.text["h1"][0]
    assert any(line[0] == HOSTILE for line in found.tables["mean ± 95 % interval over 3 seeds"])
    assert HOSTILE in numbers(hostile)["methods"]
    known = {tag for tag, _ in clean.elements}
    assert {tag for tag, _ in found.elements} == known
    assert len(found.all("script")) == len(clean.all("script"))
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_two_runs_are_compared_seed_by_seed(tmp_path: Path):
    other = {name: [x + 0.01 * (i + 1) for i, x in enumerate(of)] for name, of in VALUES.items()}
    paths = folder(tmp_path / "one"), folder(tmp_path / "two", other, seed=1, methods={"robust-adv": {"lam": 1.0}})
    text = written(*paths)
    found = Page(text)
    (caption,) = (name for name in found.tables if name.startswith("paired differences to the same method in run A"))
    heading, *lines = found.tables[caption]
    assert heading == ["method", "runs", "outlier mass", "W2 to clean"]
    assert [line[:2] for line in lines] == [["ddpm", "B − A"], ["robust-adv", "B − A"]]
    gaps = [other["ddpm"][k] - VALUES["ddpm"][k + 1] for k in (0, 1)]  # seeds 1 and 2 are in both
    assert lines[0][2].startswith(str(Interval.of(gaps)))
    smallest = min(paired([other[n][k] - VALUES[n][k + 1] for k in (0, 1)]).p for n in ("ddpm", "robust-adv"))
    assert f"(p {min(1, 4 * smallest):.2g})" in {cell[cell.find("(") :] for line in lines for cell in line[2:]}
    differ = found.tables["settings that are not the same in all runs"]
    assert differ == [["setting", "A", "B"], ["seed", "0", "1"], ["methods.robust-adv.lam", "0.3", "1.0"]]
    both = found.tables["side by side: mean ± 95 % interval over each run's seeds"]
    assert [line[:2] for line in both[1:5]] == [["ddpm", "A"], ["ddpm", "B"], ["robust-adv", "A"], ["robust-adv", "B"]]
    assert [each["title"] for each in numbers(text)["clouds"]] == ["A: one", "B: two"]
    assert comparing.differences(page.read([paths[0], folder(tmp_path / "far", seed=10)])) == []


def test_the_command_on_the_page_repeats_the_run(made: Path, found: Page, tmp_path: Path):
    (link,) = (a["href"] for a in found.all("a") if a.get("download") == "config.json")
    file = tmp_path / "config.json"
    file.write_bytes(base64.b64decode(link.partition("base64,")[2]))
    assert "toylab run gmm-outliers --config config.json" in found.text["code"]
    assert configure("gmm-outliers", file=file).config == Run(made).config
    assert ["ddpm", "3.5"] in found.tables["seconds, over all attempts"]
    assert ["the whole run", "9.0"] in found.tables["seconds, over all attempts"]


def test_claims_are_judged_by_the_default_preset_alone(tmp_path: Path):
    committed = Path(__file__).parents[1] / "figures" / "gmm-outliers"
    heading, *lines = facts.claims(page.read([committed])[0])
    assert "not tested here" not in {line[heading.index("verdict")] for line in lines}
    other = Path(shutil.copytree(committed, tmp_path / "other", ignore=shutil.ignore_patterns("*.png", "*.svg")))
    rows = (other / "results.csv").read_text().replace("gmm-outliers,default,", "gmm-outliers,smoke,")
    (other / "results.csv").write_text(rows)
    assert {line[heading.index("verdict")] for line in facts.claims(page.read([other])[0])[1:]} == {"not tested here"}
    assert "three Gaussians in the plane" in facts.question("gmm-outliers").summary
    assert facts.question("nobody's") == ("", "")


def test_figures_for_which_there_is_no_room_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = folder(tmp_path / "run")
    bare = len(written(made)) - len(base64.b64encode(SVG))
    (made / "figures" / "w2.svg").write_bytes(SVG + b"<!--" + b"x" * 300_000 + b"-->")
    monkeypatch.setattr(pages, "LIMIT", bare + 100_000)
    text = written(made)
    assert "and in the run folder: w2." in text
    assert [image["alt"].partition(":")[0] for image in Page(text).all("img")] == ["outlier-mass"]
    monkeypatch.setattr(pages, "LIMIT", 1_000_000)
    with pytest.raises(pages.BadInput, match="name fewer"):
        written(made)


@pytest.mark.parametrize("shade", ["#332288", "#661100", "#000000", "#0173b2"])
def test_colours_stand_out_on_a_dark_screen(shade: str):
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark = "#14171c"
    assert dark in pages.template("page.css")
    assert (luminance(charts.lightened(shade)) + 0.05) / (luminance(dark) + 0.05) >= 4.4


def test_the_command(toylab, made: Path, tmp_path: Path):
    out = tmp_path / "r.html"
    assert toylab("report", made, "-o", out) == (0, f"{out}\n", "")
    assert "toylab report made-1 -o r.html" in out.read_text(encoding="utf-8")
    junk = tmp_path / "junk"
    for arguments, message in (
        ([tmp_path], "is no run folder"),
        ([made, "-o", tmp_path / "r.pdf"], "-o must name a .html or .htm file"),
        ([made, "-o", tmp_path / "no" / "r.html"], "-o must name a .html or .htm file"),
        ([folder(junk)], "is damaged"),
    ):
        for name, content in (("samples.npz", b"PK"), ("results.csv", b"a,b\n1,2\n")):
            if junk.exists():
                (junk / name).write_bytes(content)
            code, _, err = toylab("report", *arguments)
            assert (code, err.count("\n")) == (2, 1)
            assert message in err
