"""Tries an installed tensorcast in the environment of this interpreter, with nothing but its own
dependencies there: `.ci/run` starts it in a clean environment, from outside the source tree."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path


def tensorcast(*arguments: str, status: int = 0) -> str:
    """Standard output of the installed command; its exit status must be as given."""
    command = [str(Path(sys.executable).parent / "tensorcast"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != status:
        raise SystemExit(
            f"{' '.join(command)}: exit status {done.returncode}, expected {status}\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


def write_safetensors(path: Path, values: list[float]) -> None:
    data = struct.pack(f"<{len(values)}f", *values)
    entry = {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}
    header = json.dumps({"weight": entry}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def read_bfloat16(path: Path) -> list[float]:
    raw = path.read_bytes()
    (n_header,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + n_header])
    assert header["weight"]["dtype"] == "BF16", header
    begin, end = (8 + n_header + offset for offset in header["weight"]["data_offsets"])
    codes = struct.unpack(f"<{(end - begin) // 2}H", raw[begin:end])
    return [struct.unpack("<f", struct.pack("<I", code << 16))[0] for code in codes]


def main() -> None:
    for absent in ("torch", "safetensors", "transformers", "rich"):
        assert importlib.util.find_spec(absent) is None, f"{absent} is installed here"
    version = importlib.metadata.version("tensorcast")
    assert version in tensorcast("--version")
    values = [0.0, 1.0, -2.5, 3.0e38, 1.0 + 2**-7]
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "a.safetensors"), Path(scratch, "b.safetensors")
        write_safetensors(source, values)
        assert "weight" in tensorcast("inspect", str(source))
        tensorcast("convert", str(source), str(target), "--to", "bfloat16")
        assert read_bfloat16(target)[:3] == values[:3]
        assert read_bfloat16(target)[4] == values[4]
        tensorcast(
            "convert", str(source), str(Path(scratch, "c.safetensors")), "--to", "float16", status=1
        )
        assert not Path(scratch, "c.safetensors").exists()
        from tensorcast import trace, write_report

        page = write_report(Path(scratch, "report.html"), trace()).read_text(encoding="utf-8")
        assert "prefers-color-scheme" in page, "the report's style is not in the wheel"
        assert "sortable" in page, "the report's script is not in the wheel"
    implementation = f"{sys.implementation.name} {sys.version.split()[0]}"
    print(f"tensorcast {version} inspects and converts under {implementation}")


if __name__ == "__main__":
    main()
