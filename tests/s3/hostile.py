#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests that no honest client makes. Each is refused with the right words, leaves nothing behind, and
the node goes on as before.

usage: hostile.py BUILD
"""
import base64
import datetime
import hashlib
import os
import socket
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal
from node import Node
from wire import EMPTY, UNSIGNED, Answer, Wire, canonical_query, escape

BUCKET = "hostile"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class Hostile:
    def __init__(self, node):
        self.node = node
        self.wire = Wire(node)

    def refused(self, answer, status, *codes):
        if answer.status != status or answer.code not in codes:
            raise AssertionError(f"{answer}, not {status} {codes}")

    def absent(self, key):
        """Nothing of a refused put can be seen."""
        equal(self.wire.get(BUCKET, key).status, 404)
        assert key not in [name for name, _, _ in self.wire.list(BUCKET)], key

    def raw(self, data, close_early=False):
        """Sends bytes on a connection of their own; returns all that comes back."""
        with socket.create_connection(("127.0.0.1", self.node.s3_port), timeout=30) as sock:
            try:
                sock.sendall(data)
                if close_early:
                    sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = b""
            try:
                while part := sock.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass
            return answer

    def signed_head(self, key, payload, headers, query=()):
        """The bytes of a signed PUT up to its body, and stamp and signature for its chunks."""
        headers = {"host": f"127.0.0.1:{self.node.s3_port}", "connection": "close", **headers}
        path = "/" + BUCKET + "/" + escape(key)
        stamp, signature = self.wire.signer.sign(
            "PUT", path, query, headers, payload,
            unsigned=("connection", "content-length", "transfer-encoding"))
        target = path + ("?" + canonical_query(query) if query else "")
        lines = [f"PUT {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode(), stamp, signature

    def chunked(self, key, chunks, spoil=None, decoded=None):
        """A put in signed chunks; spoil(data, i) changes a chunk after it was signed."""
        body, text = b"", b"".join(chunks)
        length = sum(len(b"%x" % len(c)) + 85 + 2 + len(c) + 2 for c in [*chunks, b""])
        head, stamp, signature = self.signed_head(key, SIGNED_CHUNKS, {
            "content-encoding": "aws-chunked", "content-length": str(length),
            "x-amz-decoded-content-length": str(len(text) if decoded is None else decoded)})
        for i, chunk in enumerate([*chunks, b""]):
            signature = self.wire.signer.signature(
                stamp, "AWS4-HMAC-SHA256-PAYLOAD", signature, EMPTY, hashlib.sha256(chunk).hexdigest())
            data = b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), signature.encode(), chunk)
            body += spoil(data, i) if spoil else data
        return parse(self.raw(head + body))


def parse(data):
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        raise AssertionError(f"no answer: {data[:200]!r}")
    return Answer(int(head[9:12]), {}, body)


# --- cases: names are the names of the functions ----------------------------------------------------


def a_body_that_is_not_what_its_digest_says_is_refused(h):
    for size in (10, 5000, 400000):
        body = os.urandom(size)
        wrong = hashlib.sha256(body + b"x").hexdigest()
        answer = h.wire.put(BUCKET, "sha", body, payload=wrong)
        h.refused(answer, 400, "XAmzContentSHA256Mismatch")
        md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        h.refused(h.wire.put(BUCKET, "md5", body, headers={"content-md5": md5}), 400, "BadDigest")
        crc = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
        answer = h.wire.put(BUCKET, "crc", body, headers={"x-amz-checksum-crc32": crc})
        h.refused(answer, 400, "BadDigest", "InvalidRequest")
    for key in ("sha", "md5", "crc"):
        h.absent(key)


def a_digest_that_is_none_is_refused(h):
    for name, value, codes in (
            ("content-md5", "!!!", ("InvalidDigest",)), ("content-md5", "AAAA", ("InvalidDigest",)),
            ("x-amz-checksum-crc32", "AAAAAAAAAAA=", ("InvalidRequest", "InvalidDigest", "BadDigest")),
            ("x-amz-checksum-sha256", "zz", ("InvalidRequest", "InvalidDigest", "BadDigest"))):
        h.refused(h.wire.put(BUCKET, "k", b"x", headers={name: value}), 400, *codes)
    h.absent("k")


def a_body_that_ends_early_leaves_nothing(h):
    for size, sent in ((100, 99), (5000, 1), (3 << 20, (3 << 20) - 1), (3 << 20, 1 << 20)):
        head, _, _ = h.signed_head("short", UNSIGNED, {"content-length": str(size)})
        h.raw(head + bytes(sent), close_early=True)
        h.absent("short")


def signed_chunks_are_read(h):
    body = os.urandom(200000)
    equal(h.chunked("chunks", [body[:65536], body[65536:131072], body[131072:]]).status, 200)
    equal(h.wire.get(BUCKET, "chunks").body, body)


def a_spoiled_chunk_is_refused(h):
    chunks = [os.urandom(65536), os.urandom(70000)]

    def in_data(data, i):
        return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:] if i == 1 else data

    def in_signature(data, i):
        return data.replace(b"signature=", b"signature=0", 1)[:-1] if i == 0 else data

    def in_last(data, i):
        return data[:25] + (b"0" if data[25:26] != b"0" else b"1") + data[26:] if i == 2 else data

    for spoil in (in_data, in_signature, in_last):
        answer = h.chunked("spoiled", chunks, spoil)
        assert answer.status in (400, 403), answer
        h.absent("spoiled")


def a_chunked_body_of_another_length_is_refused(h):
    for decoded in (99, 101, 0, 1 << 40):
        answer = h.chunked("length", [bytes(100)], decoded=decoded)
        assert 400 <= answer.status < 500, answer
        h.absent("length")


def broken_framing_of_chunks_is_refused(h):
    for body in (b"zz\r\n", b"-5\r\nhello\r\n", b"5\nhello\n0\n\n", b"5;" + b"x" * 20000 + b"\r\nhello\r\n",
                 b"ffffffffffffffffff\r\nhello", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r\n"):
        head, _, _ = h.signed_head("framing", TRAILER, {
            "content-encoding": "aws-chunked", "content-length": str(len(body)),
            "x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"})
        answer = h.raw(head + body, close_early=True)
        assert not answer or 400 <= parse(answer).status < 500, answer[:300]
        h.absent("framing")


def a_wrong_trailer_is_refused(h):
    good = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big"))
    for trailer, status in ((b"x-amz-checksum-crc32:" + good, 200), (b"x-amz-checksum-crc32:AAAAAA==", 400),
                            (b"x-amz-checksum-sha256:" + good, 400), (b"", 400)):
        body = b"5\r\nhello\r\n0\r\n" + (trailer + b"\r\n" if trailer else b"") + b"\r\n"
        head, _, _ = h.signed_head(f"trailer-{status}", TRAILER, {
            "content-encoding": "aws-chunked", "content-length": str(len(body)),
            "x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"})
        answer = parse(h.raw(head + body))
        assert answer.status == status, (trailer, answer)
    h.absent("trailer-400")
    answer = h.wire.get(BUCKET, "trailer-200")
    equal((answer.body, answer.headers.get("content-encoding")), (b"hello", None))


def a_streaming_mode_that_is_unknown_is_not_stored(h):
    for mode in ("STREAMING-AWS4-HMAC-SHA512-PAYLOAD", "STREAMING-NEW", "streaming-unsigned-payload-trailer",
                 "nonsense", "e3b0"):
        answer = h.wire.put(BUCKET, "mode", b"5\r\nhello\r\n0\r\n\r\n", payload=mode)
        assert answer.status in (400, 501), answer
    h.absent("mode")


def a_put_without_a_length_is_refused(h):
    head, _, _ = h.signed_head("length", UNSIGNED, {"transfer-encoding": "chunked"})
    h.refused(parse(h.raw(head + b"5\r\nhello\r\n0\r\n\r\n")), 411, "MissingContentLength")
    upload = h.wire.start_upload(BUCKET, "length")
    for query in ((), [("partNumber", "1"), ("uploadId", upload)]):
        head, _, _ = h.signed_head("length", UNSIGNED, {}, query)
        h.refused(parse(h.raw(head)), 411, "MissingContentLength")
        head, _, _ = h.signed_head("length", UNSIGNED, {"transfer-encoding": "chunked"}, query)
        h.refused(parse(h.raw(head + b"0\r\n\r\n")), 411, "MissingContentLength")
    head, _, _ = h.signed_head("length", TRAILER, {"content-length": "5"})
    h.refused(parse(h.raw(head + b"hello")), 411, "MissingContentLength")
    head, _, _ = h.signed_head("length", UNSIGNED, {"content-length": str(6 << 40)})
    h.refused(parse(h.raw(head)), 400, "EntityTooLarge")
    h.absent("length")


def what_is_not_signed_does_not_count(h):
    """A header of x-amz- that the signature leaves out could have been added by anybody."""
    h.wire.put(BUCKET, "source", b"secret")
    for name, value in (("x-amz-copy-source", f"/{BUCKET}/source"), ("x-amz-meta-a", "b"),
                        ("x-amz-acl", "private")):
        answer = h.wire.put(BUCKET, "unsigned", b"", headers={name: value}, unsigned=(name,))
        h.refused(answer, 403, "AccessDenied", "SignatureDoesNotMatch")
    h.absent("unsigned")


def signatures_of_another_time_are_refused(h):
    now = datetime.datetime.now(datetime.timezone.utc)
    for delta in (datetime.timedelta(minutes=16), datetime.timedelta(days=-1), datetime.timedelta(days=4000)):
        h.refused(h.wire.get(BUCKET, "k", at=now + delta), 403, "RequestTimeTooSkewed")


def broken_authorizations_are_refused(h):
    host = {"host": f"127.0.0.1:{h.node.s3_port}"}
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d")
    scope = f"{h.node.key}/{day}/us-east-1/s3/aws4_request"
    for text in ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "Basic YTpi", "AWS a:b", "\x80\xff",
                 f"AWS4-HMAC-SHA256 Credential={scope}", "AWS4-HMAC-SHA256 " + "," * 5000,
                 f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=host,Signature={'0' * 64}",
                 f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=,Signature=",
                 "AWS4-HMAC-SHA256 " + f"Credential={scope}," * 20,
                 f"AWS4-HMAC-SHA256 Credential={'/' * 3000},SignedHeaders=host,Signature=0"):
        answer = h.wire.send("GET", f"/{BUCKET}", b"", {**host, "authorization": text,
                                                         "x-amz-date": day + "T000000Z"})
        assert answer.status in (400, 403), (text[:80], answer)
    answer = h.wire.send("GET", f"/{BUCKET}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0", b"", host)
    assert answer.status in (400, 403), answer


def documents_with_entities_are_refused(h):
    upload = h.wire.start_upload(BUCKET, "xml")
    bombs = [
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "x">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        b'<!DOCTYPE lolz [<!ENTITY a "ha">' + b"".join(
            b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10) for i in range(1, 10)) +
        b"]><Delete><Object><Key>&a9;</Key></Object></Delete>",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
        b"<Delete>" * 100000, b"<" + b"a" * 1000000, b"", b"not XML", b"<Delete></Object>",
        b"<Delete><Object><Key>a</Key></Object>", b'<?xml version="1.0" encoding="UTF-16"?><Delete/>',
        b"\xff\xfe<\x00D\x00", b"<Delete><Object><Key>" + b"k" * 2000 + b"</Key></Object></Delete>" * 2,
        b"<Delete " + b" ".join(b'a%d="1"' % i for i in range(50000)) + b"/>",
    ]
    for bomb in bombs:
        for query in ([("delete", "")], [("uploadId", upload)]):
            md5 = base64.b64encode(hashlib.md5(bomb).digest()).decode()
            path = f"/{BUCKET}" if query[0][0] == "delete" else f"/{BUCKET}/xml"
            answer = h.wire.request("POST", path, bomb, query=query, headers={"content-md5": md5})
            assert answer.status == 400 and answer.code, (bomb[:80], answer)
    document = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 100000 + b"</Delete>"
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    answer = h.wire.request("POST", f"/{BUCKET}", document, query=[("delete", "")], headers={"content-md5": md5})
    assert answer.status == 400, answer
    h.wire.delete(BUCKET, "xml", query=[("uploadId", upload)])


def heads_that_are_too_long_are_refused(h):
    for headers in ({"x-amz-meta-a": "x" * 3000}, {f"x-amz-meta-{i}": "x" * 25 for i in range(90)}):
        h.refused(h.wire.put(BUCKET, "head", b"", headers=headers), 400, "MetadataTooLarge")
    answer = h.raw(b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: " + b"y" * 100000 + b"\r\n\r\n")
    equal(answer[:13], b"HTTP/1.1 431 ")
    answer = h.raw(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")
    equal(answer[:13], b"HTTP/1.1 414 ")
    h.absent("head")


def names_that_are_odd_are_kept_or_refused(h):
    """Whatever is accepted is found again under the very same name, and nowhere else."""
    keys = [b"..", b"../../etc/passwd", b"a/../../b", b"/", b"//", b"///a", b".", b"./a", b"a\x01b", b"\x7f",
            b"\x1f", b"a\nb", b"a\r\nb", b"\xc3\xa4", b"\xf0\x9f\x8d\x93", b"x" * 1024, b"%2e%2e", b"%00",
            b"a b+c", b"<Key>&amp;", b"\xef\xbf\xbe", b"*", b"?", b"#", b"a\\b", b"con", b"nul:", b"\x00", b"a\x00b"]
    bad = [b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"x" * 1025, b"x" * 4000]
    kept = []
    for key in keys + bad:
        escaped = escape(key, "-._~/")
        answer = send(h, "PUT", escaped, key)
        if key in keys:
            equal((key, answer.status), (key, 200))
        else:
            assert answer.status == 400, (key, answer)
        if answer.status == 200:
            kept.append(key)
    for key in kept:
        equal(send(h, "GET", escape(key, "-._~/")).body, key)
    for path in ("etc/passwd", "../../../../../../etc/passwd", "../hostile/honest"):
        equal(send(h, "GET", path).status, 404)
    query = [("list-type", "2"), ("encoding-type", "url")]
    answer = h.wire.request("GET", f"/{BUCKET}", query=query)
    equal(answer.status, 200)
    for key in kept:
        equal(send(h, "DELETE", escape(key, "-._~/")).status, 204)


def send(h, method, escaped, body=b""):
    path = f"/{BUCKET}/{escaped}"
    headers = {"host": f"127.0.0.1:{h.node.s3_port}", "content-length": str(len(body))}
    h.wire.signer.sign(method, path, [], headers, hashlib.sha256(body).hexdigest(), unsigned=("content-length",))
    return h.wire.send(method, path, body, headers)


def escapes_that_are_broken_are_refused(h):
    for escaped in ("%", "%2", "%zz", "a%", "%u0041"):
        answer = send(h, "GET", escaped)
        assert answer.status in (400, 403), (escaped, answer)


def parameters_that_make_no_sense_are_refused(h):
    rows = [[("list-type", "2"), ("max-keys", "-1")], [("list-type", "2"), ("max-keys", "x")],
            [("list-type", "2"), ("continuation-token", "made up")],
            [("list-type", "2"), ("encoding-type", "x")], [("uploads", ""), ("max-uploads", "x")]]
    for query in rows:
        answer = h.wire.request("GET", f"/{BUCKET}", query=query)
        assert answer.status == 400, (query, answer)
    for query in ([("partNumber", "0"), ("uploadId", "x")], [("partNumber", "x"), ("uploadId", "x")],
                  [("partNumber", "1"), ("uploadId", "../../x")], [("uploadId", "")]):
        answer = h.wire.request("PUT", f"/{BUCKET}/k", b"x", query=query)
        assert answer.status in (400, 404, 405), (query, answer)
    h.absent("k")


def counts_that_are_none_are_refused(h):
    upload = h.wire.start_upload(BUCKET, "count")
    for path, name, argument, query in (
            ("", "max-keys", "maxKeys", []), ("", "max-keys", "maxKeys", [("list-type", "2")]),
            ("", "max-uploads", "max-uploads", [("uploads", "")]),
            ("/count", "max-parts", "max-parts", [("uploadId", upload)])):
        for value, said in (("-1", argument), ("2147483648", name), ("9" * 30, name), ("1x", name), ("-x", name)):
            answer = h.wire.request("GET", f"/{BUCKET}{path}", query=[*query, (name, value)])
            h.refused(answer, 400, "InvalidArgument")
            assert b"<ArgumentName>%s</ArgumentName>" % said.encode() in answer.body, answer.body
            assert b"<ArgumentValue>%s</ArgumentValue>" % value.encode() in answer.body, answer.body
        equal(h.wire.request("GET", f"/{BUCKET}{path}", query=[*query, (name, "2147483647")]).status, 200)


def a_method_that_is_unknown_is_refused(h):
    for method in ("PATCH", "FOO", "TRACE", "OPTIONS"):
        answer = h.wire.request(method, f"/{BUCKET}/k")
        assert answer.status in (400, 403, 405, 501), (method, answer)


def a_hundred_broken_handshakes_cost_nothing(h):
    for i in range(100):
        try:
            h.raw(b"\x16\x03\x01\x00\x05" + os.urandom(40 + i), close_early=True)
        except OSError:
            pass
    equal(Wire(h.node, tls=True).request("GET", "/").status, 200)


def strangers_that_drip_do_not_starve_others(h):
    """They say who they are in their bodies, and say it slowly."""
    kinds = [("/", "application/x-www-form-urlencoded", b"Action=Get"),
             (f"/{BUCKET}", "multipart/form-data; boundary=x", b"--x\r\ncontent-")]
    socks = []
    try:
        for i in range(160):
            path, kind, begun = kinds[i % 2]
            socks.append(socket.create_connection(("127.0.0.1", h.node.s3_port), timeout=30))
            socks[-1].sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: %s\r\ncontent-length: 9000\r\n\r\n%s"
                              % (path.encode(), kind.encode(), begun))
        begin = time.monotonic()
        for _ in range(8):
            equal(Wire(h.node).get(BUCKET, "honest").body, b"untouched")
        assert time.monotonic() - begin < 5, "others had to wait"
        refused = 0
        for sock in socks:
            sock.setblocking(False)
            try:
                refused += b" 503 " in sock.recv(65536)
            except BlockingIOError:
                pass
        assert refused >= 120, refused
    finally:
        for sock in socks:
            sock.close()


CASES = [
    signed_chunks_are_read,
    a_body_that_is_not_what_its_digest_says_is_refused,
    a_digest_that_is_none_is_refused,
    a_body_that_ends_early_leaves_nothing,
    a_spoiled_chunk_is_refused,
    a_chunked_body_of_another_length_is_refused,
    broken_framing_of_chunks_is_refused,
    a_wrong_trailer_is_refused,
    a_streaming_mode_that_is_unknown_is_not_stored,
    a_put_without_a_length_is_refused,
    what_is_not_signed_does_not_count,
    signatures_of_another_time_are_refused,
    broken_authorizations_are_refused,
    documents_with_entities_are_refused,
    heads_that_are_too_long_are_refused,
    names_that_are_odd_are_kept_or_refused,
    escapes_that_are_broken_are_refused,
    parameters_that_make_no_sense_are_refused,
    counts_that_are_none_are_refused,
    a_method_that_is_unknown_is_refused,
    a_hundred_broken_handshakes_cost_nothing,
    strangers_that_drip_do_not_starve_others,
]


def main():
    cases = Cases(" (hostile)")
    with tempfile.TemporaryDirectory(prefix="hostile-") as parent, Node(sys.argv[1], parent) as node:
        h = Hostile(node)
        h.wire.make_bucket(BUCKET)
        h.wire.put(BUCKET, "honest", b"untouched")
        for function in CASES:
            if sys.argv[2:] and not any(word in function.__name__ for word in sys.argv[2:]):
                continue
            with cases.case(function.__name__.replace("_", " ")):
                function(h)
                equal(h.wire.get(BUCKET, "honest").body, b"untouched")
                h.wire.close()
        with cases.case("it is still the same process"):
            assert node.process.poll() is None, node.log_tail()
    cases.end()


if __name__ == "__main__":
    main()
