"""The house: which part may know which, read from the imports."""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

from fishcnn.utils import run_folder
from fishcnn.utils.run_folder import RunFolder

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "fishcnn"
# From the ground up; the wings of a floor do not know each other.
FLOORS = (
    {"utils"},
    {"metrics"},
    {"cam", "plots", "data"},
    {"models"},
    {"training"},
    {"commands"},
    {"benchmark"},
)
FLOOR = {wing: number for number, floor in enumerate(FLOORS) for wing in floor}
TERMINAL = {"hydra", "omegaconf", "rich"}


@dataclass(frozen=True)
class Import:
    """One module that another one imports.

    Attributes:
        importer, imported: dotted names.
        late: whether this happens in a function, or for the types alone.
    """

    importer: str
    imported: str
    late: bool

    def wings(self) -> tuple[str, str]:
        return self.importer.split(".")[1], self.imported.split(".")[1]

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    files = {".".join(p.relative_to(REPOSITORY).with_suffix("").parts): p for p in sources()}
    return {name.removesuffix(".__init__"): path for name, path in files.items()}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def imports() -> list[Import]:
    """Every import but those of the two doors, ``__init__.py`` and ``__main__.py``."""
    return [
        found
        for name, path in modules().items()
        if name not in ("fishcnn", "fishcnn.__main__")
        for found in imports_of(name, ast.parse(path.read_text(encoding="utf-8")), late=False)
    ]


def imports_of(importer: str, tree: ast.AST, *, late: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, late)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{importer}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(importer, inner if inner in modules() else node.module, late)
        else:
            typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            inside = late or typing or isinstance(node, ast.FunctionDef)
            yield from imports_of(importer, node, late=inside)


def inner() -> list[Import]:
    return [found for found in imports() if found.imported.startswith("fishcnn.")]


def third_party() -> list[Import]:
    own = {"fishcnn", *sys.stdlib_module_names}
    return [found for found in imports() if top(found) not in own]


def top(found: Import) -> str:
    return found.imported.partition(".")[0]


def test_there_are_nine_wings_and_nothing_loose_beside_them() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert entries == {*FLOOR, "__init__.py", "__main__.py", "py.typed"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    circle: TopologicalSorter[str] = TopologicalSorter()
    for found in inner():
        circle.add(found.importer, found.imported)
    circle.prepare()


def test_no_import_runs_upward_or_across() -> None:
    wrong = []
    for found in inner():
        importer, imported = found.wings()
        if importer != imported and FLOOR[importer] <= FLOOR[imported]:
            wrong.append(str(found))
    assert wrong == []


def test_only_commands_know_hydra_and_the_terminal() -> None:
    allowed = ("fishcnn.commands.", "fishcnn.benchmark.", "fishcnn.utils.progress")
    wrong = [
        str(found)
        for found in third_party()
        if top(found) in TERMINAL and not found.importer.startswith(allowed)
    ]
    progress = {top(f) for f in third_party() if f.importer == "fishcnn.utils.progress"}
    assert wrong == []
    assert progress == {"rich"}


def test_pillow_is_never_asked_for_any_format() -> None:
    """Of the formats that it knows, one starts Ghostscript."""
    calls = [
        (path.name, node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert {name for name, _ in calls} > {"read.py"}
    for name, call in calls:
        assert "formats" in {argument.arg for argument in call.keywords}, name


def test_class_activation_maps_need_torch_and_numpy_alone() -> None:
    maps = [found for found in imports() if found.importer.startswith("fishcnn.cam")]
    assert {top(f) for f in maps} - sys.stdlib_module_names == {"torch", "numpy", "fishcnn"}
    wings = {found.wings()[1] for found in maps if top(found) == "fishcnn"}
    assert wings <= {"cam", "metrics", "utils"}


def test_no_two_modules_have_the_same_name() -> None:
    names = Counter(path.name for path in sources() if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_names_of_files_in_a_run_stand_in_one_module() -> None:
    names = {place.name for place in vars(RunFolder(Path())).values() if place.suffix}
    names |= {value for value in vars(run_folder).values() if str(value).endswith(".json")}
    assert {"summary.json", "best.ckpt", "sweep.json", "overrides.yaml"} <= names
    wrong = [
        f"{name} says {text!r}"
        for name, path in modules().items()
        if name != "fishcnn.utils.run_folder"
        for text in strings(ast.parse(path.read_text(encoding="utf-8")))
        if Path(text).name in names
    ]
    assert wrong == []


def strings(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module but its docstrings."""
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and node not in docstrings:
            yield node.value


@pytest.mark.parametrize("late", [False, True])
def test_what_is_imported_is_declared(late: bool) -> None:
    """At the top of a module only what every installation has; in a function the extras as well."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values() if late else []
    requirements = chain(project["dependencies"], *extras)
    declared = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}
    installed = packages_distributions()
    # What is not installed here has to be called like its module.
    missing = {
        str(found)
        for found in third_party()
        if found.late == late
        and not declared
        & {d.lower().replace("_", "-") for d in installed.get(top(found), [top(found)])}
    }
    assert missing == set()
