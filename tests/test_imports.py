"""Which module may import which: scripts, then utils, then data and models, then two of utils."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "data", "utils")
LOWER = {"utils.errors", "utils.files"}


def import_graph() -> dict[str, set[str]]:
    """Map each module, tests apart, to the project's modules that it imports at its top level.

    Imports inside functions do not count: the dataset builder is imported on its first use.
    """
    packages = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    paths = [*ROOT.glob("*.py"), *packages]
    names = {_name(path): path for path in paths}
    graph = {}
    for name, path in names.items():
        imported = set()
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                imported |= (members & names.keys()) or {node.module}
        graph[name] = imported & names.keys()
    return graph


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


GRAPH = import_graph()


def imports_of(package: str) -> set[str]:
    """Return the modules outside of a package that the package imports."""
    modules = [name for name in GRAPH if f"{name}.".startswith(f"{package}.")]
    return set().union(*(GRAPH[name] for name in modules)) - set(modules)


@pytest.mark.parametrize("package", ["models", "data"])
def test_models_and_data_import_only_lower_utils(package):
    assert imports_of(package) <= LOWER


def test_lower_utils_import_nothing_above_them():
    assert set().union(*(GRAPH[name] for name in LOWER)) <= LOWER


def test_reading_a_dataset_does_not_import_the_builder():
    readers = [name for name in GRAPH if name.startswith("data.") and "builder" not in name]
    assert not any("data.builder" in module for name in readers for module in GRAPH[name])


def test_no_module_imports_a_script():
    assert not {"train", "test", "demo"} & set().union(*GRAPH.values())


def test_imports_have_no_circle():
    TopologicalSorter(GRAPH).prepare()  # raises CycleError
