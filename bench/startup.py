"""How long the command line takes to answer: whole processes, from outside.

python -m bench.startup
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from .data import DATA, ONE, directory
from .environments import tensorcast_environment, versions_in
from .machine import RESULTS, load, provenance
from .processes import run
from .tables import save
from .timing import interleave, spread

BAR = 0.150  # seconds, of these two
_BARRED = ("tensorcast --help", "tensorcast inspect")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tensorcast", type=Path, help="an executable, instead of a new build")
    parser.add_argument("--model", type=Path, help="a checkpoint to inspect")
    parser.add_argument("--out", type=Path, default=RESULTS / "startup.json")
    args = parser.parse_args(argv)

    if args.tensorcast:
        program, python = str(args.tensorcast.absolute()), sys.executable
    else:
        folder = tensorcast_environment(args.data)
        program, python = str(folder / "tensorcast"), str(folder / "python")
    model = str(args.model or directory(ONE, args.data))
    commands = {
        "python -c pass": [python, "-c", "pass"],
        "tensorcast --version": [program, "--version"],
        "tensorcast --help": [program, "--help"],
        "tensorcast formats": [program, "formats"],
        "tensorcast inspect": [program, "inspect", model],
        "tensorcast inspect --json": [program, "inspect", model, "--json"],
        "python -c 'import numpy'": [python, "-c", "import numpy"],
    }
    result: dict[str, Any] = {"tensorcast_bench": 1, "what": "startup", **provenance()}
    if not args.tensorcast:
        names = ("tensorcast", "numpy", "ml_dtypes", "click")
        result["versions"] |= versions_in(Path(python).parent, *names)
    result["rounds"], result["bar_seconds"] = args.rounds, BAR
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        work = {name: lambda c=command: run(c, log) for name, command in commands.items()}
        seconds = interleave(work, args.rounds)
    result["rows"] = [
        {"name": name, "seconds": spread(values), "bar": name in _BARRED}
        for name, values in seconds.items()
    ]
    result["load_after"] = load()
    print(save(result, args.out))


if __name__ == "__main__":
    main()
