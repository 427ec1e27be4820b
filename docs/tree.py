"""Writes the list of every file into docs/architecture.md, from the first sentence of each module's docstring.

python docs/tree.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- files -->", "<!-- end of files -->"
LINKED = ("scenes", "checkpoints", "traces", "kernels")  # links inside the package to folders at the top


def listing() -> str:
    """A table for each package: its files, one line each."""
    package = ROOT / "worldsim"
    folders = [package, *sorted(p for p in package.rglob("*") if p.is_dir() and not p.is_symlink()), ROOT / "kernels"]
    parts = []
    for folder in folders:
        name = str(folder.relative_to(ROOT))
        files = [f for f in sorted(folder.glob("*.py")) if f.name not in ("__init__.py", "__main__.py")]
        if not files or name.split("/")[-1] in ("__pycache__", *LINKED[:3]):
            continue
        about = first_sentence(folder / "__init__.py") if name != "worldsim" else "The vocabulary; no torch at import."
        rows = [f"| `{f.name}` | {first_sentence(f)} |" for f in files]
        parts.append("\n".join([f"**`{name}/`** {about}", "", "| file | what it is |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def first_sentence(path: Path) -> str:
    """Of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    sentence = re.split(r"(?<!et al)(?<=[.!?])\s", " ".join(text.split("\n\n")[0].split()))[0]
    return sentence.replace("|", "\\|")


def page() -> str:
    """The page with the list as it should be now."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{listing()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
