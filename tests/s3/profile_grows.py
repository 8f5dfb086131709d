#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One real node with one drive becomes three nodes, and two again: what is there is coded anew each
time, without anybody copying it, and the loss of any one node takes nothing.

usage: profile_grows.py BUILD
"""
import hashlib
import random
import sys
import tempfile

from cases import Cases, equal, wait_until
from cluster import Cluster, ClusterNode, wait_all_serve
from wire import Wire

LENGTHS = [1, 4097, 100_000, 131_073, 700_001, 3 << 20, 9 << 20]


def put_all(node, prefix, count):
    """Puts objects of all lengths; gives their digests by key."""
    wire, random_bytes, digests = Wire(node), random.Random(prefix), {}
    for i in range(count):
        body = random_bytes.randbytes(LENGTHS[i % len(LENGTHS)])
        equal(wire.put("grown", f"{prefix}{i}", body).status, 200)
        digests[f"{prefix}{i}"] = hashlib.sha256(body).digest()
    wire.close()
    return digests


def read_all(node, digests):
    wire = Wire(node, timeout=40)
    for key, digest in digests.items():
        answer = wire.get("grown", key)
        equal(answer.status, 200)
        assert hashlib.sha256(answer.body).digest() == digest, key
    wire.close()


def cluster_of(node):
    return node.run("status")["cluster"]


def is_settled(node, profile):
    """Has it got there, and is nothing left to be coded anew, or elsewhere?"""
    try:
        cluster = cluster_of(node)
    except AssertionError:
        return False
    return cluster["profile"] == profile and cluster["recode"]["extents"] == 0 and \
        cluster["exceptions"] == 0 and cluster["state"] == "ok"


def settle(node, profile):
    wait_until(lambda: is_settled(node, profile), 120, lambda: cluster_of(node))


def add_node(cluster, name):
    node = ClusterNode(cluster.build, cluster.parent, name)
    cluster.nodes.append(node)
    cluster.join(node)
    cluster.give_key()
    cluster.wait_voters(len(cluster.nodes))
    cluster.nodes[0].run("layout", "apply")


def read_without(cluster, away, digests):
    """Everything, on one of the others, while one is away."""
    others = [node for node in cluster.nodes if node is not away]
    away.kill()
    read_all(others[0], digests)
    cluster.restart([away])
    wait_all_serve(cluster, "grown", "probe")


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="profile-grows-") as parent, Cluster(sys.argv[1], parent, 1) as cluster:
        first = cluster.nodes[0]
        equal(Wire(first).request("PUT", "/grown").status, 200)
        digests = put_all(first, "one-", 30)
        with cases.case("a node alone has its profile"):
            settle(first, "1+0")
        with cases.case("with a second node all is on both"):
            add_node(cluster, "node2")
            settle(first, "1+1")
            digests |= put_all(cluster.nodes[1], "two-", 10)
            read_all(cluster.nodes[1], digests)
        with cases.case("with a third node any one may be away"):
            add_node(cluster, "node3")
            settle(first, "2+1")
            digests |= put_all(cluster.nodes[2], "three-", 10)
            for node in list(cluster.nodes):
                read_without(cluster, node, digests)
        with cases.case("two of the three have all of it when the third was drained"):
            first.run("node", "drain", "node3")
            first.run("layout", "apply")
            settle(first, "1+1")
            cluster.nodes[2].kill()
            read_all(first, digests)
            read_all(cluster.nodes[1], digests)
    cases.end()


main()
