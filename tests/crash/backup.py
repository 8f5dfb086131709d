#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""restic backs up to one of three nodes while another is killed, each in turn, the leader too, and while
the one that it speaks to is killed and started again. Each backup succeeds and every byte can be read.

usage: backup.py BUILD [--mib N]
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster, wait_all_serve
from wire import Wire

BUCKET = "backup"


class Restic:
    def __init__(self, parent, node):
        self.parent = parent
        self.environment = {
            **os.environ, "RESTIC_PASSWORD": "brambles", "RESTIC_CACHE_DIR": os.path.join(parent, "cache"),
            "RESTIC_PROGRESS_FPS": "0.1", "HOME": parent, "AWS_ACCESS_KEY_ID": node.key,
            "AWS_SECRET_ACCESS_KEY": node.secret}

    def start(self, node, *words):
        return subprocess.Popen(
            ["restic", "--quiet", "-r", f"s3:{node.url}/{BUCKET}/repository", *words], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.environment)

    def end(self, process, seconds=300):
        said = process.communicate(timeout=seconds)[0]
        assert process.returncode == 0, f"restic ended with {process.returncode}: {said[-2000:]}"

    def run(self, node, *words):
        self.end(self.start(node, *words))


def make_tree(path, seed, mib):
    """Files that no backup before has had."""
    rng = random.Random(seed)
    shutil.rmtree(path, ignore_errors=True)
    for i in range(8):
        os.makedirs(os.path.join(path, str(i)))
        for j in range(12):
            with open(os.path.join(path, str(i), str(j)), "wb") as file:
                file.write(rng.randbytes(rng.randrange(40000)))
        with open(os.path.join(path, str(i), "long"), "wb") as file:
            file.write(rng.randbytes((mib << 20) // 8))


def received(node):
    return node.metric("rubus_http_received_bytes_total")


def back_up(restic, tree, node, victim, mib):
    """Backs up through a node; the victim is killed after a quarter of the bytes."""
    begin = received(node)
    backup = restic.start(node, "backup", tree)
    try:
        wait_until(lambda: backup.poll() is not None or received(node) - begin > mib << 18, 120, "a quarter is there")
        assert backup.poll() is None, f"it ended too soon: {backup.communicate()[0]}"
        victim.kill()
        if victim is node:
            time.sleep(1)
            victim.spawn()
        restic.end(backup)
    finally:
        backup.kill()


def test(cases, cluster, parent, mib):
    tree, restic = os.path.join(parent, "tree"), Restic(parent, cluster.nodes[0])
    restic.run(cluster.nodes[0], "init")
    for number, kind in enumerate(("node1", "node2", "node3", "a follower", "its own node")):
        wait_until(cluster.leader, 60, "there is a leader")
        leader = cluster.leader()
        victim = next(one for one in cluster.nodes if one.name == kind or not kind.startswith("node") and
                      one is not leader)
        node = {"a follower": leader, "its own node": victim}.get(kind) or \
            next(one for one in cluster.nodes if one is not victim)
        title = f"a backup while {kind} is killed" + (" and started again" if victim is node else "")
        say(f"{title}: through {node.name}, {leader.name} leads")
        make_tree(tree, number, mib)
        with cases.case(f"{title} succeeds, and every byte of it can be read"):
            back_up(restic, tree, node, victim, mib)
            restic.run(node, "check", "--read-data")
            if victim is not node:
                victim.spawn()
            shutil.rmtree(os.path.join(parent, "back"), ignore_errors=True)
            restic.run(node, "restore", "latest", "--target", os.path.join(parent, "back"))
            equal(subprocess.run(["diff", "-r", tree, os.path.join(parent, "back") + tree]).returncode, 0)
        if victim.process.poll() is not None:
            victim.spawn()
        victim.wait_ready()
        wait_all_serve(cluster, BUCKET, "alive")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--mib", type=int, default=64)
    options = parser.parse_args()
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="backup-") as parent, Cluster(options.build, parent) as cluster:
        Wire(cluster.nodes[0]).make_bucket(BUCKET)
        test(cases, cluster, parent, options.mib)
    cases.end()


if __name__ == "__main__":
    main()
