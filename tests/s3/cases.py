# SPDX-License-Identifier: Apache-2.0
"""How the programs under tests/s3 and tests/crash report to tests/run.sh.

A case is one line, "ok NAME" or "not ok NAME"; lines that begin with "# " explain. A program that
reported a failure ends with status 1. What ends otherwise, or reports nothing, counts as failed.
"""
import contextlib
import sys
import threading
import time
import traceback


class Cases:
    def __init__(self, suffix=""):
        self.suffix = suffix
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def report(self, name, is_fine, why=""):
        with self.lock:
            self.passed += is_fine
            self.failed += not is_fine
            print(("ok " if is_fine else "not ok ") + name + self.suffix)
            if not is_fine:
                for line in str(why).rstrip().splitlines():
                    print("#   " + line)
            sys.stdout.flush()

    @contextlib.contextmanager
    def case(self, name):
        """The block passes unless it raises."""
        try:
            yield
        except Exception:
            self.report(name, False, traceback.format_exc())
        else:
            self.report(name, True)

    def end(self):
        sys.exit(1 if self.failed or not self.passed else 0)


def say(text):
    print("# " + text, flush=True)


def equal(got, expected):
    if got != expected:
        raise AssertionError(f"{short(got)}, not {short(expected)}")


def short(value):
    text = repr(value)
    return text if len(text) < 400 else f"{text[:200]} … {text[-100:]} ({len(text)} characters)"


def wait_until(condition, seconds, what):
    """what is a text, or a function that makes one when it is too late."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)
