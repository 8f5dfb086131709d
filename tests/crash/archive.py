#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The index comes back from its archive on the drives when every state directory is lost.

usage: archive.py BUILD

One node with four drives (two of them are parity): inline, mirrored, coded and multipart objects, copies
whose source is deleted, overwrites, deletes while a drive is away. Then the process is killed, the state
directory goes, and with it two of the drives; rubus index rebuild makes it anew. Everything that was
acknowledged is read back, and nothing that was deleted is there. Then an archive that is damaged, and
what is refused. Last, three nodes that all lose their state.
"""
import concurrent.futures
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster
from node import Node
from wire import Wire

BUCKET = "archived"
os.environ["RUBUS_ARCHIVE_SECONDS"] = "1"
cases = Cases()
rng = random.Random(20)


def ok(answer, *statuses):
    if answer.status not in (statuses or (200, 204)):
        raise AssertionError(repr(answer))
    return answer


class World:
    """What was acknowledged, and what was deleted."""

    def __init__(self):
        self.there, self.gone = {}, set()

    def put(self, wire, key, size):
        body = rng.randbytes(size)
        ok(wire.put(BUCKET, key, body))
        self.there[key] = hashlib.md5(body).hexdigest()
        self.gone.discard(key)

    def put_parts(self, wire, key, sizes):
        upload, etags, whole = wire.start_upload(BUCKET, key), [], b""
        for number, size in enumerate(sizes, 1):
            body = rng.randbytes(size)
            etags.append(ok(wire.put_part(BUCKET, key, upload, number, body)).headers["etag"])
            whole += body
        ok(wire.complete_upload(BUCKET, key, upload, etags))
        self.there[key] = hashlib.md5(whole).hexdigest()

    def copy(self, wire, source, key):
        ok(wire.put(BUCKET, key, b"", headers={"x-amz-copy-source": f"/{BUCKET}/{source}"}))
        self.there[key] = self.there[source]

    def delete(self, wire, key):
        ok(wire.delete(BUCKET, key))
        del self.there[key]
        self.gone.add(key)

    def fill(self, wire, prefix):
        for number in range(20):
            self.put(wire, f"{prefix}/inline/{number}", rng.choice((0, 10, 4000)))
            self.put(wire, f"{prefix}/mirror/{number}", 20000)
        for number in range(4):
            self.put(wire, f"{prefix}/coded/{number}", 1_500_000 + number)
        self.put_parts(wire, f"{prefix}/parts", (5 << 20, 5 << 20, 1000))
        for kind in ("inline/1", "mirror/1", "coded/1", "parts"):
            self.copy(wire, f"{prefix}/{kind}", f"{prefix}/copy/{kind}")
            self.delete(wire, f"{prefix}/{kind}")
        self.put(wire, f"{prefix}/coded/2", 900_000)  # another body

    def delete_some(self, wire, prefix):
        for kind in ("inline/5", "mirror/5", "coded/3", "copy/coded/1"):
            self.delete(wire, f"{prefix}/{kind}")

    def check(self, wire):
        listed = {key for key, _, _ in wire.list(BUCKET)}
        equal(sorted(listed), sorted(self.there))
        for key, digest in self.there.items():
            equal((key, hashlib.md5(ok(wire.get(BUCKET, key)).body).hexdigest()), (key, digest))
        for key in self.gone:
            equal((key, wire.get(BUCKET, key).status), (key, 404))


def archived(ask, copies):
    """Is everything that is committed on so many drives?"""
    status = ask("status")
    archive, index = status["archive"], status["index"]
    return (archive["complete"] and not archive["behind"] and not archive["copying"]
            and archive["copies"] == copies and archive["waiting_ms"] == 0
            and archive["log_index"] >= index["committed"] == index["applied"])


def rebuild(program, config, *more):
    return subprocess.run([program, "index", "rebuild", "--from-drives", "--config", config, "--json", *more],
                          capture_output=True, text=True, timeout=60)


def rebuilt(program, config):
    run = rebuild(program, config)
    if run.returncode:
        raise AssertionError(f"rebuild: {run.returncode}: {run.stdout}{run.stderr}")
    return json.loads(run.stdout)


class Alone:
    """One node that loses its state again and again."""

    def __init__(self, build, parent):
        self.node = Node(build, parent, drives=4)
        self.state = os.path.join(self.node.dir, "node")
        self.config = os.path.join(self.node.dir, "rubus.yaml")
        self.world = World()

    def wait_archived(self, copies=3):
        wait_until(lambda: archived(self.node.rubus, copies), 30,
                   lambda: json.dumps(self.node.rubus("status")["archive"]))

    def lose_state(self):
        self.node.kill()
        root = open(os.path.join(self.state, "root.key")).read()
        shutil.rmtree(self.state)
        return root

    def start_rebuilt(self, root):
        report = rebuilt(self.node.program, self.config)
        with open(os.path.join(self.state, "root.key"), "w") as file:
            file.write(root)
        self.node.start()
        return report

    def begin(self):
        self.node.start()
        wire = Wire(self.node)
        wire.make_bucket(BUCKET)
        self.world.fill(wire, "a")
        away = self.node.drive_paths()[1]
        self.node.stop()
        self.node.take_drive(away)
        self.node.start()
        self.world.delete_some(Wire(self.node), "a")
        self.node.stop()
        self.node.return_drive(away)
        self.node.start()
        self.wait_archived()

    def come_back_whole(self):
        root = self.lose_state()
        report = self.start_rebuilt(root)
        self.world.check(Wire(self.node))
        equal(report["epoch"], 1)

    def put_other_rows(self):
        """What is no object: an upload that goes on, metadata, another bucket, a key."""
        wire, self.part = Wire(self.node), rng.randbytes(5 << 20)
        wire.make_bucket("other")
        self.upload = wire.start_upload(BUCKET, "goes-on")
        self.etag = ok(wire.put_part(BUCKET, "goes-on", self.upload, 1, self.part)).headers["etag"]
        self.aborted = wire.start_upload(BUCKET, "aborted")
        ok(wire.put_part(BUCKET, "aborted", self.aborted, 1, b"a"))
        ok(wire.request("DELETE", f"/{BUCKET}/aborted", query=[("uploadId", self.aborted)]))
        headers = {"x-amz-meta-colour": "blue", "content-type": "text/x-test", "x-amz-tagging": "a=b"}
        ok(wire.put(BUCKET, "described", b"d", headers=headers))
        self.world.there["described"] = hashlib.md5(b"d").hexdigest()
        self.key = self.node.rubus("key", "create")["id"]
        self.wait_archived()

    def find_other_rows(self):
        root = self.lose_state()
        self.start_rebuilt(root)
        wire = Wire(self.node)
        got = ok(wire.get(BUCKET, "described"))
        equal((got.headers["x-amz-meta-colour"], got.headers["content-type"], got.headers["x-amz-tagging-count"]),
              ("blue", "text/x-test", "1"))
        equal("other" in json.dumps(self.node.rubus("bucket", "list")), True)
        equal(self.key in json.dumps(self.node.rubus("key", "list")), True)
        equal(wire.put_part(BUCKET, "aborted", self.aborted, 1, b"a").status, 404)
        last = ok(wire.put_part(BUCKET, "goes-on", self.upload, 2, b"last")).headers["etag"]
        ok(wire.complete_upload(BUCKET, "goes-on", self.upload, [self.etag, last]))
        self.world.there["goes-on"] = hashlib.md5(self.part + b"last").hexdigest()
        self.world.check(wire)

    def lose_drives_too(self):
        drives = self.node.drive_paths()
        for prefix, lost in (("b", drives[:2]), ("c", drives[2:])):
            self.world.fill(Wire(self.node), prefix)
            self.world.delete_some(Wire(self.node), prefix)
            self.wait_archived()
            root = self.lose_state()
            for path in lost:
                self.node.take_drive(path)
            self.start_rebuilt(root)
            self.world.check(Wire(self.node))
            self.node.stop()
            for path in lost:
                self.node.return_drive(path)
            self.node.start()
            self.world.check(Wire(self.node))
            self.wait_archived()

    def pass_damage_by(self):
        self.world.put(Wire(self.node), "late", 3000)
        self.wait_archived()
        root = self.lose_state()
        directory = os.path.join(self.node.drive_paths()[0], "archive")
        for name in os.listdir(directory):
            if name.startswith("full-"):
                with open(os.path.join(directory, name), "r+b") as file:
                    file.seek(200)
                    byte = file.read(1)[0]
                    file.seek(200)
                    file.write(bytes([byte ^ 1]))
        report = self.start_rebuilt(root)
        self.world.check(Wire(self.node))
        equal(report["damaged"] >= 1 and report["archive"] != self.node.drive_paths()[0], True)

    def tell_what_is_late(self):
        """An archive that ends before the last writes: as if those five minutes went with the power."""
        self.wait_archived()
        archives = [os.path.join(path, "archive") for path in self.node.drive_paths()]
        for archive in archives:
            shutil.copytree(archive, archive + ".then")
        wire, late = Wire(self.node), [f"late/{number}" for number in range(5)]
        for key in late:
            ok(wire.put(BUCKET, key, rng.randbytes(50000)))
        self.node.stop()  # so that the tables of locations have them
        self.node.start()
        root = self.lose_state()
        for archive in archives:
            shutil.rmtree(archive)
            os.rename(archive + ".then", archive)
        report = self.start_rebuilt(root)
        equal(sorted(report["late"]["keys"]), sorted(f"{BUCKET}/{key}" for key in late))
        equal((report["late"]["bytes"], report["late"]["more"]), (5 * 50000, False))
        self.world.check(Wire(self.node))

    def be_quiet(self):
        self.wait_archived()
        written = self.node.metric("rubus_index_archive_written_bytes_total")
        wait_until(lambda: self.node.metric("rubus_index_archive_waiting_seconds") == 0, 10, "flushed")
        for _ in range(3):
            self.node.rubus("status")
        equal(self.node.metric("rubus_index_archive_written_bytes_total"), written)

    def refuse(self):
        run = rebuild(self.node.program, self.config)
        equal((run.returncode, "state of a node" in run.stdout + run.stderr), (6, True))
        before = sorted(os.listdir(self.state))
        run = rebuild(self.node.program, self.config, "--dry-run")
        equal((run.returncode, json.loads(run.stdout)["dry_run"]), (0, True))
        equal(sorted(os.listdir(self.state)), before)
        self.node.stop()
        shutil.rmtree(self.state)
        for path in self.node.drive_paths():
            shutil.rmtree(os.path.join(path, "archive"))
        run = rebuild(self.node.program, self.config)
        equal((run.returncode, "has an archive" in run.stdout + run.stderr), (5, True))
        equal(os.path.exists(os.path.join(self.state, "identity")), False)


def alone(build, parent):
    one = Alone(build, parent)
    with cases.case("an index is archived while it is used"):
        one.begin()
    with cases.case("all of the index comes back when the state directory is lost"):
        one.come_back_whole()
    with cases.case("so do uploads that go on, metadata, tags, buckets and keys"):
        one.put_other_rows()
        one.find_other_rows()
    with cases.case("it comes back with any two of four drives lost too"):
        one.lose_drives_too()
    with cases.case("an archive that is damaged is passed by"):
        one.pass_damage_by()
    with cases.case("what was written behind the end of an archive is told, and is not there"):
        one.tell_what_is_late()
    with cases.case("nothing is written while nothing changes"):
        one.be_quiet()
    with cases.case("a rebuild that cannot be right is refused"):
        one.refuse()


# --- under load -------------------------------------------------------------------------------------

BUSY_S = 8
WRITERS = 4


def write_on(node, number, end):
    wire, body = Wire(node, timeout=60), os.urandom(4096)
    count = 0
    while time.monotonic() < end:
        equal(wire.put("busy", f"{number}-{count}", body).status, 200)
        count += 1
    return count


def busy(build, parent):
    """Commits follow one another without a pause: a full copy begins in the middle of one."""
    with Cluster(build, parent) as cluster, concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        Wire(cluster.nodes[0]).make_bucket("busy")
        end = time.monotonic() + BUSY_S
        count = sum(pool.map(lambda number: write_on(cluster.nodes[0], number, end), range(WRITERS)))
        ends = []
        for node in cluster.nodes:
            with open(node.log_path) as file:
                ends += [line.rsplit(": ", 1)[1].strip() for line in file
                         if "archive of the index: full copy" in line]
        say(f"{count} objects of 4 KiB in {BUSY_S} s, full copies ended with {ends}")
        with cases.case("full copies are made while clients write without a pause"):
            assert len(ends) >= 6 and set(ends) == {"no error"}, ends


# --- several nodes ----------------------------------------------------------------------------------

class Together:
    """Three nodes, of which one differs, and which then lose everything but their drives."""

    def __init__(self, build, parent):
        self.plant = os.path.join(build, "tests", "plant")
        self.cluster = Cluster(build, parent)
        self.nodes = self.cluster.nodes
        self.world = World()

    def state(self, node):
        return os.path.join(node.dir, "node")

    def health(self, node):
        run = subprocess.run([node.program, "health", "--config", node.config, "--json"],
                             capture_output=True, text=True, timeout=60)
        return {finding["code"]: finding["what"] for finding in json.loads(run.stdout)["findings"]}

    def differ(self):
        first, _, third = self.nodes
        third.stop()
        subprocess.run([self.plant, os.path.join(self.state(third), "index")], check=True)
        third.spawn()
        wait_until(lambda: third.process.poll() is not None, 30, "the one that differs ends")
        equal(third.process.returncode != 0, True)
        equal("differs from that of most others" in third.log_tail(), True)
        for node in self.nodes[:2]:
            equal("node3" in self.health(node)["STATE_DIFFERS"], True)
            equal(node.process.poll(), None)
        self.world.put(Wire(first), "meanwhile", 3000)

    def rejoin(self, node):
        shutil.rmtree(self.state(node), ignore_errors=True)
        before = self.nodes[0].run("node", "list")["nodes"]
        self.cluster.join(node)
        self.cluster.give_key()
        equal(len(self.nodes[0].run("node", "list")["nodes"]), len(before))

    def heal(self):
        self.rejoin(self.nodes[2])
        self.cluster.wait_voters(3)
        wait_until(lambda: "STATE_DIFFERS" not in self.health(self.nodes[0]), 30, "all agree")
        self.world.check(Wire(self.nodes[2]))

    def lose_all(self):
        self.world.fill(Wire(self.nodes[1]), "a")
        self.world.delete_some(Wire(self.nodes[1]), "a")
        for node in self.nodes:
            wait_until(lambda: archived(node.run, 1), 30, lambda: json.dumps(node.run("status")["archive"]))
        root = open(os.path.join(self.state(self.nodes[0]), "root.key")).read()
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            shutil.rmtree(self.state(node))
        self.rebuild(root)

    def rebuild(self, root):
        second = self.nodes[1]  # did not found the cluster
        report = rebuilt(second.program, second.config)
        equal(report["epoch"] >= 1, True)
        second.spawn()
        second.wait_ready()
        self.nodes[0], self.nodes[1] = second, self.nodes[0]
        os.makedirs(self.state(second), exist_ok=True)
        with open(os.path.join(self.state(second), "root.key"), "w") as file:
            file.write(root)
        equal("COLLECTION_HELD" in self.health(second), True)

    def all_come_back(self):
        for node in self.nodes[1:]:
            self.rejoin(node)
        self.cluster.wait_voters(3)
        for node in self.nodes:
            self.world.check(Wire(node))
        self.nodes[0].run("cluster", "confirm")
        wait_until(lambda: "COLLECTION_HELD" not in self.health(self.nodes[0]), 10, "confirmed")
        self.world.put(Wire(self.nodes[2]), "after", 300000)
        self.world.check(Wire(self.nodes[1]))


def together(build, parent):
    three = Together(build, parent)
    with three.cluster:
        Wire(three.nodes[0]).make_bucket(BUCKET)
        with cases.case("a node whose rows differ leaves service, and the others name it"):
            three.differ()
        with cases.case("it joins again with its drives and is the same node"):
            three.heal()
        with cases.case("one of three nodes that lost their state is made anew of its drive"):
            three.lose_all()
        with cases.case("the others join it and all that was archived is there"):
            three.all_come_back()


def main():
    build = sys.argv[1]
    parent = tempfile.mkdtemp(prefix="archive-")
    for part in (alone, busy, together):
        directory = os.path.join(parent, part.__name__)
        os.mkdir(directory)
        part(build, directory)
    cases.end()


if __name__ == "__main__":
    main()
