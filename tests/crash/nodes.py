#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three nodes, and clients that race on all of them while nodes are killed, paused, and all killed at once.
What they were answered is held against the rules of a register (linear.py). away.py tells what becomes of
objects without nodes.

usage: nodes.py BUILD [--histories N] [--seconds N] [--seed N]
"""
import argparse
import os
import random
import signal
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, wait_until
from cluster import Cluster, ClusterNode, wait_all_serve
from histories import BUCKET, Tally, record
from linear import check_checker
from wire import Wire

INTERRUPTED = 130  # what a start that was ended says


class Disturber:
    """One fault after another until the time is up; all is well again at the end."""

    def __init__(self, cluster, seed):
        self.cluster, self.random = cluster, random.Random(seed)
        self.counts = {"killed": 0, "leader killed": 0, "paused": 0, "all killed": 0}

    def kill(self, node):
        node.kill()
        time.sleep(self.random.uniform(0.1, 2.5))
        self.cluster.restart([node])

    def kill_any(self):
        self.counts["killed"] += 1
        self.kill(self.random.choice(self.cluster.nodes))

    def kill_leader(self):
        leader = self.cluster.leader()
        if leader:
            self.counts["leader killed"] += 1
            self.kill(leader)

    def pause(self):
        node = self.random.choice(self.cluster.nodes)
        self.counts["paused"] += 1
        node.pause()
        time.sleep(self.random.uniform(0.5, 4))
        node.resume()

    def kill_all(self):
        self.counts["all killed"] += 1
        nodes = list(self.cluster.nodes)
        self.random.shuffle(nodes)
        for node in nodes:
            node.kill()
        self.cluster.restart(nodes)

    def __call__(self, until):
        while time.monotonic() < until - 2:
            time.sleep(self.random.uniform(0.3, 1.5))
            self.random.choice([self.kill_any, self.kill_any, self.kill_leader, self.pause,
                                self.kill_all])()


def histories(cases, cluster, options):
    disturber = Disturber(cluster, options.seed)
    tally = Tally()
    for number in range(options.histories):
        by_key = record(cluster.nodes, disturber, number, options.seconds, options.seed)
        tally.judge(cases, f"history {number} over three nodes", by_key)
        wait_all_serve(cluster, BUCKET, "alive")
    tally.tell(cases, "".join(f", {count} times {name}" for name, count in disturber.counts.items()))


def founder_alone(cases, cluster):
    with cases.case("the first node does not go on alone when its cluster_address is taken away"):
        first = cluster.nodes[0]
        with open(first.config) as file:
            text = file.read()
        first.stop()
        with open(first.config, "w") as file:
            file.writelines(line for line in text.splitlines(True) if "cluster_address" not in line)
        first.spawn()
        try:
            assert first.process.wait(timeout=30) != 0
            assert "no cluster_address is set" in first.log_tail(), first.log_tail()
        finally:
            first.kill()
            with open(first.config, "w") as file:
                file.write(text)
            cluster.restart([first])
        wait_all_serve(cluster, BUCKET, "alive")


def ends_without_quorum(cases, cluster):
    first = cluster.nodes[0]
    for node in cluster.nodes:
        node.kill()
    with cases.case("a node that waits for a quorum ends when it is asked to"):
        begin = os.path.getsize(first.log_path)
        first.spawn()

        def waits():
            with open(first.log_path, "rb") as file:
                file.seek(begin)
                return b"cannot reach node" in file.read()
        wait_until(waits, 30, first.log_tail)
        assert first.process.poll() is None and not first.is_ready(), first.log_tail()
        first.process.send_signal(signal.SIGTERM)
        status = first.process.wait(timeout=30)
        assert status in (0, INTERRUPTED), status
    first.kill()
    cluster.restart(cluster.nodes)
    wait_all_serve(cluster, BUCKET, "alive")


def witness(cases, cluster):
    with cases.case("a witness without drives joins, serves, and is started again"):
        node = ClusterNode(cluster.build, cluster.parent, "witness", drives=0)
        node.key, node.secret = cluster.nodes[0].key, cluster.nodes[0].secret
        cluster.join(node)
        try:
            cluster.wait_voters(4)
            body = random.Random(3).randbytes(300000)
            equal(Wire(node, timeout=40).put(BUCKET, "by-a-witness", body).status, 200)
            equal(Wire(cluster.nodes[0], timeout=40).get(BUCKET, "by-a-witness").body, body)
            node.stop()
            node.spawn()
            node.wait_ready()
            equal(Wire(node, timeout=40).get(BUCKET, "by-a-witness").body, body)
        finally:
            node.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--histories", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    cases = Cases()
    check_checker()
    with tempfile.TemporaryDirectory(prefix="cluster-") as parent, \
            Cluster(options.build, parent) as cluster:
        wire = Wire(cluster.nodes[0])
        wire.make_bucket(BUCKET)
        wire.close()
        histories(cases, cluster, options)
        founder_alone(cases, cluster)
        ends_without_quorum(cases, cluster)
        witness(cases, cluster)
    cases.end()


if __name__ == "__main__":
    main()
