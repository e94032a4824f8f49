"""What docstrings say of parameters is of parameters that there are: `name: what it is`, after a full stop, a
semicolon or an empty line."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "toylab"
DESCRIBED = re.compile(r"(?:^|\n\n|[.;:]\s)((?:[a-z_]\w*, )*[a-z_]\w*): (?=\S)")
Definition = ast.FunctionDef | ast.ClassDef


def described(docstring: str) -> list[str]:
    return [name for found in DESCRIBED.finditer(docstring) for name in found[1].split(", ")]


def parameters(function: ast.FunctionDef) -> set[str]:
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None}


def attributes(body: ast.ClassDef, bases: Mapping[str, ast.ClassDef]) -> Iterator[str]:
    """What a class has, or inherits here: fields, constants in lower case, methods, what they set, what calls take."""
    for node in body.body:
        match node:
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                yield name.lower()
            case ast.FunctionDef(name=name):
                yield name
                yield from parameters(node) if name in ("__init__", "__call__", "__new__") else ()
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                        yield inner.attr
    for base in body.bases:
        if isinstance(base, ast.Name) and base.id in bases and bases[base.id] is not body:
            yield from attributes(bases[base.id], bases)


def definitions() -> Iterator[tuple[str, Definition]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Definition) and ast.get_docstring(node):
                yield f"{path.relative_to(PACKAGE)}: {node.name}", node


def strangers(node: Definition, bases: Mapping[str, ast.ClassDef]) -> set[str]:
    """Names that a docstring describes and there are not."""
    known = parameters(node) if isinstance(node, ast.FunctionDef) else set(attributes(node, bases))
    return {*described(ast.get_docstring(node) or "")} - known


def test_every_parameter_that_is_described_is_there():
    everything = list(definitions())
    assert sum(len(described(ast.get_docstring(node) or "")) for _, node in everything) > 150
    bases = {node.name: node for _, node in everything if isinstance(node, ast.ClassDef)}
    assert {where: found for where, node in everything if (found := strangers(node, bases))} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def f(a, *b):\n    """Do. a, b: what; c: none."""', {"c"}),
        (
            'class C:\n    """Is. x: what; y: what.\n\n    z: what."""\n    x: int\n    def __init__(self, y): 0',
            {"z"},
        ),
        ('def f(a):\n    """So\n    it is: `a` works as: it does."""', set()),
    ],
)
def test_a_name_that_is_not_there_is_found(source: str, found: set[str]):
    (node,) = ast.parse(source).body
    assert isinstance(node, Definition)
    assert strangers(node, {}) == found
