#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that are away: every set that may fail, and more than may. Everything is read back from the others
and from the ones that return; what was deleted meanwhile does not return with them, and its space does.

usage: away.py BUILD [--nodes N]...        of 3, 4 and 5 nodes unless it is said
"""
import argparse
import concurrent.futures
import itertools
import os
import random
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster, used_bytes, wait_all_serve, wait_serves
from wire import Wire

BUCKET = "kept"
SIZES = (0, 10, 4096, 5000, 140000, 1 << 20, 9 << 20)
ANSWER_S = 45  # the longest that a node without a quorum may take to say so: it waits 30 s for one


class Objects:
    """What is to be there, and what no more."""

    def __init__(self, cluster):
        self.cluster, self.random = cluster, random.Random(7)
        self.bodies, self.deleted, self.serial = {}, set(), 0

    def put(self, node, size):
        self.serial += 1
        key, body = f"o/{self.serial:04}-{size}", self.random.randbytes(size)
        equal(Wire(node).put(BUCKET, key, body).status, 200)
        self.bodies[key] = body
        return key

    def delete(self, node, key):
        equal(Wire(node).delete(BUCKET, key).status, 204)
        del self.bodies[key]
        self.deleted.add(key)

    def check(self, node):
        wire = Wire(node)
        equal({key for key, _, _ in wire.list(BUCKET, "o/")}, set(self.bodies))
        for key, body in self.bodies.items():
            answer = wire.get(BUCKET, key)
            assert answer.status == 200 and answer.body == body, (key, answer)
        for key in self.deleted:
            equal(wire.get(BUCKET, key).status, 404)
        wire.close()


def names(nodes):
    return " and ".join(node.name for node in nodes)


def wait_whole(node):
    """What was put while nodes were away, or just back, outlives one node more, and only after it was made
    whole as many as the profile says."""
    def is_whole():
        cluster = node.run("status")["cluster"]
        return cluster["missing"] == cluster["exceptions"] == cluster["under_profile"] == 0
    wait_until(is_whole, 120, lambda: node.run("status")["cluster"])


def lose(cases, cluster, objects, away):
    """These are killed; the others go on; these return. What was put meanwhile is read on all nodes."""
    left = [node for node in cluster.nodes if node not in away]
    for node in away:
        node.kill()
    with cases.case(f"without {names(away)} of {len(cluster.nodes)} all is read, put and deleted"):
        for node in left:
            wait_serves(node, BUCKET, "alive")
        objects.check(left[0])
        objects.put(left[-1], 3 << 20)
        objects.put(left[0], 9000)
        objects.delete(left[0], next(iter(objects.bodies)))
        objects.delete(left[-1], max(objects.bodies, key=lambda key: len(objects.bodies[key])))
        objects.check(left[-1])
    for node in away:
        node.spawn()
    with cases.case(f"with {names(away)} of {len(cluster.nodes)} back nothing deleted is"):
        for node in away:
            node.wait_ready()
            objects.check(node)
        wait_all_serve(cluster, BUCKET, "alive")
    while len(objects.bodies) < len(SIZES) * 2:
        objects.put(left[0], objects.random.choice(SIZES))
    wait_whole(left[0])


def ask_in_vain(node, objects):
    """Writes get 503; a read does, or is right. Returns the seconds of the slowest; all are asked at once."""
    key, body = next(reversed(objects.bodies.items()))

    def ask(name):
        wire, begin = Wire(node, timeout=ANSWER_S + 30), time.monotonic()
        if name == "get":
            answer = wire.get(BUCKET, key)
            assert answer.status == 503 or answer.body == body, answer
        elif name == "delete":
            equal(wire.delete(BUCKET, key).status, 503)
        else:
            equal(wire.put(BUCKET, "refused", bytes(name)).status, 503)
        return time.monotonic() - begin
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return max(pool.map(ask, (1, 400000, "delete", "get")))


def lose_too_many(cases, cluster, objects, away):
    left = [node for node in cluster.nodes if node not in away]
    for node in away:
        node.kill()
    title = f"{len(left)} of {len(cluster.nodes)}"
    with cases.case(f"{title} without {names(away)} refuse writes in time and read nothing wrong"):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            longest = max(pool.map(lambda node: ask_in_vain(node, objects), left))
        say(f"{title} took at most {longest:.1f} s to refuse")
        assert longest < ANSWER_S, longest
    with cases.case(f"nothing is lost when {names(away)} of {len(cluster.nodes)} are back"):
        cluster.restart(away)
        wait_all_serve(cluster, BUCKET, "alive")
        for node in cluster.nodes:
            objects.check(node)
            equal(Wire(node).get(BUCKET, "refused").status, 404)


def space_returns(cases, cluster, objects):
    """What is deleted while a node is away goes from its drive, too, when it is back."""
    away, left = cluster.nodes[-1], cluster.nodes[0]
    count = len(cluster.nodes)
    before = used_bytes(cluster)
    for _ in range(4):
        objects.put(left, 8 << 20)
    assert used_bytes(cluster) > before + (32 << 20), "nothing was stored"
    away.kill()
    with cases.case(f"what was deleted while one of {count} nodes was away goes from its drive as well"):
        wait_serves(left, BUCKET, "alive")
        for key in list(objects.bodies):
            objects.delete(left, key)
        cluster.restart([away])
        objects.check(away)
        for node in cluster.nodes:
            wait_until(lambda: node.metric("rubus_drive_used_bytes") == 0, 120, lambda: [
                one.metric("rubus_drive_used_bytes") for one in cluster.nodes])
        objects.check(away)


def sets_of(cluster):
    """The largest sets of nodes that may be away, and the smallest without which nobody decides."""
    nodes, first = cluster.nodes, cluster.nodes[0]
    m = int(first.run("layout", "show")["profile"].split("+")[1])
    voters = {node["name"] for node in first.run("node", "list")["nodes"] if node["duty"] == "voter"}
    spare = (len(voters) - 1) // 2

    def lost(away):
        return sum(node.name in voters for node in away)
    fine = [away for away in itertools.combinations(nodes, m) if lost(away) <= spare]
    too_many = [away for away in itertools.combinations(nodes, spare + 1) if lost(away) > spare]
    return fine, too_many


def test(cases, build, count):
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="away-") as parent, Cluster(build, parent, count) as cluster:
        Wire(cluster.nodes[0]).make_bucket(BUCKET)
        objects = Objects(cluster)
        for i, size in enumerate(SIZES * 2):
            objects.put(cluster.nodes[i % count], size)
        fine, too_many = sets_of(cluster)
        for away in fine:
            lose(cases, cluster, objects, away)
        for away in objects.random.sample(too_many, min(len(too_many), 2)):
            lose_too_many(cases, cluster, objects, away)
        space_returns(cases, cluster, objects)
        profile = cluster.nodes[0].run("layout", "show")["profile"]
    say(f"{count} nodes, profile {profile}: {len(fine)} sets that may be away, {time.monotonic() - begin:.0f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--nodes", type=int, action="append")
    options = parser.parse_args()
    cases = Cases()
    # At once, since nearly all of it is waiting.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for cluster in [pool.submit(test, cases, options.build, count) for count in options.nodes or (3, 4, 5)]:
            cluster.result()
    cases.end()


if __name__ == "__main__":
    main()
