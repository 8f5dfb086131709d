#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RenameObject on real nodes: by one of many at once, on one node and on three of which one is killed.

usage: rename.py BUILD
"""
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from cases import Cases, equal
from cluster import Cluster, wait_all_serve
from node import Node
from wire import Wire


def rename(wire, bucket, source, key, **headers):
    return wire.request("PUT", f"/{bucket}/{key}", query=[("renameObject", "")],
                        headers={"x-amz-rename-source": source, **headers})


def keys(wire, bucket):
    return [key for key, _, _ in wire.list(bucket)]


def race(cases, nodes, name):
    """Many rename one object at once, to keys of their own: one of them has it in the end."""
    first = Wire(nodes[0])
    first.make_bucket("race")
    with cases.case(f"of many who rename one object at once one does, on {name}"):
        for turn in range(5):
            equal(first.put("race", "from", b"body").status, 200)
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(
                    lambda i: rename(Wire(nodes[i % len(nodes)]), "race", "from", f"to/{turn}/{i}").status, range(8)))
            equal(sorted(answers), [200] + [404] * 7)
            won = f"to/{turn}/{answers.index(200)}"
            equal([key for key in keys(first, "race") if key.startswith((f"to/{turn}/", "from"))], [won])
            equal(first.get("race", won).body, b"body")
    with cases.case(f"of many who rename to one key that must be free one does, on {name}"):
        for i in range(8):
            equal(first.put("race", f"many/{i}", b"%d" % i).status, 200)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: rename(Wire(nodes[i % len(nodes)]), "race", f"/many/{i}", "one",
                                                     **{"if-none-match": "*"}).status, range(8)))
        equal(sorted(answers), [200] + [412] * 7)
        equal(first.get("race", "one").body, b"%d" % answers.index(200))
        equal(len([key for key in keys(first, "race") if key.startswith("many/")]), 7)


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="rename-") as parent:
        with Node(sys.argv[1], parent) as node:
            race(cases, [node], "one node")
            wire = Wire(node)
            with cases.case("a large object is renamed with all that it has"):
                body = bytes(range(256)) * 8192
                put = wire.put("race", "large", body, headers={"x-amz-meta-a": "b"})
                equal(rename(wire, "race", "large", "größer").status, 200)
                got = wire.get("race", "größer")
                equal((got.body == body, got.headers["x-amz-meta-a"], got.headers["etag"]),
                      (True, "b", put.headers["etag"]))
                equal(wire.get("race", "large").status, 404)
                node.kill()
                node.start()
                equal(Wire(node).get("race", "größer").body == body, True)
        with Cluster(sys.argv[1], parent, 3) as cluster:
            Wire(cluster.nodes[0]).make_bucket("alive")
            wait_all_serve(cluster, "alive", "k")
            race(cases, cluster.nodes, "three nodes")
            with cases.case("what was renamed is so on those that are left"):
                cluster.nodes[0].kill()
                left = Wire(cluster.nodes[1])
                equal(left.get("race", "one").status, 200)
                equal(rename(left, "race", "one", "two").status, 200)
                equal(Wire(cluster.nodes[2]).get("race", "two").status, 200)
    cases.end()


if __name__ == "__main__":
    main()
