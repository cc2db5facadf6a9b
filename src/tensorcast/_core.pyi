from collections.abc import Callable
from typing import Any

from typing_extensions import Buffer

formats: tuple[str, ...]

_Stats = tuple[
    int,
    int,
    int | None,
    int | None,
    float,
    int,
    int,
    int | None,
    int | None,
    int,
    int,
    int,
    int,
    int,
    float,
    float,
    int,
    int,
    float,
    float,
    float,
]
_Layout = tuple[int, tuple[int, ...], tuple[int, ...] | None, bool, bool]
_Streamed = tuple[int, int, int, int, int]
_Policy = tuple[int, int, int, int, int, bool, int, str | None]

def cast_chunk(
    source_format: int,
    target_format: int,
    overflow: int,
    rounding: int,
    nan: int,
    inf: int,
    seed: int,
    first_index: int,
    count: int,
    kernel: str | None,
    source: Buffer,
    target: Buffer | None,
    n_elements: int,
    /,
) -> _Stats: ...
def cast_tensor(
    source_format: int,
    target_format: int,
    overflow: int,
    rounding: int,
    nan: int,
    inf: int,
    seed: int,
    first_index: int,
    count: int,
    kernel: str | None,
    source: _Layout,
    target: _Layout | None,
    n_threads: int,
    /,
) -> _Stats: ...
def image_planes(
    target_format: int,
    channels: tuple[tuple[int, float, float, float, float, bytes], ...],
    source_address: int,
    pixel_bytes: int,
    target_address: int,
    axes: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]],
    channel_axis: tuple[int, int, int],
    n_threads: int,
    kernel: str | None,
    /,
) -> None: ...
def image_computes(kernel: str | None, /) -> bool: ...
def memory_read(address: int, n_bytes: int, /) -> bytes | None: ...
def memory_rows(table: int, n_rows: int, /) -> list[tuple[int, int, int]] | None: ...
def memory_pack(
    source_address: int,
    pitch: int,
    n_rows: int,
    width: int,
    n_bands: int,
    target_address: int,
    n_threads: int,
    kernel: str | None,
    /,
) -> None: ...
def sequence_fill(
    data: object,
    shape: tuple[int, ...],
    policy: _Policy,
    address: int,
    allowed: int,
    classify: Callable[[object], int],
    convert: Callable[[object], tuple[int, object]],
    encode: Callable[[object, int], bytes],
    by_calls: bool,
    /,
) -> tuple[int, int, int | None, int, int, int, tuple[int, ...], object]: ...
def sequence_arrays(
    data: object,
    shape: tuple[int, ...],
    array_shape: tuple[int, ...],
    source_format: int,
    policy: _Policy,
    address: int,
    n_threads: int,
    facts: tuple[object, ...],
    other: Callable[[object, tuple[int, ...]], tuple[object, int, int]],
    /,
) -> tuple[int, int | None, int, int, int, tuple[int, ...], object]: ...
def inplace_uses(interface: tuple[object, ...], tensor: object, /) -> tuple[int, int, int]: ...
def inplace_convert(
    interface: tuple[object, ...],
    setter: Callable[[Any, Any], None],
    proofs: tuple[tuple[object, int, int, int], ...],
    swaps: tuple[tuple[object, object, object], ...],
    jobs: tuple[tuple[object, ...], ...],
    chunk_bytes: int,
    moves: bool,
    n_threads: int,
    n_failures: int,
    /,
) -> int: ...
def inplace_releases() -> bool: ...
def ranges(
    format: int, address: int, n_elements: int, n_threads: int, kernel: str | None, /
) -> tuple[int, int, int, int, int, int, int, bytes]: ...
def stream_cast(
    source_format: int,
    target_format: int,
    overflow: int,
    rounding: int,
    nan: int,
    inf: int,
    seed: int,
    first_index: int,
    count: int,
    kernel: str | None,
    source: int,
    source_offset: int,
    target: int,
    target_offset: int,
    source_block: Buffer,
    target_block: Buffer,
    n_elements: int,
    /,
) -> tuple[_Stats, _Streamed]: ...
def stream_copy(
    source: int,
    source_offset: int,
    target: int,
    target_offset: int,
    block: Buffer,
    n_bytes: int,
    /,
) -> _Streamed: ...
def xxh3(data: Buffer, kernel: str | None, /) -> int: ...
def kernels() -> tuple[tuple[str, bool], ...]: ...

class entry:  # noqa: N801
    def __init__(
        self,
        kind: int,
        function: Callable[..., object],
        names: tuple[str, ...],
        defaults: tuple[object, ...],
        n_positional: int,
        /,
    ) -> None: ...
    def __call__(self, *args: object, **keywords: object) -> Any: ...

def fast_set_up(
    resolve: Callable[[object], int | None],
    decide: Callable[[int, int, int, int, int], int],
    options: Callable[[int, int], dict[str, object] | None],
    learn: Callable[[object], None],
    overflows: tuple[str, ...],
    roundings: tuple[str, ...],
    nans: tuple[str, ...],
    infs: tuple[str, ...],
    array_type: type,
    /,
) -> None: ...
def fast_torch(
    tensor: object,
    exchange: object,
    empty_like: object,
    increment_version: object,
    tracing_state: object,
    forward_ad_level: tuple[dict[str, object], str],
    dispatch_mode: tuple[dict[str, object], str],
    n_threads: int,
    negated: object,
    with_grad: object,
    tracer_key: object,
    of_each_dtype: tuple[object, ...],
    /,
) -> None: ...
def fast_numpy(array: object, empty_like: object, n_threads: int, /) -> None: ...
def advise_huge(address: int, n_bytes: int, n_threads: int, /) -> None: ...
def count_pools(more: int) -> int: ...
def huge_pages(enabled: bool | None, /) -> bool: ...
