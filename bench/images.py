"""A 4K image to a tensor of numbers from 0 to 1, against every spelling of it in torch.

    python -m bench.images        prints the rows; `python -m bench.cast` writes them with its own

The contenders give a new contiguous tensor each round, as image_to_tensor does, on as many threads.
None of theirs but the divisions is correctly rounded; which one is, is verified first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .lists import Rows, rows_of, show


def spellings(x: Any) -> dict[str, Callable[[], Any]]:
    """What people write for HWC uint8 to CHW float32 / 255, contiguous."""
    import torch

    planes = x.permute(2, 0, 1)
    return {
        "permute.contiguous.to.div_": lambda: planes.contiguous().to(torch.float32).div_(255),
        "permute.to.div_.contiguous": lambda: planes.to(torch.float32).div_(255).contiguous(),
        "permute.contiguous.div": lambda: planes.contiguous().div(255),
        "permute.to(contiguous).div_": lambda: planes.to(
            torch.float32, memory_format=torch.contiguous_format
        ).div_(255),
        "empty.copy_.div_": lambda: torch.empty(planes.shape).copy_(planes).div_(255),
        "div(out=)": lambda: torch.div(planes, 255, out=torch.empty(planes.shape)),
        "permute.contiguous.to.mul_": lambda: planes.contiguous().to(torch.float32).mul_(1 / 255),
    }


def measure(n_rounds: int, quick: bool) -> Rows:
    """The bar is held against the fastest of the spellings, found in the same run."""
    import torch

    import tensorcast as tc
    from tensorcast.kernels.cpu import default_threads

    before = torch.get_num_threads()
    torch.set_num_threads(default_threads())
    try:
        return _measure(n_rounds, quick, torch, tc)
    finally:
        torch.set_num_threads(before)


def _measure(n_rounds: int, quick: bool, torch: Any, tc: Any) -> Rows:
    height, width = (540, 960) if quick else (2160, 3840)
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)
    planes = x.permute(2, 0, 1)
    exact = planes.to(torch.float64).div(255).to(torch.float32).contiguous()
    work = spellings(x)
    for name, call in work.items():
        made = call()
        assert made.is_contiguous(), name
        assert torch.allclose(made, exact, rtol=2e-7, atol=0), name
    made = tc.image_to_tensor(x)
    assert made.is_contiguous()
    assert torch.equal(made, exact)
    del made
    size = f"{width} x {height} uint8 HWC"
    rows = rows_of(
        f"{size} to CHW float32 / 255, fresh",
        lambda: tc.image_to_tensor(x),
        {name: (call, None) for name, call in work.items()},
        n_rounds,
    )
    fastest = min(rows, key=lambda row: row["seconds"][row["against"]]["median"])
    fastest["bar"] = 4
    out, theirs = torch.empty(planes.shape), torch.empty(planes.shape)
    rows += rows_of(
        f"{size} to CHW float32 / 255, into memory given",
        lambda: tc.image_to_tensor(x, out=out),
        {"copy_.div_": (lambda: theirs.copy_(planes).div_(255), None)},
        n_rounds,
    )
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    mean_of, std_of = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))
    rows += rows_of(
        f"{size} to CHW float32, mean and std too, fresh",
        lambda: tc.image_to_tensor(x, mean=mean, std=std),
        {
            "contiguous.to.div_.sub_.div_": (
                lambda: planes.contiguous().to(torch.float32).div_(255).sub_(mean_of).div_(std_of),
                None,
            )
        },
        n_rounds,
    )
    rows += rows_of(
        f"{size} to CHW bfloat16 / 255, fresh",
        lambda: tc.image_to_tensor(x, "bfloat16"),
        {
            "contiguous.to.div_.to": (
                lambda: planes.contiguous().to(torch.float32).div_(255).to(torch.bfloat16),
                None,
            )
        },
        n_rounds,
    )
    small = x[:224, :224].contiguous()
    rows += rows_of(
        "224 x 224 uint8 HWC to CHW float32 / 255, fresh",
        lambda: tc.image_to_tensor(small),
        {"permute.contiguous.to.div_": (spellings(small)["permute.contiguous.to.div_"], None)},
        100,
    )
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a sixteenth of the pixels")
    args = parser.parse_args(argv)
    show(measure(args.rounds, args.quick))


if __name__ == "__main__":
    main()
