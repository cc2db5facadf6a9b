from collections.abc import Callable

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
_Policy = tuple[int, int, int, int, bool, int, str | None]

def cast_chunk(
    source_format: int,
    target_format: int,
    overflow: int,
    rounding: int,
    nan: int,
    seed: int,
    first_index: int,
    full: bool,
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
    seed: int,
    first_index: int,
    full: bool,
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
def xxh64(data: Buffer, seed: int, /) -> int: ...
def kernels() -> tuple[tuple[str, bool], ...]: ...
