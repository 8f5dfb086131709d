#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damage on the drives of a node that serves is found and mended by a scrub, without a read of a client;
what it found is kept; pauses hold over restarts; and nothing is written while nothing is wrong.

usage: scrub.py BUILD
"""
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from bitflip import Data, all_right, extents
from cases import Cases, equal, say, wait_until
from flip import flip_blocks
from node import Node


def follow(node, task):
    """The verdict of a task, and the exit status of following it."""
    run = subprocess.run([node.program, "tasks", "follow", str(task), "--dir", node.dir, "--json"],
                         capture_output=True, text=True, timeout=120)
    return run.returncode, node.rubus("tasks", "--all")["tasks"]


def task_of(tasks, number):
    return next(task for task in tasks if task["id"] == number)


def scrub(node):
    number = node.rubus("scrub", "start")["tasks"][0]["id"]
    status, tasks = follow(node, number)
    return status, task_of(tasks, number)


def damage(node):
    """A byte of every block of one shard of each extent; says how many."""
    count = 0
    for records in extents(node).values():
        flip_blocks(random.choice(records))
        count += 1
    return count


def found_and_mended(cases, node, data):
    with cases.case("a scrub of what is whole says clean"):
        status, task = scrub(node)
        equal((status, task["verdict"], task["bad"]), (0, "clean", 0))
        assert task["bytes_done"] > sum(size for size in (300000, 1 << 20, 3000001, 12 << 20)), task
    with cases.case("damage is found and mended by a scrub, without a read"):
        gets = node.metric("rubus_bodies_read_total")
        flipped = damage(node)
        status, task = scrub(node)
        equal((status, task["verdict"], task["bad"], task["mended"], task["unread"]),
              (0, "mended", flipped, flipped, 0))
        equal(node.metric("rubus_bodies_read_total"), gets)
        say(f"{flipped} shards with a changed byte in every block were found and mended")
    with cases.case("health tells of the damage, and which drives had it"):
        codes = [finding["code"] for finding in node.rubus("health")["findings"]]
        assert "DAMAGE_MENDED" in codes, codes
        drives = node.rubus("scrub", "status")["drives"]
        assert sum(drive["mended"] for drive in drives) == flipped, drives
    with cases.case("after the scrub nothing is damaged any more"):
        bad = node.metric("rubus_bad_blocks_total")
        all_right(data.read_all(node))
        equal(node.metric("rubus_bad_blocks_total"), bad)
        equal(scrub(node)[1]["verdict"], "clean")


def not_mended(cases, node):
    with cases.case("damage that cannot be mended is said, with a status that is not 0"):
        records = next(iter(extents(node).values()))
        for record in records[:records[0].m + 1]:
            flip_blocks(record)
        status, task = scrub(node)
        equal((status, task["verdict"]), (1, "damaged"))
        assert task["unread"] >= 1, task
        run = subprocess.run([node.program, "health", "--dir", node.dir, "--json"], capture_output=True,
                             text=True, timeout=30)
        assert run.returncode == 1 and "DAMAGE_FOUND" in run.stdout, run
    return len(records)


def paused(cases, node):
    with cases.case("a paused scrub stays paused over a restart and then goes on to its verdict"):
        node.rubus("scrub", "pause")
        number = node.rubus("scrub", "start", "--drive", "1")["tasks"][0]["id"]
        wait_until(lambda: task_of(node.rubus("tasks")["tasks"], number)["state"] == "paused", 10, "paused")
        node.restart()
        time.sleep(3)
        equal(task_of(node.rubus("tasks")["tasks"], number)["state"], "paused")
        node.rubus("scrub", "resume")
        follow(node, number)
        task = task_of(node.rubus("tasks", "--all")["tasks"], number)
        equal((task["state"], task["drive"]), ("done", 1))
    with cases.case("verdicts are there after a kill"):
        before = node.rubus("repair", "report")["verdicts"]
        assert len(before) >= 4, before
        node.kill()
        node.start()
        equal(node.rubus("repair", "report")["verdicts"], before)
    with cases.case("a scrub is slowed down by what is set"):
        node.rubus("scrub", "speed", "4")
        wait_until(lambda: node.rubus("scrub", "status")["speed_max"] == 4 << 20, 5, "speed")
        begin = time.monotonic()
        _, task = scrub(node)
        seconds, mib = time.monotonic() - begin, task["bytes_done"] / (1 << 20)
        assert mib / seconds < 5, (mib, seconds)
        node.rubus("scrub", "speed", "0")
    with cases.case("a second scrub of the same drives is refused with the number of the first"):
        node.rubus("scrub", "pause")
        number = node.rubus("scrub", "start")["tasks"][0]["id"]
        run = subprocess.run([node.program, "scrub", "start", "--dir", node.dir], capture_output=True,
                             text=True, timeout=30)
        assert run.returncode == 6 and str(number) in run.stderr, run
        node.rubus("scrub", "resume")
        follow(node, number)


def quiet(cases, node):
    """(P6) Counted at the drives and at the log."""
    with cases.case("nothing is written while nothing is wrong, and only the scrub reads"):
        node.rubus("scrub", "period", "never")
        time.sleep(14)  # idle pools and tables come to rest
        names = ("rubus_disk_writes_total", "rubus_disk_flushes_total", "rubus_disk_reads_total",
                 "rubus_log_groups_total", "rubus_index_commands_total")
        before = [node.metric(name) for name in names]
        time.sleep(12)
        equal(dict(zip(names, [node.metric(name) for name in names])), dict(zip(names, before)))


def main():
    cases = Cases()
    random.seed(int(sys.argv[2]) if len(sys.argv) > 2 else 20261121)
    with tempfile.TemporaryDirectory(prefix="scrub-") as parent, \
            Node(sys.argv[1], parent, 4) as node:
        data = Data(node, 2)
        try:
            found_and_mended(cases, node, data)
            paused(cases, node)
            quiet(cases, node)
            not_mended(cases, node)
        except BaseException:
            print("#   " + node.log_tail().replace("\n", "\n#   "))
            raise
    cases.end()


if __name__ == "__main__":
    main()
