#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rubus import: what is in another service comes here, with all that belongs to it, once. The other
service is a node too, with a proxy before it that does what bad days do.

usage: imports.py BUILD
"""
import http.client
import http.server
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import boto3
from botocore.config import Config

from boto_case import MIB, keys_of, noise
from cases import Cases, equal, wait_until
from node import Node

KEYS = ["plain", "with space", "a+b", "per%20cent", "ümlaut/☃", "//two", "dir/", "../up", "q?x=1&y#z"]


def client(node):
    return boto3.client(
        "s3", endpoint_url=node.url, aws_access_key_id=node.key, aws_secret_access_key=node.secret,
        region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on, their Host too. What `spoil(method, path, headers, body)` returns is
    answered instead: status, headers, body; None cuts the connection; ... goes on."""
    daemon_threads = True

    def __init__(self, node):
        super().__init__(("127.0.0.1", 0), Passing)
        self.node, self.count = node, 0
        self.spoil = lambda method, path, status, headers, body: (status, headers, body)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_):
        pass


class Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def pass_on(self):
        self.server.count += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.server.node.s3_port)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        headers = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
        spoiled = self.server.spoil(self.command, self.path, answer.status, headers, answer.read())
        if spoiled is None:
            self.close_connection = True
            return
        status, headers, body = spoiled
        self.send_response_only(status)
        if self.command != "HEAD":
            headers["content-length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = pass_on


class Import:
    """Imports from a node, or what stands before it, to a node."""

    def __init__(self, source, target):
        self.source, self.target = source, target

    def command(self, *arguments, url=None, **environment):
        line = [self.target.program, "import", "--from-s3", url or self.source.url, *arguments,
                "--dir", self.target.dir, "--json"]
        env = {**self.target.environment, "AWS_ACCESS_KEY_ID": self.source.key,
               "AWS_SECRET_ACCESS_KEY": self.source.secret, **environment}
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def run(self, *arguments, status=0, **more):
        process = self.command(*arguments, **more)
        out, err = process.communicate(timeout=120)
        if process.returncode != status:
            raise AssertionError(f"{arguments}: {process.returncode}, not {status}: {out}{err}")
        return json.loads(out)


def whole(s3, bucket, key, **more):
    """All that a client can see of an object."""
    answer = s3.get_object(Bucket=bucket, Key=key, **more)
    tags = s3.get_object_tagging(Bucket=bucket, Key=key, **more)["TagSet"]
    seen = {name: answer.get(name) for name in (
        "ETag", "ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition",
        "CacheControl", "ExpiresString", "Metadata", "ContentLength")}
    return seen, answer["Body"].read(), tags


def put_parts(s3, bucket, key, lengths, **more):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    parts = []
    for i, length in enumerate(lengths, 1):
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=i, Body=noise(length, i))
        parts.append({"PartNumber": i, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def history(s3, bucket, key):
    """The versions of a key, newest first: an ETag, or a delete marker."""
    page = s3.list_object_versions(Bucket=bucket, Prefix=key)
    rows = [(v["LastModified"], v["IsLatest"], v["ETag"]) for v in page.get("Versions", []) if v["Key"] == key]
    return len(rows) + len(page.get("DeleteMarkers", [])), [row[2] for row in rows]


def objects(cases, ours, theirs, imports):
    with cases.case("objects come with their metadata and tags, whatever their keys"):
        theirs.create_bucket(Bucket="first")
        for i, key in enumerate(KEYS):
            theirs.put_object(Bucket="first", Key=key, Body=noise(1000 * i, i), ContentType="text/x-test",
                              CacheControl="no-store", ContentLanguage="de", ContentEncoding="x-own",
                              ContentDisposition='attachment; filename="x"', Metadata={"who": f"n {i}"},
                              Tagging="a=1&b%20c=%26" if i % 2 else "")
        theirs.put_object(Bucket="first", Key="large", Body=noise(3 * MIB))
        put_parts(theirs, "first", "parts/even", [5 * MIB, 5 * MIB, 17], Metadata={"m": "1"})
        put_parts(theirs, "first", "parts/odd", [5 * MIB + 3, 6 * MIB, 5 * MIB], Tagging="in=parts")
        report = imports.run()
        equal((report["copied"], report["failed"], report["unverified"]), (len(KEYS) + 3, 0, 0))
        equal(keys_of(ours, "first"), keys_of(theirs, "first"))
        for key in keys_of(theirs, "first"):
            equal(whole(ours, "first", key), whole(theirs, "first", key))
    with cases.case("a second run copies what has changed, and removes nothing"):
        ours.put_object(Bucket="first", Key="only here", Body=b"x")
        theirs.put_object(Bucket="first", Key="plain", Body=b"changed")
        report = imports.run()
        equal((report["copied"], report["same"]), (1, len(KEYS) + 2))
        equal(whole(ours, "first", "plain"), whole(theirs, "first", "plain"))
        equal(whole(ours, "first", "only here")[1], b"x")
        equal(imports.run()["copied"], 0)
    with cases.case("the key of a run is deleted when it ends"):
        equal([key["id"] for key in imports.target.rubus("key", "list")["keys"]], [imports.target.key])
    with cases.case("a dry run says what would be done, and does nothing"):
        theirs.create_bucket(Bucket="dry")
        theirs.put_object(Bucket="dry", Key="k", Body=b"12345")
        report = imports.run("--dry-run")
        equal((report["copied"], report["copied_bytes"], report["dry_run"]), (1, 5, True))
        equal([b["Name"] for b in ours.list_buckets()["Buckets"]], ["first"])
    with cases.case("a prefix of one bucket comes under another name"):
        report = imports.run("--bucket", "first", "--to", "elsewhere", "--prefix", "parts/")
        equal((report["copied"], keys_of(ours, "elsewhere")), (2, ["parts/even", "parts/odd"]))


def versions(cases, ours, theirs, imports):
    def put(body, key="v"):
        theirs.put_object(Bucket="kept", Key=key, Body=body)
    with cases.case("versions and delete markers come in their order"):
        theirs.create_bucket(Bucket="kept")
        put(b"before versions")
        theirs.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        put(b"one"), put(b"two")
        theirs.delete_object(Bucket="kept", Key="v")
        put(b"three"), put(b"gone", "w")
        theirs.delete_object(Bucket="kept", Key="w")
        report = imports.run("--bucket", "kept", "--versions")
        equal((report["listed"], report["copied"], report["failed"]), (7, 7, 0))
        for key in "vw":
            equal(history(ours, "kept", key), history(theirs, "kept", key))
        equal(keys_of(ours, "kept"), ["v"])
    with cases.case("versions that came later are added"):
        put(b"four")
        equal(imports.run("--bucket", "kept", "--versions")["copied"], 1)
        equal(history(ours, "kept", "v"), history(theirs, "kept", "v"))
        equal(imports.run("--bucket", "kept", "--versions")["copied"], 0)
    with cases.case("a key that has other versions here is named and left alone"):
        ours.put_object(Bucket="kept", Key="v", Body=b"ours")
        put(b"five")
        report = imports.run("--bucket", "kept", "--versions", status=1)
        equal([f["key"] for f in report["failures"]], ["v"])
        equal(ours.get_object(Bucket="kept", Key="v")["Body"].read(), b"ours")


def bad_days(cases, ours, theirs, imports, proxy):
    theirs.create_bucket(Bucket="bad")
    for i in range(20):
        theirs.put_object(Bucket="bad", Key=f"k{i:02}", Body=noise(100_000, i))
    put_parts(theirs, "bad", "parts", [5 * MIB, 5 * MIB, 5 * MIB, 99])

    def again(to):
        return imports.run("--bucket", "bad", "--to", to, url=proxy.url)
    with cases.case("a service that is away now and then is asked again"):
        def away(method, path, status, headers, body):
            if proxy.count % 5 == 3:
                return None if proxy.count % 2 else (503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return status, headers, body
        proxy.spoil = away
        report = again("away")
        equal((report["copied"], report["failed"], report["unverified"]), (21, 0, 0))
        for key in keys_of(theirs, "bad"):
            equal(whole(ours, "away", key), whole(theirs, "bad", key))
    with cases.case("bodies that do not fit their ETag are named and not kept"):
        def flip(method, path, status, headers, body):
            if method == "GET" and path.endswith("/k07"):
                body = body[:5000] + bytes([body[5000] ^ 1]) + body[5001:]
            return status, headers, body
        proxy.spoil = flip
        report = imports.run("--bucket", "bad", "--to", "flipped", url=proxy.url, status=1)
        equal([f["key"] for f in report["failures"]], ["k07"])
        equal(keys_of(ours, "flipped"), [k for k in keys_of(theirs, "bad") if k != "k07"])
    with cases.case("a part with a flipped bit is noticed by the ETag of the whole"):
        def flip(method, path, status, headers, body):
            if method == "GET" and "partNumber=2" in path:
                body = body[:-1] + bytes([body[-1] ^ 1])
            return status, headers, body
        proxy.spoil = flip
        report = imports.run("--bucket", "bad", "--to", "part", "--prefix", "parts", url=proxy.url, status=1)
        equal((report["copied"], keys_of(ours, "part")), (0, []))
    with cases.case("where the sizes of parts are not told, usual ones give the same ETag"):
        def forget(method, path, status, headers, body):
            headers.pop("x-amz-mp-parts-count", None)
            return status, headers, body
        proxy.spoil = forget
        report = imports.run("--bucket", "bad", "--to", "guessed", "--prefix", "parts", url=proxy.url)
        equal((report["copied"], report["unverified"]), (1, 0))
        equal(whole(ours, "guessed", "parts"), whole(theirs, "bad", "parts"))
    with cases.case("an answer that is no listing is refused, and nothing is done"):
        for body in (b"", b"<html>hello</html", b"\0" * 5000, b"<a>" * 100):
            proxy.spoil = lambda *_, body=body: (200, {}, body)
            imports.run("--bucket", "bad", "--to", "none", url=proxy.url, status=1)
    with cases.case("a listing that would never end is refused"):
        def endless(method, path, status, headers, body):
            return status, headers, re.sub(b"<IsTruncated>false", b"<IsTruncated>true", body)
        proxy.spoil = endless
        imports.run("--bucket", "bad", "--to", "none", url=proxy.url, status=1)
    proxy.spoil = lambda method, path, status, headers, body: (status, headers, body)


def interrupted(cases, ours, theirs, imports, proxy):
    with cases.case("a run that was interrupted goes on where it was, in the middle of an object too"):
        theirs.create_bucket(Bucket="long")
        put_parts(theirs, "long", "parts", [5 * MIB] * 4)
        process = imports.command("--bucket", "long", "--rate", "5M")

        def has_a_part():
            uploads = ours.list_multipart_uploads(Bucket="long").get("Uploads", [])
            return uploads and ours.list_parts(Bucket="long", Key="parts", UploadId=uploads[0]["UploadId"]).get("Parts")
        wait_until(lambda: "long" in [b["Name"] for b in ours.list_buckets()["Buckets"]], 30, "the bucket")
        wait_until(has_a_part, 30, "a part")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        equal((process.returncode, keys_of(ours, "long")), (130, []))
        asked = []
        proxy.spoil = lambda method, path, status, headers, body: asked.append((method, path)) or (status, headers, body)
        report = imports.run("--bucket", "long", url=proxy.url)
        equal((report["copied"], report["unverified"]), (1, 0))
        equal(whole(ours, "long", "parts"), whole(theirs, "long", "parts"))
        if any(method == "GET" and "partNumber=1" in path for method, path in asked):
            raise AssertionError("the first part was read again")
        equal(ours.list_multipart_uploads(Bucket="long").get("Uploads", []), [])
    with cases.case("a rate is kept"):
        begin = time.monotonic()
        imports.run("--bucket", "long", "--to", "slow", "--rate", "10M")
        if time.monotonic() - begin < 1.8:
            raise AssertionError(f"20 MiB at 10 MiB/s in {time.monotonic() - begin} s")


def refusals(cases, imports):
    source = imports.source
    with cases.case("a wrong key, bucket, host, or rate is said in a line"):
        imports.run(status=4, AWS_SECRET_ACCESS_KEY="wrong")
        imports.run("--bucket", "not-there", status=5)
        imports.run(url="http://127.0.0.1:1", status=3)
        for url in ("ftp://x", "http://", "http://x/path", "http://x:0", "http://x:99999", "x"):
            imports.run(url=url, status=2)
        for rate in ("0", "fast", "-1", "1X", "99999999T"):
            imports.run("--rate", rate, status=2)
        for jobs in ("0", "65", "x", "4x"):
            imports.run("--jobs", jobs, status=2)
    with cases.case("a certificate that nobody vouches for is refused, and one that is trusted is not"):
        imports.run("--bucket", "dry", url=source.tls_url, status=4)
        report = imports.run("--bucket", "dry", "--to", "tls", url=source.tls_url, SSL_CERT_FILE=source.certificate)
        equal(report["copied"], 1)


def main(build):
    cases = Cases()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, \
            Node(build, one) as source, \
            Node(build, other, environment={"RUBUS_REQUIRE_TLS": "true"}) as target:
        ours = boto3.client(
            "s3", endpoint_url=target.tls_url, aws_access_key_id=target.key, verify=target.certificate,
            aws_secret_access_key=target.secret, region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}))
        theirs, imports, proxy = client(source), Import(source, target), Proxy(source)
        objects(cases, ours, theirs, imports)
        versions(cases, ours, theirs, imports)
        bad_days(cases, ours, theirs, imports, proxy)
        interrupted(cases, ours, theirs, imports, proxy)
        refusals(cases, imports)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
