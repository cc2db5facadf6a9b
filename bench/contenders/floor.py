"""Read every byte of the source's shards, write half as many to new files: no cast, no library."""

import os
import sys
import threading
from pathlib import Path

# read at a time: what is read and what is written stay in a core's cache; 2 MiB take 3 times as
# long in the kernel
CHUNK = 1 << 19

source, destination, n_threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
destination.mkdir()
todo = []
for shard in sorted(source.glob("*.safetensors")):
    size = shard.stat().st_size
    reading = os.open(shard, os.O_RDONLY)
    writing = os.open(destination / shard.name, os.O_WRONLY | os.O_CREAT, 0o666)
    os.posix_fallocate(writing, 0, size // 2)
    todo += [(reading, writing, at) for at in range(0, size, CHUNK)]
todo.reverse()


def work() -> None:
    buffer = memoryview(bytearray(CHUNK))
    while True:
        try:
            reading, writing, at = todo.pop()
        except IndexError:
            return
        n = os.preadv(reading, [buffer], at)
        os.pwrite(writing, buffer[: n // 2], at // 2)


threads = [threading.Thread(target=work) for _ in range(n_threads)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
