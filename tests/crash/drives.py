#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives go, as many as may, and one more.

usage: drives.py BUILD

For 2 to 6 drives, every set of up to m of them is taken away and everything read back; with one more
away reads fail cleanly, and when the drives are back everything is there. Then, as root, drives on
file systems of their own end in the middle of 16 readers and writers: their file systems are shut down,
so that each read and write of theirs fails.
"""
import fcntl
import hashlib
import itertools
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from bitflip import LOST, all_right, read
from cases import Cases, equal, say
from node import Node, NodeEnded
from wire import Wire

BUCKET = "drives"
SIZES = (1000, 4097, 100000, 128 << 10, 1 << 20, 7000001, 66 << 20)
PARITY = {2: 1, 3: 1, 4: 2, 5: 2, 6: 2}
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def put_all(node):
    digests = {}
    wire = Wire(node)
    wire.make_bucket(BUCKET)
    for size in SIZES:
        for copy in range(3 if size < 1 << 20 else 1):
            body = random.randbytes(size)
            equal(wire.put(BUCKET, f"o{size}-{copy}", body).status, 200)
            digests[f"o{size}-{copy}"] = hashlib.md5(body).digest()
    wire.close()
    return digests


def read_all(node, digests):
    wire = Wire(node)
    results = {key: read(wire, BUCKET, key, digest) for key, digest in digests.items()}
    wire.close()
    return results


def put_and_get(node, name):
    """Writes go on, too, as long as a slot has two drives."""
    wire = Wire(node)
    body = random.randbytes(400000)
    answer = wire.put(BUCKET, name, body)
    equal(answer.status, 200)
    assert wire.get(BUCKET, name).body == body
    wire.close()
    return hashlib.md5(body).digest()


def layout(cases, build, count):
    with tempfile.TemporaryDirectory(prefix="drives-") as parent, \
            Node(build, parent, count) as node:
        digests = put_all(node)
        drives = node.drive_paths()
        sets = [away for n in range(1, PARITY[count] + 1) for away in itertools.combinations(drives, n)]
        with cases.case(f"of {count} drives each of {len(sets)} sets of up to {PARITY[count]} may be lost"):
            for away in sets:
                with_drives_away(node, away, lambda: all_right(read_all(node, digests)))
        with cases.case(f"what is written with a drive away is read with all {count}, and without it"):
            if count > 2:
                new = {}

                def write():
                    new["new"] = put_and_get(node, "new")
                with_drives_away(node, drives[:1], write)
                node.start()
                all_right(read_all(node, {**digests, **new}))
                node.stop()
                with_drives_away(node, drives[:1], lambda: all_right(read_all(node, new)))
                digests.update(new)
        with cases.case(f"of {count} drives one too many away is an error, and all is there afterwards"):
            too_many = list(itertools.combinations(drives, PARITY[count] + 1))
            for away in random.sample(too_many, min(3, len(too_many))):
                if count > len(away):
                    with_drives_away(node, away, lambda: not_all_right(read_all(node, digests)))
                else:
                    no_drive_left(node, away)
            node.start()
            all_right(read_all(node, digests))


def not_all_right(results):
    bad = {key: r for key, r in results.items() if r not in ("right", "refused", "cut")}
    assert not bad, bad
    assert "refused" in results.values(), f"nothing was refused: {results}"
    inline = {key: r for key, r in results.items() if key.startswith("o1000-")}
    all_right(inline)


def no_drive_left(node, away):
    """A node without any drive does not start, and says why."""
    try:
        with_drives_away(node, away, lambda: None)
    except NodeEnded as error:
        assert "no drive is left" in str(error), error
    else:
        raise AssertionError("a node without drives serves")


def with_drives_away(node, away, function):
    """Leaves the node stopped."""
    if node.process.poll() is None:
        node.stop()
    for drive in away:
        node.take_drive(drive)
    try:
        node.start()
        function()
        node.stop()
    finally:
        if node.process.poll() is None:
            node.kill()
        for drive in away:
            node.return_drive(drive)


# --- drives that end while they are used ------------------------------------------------------------


class Image:
    """A file system of its own for one drive."""

    def __init__(self, parent, path, mib):
        self.path, self.file = path, os.path.join(parent, os.path.basename(path) + ".img")
        with open(self.file, "wb") as file:
            file.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.file],
                       check=True)
        self.move()

    def move(self):
        """What lies in the drive's directory moves into the image, which is mounted over it."""
        old = self.path + ".old"
        os.rename(self.path, old)
        os.mkdir(self.path)
        self.mount()
        subprocess.run(["cp", "-a", old + "/.", self.path], check=True)
        subprocess.run(["rm", "-rf", old], check=True)

    def mount(self):
        subprocess.run(["mount", "-o", "loop,noatime", self.file, self.path], check=True)

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=False)

    def shut_down(self):
        """From here on every access fails with EIO, until it is unmounted."""
        fd = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(fd)


def live(cases, build, count):
    """m drives end one after the other, while 16 clients read and write."""
    with tempfile.TemporaryDirectory(prefix="drives-") as parent:
        node = Node(build, parent, count)
        node.start()
        paths = node.drive_paths()
        node.stop()
        images = [Image(parent, path, 1000) for path in paths]
        try:
            with node:
                live_cases(cases, node, images, count)
        finally:
            for image in images:
                image.unmount()


def live_cases(cases, node, images, count):
    digests = put_all(node)
    keys = list(digests)
    wrong, written = [], {}
    results = {"reads": 0, "writes": 0, "writes refused": 0}
    is_over = threading.Event()

    def work(number):
        wire, rng = Wire(node, timeout=30), random.Random(number)
        serial = 0
        while not is_over.is_set():
            key = rng.choice(keys)
            result = read(wire, BUCKET, key, digests[key])
            results["reads"] += 1
            if result != "right":
                wrong.append((key, result))
            if number < 4:
                serial += 1
                write(wire, f"w{number}-{serial % 8}", rng.randbytes(rng.choice((2000, 90000, 700000))))
        wire.close()

    def write(wire, key, body):
        try:
            answer = wire.put(BUCKET, key, body)
        except LOST:
            wire.close()
            written.pop(key, None)
            return
        if answer.status == 200:
            written[key] = hashlib.md5(body).digest()
            results["writes"] += 1
        else:
            results["writes refused"] += 1
            written.pop(key, None)

    with cases.case(f"of {count} drives {PARITY[count]} end under 16 readers and nobody notices"):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for image in images[:PARITY[count]]:
            time.sleep(2)
            image.shut_down()
        time.sleep(3)
        is_over.set()
        for thread in threads:
            thread.join()
        say(f"{count} drives, {PARITY[count]} of them ended: {results}, {len(wrong)} reads not right")
        assert not wrong, wrong[:10]
    with cases.case(f"what was acknowledged while drives ended is there ({count} drives)"):
        all_right(read_all(node, {**digests, **written}))
        assert results["writes"] > 10, results
    with cases.case(f"drives that ended are back after a restart ({count} drives)"):
        node.stop()
        for image in images[:PARITY[count]]:
            image.unmount()
            image.mount()
        node.start()
        all_right(read_all(node, {**digests, **written}))
        equal(node.rubus("status")["state"], "ok")
        put_and_get(node, "afterwards")


def main():
    build = sys.argv[1]
    random.seed(20261121)
    cases = Cases()
    for count in PARITY:
        layout(cases, build, count)
    if os.geteuid() == 0:
        for count in (2, 4):
            live(cases, build, count)
    else:
        say("not root: no drive ends while it is used")
    cases.end()


if __name__ == "__main__":
    main()
