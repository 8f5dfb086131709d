#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three nodes, each in a network of its own, and clients on all sides while nodes are cut off from one
another: nothing is closed, packets get lost. What they were answered is held against the rules of a
register (linear.py). Needs root; everything is in a network namespace of this process.

usage: partition.py BUILD [--histories N] [--seconds N] [--seed N] [--only-lengths]
"""
import argparse
import concurrent.futures
import json
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
from histories import BUCKET, LOST, Tally, record
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


def ask(wire, method, *words):
    """The status, or "closed"."""
    try:
        answer = getattr(wire, method)(BUCKET, *words)
        return answer.status, answer.body
    except LOST:
        return "closed", b""


def cut_off(cases, cluster, network, title, is_leader, ways):
    """A node does not hear the others, is not heard by them, or both."""
    wait_until(cluster.leader, 60, "there is a leader")
    leader = cluster.leader()
    node = leader if is_leader else next(one for one in cluster.nodes if one is not leader)
    others = [other for other in cluster.nodes if other is not node]
    far, near = Wire(node, timeout=60), Wire(others[0], timeout=60)
    equal(near.put(BUCKET, "cut", b"before").status, 200)
    equal(far.get(BUCKET, "cut").body, b"before")
    for other in others:
        if "out" in ways:
            network.block(node, other)
        if "in" in ways:
            network.block(other, node)
    with cases.case(f"the others go on when {title}"):
        begin = time.monotonic()
        wait_until(lambda: near.put(BUCKET, "cut", b"after").status == 200, 60, "a put is accepted")
        say(f"{title}: a put on the other side succeeded after {time.monotonic() - begin:.1f} s")
    with cases.case(f"it answers nothing that is past, and does not hang, when {title}"):
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            put = pool.submit(ask, Wire(node, timeout=60), "put", "lonely", b"alone")
            status, body = ask(far, "get", "cut")
            assert status == 503 or body == b"after", (status, body)
            assert put.result()[0] in (503, "closed"), put.result()
        assert time.monotonic() - begin < 55, time.monotonic() - begin
    network.heal()
    with cases.case(f"it has what it missed after {title}"):
        wait_all_serve(cluster, BUCKET, "alive")
        equal(Wire(node, timeout=60).get(BUCKET, "cut").body, b"after")
        found = {ask(Wire(one, timeout=60), "get", "lonely") for one in cluster.nodes}
        assert len({body if status == 200 else status for status, body in found}) == 1, found


def cuts(cases, cluster, network):
    cut_off(cases, cluster, network, "the leader is cut off", True, ("in", "out"))
    cut_off(cases, cluster, network, "a follower is cut off", False, ("in", "out"))
    cut_off(cases, cluster, network, "the leader hears nobody", True, ("in",))
    cut_off(cases, cluster, network, "nobody hears the leader", True, ("out",))


def net_test(node):
    """The exit status, and what is said of each pair of nodes, by their numbers."""
    result = subprocess.run([*node.prefix, node.program, "net", "test", "--config", node.config, "--json"],
                            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=200)
    pairs = json.loads(result.stdout).get("pairs", []) if result.stdout else []
    return result.returncode, {one["from"][4:] + one["to"][4:]: one for one in pairs}


def net_test_says(node, status, states):
    """Waits for it: nodes that just started have no links yet. Of two nodes the first in the order goes, or
    the other where the first cannot be asked."""
    last = []
    def answer():
        last[:] = net_test(node)
        return last[0] == status and {name: one["state"] for name, one in last[1].items()} == states
    wait_until(answer, 90, lambda: last)
    say(json.dumps(last[1]))
    return last[1]


def set_mtus(cluster, mtus, cables):
    """Connections keep what they began with: the nodes start anew."""
    for node in cluster.nodes:
        node.kill()
        node.inside("ip", "link", "set", "eth0", "mtu", str(mtus.get(node.name, 1500)))
        ip("link", "set", node.cable, "mtu", cables.get(node.name, 1500))
    for node in cluster.nodes:
        node.spawn()


def lens(answer):
    return tuple(answer.get(name) for name in ("mtu", "mtu_there", "path_mtu", "path_mtu_back"))


def big_packets_vanish(cases, cluster):
    """The network drops what is too long for it, with and without a word."""
    first, second, third = cluster.nodes
    with cases.case("net test says of all pairs how long packets may be"):
        found = net_test_says(first, 0, {"12": "ok", "13": "ok", "23": "ok"})
        for pair in found.values():
            equal(lens(pair), (1500, 1500, 1500, 1500))
            assert pair["bytes_per_second"] > 1 << 20 and 0 < pair["rtt_us_min"] <= pair["rtt_us_max"], pair
    icmp = ["iif", "lo", "ipproto", "icmp", "blackhole"]
    ip("rule", "add", *icmp)
    set_mtus(cluster, {"node1": 9000, "node2": 9000}, {})
    with cases.case("net test says no where small messages come through and big ones do not"):
        found = net_test_says(first, 1, {"12": "failed", "13": "mtu", "23": "mtu"})
        equal(lens(found["12"]), (9000, 9000, 1500, 1500))
        equal(lens(found["13"]), (9000, 1500, 1500, 1500))
        equal(lens(found["23"]), (9000, 1500, 1500, 1500))
        for pair in found.values():
            assert f"MTU mismatch: eth0 of {pair['from']} has 9000" in pair["why"], found
            assert f"on {pair['from']}: ip link set dev eth0 mtu 1500" in pair["why"], found
    with cases.case("net test names a pair of which the node that was asked is none"):
        found = net_test_says(third, 1, {"31": "mtu", "32": "mtu", "12": "failed"})
        equal(lens(found["12"]), (9000, 9000, 1500, 1500))
        assert "MTU mismatch: eth0 of node1 has 9000, node2 has 9000" in found["12"]["why"], found
    ip("rule", "del", *icmp)
    set_mtus(cluster, {"node2": 1400}, {})
    with cases.case("net test names two nodes whose MTU is not the same, though all comes through"):
        found = net_test_says(first, 1, {"12": "mtu", "13": "ok", "23": "mtu"})
        equal(lens(found["12"]), (1500, 1400, 1400, 1400))
        equal(lens(found["23"]), (1400, 1500, 1400, 1400))
        assert "node2 has 1400" in found["12"]["why"] and "eth0 of node2 has 1400" in found["23"]["why"], found
    set_mtus(cluster, {"node1": 9000}, {"node1": 9000})
    with cases.case("a router that says what is too long is fine with net test"):
        found = net_test_says(first, 0, {"12": "ok", "13": "ok", "23": "ok"})
        equal(lens(found["12"]), (9000, 1500, 1500, 1500))
        found = net_test_says(second, 0, {"21": "ok", "23": "ok", "13": "ok"})
        equal(lens(found["21"]), (1500, 9000, 1500, 1500))
        equal(lens(found["13"]), (9000, 1500, 1500, 1500))
    set_mtus(cluster, {}, {})
    wait_all_serve(cluster, BUCKET, "alive")


def histories(cases, cluster, network, options):
    disturber = Disturber(cluster, network, options.seed)
    tally = Tally()
    for number in range(options.histories):
        by_key = record(cluster.nodes, disturber, number, options.seconds, options.seed)
        network.heal()
        wait_all_serve(cluster, BUCKET, "alive")
        tally.judge(cases, f"history {number} over a network that is cut", by_key)
    tally.tell(cases, "".join(f", {count} times {name}" for name, count in disturber.counts.items()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--histories", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=16)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--only-lengths", action="store_true", help="of packets")
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
                big_packets_vanish(cases, cluster)
                if options.only_lengths:
                    cases.end()
                    return
                cuts(cases, cluster, network)
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
