#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File systems that fill up: puts are refused with an S3 error, what was acknowledged stays, deletes
work, and room that was made can be used again. Needs root, for a file system of its own.

usage: full.py BUILD
"""
import hashlib
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal, say, wait_until
from cluster import Cluster, wait_all_serve
from node import Node
from wire import Wire

BUCKET = "full"
REFUSALS = (500, 503, 507)
SEGMENT_MIB = 96
SETTINGS = {"RUBUS_ARCHIVE_SECONDS": "1", "RUBUS_SEGMENT_MIB": str(SEGMENT_MIB), "RUBUS_RESERVE_MIB": "8"}


class FileSystem:
    def __init__(self, parent, mib):
        self.image, self.path = os.path.join(parent, "image"), os.path.join(parent, "mount")
        os.mkdir(self.path)
        with open(self.image, "wb") as file:
            file.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)

    def __enter__(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)

    def free(self):
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize


def fill(wire, sizes, limit):
    """Puts until eight in a row are refused. Returns digests of what was acknowledged, and refusals."""
    digests, refusals, in_a_row = {}, [], 0
    for i in range(limit):
        body = random.randbytes(random.choice(sizes))
        answer = wire.put(BUCKET, f"k{i}", body)
        if answer.status == 200:
            digests[f"k{i}"] = hashlib.md5(body).digest()
            in_a_row = 0
        else:
            refusals.append(answer)
            in_a_row += 1
            if in_a_row == 8:
                return digests, refusals
    raise AssertionError(f"not full after {limit} puts")


def check_all(wire, digests):
    listed = {key for key, _, _ in wire.list(BUCKET)}
    equal(listed ^ set(digests), set())
    for key, digest in digests.items():
        answer = wire.get(BUCKET, key)
        assert answer.status == 200 and hashlib.md5(answer.body).digest() == digest, (key, answer)


def test(cases, build, what, sizes, mib, limit, place):
    with tempfile.TemporaryDirectory(prefix="full-") as parent, FileSystem(parent, mib) as system:
        with Node(build, place(build, parent, system), 1, SETTINGS) as node:
            wire = Wire(node)
            wire.make_bucket(BUCKET)
            digests = {}
            with cases.case(f"{what}: puts are refused with an S3 error"):
                digests, refusals = fill(wire, sizes, limit)
                say(f"{what}: {len(digests)} puts, then {refusals[-1]}; {system.free() >> 10} KiB free")
                bad = [r for r in refusals if r.status not in REFUSALS or not r.code]
                assert not bad, bad
                assert len(digests) > 10, len(digests)
            with cases.case(f"{what}: what was acknowledged is there"):
                check_all(wire, digests)
            with cases.case(f"{what}: also after a new start"):
                wire.close()
                node.restart()
                check_all(wire, digests)
            with cases.case(f"{what}: deletes work"):
                keys = list(digests)
                for key in keys[::2]:
                    equal(wire.delete(BUCKET, key).status, 204)
                    del digests[key]
                check_all(wire, digests)
            with cases.case(f"{what}: what was freed is used again"):
                body = random.randbytes(max(sizes))
                wait_until(lambda: wire.put(BUCKET, "again", body).status == 200, 120, "a put is accepted")
                digests["again"] = hashlib.md5(body).digest()
                check_all(wire, digests)
            wire.close()


def drive_only(build, parent, system):
    """The index has room, the drive has not: the small file system is mounted over the drive."""
    with Node(build, parent, 1, SETTINGS) as node:
        drive = node.drive_paths()[0]
    subprocess.run(["cp", "-a", drive + "/.", system.path], check=True)
    system.__exit__()
    system.path = drive
    system.__enter__()
    return parent


def everything(_build, _parent, system):
    return system.path


def fill_one_of_three(cluster, small):
    """Puts to all nodes until the drive of one gets no more of them, and 100 after that."""
    wires = [Wire(node) for node in cluster.nodes]
    digests, refusals, used, late = {}, [], [], None
    for i in range(3000):
        if i % 20 == 0:  # of 20 puts every drive gets a shard of at least one, if it takes any
            used.append(small.metric("rubus_drive_used_bytes"))
            late = late or (i if len(used) > 2 and used[-1] == used[-2] else None)
        body = random.randbytes(random.choice((3000, 200000, 1500000, 1500000)))
        answer = wires[i % 3].put(BUCKET, f"k{i}", body)
        if answer.status == 200:
            digests[f"k{i}"] = hashlib.md5(body).digest()
        else:
            refusals.append(answer)
        if late and i > late + 100:
            return digests, refusals, late
    raise AssertionError(f"the drive is not full after 3000 puts: {used}")


def check_on(nodes, digests):
    for node in nodes:
        wire = Wire(node)
        check_all(wire, digests)
        wire.close()


def test_cluster(cases, build, mib):
    """The drive of one node of three is small."""
    with tempfile.TemporaryDirectory(prefix="full-") as parent:
        cluster = Cluster(build, parent, environment=SETTINGS)
        small = cluster.nodes[2]
        system = FileSystem(parent, mib)
        os.rmdir(system.path)
        system.path = os.path.join(small.dir, "drive1")
        os.mkdir(system.path)
        with system, cluster:
            Wire(small).make_bucket(BUCKET)
            with cases.case("a full drive of one node of three: puts go on without it"):
                digests, refusals, late = fill_one_of_three(cluster, small)
                say(f"the drive was full at put {late}; {len(digests)} puts, then {len(refusals)} were refused "
                    f"{set(map(str, refusals))}; {system.free() >> 10} KiB free")
                bad = [r for r in refusals if r.status not in REFUSALS or not r.code]
                assert not bad, bad
                assert len(refusals) <= 10, f"{len(refusals)} of the puts were refused"
            with cases.case("a full drive of one node of three: nothing is lost, also by a new start of it"):
                check_on(cluster.nodes, digests)
                small.stop()
                cluster.restart([small])
                wait_all_serve(cluster, BUCKET, "alive")
                for node in cluster.nodes:
                    Wire(node).delete(BUCKET, f"alive-{node.name}")
                check_on(cluster.nodes, digests)
            with cases.case("a full drive of one node of three: deletes work, and give room"):
                before = small.metric("rubus_drive_used_bytes")
                for i, key in enumerate(list(digests)[:-20]):
                    equal(Wire(cluster.nodes[i % 3]).delete(BUCKET, key).status, 204)
                    del digests[key]
                check_on(cluster.nodes, digests)
                wait_until(lambda: small.metric("rubus_drive_used_bytes") < before / 4, 120,
                           lambda: small.metric("rubus_drive_used_bytes"))
            with cases.case("a full drive of one node of three: it is written to again"):
                before = small.metric("rubus_drive_used_bytes")

                def is_used():
                    body = random.randbytes(1500000)
                    key = f"again{len(digests)}"
                    equal(Wire(cluster.nodes[0]).put(BUCKET, key, body).status, 200)
                    digests[key] = hashlib.md5(body).digest()
                    return small.metric("rubus_drive_used_bytes") > before
                wait_until(is_used, 60, "a shard is there")
                check_on(cluster.nodes, digests)


def main():
    if os.geteuid() != 0:
        sys.exit("full.py needs root, for file systems of its own")
    build = sys.argv[1]
    random.seed(20261121)
    cases = Cases()
    test(cases, build, "a full drive", (30000, 200000, 1500000), 400, 3000, drive_only)
    test(cases, build, "a full disk, index and all", (30000, 200000, 1500000), 1200, 3000, everything)
    test(cases, build, "a disk full of tiny objects", (3000, 4000), 640, 100000, everything)
    test_cluster(cases, build, 500)
    cases.end()


if __name__ == "__main__":
    main()
