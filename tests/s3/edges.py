#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The 83 sharp edges of S3, each by its number, over HTTP and over TLS, said to the byte.

usage: edges.py BUILD [WORD]...        only cases whose name has one of the words

The numbers are those of the tables that docs/S3.md goes by; where sources disagree, its section
"Choices" says what these cases hold and why. Each case has a bucket of its own.
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import edges_buckets
import edges_listing
import edges_objects
import edges_transport
import edges_writes
from cases import Cases, equal
from edge_case import Edge
from node import Node

COUNT = 83
MODULES = (edges_transport, edges_listing, edges_objects, edges_writes, edges_buckets)


def main():
    build, words = sys.argv[1], sys.argv[2:]
    functions = [function for module in MODULES for function in module.case.functions]
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="edges-") as parent, Node(build, parent) as node:
        for tls in (False, True):
            cases = Cases(" (TLS)" if tls else " (HTTP)")
            with cases.case("each edge has its case"):
                equal(sorted({int(f.__name__.split("_")[1]) for f in functions}), list(range(1, COUNT + 1)))
            e = Edge(node, tls)
            for function in functions:
                name = function.__name__.replace("_", " ")
                if words and not any(word in name for word in words):
                    continue
                with cases.case(name):
                    try:
                        e.new_bucket()
                        function(e)
                    except BaseException:
                        e.close()
                        raise
            e.close()
            failed, passed = failed + cases.failed, passed + cases.passed
        cases = Cases()
        with cases.case("it is still the same process"):
            assert node.process.poll() is None, node.log_tail()
    sys.exit(1 if failed or cases.failed or not passed else 0)


if __name__ == "__main__":
    main()
