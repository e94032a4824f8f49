"""A file imports only from rooms above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "toylab"
ROOMS = [
    "__init__", "errors", "files", "checksums", "parallel", "process", "environment", "outside", "entries", "index",
    "configuration", "randomness", "distributions",
    "contamination", "schedules", "denoisers", "networks", "perturbations", "weightings", "objectives", "theory",
    "data", "images", "training", "tracking", "samplers", "interop", "likelihood", "attacks", "metrics", "statistics",
    "results", "calibration", "runs", "checkpoints", "ledger", "judgement", "report", "claims", "experiments",
    "evaluation", "figures", "page", "launch", "bars", "api", "sweeping", "notebook", "suite", "gallery",
    "reproduction", "cli", "__main__",
]  # fmt: skip


def imported(tree: ast.AST) -> set[str]:
    """Rooms a module imports, also inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("toylab.")}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            module = (node.module or "").split(".")
            if module == ["toylab"]:
                names |= {
                    alias.name for alias in node.names if alias.name != "__version__"
                }  # no nouns: those are for users
            elif module[0] == "toylab":
                names.add(module[1])
    return names


def test_every_module_has_a_room():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_upwards(path: Path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    above = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported(ast.parse(path.read_text())) <= above
