#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bytes change on the drives, of a node that is stopped and of one that serves: what a client gets is
right, or it is told that there is nothing to get. Never is it wrong.

usage: bitflip.py BUILD [--seed N]
"""
import argparse
import collections
import hashlib
import http.client
import os
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say
from census import records_of_drive
from flip import flip, flip_anywhere, flip_blocks
from node import Node, NodeEnded
from wire import Wire

BUCKET = "flips"
SIZES = (1000, 4097, 60000, 128 << 10, 300000, 1 << 20, 3000001, 12 << 20)
LOST = (OSError, http.client.HTTPException)


def read(wire, bucket, key, digest):
    """right, wrong, refused (an error that says so) or cut (an answer that ended early)."""
    try:
        answer = wire.get(bucket, key)
    except LOST:
        wire.close()
        return "cut"
    if answer.status != 200:
        return "refused" if answer.status >= 500 else f"answered {answer}"
    return "right" if hashlib.md5(answer.body).digest() == digest else "wrong"


class Data:
    """What was put, by the digest of it."""

    def __init__(self, node, copies):
        self.digests = {}
        wire = Wire(node)
        wire.make_bucket(BUCKET)
        for size in SIZES:
            for copy in range(copies):
                body = random.randbytes(size)
                equal(wire.put(BUCKET, f"o{size}-{copy}", body).status, 200)
                self.digests[f"o{size}-{copy}"] = hashlib.md5(body).digest()
        wire.close()

    def read_one(self, wire, key):
        return read(wire, BUCKET, key, self.digests[key])

    def read_all(self, node):
        wire = Wire(node)
        results = {key: self.read_one(wire, key) for key in self.digests}
        wire.close()
        return results


def extents(node):
    found = collections.defaultdict(list)
    for drive in node.drive_paths():
        for record in records_of_drive(drive):
            found[record.session, record.counter].append(record)
    return found


def all_right(results):
    bad = {key: result for key, result in results.items() if result != "right"}
    assert not bad, bad


def none_wrong(results):
    bad = {key: result for key, result in results.items() if result not in ("right", "refused", "cut")}
    assert not bad, bad


def stopped(cases, build):
    with tempfile.TemporaryDirectory(prefix="bitflip-") as parent, \
            Node(build, parent, 4) as node:
        data = Data(node, 3)
        with cases.case("a byte of every block of up to m shards changes and all is read back"):
            node.stop()
            flipped = 0
            for records in extents(node).values():
                for record in random.sample(records, records[0].m):
                    flip_blocks(record)
                    flipped += -(-record.shard_len // 16384)
            node.start()
            all_right(data.read_all(node))
            assert node.metric("rubus_bad_blocks_total") > 0, "no bad block was counted"
            say(f"{flipped} blocks with a changed byte, {node.metric('rubus_bad_blocks_total'):.0f} reads "
                "found one")
        with cases.case("a range beside a changed byte is right"):
            wire = Wire(node)
            key = f"o{SIZES[-1]}-0"
            whole = wire.get(BUCKET, key).body
            for _ in range(50):
                first = random.randrange(len(whole))
                last = min(len(whole) - 1, first + random.randrange(300000))
                answer = wire.get(BUCKET, key, headers={"range": f"bytes={first}-{last}"})
                equal(answer.status, 206)
                assert answer.body == whole[first:last + 1], (first, last)
            wire.close()
        with cases.case("one changed shard too many is an error and not a wrong byte"):
            node.stop()
            for records in extents(node).values():
                for record in random.sample(records, records[0].m + 1):
                    flip_blocks(record)
            node.start()
            results = data.read_all(node)
            none_wrong(results)
            lost = [key for key, result in results.items() if result != "right"]
            assert lost, "nothing was lost: the test changes nothing"
            assert not any(key.startswith("o1000-") for key in lost), "what is in the index was lost"
            say(f"{len(lost)} of {len(results)} objects were refused or cut off")


def heads(cases, build):
    """Superblocks, heads of segments and of records."""
    with tempfile.TemporaryDirectory(prefix="bitflip-") as parent, \
            Node(build, parent, 4) as node:
        data = Data(node, 2)
        drives = node.drive_paths()
        with cases.case("one copy of a superblock or of a segment's head changes and all is read back"):
            node.stop()
            for drive in drives:
                flip(os.path.join(drive, "superblock"), random.choice((0, 4096)) + random.randrange(4096))
                folder = os.path.join(drive, "segments")
                for name in os.listdir(folder):
                    path = os.path.join(folder, name)
                    at = random.choice((0, os.path.getsize(path) - 4096))
                    flip(path, at + random.randrange(4096))
            node.start()
            all_right(data.read_all(node))
        with cases.case("heads of records of one drive change and all is read back"):
            node.stop()
            for record in list(records_of_drive(drives[1])):
                flip(record.path, record.offset + random.randrange(4096))
            node.start()
            all_right(data.read_all(node))
        with cases.case("a whole drive of noise is no drive and all is read back"):
            node.stop()
            for name in os.listdir(os.path.join(drives[2], "segments")):
                path = os.path.join(drives[2], "segments", name)
                size = os.path.getsize(path)
                with open(path, "wb") as file:
                    file.write(random.randbytes(size))
            node.start()
            none_wrong(data.read_all(node))


def running(cases, build):
    """Readers read while bytes change under them; the changed shards are never more than m."""
    with tempfile.TemporaryDirectory(prefix="bitflip-") as parent, \
            Node(build, parent, 4) as node:
        data = Data(node, 3)
        places = extents(node)
        results = collections.Counter()
        wrong = []
        is_over = threading.Event()

        def read(seed):
            wire, rng = Wire(node), random.Random(seed)
            while not is_over.is_set():
                key = rng.choice(list(data.digests))
                result = data.read_one(wire, key)
                results[result] += 1
                if result != "right":
                    wrong.append((key, result))
            wire.close()

        with cases.case("bytes change under readers and every one gets the right ones"):
            readers = [threading.Thread(target=read, args=(i,)) for i in range(6)]
            for reader in readers:
                reader.start()
            end = time.monotonic() + 8
            victims = [record for records in places.values() for record in records[:records[0].m]]
            while time.monotonic() < end:
                flip_blocks(random.choice(victims), 7)
                time.sleep(0.02)
            is_over.set()
            for reader in readers:
                reader.join()
            say(f"{sum(results.values())} reads under changing bytes: {dict(results)}")
            assert not wrong, wrong[:20]
            assert results["right"] > 100, results
            assert node.metric("rubus_bad_blocks_total") > 0, "no bad block was counted"


def anywhere(cases, build, rounds):
    """Any byte of any file of the node, its index and its log too: it may refuse to start, then with a
    word why. It may not serve what is wrong."""
    with tempfile.TemporaryDirectory(prefix="bitflip-") as parent:
        with Node(build, parent, 2) as node:
            data = Data(node, 1)
        whole = node.dir + ".whole"
        os.rename(node.dir, whole)
        outcomes = collections.Counter()
        with cases.case(f"bytes change anywhere in {rounds} nodes and none of them serves what is wrong"):
            for _ in range(rounds):
                shutil.copytree(whole, node.dir, symlinks=True)
                folder = random.choice([os.path.join(node.dir, "node"), *node.drive_paths()])
                places = flip_anywhere(folder, random.choice((1, 10, 1000)))
                try:
                    node.start()
                    results = data.read_all(node)
                    outcomes.update(results.values())
                    if set(results.values()) & {"wrong"} or any("answered" in r for r in results.values()):
                        raise AssertionError(f"{places[:10]}: {results}")
                    node.stop()
                except NodeEnded as error:
                    outcomes["does not start"] += 1
                    if node.process.returncode < 0:
                        raise AssertionError(f"{places[:10]}: {error}")
                finally:
                    if node.process.poll() is None:
                        node.kill()
                    shutil.rmtree(node.dir)
            say(f"bytes changed anywhere in {rounds} nodes: {dict(outcomes)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    say(f"seed {arguments.seed}")
    cases = Cases()
    stopped(cases, arguments.build)
    heads(cases, arguments.build)
    running(cases, arguments.build)
    anywhere(cases, arguments.build, arguments.rounds)
    cases.end()


if __name__ == "__main__":
    main()
