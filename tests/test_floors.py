"""Imports go down only: every module of the package stands on a floor and imports from its own
floor or a lower one, a lazy import inside a function and one for type checking included."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tensorcast

PACKAGE = Path(tensorcast.__file__).parent

# a unit is a module or a package directly under tensorcast
FLOORS = {
    "errors": 0,
    "formats": 0,
    "policy": 0,
    "buffer": 0,
    "judgement": 0,
    "reference": 0,
    "words": 0,
    "_core": 0,  # the extension module imports nothing of ours; only kernels may import it
    "kernels": 1,
    "core": 2,
    "scaled": 3,
    "bridges": 3,
    "share": 4,
    "api": 4,
    "inplace": 4,
    "checkpoint": 5,
    "model": 6,
    "capability": 6,
    "comm": 6,
    "report": 7,
    "cli": 7,
    "testing": 7,
    "__main__": 8,
    "__init__": 8,
}

# the same inside checkpoint/: a unit is a module or a folder of it
CHECKPOINT_FLOORS = {
    "errors": 0,
    "wording": 0,
    "protocol": 0,
    "store": 1,
    "files": 2,
    "conventions": 3,
    "folders": 4,
    "kinds": 5,
    "opening": 5,
    "decide": 6,
    "work": 7,
    "engine": 8,
    "converting": 8,
    "__init__": 9,
}

# classes of one name that are still to be told apart, and modules called like a function beside
# them
SAME_CLASSES = {"Column", "Operations", "Outcome", "Plan", "Table", "Wish"}
SAME_MODULES = {
    "cli.progress",
    "cli.run",
    "model.trace.modes",
    "report.document",
    "report.html.finding_list",
    "report.html.page",
    "report.html.profile_part",
    "report.html.trace_part",
}

# the only places that may import torch, and never at the top of a module
TORCH = (
    "kernels.torch_codes",
    "kernels.torch_lazy",
    "kernels.torch_ops",
    "kernels.torch_stats",
    "kernels.triton_ops",
    "bridges",
    "testing",
    "inplace",
    "model",
    "capability",
    "comm",
)


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands, and the absolute name of what it imports."""

    module: str
    line: int
    target: str
    lazy: bool
    for_types: bool = False

    @property
    def place(self) -> str:
        return f"{path_of(self.module)}:{self.line}"


def path_of(module: str) -> str:
    parts = module.split(".")[1:]
    path = PACKAGE.joinpath(*parts)
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return f"src/tensorcast/{path.relative_to(PACKAGE)}"


@cache
def modules() -> dict[str, Path]:
    """Absolute module name -> file, for every Python file of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ["tensorcast", *path.relative_to(PACKAGE).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports_of(source: str, module: str, *, is_package: bool) -> list[Import]:
    """Every import in the source: at the top, lazy (inside a function or for type checking only),
    and by `importlib.import_module` or `__import__` of a literal."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool, types: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(Import(module, child.lineno, a.name, lazy, types) for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = absolute(child.module or "", child.level, module, is_package)
                found.extend(
                    Import(module, child.lineno, f"{base}.{a.name}", lazy, types)
                    for a in child.names
                )
            elif isinstance(child, ast.Call):
                called = ast.unparse(child.func).rsplit(".", 1)[-1]
                name = child.args[0] if child.args else None
                if called in ("import_module", "__import__") and isinstance(name, ast.Constant):
                    text = str(name.value)
                    level = len(text) - len(text.lstrip("."))
                    target = absolute(text[level:], level, module, is_package)
                    found.append(Import(module, child.lineno, target, lazy, types))
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            visit(child, lazy or inside or for_types, types or for_types)

    visit(ast.parse(source), lazy=False, types=False)
    return found


def absolute(name: str, level: int, module: str, is_package: bool) -> str:
    if level == 0:
        return name
    parts = module.split(".")
    drop = level - 1 if is_package else level
    base = parts[: len(parts) - drop]
    return ".".join([*base, name] if name else base)


def unit_of(name: str) -> str:
    """tensorcast.checkpoint.protocol.Reader -> checkpoint; the package itself -> __init__."""
    parts = name.split(".")
    unit = parts[1] if len(parts) > 1 else "__init__"
    return unit if unit in FLOORS else "__init__"


def violation(found: Import) -> str | None:
    """Why an import may not stand where it does, or None."""
    top = found.target.split(".")[0]
    here = unit_of(found.module)
    within = found.module.removeprefix("tensorcast.")
    if top == "torch":
        if not any(within == place or within.startswith(f"{place}.") for place in TORCH):
            if found.for_types and here == "api":  # the verbs say what they take and give
                return None
            return f"{found.place}: {found.module} imports torch; only {', '.join(TORCH)} may"
        if not found.lazy:
            return f"{found.place}: {found.module} imports torch at its top; import it on use"
        return None
    if top != "tensorcast" or found.target == "tensorcast.__version__":
        return None
    there = unit_of(found.target)
    if FLOORS[there] > FLOORS[here]:
        return (
            f"{found.place}: {found.module} (floor {FLOORS[here]}) imports {found.target} "
            f"(floor {FLOORS[there]}); imports go down only"
        )
    if there == "_core" and here != "kernels":
        return f"{found.place}: {found.module} imports {found.target}; only kernels/ may"
    return None


@cache
def all_imports() -> list[Import]:
    return [
        found
        for module, path in modules().items()
        for found in imports_of(path.read_text(), module, is_package=path.stem == "__init__")
    ]


def test_every_unit_has_a_floor() -> None:
    units = {name.split(".")[1] for name in modules() if "." in name}
    assert units <= FLOORS.keys(), "give these a floor in FLOORS, as the design places them"


def test_imports_go_down_only() -> None:
    wrong = [text for found in all_imports() if (text := violation(found))]
    assert not wrong, "\n" + "\n".join(wrong)


def test_imports_inside_checkpoint_go_down_only() -> None:
    wrong = [text for found in all_imports() if (text := checkpoint_violation(found))]
    assert not wrong, "\n" + "\n".join(wrong)


def checkpoint_violation(found: Import) -> str | None:
    """Why an import may not stand where it does in checkpoint/, or None."""
    here, there = (checkpoint_unit(name) for name in (found.module, found.target))
    if here is None or there is None or found.for_types:
        return None
    if CHECKPOINT_FLOORS[there] <= CHECKPOINT_FLOORS[here]:
        return None
    return f"{found.place}: {here} imports {found.target}, which stands above it"


@cache
def checkpoint_unit(name: str) -> str | None:
    """tensorcast.checkpoint.files.safetensors.holds -> files; None outside of it."""
    parts = name.split(".")
    if parts[:2] != ["tensorcast", "checkpoint"]:
        return None
    unit = parts[2] if len(parts) > 2 else "__init__"
    known = (PACKAGE / "checkpoint" / unit).is_dir() or f"tensorcast.checkpoint.{unit}" in modules()
    return unit if known else "__init__"


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("files.safetensors", "def f():\n from ..conventions.beside import surroundings", True),
        ("files.safetensors", "from ..store.regular_files import reading", False),
        ("store.workspace", "from ..files.safetensors import read_header", True),
        ("conventions.beside", "from ..folders import links", True),
        ("folders.links", "from .. import kinds", True),
        ("folders.one_file", "from ..conventions.beside import surroundings", False),
        ("decide.job", "from .. import prepare", True),
        ("work.running", "from ..decide.job import Job", False),
        ("wording", "if TYPE_CHECKING:\n from .decide.job import Job", False),
    ],
)
def test_the_order_inside_checkpoint_is_kept(module: str, source: str, wrong: bool) -> None:
    found = imports_of(source, f"tensorcast.checkpoint.{module}", is_package=False)
    assert any(map(checkpoint_violation, found)) == wrong


def test_a_name_means_one_class() -> None:
    places: dict[str, list[str]] = {}
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not {name: where for name, where in twice.items() if name not in SAME_CLASSES}


def test_no_module_is_called_like_a_function_beside_it() -> None:
    files = modules()
    functions: dict[str, set[str]] = {}  # package -> public functions of its modules
    for name, path in files.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        functions.setdefault(package, set()).update(
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
    wrong = [
        name.removeprefix("tensorcast.")
        for name in files
        if name.rpartition(".")[2] in functions.get(name.rpartition(".")[0], ())
    ]
    assert set(wrong) <= SAME_MODULES, set(wrong) - SAME_MODULES


def test_no_circle_of_files() -> None:
    """No file imports, over however many others, itself. What stands under TYPE_CHECKING is not
    imported."""
    files = modules()
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        found = imports_of(path.read_text(), name, is_package=path.stem == "__init__")
        for target in (one.target for one in found if not one.for_types):
            while target and target not in files:  # a name of a module, a module of a package
                target = target.rpartition(".")[0]
            # the face hands names on, and everybody may ask it for the version
            if target and target not in (name, "tensorcast"):
                graph[name].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("formats", "from . import checkpoint", ":1: tensorcast.formats (floor 0) imports tensorc"),
        (
            "core.block",
            "def f():\n from ..checkpoint.decide.job import Job",
            "core/block.py:2: tensorcast.core.block (flo",
        ),
        (
            "core.block",
            "if TYPE_CHECKING:\n import tensorcast.cli.main",
            "(floor 2) imports tensorcast.",
        ),
        ("policy", "import importlib\nimportlib.import_module('.kernels', 'x')", "policy.py:2: "),
        ("core.block", "from tensorcast._core import x", "only kernels/ may"),
        ("checkpoint.kinds", "from ..report import table", "checkpoint.kinds (floor 5) imports "),
        ("checkpoint.kinds", "def f():\n import torch.nn", "imports torch; only"),
        ("bridges.torch.tensor", "import torch", "at its top"),
        ("errors", "from . import lookup", "imports tensorcast.lookup (floor 8)"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, expected: str) -> None:
    found = imports_of(source, f"tensorcast.{module}", is_package=False)
    assert expected in "\n".join(filter(None, map(violation, found)))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "checkpoint.kinds",
            "from .protocol import Reader\nfrom .. import formats\nimport re",
        ),
        ("bridges.torch.tensor", "def f():\n    import torch"),
        ("bridges.torch.tensor", "if TYPE_CHECKING:\n    import torch"),
        ("kernels.cpu", "from .. import _core"),
        ("cli.main", "from .. import __version__\nfrom ..report import table"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    found = imports_of(source, f"tensorcast.{module}", is_package=False)
    assert found
    assert not list(filter(None, map(violation, found)))


# what takes long to import, and nothing that only answers needs
HEAVY = ("torch", "numpy", "ml_dtypes", "rich", "jax", "safetensors", "transformers", "asyncio")


@pytest.mark.parametrize(
    "code",
    [
        "import tensorcast",
        "import tensorcast.cli",
        "import tensorcast.checkpoint",
        "import tensorcast; tensorcast.lookup('BF16'); tensorcast.policy.Policy()",
        *(
            f"sys.argv[1:] = {command.split()}; from tensorcast.cli import main; main()"
            for command in (
                "--help",
                "--version",
                "convert --help",
                "formats",
                "inspect w.safetensors",
                "inspect --json w.safetensors",
            )
        ),
    ],
)
def test_nothing_heavy_is_imported(code: str, tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    header += b" " * (-len(header) % 8)
    Path(tmp_path, "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    script = (
        "import sys, atexit\n"
        f"HEAVY = {HEAVY}\n"
        "atexit.register(lambda: sys.stderr.write('\\nloaded: ' + ' '.join("
        "name for name in HEAVY if name in sys.modules) + '\\n'))\n"
        f"{code}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].strip() == "loaded:"


def test_public_names_load() -> None:
    """`dir` shows the verbs and the modules of the rest, and nothing else."""
    verbs = set(tensorcast._VERBS)
    for name in verbs:
        assert callable(getattr(tensorcast, name)), name
        assert getattr(tensorcast, name).__doc__, name
    for name in tensorcast._MODULES:
        assert isinstance(getattr(tensorcast, name), type(sys)), name
    assert dir(tensorcast) == sorted(verbs | set(tensorcast._MODULES)) == tensorcast.__all__
    assert len(verbs) < 30
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        tensorcast.nothing  # type: ignore[attr-defined]


def test_the_guide_shows_the_house() -> None:
    guide = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    shown: dict[str, int] = {}
    for line in guide.splitlines():
        if line.startswith("| F"):
            floor, units = line.split("|")[1:3]
            shown |= {unit.strip("`/"): int(floor.strip(" F")) for unit in units.split()}
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    found -= {"__init__", "__main__", "__pycache__"}
    assert shown == {unit: FLOORS[unit] for unit in found}
