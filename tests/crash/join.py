#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that join one that has been alone for long: what made its index is in no log any more, so they get
a snapshot. A first node that was founded as one of several, and one that was made alone; then a joining
node that is killed at any moment of it.

usage: join.py BUILD [--objects N] [--kills N] [--seed N]
"""
import argparse
import base64
import hashlib
import os
import random
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster
from wire import Wire, read_all

BUCKET = "before"


def fill(node, rng, count):
    """Objects of all kinds of places: keys of up to 1024 bytes, bodies in the index and on the drive."""
    bodies = {}
    wire = Wire(node, timeout=40)
    wire.make_bucket(BUCKET)
    for i in range(count):
        key = f"{i:05}-" + "k" * (1018 if i % 50 == 0 else rng.randrange(100))
        bodies[key] = rng.randbytes(200000 if i % 200 == 0 else rng.randrange(3000))
        equal(wire.put(BUCKET, key, bodies[key]).status, 200)
    for key in rng.sample(sorted(bodies), count // 10):
        equal(wire.delete(BUCKET, key).status, 204)
        del bodies[key]
    wire.close()
    return bodies


def grow_old(node):
    """Restarts it, and has it say nothing at length until the log begins later: whole segments go, of 64 MiB or
    of what was written in one life, when another one begins after the index has committed what they say."""
    for _ in range(2):
        node.stop()
        node.spawn()
        node.wait_ready()
    equal(Wire(node, timeout=40).put(BUCKET, "old", b"").status, 200)
    equal(Wire(node, timeout=40).delete(BUCKET, "old").status, 204)
    time.sleep(1.5)
    wire = Wire(node, timeout=40)
    names = "".join(f"<Object><Key>{i:04}{'n' * 1000}</Key></Object>" for i in range(1000))
    document = f"<Delete><Quiet>true</Quiet>{names}</Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    for _ in range(70):
        answer = wire.request("POST", f"/{BUCKET}", document, query=[("delete", "")], headers={"content-md5": md5})
        equal(answer.status, 200)
    wire.close()


def says(node, text):
    with open(node.log_path, errors="replace") as file:
        return file.read().count(text)


def edit_config(node, change):
    with open(node.config) as file:
        text = file.read()
    with open(node.config, "w") as file:
        file.write(change(text))


def make_first(cluster, is_alone, rng, count):
    first = cluster.nodes[0]
    line = f"cluster_address: 127.0.0.1:{first.cluster_port}\n"
    if is_alone:
        edit_config(first, lambda text: text.replace(line, ""))
    first.run("init")
    first.spawn()
    first.wait_ready()
    cluster.give_key()
    bodies = fill(first, rng, count)
    if not is_alone:
        grow_old(first)
    else:
        first.stop()
        edit_config(first, lambda text: line + text)
        first.spawn()
        first.wait_ready()
    return bodies


def check_joined(cases, cluster, bodies, what):
    first, *others = cluster.nodes
    for node in others:
        with cases.case(f"{node.name} joins {what}, gets its index and serves all objects"):
            cluster.join(node)
            assert says(node, "the index is replaced by the snapshot"), node.log_tail()
            read_all(node, BUCKET, bodies)
            equal(Wire(node, timeout=40).put(BUCKET, f"of {node.name}", b"new").status, 200)
            bodies[f"of {node.name}"] = b"new"
    with cases.case(f"all vote with {what}, and say the same after all were killed"):
        cluster.wait_voters(len(cluster.nodes))
        for node in cluster.nodes:
            node.kill()
        cluster.restart(cluster.nodes)
        for node in cluster.nodes:
            read_all(node, BUCKET, bodies)


def check_kills(cases, cluster, bodies, rng, kills):
    """The third node is killed again and again while it joins."""
    node = cluster.nodes[-1]
    with cases.case("a node that is killed while it joins starts again, and serves all objects"):
        token = cluster.nodes[0].run("token", "create")["token"]
        node.run("join", token)
        for _ in range(kills):
            node.spawn()
            time.sleep(rng.uniform(0.02, 0.9))
            assert node.process.poll() is None, node.log_tail()
            node.kill()
        node.spawn()
        node.wait_ready()
        read_all(node, BUCKET, bodies)
        say(f"{kills} kills, {says(node, 'comes from another member')} snapshots begun, "
            f"{says(node, 'is replaced by the snapshot')} installed")


def run(options, title, check, is_alone, count):
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="join-") as parent:
        cluster = Cluster(options.build, parent, count)
        try:
            bodies = make_first(cluster, is_alone, rng, options.objects)
            check(cluster, bodies, rng)
        except BaseException:
            for node in cluster.nodes:
                if node.process:
                    print(f"#   {title}, {node.name}:\n#   " + node.log_tail().replace("\n", "\n#   "))
            raise
        finally:
            cluster.__exit__()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    cases = Cases()
    for title, is_alone in (("a node that was one of several from the start", False),
                            ("a node that was made alone", True)):
        run(options, title, lambda cluster, bodies, rng: check_joined(cases, cluster, bodies, title),
            is_alone, 3)
    run(options, "kills", lambda cluster, bodies, rng: check_kills(cases, cluster, bodies, rng, options.kills),
        False, 2)
    cases.end()


if __name__ == "__main__":
    main()
