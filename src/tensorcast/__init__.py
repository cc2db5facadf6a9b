"""Changes the number format of tensors and checkpoints, and says what that costs and loses.

The names below load on first use: importing tensorcast imports neither torch nor NumPy.

    >>> import tensorcast
    >>> tensorcast.lookup("BF16").max
    3.3895313892515355e+38
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's own would be most of the time that this import takes

if TYPE_CHECKING:
    from . import checkpoint as checkpoint
    from . import errors as errors
    from . import formats as formats
    from . import model as model
    from . import policy as policy
    from . import testing as testing
    from .api import memory as memory
    from .api import packed as packed
    from .api.arrays import as_tensor as as_tensor
    from .api.arrays import explain as explain
    from .api.casts import can_cast as can_cast
    from .api.casts import cast as cast
    from .api.casts import measure as measure
    from .api.images import image_to_tensor as image_to_tensor
    from .api.libraries import to_arrow as to_arrow
    from .api.libraries import to_cupy as to_cupy
    from .api.libraries import to_jax as to_jax
    from .api.libraries import to_numpy as to_numpy
    from .api.libraries import to_pil as to_pil
    from .api.libraries import to_tensorflow as to_tensorflow
    from .api.memory import reuse as reuse
    from .api.packed import pack as pack
    from .api.packed import unpack as unpack
    from .api.ways import compare as compare
    from .capability.process import bench as bench
    from .checkpoint.converting import convert as convert
    from .checkpoint.opening import inspect as inspect
    from .checkpoint.work.difference import diff as diff
    from .core.promotion import promote as promote
    from .formats import lookup as lookup
    from .inplace import cast_ as cast_
    from .model.profile.profiling import profile as profile
    from .model.trace.tracing import trace as trace
    from .report.html.writing import write_report as write_report

# each verb, and the module that it stands in
_VERBS = {
    "as_tensor": "api.arrays",
    "bench": "capability.process",
    "can_cast": "api.casts",
    "cast": "api.casts",
    "cast_": "inplace",
    "convert": "checkpoint.converting",
    "diff": "checkpoint.work.difference",
    "inspect": "checkpoint.opening",
    "compare": "api.ways",
    "explain": "api.arrays",
    "image_to_tensor": "api.images",
    "lookup": "formats",
    "measure": "api.casts",
    "pack": "api.packed",
    "profile": "model.profile.profiling",
    "promote": "core.promotion",
    "reuse": "api.memory",
    "to_arrow": "api.libraries",
    "to_cupy": "api.libraries",
    "to_jax": "api.libraries",
    "to_numpy": "api.libraries",
    "to_pil": "api.libraries",
    "to_tensorflow": "api.libraries",
    "trace": "model.trace.tracing",
    "unpack": "api.packed",
    "write_report": "report.html.writing",
}

# what is not at the top has its module
_MODULES = {
    "checkpoint": "checkpoint",
    "errors": "errors",
    "formats": "formats",
    "memory": "api.memory",
    "model": "model",
    "packed": "api.packed",
    "policy": "policy",
    "testing": "testing",
}

__all__ = sorted({*_VERBS, *_MODULES})


def __getattr__(name: str) -> object:
    import importlib

    if name in _MODULES:
        value: object = importlib.import_module(f".{_MODULES[name]}", __name__)
    elif name in _VERBS:
        value = getattr(importlib.import_module(f".{_VERBS[name]}", __name__), name)
    else:
        raise AttributeError(f"module 'tensorcast' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
