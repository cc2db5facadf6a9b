"""Whole conversions: bits, files, policies, threads, and the libraries that read the result."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import numpy as np
import pytest
from bits import expect_same_codes
from checkpoint.handmade import (
    STORABLE,
    header_of,
    packed,
    tensors_of,
    unpacked,
    write,
    write_directory,
)
from oracle import cast_array

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.decide.job import Job
from tensorcast.checkpoint.decide.rules import Rule
from tensorcast.checkpoint.errors import TensorCollapseError, TensorNanError, TensorOverflowError
from tensorcast.checkpoint.work import chunking
from tensorcast.checkpoint.work.difference import diff
from tensorcast.checkpoint.work.losses import measure
from tensorcast.checkpoint.work.running import Result
from tensorcast.checkpoint.work.worker import TensorState
from tensorcast.core.block import cast_chunk
from tensorcast.errors import CastNanError, CastOverflowError, CheckpointError, CollapseError
from tensorcast.formats import FORMATS
from tensorcast.policy import Policy

INDEX = "model.safetensors.index.json"
RNG = np.random.default_rng(7)


def convert(source: Path, destination: Path, to: str, **options) -> Result:
    keys = ("force", "verify", "report", "threads", "progress")
    running = {key: options.pop(key) for key in keys if key in options}
    return run(prepare(open_checkpoint(source), destination, to, **options), **running)


def siblings(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks so small that every tensor here has several."""
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 10)


@pytest.mark.parametrize("to", STORABLE, ids=str)
def test_every_dtype_to_every_dtype(tmp_path: Path, to) -> None:
    tensors, codes = {}, {}
    for row in STORABLE:
        n = 1200
        top = 2 if row.kind == "bool" else 1 << min(row.component.bits, 64)
        shape = (n, 2) if row.is_complex else (n,)
        codes[row.name] = RNG.integers(0, top, shape, f"u{row.component.container_bits // 8}")
        tensors[row.name] = (row.name, [30, 40], packed(codes[row.name], row))
    source = write(tmp_path / "x.safetensors", tensors)
    rules = [
        Rule(row.name, to if to.is_complex or to.kind == "bool" or not row.is_complex else None)
        for row in STORABLE
    ]
    result = convert(
        source, tmp_path / "y.safetensors", to.name,
        rules=rules, overflow="saturate", nan="zero", verify=True, raw=True,
    )  # fmt: skip
    written = tensors_of(tmp_path / "y.safetensors")
    assert set(written) == set(tensors)
    for row in STORABLE:
        dtype, shape, data = written[row.name]
        assert shape == [30, 40]
        if row.is_complex and not (to.is_complex or to.kind == "bool"):
            assert (dtype, data) == ("C64", tensors[row.name][2])
            continue
        assert dtype == to.spellings["safetensors"]
        policy = Policy("saturate", nan="zero").resolve(row, to)
        expected = cast_array(codes[row.name], row, to, policy).codes
        found = unpacked(data, to, 1200)
        expect_same_codes(found, expected, to, what=f"{row} to {to}")
    assert set(result.losses) == {
        row.name for row in STORABLE
        if row != to and (to.is_complex or to.kind == "bool" or not row.is_complex)
    }  # fmt: skip


@pytest.mark.parametrize("report", [False, True])
def test_a_tensor_collapses_over_its_chunks(tmp_path: Path, report: bool) -> None:
    """Each of many chunks of its own is no more than a part: the whole tensor is judged."""
    half = np.zeros(4000, "f4")
    half[:2001] = 0.25  # 2,001 of 4,001 become 0
    tensors = {
        "more": np.concatenate([half[:2001], np.full(2000, 5, "f4"), half[2001:]]),
        "half": np.concatenate([half[:2000], np.full(2000, 5, "f4"), half[2001:]]),
        "one": np.linspace(1, 1.9, 3000, dtype="f4"),
        "nearly": np.append(np.linspace(1, 1.9, 3000, dtype="f4"), np.float32(2)),
    }
    source = write(tmp_path / "x.safetensors", tensors)
    with pytest.raises(TensorCollapseError) as caught:
        convert(source, tmp_path / "y.safetensors", "int8", report=report, threads=2)
    assert {one.tensor: one.collapse for one in caught.value.findings} == {
        "more": "2,001 of 4,001 non-zero values become 0",
        "one": "all 3,000 values, which differ, become 1",
    }
    assert isinstance(caught.value, CollapseError)
    assert siblings(tmp_path / "y.safetensors") == ["x.safetensors"]
    result = convert(source, tmp_path / "y.safetensors", "int8", report=True, raw=True)
    assert [name for name, loss in result.losses.items() if loss.collapses] == ["more", "one"]


SHARDS = [
    {"z.weight": RNG.standard_normal((70, 50), "f4"), "ids": np.arange(3000)},
    {"a.weight": RNG.standard_normal((999,), "f4"), "scalar": np.ones((), "f4"),
     "empty": np.ones((0, 4), "f4")},
]  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_directory(
        tmp_path / "m",
        SHARDS,
        extra={"config.json": '{"torch_dtype": "float32"}', "a/b.txt": "text", "model.onnx": ""},
    )


def test_a_directory(directory: Path, tmp_path: Path) -> None:
    result = convert(directory, tmp_path / "out", "bfloat16", verify=True, report=True)
    out = tmp_path / "out"
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert names == ["a/b.txt", "config.json", *shards, INDEX]
    assert (out / "a/b.txt").read_text() == "text"
    assert json.loads((out / "config.json").read_text()) == {"torch_dtype": "bfloat16"}
    for shard, tensors in zip(shards, SHARDS, strict=True):
        assert_bfloat16(tensors_of(out / shard), tensors)
        assert b'{"__metadata__":{"format":"pt"},' in header_of(out / shard)
    assert result.skipped == {"model.onnx": "an ONNX export, not converted"}
    assert list(result.losses) == ["z.weight", "a.weight", "empty", "scalar"]
    loss = result.losses["z.weight"]
    assert (loss.n_elements, loss.n_overflow, loss.amax) == (
        3500, 0, float(np.abs(SHARDS[0]["z.weight"]).max()),
    )  # fmt: skip
    assert result.verified
    assert result.resumed == ()
    assert result.n_bytes_read == sum(t.nbytes for shard in SHARDS for t in shard.values())
    assert result.n_bytes_written == sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    assert siblings(out) == ["m", "out"]


def assert_bfloat16(written, tensors) -> None:
    assert set(written) == set(tensors)
    to, policy = FORMATS["bfloat16"], Policy().resolve("float32", "bfloat16")
    for name, array in tensors.items():
        dtype, shape, data = written[name]
        assert shape == list(array.shape)
        if array.dtype != np.float32:
            assert data == array.tobytes()
            continue
        assert dtype == "BF16"
        expected = cast_array(array.reshape(-1), FORMATS["float32"], to, policy).codes
        expect_same_codes(unpacked(data, to, array.size), expected, to, what=name)


def test_from_its_json_too(directory: Path, tmp_path: Path) -> None:
    made = prepare(open_checkpoint(directory), tmp_path / "out", "bfloat16")
    run(Job.from_json(made.to_json()))
    assert_bfloat16(tensors_of(tmp_path / "out" / made.shards[0].file), SHARDS[0])


@pytest.mark.parametrize("rounding", ["nearest-even", "stochastic"])
def test_bytes_and_losses_are_the_same_for_any_number_of_threads(
    directory: Path, tmp_path: Path, rounding: str
) -> None:
    results = []
    for threads in (1, 2, 3, 8):
        out = tmp_path / f"out{threads}"
        result = convert(
            directory, out, "float8_e4m3fn", rounding=rounding, seed=5, threads=threads,
            report=True, overflow="saturate",
        )  # fmt: skip
        files = {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()}
        results.append((files, result.losses))
    assert all(result == results[0] for result in results[1:])


def test_losses_of_chunks_merge_in_their_order_whenever_they_come() -> None:
    to, policy = FORMATS["float16"], Policy().resolve("float32", "float16")
    values = RNG.standard_normal(64, "f4") * 1e5
    parts = [
        cast_chunk(
            values[i : i + 8].tobytes(), None, FORMATS["float32"], to, policy,
            n_elements=8, first_index=i, report=True,
        )
        for i in range(0, 64, 8)
    ]  # fmt: skip
    expected = TensorState(bytearray())
    for number, part in enumerate(parts):
        expected.add(number, part)
    assert expected.loss is not None
    assert expected.loss.n_elements == 64
    for order in (range(7, -1, -1), [3, 1, 0, 2, 7, 5, 6, 4]):
        state = TensorState(bytearray())
        for number in order:
            state.add(number, parts[number])
        assert state.loss == expected.loss


def test_stochastic_rounding_is_by_name_and_offset(tmp_path: Path, monkeypatch) -> None:
    values = RNG.standard_normal(5000, "f4")
    path = write(tmp_path / "x.safetensors", {"a": values, "b": values})
    convert(path, tmp_path / "y.safetensors", "bfloat16", rounding="stochastic", seed=3)
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 13)
    write(tmp_path / "x2.safetensors", {"c": np.ones(9, "f4"), "b": values})
    convert(
        tmp_path / "x2.safetensors", tmp_path / "y2.safetensors", "bfloat16",
        rounding="stochastic", seed=3,
    )  # fmt: skip
    one, two = (tensors_of(tmp_path / name) for name in ("y.safetensors", "y2.safetensors"))
    assert one["a"] != one["b"]
    assert one["b"] == two["b"]


def test_kept_tensors_are_copied_bit_by_bit(tmp_path: Path) -> None:
    nans = np.array([0x7FA00001, 0xFFFFFFFF, 0x7F800001, 0x80000000], "u4").view("f4")
    nans = np.tile(nans, 1000)
    path = write(tmp_path / "x.safetensors", {"keep.me": nans, "x": nans})
    convert(path, tmp_path / "y.safetensors", "bfloat16", rules=[Rule("keep.*", None)])
    assert tensors_of(tmp_path / "y.safetensors")["keep.me"] == ("F32", [4000], nans.tobytes())


def test_modes_follow_the_umask(directory: Path, tmp_path: Path) -> None:
    for file in directory.rglob("*"):
        if file.is_file():
            file.chmod(0o600)
    old = os.umask(0o027)
    try:
        convert(directory, tmp_path / "out", "bfloat16")
        convert(directory / "model-00001-of-00002.safetensors", tmp_path / "y.safetensors", "bf16")
    finally:
        os.umask(old)
    files = [tmp_path / "y.safetensors", *(p for p in (tmp_path / "out").rglob("*") if p.is_file())]
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o640}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_resharding_moves_tensors_between_files(directory: Path, tmp_path: Path) -> None:
    convert(directory, tmp_path / "out", "bfloat16", max_shard_size=7000, verify=True)
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    found = {}
    for file in sorted(set(index["weight_map"].values())):
        found.update(tensors_of(tmp_path / "out" / file))
    assert len(set(index["weight_map"].values())) == 3
    assert_bfloat16(found, {**SHARDS[0], **SHARDS[1]})
    assert open_checkpoint(tmp_path / "out").n_bytes == index["metadata"]["total_size"]


@pytest.fixture
def overflowing(tmp_path: Path) -> Path:
    big = RNG.standard_normal(3000, "f4")
    big[[7, 2999]] = [1e5, -2e5]
    huge = np.full(5, 3.0e38, "f4")
    nan = np.array([1, np.nan, 1e6], "f4")
    infinite = np.array([1, np.inf], "f4")
    return write(
        tmp_path / "x.safetensors",
        {"big": big, "fine": np.ones(4, "f4"), "huge": huge, "nan": nan, "inf": infinite},
    )


def test_an_overflow_names_every_tensor_and_what_would_hold_it(overflowing, tmp_path: Path) -> None:
    for threads in (1, 4):
        with pytest.raises(TensorOverflowError) as caught:
            convert(overflowing, tmp_path / "y.safetensors", "float16", threads=threads)
        error = caught.value
        assert isinstance(error, CastOverflowError)
        assert isinstance(error, CheckpointError)
        first, *rest = str(error).splitlines()
        assert first == "3 tensors do not fit; no destination was written"
        assert rest[:3] == [
            f"  {name!r}: {n} values exceed float16 (largest magnitude {amax}); bfloat16 holds them"
            for name, n, amax in [
                ("big", "2 of 3000", "200000"),
                ("huge", "5 of 5", "3e+38"),
                ("nan", "1 of 3", "1e+06"),
            ]
        ]
        ways = rest[3]
        assert ways.startswith("A rule (big=bfloat16) chooses another format; overflow=")
        assert ways.endswith('in their format, "saturate" gives the nearest extreme.')
        assert [finding.tensor for finding in error.findings] == ["big", "huge", "nan"]
        assert siblings(tmp_path / "y.safetensors") == ["x.safetensors"]


def test_an_overflow_by_rounding_alone(tmp_path: Path) -> None:
    largest = np.array([np.finfo("f4").max] * 3, "f4")
    path = write(tmp_path / "x.safetensors", {"x": largest})
    with pytest.raises(TensorOverflowError, match=r"3 of 3 values exceed bfloat16.*float32 holds"):
        convert(path, tmp_path / "y.safetensors", "bfloat16")


def test_lost_nans_are_refused_too(overflowing, tmp_path: Path) -> None:
    with pytest.raises(TensorOverflowError, match=r"'nan': 1 of 3 values exceed.*1 of 3 are NaN"):
        convert(
            overflowing, tmp_path / "y.safetensors", "bfloat16",
            rules=[Rule("nan", FORMATS["int16"])],
        )  # fmt: skip
    with pytest.raises(TensorNanError, match=r"1 of 3 are NaN, which int32 lacks; float") as caught:
        convert(
            overflowing, tmp_path / "y.safetensors", "bfloat16",
            rules=[Rule("nan", FORMATS["int32"])],
        )  # fmt: skip
    assert isinstance(caught.value, CastNanError)
    result = convert(
        overflowing, tmp_path / "y.safetensors", "bfloat16",
        rules=[Rule("nan", FORMATS["int32"])], nan="zero",
    )  # fmt: skip
    assert result.losses["nan"].n_nan_lost == 1
    assert np.frombuffer(tensors_of(tmp_path / "y.safetensors")["nan"][2], "i4").tolist() == [
        1, 0, 10**6,
    ]  # fmt: skip


def test_keep_leaves_such_tensors_in_their_format_and_says_so(overflowing, tmp_path: Path) -> None:
    result = convert(overflowing, tmp_path / "y.safetensors", "float16", overflow="keep")
    assert result.kept == {
        "big": "2 of 3000 values exceed float16",
        "huge": "5 of 5 values exceed float16",
        "nan": "1 of 3 values exceed float16",
    }
    written, before = tensors_of(tmp_path / "y.safetensors"), tensors_of(overflowing)
    assert {name: written[name][0] for name in written} == {
        "big": "F32", "huge": "F32", "nan": "F32", "fine": "F16", "inf": "F16",
    }  # fmt: skip
    assert all(written[name] == before[name] for name in result.kept)
    kept = {s.outputs[0].name: s.kept for s in result.job.steps if s.kept}
    assert kept == result.kept


def test_keep_with_nothing_to_keep(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"x": np.ones(9, "f4"), "y": np.ones(9, "f2")})
    assert convert(path, tmp_path / "y.safetensors", "bfloat16", overflow="keep").kept == {}


@pytest.mark.parametrize("overflow", ["saturate", "ieee"])
def test_saturate_and_ieee_write_what_the_cast_gives(overflowing, tmp_path, overflow) -> None:
    result = convert(
        overflowing, tmp_path / "y.safetensors", "float16", overflow=overflow, verify=True
    )
    big = np.frombuffer(tensors_of(tmp_path / "y.safetensors")["big"][2], "f2")
    assert big[7] == (65504 if overflow == "saturate" else np.inf)
    assert result.losses["big"].n_overflow == 2


def test_a_source_that_changed_since_the_job_is_refused(directory: Path, tmp_path: Path) -> None:
    made = prepare(open_checkpoint(directory), tmp_path / "out", "bfloat16")
    file = directory / made.files[0].name
    os.utime(file, ns=(1, 1))
    with pytest.raises(CheckpointError, match="as it was prepared, found another mtime_ns; prep"):
        run(made)
    assert siblings(directory) == ["m"]


def test_a_source_that_changes_during_the_run_is_refused(directory: Path, tmp_path: Path) -> None:
    file = directory / "model-00001-of-00002.safetensors"
    with pytest.raises(CheckpointError, match="found it changed during the run"):
        convert(
            directory, tmp_path / "out", "bfloat16",
            progress=lambda p: os.utime(file, ns=(1, 1)),
        )  # fmt: skip
    assert siblings(directory) == ["m"]


def test_progress_covers_every_byte(directory: Path, tmp_path: Path) -> None:
    seen = []
    convert(
        directory, tmp_path / "out", "bfloat16", overflow="keep", verify=True, progress=seen.append
    )
    phases = [p.phase for p in seen]
    assert list(dict.fromkeys(phases)) == ["measure", "convert", "verify", "finish"]
    for phase in ("measure", "convert", "verify"):
        last = [p for p in seen if p.phase == phase][-1]
        assert last.n_bytes_done == last.n_bytes_total > 0


def test_the_number_of_threads(monkeypatch) -> None:
    monkeypatch.setenv("TENSORCAST_NUM_THREADS", "3")
    assert chunking.n_threads() == 3
    assert chunking.n_threads(5) == 5
    for text in ("0", "-1", "many", ""):
        monkeypatch.setenv("TENSORCAST_NUM_THREADS", text)
        with pytest.raises(CheckpointError, match=r"threads|THREADS"):
            chunking.n_threads()
    monkeypatch.delenv("TENSORCAST_NUM_THREADS")
    assert 1 <= chunking.n_threads() <= chunking.MAX_THREADS


def test_the_safetensors_library_reads_it(directory: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors", reason="the safetensors library")
    convert(directory, tmp_path / "out", "bfloat16")
    for file in (tmp_path / "out").glob("*.safetensors"):
        mine = tensors_of(file)
        found = dict(library.deserialize(file.read_bytes()))
        assert set(found) == set(mine)
        for name, info in found.items():
            assert (info["dtype"], info["shape"], bytes(info["data"])) == mine[name]


def test_torch_reads_the_bits_of_its_own_cast(directory: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch")
    load = pytest.importorskip("safetensors.torch", reason="the safetensors library").load_file
    for to in (torch.bfloat16, torch.float16):
        out = tmp_path / str(to)
        convert(directory, out, to)
        for file in directory.glob("*.safetensors"):
            expected = load(file)
            for name, tensor in load(out / file.name).items():
                wanted = expected[name]
                wanted = wanted.to(to) if wanted.is_floating_point() else wanted
                assert tensor.dtype == wanted.dtype
                assert tensor.shape == wanted.shape
                assert tensor.flatten().view(torch.uint8).equal(wanted.flatten().view(torch.uint8))


def test_bytes_are_those_of_the_reference_librarys_save_file(directory: Path, tmp_path) -> None:
    torch = pytest.importorskip("torch", reason="torch")
    library = pytest.importorskip("safetensors.torch", reason="the safetensors library")
    convert(directory, tmp_path / "out", "bfloat16")
    for file in directory.glob("*.safetensors"):
        tensors = {
            name: t.to(torch.bfloat16) if t.is_floating_point() else t
            for name, t in library.load_file(file).items()
        }
        library.save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
        assert (tmp_path / "out" / file.name).read_bytes() == (tmp_path / "theirs").read_bytes()


def test_minilm_in_transformers(minilm: Path, tmp_path: Path, monkeypatch) -> None:
    torch = pytest.importorskip("torch", reason="torch")
    transformers = pytest.importorskip("transformers", reason="transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 19)
    result = convert(minilm, tmp_path / "out", "bfloat16", verify=True, report=True)
    assert all(loss.n_overflow == 0 for loss in result.losses.values())
    theirs = transformers.AutoModel.from_pretrained(minilm, dtype=torch.bfloat16)
    ours = transformers.AutoModel.from_pretrained(tmp_path / "out")
    assert ours.dtype == torch.bfloat16
    expected = theirs.state_dict()
    found = ours.state_dict()
    assert set(found) == set(expected)
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def test_tied_tensors_stay_as_they_are(tmp_path: Path) -> None:
    tied = {"lm_head.weight": "model.embed.weight", "format": "pt"}
    path = write(tmp_path / "x.safetensors", {"model.embed.weight": np.ones(4, "f4")}, tied)
    convert(path, tmp_path / "y.safetensors", "bfloat16")
    found = open_checkpoint(tmp_path / "y.safetensors")
    assert found.metadata == tied
    assert [tensor.name for tensor in found.tensors] == ["model.embed.weight"]


def test_more_files_than_may_be_open_at_once(tmp_path: Path) -> None:
    shards = [{f"t{i}": np.full(3, i, "f4")} for i in range(120)]
    source = write_directory(tmp_path / "m", shards)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 60
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 30, hard))
    try:
        result = convert(
            source, tmp_path / "out", "bfloat16", overflow="keep", verify=True, threads=3
        )
        assert diff(open_checkpoint(source), open_checkpoint(tmp_path / "out")).missing == ()
        assert len(measure(open_checkpoint(source))) == 120
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(result.losses) == 120
    for i in (0, 119):
        assert tensors_of(tmp_path / "out" / result.job.shards[i].file)[f"t{i}"][0] == "BF16"


def test_a_checkpoint_of_no_tensors(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {})
    result = convert(path, tmp_path / "y.safetensors", "bfloat16", verify=True)
    assert result.losses == {}
    assert open_checkpoint(tmp_path / "y.safetensors").tensors == ()
    assert result.warnings == ("no tensor changes its format",)


@pytest.fixture
def infinite(tmp_path: Path) -> Path:
    return write(
        tmp_path / "x.safetensors",
        {
            "wide": np.array([1, np.inf, -np.inf], "f4"),
            "half": np.array([2, np.inf], "f2"),
            "left": np.array([np.inf], "f2"),
            "fine": np.ones(3, "f2"),
        },
    )


LEFT = [Rule("left", None)]


def test_infinities_that_are_not_kept_are_refused(infinite: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.safetensors"
    with pytest.raises(TensorOverflowError) as caught:
        convert(infinite, out, "float16", inf="raise", rules=LEFT)
    first, *rest = str(caught.value).splitlines()
    assert first == "2 tensors do not fit; no destination was written"
    assert sorted(rest[:2]) == [
        "  'half': 1 of 2 are infinite",
        "  'wide': 2 of 3 are infinite",
    ]
    assert 'inf="keep" lets infinities be, inf="saturate" makes them the largest value' in rest[2]
    found = {each.tensor: each.n_infinite for each in caught.value.findings}
    assert found == {"wide": 2, "half": 1}
    assert not out.exists()
    with pytest.raises(TensorOverflowError, match="'half': 1 of 2 are infinite"):
        convert(infinite, out, "float16", inf="raise", overflow="saturate", rules=LEFT)
    result = convert(infinite, out, "float16", inf="raise", overflow="keep", rules=LEFT)
    assert result.kept == {"wide": "2 of 3 are infinite", "half": "1 of 2 are infinite"}
    written, before = tensors_of(out), tensors_of(infinite)
    assert written == before


def test_infinities_end_at_the_largest_value(infinite: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.safetensors"
    made = prepare(open_checkpoint(infinite), out, "float16", inf="saturate", rules=LEFT)
    result = run(Job.from_json(made.to_json()))
    written = tensors_of(out)
    assert np.frombuffer(written["wide"][2], "f2").tolist() == [1, 65504, -65504]
    assert np.frombuffer(written["half"][2], "f2").tolist() == [2, 65504]
    assert np.frombuffer(written["left"][2], "f2").tolist() == [np.inf]  # a rule says so
    assert {name: loss.n_overflow for name, loss in result.losses.items()} == {
        "wide": 2, "half": 1, "fine": 0,
    }  # fmt: skip
    kept = convert(infinite, tmp_path / "z.safetensors", "float16")
    assert np.frombuffer(tensors_of(tmp_path / "z.safetensors")["wide"][2], "f2")[1] == np.inf
    assert set(kept.losses) == {"wide"}


def test_finite_values_beside_them_are_counted_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"a": np.array([1e6, np.inf, -np.inf], "f4")})
    with pytest.raises(TensorOverflowError, match="'a': 1 of 3 values exceed float16"):
        convert(path, tmp_path / "y.safetensors", "float16", inf="saturate")
