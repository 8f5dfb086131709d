#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node with its log on several drives is killed under load and then loses a place of its index.

usage: mirror.py BUILD

On 2, 3 and 5 drives: four clients write, the process is killed, and before it is started again the
index in the state directory is removed, a drive with the log is taken away, the last frames of one copy
of the log change, the state directory goes altogether. Everything that was acknowledged is read back
each time. Then a drive is added to a node that runs. The drives are directories of one file system here: RUBUS_LOG_COPIES makes the node treat
them as several.
"""
import hashlib
import http.client
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from node import Node, NodeEnded
from wire import Wire

BUCKET = "mirror"
LOST = (OSError, http.client.HTTPException)
COPIES = {2: 2, 3: 2, 5: 3}
CLIENTS = 4
SECONDS = 1.0
FRAME_HEADER = struct.Struct("<8s7QII")  # magic, id, generation, sequence, offset, ..., payload length


class Load:
    """What clients were told is there, over all lives of a node."""

    def __init__(self, node):
        self.node, self.serial = node, 0
        self.known = {}  # key: what it may be, digests or None
        self.acknowledged = 0

    def work(self, number, until):
        wire, rng = Wire(self.node, timeout=10), random.Random(f"{number} {self.serial}")
        while time.monotonic() < until:
            key = f"{number}/{rng.randrange(40)}"
            before = self.known.get(key, {None})
            body = rng.randbytes(rng.choice((10, 900, 4096, 30000, 200000)))
            digest = hashlib.md5(body).digest()
            delete = rng.random() < 0.2
            self.known[key] = before | {None if delete else digest}
            try:
                answer = wire.delete(BUCKET, key) if delete else wire.put(BUCKET, key, body)
            except LOST:
                break
            if answer.status in (200, 204):
                self.known[key] = {None if delete else digest}
                self.acknowledged += 1
        wire.close()

    def run_and_kill(self):
        self.serial += 1
        threads = [threading.Thread(target=self.work, args=(i, time.monotonic() + 30))
                   for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(SECONDS)
        self.node.kill()
        for thread in threads:
            thread.join()

    def check(self):
        wire = Wire(self.node)
        for key, states in self.known.items():
            answer = wire.get(BUCKET, key)
            assert answer.status in (200, 404), (key, answer)
            found = hashlib.md5(answer.body).digest() if answer.status == 200 else None
            assert found in states, f"{key} is none of the {len(states)} things it may be: {answer.status}"
            self.known[key] = {found}
        wire.close()


def state_dir(node):
    return os.path.join(node.dir, "node")


def log_drives(node):
    """Drives with a copy in sync, as the last set in the state directory has them."""
    return [path for path in node.drive_paths() if os.path.exists(os.path.join(path, "log-state"))]


def frames(path):
    """Places of the frames at the beginning of a segment, and their generation and sequence."""
    found, generation = [], None
    with open(path, "rb") as file:
        offset = 0
        while True:
            file.seek(offset)
            head = file.read(96)
            if len(head) < 96:
                return found
            magic, _, number, sequence, at, _, _, _, length, _ = FRAME_HEADER.unpack(
                head[:FRAME_HEADER.size])
            if at != offset or magic == bytes(8) or generation not in (None, number):
                return found
            generation = number
            found.append((number, sequence, path, offset, 96 + length))
            offset += (96 + length + 4095) // 4096 * 4096


def flip_last_frames(drive, count=3):
    directory = os.path.join(drive, "log")
    found = sorted(frame for name in os.listdir(directory)
                   for frame in frames(os.path.join(directory, name)))
    assert len(found) > count, "the log has too few frames"
    for _, _, path, offset, length in found[-count:]:
        with open(path, "r+b") as file:
            place = offset + random.randrange(length)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << random.randrange(8)]))


def status(node):
    log = node.rubus("status")["log"]
    return log["in_sync"], log["wanted"]


def lose_index(node):
    shutil.rmtree(os.path.join(state_dir(node), "index"))


def lose_state(node):
    """All but the configuration; the root key is only in the index then."""
    with open(os.path.join(state_dir(node), "root.key"), "rb") as file:
        key = file.read()
    shutil.rmtree(state_dir(node))
    try:
        node.start()
    except NodeEnded as ended:
        assert "init --from-drives" in str(ended), ended
    else:
        raise AssertionError("it starts without a state directory")
    config = os.path.join(node.dir, "rubus.yaml")
    subprocess.run([node.program, "init", "--from-drives", "--config", config], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(os.path.join(state_dir(node), "root.key"), "wb") as file:
        file.write(key)


def layout(cases, build, count):
    with tempfile.TemporaryDirectory(prefix="mirror-") as parent:
        node = Node(build, parent, count, {"RUBUS_LOG_COPIES": str(COPIES[count])})
        load = Load(node)
        copies = COPIES[count]
        try:
            node.start()
            Wire(node).make_bucket(BUCKET)
            losses = (("the index in the state directory", lose_index),
                      ("bits in the last frames of a copy", lambda node: flip_last_frames(log_drives(node)[0])),
                      ("the state directory", lose_state))
            for name, lose in losses:
                with cases.case(f"{count} drives, {copies} copies of the log: killed, then {name} is lost"):
                    load.run_and_kill()
                    lose(node)
                    node.start()
                    equal(status(node), (copies, copies))
                    load.check()
            with cases.case(f"{count} drives, {copies} copies of the log: killed, then a log drive is lost"):
                load.run_and_kill()
                away = log_drives(node)[0]
                node.take_drive(away)
                node.start()
                equal(status(node), (min(copies, count - 1), copies))
                load.check()
                node.kill()
            with cases.case(f"{count} drives, {copies} copies of the log: an old copy does not rule"):
                old_only(node, away)
                node.return_drive(away)
                node.start()
                equal(status(node), (copies, copies))
                load.check()
                node.stop()
            say(f"{count} drives: {load.acknowledged} writes acknowledged")
        finally:
            if node.process and node.process.poll() is None:
                node.kill()


def grows(cases, build):
    """A drive that is added gets its copies while the node runs."""
    with tempfile.TemporaryDirectory(prefix="mirror-") as parent:
        with Node(build, parent, 2, {"RUBUS_LOG_COPIES": "3", "RUBUS_SEGMENT_MIB": "96"}) as node:
            load, added = Load(node), os.path.join(node.dir, "added")
            Wire(node).make_bucket(BUCKET)
            with cases.case("an added drive gets a copy of the log, and of who the node is, without a start"):
                equal(status(node), (2, 2))
                node.rubus("drive", "add", added)
                Wire(node).put(BUCKET, "one", b"more")
                equal(status(node), (3, 3))
                assert os.path.exists(os.path.join(added, "log-state")), os.listdir(added)
                assert os.path.exists(os.path.join(added, "identity")), os.listdir(added)
            with cases.case("all is there when only the added drive's copy of the log is left"):
                load.run_and_kill()
                for path in node.drive_paths():
                    shutil.rmtree(os.path.join(path, "log"))
                    os.remove(os.path.join(path, "log-state"))
                node.start()
                equal(status(node), (1, 3))
                load.check()
                equal(Wire(node).get(BUCKET, "one").body, b"more")
    with tempfile.TemporaryDirectory(prefix="mirror-") as parent:
        with Node(build, parent, 1, {"RUBUS_SEGMENT_MIB": "96"}) as node:
            Wire(node).make_bucket(BUCKET)
            def copies():
                archive = node.rubus("status")["archive"]
                return archive["copies"], archive["wanted"]
            with cases.case("an added drive gets the archive of the index without a start"):
                wait_until(lambda: copies() == (1, 1), 30, copies)
                node.rubus("drive", "add", os.path.join(node.dir, "added"))
                wait_until(lambda: copies() == (2, 2), 60, copies)


def old_only(node, old):
    """The drive that was away alone: what it has is not the newest, and the state directory knows."""
    others = [path for path in node.drive_paths() if path != old]
    node.return_drive(old)
    for path in others:
        node.take_drive(path)
    try:
        node.start()
    except NodeEnded as ended:
        assert "RUBUS_ACCEPT_OLDER_INDEX=true" in str(ended) or "bring" in str(ended), ended
    else:
        raise AssertionError("an old copy is served")
    finally:
        if node.process.poll() is None:
            node.kill()
        for path in others:
            node.return_drive(path)
        node.take_drive(old)


def main():
    random.seed(20261121)
    cases = Cases()
    for count in COPIES:
        layout(cases, sys.argv[1], count)
    grows(cases, sys.argv[1])
    cases.end()


if __name__ == "__main__":
    main()
