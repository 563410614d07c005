"""Imports go down only: scripts, then models, then data, then utils."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
ORDER = ("utils", "data", "models", "train", "test", "demo")  # each may import what is before it


def imported_by(path: Path) -> set[str]:
    """Return the modules that a file imports, inside functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def test_imports_go_down_only():
    for path in [*ROOT.glob("*.py"), *(p for d in ORDER[:3] for p in (ROOT / d).rglob("*.py"))]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        floor = ORDER.index(module.partition(".")[0])
        for name in imported_by(path):
            package = name.partition(".")[0]
            if package in ORDER:
                assert ORDER.index(package) <= min(floor, 2), f"{module} imports {name}"
