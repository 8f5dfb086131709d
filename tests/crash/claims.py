#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives that come back as somebody else.

usage: claims.py BUILD

An older copy of a drive is put in its place: it is refused, the node goes on without it and reads all.
A drive is taken out of a node that is gone and plugged into another: it keeps its identity, and what lies
on it counts there.
"""
import hashlib
import os
import random
import shutil
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, wait_until
from cluster import Cluster, wait_serves
from node import Node
from wire import Wire

BUCKET = "claims"
SIZES = (100, 5000, 200000, 3 << 20)


def put_all(node, name):
    digests = {}
    wire = Wire(node)
    for size in SIZES:
        body = random.randbytes(size)
        equal(wire.put(BUCKET, f"{name}-{size}", body).status, 200)
        digests[f"{name}-{size}"] = hashlib.md5(body).digest()
    wire.close()
    return digests


def read_all(node, digests):
    wire = Wire(node)
    for key, digest in digests.items():
        answer = wire.get(BUCKET, key)
        equal((key, answer.status, hashlib.md5(answer.body).digest()), (key, 200, digest))
    wire.close()


def states(node):
    return [drive["state"] for drive in node.rubus("drive", "list")["drives"]]


def copies(cases, build):
    """A copy of a drive that misses what was written since it was made."""
    with Node(build, drives=3) as node:
        wire = Wire(node)
        wire.make_bucket(BUCKET)
        wire.close()
        digests = put_all(node, "first")
        path = node.drive_paths()[1]
        node.stop()
        shutil.copytree(path, path + ".old")
        node.start()
        digests.update(put_all(node, "second"))
        node.stop()
        os.rename(path, path + ".new")
        os.rename(path + ".old", path)
        node.start()
        with cases.case("an older copy of a drive is refused, and the others go on"):
            equal(states(node), ["up", "out", "up"])
            assert "older copy" in node.rubus("drive", "list")["drives"][1]["why"]
            read_all(node, digests)
            digests.update(put_all(node, "third"))
        node.stop()
        shutil.rmtree(path)
        os.rename(path + ".new", path)
        node.start()
        with cases.case("the newest is taken again, also after a life without it"):
            equal(states(node), ["up", "up", "up"])
            read_all(node, digests)
        node.kill()
        node.start()
        with cases.case("a drive whose node was killed is no copy"):
            equal(states(node), ["up", "up", "up"])


def moves(cases, build):
    """The drive of a node that is gone, in another node."""
    with Cluster(build) as cluster:
        first, second, third = cluster.nodes
        wire = Wire(first)
        wire.make_bucket(BUCKET)
        wire.close()
        digests = put_all(first, "a")
        third.kill()
        digests.update(put_all(second, "b"))
        path = os.path.join(second.dir, "moved")
        os.rename(os.path.join(third.dir, "drive1"), path)
        with cases.case("a drive that is plugged into another node is the same drive there"):
            before = {drive["number"] for drive in second.run("df")["drives"]}
            added = second.run("drive", "add", path)
            assert added["drive"] in before, added

            def is_there():
                drives = {drive["number"]: drive for drive in first.run("df")["drives"]}
                drive = drives[added["drive"]]
                return (drive["node"], drive["state"]) == ("node2", "up")
            wait_until(is_there, 30, lambda: first.run("df"))
        with cases.case("what lies on it is read there, and what it missed is made up for"):
            wait_until(lambda: first.run("status")["cluster"]["missing"] == 0, 60,
                       lambda: first.run("status")["cluster"])
            wait_serves(first, BUCKET, "probe")
            read_all(first, digests)
        with cases.case("it is there after a restart"):
            second.stop()
            second.spawn()
            second.wait_ready()
            equal([drive["state"] for drive in second.run("drive", "list")["drives"]], ["up", "up"])
            wait_serves(second, BUCKET, "probe")
            read_all(second, digests)


def main():
    build = sys.argv[1]
    random.seed(20261122)
    cases = Cases()
    copies(cases, build)
    moves(cases, build)
    cases.end()


if __name__ == "__main__":
    main()
