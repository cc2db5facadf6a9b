"""What rests on knowledge that is nobody's public interface, by name, and how to do without it.

Each is probed where it is first used, on objects of known content, and left alone where anything is
not as expected; results are the same then, and calls slower (but for `torch-use-counts`, without
which `cast_` refuses). The environment variable TENSORCAST_WITHOUT switches them off by name, a
comma between two: TENSORCAST_WITHOUT=python-objects,torch-functions.
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import Final

PRIVATE: Final = {
    "pillow-rows": "Pillow's structure of an image in several blocks (bridges/pillow_rows.py)",
    "python-objects": "where CPython keeps numbers and items (cpp/python/objects.cpp)",
    "torch-functions": "torch's C and C++ functions by their names (cpp/python/native.cpp)",
    "torch-exchange": "torch's C interface of DLPack from the tensor's type (kernels/fast.py)",
    "torch-use-counts": "how many hold a tensor and its storage (inplace/exclusivity.py)",
}
"""Name -> what it is and where it stands."""


@cache
def without(name: str) -> bool:
    """Whether one of `PRIVATE` is switched off in this process."""
    asked = {each.strip() for each in os.environ.get("TENSORCAST_WITHOUT", "").split(",")} - {""}
    for unknown in sorted(asked - PRIVATE.keys()):
        warnings.warn(
            f"TENSORCAST_WITHOUT: nothing is called {unknown!r}; there are {', '.join(PRIVATE)}",
            stacklevel=2,
        )
    return name in asked
