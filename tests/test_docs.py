"""Every example in README.md, docs/ and the docstrings runs and prints what it says it prints.

In the documents a fenced block is run by its language:

    python    with `>>>` as a doctest, without as a script; one namespace per document
    console   each `$ command` in a shell, stdout and stderr together, against the lines below it
    sh, text, json, toml, cpp   not run: how to install, or output that is not compared

Blocks of one document run in order, in one scratch directory that holds a copy of the real
weights, as all-MiniLM-L6-v2/ or where `make demo` leaves them, as the document names it. `...`
stands for any text, white space is compared as doctest's NORMALIZE_WHITESPACE does, and durations,
rates and peak memory, which no two runs share, are compared as to their presence only; lines of
progress, which come every few seconds, are left out. A block below `<!-- not run: reason -->` is
skipped, with that reason, and one below `<!-- needs: library -->` where that is not installed.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, WEIGHTS

import tensorcast

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = ("sh", "text", "json", "toml", "cpp", "make")
MEASURED = re.compile(
    r"\b\d+(?:\.\d+)?(?: ?(?:ms|us|s|min|[kMG]?B/s)\b)|(?<=peak memory )\d[\d.]* [kMG]B"
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    path: Path
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    found: list[Block] = []
    fence, language, begin, lines = "", "", 0, []
    not_run: str | None = None
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not fence and (opened := re.match(r"\s*(```+)\s*(\S*)", line)):
            fence, language, begin, lines = opened[1], opened[2], number, []
        elif fence and line.strip() == fence:
            indent = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
            text = "".join(f"{x[indent:]}\n" for x in lines)
            found.append(Block(path, begin, language, text, not_run))
            fence, not_run = "", None
        elif fence:
            lines.append(line)
        elif marked := re.match(r"<!-- not run: (.+) -->$", line.strip()):
            not_run = marked[1]
        elif marked := re.match(r"<!-- needs: (\w+) -->$", line.strip()):
            not_run = None if find_spec(marked[1]) else f"{marked[1]} is not here"
    assert not fence, f"{path}:{begin}: this block is never closed"
    return found


@dataclass
class Document:
    """A document being run: block i runs once, after all before it."""

    blocks: list[Block]
    scratch: Path
    failures: list[str | None] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)

    def failure(self, index: int) -> str | None:
        """What is wrong with block `index`, or None."""
        while len(self.failures) <= index:
            block = self.blocks[len(self.failures)]
            run = self._python if block.language == "python" else self._console
            runs = block.language in ("python", "console") and block.not_run is None
            self.failures.append(run(block) if runs else None)
        return self.failures[index]

    def _python(self, block: Block) -> str | None:
        before = Path.cwd()
        os.chdir(self.scratch)
        try:
            if ">>> " not in block.text:
                # the block's own line numbers, for a traceback that points into the document
                exec(compile("\n" * block.line + block.text, block.path, "exec"), self.namespace)
                return None
            parser = doctest.DocTestParser()
            test = parser.get_doctest(
                block.text, self.namespace, str(block), str(block.path), block.line
            )
            report: list[str] = []
            runner = doctest.DocTestRunner(checker=Checker(), optionflags=OPTIONS)
            runner.run(test, out=report.append, clear_globs=False)
            self.namespace.update(test.globs)
            return "".join(report) if runner.failures else None
        finally:
            os.chdir(before)

    def _console(self, block: Block) -> str | None:
        commands = commands_of(block.text)
        if not commands:
            return f"{block}: a console block without `$ command`"
        mark = "@@next@@"
        script = ["status=0"]
        for command, _ in commands:
            # in a group, so that `echo $?` shows the status of the command before it
            script += [f"(exit $status); {{ {command}\n}}; status=$?", f"echo; echo {mark}"]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=self.scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        outputs = done.stdout.split(f"\n{mark}\n")
        for (command, expected), output in zip(commands, outputs, strict=False):
            if not agree(expected, output):
                return f"{block}: $ {command}\nthe document says:\n{expected}\nit prints:\n{output}"
        return None


def commands_of(text: str) -> list[tuple[str, str]]:
    """Each `$ command`, continuation lines included, with the output below it."""
    found: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        n_lines = 1
        while lines[n_lines - 1].endswith("\\"):
            n_lines += 1
        found.append(("\n".join(lines[:n_lines]), "\n".join(lines[n_lines:])))
    return found


PROGRESS = re.compile(r"^\w[\w ]*: \d+%, .* left\n", re.MULTILINE)


class Checker(doctest.OutputChecker):
    """Compares durations, rates and peak memory as to their presence only."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        wanted, found = MEASURED.sub("<measured>", want), MEASURED.sub("<measured>", got)
        return super().check_output(wanted, found, optionflags)


def agree(expected: str, found: str) -> bool:
    """Whether the output is as the document says; no expected lines at all means no output."""
    got = PROGRESS.sub("", found).strip() + "\n"
    return Checker().check_output(expected.strip() + "\n", got, OPTIONS)


DOCUMENT_BLOCKS = {path: blocks_of(path) for path in DOCUMENTS if path.exists()}
ALL_BLOCKS = [
    pytest.param(path, index, id=str(block))
    for path, blocks in DOCUMENT_BLOCKS.items()
    for index, block in enumerate(blocks)
    if block.language not in NOT_RUN
]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Document]]:
    opened = {}
    for path, blocks in DOCUMENT_BLOCKS.items():
        scratch = tmp_path_factory.mktemp(path.stem.lower())
        if names_weights(path) and WEIGHTS.is_dir():
            # where `make demo` leaves them, or beside the document
            demo = f"build/weights/{WEIGHTS.name}" in path.read_text()
            shutil.copytree(WEIGHTS, scratch / ("build/weights" if demo else "") / WEIGHTS.name)
            (scratch / "build" / "demo").mkdir(parents=True, exist_ok=True)
        opened[path] = Document(blocks, scratch)
    yield opened
    for document in opened.values():
        shutil.rmtree(document.scratch)


@cache
def names_weights(path: Path) -> bool:
    return WEIGHTS.name in path.read_text()


def needs(path: Path, index: int, text: str) -> bool:
    """Whether a block that runs, or one it may build on, names something."""
    return any(
        text in b.text for b in DOCUMENT_BLOCKS[path][: index + 1] if b.language not in NOT_RUN
    )


@pytest.mark.parametrize(("path", "index"), ALL_BLOCKS)
def test_document(documents: dict[Path, Document], path: Path, index: int) -> None:
    block = DOCUMENT_BLOCKS[path][index]
    assert block.language in ("python", "console"), (
        f"{block}: {block.language or 'no language'!r} is not one of python, console, "
        f"{', '.join(NOT_RUN)}"
    )
    if block.not_run:
        pytest.skip(f"{block}: {block.not_run}")
    if needs(path, index, WEIGHTS.name) and not WEIGHTS.is_dir():
        pytest.skip(f"{block}: the MiniLM weights are not here: run `make demo`")
    if needs(path, index, "import torch") and not find_spec("torch"):
        pytest.skip(f"{block}: torch is not here")
    failure = documents[path].failure(index)
    assert failure is None, f"\n{failure}"


def docstring_examples() -> list[Any]:
    """Every docstring of the package that has an example."""
    found = []
    package = Path(tensorcast.__file__).parent
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if ">>> " not in path.read_text() or parts[-1] == "__main__":
            continue
        module = importlib.import_module(name)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
            if test.examples:
                found.append(pytest.param(test, id=test.name))
    return found


@pytest.mark.parametrize("test", docstring_examples())
def test_docstring(test: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.append, clear_globs=False)
    assert not runner.failures, "\n" + "".join(report)


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("wrote 45.4 MB in 0.11 s, 1.2 GB/s", "wrote 45.4 MB in 0.35 s, 812 MB/s\n", True),
        ("wrote 45.4 MB in 0.11 s", "wrote 45.5 MB in 0.11 s", False),
        ("peak memory 25.4 MB, 3 MB", "peak memory 31 MB, 3 MB", True),
        ("done", "comparing: 21%, 19.1 MB of 90.9 MB, 6.6 MB/s, 11 s left\ndone\n", True),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("", "surprise", False),
        ("", "", True),
        ("name   bits", "name bits", True),
        ("name", "", False),
    ],
)
def test_outputs_are_compared(expected: str, found: str, same: bool) -> None:
    assert agree(expected, found) is same


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document: those of its headings, as GitHub makes them, and its own."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    own = re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)
    return {
        re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads
    }.union(own)


@pytest.mark.parametrize("path", DOCUMENT_BLOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name} links to {link}, and there is no such file"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{path.name}: no heading for {link}"


def test_a_wrong_console_block_is_found(tmp_path: Path) -> None:
    text = "$ echo one\none\n$ false\n$ echo $?\n1\n$ printf '%s\\n' \\\n  two\nthree\n"
    block = Block(ROOT / "README.md", 7, "console", text, None)
    failure = Document([block], tmp_path).failure(0)
    assert failure is not None
    assert "README.md:7" in failure
    assert "three\nit prints:\ntwo" in failure


def test_a_duration_in_a_python_block_may_be_another(tmp_path: Path) -> None:
    blocks = [
        Block(ROOT / "README.md", 1, "python", f">>> print('{found}')\n{wanted}\n", None)
        for found, wanted in [("took 97 ms", "took 0.2 s"), ("took 97 MB", "took 98 MB")]
    ]
    document = Document(blocks, tmp_path)
    assert document.failure(0) is None
    assert document.failure(1) is not None


def test_a_wrong_python_block_is_found(tmp_path: Path) -> None:
    right = Block(ROOT / "README.md", 1, "python", "x = 2\n", None)
    wrong = Block(ROOT / "README.md", 5, "python", ">>> x\n3\n", None)
    document = Document([right, wrong], tmp_path)
    assert document.failure(0) is None
    assert "Expected:\n    3\nGot:\n    2" in (document.failure(1) or "")
