#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What was written behind the end of an archive comes back in a bucket of its own.

usage: salvage.py BUILD

A node with four drives, of which any two may be lost, writes on after its archive was last written: copies,
coded objects, one of two extents, parts; an object is overwritten and one deleted while two drives are away,
and one deleted while one is; two are compressed. Then the state directory goes. What all of it can be read of
is in the bucket recovered-DATE after rubus index salvage; of what was deleted there is nothing elsewhere; the
rest, and what is compressed, is told.
The same with three nodes, where each has only some shards.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from archive import BUCKET, Alone, Together, World, archived, cases, ok, rng
from cases import equal, wait_until
from wire import Wire

LARGE = 66 << 20  # two extents
ZIPPED = "zipped"  # a bucket that compresses


def md5(body):
    return hashlib.md5(body).hexdigest()


def salvage(node, config, *more):
    return subprocess.run([node.program, "index", "salvage", "--config", config, "--json", *more],
                          capture_output=True, text=True, timeout=120)


def salvaged(node, config, *more):
    run = salvage(node, config, *more)
    if run.returncode:
        raise AssertionError(f"salvage: {run.returncode}: {run.stdout}{run.stderr}")
    return json.loads(run.stdout)


def set_archives_aside(drives):
    """As if what was archived later went with the power."""
    for path in drives:
        shutil.copytree(os.path.join(path, "archive"), os.path.join(path, "archive.then"))


def go_back(drives):
    for path in drives:
        shutil.rmtree(os.path.join(path, "archive"))
        os.rename(os.path.join(path, "archive.then"), os.path.join(path, "archive"))


def put_late(wire, expected, key, size):
    body = rng.randbytes(size)
    ok(wire.put(BUCKET, key, body))
    expected[f"{BUCKET}/{key}"] = md5(body)


def put_late_parts(wire, expected, key, sizes):
    late = World()
    late.put_parts(wire, key, sizes)
    expected[f"{BUCKET}/{key}"] = late.there[key]


def check_recovered(wire, bucket, expected):
    equal(sorted(key for key, _, _ in wire.list(bucket)), sorted(expected))
    for key, digest in expected.items():
        equal((key, md5(ok(wire.get(bucket, key)).body)), (key, digest))


class One(Alone):
    def __init__(self, build, parent):
        super().__init__(build, parent)
        self.expected = {}

    def without(self, count, do):
        drives = self.node.drive_paths()[:count]
        self.node.stop()
        for path in drives:
            self.node.take_drive(path)
        self.node.start()
        do(Wire(self.node))
        self.node.stop()
        for path in drives:
            self.node.return_drive(path)

    def write_late(self):
        self.node.start()
        wire = Wire(self.node)
        wire.make_bucket(BUCKET)
        wire.make_bucket(ZIPPED)
        self.node.rubus("bucket", "set", ZIPPED, "compression=zstd")
        self.world.fill(wire, "a")
        self.wait_archived()
        set_archives_aside(self.node.drive_paths())
        for number in range(3):
            put_late(wire, self.expected, f"late/mirror/{number}", 30000)
        put_late(wire, self.expected, "late/coded ä+/1", 1_500_000)
        put_late(wire, self.expected, "late/large", LARGE)
        put_late_parts(wire, self.expected, "late/parts", (5 << 20, 5 << 20, 20000))
        put_late(wire, self.expected, "late/twice", 300_000)
        put_late(wire, self.expected, "late/deleted", 400_000)
        ok(wire.put(BUCKET, "late/lost", rng.randbytes(500_000)))
        for key, size in (("copies", 30000), ("coded", 1_500_000)):
            ok(wire.put(ZIPPED, key, rng.randbytes(size).hex().encode()))
        self.without(1, self.delete_all_but_one)
        self.without(2, self.change)

    def used(self):
        return self.node.metric("rubus_drive_used_bytes")

    def delete_all_but_one(self, wire):
        before = self.used()
        ok(wire.delete(BUCKET, "late/lost"))
        wait_until(lambda: self.used() < before - 700_000, 20, "freed where it can be")

    def change(self, wire):
        """What both drives have of it stays there."""
        ok(wire.delete(BUCKET, "late/deleted"))
        first = self.expected.pop(f"{BUCKET}/late/twice")
        put_late(wire, self.expected, "late/twice", 300_000)
        self.overwritten = first

    def come_back(self):
        root = open(os.path.join(self.state, "root.key")).read()
        shutil.rmtree(self.state)
        go_back(self.node.drive_paths())
        self.start_rebuilt(root)
        self.world.check(Wire(self.node))

    def look_first(self):
        report = salvaged(self.node, self.config, "--dry-run")
        equal((report["done"], report["dry_run"], report["bucket"]), (True, True, ""))
        equal(len(report["recovered"]), len(self.expected) + 1)
        self.world.check(Wire(self.node))
        equal("recovered-" in json.dumps(self.node.rubus("bucket", "list")), False)

    def salvage(self):
        report = salvaged(self.node, self.config)
        equal(re.fullmatch(r"recovered-\d{8}", report["bucket"]) is not None, True)
        self.bucket = report["bucket"]
        old = [one["key"] for one in report["recovered"]
               if one["key"].startswith(f"{BUCKET}/late/twice.")]
        equal(len(old), 1)
        self.expected[old[0]] = self.overwritten
        equal(sorted(one["key"] for one in report["recovered"]), sorted(self.expected))
        parts = {one["key"]: one["parts"] for one in report["recovered"]}
        equal(parts[f"{BUCKET}/late/parts"], "1-3")
        why = {one["object"]: one["why"] for one in report["incomplete"]}
        zipped = [f"{ZIPPED}/coded", f"{ZIPPED}/copies"]
        equal(sorted(why), [f"{BUCKET}/late/lost", *zipped])
        lost = why[f"{BUCKET}/late/lost"]
        equal("of 2" in lost or "2 are needed" in lost, True)
        equal(["compressed" in why[one] for one in zipped], [True, True])
        equal([one["state"] for one in report["drives"]], ["read"] * 4)
        wire = Wire(self.node)
        check_recovered(wire, self.bucket, self.expected)
        self.world.check(wire)
        equal(wire.get(BUCKET, "late/deleted").status, 404)

    def again(self):
        self.node.stop()
        self.node.start()
        report = salvaged(self.node, self.config)
        equal((report["bucket"], report["recovered"], report["already"]),
              (self.bucket, [], len(self.expected)))
        check_recovered(Wire(self.node), self.bucket, self.expected)

    def confirm(self):
        self.node.rubus("cluster", "confirm")
        run = salvage(self.node, self.config)
        equal((run.returncode, "not held" in run.stdout + run.stderr), (6, True))
        self.node.stop()
        self.node.start()
        wire = Wire(self.node)
        self.world.check(wire)
        check_recovered(wire, self.bucket, self.expected)


class Three(Together):
    def drives(self):
        return [path for node in self.nodes for path in node.drive_paths()]

    def lose_all(self):
        self.expected = {}
        self.world.fill(Wire(self.nodes[1]), "a")
        for node in self.nodes:
            wait_until(lambda: archived(node.run, 1), 30, lambda: json.dumps(node.run("status")["archive"]))
        set_archives_aside(self.drives())
        for number, node in enumerate(self.nodes):
            put_late(Wire(node), self.expected, f"late/mirror/{number}", 20000)
            put_late(Wire(node), self.expected, f"late/coded/{number}", 2_000_000)
        put_late_parts(Wire(self.nodes[2]), self.expected, "late/parts", (5 << 20, 70000))
        root = open(os.path.join(self.state(self.nodes[0]), "root.key")).read()
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            shutil.rmtree(self.state(node))
        go_back(self.drives())
        self.rebuild(root)

    def salvage_some(self):
        """Coded objects cannot be read while the others have not joined."""
        node = self.nodes[0]
        wait_until(lambda: salvaged(node, node.config, "--dry-run")["unsettled"] == 0, 60,
                   "sessions of nodes that are gone are closed")
        report = salvaged(node, node.config)
        coded = sorted(key for key in self.expected if "/coded/" in key)
        equal(sorted({one["object"] for one in report["incomplete"]} & set(coded)), coded)
        equal(sorted(one["state"] == "read" for one in report["drives"]), [False, False, True])
        self.first = report

    def salvage_all(self):
        for node in self.nodes[1:]:
            self.rejoin(node)
        self.cluster.wait_voters(3)
        report = salvaged(self.nodes[0], self.nodes[0].config)
        self.bucket = report["bucket"]
        equal((report["incomplete"], report["failed"]), ([], []))
        equal(self.first["bucket"] in ("", self.bucket), True)
        equal(report["already"], len(self.first["recovered"]))
        equal(len(report["recovered"]) + report["already"], len(self.expected))
        for node in self.nodes:
            check_recovered(Wire(node), self.bucket, self.expected)
            self.world.check(Wire(node))
        self.nodes[0].run("cluster", "confirm")


def alone(build, parent):
    one = One(build, parent)
    try:
        play(one)
    finally:
        if one.node.process and one.node.process.poll() is None:
            one.node.kill()


def play(one):
    with cases.case("objects are written behind the end of an archive"):
        one.write_late()
    with cases.case("an index without them comes back"):
        one.come_back()
    with cases.case("a dry run says what can be brought back, and changes nothing"):
        one.look_first()
    with cases.case("what is whole comes back in a bucket of its own, and the rest is told"):
        one.salvage()
    with cases.case("a second run brings back nothing twice"):
        one.again()
    with cases.case("a confirmation ends it, and what came back stays"):
        one.confirm()


def together(build, parent):
    three = Three(build, parent)
    with three.cluster:
        Wire(three.nodes[0]).make_bucket(BUCKET)
        with cases.case("three nodes lose their state and what was archived last"):
            three.lose_all()
        with cases.case("what one node alone has too little of is told"):
            three.salvage_some()
        with cases.case("when the others are there all of it comes back"):
            three.salvage_all()


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="salvage-") as parent:
        for part in (alone, together):
            directory = os.path.join(parent, part.__name__)
            os.mkdir(directory)
            part(build, directory)
    cases.end()


if __name__ == "__main__":
    main()
