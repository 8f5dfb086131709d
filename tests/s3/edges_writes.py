# SPDX-License-Identifier: Apache-2.0
"""Sharp edges 59 to 74: conditional writes, and uploads in parts."""
import base64
import hashlib
import threading
import time
import zlib

from cases import equal
from edge_case import (MIB, PART, UNSIGNED_TRAILER, Edge, base64_of, crc32, element, fine, md5, refused, registry,
                       texts)

case = registry()
NEW = ("if-none-match", "*")


def race(e, count, function):
    """The answers of so many clients that do the same at the same time."""
    answers = []
    barrier = threading.Barrier(count)

    def run(i):
        other = Edge(e.node, e.tls)
        other.bucket = e.bucket
        barrier.wait()
        answers.append(function(other, i))
        other.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(len(answers), count)
    return answers


@case
def edge_59_if_none_match_is_decided_when_the_write_commits(e):
    fine(e.put("k", b"first", [NEW]))
    refused(e.put("k", b"second", [NEW]), 412, "PreconditionFailed", Condition="If-None-Match")
    equal(e.get("k").body, b"first")
    for size in (10, 300000):
        key = f"race-{size}"
        answers = race(e, 8, lambda other, i, key=key, size=size: other.put(key, bytes([i]) * size, [NEW]))
        assert sorted(a.status for a in answers)[0] == 200, answers
        equal([a.status for a in answers].count(200), 1)
        assert all(a.code in ("PreconditionFailed", "ConditionalRequestConflict") for a in answers if a.status != 200)
    e.versioning("Enabled")
    fine(e.delete("k"), 204)
    fine(e.put("k", b"third", [NEW]))  # a delete marker is nothing
    equal(e.get("k").body, b"third")


@case
def edge_60_if_match_on_a_put_knows_absent_from_different(e):
    refused(e.put("k", b"x", [("if-match", '"0"')]), 404, "NoSuchKey")
    etag = fine(e.put("k", b"one")).headers["etag"]
    refused(e.put("k", b"two", [("if-match", '"0"')]), 412, "PreconditionFailed", Condition="If-Match")
    for form in (etag, etag.strip('"')):
        fine(e.put("k", b"one", [("if-match", form)]))
    answers = race(e, 8, lambda other, i: other.put("k", b"from %d" % i, [("if-match", etag)]))
    equal([a.status for a in answers].count(200), 1)
    assert all(a.status in (200, 409, 412) for a in answers), answers
    # A put whose condition held when it began, and no more when it ended.
    etag = e.head("k").headers["etag"]
    body = bytes(300000)
    head, _, _ = e.head_of("PUT", e.path("k"), headers=[("content-length", str(len(body))), ("if-match", etag)],
                           payload="UNSIGNED-PAYLOAD")
    with e.connect() as sock:
        sock.sendall(head + body[:-1])
        fine(e.put("k", b"meanwhile"))
        sock.sendall(body[-1:])
        answer, _ = e.receive(sock, "PUT")
    assert answer.status in (409, 412), answer
    equal(e.get("k").body, b"meanwhile")


@case
def edge_61_a_condition_that_is_not_known_is_refused(e):
    fine(e.put("k", b"x"))
    for headers in ([("if-none-match", '"abc"')], [("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")],
                    [("if-unmodified-since", "Mon, 01 Jan 2024 00:00:00 GMT")]):
        refused(e.put("k", b"y", headers), 501, "NotImplemented", Header=None)
        equal(e.get("k").body, b"x")


@case
def edge_62_conditions_of_an_upload_are_those_of_its_end(e):
    upload = e.start_upload("k")
    etag = fine(e.part("k", upload, 1, b"part")).headers["etag"]
    before = fine(e.put("k", b"before")).headers["etag"]
    refused(e.complete("k", upload, [(1, etag)], [NEW]), 412, "PreconditionFailed")
    refused(e.complete("k", upload, [(1, etag)], [("if-match", '"0"')]), 412, "PreconditionFailed")
    equal(e.get("k").body, b"before")
    fine(e.complete("k", upload, [(1, etag)], [("if-match", before)]))
    equal(e.get("k").body, b"part")
    upload = e.start_upload("new")
    etag = fine(e.part("new", upload, 1, b"part")).headers["etag"]
    fine(e.complete("new", upload, [(1, etag)], [NEW]))


@case
def edge_63_parts_have_numbers_an_order_and_a_least_size(e):
    upload = e.start_upload("k")
    for number in (0, 10001, -1, "x"):
        refused(e.part("k", upload, number, b"x"), 400, "InvalidArgument")
    etags = {number: fine(e.part("k", upload, number, body)).headers["etag"]
             for number, body in ((10000, b"end"), (7, bytes(PART)), (9, b"small"))}
    refused(e.complete("k", upload, [(10000, etags[10000]), (7, etags[7])]), 400, "InvalidPartOrder")
    refused(e.complete("k", upload, [(7, etags[7]), (7, etags[7])]), 400, "InvalidPartOrder")
    refused(e.complete("k", upload, [(7, etags[9])]), 400, "InvalidPart", PartNumber="7", UploadId=upload, ETag=None)
    refused(e.complete("k", upload, [(7, etags[7]), (8, etags[7])]), 400, "InvalidPart", PartNumber="8")
    refused(e.complete("k", upload, [(7, etags[7]), (9, etags[9]), (10000, etags[10000])]), 400, "EntityTooSmall",
            ProposedSize="5", MinSizeAllowed=str(PART))
    fine(e.complete("k", upload, [(7, etags[7].strip('"')), (10000, etags[10000])]))
    equal(e.get("k").body, bytes(PART) + b"end")


@case
def edge_64_the_last_upload_of_a_part_counts(e):
    upload = e.start_upload("k")
    first = fine(e.part("k", upload, 1, b"first")).headers["etag"]
    fine(e.part("k", upload, 2, b"not listed"))
    second = fine(e.part("k", upload, 1, b"second")).headers["etag"]
    refused(e.complete("k", upload, [(1, first)]), 400, "InvalidPart")
    fine(e.complete("k", upload, [(1, second)]))
    equal(e.get("k").body, b"second")


@case
def edge_65_a_list_of_parts_is_not_empty_whatever_its_root(e):
    upload = e.start_upload("k")
    etag = fine(e.part("k", upload, 1, b"x")).headers["etag"]
    refused(e.complete("k", upload, []), 400, "MalformedXML")
    refused(e.call("POST", "k", b"", query=[("uploadId", upload)]), 400, "MalformedXML")
    refused(e.call("POST", "k", b"<a>", query=[("uploadId", upload)]), 400, "MalformedXML")
    fine(e.complete("k", upload, [(1, etag)], root="CompletedMultipartUpload"))


@case
def edge_66_a_second_end_of_an_upload_has_the_same_answer(e):
    upload = e.start_upload("k")
    etag = fine(e.part("k", upload, 1, b"x")).headers["etag"]
    first = fine(e.complete("k", upload, [(1, etag)]))
    second = fine(e.complete("k", upload, [(1, etag)]))
    for name in ("ETag", "Key", "Bucket", "Location"):
        equal(element(second, name), element(first, name))
    fine(e.put("k", b"another"))
    refused(e.complete("k", upload, [(1, etag)]), 404, "NoSuchUpload", UploadId=upload)
    equal(e.get("k").body, b"another")
    refused(e.complete("k", "nonsense", [(1, etag)]), 404, "NoSuchUpload")


@case
def edge_67_the_end_of_an_upload_takes_no_time(e):
    """It changes the index alone, so nothing has to be said meanwhile."""
    upload = e.start_upload("k")
    parts = [(number, fine(e.part("k", upload, number, bytes(PART))).headers["etag"]) for number in range(1, 9)]
    began = time.monotonic()
    answer = fine(e.complete("k", upload, parts))
    assert time.monotonic() - began < 2, time.monotonic() - began
    assert answer.body.startswith(b"<?xml"), answer.body
    equal(e.head("k").headers["content-length"], str(8 * PART))


@case
def edge_68_the_end_of_an_upload_tells_all_and_checks_the_size(e):
    upload = e.start_upload("a b", [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")])
    etag = fine(e.part("a b", upload, 1, b"hello", [("x-amz-checksum-crc32", crc32(b"hello"))])).headers["etag"]
    for size in ("4", "6"):
        refused(e.complete("a b", upload, [(1, etag)], [("x-amz-mp-object-size", size)]), 400, "InvalidRequest")
    for size in ("x", "-5"):
        answer = e.complete("a b", upload, [(1, etag)], [("x-amz-mp-object-size", size)])
        equal((answer.status, answer.code in ("InvalidRequest", "InvalidArgument")), (400, True))
    answer = fine(e.complete("a b", upload, [(1, etag)], [("x-amz-mp-object-size", "5")]))
    equal((element(answer, "Bucket"), element(answer, "Key"), element(answer, "ChecksumCRC32"),
           element(answer, "ChecksumType")), (e.bucket, "a b", crc32(b"hello"), "FULL_OBJECT"))
    assert element(answer, "Location").endswith(f"{e.bucket}/a%20b"), answer.body
    equal(element(answer, "ETag"), f'"{md5(hashlib.md5(b"hello").digest())}-1"')


def composite(bodies):
    raw = b"".join(hashlib.sha256(body).digest() for body in bodies)
    return base64_of(hashlib.sha256(raw).digest())


@case
def edge_69_a_composite_checksum_has_the_number_of_its_parts(e):
    upload = e.start_upload("k", [("x-amz-checksum-algorithm", "SHA256")])
    bodies = [bytes(PART), b"end"]
    parts = []
    for number, body in enumerate(bodies, 1):
        value = base64_of(hashlib.sha256(body).digest())
        etag = fine(e.part("k", upload, number, body, [("x-amz-checksum-sha256", value)])).headers["etag"]
        parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>"
                     f"<ChecksumSHA256>{value}</ChecksumSHA256></Part>")
    want = composite(bodies) + "-2"
    for wrong in (composite([b"x"]) + "-2", composite(bodies) + "-3"):
        answer = e.complete("k", upload, parts, [("x-amz-checksum-sha256", wrong)])
        equal((answer.status, answer.code in ("BadDigest", "InvalidRequest")), (400, True))
    answer = fine(e.complete("k", upload, parts, [("x-amz-checksum-sha256", want)]))
    equal((element(answer, "ChecksumSHA256"), element(answer, "ChecksumType")), (want, "COMPOSITE"))
    headers = e.head("k", [("x-amz-checksum-mode", "ENABLED")]).headers
    equal((headers["x-amz-checksum-sha256"], headers["x-amz-checksum-type"]), (want, "COMPOSITE"))


@case
def edge_70_checksums_of_parts_make_that_of_the_whole(e):
    bodies = [bytes(PART), b"end"]
    whole = base64_of(zlib.crc32(b"".join(bodies)).to_bytes(4, "big"))
    upload = e.start_upload("k", [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")])
    parts = [(number, fine(e.part("k", upload, number, body, [("x-amz-checksum-crc32", crc32(body))])).headers["etag"])
             for number, body in enumerate(bodies, 1)]
    answer = e.complete("k", upload, parts, [("x-amz-checksum-type", "COMPOSITE")])
    equal((answer.status, answer.code in ("InvalidRequest", "BadDigest")), (400, True))
    refused(e.complete("k", upload, parts, [("x-amz-checksum-crc32", crc32(b"other"))]), 400, "BadDigest")
    fine(e.complete("k", upload, parts, [("x-amz-checksum-crc32", whole), ("x-amz-checksum-type", "FULL_OBJECT")]))
    equal(e.head("k", [("x-amz-checksum-mode", "ENABLED")]).headers["x-amz-checksum-crc32"], whole)
    for algorithm, kind in (("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT")):
        refused(e.call("POST", "k", query=[("uploads", "")], headers=[
            ("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)]), 400, "InvalidRequest")


@case
def edge_71_a_checksum_is_that_of_the_decoded_bytes(e):
    body = bytes(range(256)) * 2000
    value = base64_of(hashlib.sha256(body).digest())
    fine(e.chunked("k", [body[:100000], body[100000:]], "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                   [("x-amz-checksum-sha256", value)]))
    answer = e.get("k", [("x-amz-checksum-mode", "ENABLED")])
    equal((answer.body == body, answer.headers["x-amz-checksum-sha256"]), (True, value))
    refused(e.chunked("bad", [body], "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                      [("x-amz-checksum-sha256", base64_of(hashlib.sha256(b"x").digest()))]), 400, "BadDigest")
    e.close()
    e.absent("bad")


@case
def edge_72_an_upload_is_aborted_once_and_leaves_nothing(e):
    upload = e.start_upload("k")
    fine(e.part("k", upload, 1, bytes(MIB)))
    fine(e.delete("k", query=[("uploadId", upload)]), 204)
    refused(e.delete("k", query=[("uploadId", upload)]), 404, "NoSuchUpload")
    refused(e.part("k", upload, 2, b"x"), 404, "NoSuchUpload")
    refused(e.call("GET", "k", query=[("uploadId", upload)]), 404, "NoSuchUpload")
    # One that races with a part: the part is refused or its upload was there until then.
    for _ in range(5):
        upload = e.start_upload("k")

        def step(other, i, upload=upload):
            if i == 0:
                return other.delete("k", query=[("uploadId", upload)])
            return other.part("k", upload, i, bytes(300000))

        answers = race(e, 4, step)
        assert all(a.status in (200, 204, 404) for a in answers), answers
        refused(e.call("GET", "k", query=[("uploadId", upload)]), 404, "NoSuchUpload")
    equal(texts(e.call("GET", query=[("uploads", "")]), "UploadId"), [])
    # That their shards are freed: tests/sim/store.c.


@case
def edge_73_a_copy_into_a_part_takes_a_range_within_its_source(e):
    source = bytes(range(256)) * 40
    fine(e.put("source", source))
    upload = e.start_upload("k")

    def copy(text, more=()):
        headers = [("x-amz-copy-source", f"{e.bucket}/source"), *more]
        if text is not None:
            headers.append(("x-amz-copy-source-range", text))
        return e.call("PUT", "k", query=[("partNumber", "1"), ("uploadId", upload)], headers=headers)

    for text in ("bytes=0-10240", "bytes=10240-10241", "bytes=5-4", "bytes=0-", "bytes=-5", "0-5", "bytes=a-b",
                 "bytes=0-1,3-4", ""):
        answer = copy(text)
        assert (answer.status, answer.code) in ((400, "InvalidArgument"), (416, "InvalidRange")), (text, answer)
    refused(copy("bytes=0-9", [("x-amz-copy-source-if-match", '"0"')]), 412, "PreconditionFailed")
    for text, want in (("bytes=0-0", source[:1]), ("bytes=10230-10239", source[10230:]), (None, source)):
        equal(element(fine(copy(text)), "ETag"), f'"{md5(want)}"')
    etag = element(copy("bytes=100-299"), "ETag")
    fine(e.complete("k", upload, [(1, etag)]))
    equal(e.get("k").body, source[100:300])


@case
def edge_74_a_bucket_with_uploads_alone_can_be_deleted(e):
    e.start_upload("k")
    fine(e.put("k"))
    refused(e.delete(None), 409, "BucketNotEmpty", BucketName=e.bucket)
    e.versioning("Enabled")
    fine(e.delete("k"), 204)
    refused(e.delete(None), 409, "BucketNotEmpty")
    rows = e.call("GET", query=[("versions", "")])
    for version in texts(rows, "VersionId")[:1]:
        fine(e.delete("k", query=[("versionId", version)]), 204)
    refused(e.delete(None), 409, "BucketNotEmpty")
    for version in texts(rows, "VersionId")[1:]:
        fine(e.delete("k", query=[("versionId", version)]), 204)
    fine(e.delete(None), 204)
    refused(e.call("GET"), 404, "NoSuchBucket", BucketName=e.bucket)
