#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand connections that send half a request and nothing more cost a bounded amount of memory
and leave an honest client in peace. Most of them are strangers; STALLED_UPLOADS are uploads that may
be made, and stop in the middle: they hold what uploads hold until they are ended.

usage: stalled.py BUILD [--connections N]
"""
import argparse
import os
import resource
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal, say
from node import Node
from wire import Wire

BUCKET = "stalled"
MEMORY_MIB_MAX = 128
REQUESTS = 1500
STALLED_UPLOADS = 64
ROUNDS = 5


def latencies(wire, body):
    """Of puts and gets of an honest client, in ms, sorted."""
    found = []
    for i in range(REQUESTS):
        begin = time.monotonic()
        if i % 3 == 0:
            equal(wire.put(BUCKET, f"k{i % 50}", body).status, 200)
        else:
            equal(wire.get(BUCKET, "k0").body, body)
        found.append((time.monotonic() - begin) * 1000)
    return sorted(found)


def percentile(sorted_values, part):
    return sorted_values[int(len(sorted_values) * part)]


def is_slower(before, during):
    """A floor of half a millisecond: below it the clock of a shared machine decides."""
    return percentile(during, 0.99) >= 2 * max(percentile(before, 0.99), 0.5)


def shake(node, count):
    """Half a handshake on each."""
    socks = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", node.s3_port), timeout=20)
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        socks.append(sock)
    return socks


def stall(node, count):
    """Half a head, a head that is not signed, half a handshake, nothing: in turns; and some uploads."""
    wire = Wire(node)
    headers = {"host": f"127.0.0.1:{node.s3_port}"}
    wire.signer.sign("PUT", f"/{BUCKET}/never", [], headers, "UNSIGNED-PAYLOAD")
    whole = f"PUT /{BUCKET}/never HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    whole = (whole + "content-length: 100\r\n\r\n").encode()
    texts = (whole[:40], whole[:-3], b"\x16\x03\x01\x02\x00\x01", b"", whole.replace(b"Signature=", b"Signature=0"))
    socks = []
    for i in range(count):
        sock = socket.create_connection(("127.0.0.1", node.s3_port), timeout=20)
        is_upload = i % (count // STALLED_UPLOADS) == 0
        sock.sendall(whole + b"half" if is_upload else texts[i % len(texts)])
        socks.append(sock)
    return socks


def test(cases, build, count, limit, stall, what):
    """With more connections than max_connections the longest idle ones make room."""
    name = f"{count} {what} of at most {limit}"
    with tempfile.TemporaryDirectory(prefix="stalled-") as parent, \
            Node(build, parent, 1, {"RUBUS_MAX_CONNECTIONS": str(limit)}) as node:
        wire = Wire(node)
        wire.make_bucket(BUCKET)
        body = os.urandom(4096)
        latencies(wire, body)
        before = latencies(wire, body)
        memory = node.memory_mib()
        wire.close()  # the longest idle connection is the first to go
        socks = stall(node, count)
        time.sleep(0.5)
        during = latencies(wire, body)
        peak = node.memory_mib()
        # What else the machine does is in a round or not; what the stalled ones cost is in each.
        for _ in range(ROUNDS - 1):
            if is_slower(before, during):
                during = min(during, latencies(wire, body), key=lambda values: percentile(values, 0.99))
        p99 = percentile(before, 0.99), percentile(during, 0.99)
        say(f"{name}: memory {memory:.1f} to {peak:.1f} MiB, p50 {percentile(before, 0.5):.2f} to "
            f"{percentile(during, 0.5):.2f} ms, p99 {p99[0]:.2f} to {p99[1]:.2f} ms")
        with cases.case(f"{name} take at most {MEMORY_MIB_MAX} MiB"):
            assert peak <= MEMORY_MIB_MAX, f"{peak:.1f} MiB"
        with cases.case(f"{name} leave the p99 of others below twice what it was"):
            assert not is_slower(before, during), f"{p99[0]:.2f} to {p99[1]:.2f} ms"
        with cases.case(f"{name} do not keep new clients out"):
            for tls in (False, True):
                fresh = Wire(node, tls=tls, timeout=10)
                equal(fresh.get(BUCKET, "k0").body, body)
                fresh.close()
        for sock in socks:
            sock.close()
        wire.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--connections", type=int, default=10000)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(arguments.connections, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cases = Cases()
    if count < arguments.connections:
        say(f"only {count} connections: {hard} files may be open")
    test(cases, arguments.build, count, count + 1000, stall, "stalled connections")
    test(cases, arguments.build, count, count + 1000, shake, "stalled handshakes")
    test(cases, arguments.build, min(count, 3000), 1024, stall, "stalled connections")
    cases.end()


if __name__ == "__main__":
    main()
