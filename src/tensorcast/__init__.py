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
    from . import policy as policy
    from . import testing as testing
    from .api.arrays import as_array, as_tensor, explain
    from .api.casts import can_cast, cast, measure
    from .api.images import image_to_tensor
    from .api.libraries import to_arrow, to_cupy, to_jax, to_numpy, to_pil, to_tensorflow
    from .api.packed import PackedTensor, pack, unpack
    from .bridges.sequences import array, tensor
    from .capability.process import bench
    from .capability.result import Capability
    from .checkpoint.converting import convert
    from .checkpoint.opening import inspect
    from .checkpoint.work.difference import diff
    from .core.loss import Loss
    from .core.promotion import Promotion, promote
    from .errors import (
        CastError,
        CastNanError,
        CastOverflowError,
        CheckpointError,
        CollapseError,
        CorruptFileError,
        DestinationError,
        FormatError,
        InexactCastError,
        InPlaceError,
        InPlaceWarning,
        MissingLibraryError,
        NoMemoryError,
        PolicyError,
        TensorcastError,
        UnsupportedCheckpointError,
    )
    from .formats import FORMATS, Format, lookup
    from .inplace import cast_
    from .kernels.fast import huge_pages
    from .model.profile.profiling import profile
    from .model.profile.result import Profile
    from .model.trace.forbidding import ForbiddenError, forbid
    from .model.trace.graphs import GraphTrace, trace_graph
    from .model.trace.tracing import Trace, trace
    from .policy import Policy
    from .report.html.writing import write_report
    from .share.verdict import Verdict
    from .testing import assert_cast_close

_MODULES = ("checkpoint", "errors", "formats", "policy", "testing")
_NAMES = {
    "convert": "checkpoint.converting",
    "diff": "checkpoint.work.difference",
    "inspect": "checkpoint.opening",
    "Capability": "capability.result",
    "bench": "capability.process",
    "as_array": "api.arrays",
    "as_tensor": "api.arrays",
    "explain": "api.arrays",
    "Verdict": "share.verdict",
    "to_arrow": "api.libraries",
    "to_cupy": "api.libraries",
    "to_jax": "api.libraries",
    "to_numpy": "api.libraries",
    "to_pil": "api.libraries",
    "to_tensorflow": "api.libraries",
    "ForbiddenError": "model.trace.forbidding",
    "forbid": "model.trace.forbidding",
    "Profile": "model.profile.result",
    "profile": "model.profile.profiling",
    "GraphTrace": "model.trace.graphs",
    "trace_graph": "model.trace.graphs",
    "Trace": "model.trace.tracing",
    "trace": "model.trace.tracing",
    "FORMATS": "formats",
    "Format": "formats",
    "lookup": "formats",
    "PackedTensor": "api.packed",
    "pack": "api.packed",
    "unpack": "api.packed",
    "assert_cast_close": "testing",
    "Policy": "policy",
    "Loss": "core.loss",
    "Promotion": "core.promotion",
    "promote": "core.promotion",
    "CastError": "errors",
    "CastNanError": "errors",
    "CastOverflowError": "errors",
    "CheckpointError": "errors",
    "CollapseError": "errors",
    "CorruptFileError": "errors",
    "DestinationError": "errors",
    "FormatError": "errors",
    "InPlaceError": "errors",
    "InPlaceWarning": "errors",
    "InexactCastError": "errors",
    "MissingLibraryError": "errors",
    "NoMemoryError": "errors",
    "PolicyError": "errors",
    "TensorcastError": "errors",
    "UnsupportedCheckpointError": "errors",
    "array": "bridges.sequences",
    "image_to_tensor": "api.images",
    "tensor": "bridges.sequences",
    "can_cast": "api.casts",
    "cast": "api.casts",
    "cast_": "inplace",
    "huge_pages": "kernels.fast",
    "measure": "api.casts",
    "write_report": "report.html.writing",
}

__all__ = [
    "FORMATS",
    "Capability",
    "CastError",
    "CastNanError",
    "CastOverflowError",
    "CheckpointError",
    "CollapseError",
    "CorruptFileError",
    "DestinationError",
    "ForbiddenError",
    "Format",
    "FormatError",
    "GraphTrace",
    "InPlaceError",
    "InPlaceWarning",
    "InexactCastError",
    "Loss",
    "MissingLibraryError",
    "NoMemoryError",
    "PackedTensor",
    "Policy",
    "PolicyError",
    "Profile",
    "Promotion",
    "TensorcastError",
    "Trace",
    "UnsupportedCheckpointError",
    "Verdict",
    "__version__",
    "array",
    "as_array",
    "as_tensor",
    "assert_cast_close",
    "bench",
    "can_cast",
    "cast",
    "cast_",
    "checkpoint",
    "convert",
    "diff",
    "errors",
    "explain",
    "forbid",
    "formats",
    "huge_pages",
    "image_to_tensor",
    "inspect",
    "lookup",
    "measure",
    "pack",
    "policy",
    "profile",
    "promote",
    "tensor",
    "testing",
    "to_arrow",
    "to_cupy",
    "to_jax",
    "to_numpy",
    "to_pil",
    "to_tensorflow",
    "trace",
    "trace_graph",
    "unpack",
    "write_report",
]


def __getattr__(name: str) -> object:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module 'tensorcast' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
