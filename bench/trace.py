"""What `tensorcast.trace` costs a transformer's forward: MiniLM with its real weights.

python -m bench.trace

The output under the trace is compared with the output without, bit for bit, and the casts that are
found with those that autocast makes, before anything is timed. A dispatch mode of torch that does
nothing stands beside: no tool that sees operations costs less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from .machine import RESULTS, load, provenance
from .tables import save
from .timing import interleave, ratios, spread

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "build/weights/all-MiniLM-L6-v2"
SHAPES = ((8, 128), (8, 32), (1, 128), (1, 32), (1, 16))
BARS = {8: 1.25, 1: 1.6}  # by batch
N_PARAMETERS = 72  # weights and biases of the encoder that autocast casts at each forward


def _forward(model: Any, batch: int, tokens: int, autocast: bool) -> Callable[[], Any]:
    import torch

    ids = torch.randint(1000, 30000, (batch, tokens), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)

    def forward() -> Any:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return model(input_ids=ids, attention_mask=mask).last_hidden_state

    return forward


def _row(model: Any, batch: int, tokens: int, autocast: bool, args: Any) -> dict[str, Any]:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    import tensorcast as tc

    class Nothing(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return func(*args, **(kwargs or {}))

    forward = _forward(model, batch, tokens, autocast)

    def within(mode: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with mode():
                return forward()

        return run

    with tc.trace(model) as t:
        traced = forward()
    if not torch.equal(traced, forward()):
        raise AssertionError("the output differs under the trace")
    names = {s.what.parameter for s in t.of("cast") if s.what.parameter.startswith("encoder.")}
    if len(names) != N_PARAMETERS * autocast:
        raise AssertionError(f"{len(names)} parameters were seen cast, not {N_PARAMETERS}")
    ways = {
        "without": within(nullcontext),
        "an empty mode": within(Nothing),
        "trace": within(lambda: tc.trace(model)),
    }
    seconds = interleave(
        ways, args.rounds, time.process_time if args.cpu_time else time.perf_counter
    )
    return {
        "batch": batch,
        "tokens": tokens,
        "autocast": autocast,
        "n_operations": t.n_operations,
        "n_events": sum(site.count for site in t.sites),
        "seconds": {name: spread(values, 6) for name, values in seconds.items()},
        "ratio": {
            name: spread(ratios(seconds[name], seconds["without"])) for name in list(ways)[1:]
        },
        "bar": BARS[batch],
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.trace", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="of MiniLM; see make demo")
    parser.add_argument("--cpu-time", action="store_true", help="for a machine that is not quiet")
    parser.add_argument("--out", type=Path, default=RESULTS / "trace.json")
    args = parser.parse_args(argv)
    import torch
    from transformers import AutoModel

    torch.set_num_threads(1)
    model = AutoModel.from_pretrained(args.weights).eval()
    result: dict[str, Any] = {
        "tensorcast_bench": 1,
        "what": "trace",
        **provenance("tensorcast", "numpy", "torch", "transformers"),
        "rounds": args.rounds,
        "clock": "processor time" if args.cpu_time else "wall",
    }
    result["rows"] = [
        _row(model, batch, tokens, autocast, args)
        for batch, tokens in SHAPES
        for autocast in (False, True)
    ]
    result["load_after"] = load()
    print(save(result, args.out))


if __name__ == "__main__":
    main()
