#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/corpus/sigv4/vectors.txt: requests signed by botocore, for tests/unit/sigv4.c.

usage: sigv4_vectors.py >tests/corpus/sigv4/vectors.txt
       sigv4_vectors.py COUNT SEED | build/release/tests/sigv4_check

A vector is: "METHOD TARGET TIME", where TIME is the second of the signature; one line "name:value"
for each header; an empty line. All are signed with the two keys below. The same botocore gives the
same file.
"""
import datetime
import random
import sys
from urllib.parse import quote, urlsplit

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

KEYS = [
    ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    ("rubus/with/slashes", "short"),
]
CHARACTERS = "abcXYZ019-._~/+ %&=?#!*'();:@$,[]\"<>\\^`{|}äß你\u00e9😀\x01\x7f"
NAMES = ["prefix", "delimiter", "uploadId", "partNumber", "list-type", "x-id", "versionId", "a-b", "a"]

rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 20261121)


def text(length):
    return "".join(rng.choice(CHARACTERS) for _ in range(rng.randrange(length)))


def target():
    path = quote("/" + rng.choice(["", "bucket/", "bucket/" + text(24)]), safe="/~")
    pairs = []
    for name in rng.sample(NAMES, rng.randrange(4)):
        value = "=" + quote(text(10), safe="-._~")
        pairs.append(name + rng.choice(["", value, value]))
        if rng.random() < 0.1:
            pairs.append(name + "=" + quote(text(5), safe="-._~"))
    if rng.random() < 0.2:
        pairs.append(rng.choice(["uploads", "delete", "acl", "tagging="]))
    return path + ("?" + "&".join(pairs) if pairs else "")


def headers(request):
    if rng.random() < 0.3:
        request.headers["X-Amz-Meta-Name"] = "  two   words " + rng.choice("abc")
    if rng.random() < 0.1:
        request.headers["X-Amz-Meta-Twice"] = "one"
        request.headers["X-Amz-Meta-Twice"] = "two, three"
    if rng.random() < 0.3:
        request.headers["Content-Type"] = "application/octet-stream; charset=utf-8"
    if rng.random() < 0.2:
        request.headers["If-None-Match"] = "*"
    if rng.random() < 0.2:
        request.headers["Range"] = "bytes=0-%d" % rng.randrange(1000)
    if rng.random() < 0.2:
        request.headers["X-Amz-Copy-Source"] = "/bucket/" + quote(text(9))
    if rng.random() < 0.1:
        request.headers["X-Amz-Meta-Empty"] = ""


class Clock(datetime.datetime):
    """Stands in for the clock that botocore reads."""

    current = None

    @classmethod
    def utcnow(cls):
        return cls.current

    @classmethod
    def now(cls, tz=None):
        return cls.current.replace(tzinfo=tz)


def sign():
    seconds = rng.randrange(1_500_000_000, 2_000_000_000)
    Clock.current = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)
    host = rng.choice(["localhost:9000", "bucket.s3.example.com", "[::1]:9000"])
    scheme = rng.choice(["http", "https"])
    request = AWSRequest(rng.choice(["GET", "PUT", "HEAD", "POST", "DELETE"]), scheme + "://" + host + target())
    request.data = b"body" if request.method in ("PUT", "POST") else b""
    headers(request)
    mode = rng.choice(["hex", "unsigned", "trailer"]) if request.method == "PUT" else "hex"
    config = Config(s3={"payload_signing_enabled": mode == "hex"})
    request.context = {"client_config": config, "signing": {}}
    if mode == "trailer":
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        request.url = request.url.replace("http://", "https://")
    credentials = Credentials(*rng.choice(KEYS), token=rng.choice([None, None, "token+/="]))
    region = rng.choice(["us-east-1", "garage", "eu-central-1"])
    if rng.random() < 0.3:
        request.data = b""
        S3SigV4QueryAuth(credentials, "s3", region, rng.choice([1, 3600, 604800])).add_auth(request)
    else:
        S3SigV4Auth(credentials, "s3", region).add_auth(request)

    parts = urlsplit(request.url)
    print(request.method, parts.path + ("?" + parts.query if parts.query else ""), seconds)
    print("host:" + host)
    for name, value in request.headers.items():
        print(name.lower() + ":" + value)
    if rng.random() < 0.3:
        print("accept-encoding:identity")
    print()


botocore.auth.get_current_datetime = Clock.utcnow
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 200):
    sign()
