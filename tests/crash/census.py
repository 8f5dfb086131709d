#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A reader of drives with none of the product's code: what storage/drive/format.h says, in Python.

usage: census.py DRIVE...        prints a line for each shard
       census.py --test BUILD    the cases below

A record that was freed and not yet overwritten is found as well; how many bytes live is what the node
says (rubus_drive_used_bytes), and the two are held against each other where nothing has been freed.
"""
import collections
import hashlib
import os
import struct
import sys
import tempfile

import xxhash

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from node import Node
from wire import Wire

PAGE, BLOCK = 4096, 16384
HEAD_SUMS, MORE_SUMS = 304, 500

Record = collections.namedtuple(
    "Record", "path offset session counter index k m shard_len data_offset bad_blocks")


def is_sealed(page, magic, seed):
    return (page[:8] == magic and len(page) == PAGE and
            struct.unpack_from("<Q", page, 4088)[0] == xxhash.xxh3_64_intdigest(page[:4088], seed))


def head_count(shard_len):
    sums = -(-shard_len // BLOCK)
    return 1 if sums <= HEAD_SUMS else 1 + -(-(sums - HEAD_SUMS) // MORE_SUMS)


def sums_of(data, offset, shard_len, seed):
    """The checksums that the record keeps of its blocks; None where their own block is damaged."""
    count = -(-shard_len // BLOCK)
    sums = list(struct.unpack_from(f"<{min(count, HEAD_SUMS)}Q", data, offset + 1656))
    number = 1
    while len(sums) < count:
        page = data[offset + number * PAGE:offset + (number + 1) * PAGE]
        here = min(count - len(sums), MORE_SUMS)
        if is_sealed(page, b"RBUSSUM1", seed + number):
            sums += struct.unpack_from(f"<{here}Q", page, 88)
        else:
            sums += [None] * here
        number += 1
    return sums


def count_bad(data, offset, record, seed):
    name = struct.pack(">QQB", record.session, record.counter, record.index)
    block_seed = xxhash.xxh3_64_intdigest(name, 0)
    bad = 0
    for i, want in enumerate(sums_of(data, offset, record.shard_len, seed)):
        begin = record.data_offset + i * BLOCK
        block = data[begin:min(begin + BLOCK, record.data_offset + record.shard_len)]
        bad += xxhash.xxh3_64_intdigest(block, (block_seed + i) % (1 << 64)) != want
    return bad


def records_of_segment(path, drive_id):
    with open(path, "rb") as file:
        data = file.read()
    life = data[:PAGE]
    if not is_sealed(life, b"RBUSSEG1", 0):
        life = data[-PAGE:]
    if not is_sealed(life, b"RBUSSEG1", 0) or life[32:48] != drive_id:
        return
    number, generation = struct.unpack_from("<QQ", life, 48)
    seed, token = struct.unpack_from("<QQ", life, 80)
    offset = PAGE
    while (offset := data.find(b"RBUSREC1", offset, len(data) - PAGE)) >= 0:
        if offset % PAGE:
            offset += 1
            continue
        head = data[offset:offset + PAGE]
        place = struct.unpack_from("<Q16sQQQ", head, 16)
        if not is_sealed(head, b"RBUSREC1", seed) or \
                place != (token, drive_id, number, generation, offset):
            offset += PAGE
            continue
        session, counter = struct.unpack_from("<QQ", head, 64)
        shard_len, = struct.unpack_from("<Q", head, 104)
        data_offset = offset + head_count(shard_len) * PAGE
        record = Record(path, offset, session, counter, head[80], head[81], head[82], shard_len,
                        data_offset, 0)
        yield record._replace(bad_blocks=count_bad(data, offset, record, seed))
        offset = data_offset + shard_len


def records_of_drive(drive):
    with open(os.path.join(drive, "superblock"), "rb") as file:
        superblock = file.read()
    copies = [superblock[at:at + PAGE] for at in (0, PAGE)]
    valid = [copy for copy in copies if is_sealed(copy, b"RBUSBDR1", 0)]
    if not valid:
        raise AssertionError(f"{drive}: no valid superblock")
    folder = os.path.join(drive, "segments")
    for name in sorted(os.listdir(folder)):
        yield from records_of_segment(os.path.join(folder, name), valid[0][40:56])


def stored_len(record):
    return record.data_offset - record.offset + record.shard_len


def allocated(node):
    """Bytes that the segments take on their file systems."""
    return sum(os.stat(os.path.join(drive, "segments", name)).st_blocks * 512
               for drive in node.drive_paths() for name in os.listdir(os.path.join(drive, "segments")))


def leftovers(node, seconds=60):
    """After everything was deleted: the node says that nothing lives, also after a new start, when it
    has looked at its drives."""
    def is_empty():
        return node.metric("rubus_drive_used_bytes") == 0
    wait_until(is_empty, seconds, "live bytes become 0")
    node.restart()
    wait_until(is_empty, seconds, "live bytes are 0 after a restart")


# --- cases ----------------------------------------------------------------------------------------

SEGMENT_MIB = 96
SIZES = (100, 5000, 128 << 10, 1 << 20, (5 << 20) + 3, 70 << 20)


def put_all(node, bucket):
    wire = Wire(node)
    wire.make_bucket(bucket)
    for size in SIZES:
        answer = wire.put(bucket, f"o{size}", os.urandom(size))
        equal(answer.status, 200)
    wire.close()


def every_shard_is_there(node):
    """Of each extent all k + m shards, each on a drive of its own, each block with its checksum."""
    shards = collections.defaultdict(list)
    for drive in node.drive_paths():
        for record in records_of_drive(drive):
            equal(record.bad_blocks, 0)
            shards[record.session, record.counter].append((record, drive))
    equal(len(shards), 6)  # one each, two for the largest, none for the one that is in the index
    for found in shards.values():
        first = found[0][0]
        equal(sorted(record.index for record, _ in found), list(range(first.k + first.m)))
        equal(len({drive for _, drive in found}), first.k + first.m)
    total = sum(stored_len(record) for found in shards.values() for record, _ in found)
    equal(node.metric("rubus_drive_used_bytes"), total)
    return total


def test(cases, build, drives):
    with tempfile.TemporaryDirectory(prefix="census-") as parent, \
            Node(build, parent, drives, {"RUBUS_SEGMENT_MIB": str(SEGMENT_MIB)}) as node:
        with cases.case(f"a census finds every shard and no other ({drives} drives)"):
            put_all(node, "census")
            total = every_shard_is_there(node)
            say(f"{drives} drives: {sum(SIZES) >> 20} MiB take {total >> 20} MiB")
        with cases.case(f"a copy takes no space, and outlives what it was made of ({drives} drives)"):
            wire = Wire(node)
            body = wire.get("census", f"o{SIZES[3]}").body
            answer = wire.request("PUT", "/census/copy", headers={
                "x-amz-copy-source": f"/census/o{SIZES[3]}"})
            equal(answer.status, 200)
            every_shard_is_there(node)
            wire.delete("census", f"o{SIZES[3]}")
            equal(hashlib.md5(wire.get("census", "copy").body).digest(), hashlib.md5(body).digest())
        with cases.case(f"nothing is left when all is deleted ({drives} drives)"):
            for key, _, _ in list(wire.list("census")):
                equal(wire.delete("census", key).status, 204)
            leftovers(node)
            # The segment that is written and the next one are whole; all others are holes.
            most = drives * (2 * SEGMENT_MIB + 4) << 20
            wait_until(lambda: allocated(node) <= most, 30, lambda: f"{allocated(node)} bytes are allocated")
            wire.close()


def main():
    if sys.argv[1] == "--test":
        cases = Cases()
        for drives in (1, 4):
            test(cases, sys.argv[2], drives)
        cases.end()
    for drive in sys.argv[1:]:
        for record in records_of_drive(drive):
            print(*record)


if __name__ == "__main__":
    main()
