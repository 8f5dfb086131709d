#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An upgrade: three nodes under load are ended one after the other and started again with a program that is one
version ahead. Clients are answered throughout, as SDKs see it, and nothing is lost.

usage: rolling.py BUILD [--seed N]
"""
import argparse
import os
import random
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster
from recover import BUCKET, Writers, put_all
from wire import Wire

GAP_SECONDS = 10  # in which an SDK still tries again


class TimedWriters(Writers):
    """Notes the longest time in which no put of any client succeeded."""

    def __init__(self, nodes, rng):
        self.last, self.gap = time.monotonic(), 0
        super().__init__(nodes, rng)

    def put(self, wire, key, body):
        is_done = super().put(wire, key, body)
        if is_done:
            now = time.monotonic()
            with self.lock:
                self.gap, self.last = max(self.gap, now - self.last), now
        return is_done


def upgrade(node, program):
    node.stop()
    node.program = program
    node.spawn()
    node.wait_ready()


def check_mixed(cases, cluster, known):
    versions = {node.run("quorum")["command_version"] for node in cluster.nodes}
    equal(versions, {known})


def run(cases, options):
    rng = random.Random(options.seed)
    newer = os.path.join(options.build, "rubus_next")
    with tempfile.TemporaryDirectory(prefix="rolling-") as parent, Cluster(options.build, parent, 3) as cluster:
        bodies = put_all(cluster, rng, (10, 30000, 150000))
        known = cluster.nodes[0].run("quorum")["command_version"]
        writers = TimedWriters(cluster.nodes, rng)
        with cases.case("nodes of two versions serve together, by what all of them know"):
            for node in cluster.nodes:
                wait_until(lambda: all(can_answer(other) for other in cluster.nodes), 30, "all are linked")
                upgrade(node, newer)
                if node is not cluster.nodes[-1]:
                    wait_until(lambda: all(can_answer(other) for other in cluster.nodes), 30, "all are linked")
                    check_mixed(cases, cluster, known)
        with cases.case("when the last node is upgraded all know the newer commands"):
            wait_until(lambda: {node.run("quorum")["command_version"] for node in cluster.nodes} == {known + 1},
                       20, lambda: str([node.run("quorum") for node in cluster.nodes]))
        time.sleep(1)
        bodies.update(writers.end())
        with cases.case("clients were answered throughout the upgrade"):
            say(f"{len(bodies)} objects, {writers.refused} puts answered 503, the longest time without an answer "
                f"{writers.gap:.1f} s")
            assert writers.gap < GAP_SECONDS, writers.gap
        with cases.case("nothing was lost in the upgrade"):
            for node in cluster.nodes:
                wire = Wire(node, timeout=40)
                assert {key for key, _, _ in wire.list(BUCKET, "")} >= set(bodies)
                for key, body in bodies.items():
                    equal(wire.get(BUCKET, key).body, body)


def can_answer(node):
    try:
        return all(other["state"] == "up" for other in node.run("node", "list")["nodes"])
    except AssertionError:
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    cases = Cases()
    run(cases, options)
    cases.end()


if __name__ == "__main__":
    main()
