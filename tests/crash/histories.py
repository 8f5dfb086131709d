#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients race on few keys while nodes are disturbed, and leave some requests alone; what they were answered is held against the rules
of a register (linear.py), key by key. A listing counts as a read of every key.

usage: histories.py BUILD [--histories N] [--seconds N] [--seed N]
"""
import argparse
import hashlib
import http.client
import multiprocessing
import os
import random
import re
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, say
from linear import INFINITE, Operation, check_checker, first_wrong
from node import Node
from wire import Wire

BUCKET = "register"
CLIENTS = 5
KEYS = 6
ABANDONED = 0.08  # of the writes; their clients do not wait for an answer
UNKNOWN_MIN = 0.05
PACE_S = 0.01  # between two requests of a client; faults are few in a second, and not to be among thousands
SIZES = (40, 40, 3000, 9000, 150000)
LOST = (OSError, http.client.HTTPException)


def etag_of(answer):
    return answer.headers["etag"].strip('"')


class Client:
    """Writes bodies that are never the same twice, so an ETag names what was written."""

    def __init__(self, nodes, keys, number, seed):
        self.wires = [Wire(node, timeout=40) for node in nodes]
        self.keys = keys
        self.random = random.Random(f"{seed} {number}")
        self.name = f"{seed}/{number}"
        self.serial = 0
        self.seen = {}
        self.done = []  # (key, Operation)

    def body(self):
        self.serial += 1
        text = f"{self.name}/{self.serial};".encode()
        size = self.random.choice(SIZES)
        body = (text * (size // len(text) + 1))[:max(size, len(text))]
        return body, hashlib.md5(body).hexdigest()

    def ask(self, kind, key, function, value=None, expected=None):
        """Asks and notes. What was never sent is not noted."""
        operation = Operation(kind, time.monotonic(), value=value, expected=expected)
        wire = self.random.choice(self.wires)
        try:
            if kind != "read" and self.random.random() < ABANDONED:
                wire.hurry = self.random.uniform(0, 0.02)
            answer = function(wire)
        except ConnectionRefusedError:
            time.sleep(0.05)
            return
        except LOST:
            self.done.append((key, operation))
            return
        end = time.monotonic()
        if kind == "read":
            if answer.status not in (200, 404):
                return
            operation.value = hashlib.md5(answer.body).hexdigest() if answer.status == 200 else None
            if answer.status == 200 and operation.value != etag_of(answer):
                raise AssertionError(f"{key}: the body is not that of its ETag {etag_of(answer)}")
            self.seen[key] = operation.value
        outcome = {200: "ok", 204: "ok", 412: "refused", 404: "missing"}.get(answer.status)
        if outcome:
            operation.outcome, operation.end = outcome, end
        self.done.append((key, operation))

    def read(self, key):
        self.ask("read", key, lambda wire: wire.get(BUCKET, key))

    def delete(self, key):
        self.ask("delete", key, lambda wire: wire.delete(BUCKET, key))

    def put(self, key):
        body, value = self.body()
        self.ask("put", key, lambda wire: wire.put(BUCKET, key, body), value)

    def create(self, key):
        body, value = self.body()
        self.ask("create", key, lambda wire: wire.put(
            BUCKET, key, body, headers={"if-none-match": "*"}), value)

    def swap(self, key):
        expected = self.seen.get(key)
        if not expected:
            return self.read(key)
        body, value = self.body()
        self.ask("swap", key, lambda wire: wire.put(
            BUCKET, key, body, headers={"if-match": f'"{expected}"'}), value, expected)

    def list(self, _key):
        begin = time.monotonic()
        prefix = self.keys[0][:-1]
        query = [("list-type", "2"), ("prefix", prefix)]
        try:
            answer = self.random.choice(self.wires).request("GET", f"/{BUCKET}", query=query)
        except LOST:
            return
        if answer.status != 200:
            return
        end = time.monotonic()
        found = dict(re.findall(r"<Key>(.*?)</Key>.*?<ETag>(?:&quot;|\")(.*?)(?:&quot;|\")</ETag>",
                                answer.body.decode(), re.S))
        for key in self.keys:
            self.done.append((key, Operation("read", begin, end, "ok", found.get(key))))

    def run(self, until):
        operations = [self.read] * 6 + [self.put] * 4 + [self.create] * 3 + [self.swap] * 4 + \
            [self.delete] * 3 + [self.list]
        while time.monotonic() < until:
            self.random.choice(operations)(self.random.choice(self.keys))
            time.sleep(self.random.uniform(0, 2 * PACE_S))


def run_client(pipe, until, *arguments):
    client = Client(*arguments)
    try:
        client.run(until)
        pipe.send(client.done)
    except AssertionError as wrong:
        pipe.send(str(wrong))


def record(nodes, disturb, number, seconds, seed):
    """One history: operations by key. disturb(until) runs beside the clients."""
    keys = [f"h{number}/{i}" for i in range(KEYS)]
    until = time.monotonic() + seconds
    clients, pipes = [], []
    for i in range(CLIENTS):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        clients.append(multiprocessing.Process(
            target=run_client, args=(theirs, until, nodes, keys, i, f"{seed}.{number}"), daemon=True))
        clients[-1].start()
        theirs.close()
        pipes.append(ours)
    disturber = threading.Thread(target=disturb, args=(until,))
    disturber.start()
    by_key = {key: [] for key in keys}
    for pipe in pipes:
        done = pipe.recv()
        if isinstance(done, str):
            raise AssertionError(done)
        for key, operation in done:
            by_key[key].append(operation)
    disturber.join()
    for client in clients:
        client.join(60)
    read_all(nodes, by_key)
    return by_key


def read_all(nodes, by_key):
    """At the end every node is asked for every key."""
    client = Client(nodes, list(by_key), "end", "end")
    for node in nodes:
        client.wires = [Wire(node, timeout=40)]
        for key in by_key:
            client.read(key)
    for key, operation in client.done:
        if operation.end == INFINITE:
            raise AssertionError(f"{key} cannot be read after all is well again")
        by_key[key].append(operation)


class Tally:
    """What the histories of a run had in them."""

    def __init__(self):
        self.histories = self.operations = self.writes = self.unknown = 0

    def judge(self, cases, name, by_key):
        figures = judge(cases, name, by_key)
        self.histories += 1
        self.operations += figures[0]
        self.writes += figures[1]
        self.unknown += figures[2]

    def tell(self, cases, faults=""):
        part = self.unknown / max(self.writes, 1)
        say(f"{self.histories} histories, {self.operations} operations, {self.writes} writes, {self.unknown} "
            f"of them ({100 * part:.1f} %) of unknown outcome{faults}")
        with cases.case("of one write in twenty or more nobody knew what became of it"):
            assert part >= UNKNOWN_MIN, f"{part:.3f}"


def judge(cases, name, by_key):
    operations = [operation for history in by_key.values() for operation in history]
    writes = [o for o in operations if o.kind != "read"]
    unknown = sum(o.end == INFINITE for o in writes)
    with cases.case(f"{name} is linearizable"):
        for key, history in by_key.items():
            wrong = first_wrong(history)
            if wrong:
                around = [o for o in history if o.end >= wrong.begin - 1 and o.begin <= wrong.end]
                raise AssertionError(f"{key}: {wrong} among\n" + "\n".join(map(str, around)))
        check_planted(by_key)
    return len(operations), len(writes), unknown


def check_planted(by_key):
    """The checker refuses what it just accepted when one wrong answer is put behind it."""
    for history in sorted(by_key.values(), key=len):
        before = [o for o in history if o.kind == "put" and o.outcome == "ok"]
        refused = [o for o in history if o.kind == "create" and o.outcome == "refused"]
        if before and refused:
            break
    else:
        raise AssertionError("no key was written and refused: the clients did almost nothing")
    late = max([o.begin for o in history] + [o.end for o in history if o.end != INFINITE]) + 1
    one = Operation("put", late, late + 1, "ok", "one")
    two = Operation("put", late + 2, late + 3, "ok", "two")
    plants = {
        "a write that is lost": [one, Operation("read", late + 4, late + 5, "ok", before[0].value)],
        "a read of what was overwritten": [one, two, Operation("read", late + 4, late + 5, "ok", "one")],
        "a swap of what was overwritten": [one, two, Operation("swap", late + 4, late + 5, "ok", "3", "one")],
        "a read of what was refused": [Operation("read", late + 4, late + 5, "ok", refused[0].value)],
    }
    for name, plant in plants.items():
        if not first_wrong(history + plant):
            raise AssertionError(f"{name} was planted and is accepted")


class KillOne:
    """One node: killed and started again."""

    def __init__(self, node, seed):
        self.node, self.random = node, random.Random(seed)

    def __call__(self, until):
        while time.monotonic() < until - 1:
            time.sleep(self.random.uniform(0.3, 1.2))
            self.node.kill()
            self.node.start()


def run(cases, nodes, disturb, options):
    for wire in [Wire(nodes[0])]:
        wire.make_bucket(BUCKET)
        wire.close()
    tally = Tally()
    for number in range(options.histories):
        tally.judge(cases, f"history {number}", record(nodes, disturb, number, options.seconds, options.seed))
    tally.tell(cases)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--histories", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    cases = Cases()
    with cases.case("the checker accepts right histories and refuses planted wrong ones"):
        check_checker()
    with tempfile.TemporaryDirectory(prefix="histories-") as parent:
        with Node(options.build, parent, 4) as node:
            run(cases, [node], KillOne(node, options.seed), options)
    cases.end()


if __name__ == "__main__":
    main()
