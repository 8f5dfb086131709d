#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of check_long and check_more, which take minutes: those that are older than their programs. They are
run by tests/run.sh beside its other parts, and not by ninja before them, since those wait and these work.
Two at a time, and no more of the processors than the others leave.

usage: long.py BUILDDIR
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3"))
from cases import Cases, say

LANES = 2


def tests_of(target):
    """The stamp of each test, and its command."""
    inputs = re.findall(r"(?m)^    (\S+\.ok)$", subprocess.run(
        ["ninja", "-t", "query", target], capture_output=True, text=True, check=True).stdout)
    for stamp in inputs:
        command = subprocess.run(["ninja", "-t", "commands", "-s", stamp],
                                 capture_output=True, text=True, check=True).stdout.strip()
        yield stamp, command


def is_fresh(stamp, command):
    """Newer than all files that the command names."""
    files = [word for word in command.split(">")[0].split() if os.path.isfile(word)]
    return os.path.exists(stamp) and all(os.path.getmtime(stamp) >= os.path.getmtime(file) for file in files)


def run(cases, stamp, command):
    begin = time.monotonic()
    if not is_fresh(stamp, command):
        if os.path.exists(stamp):
            os.unlink(stamp)
        # A test has ten times as long as it takes alone; here it takes what is left.
        command = command.replace("CK_TIMEOUT_MULTIPLIER=10", "CK_TIMEOUT_MULTIPLIER=60")
        done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", check=False)
        cases.report(stamp, done.returncode == 0, done.stdout[-3000:])
        say(f"{stamp} took {time.monotonic() - begin:.0f} s")
    else:
        cases.report(stamp, True)


def main():
    builddir = os.path.relpath(sys.argv[1])
    cases = Cases()
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        tests = sorted([*tests_of(f"{builddir}/release/check_long"), *tests_of(f"{builddir}/debug/check_more")],
                       key=lambda test: "cluster" not in test[0])  # the longest first
        for test in [pool.submit(run, cases, *test) for test in tests]:
            test.result()
    cases.end()


if __name__ == "__main__":
    main()
