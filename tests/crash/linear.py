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
import random
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


def reach(configurations, open_operations, ended):
    """The ways in which the operation that ended has happened, just now if not before.

    What has no known outcome stays open for ever, so that there would be ever more ways in which such
    operations may have happened. Of two ways to the same state the one in which fewer of them did can go
    on in all the ways of the other: only the least are kept."""
    least = {}
    new = [(*configuration, False) for configuration in configurations]
    while new:
        state, done, late, was_overwritten = new.pop()
        kept = least.setdefault((state, done), [])
        if any(other <= late for other in kept):
            continue
        kept[:] = [other for other in kept if not late <= other] + [late]
        if ended in done:
            continue  # the others may happen later
        for number, operation in open_operations.items():
            is_late = operation.end == INFINITE
            overwrites = is_late and operation.kind in ("put", "delete")
            if number in done or number in late or overwrites and was_overwritten:
                continue
            for after in operation.happen(state):
                if is_late:
                    new.append((after, done, late | {number}, overwrites))
                else:
                    new.append((after, done | {number}, late, False))
    return {(state, done - {ended}, late)
            for (state, done), kept in least.items() if ended in done for late in kept}


def first_wrong(operations, start=None):
    """The operation whose answer cannot be explained, or None."""
    useful = [o for o in operations if not (o.kind == "read" and o.outcome == "unknown")]
    events = sorted([(o.begin, 0, i) for i, o in enumerate(useful)] +
                    [(o.end, 1, i) for i, o in enumerate(useful) if o.end != INFINITE])
    configurations = {(start, frozenset(), frozenset())}
    open_operations = {}
    for _, is_end, number in events:
        if not is_end:
            open_operations[number] = useful[number]
            continue
        configurations = reach(configurations, open_operations, number)
        if not configurations:
            return useful[number]
        del open_operations[number]
    return None


def is_explained(operations, left, state=None):
    """The same by trying all orders; for few operations."""
    if all(operations[i].end == INFINITE for i in left):
        return True
    first_end = min(operations[i].end for i in left)
    return any(is_explained(operations, left - {i}, after)
               for i in left if operations[i].begin <= first_end
               for after in operations[i].happen(state))


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


def random_history(rng):
    """Of a few operations and fewer values, so that many are right."""
    operations, times = [], rng.sample(range(20), 14)
    for i in range(rng.randrange(2, 7)):
        kind = rng.choice(("read", "read", "put", "create", "swap", "delete"))
        begin, end = sorted(times[2 * i:2 * i + 2])
        outcome = rng.choice({"create": ("ok", "refused"), "swap": ("ok", "refused", "missing")}.get(
            kind, ("ok",)))
        value = None if kind == "delete" else rng.choice((None, "a", "b") if kind == "read" else ("a", "b"))
        if kind != "read" and rng.random() < 0.3:
            outcome, end = "unknown", INFINITE
        operations.append(Operation(kind, begin, end, outcome, value, rng.choice(("a", "b"))))
    return operations


def check_checker():
    """Raises unless right histories pass and wrong ones do not, and random ones are judged as by trying
    all orders."""
    for name, operations in RIGHT.items():
        wrong = first_wrong(operations)
        if wrong:
            raise AssertionError(f"{name}: refused at {wrong}")
    for name, operations in WRONG.items():
        if not first_wrong(operations):
            raise AssertionError(f"{name}: accepted")
    rng, verdicts = random.Random(1), []
    for _ in range(2000):
        operations = random_history(rng)
        verdicts.append(is_explained(operations, frozenset(range(len(operations)))))
        if verdicts[-1] != (first_wrong(operations) is None):
            raise AssertionError(f"{operations}: right is {verdicts[-1]}")
    if not 200 < sum(verdicts) < 1800:
        raise AssertionError(f"{sum(verdicts)} of the random histories are right")


if __name__ == "__main__":
    check_checker()
    print(f"ok the checker accepts {len(RIGHT)} histories and refuses {len(WRONG)}")
    sys.exit(0)
