# SPDX-License-Identifier: Apache-2.0
"""Ways to change bytes of files behind a node's back."""
import os
import random


def flip(path, offset, count=1):
    """Changes count bytes, each to something else."""
    with open(path, "r+b") as file:
        file.seek(offset)
        data = file.read(count)
        file.seek(offset)
        file.write(bytes(byte ^ random.randrange(1, 256) for byte in data))
        file.flush()
        os.fdatasync(file.fileno())


def flip_blocks(record, every=1):
    """One byte of each block of a shard, or of each n-th."""
    for i in range(0, -(-record.shard_len // 16384), every):
        begin = i * 16384
        end = min(begin + 16384, record.shard_len)
        flip(record.path, record.data_offset + random.randrange(begin, end))


def flip_anywhere(folder, count):
    """Bytes of whatever lies under a folder; returns where."""
    files = [os.path.join(top, name) for top, _, names in os.walk(folder) for name in names]
    files = [path for path in files if os.path.isfile(path) and os.path.getsize(path)]
    places = []
    for _ in range(count):
        path = random.choice(files)
        offset = random.randrange(os.path.getsize(path))
        flip(path, offset)
        places.append((path, offset))
    return places
