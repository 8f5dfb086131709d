# SPDX-License-Identifier: Apache-2.0
"""boto3 as a program uses it: transfers with the checksums of its choice, and with each that it has."""
import io
import os
import random
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from cases import Cases, equal

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
BUCKET, TLS = os.environ["BUCKET"], os.environ["CA"] != ""
body = random.Random(1).randbytes(13000005)
small = body[:70001]
parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
one = TransferConfig(multipart_threshold=64 << 20)
cases = Cases()


class Unseekable(io.RawIOBase):
    """A pipe."""

    def __init__(self, data):
        self.file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.file.readinto(buffer)


def case(name):
    return cases.case(f"boto3 {boto3.__version__}: {name}")


def client(**config):
    return boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], config=Config(
        s3={"addressing_style": "path"}, **config))


def down(s3, key):
    file = io.BytesIO()
    s3.download_fileobj(BUCKET, key, file, Config=parts)
    return file.getvalue()


def ups(s3):
    s3.create_bucket(Bucket=BUCKET)
    with case("uploads with the checksum of its choice, whole and in parts"):
        s3.upload_fileobj(io.BytesIO(body), BUCKET, "whole", Config=one)
        s3.upload_fileobj(io.BytesIO(body), BUCKET, "parts", Config=parts)
        equal(s3.head_object(Bucket=BUCKET, Key="parts", ChecksumMode="ENABLED")["ETag"][-3:], '-3"')
    if not TLS:
        return
    with case("uploads a pipe"):
        s3.upload_fileobj(Unseekable(body), BUCKET, "pipe", Config=parts)
    with case("puts without checksums where they are not required"):
        client(request_checksum_calculation="when_required").put_object(Bucket=BUCKET, Key="bare", Body=small)
    for name in ALGORITHMS:
        with case(f"uploads with {name}, whole and in parts"):
            s3.upload_fileobj(io.BytesIO(body), BUCKET, f"whole-{name}", {"ChecksumAlgorithm": name}, Config=one)
            s3.upload_fileobj(io.BytesIO(body), BUCKET, f"parts-{name}", {"ChecksumAlgorithm": name}, Config=parts)
            s3.put_object(Bucket=BUCKET, Key=f"small-{name}", Body=small, ChecksumAlgorithm=name)


def downs(s3):
    with case("downloads what it verifies, whole and in parts"):
        for key in ("whole", "parts"):
            equal(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), body)
            equal(down(s3, key), body)
    if not TLS:
        return
    with case("downloads what a pipe brought, and what has no checksum of its choice"):
        equal(down(s3, "pipe"), body)
        equal(s3.get_object(Bucket=BUCKET, Key="bare")["Body"].read(), small)
    for name in ALGORITHMS:
        with case(f"downloads what came with {name}"):
            for kind, data in (("whole", body), ("parts", body), ("small", small)):
                got = s3.get_object(Bucket=BUCKET, Key=f"{kind}-{name}", ChecksumMode="ENABLED")
                equal(got["Body"].read(), data)
                assert got[f"Checksum{name}"], got
    with case("deletes in batches with each checksum"):
        for name in ALGORITHMS:
            keys = [{"Key": f"{kind}-{name}"} for kind in ("whole", "parts", "small")]
            equal(len(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys}, ChecksumAlgorithm=name)["Deleted"]), 3)


def main():
    ups(client())
    print("halfway", flush=True)
    input()
    downs(client())


if __name__ == "__main__":
    main()
    sys.exit(0)
