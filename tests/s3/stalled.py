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


def processor_seconds(node):
    """What its process has used, of the clock that each process has (clock_getcpuclockid)."""
    return time.clock_gettime(~node.process.pid << 3 | 2)


class Latencies:
    """Of puts and gets of an honest client, in ms, at a node that is left alone and at the one beside it
    that is not: a request to one, the same to the other. What else the machine does is in both. Puts
    wait for the disk, which others may keep busy; gets do not, and their p99 shows less of a cost."""

    def __init__(self, nodes, wires, body):
        self.all = {"put": ([], []), "get": ([], [])}
        begins = [processor_seconds(node) for node in nodes]
        for i in range(REQUESTS):
            kind = "get" if i % 3 else "put"
            for wire, found in zip(wires, self.all[kind]):
                begin = time.monotonic()
                if kind == "put":
                    equal(wire.put(BUCKET, f"k{i % 50}", body).status, 200)
                else:
                    equal(wire.get(BUCKET, "k0").body, body)
                found.append((time.monotonic() - begin) * 1000)
        self.us = [1e6 * (processor_seconds(node) - begin) / REQUESTS for node, begin in zip(nodes, begins)]

    def percentiles(self, kind, part):
        """Of the one that is left alone, and of the other."""
        return [sorted(found)[int(len(found) * part)] for found in self.all[kind]]

    def is_slower(self):
        """A floor of half a millisecond: below it the clock of a shared machine decides."""
        pairs = [self.percentiles(kind, 0.99) for kind in self.all]
        return any(other >= 2 * max(alone, 0.5) for alone, other in pairs)

    def tell(self):
        times = [f"{kind} p50 {self.text(self.percentiles(kind, 0.5))} ms, "
                 f"p99 {self.text(self.percentiles(kind, 0.99))} ms" for kind in self.all]
        return f"{', '.join(times)}, processor time of a request {self.text(self.us)} us"

    @staticmethod
    def text(pair):
        return f"{pair[0]:.2f} to {pair[1]:.2f}"

    def is_dearer(self):
        """This does not depend on what else the machine does, and shows what a p99 of 50 ms hides."""
        return self.us[1] >= 1.5 * self.us[0]


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
    settings = {"RUBUS_MAX_CONNECTIONS": str(limit)}
    with tempfile.TemporaryDirectory(prefix="alone-") as near, \
            tempfile.TemporaryDirectory(prefix="stalled-") as parent, \
            Node(build, near, 1, settings) as alone, Node(build, parent, 1, settings) as node:
        nodes = [alone, node]
        wires = [Wire(each) for each in nodes]
        body = os.urandom(4096)
        for wire in wires:
            wire.make_bucket(BUCKET)
        Latencies(nodes, wires, body)
        memory = node.memory_mib()
        wires[1].close()  # the longest idle connection is the first to go
        socks = stall(node, count)
        time.sleep(0.5)
        # What else the machine does may fall on one of the two; what the stalled ones cost is in each round.
        for _ in range(ROUNDS):
            latencies = Latencies(nodes, wires, body)
            if not latencies.is_slower() and not latencies.is_dearer():
                break
        peak = node.memory_mib()
        say(f"{name}: memory {memory:.1f} to {peak:.1f} MiB, {latencies.tell()}")
        with cases.case(f"{name} take at most {MEMORY_MIB_MAX} MiB"):
            assert peak <= MEMORY_MIB_MAX, f"{peak:.1f} MiB"
        with cases.case(f"{name} leave the p99 of others below twice what it is without them"):
            assert not latencies.is_slower(), latencies.tell()
        with cases.case(f"{name} make a request cost less than 1.5 times the processor time"):
            assert not latencies.is_dearer(), latencies.tell()
        with cases.case(f"{name} do not keep new clients out"):
            for tls in (False, True):
                fresh = Wire(node, tls=tls, timeout=10)
                equal(fresh.get(BUCKET, "k0").body, body)
                fresh.close()
        for sock in socks + wires:
            sock.close()


def hang_on(node, count):
    """Connections whose requests were refused and that do not read the answer, nor close."""
    socks = [socket.create_connection((node.host, node.s3_port)) for _ in range(count)]
    for sock in socks:
        sock.sendall(b"PUT /none/none HTTP/1.1\r\nHost: rubus\r\nContent-Length: 100000000\r\n\r\n")
    for sock in socks:
        assert sock.recv(10, socket.MSG_PEEK) == b"HTTP/1.1 4"
    return socks


def stop_with_hangers_on(cases, build):
    with tempfile.TemporaryDirectory(prefix="stalled-") as parent, \
            Node(build, parent, 1, {"RUBUS_LOOPS": "8"}) as node:
        with cases.case("a stop waits once for those who hang on, and not on each loop"):
            socks = hang_on(node, 128)
            begin = time.monotonic()
            node.stop()
            took = time.monotonic() - begin
            say(f"a stop with {len(socks)} hangers-on on 8 loops: {took:.2f} s")
            assert took < 2.5, took
            for sock in socks:
                sock.close()


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
    stop_with_hangers_on(cases, arguments.build)
    cases.end()


if __name__ == "__main__":
    main()
