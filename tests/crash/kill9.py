#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node is killed with SIGKILL while clients write to it, started again, and held against what it had
acknowledged: 50 times.

usage: kill9.py BUILD [--cycles N] [--drives N] [--seed N]

This finds what a process loses, not what a power cut would: the page cache survives.

After each start the listing must say for every key what it may be; what was written in this cycle and
a sample of the rest is read back byte by byte, what was deleted must be gone. At the end everything is
read back, everything is deleted, and a census of the drives finds nothing left over.
"""
import argparse
import os
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, say
from census import leftovers
from ledger import BUCKET, Client, Trial, open_uploads
from node import Node
from wire import Wire


def run_client(*arguments):
    """Until the node is gone."""
    Client(*arguments).run(lambda misses: misses == 3)


class Run(Trial):
    def __init__(self, node, parent, seed):
        super().__init__(parent, seed)
        self.node = node
        self.killed_starts = 0

    def cycle(self):
        clients = self.start_clients(run_client, [self.node])
        time.sleep(self.rng.uniform(0.2, 1.6))
        self.node.kill()
        for client in clients:
            client.join(60)
            if client.exitcode != 0:
                self.say_wrong(f"a client ended with {client.exitcode}")
        self.cycles += 1
        while self.rng.random() < 0.25:
            self.kill_a_start()
        self.node.start()
        keys = self.read_ledgers()
        others = self.model.present()
        self.rng.shuffle(others)
        self.verify(keys | set(others[:20]))

    def kill_a_start(self):
        """Recovery is cut off, too."""
        self.node.spawn()
        time.sleep(self.rng.uniform(0, 0.3))
        self.node.kill()
        self.killed_starts += 1

    def verify(self, keys):
        self.check_listing(self.node)
        self.check_bodies(self.node, keys)

    def delete_all(self):
        wire = Wire(self.node)
        for key in self.model.present():
            wire.delete(BUCKET, key)
        for key, upload in open_uploads(wire, BUCKET):
            wire.delete(BUCKET, key, query=[("uploadId", upload)])
        wire.close()


def test(cases, build, cycles, drives, seed):
    with tempfile.TemporaryDirectory(prefix="kill9-") as parent:
        with Node(build, parent, drives) as node:
            Wire(node).make_bucket(BUCKET)
            run = Run(node, parent, seed)
            name = f"{cycles} kills on {drives} drives"
            with cases.case(f"nothing acknowledged is lost by {name}"):
                while run.cycles < cycles and len(run.wrong) < 10:
                    run.cycle()
                assert not run.wrong, "\n".join(run.wrong)
            with cases.case(f"all is read back byte by byte after {name}"):
                run.wrong = []
                run.verify(set(run.model.states))
                assert not run.wrong, "\n".join(run.wrong[:20])
                assert run.model.acknowledged > cycles, "the clients wrote almost nothing"
            say(f"seed {seed}: {run.cycles} cycles, {run.killed_starts} killed starts, {run.told()}")
            with cases.case(f"a census finds nothing left over after {name}"):
                run.delete_all()
                leftovers(node)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--drives", type=int)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    cases = Cases()
    if arguments.drives:
        test(cases, arguments.build, arguments.cycles, arguments.drives, arguments.seed)
    else:
        test(cases, arguments.build, arguments.cycles * 3 // 5, 4, arguments.seed)
        test(cases, arguments.build, arguments.cycles - arguments.cycles * 3 // 5, 1, arguments.seed)
    cases.end()


if __name__ == "__main__":
    main()
