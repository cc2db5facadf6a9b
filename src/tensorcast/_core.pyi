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
def xxh64(data: Buffer, seed: int, /) -> int: ...
def kernels() -> tuple[tuple[str, bool], ...]: ...
