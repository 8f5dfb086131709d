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
import json
import os
import random

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
