"""The native test programs (cpp/tests), and their oracle held to the reference.

`make native` builds them into build/native; without them these tests are skipped.
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from codes import interesting_codes, pairs, policies
from conftest import ROOT

from tensorcast.reference import cast_code

BUILD = ROOT / "build" / "native"
PROGRAMS = sorted(path.stem for path in (ROOT / "cpp" / "tests").glob("test_*.cpp"))


def program(name: str) -> Path:
    path = BUILD / name
    if not path.is_file():
        pytest.skip(f"{path.relative_to(ROOT)} is not built: run `make native`")
    return path


def test_the_oracle_equals_the_reference(exhaustive: bool) -> None:
    rng = random.Random(1)
    n = 400 if exhaustive else 24
    jobs = []
    for source, target in pairs():
        if source.is_complex or target.is_complex:
            continue
        codes = interesting_codes(source, target, n_random=500, seed=3).tolist()
        for policy in policies(source, target, seed=rng.getrandbits(64)):
            index = rng.choice([0, (1 << 32) - 2, rng.getrandbits(50)])
            jobs.append((source, target, policy, index, rng.sample(codes, min(n, len(codes)))))
    lines = "".join(
        f"{s} {t} {p.overflow} {p.rounding} {p.inf} {p.seed} {i} {' '.join(map(str, codes))}\n"
        for s, t, p, i, codes in jobs
    )
    done = subprocess.run(
        [program("test_kernels"), "--oracle"], input=lines, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(jobs)
    for (source, target, policy, first, codes), answer in zip(jobs, answers, strict=True):
        for i, (code, found) in enumerate(zip(codes, answer.split(), strict=True)):
            want = cast_code(code, source, target, policy, first + i)
            flags = want.overflow + 2 * want.nan_lost + 4 * want.inexact + 8 * want.underflow
            assert found == f"{want.code}:{flags}", (source.name, target.name, policy, hex(code))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, exhaustive: bool, capfd: pytest.CaptureFixture[str]) -> None:
    full = ["--patterns", "100000000", "--sweep"] if exhaustive and name == "test_kernels" else []
    done = subprocess.run([program(name), *full], capture_output=True, text=True)
    with capfd.disabled():
        print(f"\n{name}:", *done.stdout.splitlines(), sep="\n  ")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(" 0 failed")
