# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about uploads in parts."""
import concurrent.futures
import hashlib
import os
import tempfile

from boto3.s3.transfer import TransferConfig

from boto_case import MIB, keys_of, noise, refused, registry
from cases import equal

case = registry()

PART = 5 * MIB


def start(c, key="k", **more):
    return c.s3.create_multipart_upload(Bucket=c.bucket, Key=key, **more)["UploadId"]


def put_part(c, upload, number, body, key="k", **more):
    answer = c.s3.upload_part(Bucket=c.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **more)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(c, upload, parts, key="k", **more):
    return c.s3.complete_multipart_upload(Bucket=c.bucket, Key=key, UploadId=upload,
                                          MultipartUpload={"Parts": parts}, **more)


def etag_of(*bodies):
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(bodies)}"'


@case
def parts_become_one_object(c):
    bodies = [noise(PART, 1), noise(PART + 4097, 2), noise(7, 3)]
    upload = start(c, Metadata={"a": "1"}, ContentType="x/y")
    parts = [put_part(c, upload, number, body) for number, body in zip((1, 5, 9), bodies)]
    equal(keys_of(c.s3, c.bucket), [])
    answer = complete(c, upload, parts)
    equal((answer["ETag"], answer["Bucket"], answer["Key"]), (etag_of(*bodies), c.bucket, "k"))
    assert answer["Location"], answer
    got = c.s3.get_object(Bucket=c.bucket, Key="k")
    assert got["Body"].read() == b"".join(bodies)
    equal((got["Metadata"], got["ContentType"], got["ETag"]), ({"a": "1"}, "x/y", etag_of(*bodies)))
    text = f"bytes={PART - 10}-{2 * PART + 4100}"
    got = c.s3.get_object(Bucket=c.bucket, Key="k", Range=text)["Body"].read()
    assert got == b"".join(bodies)[PART - 10:2 * PART + 4101]


@case
def a_part_is_got_by_its_number(c):
    bodies = [noise(PART, 1), noise(9, 2)]
    upload = start(c)
    complete(c, upload, [put_part(c, upload, n, body) for n, body in enumerate(bodies, 1)])
    for number, body in enumerate(bodies, 1):
        got = c.s3.get_object(Bucket=c.bucket, Key="k", PartNumber=number)
        assert got["Body"].read() == body
        equal((got["PartsCount"], got["ETag"]), (2, etag_of(*bodies)))
        head = c.s3.head_object(Bucket=c.bucket, Key="k", PartNumber=number)
        equal((head["PartsCount"], head["ContentLength"]), (2, len(body)))
    refused(416, ("InvalidPartNumber", "InvalidRange"), c.s3.get_object, Bucket=c.bucket, Key="k", PartNumber=3)
    refused(400, "InvalidRequest", c.s3.get_object, Bucket=c.bucket, Key="k", PartNumber=1, Range="bytes=0-1")
    c.s3.put_object(Bucket=c.bucket, Key="plain", Body=b"abc")
    got = c.s3.get_object(Bucket=c.bucket, Key="plain", PartNumber=1)
    equal(got["Body"].read(), b"abc")


@case
def a_part_that_is_sent_again_replaces_the_first(c):
    upload = start(c)
    put_part(c, upload, 1, noise(PART, 1))
    put_part(c, upload, 2, b"dropped")
    part = put_part(c, upload, 1, noise(PART, 2))
    complete(c, upload, [part])
    assert c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read() == noise(PART, 2)


@case
def a_wrong_list_of_parts_is_refused(c):
    upload = start(c)
    one, two = put_part(c, upload, 1, noise(PART)), put_part(c, upload, 2, b"x")
    bad = {"PartNumber": 1, "ETag": '"00000000000000000000000000000000"'}
    refused(400, "InvalidPartOrder", complete, c=c, upload=upload, parts=[two, one])
    refused(400, "InvalidPart", complete, c=c, upload=upload, parts=[bad])
    refused(400, "InvalidPart", complete, c=c, upload=upload, parts=[one, dict(two, PartNumber=3)])
    refused(400, "MalformedXML", complete, c=c, upload=upload, parts=[])
    complete(c, upload, [one, two])


@case
def a_small_part_in_the_middle_is_refused(c):
    upload = start(c)
    parts = [put_part(c, upload, 1, noise(PART - 1)), put_part(c, upload, 2, b"x")]
    refused(400, "EntityTooSmall", complete, c=c, upload=upload, parts=parts)


@case
def a_part_number_is_from_1_to_10000(c):
    upload = start(c)
    for number in (0, 10001):
        refused(400, "InvalidArgument", put_part, c=c, upload=upload, number=number, body=b"x")
    complete(c, upload, [put_part(c, upload, 10000, b"last")])
    equal(c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"last")


@case
def a_second_complete_answers_the_same(c):
    upload = start(c)
    parts = [put_part(c, upload, 1, b"x")]
    first = complete(c, upload, parts)
    equal(complete(c, upload, parts)["ETag"], first["ETag"])
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"other")
    refused(404, "NoSuchUpload", complete, c=c, upload=upload, parts=parts)


@case
def an_aborted_upload_is_gone(c):
    upload = start(c)
    part = put_part(c, upload, 1, noise(PART))
    c.s3.abort_multipart_upload(Bucket=c.bucket, Key="k", UploadId=upload)
    refused(404, "NoSuchUpload", put_part, c=c, upload=upload, number=2, body=b"x")
    refused(404, "NoSuchUpload", complete, c=c, upload=upload, parts=[part])
    refused(404, "NoSuchUpload", c.s3.list_parts, Bucket=c.bucket, Key="k", UploadId=upload)
    refused(404, "NoSuchUpload", c.s3.abort_multipart_upload, Bucket=c.bucket, Key="k", UploadId=upload)
    refused(404, "NoSuchUpload", c.s3.abort_multipart_upload, Bucket=c.bucket, Key="k", UploadId="made-up")


@case
def parts_are_listed_in_pages(c):
    upload = start(c)
    parts = [put_part(c, upload, number, b"%d" % number) for number in range(1, 26)]
    pages = list(c.s3.get_paginator("list_parts").paginate(
        Bucket=c.bucket, Key="k", UploadId=upload, PaginationConfig={"PageSize": 10}))
    equal(len(pages), 3)
    got = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for page in pages for p in page["Parts"]]
    equal(got, parts)
    equal([p["Size"] for p in pages[0]["Parts"]], [1] * 9 + [2])


@case
def uploads_are_listed_in_pages(c):
    uploads = sorted((key, start(c, key)) for key in ("a", "b/1", "b/2", "c", "c", "d"))
    pages = list(c.s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=c.bucket, PaginationConfig={"PageSize": 4}))
    got = sorted((u["Key"], u["UploadId"]) for page in pages for u in page["Uploads"])
    equal(got, uploads)
    answer = c.s3.list_multipart_uploads(Bucket=c.bucket, Prefix="b/")
    equal([u["Key"] for u in answer["Uploads"]], ["b/1", "b/2"])
    answer = c.s3.list_multipart_uploads(Bucket=c.bucket, Delimiter="/")
    equal([p["Prefix"] for p in answer["CommonPrefixes"]], ["b/"])
    equal([u["Key"] for u in answer["Uploads"]], ["a", "c", "c", "d"])


@case
def ranges_of_objects_become_parts(c):
    body = noise(3 * PART)
    c.s3.put_object(Bucket=c.bucket, Key="from", Body=body)
    upload = start(c)
    parts = []
    for number, text in enumerate((f"bytes=0-{PART - 1}", f"bytes={PART + 1}-{2 * PART + 8}"), 1):
        answer = c.s3.upload_part_copy(
            Bucket=c.bucket, Key="k", UploadId=upload, PartNumber=number, CopySourceRange=text,
            CopySource={"Bucket": c.bucket, "Key": "from"})
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    refused(400, "InvalidArgument", c.s3.upload_part_copy, Bucket=c.bucket, Key="k", UploadId=upload,
            PartNumber=3, CopySource={"Bucket": c.bucket, "Key": "from"}, CopySourceRange="1-2")
    complete(c, upload, parts)
    c.s3.delete_object(Bucket=c.bucket, Key="from")
    want = body[:PART] + body[PART + 1:2 * PART + 9]
    assert c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read() == want


@case
def the_checksums_of_parts_are_compared_at_the_end(c):
    upload = start(c, ChecksumAlgorithm="CRC32")
    part = c.s3.upload_part(Bucket=c.bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"hello",
                            ChecksumAlgorithm="CRC32")
    right = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}
    wrong = dict(right, ChecksumCRC32="AAAAAA==")
    refused(400, "InvalidPart", complete, c=c, upload=upload, parts=[wrong])
    refused(400, "InvalidArgument", complete, c=c, upload=upload, parts=[dict(right, ChecksumCRC32="AAAA")])
    complete(c, upload, [right])
    complete(c, upload, [right])
    refused(404, "NoSuchUpload", complete, c=c, upload=upload, parts=[wrong])


@case
def a_complete_can_be_conditional(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"there")
    upload = start(c)
    parts = [put_part(c, upload, 1, b"x")]
    refused(412, "PreconditionFailed", complete, c=c, upload=upload, parts=parts, IfNoneMatch="*")
    equal(c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"there")
    c.s3.delete_object(Bucket=c.bucket, Key="k")
    upload = start(c)
    complete(c, upload, [put_part(c, upload, 1, b"x")], IfNoneMatch="*")


@case
def a_transfer_of_a_file_goes_and_comes_in_parallel(c):
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=6)
    with tempfile.TemporaryDirectory() as folder:
        source, back = os.path.join(folder, "a"), os.path.join(folder, "b")
        body = noise(40 * MIB + 3)
        with open(source, "wb") as file:
            file.write(body)
        c.s3.upload_file(source, c.bucket, "k", Config=config)
        c.s3.download_file(c.bucket, "k", back, Config=config)
        with open(back, "rb") as file:
            assert file.read() == body
        c.s3.copy({"Bucket": c.bucket, "Key": "k"}, c.bucket, "copied", Config=config)
        assert c.s3.get_object(Bucket=c.bucket, Key="copied")["Body"].read() == body


@case
def an_empty_part_makes_an_empty_object(c):
    upload = start(c)
    complete(c, upload, [put_part(c, upload, 1, b"")])
    got = c.s3.get_object(Bucket=c.bucket, Key="k")
    equal((got["ContentLength"], got["ETag"]), (0, etag_of(b"")))


@case
def parallel_uploads_of_one_key_end_with_one_of_them(c):
    def upload(i):
        body = noise(PART, i) + b"%d" % i
        upload_id = start(c)
        parts = [put_part(c, upload_id, 1, body[:PART]), put_part(c, upload_id, 2, body[PART:])]
        complete(c, upload_id, parts)
        return body

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        bodies = list(pool.map(upload, range(6)))
    assert c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read() in bodies
    equal(c.s3.list_multipart_uploads(Bucket=c.bucket).get("Uploads", []), [])
