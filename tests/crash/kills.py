#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three nodes of which one, the leader, two, or all at once are killed with SIGKILL while clients write to
all of them; what they acknowledged is kept outside (ledger.py) and must be there after each kill.

usage: kills.py BUILD [--cycles N] [--seed N]

In each cycle the clients write, nodes are killed, the clients go on with those that are left, the killed
ones are started again. Then every node lists what it may list, and what was written in this cycle is read
back byte by byte. At the end everything is read from every node, everything is deleted, and no drive keeps
anything.
"""
import argparse
import multiprocessing
import sys
import tempfile
import time
import os

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster, used_bytes, wait_all_serve
from ledger import BUCKET, MIB, Client, Trial, open_uploads
from wire import Wire

KINDS = ("the leader", "a follower", "all at once", "two of them", "all in turn")
WRITE_S = (0.3, 1.5)  # before a kill, and after it


def run_client(over, *arguments):
    Client(*arguments, most=4 * MIB).run(lambda _: over.is_set())


class Run(Trial):
    def __init__(self, cluster, parent, seed):
        super().__init__(parent, seed)
        self.cluster, self.nodes = cluster, cluster.nodes
        self.kills = dict.fromkeys(KINDS, 0)

    def victims(self, kind):
        """Groups of nodes, each killed at once."""
        leader = self.cluster.leader() or self.nodes[0]
        followers = [node for node in self.nodes if node is not leader]
        nodes = self.rng.sample(self.nodes, len(self.nodes))
        return {"the leader": [[leader]], "a follower": [[self.rng.choice(followers)]],
                "all at once": [nodes], "two of them": [nodes[:2]], "all in turn": [[one] for one in nodes]}[kind]

    def kill(self, kind):
        for group in self.victims(kind):
            time.sleep(self.rng.uniform(*WRITE_S))
            for node in group:
                node.process.kill()
            for node in group:
                node.kill()
            time.sleep(self.rng.uniform(*WRITE_S))
            self.cluster.restart(group)
        self.kills[kind] += 1

    def cycle(self):
        over = multiprocessing.Event()
        clients = self.start_clients(run_client, over, self.nodes)
        try:
            self.kill(KINDS[self.cycles % len(KINDS)])
        finally:
            over.set()
        for client in clients:
            client.join(90)
            equal(client.exitcode, 0)
        self.cycles += 1
        wait_all_serve(self.cluster, BUCKET, "alive")
        keys = self.read_ledgers()
        for node in self.nodes:
            self.check_listing(node, others=["alive"])
        self.check_bodies(self.rng.choice(self.nodes), keys)

    def delete_all(self):
        wires = [Wire(node) for node in self.nodes]
        for i, (key, _, _) in enumerate(list(wires[0].list(BUCKET))):
            equal(wires[i % len(wires)].delete(BUCKET, key).status, 204)
        for key, upload in open_uploads(wires[0], BUCKET):
            equal(wires[0].delete(BUCKET, key, query=[("uploadId", upload)]).status, 204)


def test(cases, cluster, parent, options):
    run = Run(cluster, parent, options.seed)
    name = f"{options.cycles} cycles of kills"
    with cases.case(f"nothing acknowledged is lost by {name} of one, two and three nodes"):
        while run.cycles < options.cycles and not run.wrong:
            run.cycle()
        assert not run.wrong, "\n".join(run.wrong)
    with cases.case(f"all is read back byte by byte from every node after {name}"):
        run.wrong = []
        for node in cluster.nodes:
            run.check_bodies(node, set(run.model.states))
        assert not run.wrong, "\n".join(run.wrong[:20])
        assert run.model.acknowledged > 10 * options.cycles, "the clients wrote almost nothing"
    say(f"seed {options.seed}: {run.cycles} cycles, killed {run.kills}, {run.told()}")
    with cases.case(f"no drive keeps anything when all is deleted after {name}"):
        run.delete_all()
        wait_until(lambda: used_bytes(cluster) == 0, 90, lambda: [
            node.metric("rubus_drive_used_bytes") for node in cluster.nodes])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="kills-") as parent, \
            Cluster(options.build, parent) as cluster:
        Wire(cluster.nodes[0]).make_bucket(BUCKET)
        test(cases, cluster, parent, options)
    cases.end()


if __name__ == "__main__":
    main()
