#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LMDB's files are damaged: those of the index and those of the drives' tables, of a node that is
stopped and of one that serves. A start makes them anew or refuses in one line, and what is served is
right.

usage: maps.py BUILD [--seed N]
"""
import argparse
import concurrent.futures
import hashlib
import http.client
import os
import random
import shutil
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say
from flip import flip
from node import Node, NodeEnded
from wire import Wire

BUCKET = "maps"
SIZES = (100, 4000, 4097, 60000, 300000)
LOST = (OSError, http.client.HTTPException)
FILLING = b"filling " * 500
SETTINGS = {"RUBUS_SEGMENT_MIB": "96"}


def put_all(node, count, sizes):
    digests = {}
    wire = Wire(node)
    for i in range(count):
        body = random.randbytes(random.choice(sizes))
        equal(wire.put(BUCKET, f"k{i}", body).status, 200)
        digests[f"k{i}"] = hashlib.md5(body).digest()
    wire.close()
    return digests


def check_all(node, digests):
    wire = Wire(node)
    equal({key for key, _, _ in wire.list(BUCKET)}, set(digests))
    for key, digest in digests.items():
        answer = wire.get(BUCKET, key)
        assert answer.status == 200 and hashlib.md5(answer.body).digest() == digest, (key, answer)
    wire.close()


def tables(node):
    return [os.path.join(path, "locations", "index-0000.mdb") for path in node.drive_paths()]


def index(node):
    return os.path.join(node.dir, "node", "index", "index-0000.mdb")


def damage(path):
    """Cuts the file off, or changes bytes of it, most often those that LMDB trusts."""
    length = os.path.getsize(path)
    if random.random() < 0.3:
        os.truncate(path, random.randrange(length))
        return
    for _ in range(random.choice((1, 1, 3, 20))):
        page = random.randrange(length // 4096) * 4096
        flip(path, page + random.randrange(random.choice((48, 4096))))


def start_again(node, good):
    """Starts with a damaged index. Returns right: it was none that counts; anew: it was made anew; or
    refused: good, what it was before, was put back."""
    seen = len(node.log_tail(1 << 24))
    try:
        node.start()
    except NodeEnded as ended:
        line = str(ended).strip().splitlines()[-1]
        assert line.startswith("rubus: the index in ") and "was not touched" in line, line
        with open(index(node), "wb") as file:
            file.write(good)
        node.start()
        return "refused"
    return "anew" if "made anew from the log" in node.log_tail(1 << 24)[seen:] else "right"


def read_until_it_ends(node, digests):
    wire = Wire(node)
    for key, digest in digests.items():
        try:
            answer = wire.get(BUCKET, key)
        except LOST:
            break
        assert answer.status != 200 or hashlib.md5(answer.body).digest() == digest, key
    wire.close()
    return node.process.wait(timeout=20)


def stopped(cases, node, digests):
    with cases.case("a damaged index is made anew from a log that has all of it"):
        results = []
        for _ in range(10):
            node.stop()
            with open(index(node), "rb") as file:
                good = file.read()
            damage(index(node))
            if not results:  # The log of the first life begins at 1; later ones let go of it.
                os.truncate(index(node), len(good) // 2)
            results.append(start_again(node, good))
            check_all(node, digests)
        say(" ".join(results))
        equal(results[0], "anew")
        assert results.count("right") < 7, results
    with cases.case("a damaged table is made anew from the segments"):
        rebuilt = 0
        for _ in range(8):
            node.stop()
            seen = len(node.log_tail(1 << 24))
            for path in tables(node):
                damage(path)
            node.start()
            rebuilt += "made anew from the segments" in node.log_tail(1 << 24)[seen:]
            check_all(node, digests)
        assert rebuilt > 3, rebuilt


def serving(cases, node, digests):
    with cases.case("a table cut off while it is read ends the node in one line, and is made anew"):
        for path in tables(node):
            os.truncate(path, 8192)
        equal(read_until_it_ends(node, digests), 1)
        assert "(SIGBUS)" in node.log_tail(), node.log_tail()
        node.start()
        check_all(node, digests)
    with cases.case("an index cut off while it is read ends the node in one line"):
        node.restart()  # so that all is in the map and nothing in the read buffer
        time.sleep(2)
        with open(index(node), "rb") as file:
            good = file.read()
        os.truncate(index(node), 8192)
        equal(read_until_it_ends(node, digests), 1)
        assert "(SIGBUS)" in node.log_tail(), node.log_tail()
        start_again(node, good)
        check_all(node, digests)


def forget_archives(node):
    for path in node.drive_paths():
        shutil.rmtree(os.path.join(path, "archive"), ignore_errors=True)


def without_log(cases, node, digests):
    with cases.case("a damaged index is made of an archive when the log has not all of it"):
        # More than one segment of the log, of which the first then goes.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            def fill(part):
                wire = Wire(node)
                for i in range(6000):
                    equal(wire.put("filling", f"k{part}-{i}", FILLING).status, 200)
                wire.close()
            list(pool.map(fill, range(4)))
        node.stop()
        os.truncate(index(node), os.path.getsize(index(node)) // 2)
        node.start()
        assert "is made anew from the archive" in node.log_tail(1 << 24), node.log_tail()
        check_all(node, digests)
    with cases.case("it is refused when there is no archive either"):
        node.stop()
        forget_archives(node)
        with open(index(node), "rb") as file:
            before = file.read()
        os.truncate(index(node), len(before) // 2)
        try:
            node.start()
            raise AssertionError("it started")
        except NodeEnded as ended:
            line = str(ended).strip().splitlines()[-1]
            assert line.startswith("rubus: the index in ") and "put back a copy" in line, line
        with open(index(node), "r+b") as file:
            equal(os.path.getsize(index(node)), len(before) // 2)
            file.write(before)
        node.start()
        check_all(node, digests)
    with cases.case("with damaged rows it is served when that is accepted, but for them"):
        node.stop()
        forget_archives(node)
        with open(index(node), "rb") as file:
            flip(index(node), file.read().index(FILLING) + 2000)
        try:
            node.start()
            raise AssertionError("it started")
        except NodeEnded as ended:
            assert "accept_damaged_index" in str(ended), ended
        node.environment["RUBUS_ACCEPT_DAMAGED_INDEX"] = "true"
        node.start()
        assert "damaged rows, which is accepted" in node.log_tail(), node.log_tail()
        check_all(node, digests)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    random.seed(args.seed)
    say(f"seed {args.seed}")
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="maps-") as parent, \
            Node(args.build, parent, 2, SETTINGS) as node:
        wire = Wire(node)
        wire.make_bucket(BUCKET)
        wire.make_bucket("filling")
        wire.close()
        digests = put_all(node, 400, SIZES)
        stopped(cases, node, digests)
        serving(cases, node, digests)
        without_log(cases, node, digests)
    cases.end()


if __name__ == "__main__":
    main()
