#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The framing of HTTP/1.1 at a node that serves S3, over HTTP and over TLS: the rows of framing.py, and
those in which S3 has a say. Of each: which answers come, and whether the connection stays open.

usage: framing_s3.py BUILD
"""
import os
import re
import socket
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal, say
from edge_case import UNSIGNED, Edge, fine
from framing import BROKEN_CHUNKS, GOOD, NEXT, REFUSED, head
from node import Node

OPEN, CLOSED = True, False
LAST = b"GET /?last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def rows_of(e):
    """name, bytes, statuses, whether the connection stays open."""
    def signed(method="PUT", key="k", headers=(), body=b"", payload=UNSIGNED, wire=None, cut=None):
        data, _, _ = e.head_of(method, e.path(key), headers=headers, payload=payload)
        if wire:
            data = data.replace(*wire)
        return data + body if cut is None else (data + body)[:cut]

    te, five = ("transfer-encoding", "chunked"), ("content-length", "5")
    decoded = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    put = signed(headers=[five], body=b"hello")
    get = signed("GET")
    stranger = b"Host: " + e.host.encode()
    refused = b"PUT " + e.path("k").encode() + b" HTTP/1.1"
    return [
        ("one request", get, [200], OPEN),
        ("a hundred at once", get * 100, [200] * 100, OPEN),
        ("puts and gets at once", (put + get) * 10, [200] * 20, OPEN),
        ("a put of nothing", signed(headers=[("content-length", "0")]), [200], OPEN),
        ("the object is there again", put, [200], OPEN),
        ("a body of a GET", signed("GET", headers=[five], body=b"hello"), [200], OPEN),
        ("a body of a GET that looks like a request", signed("GET", headers=[("content-length", str(len(NEXT)))], body=NEXT),
         [200], OPEN),
        ("a body of a HEAD", signed("HEAD", headers=[five], body=b"hello"), [200], OPEN),
        ("a body of a DELETE", signed("DELETE", "gone", headers=[five], body=b"hello"), [204], OPEN),
        ("chunks of a GET", signed("GET", headers=[te], body=GOOD), [200], CLOSED),
        ("a refused put", head(refused, stranger, b"Content-Length: 5") + b"hello", [403], OPEN),
        ("a refused put that looks like a request",
         head(refused, stranger, b"Content-Length: %d" % len(NEXT)) + NEXT, [403], OPEN),
        ("a refused put of much", head(refused, stranger, b"Content-Length: 1000000") + bytes(1000000), [403],
         CLOSED),
        ("a refused put in chunks", head(refused, stranger, b"Transfer-Encoding: chunked") + GOOD, [403], CLOSED),
        ("a put without a length", signed(headers=[te], body=GOOD), [411], CLOSED),
        ("a put without any", signed(), [411], OPEN),
        ("a length of both kinds", signed(headers=[te, five], body=GOOD), [400], CLOSED),
        ("an escape that is none", get.replace(b"/k HTTP", b"/%zz HTTP"), [400], OPEN),
        ("half an escape", get.replace(b"/k HTTP", b"/k%2 HTTP"), [400], OPEN),
        ("a percent alone", get.replace(b"/k HTTP", b"/% HTTP"), [400], OPEN),
        ("an escape of NUL", get.replace(b"/k HTTP", b"/k%00 HTTP"), [403], OPEN),
        ("NUL in the target", get.replace(b"/k HTTP", b"/k\0 HTTP"), [400], CLOSED),
        ("an escape in the query that is none", get.replace(b"/k HTTP", b"/k?a=%zz HTTP"), [400], OPEN),
        ("bytes that are no UTF-8", get.replace(b"/k HTTP", b"/\xff HTTP"), [400], OPEN),
        ("a fragment", get.replace(b"/k HTTP", b"/k#x HTTP"), [400], CLOSED),
        ("a target without a slash", get.replace(b"GET /", b"GET "), [400], CLOSED),
        ("a whole URL", get.replace(b"GET /", b"GET http://" + e.host.encode() + b"/"), [400], CLOSED),
        ("two slashes first", get.replace(b"GET /", b"GET //"), [400], OPEN),
        ("a query alone", get.replace(b"GET " + e.path("k").encode(), b"GET ?x"), [400], CLOSED),
        ("HTTP/1.0", get.replace(b"HTTP/1.1", b"HTTP/1.0"), [200], CLOSED),
        ("HTTP/1.0 that asks to stay", get.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"), [200], CLOSED),
        ("close", get.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"), [200], CLOSED),
        ("close in a list", get.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: x, Close\r\n"), [200], CLOSED),
        ("keep-alive", get.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: keep-alive\r\n"), [200], OPEN),
        ("an upgrade", get.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"), [200], OPEN),
        ("a header that the connection names", get.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: x-amz-date\r\n"),
         [200], OPEN),
        ("an expectation that did not wait", signed(headers=[five, ("expect", "100-continue")], body=b"hello"), [200], OPEN),
        ("an expectation in HTTP/1.0", signed(headers=[five, ("expect", "100-continue")], body=b"hello",
                                              wire=(b"HTTP/1.1", b"HTTP/1.0")), [200], CLOSED),
        ("an unknown expectation", signed(headers=[five, ("expect", "x")], body=b"hello"), [417], CLOSED),
        ("a refused expectation", head(refused, stranger, b"Content-Length: 5", b"Expect: 100-continue"),
         [403], CLOSED),
        ("a method that is unknown", get.replace(b"GET ", b"FOO "), [403], OPEN),
        ("a method in lower case", get.replace(b"GET ", b"get "), [403], OPEN),
        ("a head without an end", get[:-2], [], OPEN),
        ("a line without an end", get[:20], [], OPEN),
        ("a body without an end", put[:-1], [], OPEN),
        *[(f"chunks: {name}", signed(headers=[te, *decoded], payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER", body=body),
           [400], CLOSED) for name, body in BROKEN_CHUNKS],
    ]


class Socket:
    def __init__(self, e):
        self.sock = e.connect()
        self.sock.settimeout(5)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def receive_all(self):
        data = b""
        try:
            while part := self.sock.recv(65536):
                data += part
        except (ConnectionResetError, ssl.SSLError):
            pass
        return data

    def is_silent(self):
        """Nothing comes for a while, and it is not closed."""
        self.sock.settimeout(0.05)
        try:
            return not self.sock.recv(1) and None
        except (socket.timeout, ssl.SSLWantReadError):
            return True


def statuses(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", data)]


def check(e, data, expected, is_open):
    sock = Socket(e)
    try:
        sock.send(data)
        if not expected:
            equal(sock.is_silent(), True)
            return
        sock.send(LAST)
        answer = sock.receive_all()
        equal(statuses(answer), [*expected, 403] if is_open else expected)
        assert b"smuggled" not in answer, answer
        if not is_open:
            assert b"connection: close" in answer.lower(), answer
    finally:
        sock.sock.close()


def main():
    build = sys.argv[1]
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="framing-") as parent, Node(build, parent) as node:
        for tls in (False, True):
            cases = Cases(" (TLS)" if tls else " (HTTP)")
            e = Edge(node, tls)
            e.new_bucket()
            fine(e.put("k", b"hello"))
            rows = rows_of(e)
            # The port speaks TLS: those bytes are the beginning of a handshake.
            refused = [row for row in REFUSED if row[0] != "handshake of TLS"]
            for name, data, expected, is_open in rows:
                with cases.case(f"framing: {name}"):
                    check(e, data, expected, is_open)
            for name, status, data in refused:
                with cases.case(f"framing: {name}"):
                    check(e, data, [status], CLOSED)
            with cases.case("framing left nothing else behind"):
                equal(fine(e.get("k")).body, b"hello")
                equal(sorted(set(re.findall(rb"<Key>(.*?)</Key>", e.list().body))), [b"k"])
            e.close()
            say(f"{len(rows) + len(refused)} rows")
            failed, passed = failed + cases.failed, passed + cases.passed
        with cases.case("it is still the same process"):
            assert node.process.poll() is None, node.log_tail()
    sys.exit(1 if failed or cases.failed or not passed else 0)


if __name__ == "__main__":
    main()
