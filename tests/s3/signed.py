#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests signed by botocore, each accepted as it is and refused with one bit or one header changed.

usage: signed.py BUILD [COUNT [SEED]]

20 000 of them take some seconds, a million five minutes. The seed is another one each time; it is printed.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, say


def main():
    build = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    seed = sys.argv[3] if len(sys.argv) > 3 else str(time.time_ns() % 1000000007)
    vectors = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sigv4_vectors.py")
    cases = Cases()
    with cases.case(f"{count} requests signed by botocore are accepted, and refused when they are changed"):
        with subprocess.Popen([sys.executable, vectors, str(count), seed], stdout=subprocess.PIPE) as maker:
            check = subprocess.run([os.path.join(build, "tests", "sigv4_check")], stdin=maker.stdout,
                                   capture_output=True, check=False)
        text = check.stdout.decode(errors="replace")
        say(f"seed {seed}: {text.strip()}" if check.returncode == 0 else f"seed {seed}")
        if check.returncode or maker.returncode or not text.startswith(f"{count} accepted"):
            raise AssertionError(f"{check.returncode}, {maker.returncode}: {text}{check.stderr.decode()}")
    cases.end()


if __name__ == "__main__":
    main()
