# SPDX-License-Identifier: Apache-2.0
"""Sharp edges 1 to 23: signatures and transport."""
import datetime
import hashlib
import json
import time

from cases import equal
from edge_case import (MIB, SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED, UNSIGNED_TRAILER, crc32, fine, now, refused,
                       registry, texts)

case = registry()


@case
def edge_01_a_path_is_decoded_once_and_never_normalised(e):
    keys = ["a//b", "./a", "a/../b", "..", "a%2fb", "a%252Fb", "~-._", "a b", "é/ü", "(a)!'*", "&=;:@$,"]
    for key in keys:
        fine(e.put(key, key.encode()))
    for key in keys:
        equal((key, e.get(key).body), (key, key.encode()))
    got = texts(e.list(list_type=2), "Key")
    equal(got, sorted(keys, key=lambda key: key.encode()))
    # What is escaped without need, or in lower case, on the wire is signed in its one canonical form.
    head, _, _ = e.head_of("GET", e.path("~-._"))
    head = head.replace(b"/~-._ ", b"/%7E%2d.%5F ")
    equal(e.exchange(head, "GET").body, b"~-._")


@case
def edge_02_a_plus_in_a_path_is_a_plus_and_in_a_canonical_query_too(e):
    fine(e.put("a+b", b"plus"))
    fine(e.put("a b", b"space"))
    equal(e.get("a+b").body, b"plus")
    equal(e.get("a b").body, b"space")
    head, _, _ = e.head_of("GET", e.path("a+b"))  # signed as %2B, sent bare
    equal(e.exchange(head.replace(b"a%2Bb", b"a+b"), "GET").body, b"plus")
    equal(texts(e.call("GET", query=[("prefix", "a+")]), "Key"), ["a+b"])
    equal(texts(e.call("GET", query=[("prefix", "a ")]), "Key"), ["a b"])


@case
def edge_03_a_parameter_without_a_value_is_signed_with_an_equals_sign(e):
    for name in ("uploads", "acl", "location"):
        for wire in (name, name + "="):
            fine(e.call("GET", query=[(name, "")], wire_query=wire))


@case
def edge_04_a_query_is_sorted_by_the_server(e):
    e.put_many(["a", "b"])
    query = [("list-type", "2"), ("prefix", "a"), ("max-keys", "1"), ("X", ""), ("delimiter", "/")]
    wire = "prefix=a&max-keys=1&X&list-type=2&delimiter=%2F"
    equal(texts(fine(e.call("GET", query=query, wire_query=wire)), "Key"), ["a"])
    # The same name twice: by value.
    fine(e.call("GET", query=[("z", "b"), ("z", "a")], wire_query="z=b&z=a"))


@case
def edge_05_header_values_are_trimmed_folded_and_joined(e):
    fine(e.put("k", headers=[("x-amz-meta-a", "  one   two  "), ("x-amz-meta-b", "x"), ("x-amz-meta-b", "y,z")]))
    got = e.head("k").headers
    equal(got["x-amz-meta-b"].replace(", ", ","), "x,y,z")
    equal(got["x-amz-meta-a"].split(), ["one", "two"])
    # Everything else is to the byte: a tab is no space, and quotes are kept.
    fine(e.put("k", headers=[("x-amz-meta-a", '"a  b"\t;C')]))


@case
def edge_06_the_fields_of_an_authorization_have_any_order_and_spacing(e):
    def reorder(text):
        credential, names, signature = text.partition(" ")[2].split(", ")
        return f"AWS4-HMAC-SHA256 {signature},{names},{credential}"

    for edit in (lambda text: text.replace(", ", ","), lambda text: text.replace(", ", ",   "), reorder):
        fine(e.call("GET", edit=edit))
    refused(e.call("GET", edit=lambda text: text.replace("Signature=", "Sig=")), 400, "AuthorizationHeaderMalformed")


@case
def edge_07_headers_are_verified_as_they_were_received(e):
    fine(e.put("k", bytes(100)))
    for name, value in (("accept-encoding", "identity"), ("accept-encoding", "gzip, br;q=0.5"), ("range", "bytes=0-9"),
                        ("amz-sdk-request", "attempt=1; max=3"), ("user-agent", "A/1 (b; c) d")):
        answer = e.get("k", headers=[(name, value)])
        assert answer.status in (200, 206), (name, answer)
        equal(answer.headers["content-encoding"], None)
    # Signed in one form and sent in another: not the same request.
    head, _, _ = e.head_of("GET", e.path("k"), headers=[("accept-encoding", "identity")])
    refused(e.exchange(head.replace(b": identity", b": gzip"), "GET"), 403, "SignatureDoesNotMatch")


@case
def edge_08_a_host_is_signed_with_its_port_and_in_its_case(e):
    head, _, _ = e.head_of("GET", e.path(None))
    plain = e.host.encode()
    refused(e.exchange(head.replace(plain, plain.split(b":")[0]), "GET"), 403, "SignatureDoesNotMatch")
    host, e.host = e.host, "LocalHost:" + e.host.split(":")[1]
    try:
        fine(e.call("GET"))
    finally:
        e.host = host


@case
def edge_09_any_region_will_do(e):
    for region in ("us-east-1", "us-west-1", "rubus", "other", "eu-central-7"):
        region_before, e.signer.region = e.signer.region, region
        e.signer.signing_keys = {}
        try:
            fine(e.call("GET"))
        finally:
            e.signer.region, e.signer.signing_keys = region_before, {}


@case
def edge_10_a_payload_mode_is_known_or_refused(e):
    body = b"5\r\nhello\r\n0\r\n\r\n"
    refused(e.put("k", body, payload="STREAMING-AWS4-HMAC-SHA512-PAYLOAD"), 501, "NotImplemented",
            Header="x-amz-content-sha256")
    refused(e.put("k", body, payload="STREAMING-"), 501, "NotImplemented")
    for payload in ("nonsense", "e3b0", "unsigned-payload", "streaming-unsigned-payload-trailer"):
        refused(e.put("k", body, payload=payload), 400, "InvalidArgument", ArgumentName="x-amz-content-sha256",
                ArgumentValue=payload)
    # Without the header: for signed requests it is missing, for strangers the two unsigned forms are left.
    head, _, _ = e.head_of("PUT", e.path("k"), headers=[("content-length", "0")], payload=None)
    refused(e.exchange(head, "PUT"), 400, "InvalidRequest")
    for payload in (SIGNED_CHUNKS, SIGNED_TRAILER, hashlib.sha256(b"x").hexdigest()):
        refused(e.plain("PUT", e.path("k"), b"x", [("x-amz-content-sha256", payload)]), 400, "InvalidRequest")
    refused(e.plain("PUT", e.path("k"), b"x", [("x-amz-content-sha256", UNSIGNED)]), 403, "AccessDenied")
    e.absent("k")


@case
def edge_11_a_body_of_another_digest_is_not_stored(e):
    for size in (5, 70000, 2 * MIB):
        body = bytes(size)
        wrong = hashlib.sha256(body + b"x").hexdigest()
        refused(e.put("k", body, payload=wrong), 400, "XAmzContentSHA256Mismatch",
                ClientComputedContentSHA256=wrong, S3ComputedContentSHA256=hashlib.sha256(body).hexdigest())
        e.absent("k")
    # That its bytes are freed durably is nothing that the next request of the connection waits for.
    began = time.monotonic()
    for _ in range(5):
        refused(e.put("k", body, payload=wrong), 400, "XAmzContentSHA256Mismatch")
        e.absent("k")
    assert time.monotonic() - began < 5, time.monotonic() - began


@case
def edge_12_the_decoded_length_is_the_size(e):
    body = bytes(range(256)) * 300
    trailer = [b"x-amz-checksum-crc32:" + crc32(body).encode()]
    more = {"headers": [("x-amz-trailer", "x-amz-checksum-crc32")], "trailers": trailer}
    for framing in ("length", "chunked", "both"):
        fine(e.chunked("k", [body], framing=framing, **more))
        e.close()  # a double length ends the connection, whatever it says
        answer = e.get("k")
        equal((answer.body == body, answer.headers["content-length"]), (True, str(len(body))))
    refused(e.chunked("none", [body], decoded=False, **more), 411, "MissingContentLength")
    e.close()
    for decoded in (0, len(body) - 1, len(body) + 1):
        answer = e.chunked("none", [body], decoded=decoded, **more)
        e.close()
        assert answer.status == 400 and answer.code in ("IncompleteBody", "InvalidRequest"), answer
    answer = e.chunked("none", [body], decoded="x", **more)
    e.close()
    assert answer.status in (400, 411), answer
    e.absent("none")


@case
def edge_13_only_signed_chunks_have_a_least_size(e):
    refused(e.chunked("k", [bytes(8191), bytes(9000)], SIGNED_CHUNKS), 403, "InvalidChunkSizeError", Chunk="1",
            BadChunkSize="8191")
    e.close()
    e.absent("k")
    fine(e.chunked("k", [bytes(8192), bytes(1)], SIGNED_CHUNKS))
    body = bytes(17 * MIB)
    for chunks in ([body], [b"x"] * 100):
        text = b"".join(chunks)
        fine(e.chunked("k", chunks, headers=[("x-amz-trailer", "x-amz-checksum-crc32")],
                       trailers=[b"x-amz-checksum-crc32:" + crc32(text).encode()]))
        equal(e.head("k").headers["content-length"], str(len(text)))


@case
def edge_14_a_trailer_is_the_one_that_was_announced(e):
    good = b"x-amz-checksum-crc32:" + crc32(b"hello").encode()
    announced = [("x-amz-trailer", "x-amz-checksum-crc32")]
    for mode in (UNSIGNED_TRAILER, SIGNED_TRAILER):
        fine(e.chunked("good", [b"hello"], mode, announced, [good]))
        for headers, trailers in ((announced, []), (announced, [b"x-amz-checksum-sha1:" + good[21:]]),
                                  (announced, [good, good]), (announced, [good, b"x-amz-checksum-sha1:AAAA"])):
            refused(e.chunked("bad", [b"hello"], mode, headers, trailers), 400, "MalformedTrailerError")
            e.close()
    # The signature of trailers belongs to the signed form, where it is needed.
    refused(e.chunked("bad", [b"hello"], UNSIGNED_TRAILER, announced, [good, b"x-amz-trailer-signature:" + b"0" * 64]),
            400, "MalformedTrailerError")
    e.close()
    refused(e.chunked("bad", [b"hello"], UNSIGNED_TRAILER, announced, [b"x-amz-checksum-crc32:AAAAAA=="]),
            400, "BadDigest")
    e.close()
    refused(e.chunked("bad", [b"hello"], UNSIGNED_TRAILER, [("x-amz-trailer", "x-amz-meta-a")], [b"x-amz-meta-a:b"]),
            400, "InvalidRequest")
    e.close()
    e.absent("bad")


@case
def edge_15_a_checksum_comes_once_and_is_the_one_that_was_named(e):
    good = b"x-amz-checksum-crc32:" + crc32(b"hello").encode()
    refused(e.chunked("bad", [b"hello"], headers=[("x-amz-trailer", "x-amz-checksum-crc32"),
                                                  ("x-amz-checksum-crc32", crc32(b"hello"))], trailers=[good]),
            400, "InvalidRequest")
    e.close()
    refused(e.chunked("bad", [b"hello"], headers=[("x-amz-trailer", "x-amz-checksum-crc32"),
                                                  ("x-amz-sdk-checksum-algorithm", "SHA256")], trailers=[good]),
            400, "InvalidRequest")
    e.close()
    refused(e.put("bad", b"hello", [("x-amz-checksum-crc32", crc32(b"hello")), ("x-amz-sdk-checksum-algorithm", "SHA1")]),
            400, "InvalidRequest")
    refused(e.put("bad", b"hello", [("x-amz-checksum-crc32", crc32(b"hello")), ("x-amz-checksum-sha1", "AAAA")]),
            400, "InvalidRequest")
    refused(e.put("bad", b"hello", [("x-amz-checksum-crc32", crc32(b"hello")), ("x-amz-checksum-md9", "AAAA")]),
            400, "InvalidRequest")
    for name in ("CRC31", "CRC32"):
        refused(e.put("bad", b"hello", [("x-amz-sdk-checksum-algorithm", name)]), 400, "InvalidRequest")
    e.absent("bad")
    fine(e.chunked("good", [b"hello"], headers=[("x-amz-trailer", "x-amz-checksum-crc32"),
                                                ("x-amz-sdk-checksum-algorithm", "crc32")], trailers=[good]))


@case
def edge_16_aws_chunked_is_not_stored_as_an_encoding(e):
    for sent, kept in (("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"),
                       ("gzip,aws-chunked, br", "gzip, br"), ("gzip", "gzip")):
        fine(e.put("k", b"x", [("content-encoding", sent)]))
        got = e.head("k").headers["content-encoding"]
        equal((sent, got and got.replace(", ", ",")), (sent, kept and kept.replace(", ", ",")))
    head = [("x-amz-trailer", "x-amz-checksum-crc32")]
    fine(e.chunked("k", [b"x"], headers=head, trailers=[b"x-amz-checksum-crc32:" + crc32(b"x").encode()]))
    equal(e.head("k").headers["content-encoding"], None)


@case
def edge_17_a_short_body_leaves_nothing(e):
    head, _, _ = e.head_of("PUT", e.path("k"), headers=[("content-length", "100")], payload=UNSIGNED)
    for sent in (0, 1, 99):
        with e.connect() as sock:
            sock.sendall(head + bytes(sent))
        e.absent("k")
    answer = e.chunked("k", [bytes(50)], headers=[("x-amz-trailer", "x-amz-checksum-crc32")], decoded=100,
                       trailers=[b"x-amz-checksum-crc32:" + crc32(bytes(50)).encode()])
    refused(answer, 400, "IncompleteBody")
    e.close()
    e.absent("k")


@case
def edge_18_a_continue_comes_after_the_signature_was_checked(e):
    def ask(edit=None):
        head, _, _ = e.head_of("PUT", e.path("k"), headers=[("content-length", "5"), ("expect", "100-Continue")],
                               payload=UNSIGNED, edit=edit)
        sock = e.connect()
        sock.sendall(head)
        return sock, sock.recv(65536)

    sock, first = ask()
    with sock:
        equal(first, b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.sendall(b"hello")
        fine(e.receive(sock, "PUT")[0])
    sock, first = ask(lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"))
    with sock:
        equal(first[:13], b"HTTP/1.1 403 ")
        assert b"100 Continue" not in first, first
    equal(e.get("k").body, b"hello")


@case
def edge_19_a_clock_is_at_most_15_minutes_off(e):
    for minutes in (-14, 14):
        fine(e.call("GET", at=now() + datetime.timedelta(minutes=minutes)))
    for minutes in (-16, 16, -60 * 24 * 400):
        at = now() + datetime.timedelta(minutes=minutes)
        refused(e.call("GET", at=at), 403, "RequestTimeTooSkewed", RequestTime=at.strftime("%Y%m%dT%H%M%SZ"),
                ServerTime=None, MaxAllowedSkewMilliseconds="900000")
    # That a node whose clock was not set serves nobody: tests/unit/request.c.


@case
def edge_20_a_presigned_request_lives_as_long_as_it_says(e):
    fine(e.put("k", b"hello"))
    path = e.path("k")
    for expires in ("1", "604800"):
        equal(e.plain("GET", e.presign("GET", path, expires=expires)).body, b"hello")
    for expires in ("0", "604801", "-1", "x", ""):
        refused(e.plain("GET", e.presign("GET", path, expires=expires)), 400, "AuthorizationQueryParametersError")
    old = now() - datetime.timedelta(seconds=61)
    refused(e.plain("GET", e.presign("GET", path, expires="60", at=old)), 403, "AccessDenied", Expires=None,
            ServerTime=None, **{"X-Amz-Expires": "60"})
    refused(e.plain("GET", e.presign("GET", path, at=now() + datetime.timedelta(minutes=20))), 403, "AccessDenied")
    for more in ("&a=b", "&versionId=null", "&response-content-type=text%2Fhtml"):
        refused(e.plain("GET", e.presign("GET", path) + more), 403, "SignatureDoesNotMatch")
    answer = e.plain("GET", e.presign("GET", path, [("response-content-type", "text/plain")]))
    equal((answer.status, answer.headers["content-type"]), (200, "text/plain"))


@case
def edge_21_every_amz_header_is_signed(e):
    fine(e.put("source", b"secret"))
    for name, value in (("x-amz-copy-source", f"/{e.bucket}/source"), ("x-amz-meta-a", "b"),
                        ("x-amz-acl", "private"), ("x-amz-made-up", "1")):
        refused(e.put("k", b"", [(name, value)], unsigned=(name,)), 403, "AccessDenied", HeadersNotSigned=name)
        refused(e.plain("PUT", e.presign("PUT", e.path("k")), b"", [(name, value)]), 403, "AccessDenied",
                HeadersNotSigned=name)
    e.absent("k")
    fine(e.put("k", b"x", [("cache-control", "no-cache"), ("if-none-match", "*")],
               unsigned=("cache-control", "if-none-match")))
    # The digest's header alone may be left out: it ends what is signed.
    fine(e.put("k", b"x", unsigned=("x-amz-content-sha256",)))


@case
def edge_22_a_checksum_in_a_presigned_query_is_ignored(e):
    query = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32")]
    fine(e.plain("PUT", e.presign("PUT", e.path("k"), query), b"not empty"))
    equal(e.get("k").body, b"not empty")


@case
def edge_23_who_may_not_list_does_not_learn_what_is_missing(e):
    fine(e.put("k", b"x"))

    def allow(*actions):
        rows = [{"Effect": "Allow", "Principal": {"AWS": "eve"}, "Action": action, "Resource": resource}
                for action, resource in actions]
        fine(e.document("policy", json.dumps({"Version": "2012-10-17", "Statement": rows})), 204)

    bucket, objects = f"arn:aws:s3:::{e.bucket}", f"arn:aws:s3:::{e.bucket}/*"
    eve = e.other("eve")
    allow(("s3:GetObject", objects))
    fine(e.get("k", signer=eve))
    refused(e.get("none", signer=eve), 403, "AccessDenied")
    fine(e.head("none", signer=eve), 403)
    allow(("s3:GetObject", objects), ("s3:ListBucket", bucket))
    refused(e.get("none", signer=eve), 404, "NoSuchKey", Key="none")
