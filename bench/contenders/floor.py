"""What the machine allows: no cast, no library.

floor.py read-write SOURCE DESTINATION THREADS   read every byte, write half as many
floor.py write SOURCE DESTINATION THREADS        write half as many bytes, then fsync
floor.py copy SOURCE DESTINATION THREADS         `cp -r`, then fsync of all that it wrote
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

# read at a time: what is read and what is written stay in a core's cache; 2 MiB take 3 times as
# long in the kernel
CHUNK = 1 << 19

what, source, destination, n_threads = (
    sys.argv[1],
    Path(sys.argv[2]),
    Path(sys.argv[3]),
    sys.argv[4],
)
if what == "copy":
    subprocess.run(["cp", "-r", source, destination], check=True)
else:
    destination.mkdir()
files: list[int] = []
todo: list[tuple[int, int, int, int]] = []
for shard in sorted(source.glob("*.safetensors")) if what != "copy" else []:
    size = shard.stat().st_size
    reading = os.open(shard, os.O_RDONLY)
    files.append(os.open(destination / shard.name, os.O_WRONLY | os.O_CREAT, 0o666))
    os.posix_fallocate(files[-1], 0, size // 2)
    todo += [(reading, files[-1], at, min(CHUNK, size - at)) for at in range(0, size, CHUNK)]
todo.reverse()


def work() -> None:
    buffer = memoryview(bytearray(os.urandom(CHUNK)))
    while True:
        try:
            reading, writing, at, n = todo.pop()
        except IndexError:
            return
        if what == "read-write":
            n = os.preadv(reading, [buffer], at)
        os.pwrite(writing, buffer[: n // 2], at // 2)


threads = [threading.Thread(target=work) for _ in range(int(n_threads))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if what == "copy":
    files = [os.open(path, os.O_RDONLY) for path in destination.rglob("*") if path.is_file()]
if what != "read-write":
    for file in files:
        os.fsync(file)
    for folder in (destination, destination.parent):
        os.fsync(os.open(folder, os.O_RDONLY))
