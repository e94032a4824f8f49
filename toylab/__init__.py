"""toylab: a laboratory where robust training of diffusion models is judged by exact error."""

from functools import cache
from typing import Any

__version__ = "0.1.0"


@cache
def _nouns() -> dict[str, str]:
    """Name -> module: what the stub beside this file imports, which is the only place where it is written."""
    import ast
    from pathlib import Path

    stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def __getattr__(name: str) -> Any:
    """A noun is imported when it is first used (PEP 562), so that `import toylab` costs nothing."""
    if name == "__all__":
        return ["__version__", *_nouns()]
    if name.startswith("_") or name not in (nouns := _nouns()):
        import sys

        raise AttributeError(f"module 'toylab' has no attribute '{name}'", name=name, obj=sys.modules[__name__])
    from importlib import import_module

    module = nouns[name]
    found = import_module(f"toylab.{name}") if module == "toylab" else getattr(import_module(module), name)
    return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted(["__version__", *_nouns()])
