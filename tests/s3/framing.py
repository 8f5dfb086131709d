#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Framing of HTTP/1.1 on real sockets: what could be read in two ways is refused and the connection
ends, what is fine goes on, and clients that stall cost little.

    framing.py build/debug/tests/http_echo [--stalled N]

Each refused row is sent with a second request behind it. It fails when the status differs, when the
second request is answered, or when the connection stays open. It is sent whole and byte by byte.
"""
import re
import resource
import socket
import subprocess
import sys
import time

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: next\r\n\r\n"
HOST = b"Host: a\r\n"
DECODED = b"x-amz-decoded-content-length: 5\r\n"


def head(line, *headers):
    return line + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n"


def put(*headers, body=b""):
    return head(b"PUT /echo HTTP/1.1", b"Host: a", *headers) + body


def sink(*headers, body=b""):
    return put(*headers, body=body).replace(b"/echo", b"/sink")


TE = b"Transfer-Encoding: chunked"
CL = b"Content-Length: 5"
GOOD = b"5\r\nhello\r\n0\r\n\r\n"

# name, status, bytes
REFUSED = [
    ("length and chunked", 400, put(CL, TE, body=GOOD)),
    ("chunked and length", 400, put(TE, CL, body=GOOD)),
    ("chunked and length 0", 400, put(TE, b"Content-Length: 0", body=GOOD)),
    ("two lengths", 400, put(b"Content-Length: 0", CL, body=b"hello")),
    ("two equal lengths", 400, put(CL, CL, body=b"hello")),
    ("list of lengths", 400, put(b"Content-Length: 5, 5", body=b"hello")),
    ("length with plus", 400, put(b"Content-Length: +5", body=b"hello")),
    ("length with minus", 400, put(b"Content-Length: -5", body=b"hello")),
    ("length in hex", 400, put(b"Content-Length: 0x5", body=b"hello")),
    ("length with a space", 400, put(b"Content-Length: 1 0", body=b"hello")),
    ("length with underscore", 400, put(b"Content-Length: 1_0", body=b"hello")),
    ("length with a fraction", 400, put(b"Content-Length: 5.0", body=b"hello")),
    ("length quoted", 400, put(b'Content-Length: "5"', body=b"hello")),
    ("empty length", 400, put(b"Content-Length:", body=b"hello")),
    ("length too big", 400, put(b"Content-Length: 18446744073709551621", body=b"hello")),
    ("length of 19 digits", 400, put(b"Content-Length: 9223372036854775808", body=b"hello")),
    ("length with vertical tab", 400, put(b"Content-Length: \x0b5", body=b"hello")),
    ("length with a space before the colon", 400, put(b"Content-Length : 5", body=b"hello")),
    ("length with a tab before the colon", 400, put(b"Content-Length\t: 5", body=b"hello")),
    ("encoding x then chunked", 400, put(b"Transfer-Encoding: x", TE, body=GOOD)),
    ("encoding chunked twice", 400, put(TE, TE, body=GOOD)),
    ("encoding list", 400, put(b"Transfer-Encoding: gzip, chunked", body=GOOD)),
    ("encoding chunked in a list", 400, put(b"Transfer-Encoding: chunked, chunked", body=GOOD)),
    ("encoding chunked, identity", 400, put(b"Transfer-Encoding: chunked, identity", body=GOOD)),
    ("encoding identity", 400, put(b"Transfer-Encoding: identity", CL, body=b"hello")),
    ("encoding with another case", 400, put(b"Transfer-Encoding: CHUNKED", body=GOOD)),
    ("encoding xchunked", 400, put(b"Transfer-Encoding: xchunked", body=GOOD)),
    ("encoding quoted", 400, put(b'Transfer-Encoding: "chunked"', body=GOOD)),
    ("encoding with a parameter", 400, put(b"Transfer-Encoding: chunked;q=1", body=GOOD)),
    ("encoding with vertical tab", 400, put(b"Transfer-Encoding: \x0bchunked", body=GOOD)),
    ("empty encoding", 400, put(b"Transfer-Encoding:", body=GOOD)),
    ("encoding with a space before the colon", 400, put(b"Transfer-Encoding : chunked", body=GOOD)),
    ("folded encoding", 400, put(b"Transfer-Encoding:\r\n chunked", body=GOOD)),
    ("chunked in HTTP/1.0", 400, head(b"PUT /echo HTTP/1.0", b"Host: a", TE) + GOOD),
    ("two hosts", 400, head(b"GET / HTTP/1.1", b"Host: a", b"Host: b")),
    ("two equal hosts", 400, head(b"GET / HTTP/1.1", b"Host: a", b"Host: a")),
    ("no host", 400, head(b"GET / HTTP/1.1")),
    ("empty host", 400, head(b"GET / HTTP/1.1", b"Host:")),
    ("host list", 400, head(b"GET / HTTP/1.1", b"Host: a, b")),
    ("host with a path", 400, head(b"GET / HTTP/1.1", b"Host: a/b")),
    ("host with a user", 400, head(b"GET / HTTP/1.1", b"Host: b@a")),
    ("bare line feeds", 400, b"GET / HTTP/1.1\nHost: a\n\n"),
    ("one bare line feed", 400, b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    ("bare line feed at the end", 400, b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("bare carriage return", 400, head(b"GET / HTTP/1.1", b"Host: a", b"X: a\rY: b")),
    ("two carriage returns", 400, b"GET / HTTP/1.1\r\r\nHost: a\r\r\n\r\r\n"),
    ("folded header", 400, head(b"GET / HTTP/1.1", b"Host: a", b"X: a", b" b")),
    ("first header folded", 400, head(b"GET / HTTP/1.1", b" X: a", b"Host: a")),
    ("NUL in a value", 400, head(b"GET / HTTP/1.1", b"Host: a", b"X: a\0b")),
    ("NUL in a name", 400, head(b"GET / HTTP/1.1", b"Host: a", b"X\0: a")),
    ("empty name", 400, head(b"GET / HTTP/1.1", b"Host: a", b": a")),
    ("no colon", 400, head(b"GET / HTTP/1.1", b"Host: a", b"X")),
    ("name of no token", 400, head(b"GET / HTTP/1.1", b"Host: a", b"X@: a")),
    ("empty line first", 400, b"\r\n" + head(b"GET / HTTP/1.1", b"Host: a")),
    ("two spaces before the target", 400, head(b"GET  / HTTP/1.1", b"Host: a")),
    ("space in the target", 400, head(b"GET /a b HTTP/1.1", b"Host: a")),
    ("tab as divider", 400, head(b"GET\t/\tHTTP/1.1", b"Host: a")),
    ("space behind the version", 400, head(b"GET / HTTP/1.1 ", b"Host: a")),
    ("no version", 400, head(b"GET /", b"Host: a")),
    ("version in lower case", 400, head(b"GET / http/1.1", b"Host: a")),
    ("version 1.9", 505, head(b"GET / HTTP/1.9", b"Host: a")),
    ("version 2.0", 505, head(b"PRI * HTTP/2.0") + b"SM\r\n\r\n"),
    ("version 1.10", 400, head(b"GET / HTTP/1.10", b"Host: a")),
    ("target with a host", 400, head(b"GET http://b/ HTTP/1.1", b"Host: a")),
    ("connect", 400, head(b"CONNECT b:80 HTTP/1.1", b"Host: a")),
    ("unknown expectation", 417, put(CL, b"Expect: 200-ok", body=b"hello")),
    ("too many headers", 431, head(b"GET / HTTP/1.1", b"Host: a", *[b"x: y"] * 100)),
    ("too long a target", 414, head(b"GET /" + b"a" * 8192 + b" HTTP/1.1", b"Host: a")),
    ("too long a head", 431, head(b"GET / HTTP/1.1", b"Host: a", b"X: " + b"a" * 16384)),
    ("handshake of TLS", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64),
]

# The head of these is fine; the handler meets the broken body and answers 400.
BROKEN_CHUNKS = [
    ("size with extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
    ("size with a space", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("size with a space in front", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("size with plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("empty size", b"\r\nhello\r\n0\r\n\r\n"),
    ("size too big", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("size with a bare line feed", b"5\nhello\r\n0\r\n\r\n"),
    ("data longer than its size", b"5\r\nhello!\r\n0\r\n\r\n"),
    ("data with a bare line feed", b"5\r\nhello\n0\r\n\r\n"),
    ("last chunk with a bare line feed", b"5\r\nhello\r\n0\n\r\n"),
    ("end with a bare line feed", b"5\r\nhello\r\n0\r\n\n"),
    ("trailers", b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
]

# Sent together; so many answers must come, with this status, and the connection stays open.
ACCEPTED = [
    ("pipelined", 3, head(b"GET / HTTP/1.1", b"Host: a") * 3),
    ("pipelined bodies", 3, put(CL, body=b"hello") * 3),
    ("pipelined chunks", 3, sink(TE, body=GOOD) * 3),
    ("a length of zeros", 1, put(b"Content-Length: 00005", body=b"hello")),
    ("space around a value", 1, put(b"Content-Length:\t 5 \t", body=b"hello")),
    ("upper case digits of a size", 1, sink(TE, body=b"00A\r\n0123456789\r\n0\r\n\r\n")),
    ("star for options", 1, head(b"OPTIONS * HTTP/1.1", b"Host: a")),
    ("bytes above ASCII", 1, head(b"GET /\xc3\xa4 HTTP/1.1", b"Host: a", b"X: \xe4")),
    ("a head of the longest kind", 1, head(b"GET / HTTP/1.1", b"Host: a", b"X: " + b"a" * 16352)),
]

failures = []


def check(name, is_fine, what):
    if not is_fine:
        failures.append(name)
        print("# FAILED %s: %s" % (name, what))


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def send(sock, data, whole):
    """Byte by byte where the framing is, so that each border is met once."""
    try:
        if whole:
            sock.sendall(data)
        else:
            for i in range(0, len(data), 1 if len(data) < 600 else 997):
                sock.sendall(data[i:i + (1 if len(data) < 600 else 997)])
    except (BrokenPipeError, ConnectionResetError):
        pass


def receive_all(sock):
    """Everything until the other side ends; the second value tells whether it did."""
    data = b""
    try:
        while True:
            part = sock.recv(65536)
            if not part:
                return data, True
            data += part
    except socket.timeout:
        return data, False
    except ConnectionResetError:
        return data, True


def statuses(data):
    return [int(s) for s in re.findall(rb"(?:^|\n|hello|\d)HTTP/1\.1 (\d\d\d) ", data)]


def check_refused(port, name, status, data, whole):
    sock = connect(port)
    send(sock, data, whole)
    send(sock, NEXT, True)
    answer, ended = receive_all(sock)
    sock.close()
    got = statuses(answer)
    name = "%s (%s)" % (name, "whole" if whole else "in pieces")
    check(name, got == [status], "answers %s, not %d" % (got, status))
    check(name, ended, "the connection stays open")
    check(name, b"connection: close" in answer.lower(), "does not say that it closes")


def check_accepted(port, name, count, data, whole):
    sock = connect(port)
    send(sock, data, whole)
    send(sock, head(b"GET /last HTTP/1.1", b"Host: a", b"Connection: close"), True)
    answer, ended = receive_all(sock)
    sock.close()
    got = statuses(answer)
    check(name, got == [200] * (count + 1) and ended, "answers %s, ended %s" % (got, ended))


def check_double_length(port):
    """The exception: an SDK's double length is taken as chunked, and the connection ends."""
    sock = connect(port)
    sock.sendall(put(b"Content-Length: 44", TE, DECODED.strip(), body=GOOD) + NEXT)
    answer, ended = receive_all(sock)
    check("double length", statuses(answer) == [200] and ended and b"hello" in answer, answer)
    sock.close()


def check_continue(port):
    sock = connect(port)
    sock.sendall(head(b"PUT /sink HTTP/1.1", b"Host: a", CL, b"Expect: 100-continue"))
    first = sock.recv(100)
    check("100 is sent when the body is wanted", first == b"HTTP/1.1 100 Continue\r\n\r\n", first)
    sock.sendall(b"hello")
    check("the answer follows", statuses(sock.recv(1000)) == [200], "no 200")
    sock.close()
    # As botocore asks for empty files. What comes after an answer without 100 it takes for headers, and
    # waits for more of them until the connection is closed.
    sock = connect(port)
    empty = head(b"PUT /sink HTTP/1.1", b"Host: a", b"Content-Length: 0", b"Expect: 100-continue")
    sock.sendall(empty + empty.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    answer, ended = receive_all(sock)
    check("100 is sent before the answer to an empty body", statuses(answer) == [100, 200] * 2 and ended, answer)
    sock.close()
    sock = connect(port)
    sock.sendall(head(b"PUT /refuse HTTP/1.1", b"Host: a", CL, b"Expect: 100-continue"))
    answer, ended = receive_all(sock)
    check("no 100 for what is refused", statuses(answer) == [403] and ended, answer)
    sock.close()


def check_drain(port):
    for size, stays in ((60000, True), (100000, False)):
        sock = connect(port)
        sock.sendall(head(b"PUT /refuse HTTP/1.1", b"Host: a", b"Content-Length: %d" % size))
        sock.sendall(b"x" * size + head(b"GET /a HTTP/1.1", b"Host: a", b"Connection: close"))
        answer, ended = receive_all(sock)
        got = statuses(answer)
        check("refused body of %d" % size, ended and got == ([403, 200] if stays else [403]), got)
        sock.close()


def check_cut(port):
    for target in (b"/short/100000", b"/silent"):
        sock = connect(port)
        sock.sendall(head(b"GET " + target + b" HTTP/1.1", b"Host: a"))
        answer, ended = receive_all(sock)
        check("cut " + target.decode(), ended and len(answer) < 60000, len(answer))
        sock.close()


def check_injection(port):
    sock = connect(port)
    sock.sendall(head(b"GET /inject HTTP/1.1", b"Host: a"))
    answer, _ = receive_all(sock)
    check("a header with a line break", statuses(answer) == [500] and b"Set-Cookie" not in answer,
          answer)
    sock.close()


def check_slow(program):
    """Deadlines: with all of them at half a second."""
    process, port = start(program, "-t", "500")
    rows = [
        ("idle", b"", []),
        ("half a head", b"GET / HTTP/1.1\r\nHost", [408]),
        ("half a body", head(b"PUT /sink HTTP/1.1", b"Host: a", CL) + b"he", [408]),
    ]
    for name, data, expected in rows:
        sock = connect(port)
        sock.sendall(data)
        began = time.time()
        answer, ended = receive_all(sock)
        took = time.time() - began
        check(name, ended and statuses(answer) == expected and took < 3, (answer, took))
        sock.close()
    check_slow_reader(port)
    check_trickle(port)
    stop(process)


def check_slow_reader(port):
    sock = connect(port)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.sendall(head(b"GET /bytes/100000000 HTTP/1.1", b"Host: a"))
    time.sleep(2)
    answer, ended = receive_all(sock)
    check("who does not read is cut", ended and len(answer) < 100000000, len(answer))
    sock.close()


def check_trickle(port):
    """Progress alone is not enough: under 1 KiB/s the exchange ends."""
    sock = connect(port)
    sock.sendall(head(b"PUT /sink HTTP/1.1", b"Host: a", b"Content-Length: 1000"))
    began = time.time()
    try:
        while time.time() - began < 5:
            sock.sendall(b"x")
            time.sleep(0.1)
    except (BrokenPipeError, ConnectionResetError):
        pass
    check("a trickle is cut", time.time() - began < 4, "still open")
    sock.close()


def check_port_in_use(program, port):
    """The one who has the port is named."""
    other = subprocess.run([program, "-p", str(port)], stderr=subprocess.PIPE, timeout=20)
    check("port in use", other.returncode == 1 and
          re.search(rb"port %d of 127.0.0.1 is in use by http_echo \(process \d+\)" % port,
                    other.stderr), other.stderr)


def stats(port):
    sock = connect(port)
    sock.sendall(head(b"GET /stats HTTP/1.1", b"Host: a", b"Connection: close"))
    answer, _ = receive_all(sock)
    sock.close()
    return {k.decode(): int(v) for k, v in re.findall(rb"(\w+) (\d+)(?= |\n)", answer.split(b"\r\n\r\n")[1])}


def check_stalled(program, count):
    """Thousands of clients that stall in a head: bounded memory, and others are served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(count, (hard - 200) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * count + 200), hard))
    process, port = start(program, "-m", str(count + 100))
    before = stats(port)["rss_kib"]
    idle = [connect(port) for _ in range(count)]
    for sock in idle:
        sock.sendall(head(b"GET / HTTP/1.1", b"Host: a"))
    for sock in idle:
        sock.recv(1000)
    idle_kib = stats(port)["rss_kib"] - before
    for sock in idle:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
    began = time.time()
    after = stats(port)
    took = time.time() - began
    print("# %d connections: idle %d KiB, stalled in a head %d KiB, another is served in %.1f ms" %
          (count, idle_kib, after["rss_kib"] - before, took * 1000))
    if "release" in program:
        check("idle connections cost 2 KiB", idle_kib <= 2 * count, idle_kib)
        check("stalled heads are bounded", after["rss_kib"] - before <= 8 * count, after)
    check("all are counted", after["connections"] >= count, after)
    check("others are served", took < 1, took)
    for sock in idle:
        sock.close()
    stop(process)
    check_eviction(program)


def check_eviction(program):
    process, port = start(program, "-m", "50")
    socks = []
    for _ in range(200):
        sock = connect(port)
        sock.sendall(head(b"GET / HTTP/1.1", b"Host: a"))
        check("the newest is served", statuses(sock.recv(1000)) == [200], "no answer")
        socks.append(sock)
    after = stats(port)
    check("the longest idle goes", after["connections"] <= 50 and after["evicted"] >= 150, after)
    check("the first one was closed", receive_all(socks[0])[1], "still open")
    for sock in socks:
        sock.close()
    stop(process)


def start(program, *args):
    process = subprocess.Popen([program, *args], stdout=subprocess.PIPE)
    return process, int(process.stdout.readline().split()[1])


def stop(process):
    process.terminate()
    check("exit status", process.wait(20) == 0, process.returncode)


def main():
    program = sys.argv[1]
    process, port = start(program, "-n", "2")
    for name, status, data in REFUSED:
        check_refused(port, name, status, data, True)
        check_refused(port, name, status, data, False)
    for name, body in BROKEN_CHUNKS:
        data = head(b"PUT /sink HTTP/1.1", b"Host: a", TE) + body
        check_refused(port, name, 400, data, True)
        check_refused(port, name, 400, data, False)
    for name, count, data in ACCEPTED:
        check_accepted(port, name, count, data, True)
        check_accepted(port, name, count, data, False)
    check_double_length(port)
    check_continue(port)
    check_drain(port)
    check_cut(port)
    check_injection(port)
    check_port_in_use(program, port)
    stop(process)
    if "--stalled" in sys.argv:
        check_slow(program)
        check_stalled(program, int(sys.argv[sys.argv.index("--stalled") + 1]))
    print("# %d rows refused, %d failures" % (len(REFUSED) + len(BROKEN_CHUNKS), len(failures)))
    print("%sok HTTP/1.1 is read in one way and stalled clients cost little" % ("not " if failures else ""))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
