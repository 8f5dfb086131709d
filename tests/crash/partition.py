#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three nodes, each in a network of its own, and clients on all sides while nodes are cut off from one
another: nothing is closed, packets get lost. What they were answered is held against the rules of a
register (linear.py). Needs root; everything is in a network namespace of this process.

usage: partition.py BUILD [--histories N] [--seconds N] [--seed N]
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster, ClusterNode, wait_all_serve
from histories import BUCKET, judge, record
from linear import check_checker
from wire import Wire

INSIDE = "RUBUS_TEST_INSIDE"  # set: we are in our namespace


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


class FarNode(ClusterNode):
    """A node behind a cable; this process is the router between all of them and a client of each."""

    def __init__(self, build, parent, name, drives=1, environment=None):
        self.number = int(name[4:])
        self.host = f"10.99.{self.number}.2"
        self.cable = f"cable{self.number}"
        super().__init__(build, parent, name, drives, environment)
        # A process that holds the namespace, so that it outlives the node.
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own, 10, "a namespace")
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        ip("address", "add", f"10.99.{self.number}.1/24", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "address", "add", f"{self.host}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "route", "add", "default", "via", f"10.99.{self.number}.1")

    @property
    def prefix(self):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    def inside(self, *words):
        subprocess.run([*self.prefix, *words], check=True)

    def end(self):
        self.holder.kill()
        self.holder.wait()


class Network:
    """Which nodes hear which."""

    def __init__(self):
        self.rules = []

    def block(self, source, target):
        rule = ["iif", source.cable, "to", f"{target.host}/32", "blackhole"]
        ip("rule", "add", *rule)
        self.rules.append(rule)

    def cut(self, node, others):
        for other in others:
            self.block(node, other)
            self.block(other, node)

    def heal(self):
        for rule in self.rules:
            ip("rule", "del", *rule)
        self.rules = []


class Disturber:
    """One cut after another until the time is up; all is whole again at the end."""

    def __init__(self, cluster, network, seed):
        self.cluster, self.network, self.random = cluster, network, random.Random(seed)
        self.counts = {"the leader cut off": 0, "a node cut off": 0, "a pair cut": 0, "one way cut": 0}

    def __call__(self, until):
        kinds = []
        while time.monotonic() < until - 7:
            kinds = kinds or self.random.sample(list(self.counts), len(self.counts))
            kind = kinds.pop()
            self.counts[kind] += 1
            leader = self.cluster.leader() or self.cluster.nodes[0]
            node = leader if kind == "the leader cut off" else self.random.choice(self.cluster.nodes)
            others = [other for other in self.cluster.nodes if other is not node]
            if kind == "a pair cut":
                others = [self.random.choice(others)]
            if kind == "one way cut":
                for other in others:
                    self.network.block(node, other)
            else:
                self.network.cut(node, others)
            time.sleep(self.random.uniform(1, 6))
            self.network.heal()
            time.sleep(self.random.uniform(0.5, 2))


def leader_away(cases, cluster, network):
    wait_until(cluster.leader, 20, "there is a leader")
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    far, near = Wire(leader, timeout=60), Wire(others[0], timeout=60)
    equal(near.put(BUCKET, "cut", b"before").status, 200)
    equal(far.get(BUCKET, "cut").body, b"before")
    network.cut(leader, others)
    with cases.case("the others go on without a leader that was cut off"):
        begin = time.monotonic()
        wait_until(lambda: near.put(BUCKET, "cut", b"after").status == 200, 30, "a put is accepted")
        say(f"a put on the other side succeeded after {time.monotonic() - begin:.1f} s")
    with cases.case("a leader that was cut off answers no read with what was, and does not hang"):
        begin = time.monotonic()
        answer = far.get(BUCKET, "cut")
        equal(answer.status, 503)
        assert time.monotonic() - begin < 20, time.monotonic() - begin
    network.heal()
    with cases.case("it has what it missed when it is back"):
        wait_all_serve(cluster, BUCKET, "alive")
        equal(Wire(leader, timeout=60).get(BUCKET, "cut").body, b"after")


def histories(cases, cluster, network, options):
    disturber = Disturber(cluster, network, options.seed)
    total = [0, 0, 0]
    for number in range(options.histories):
        by_key = record(cluster.nodes, disturber, number, options.seconds, options.seed)
        network.heal()
        wait_all_serve(cluster, BUCKET, "alive")
        figures = judge(cases, f"history {number} over a network that is cut", by_key)
        total = [a + b for a, b in zip(total, figures)]
    operations, writes, unknown = total
    faults = ", ".join(f"{count} times {name}" for name, count in disturber.counts.items())
    say(f"{options.histories} histories, {operations} operations, {writes} writes, {unknown} of them "
        f"({100 * unknown / max(writes, 1):.1f} %) of unknown outcome; {faults}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--histories", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    if not os.environ.get(INSIDE):
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    ip("link", "set", "lo", "up")
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1\n")
    cases, network = Cases(), Network()
    check_checker()
    with tempfile.TemporaryDirectory(prefix="partition-") as parent:
        cluster = Cluster(options.build, parent, kind=FarNode)
        try:
            with cluster:
                Wire(cluster.nodes[0]).make_bucket(BUCKET)
                leader_away(cases, cluster, network)
                histories(cases, cluster, network, options)
        except BaseException:
            for node in cluster.nodes:
                if os.path.exists(node.log_path):
                    print(f"#   {node.name}:\n#   " + node.log_tail().replace("\n", "\n#   "))
            raise
        finally:
            for node in cluster.nodes:
                node.end()
    cases.end()


if __name__ == "__main__":
    main()
