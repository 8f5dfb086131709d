# SPDX-License-Identifier: Apache-2.0
"""What was asked of a node and what it answered, kept outside of it.

A ledger is a file of lines, one client's. Before a request a line says what is asked, after it a line
says how it ended; the second is flushed before the client goes on. So whatever happens to the node, the
file knows what it acknowledged.

A key belongs to one client, which asks one thing after the other. So after a crash each key may be in
a few states only: that of the last acknowledged write, or of a later one whose outcome nobody knows.
A key that is only ever created, by whoever comes first ("once"), is what the one was told who won; if
nobody was told, what one of those asked who do not know, or absent. Model holds these states; what is
then observed must be one of them, and is the only one from there on.
"""
import hashlib
import http.client
import json
import multiprocessing
import os
import random
import re
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from wire import Wire

MIB = 1 << 20
ABSENT = None
NOISE = random.Random(20261121).randbytes(33 * MIB)


def body_of(size, seed):
    """Bytes that only this write has: they begin with its seed."""
    head = hashlib.sha256(b"%d %d" % (size, seed)).digest()[:size]
    start = seed * 4099 % (16 * MIB)
    return head + NOISE[start:start + size - len(head)]


class Ledger:
    """The writer: one process, one file."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def ask(self, key, state, once=False):
        """state is [size, seed, etag] or ABSENT."""
        self.line({"key": key, "state": state, "once": once})

    def outcome(self, word):
        """ok, refused (it did not happen) or unknown."""
        self.line({"outcome": word})
        os.fdatasync(self.fd)

    def line(self, value):
        os.write(self.fd, (json.dumps(value) + "\n").encode())


class Model:
    def __init__(self):
        self.states = {}  # key: states it may be in, newest last
        self.positions = {}
        self.winners = {}  # of keys that are created once
        self.wrong = []
        self.acknowledged = self.unknown = self.refused = self.bytes = 0

    def read(self, path):
        """Takes in what a ledger got since the last time. A question without an outcome is unknown.
        Returns the keys that were written."""
        with open(path, "rb") as file:
            file.seek(self.positions.get(path, 0))
            lines = [json.loads(line) for line in file.read().splitlines()]
            self.positions[path] = file.tell()
        keys = set()
        for i, line in enumerate(lines):
            if "key" not in line:
                continue
            following = lines[i + 1] if i + 1 < len(lines) else {}
            keys.add(line["key"])
            self.take(line["key"], line["state"], following.get("outcome", "unknown"), line["once"])
        return keys

    def take(self, key, state, outcome, once):
        before = self.states.setdefault(key, [ABSENT])
        if outcome == "ok":
            self.acknowledged += 1
            self.bytes += state[0] if state else 0
            if once and key in self.winners:
                self.wrong.append(f"{key}: both {self.winners[key]} and {state} were told that they won")
            if once:
                self.winners[key] = state
            self.states[key] = [state]
        elif outcome == "unknown":
            self.unknown += 1
            if key not in self.winners:
                before.append(state)
        else:
            self.refused += 1

    def observe(self, key, size, etag):
        """A listing has it, or has not (size is None). Returns why that cannot be, or None."""
        allowed = self.states.get(key, [ABSENT])
        if size is None:
            seen = [state for state in allowed if state is ABSENT]
        else:
            seen = [state for state in allowed if state and (state[0], state[2]) == (size, etag)]
        if not seen:
            return f"{key}: is {(size, etag)}, may be {allowed}"
        self.states[key] = seen[-1:]
        return None

    def present(self):
        return [key for key, states in self.states.items() if states[-1] is not ABSENT]


# --- the clients that keep one --------------------------------------------------------------------

BUCKET = "ledger"
KEYS = 24  # of each client
CLIENTS = 4
LOST = (OSError, http.client.HTTPException)
PART = 5 * MIB


def size_of(rng, most=16 * MIB):
    kind = rng.random()
    if kind < 0.45:
        return rng.choice((0, 1, rng.randrange(4097), 4096, 4097))
    if kind < 0.75:
        return rng.randrange(4097, 200000)
    return rng.randrange(200000, 2 * MIB) if kind < 0.95 or most <= 2 * MIB else rng.randrange(2 * MIB, most)


def word(answer, fine=(200, 204)):
    """4xx tells that it did not happen, 503 that it was not begun; other 5xx tell nothing."""
    if answer.status in fine and answer.code is None:
        return "ok"
    return "refused" if 400 <= answer.status < 500 or answer.status == 503 else "unknown"


class Client:
    """Writes to nodes by chance, and to no key of which it does not know what it is."""

    def __init__(self, nodes, path, number, cycle, seed, most=16 * MIB):
        self.wires = [Wire(node, timeout=40) for node in nodes]
        self.ledger = Ledger(path)
        self.number, self.cycle, self.most = number, cycle, most
        self.rng = random.Random(f"{seed} {number} {cycle}")
        self.serial = (cycle * CLIENTS + number) << 20
        self.doubtful = set()

    @property
    def wire(self):
        return self.rng.choice(self.wires)

    def run(self, is_over):
        """Until is_over(misses): misses are the last requests in a row that got no answer."""
        operations = [self.put] * 10 + [self.delete] * 3 + [self.upload] * 2 + [self.create] * 3
        misses = 0
        while not is_over(misses):
            try:
                self.rng.choice(operations)()
                misses = 0
            except LOST:
                misses += 1
                time.sleep(0.02)

    def key(self):
        """One of its own, or None when it is in doubt about all."""
        keys = [key for key in (f"own/{self.number}/{i:03}" for i in range(KEYS)) if key not in self.doubtful]
        return self.rng.choice(keys) if keys else None

    def asked(self, key, state, function, once=False):
        self.ledger.ask(key, state, once)
        outcome = "unknown"
        try:
            outcome = word(function())
        except ConnectionRefusedError:
            outcome = "refused"
            raise
        finally:
            self.ledger.outcome(outcome)
            if outcome == "unknown" and not once:
                self.doubtful.add(key)
        if outcome != "ok":
            time.sleep(0.02)

    def body(self, size):
        self.serial += 1
        body = body_of(size, self.serial)
        return body, [size, self.serial, hashlib.md5(body).hexdigest()]

    def put(self):
        key = self.key()
        if key:
            body, state = self.body(size_of(self.rng, self.most))
            self.asked(key, state, lambda: self.wire.put(BUCKET, key, body))

    def delete(self):
        key = self.key()
        if key:
            self.asked(key, ABSENT, lambda: self.wire.delete(BUCKET, key))

    def create(self):
        """All clients go for the same new keys."""
        key = f"once/{self.cycle:03}/{self.rng.randrange(200):03}"
        body, state = self.body(self.rng.choice((10, 5000, 150000)))
        self.asked(key, state, lambda: self.wire.put(
            BUCKET, key, body, headers={"if-none-match": "*"}), once=True)

    def upload(self):
        key = self.key()
        if not key:
            return
        body, state = self.body(PART + self.rng.randrange(3 * MIB))
        parts = [body[:PART], body[PART:]]
        digests = b"".join(hashlib.md5(part).digest() for part in parts)
        state[2] = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
        upload = self.wire.try_upload(BUCKET, key)
        if not upload:
            return
        etags = [self.wire.put_part(BUCKET, key, upload, number, part).headers["etag"]
                 for number, part in enumerate(parts, 1)]
        if self.rng.random() < 0.2 or None in etags:
            self.wire.delete(BUCKET, key, query=[("uploadId", upload)])
            return
        self.asked(key, state, lambda: self.wire.complete_upload(BUCKET, key, upload, etags))


class Trial:
    """Cycles in which clients write and something befalls the nodes; then what nodes say is held against what
    they had acknowledged."""

    def __init__(self, parent, seed):
        self.seed = seed
        self.rng = random.Random(seed)
        self.model = Model()
        self.paths = [os.path.join(parent, f"ledger-{i}") for i in range(CLIENTS)]
        self.wrong = []
        self.cycles = self.bodies_read = 0

    def start_clients(self, target, *arguments):
        clients = [multiprocessing.Process(
            target=target, args=(*arguments, path, i, self.cycles, self.seed), daemon=True)
            for i, path in enumerate(self.paths)]
        for client in clients:
            client.start()
        return clients

    def say_wrong(self, why):
        self.wrong.append(f"cycle {self.cycles}: {why}")

    def read_ledgers(self):
        """The keys that were written in this cycle."""
        keys = set().union(*(self.model.read(path) for path in self.paths))
        for why in self.model.wrong:
            self.say_wrong(why)
        self.model.wrong.clear()
        return keys

    def check_listing(self, node, others=()):
        """others: the beginnings of keys that are nobody's."""
        wire = Wire(node)
        listed = {key: (size, etag) for key, size, etag in wire.list(BUCKET) if not key.startswith(tuple(others))}
        wire.close()
        for key in sorted(self.model.states.keys() | listed.keys()):
            why = self.model.observe(key, *listed.get(key, (None, None)))
            if why:
                self.say_wrong(f"{node.name}: {why}")

    def check_bodies(self, node, keys):
        wire = Wire(node)
        for key in sorted(keys):
            state = self.model.states[key][-1]
            answer = wire.get(BUCKET, key)
            self.bodies_read += 1
            if state is ABSENT:
                is_fine = answer.status == 404
            else:
                is_fine = answer.status == 200 and answer.body == body_of(*state[:2])
            if not is_fine:
                self.say_wrong(f"{node.name}: {key}: {answer}, not {state}")
        wire.close()

    def told(self):
        model = self.model
        return (f"{model.acknowledged} writes acknowledged ({model.bytes >> 20} MiB), {model.unknown} unknown, "
                f"{model.refused} refused, {self.bodies_read} read back, {len(self.wrong)} wrong")


def open_uploads(wire, bucket):
    """Key and id of those that a crash left open; whoever asks ends them."""
    while True:
        answer = wire.request("GET", f"/{bucket}", query=[("uploads", "")])
        found = re.findall(rb"<Upload>.*?<Key>(.*?)</Key>.*?<UploadId>(.*?)</UploadId>", answer.body, re.S)
        if not found:
            return
        for key, upload in found:
            yield key.decode(), upload.decode()
