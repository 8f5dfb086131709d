# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about digests and checksums that the client sends or asks for."""
import base64
import hashlib

from botocore.httpchecksum import _CHECKSUM_CLS

from boto_case import MIB, noise, refused, registry
from cases import equal

case = registry()

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
FULL = ("CRC32", "CRC32C", "CRC64NVME")
PART = 5 * MIB


def checksum(algorithm, body):
    digest = _CHECKSUM_CLS[algorithm.lower()]()
    digest.update(body)
    return base64.b64encode(digest.digest()).decode()


@case
def each_algorithm_is_verified_and_returned(c):
    for algorithm in ALGORITHMS:
        for size in (0, 100, 300000):
            body = noise(size)
            name, value = "Checksum" + algorithm, checksum(algorithm, body)
            put = c.s3.put_object(Bucket=c.bucket, Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
            equal(put[name], value)
            head = c.s3.head_object(Bucket=c.bucket, Key=algorithm, ChecksumMode="ENABLED")
            equal((head[name], head["ChecksumType"]), (value, "FULL_OBJECT"))
            got = c.s3.get_object(Bucket=c.bucket, Key=algorithm, ChecksumMode="ENABLED")
            equal(got[name], value)
            assert got["Body"].read() == body


@case
def a_value_given_in_a_header_is_verified(c):
    for algorithm in ALGORITHMS:
        name, body = "Checksum" + algorithm, noise(70000)
        c.s3.put_object(Bucket=c.bucket, Key="k", Body=body, **{name: checksum(algorithm, body)})
        refused(400, ("BadDigest", "InvalidRequest"), c.s3.put_object, Bucket=c.bucket, Key="bad", Body=body,
                **{name: checksum(algorithm, body + b"x")})
        refused(404, "404", c.s3.head_object, Bucket=c.bucket, Key="bad")


@case
def no_value_comes_where_none_was_asked_for(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    s3 = c.client(response_checksum_validation="when_required")
    got = s3.head_object(Bucket=c.bucket, Key="k")
    assert not any(name.startswith("ChecksumSHA") for name in got), got


@case
def a_range_has_no_value_of_the_whole(c):
    body = noise(1000)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=body, ChecksumAlgorithm="CRC32")
    got = c.s3.get_object(Bucket=c.bucket, Key="k", Range="bytes=1-99", ChecksumMode="ENABLED")
    equal(got["Body"].read(), body[1:100])


@case
def MD5_is_verified(c):
    body = noise(5000)
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=body, ContentMD5=md5)
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused(400, "BadDigest", c.s3.put_object, Bucket=c.bucket, Key="bad", Body=body, ContentMD5=wrong)
    for text in ("nonsense", "AAAA", md5 + "AAAA"):
        refused(400, "InvalidDigest", c.s3.put_object, Bucket=c.bucket, Key="bad", Body=body, ContentMD5=text)
    refused(404, "404", c.s3.head_object, Bucket=c.bucket, Key="bad")


def upload(c, algorithm, kind, bodies):
    upload = c.s3.create_multipart_upload(
        Bucket=c.bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        answer = c.s3.upload_part(Bucket=c.bucket, Key="k", UploadId=upload, PartNumber=number, Body=body,
                                  ChecksumAlgorithm=algorithm)
        name = "Checksum" + algorithm
        equal(answer[name], checksum(algorithm, body))
        parts.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    return upload, parts


@case
def parts_make_a_checksum_of_the_whole(c):
    bodies = [noise(PART, 1), noise(PART, 2), noise(12345, 3)]
    for algorithm in FULL:
        name, whole = "Checksum" + algorithm, checksum(algorithm, b"".join(bodies))
        upload_id, parts = upload(c, algorithm, "FULL_OBJECT", bodies)
        more = dict(Bucket=c.bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": parts},
                    ChecksumType="FULL_OBJECT")
        refused(400, ("BadDigest", "InvalidRequest"), c.s3.complete_multipart_upload, **more,
                **{name: checksum(algorithm, b"other")})
        answer = c.s3.complete_multipart_upload(**more, **{name: whole})
        equal((answer[name], answer["ChecksumType"]), (whole, "FULL_OBJECT"))
        head = c.s3.head_object(Bucket=c.bucket, Key="k", ChecksumMode="ENABLED")
        equal((head[name], head["ChecksumType"]), (whole, "FULL_OBJECT"))
        assert c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read() == b"".join(bodies)


@case
def parts_make_a_checksum_of_checksums(c):
    bodies = [noise(PART, 1), noise(12345, 3)]
    for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256"):
        name = "Checksum" + algorithm
        raw = b"".join(base64.b64decode(checksum(algorithm, body)) for body in bodies)
        want = checksum(algorithm, raw) + "-2"
        upload_id, parts = upload(c, algorithm, "COMPOSITE", bodies)
        answer = c.s3.complete_multipart_upload(
            Bucket=c.bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": parts})
        equal((answer[name], answer["ChecksumType"]), (want, "COMPOSITE"))
        head = c.s3.head_object(Bucket=c.bucket, Key="k", ChecksumMode="ENABLED")
        equal((head[name], head["ChecksumType"]), (want, "COMPOSITE"))


@case
def a_checksum_of_a_part_that_is_wrong_is_refused(c):
    upload_id = c.s3.create_multipart_upload(
        Bucket=c.bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    refused(400, ("BadDigest", "InvalidRequest"), c.s3.upload_part, Bucket=c.bucket, Key="k",
            UploadId=upload_id, PartNumber=1, Body=b"abc", ChecksumSHA256=checksum("SHA256", b"abd"))


@case
def a_copy_keeps_or_makes_a_checksum(c):
    body = noise(200000)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=body, ChecksumAlgorithm="SHA256")
    source = {"Bucket": c.bucket, "Key": "k"}
    c.s3.copy_object(Bucket=c.bucket, Key="same", CopySource=source)
    head = c.s3.head_object(Bucket=c.bucket, Key="same", ChecksumMode="ENABLED")
    equal(head["ChecksumSHA256"], checksum("SHA256", body))
