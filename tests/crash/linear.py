#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is a history of operations on one key linearizable? (Herlihy and Wing, 1990.)

An operation happened at one moment between the time it was asked and the time it was answered; what
has no known outcome happened at one moment after it was asked, or never. The key is a register: a
value, or None. The checker walks through all askings and answers in the order of time and keeps every
state the register may be in, each with those open operations that have happened there already (the
just-in-time linearization of Lowe, 2017). A history is wrong when no state is left.

usage: linear.py          checks the checker: right histories, and wrong ones that must be refused
"""
import sys
from dataclasses import dataclass

INFINITE = float("inf")


@dataclass
class Operation:
    kind: str  # read, put, create (If-None-Match: *), swap (If-Match: expected), delete
    begin: float
    end: float = INFINITE  # unknown when it never ended
    outcome: str = "unknown"  # ok; refused: 412; missing: 404; unknown
    value: object = None  # what is written, or was read
    expected: object = None

    def happen(self, state):
        """The states after it, if it happens in a state: none or one."""
        if self.kind == "read":
            return [state] if state == self.value else []
        if self.kind == "delete":
            return [None]
        if self.kind == "put":
            return [self.value]
        holds = state is None if self.kind == "create" else state is not None and state == self.expected
        if self.outcome == "ok" or self.outcome == "unknown":
            return [self.value] if holds else []
        if self.outcome == "missing":
            return [state] if self.kind == "swap" and state is None else []
        return [state] if not holds and state is not None else []


def close(configurations, open_operations):
    """All that can be reached when open operations happen."""
    reached, new = set(configurations), list(configurations)
    while new:
        state, done = new.pop()
        for number, operation in open_operations.items():
            if number in done:
                continue
            for after in operation.happen(state):
                configuration = (after, done | {number})
                if configuration not in reached:
                    reached.add(configuration)
                    new.append(configuration)
    return reached


def first_wrong(operations, start=None):
    """The operation whose answer cannot be explained, or None."""
    useful = [o for o in operations if not (o.kind == "read" and o.outcome == "unknown")]
    events = sorted([(o.begin, 0, i) for i, o in enumerate(useful)] +
                    [(o.end, 1, i) for i, o in enumerate(useful) if o.end != INFINITE])
    configurations = {(start, frozenset())}
    open_operations = {}
    for _, is_end, number in events:
        if not is_end:
            open_operations[number] = useful[number]
            continue
        configurations = {(state, done - {number}) for state, done in
                          close(configurations, open_operations) if number in done}
        if not configurations:
            return useful[number]
        del open_operations[number]
    return None


# --- the checker held against itself ----------------------------------------------------------------

def history(*rows):
    return [Operation(*row) for row in rows]


RIGHT = {
    "a read during a write sees either": history(
        ("put", 0, 10, "ok", "a"), ("read", 1, 2, "ok", None), ("read", 3, 4, "ok", "a"),
        ("read", 5, 12, "ok", "a")),
    "an unknown write may come late": history(
        ("put", 0, INFINITE, "unknown", "a"), ("read", 1, 2, "ok", None),
        ("put", 3, 4, "ok", "b"), ("read", 5, 6, "ok", "b"), ("read", 7, 8, "ok", "a")),
    "an unknown write may never come": history(
        ("put", 0, INFINITE, "unknown", "a"), ("create", 1, 2, "ok", "b")),
    "one of two creates wins": history(
        ("create", 0, 5, "ok", "a"), ("create", 1, 4, "refused", "b"), ("read", 6, 7, "ok", "a")),
    "a swap finds what it expects": history(
        ("put", 0, 1, "ok", "a"), ("swap", 2, 3, "ok", "b", "a"), ("swap", 4, 5, "refused", "c", "a"),
        ("delete", 6, 7, "ok"), ("swap", 8, 9, "missing", "d", "b"), ("read", 10, 11, "ok", None)),
}

WRONG = {
    "an acknowledged write is lost": history(
        ("put", 0, 1, "ok", "a"), ("read", 2, 3, "ok", None)),
    "a read goes back in time": history(
        ("put", 0, 1, "ok", "a"), ("put", 2, 9, "ok", "b"), ("read", 3, 4, "ok", "b"),
        ("read", 5, 6, "ok", "a")),
    "two creates win": history(
        ("create", 0, 3, "ok", "a"), ("create", 1, 4, "ok", "b")),
    "a swap succeeds on a value that was gone": history(
        ("put", 0, 1, "ok", "a"), ("put", 2, 3, "ok", "b"), ("swap", 4, 5, "ok", "c", "a")),
    "what was deleted returns": history(
        ("put", 0, 1, "ok", "a"), ("delete", 2, 3, "ok"), ("read", 4, 5, "ok", "a")),
    "a value that nobody wrote is read": history(
        ("put", 0, INFINITE, "unknown", "a"), ("read", 1, 2, "ok", "b")),
}


def check_checker():
    """Raises unless right histories pass and wrong ones do not."""
    for name, operations in RIGHT.items():
        wrong = first_wrong(operations)
        if wrong:
            raise AssertionError(f"{name}: refused at {wrong}")
    for name, operations in WRONG.items():
        if not first_wrong(operations):
            raise AssertionError(f"{name}: accepted")


if __name__ == "__main__":
    check_checker()
    print(f"ok the checker accepts {len(RIGHT)} histories and refuses {len(WRONG)}")
    sys.exit(0)
