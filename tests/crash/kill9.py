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
import hashlib
import http.client
import multiprocessing
import os
import random
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, say
from census import leftovers
from ledger import ABSENT, MIB, Ledger, Model, body_of
from node import Node
from wire import Wire

CLIENTS = 4
KEYS = 24  # of each client
BUCKET = "ledger"
LOST = (OSError, http.client.HTTPException)
PART = 5 * MIB


def size_of(rng):
    kind = rng.random()
    if kind < 0.45:
        return rng.choice((0, 1, rng.randrange(4097), 4096, 4097))
    if kind < 0.75:
        return rng.randrange(4097, 200000)
    return rng.randrange(200000, 2 * MIB) if kind < 0.95 else rng.randrange(2 * MIB, 16 * MIB)


def word(answer, fine=(200, 204)):
    """4xx tells that it did not happen; 5xx tells nothing."""
    if answer.status in fine and answer.code is None:
        return "ok"
    return "refused" if 400 <= answer.status < 500 else "unknown"


class Client:
    def __init__(self, node, path, number, cycle, seed):
        self.wire = Wire(node, timeout=30)
        self.ledger = Ledger(path)
        self.number, self.cycle = number, cycle
        self.rng = random.Random(f"{seed} {number} {cycle}")
        self.serial = (cycle * CLIENTS + number) << 20

    def run(self):
        """Until the node is gone."""
        operations = [self.put] * 10 + [self.delete] * 3 + [self.upload] * 2 + [self.create] * 3
        misses = 0
        while misses < 3:
            try:
                self.rng.choice(operations)()
                misses = 0
            except LOST:
                misses += 1

    def key(self):
        return f"own/{self.number}/{self.rng.randrange(KEYS):03}"

    def asked(self, key, state, function, once=False):
        self.ledger.ask(key, state, once)
        try:
            answer = function()
        except LOST:
            self.ledger.outcome("unknown")
            raise
        self.ledger.outcome(word(answer))

    def body(self, size):
        self.serial += 1
        body = body_of(size, self.serial)
        return body, [size, self.serial, hashlib.md5(body).hexdigest()]

    def put(self):
        key = self.key()
        body, state = self.body(size_of(self.rng))
        self.asked(key, state, lambda: self.wire.put(BUCKET, key, body))

    def delete(self):
        key = self.key()
        self.asked(key, ABSENT, lambda: self.wire.delete(BUCKET, key))

    def create(self):
        """All clients go for the same new keys."""
        key = f"once/{self.cycle:03}/{self.rng.randrange(200):03}"
        body, state = self.body(self.rng.choice((10, 5000, 150000)))
        self.asked(key, state, lambda: self.wire.put(
            BUCKET, key, body, headers={"if-none-match": "*"}), once=True)

    def upload(self):
        key = self.key()
        body, state = self.body(PART + self.rng.randrange(3 * MIB))
        parts = [body[:PART], body[PART:]]
        digests = b"".join(hashlib.md5(part).digest() for part in parts)
        state[2] = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
        upload = self.wire.start_upload(BUCKET, key)
        etags = [self.wire.put_part(BUCKET, key, upload, number, part).headers["etag"]
                 for number, part in enumerate(parts, 1)]
        if self.rng.random() < 0.2 or None in etags:
            self.wire.delete(BUCKET, key, query=[("uploadId", upload)])
            return
        self.asked(key, state, lambda: self.wire.complete_upload(BUCKET, key, upload, etags))


def run_client(*arguments):
    Client(*arguments).run()


class Run:
    def __init__(self, node, parent, seed):
        self.node, self.parent, self.seed = node, parent, seed
        self.rng = random.Random(seed)
        self.model = Model()
        self.paths = [os.path.join(parent, f"ledger-{i}") for i in range(CLIENTS)]
        self.wrong = []
        self.cycles = self.bodies_read = self.killed_starts = 0

    def cycle(self):
        clients = [multiprocessing.Process(
            target=run_client, args=(self.node, path, i, self.cycles, self.seed), daemon=True)
            for i, path in enumerate(self.paths)]
        for client in clients:
            client.start()
        time.sleep(self.rng.uniform(0.2, 1.6))
        self.node.kill()
        for client in clients:
            client.join(60)
            if client.exitcode != 0:
                self.wrong.append(f"cycle {self.cycles}: a client ended with {client.exitcode}")
        self.cycles += 1
        while self.rng.random() < 0.25:
            self.kill_a_start()
        self.node.start()
        keys = set().union(*(self.model.read(path) for path in self.paths))
        self.wrong += [f"cycle {self.cycles}: {why}" for why in self.model.wrong]
        self.model.wrong.clear()
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
        wire = Wire(self.node)
        listed = {key: (size, etag) for key, size, etag in wire.list(BUCKET)}
        for key in sorted(self.model.states.keys() | listed.keys()):
            why = self.model.observe(key, *listed.get(key, (None, None)))
            if why:
                self.wrong.append(f"cycle {self.cycles}: {why}")
        for key in sorted(keys):
            state = self.model.states[key][-1]
            answer = wire.get(BUCKET, key)
            self.bodies_read += 1
            if state is ABSENT:
                is_fine = answer.status == 404
            else:
                is_fine = answer.status == 200 and answer.body == body_of(*state[:2])
            if not is_fine:
                self.wrong.append(f"cycle {self.cycles}: {key}: {answer}, not {state}")
        wire.close()

    def delete_all(self):
        wire = Wire(self.node)
        for key in self.model.present():
            wire.delete(BUCKET, key)
        for key, upload in uploads(wire):
            wire.delete(BUCKET, key, query=[("uploadId", upload)])
        wire.close()


def uploads(wire):
    """Those that a crash left open."""
    import re
    while True:
        answer = wire.request("GET", f"/{BUCKET}", query=[("uploads", "")])
        found = re.findall(rb"<Upload>.*?<Key>(.*?)</Key>.*?<UploadId>(.*?)</UploadId>", answer.body, re.S)
        if not found:
            return
        for key, upload in found:
            yield key.decode(), upload.decode()


def test(cases, build, cycles, drives, seed):
    with tempfile.TemporaryDirectory(prefix="kill9-") as parent:
        environment = {"RUBUS_SEGMENT_MIB": "96"}
        with Node(build, parent, drives, environment) as node:
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
            model = run.model
            say(f"seed {seed}: {run.cycles} cycles, {run.killed_starts} killed starts, "
                f"{model.acknowledged} writes acknowledged ({model.bytes >> 20} MiB), {model.unknown} "
                f"unknown, {model.refused} refused, {run.bodies_read} read back, {len(run.wrong)} wrong")
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
