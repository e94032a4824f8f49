"""What the site needs besides its pages: notebooks, pictures and corrections, and links out of docs/ as text."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_SHOWN = re.compile(r"!\[[^\]]+\]\((?:\.\./)+figures/([^)\s]+)\)")
_LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the notebooks, the pictures in figures/ that pages show, and the corrections as a page of their own."""
    shown = {f"figures/{name}" for page in (ROOT / "docs").rglob("*.md") for name in _SHOWN.findall(page.read_text())}
    notebooks = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    for name in sorted(notebooks | shown):
        files.append(File(name, str(ROOT), config["site_dir"], config["use_directory_urls"]))
    corrections = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("## Corrections")[2]
    files.append(File.generated(config, "corrections.md", content=f"# Corrections\n{corrections}"))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """A link to a file of the repository that is no page becomes its text and path."""

    def rewritten(match: re.Match[str]) -> str:
        picture, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        found = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), target))
        if picture and found.startswith("../"):  # of the repository, which `on_files` has added
            return f"![{text}]({posixpath.relpath(found.removeprefix('../'), posixpath.dirname(page.file.src_uri))})"
        inside = target.startswith("http") or files.get_file_from_path(found) is not None
        if inside or picture:
            return f"{picture}[{text}]({target}{anchor})"
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), target))
        return text if path in text else f"{text} (`{path}`)"

    return markdown if page.file.src_uri.endswith(".ipynb") else _LINK.sub(rewritten, markdown)
