#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The documents of errors: each refusal with the elements that S3 adds to it, over HTTP and over TLS; and
what S3 has and this server has not, which is said and never passed over.

usage: errors.py BUILD [WORD]...        only cases whose name has one of the words
"""
import datetime
import hashlib
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal
from edge_case import (SIGNED_CHUNKS, UNSIGNED, UNSIGNED_TRAILER, Edge, crc32, element, fine, md5_header, now,
                       refused, registry)
from node import Node
from wire import Signer

case = registry()


@case
def of_signatures(e):
    head, _, signature = e.head_of("GET", e.path("k"), headers=[("x-amz-meta-a", "<&>")])
    wrong = head.replace(signature.encode(), signature[:-1].encode() + (b"0" if signature[-1] != "0" else b"1"))
    answer = refused(e.exchange(wrong, "GET"), 403, "SignatureDoesNotMatch", AWSAccessKeyId=e.node.key,
                     SignatureProvided=None, StringToSign=None, CanonicalRequest=None, StringToSignBytes=None,
                     CanonicalRequestBytes=None)
    text = element(answer, "StringToSign")
    assert text.startswith("AWS4-HMAC-SHA256\n") and text.endswith(
        hashlib.sha256(element(answer, "CanonicalRequest").encode()).hexdigest()), text
    equal(bytes.fromhex(element(answer, "StringToSignBytes").replace(" ", "")), text.encode())
    equal(bytes.fromhex(element(answer, "CanonicalRequestBytes").replace(" ", "")),
          element(answer, "CanonicalRequest").encode())
    refused(e.get("k", signer=Signer("AKNOBODY", "x")), 403, "InvalidAccessKeyId", AWSAccessKeyId="AKNOBODY")
    at = now() - datetime.timedelta(hours=1)
    refused(e.get("k", at=at), 403, "RequestTimeTooSkewed", RequestTime=at.strftime("%Y%m%dT%H%M%SZ"), ServerTime=None,
            MaxAllowedSkewMilliseconds="900000")
    refused(e.plain("GET", e.presign("GET", e.path("k"), expires="9", at=at)), 403, "AccessDenied", Expires=None,
            ServerTime=None, **{"X-Amz-Expires": "9"})
    refused(e.put("k", headers=[("x-amz-acl", "private")], unsigned=("x-amz-acl",)), 403, "AccessDenied",
            HeadersNotSigned="x-amz-acl")
    for edit in (lambda text: "AWS4-HMAC-SHA256 nonsense", lambda text: text.replace("aws4_request", "aws5_request"),
                 lambda text: text.replace("/s3/", "/ec2/"), lambda text: text.replace("Signature=", "Signature=x")):
        refused(e.get("k", edit=edit), 400, "AuthorizationHeaderMalformed", Message=None)


@case
def of_bodies(e):
    wrong = hashlib.sha256(b"other").hexdigest()
    refused(e.put("k", b"hello", payload=wrong), 400, "XAmzContentSHA256Mismatch", ClientComputedContentSHA256=wrong,
            S3ComputedContentSHA256=hashlib.sha256(b"hello").hexdigest())
    refused(e.put("k", b"hello", [("content-md5", md5_header(b"other"))]), 400, "BadDigest",
            ExpectedDigest=md5_header(b"other"), CalculatedDigest=md5_header(b"hello"))
    refused(e.put("k", b"hello", [("content-md5", "AAAA")]), 400, "InvalidDigest", **{"Content-MD5": "AAAA"})
    refused(e.put("k", b"hello", [("x-amz-checksum-crc32", crc32(b"other"))]), 400, "BadDigest")
    refused(e.put("k", b"", [("content-length", str(6 << 30))], payload=UNSIGNED), 400, "EntityTooLarge",
            ProposedSize=str(6 << 30), MaxSizeAllowed=str(5 << 30))
    e.close()
    refused(e.chunked("k", [bytes(100), bytes(9000)], SIGNED_CHUNKS), 403, "InvalidChunkSizeError", Chunk="1",
            BadChunkSize="100")
    e.close()
    refused(e.chunked("k", [b"hello"], UNSIGNED_TRAILER, [("x-amz-trailer", "x-amz-checksum-crc32")], []), 400,
            "MalformedTrailerError")
    e.close()
    head, _, _ = e.head_of("PUT", e.path("k"), payload=UNSIGNED)
    refused(e.exchange(head, "PUT"), 411, "MissingContentLength")
    refused(e.put("k", b"x", payload="STREAMING-X"), 501, "NotImplemented", Header="x-amz-content-sha256")
    e.absent("k")


@case
def of_names_and_arguments(e):
    refused(e.put("k" * 1025), 400, "KeyTooLongError", Size="1025", MaxSizeAllowed="1024")
    refused(e.put("k", headers=[("x-amz-meta-a", "x" * 3000)]), 400, "MetadataTooLarge", Size="3001", MaxSizeAllowed="2048")
    refused(e.call("PUT", path="/Not_A_Name"), 400, "InvalidBucketName", BucketName="Not_A_Name")
    for query, name, value in (([("max-keys", "x")], "max-keys", "x"), ([("uploads", ""), ("max-uploads", "x")], "max-uploads", "x"),
                               ([("encoding-type", "x")], "encoding-type", "x"),
                               ([("list-type", "2"), ("continuation-token", "x")], "continuation-token", "x"),
                               ([("versions", ""), ("version-id-marker", "x")], "version-id-marker", "x")):
        refused(e.call("GET", query=query), 400, "InvalidArgument", ArgumentName=name, ArgumentValue=value)
    fine(e.put("k", b"hello"))
    refused(e.get("k", query=[("versionId", "x")]), 400, "InvalidArgument", ArgumentName="versionId", ArgumentValue="x")
    refused(e.put("k", headers=[("x-amz-copy-source", "x")]), 400, "InvalidArgument", ArgumentName="x-amz-copy-source",
            ArgumentValue="x")
    refused(e.put("k", headers=[("x-amz-storage-class", "x")]), 400, "InvalidStorageClass", StorageClassRequested="x")
    refused(e.put("k", headers=[("x-amz-tagging", "a=1&a=2")]), 400, "InvalidTag")
    refused(e.get("k", query=[("partNumber", "x")]), 400, "InvalidArgument", ArgumentName="partNumber", ArgumentValue="x")
    for query in ("delete", "tagging", "versioning", "lifecycle", "cors", "policy"):
        method = "POST" if query == "delete" else "PUT"
        refused(e.document(query, "<nonsense", method=method), 400, "MalformedPolicy" if query == "policy" else "MalformedXML")


@case
def of_what_is_not_there(e):
    refused(e.get("no/such"), 404, "NoSuchKey", Key="no/such", Resource=e.path("no/such"), HostId=None)
    refused(e.call("GET", bucket="no-such-bucket"), 404, "NoSuchBucket", BucketName="no-such-bucket")
    refused(e.get("k", bucket="no-such-bucket"), 404, "NoSuchBucket", BucketName="no-such-bucket")
    version = "v" + "0" * 22 + "11"
    fine(e.put("k", b"hello"))
    for query in ([], [("tagging", "")], [("acl", "")]):
        refused(e.get("k", query=[*query, ("versionId", version)]), 404, "NoSuchVersion", Key="k", VersionId=version)
    upload = "0" * 23 + "1"
    refused(e.part("k", upload, 1, b"x"), 404, "NoSuchUpload", UploadId=upload)
    refused(e.complete("k", upload, [(1, "x")]), 404, "NoSuchUpload", UploadId=upload)
    refused(e.delete("k", query=[("uploadId", upload)]), 404, "NoSuchUpload", UploadId=upload)
    refused(e.call("GET", "k", query=[("uploadId", upload)]), 404, "NoSuchUpload", UploadId=upload)


@case
def of_states(e):
    etag = fine(e.put("k", bytes(100))).headers["etag"]
    for name, value in (("If-Match", '"0"'), ("If-None-Match", "*"), ("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")):
        if name != "If-None-Match":
            refused(e.get("k", [(name.lower(), value)]), 412, "PreconditionFailed", Condition=name)
        if name != "If-Unmodified-Since":
            refused(e.put("k", b"x", [(name.lower(), value)]), 412, "PreconditionFailed", Condition=name)
    refused(e.put("c", headers=[("x-amz-copy-source", f"{e.bucket}/k"), ("x-amz-copy-source-if-none-match", etag)]), 412,
            "PreconditionFailed", Condition="x-amz-copy-source-If-None-Match")
    refused(e.get("k", [("range", "bytes=100-")]), 416, "InvalidRange", RangeRequested="bytes=100-", ActualObjectSize="100")
    e.upload("m", [b"hello"])
    refused(e.get("m", query=[("partNumber", "2")]), 416, "InvalidPartNumber", PartNumberRequested="2", ActualPartCount="1")
    upload = e.start_upload("u")
    first = fine(e.part("u", upload, 1, b"small")).headers["etag"]
    second = fine(e.part("u", upload, 2, b"small")).headers["etag"]
    refused(e.complete("u", upload, [(1, first), (2, second)]), 400, "EntityTooSmall", ProposedSize="5",
            MinSizeAllowed=str(5 << 20), PartNumber="1")
    refused(e.complete("u", upload, [(1, first), (3, second)]), 400, "InvalidPart", UploadId=upload, PartNumber="3",
            ETag=second.strip('"'))
    refused(e.complete("u", upload, [(2, second), (1, first)]), 400, "InvalidPartOrder")
    refused(e.delete(None), 409, "BucketNotEmpty", BucketName=e.bucket)
    e.versioning("Enabled")
    marker = fine(e.delete("k"), 204).headers["x-amz-version-id"]
    refused(e.get("k", query=[("versionId", marker)]), 405, "MethodNotAllowed", Method="GET", ResourceType="DeleteMarker")
    refused(e.call("POST", "k"), 405, "MethodNotAllowed", Method="POST", ResourceType="OBJECT")
    refused(e.call("DELETE", path="/"), 405, "MethodNotAllowed", Method="DELETE", ResourceType="SERVICE")
    refused(e.put("x", b"y", [("if-none-match", '"0"')]), 501, "NotImplemented", Header="If-None-Match")


# Sub-resources of the service model that are not served: of each the method that would change something.
UNSERVED = [("POST", "k", "restore"), ("POST", "k", "select&select-type=2"), ("PUT", "k", "annotation"),
            ("PUT", "k", "encryption"), ("PUT", None, "replication"), ("PUT", None, "accelerate"),
            ("PUT", None, "requestPayment"), ("PUT", None, "analytics&id=a"), ("PUT", None, "inventory&id=a"),
            ("PUT", None, "metrics&id=a"), ("PUT", None, "intelligent-tiering&id=a"), ("PUT", None, "abac"),
            ("POST", None, "metadataTable"), ("POST", None, "metadataConfiguration"), ("GET", "k", "torrent"),
            ("DELETE", None, "replication"), ("DELETE", None, "inventory&id=a")]


@case
def of_what_is_not_served(e):
    fine(e.put("k", b"hello"))
    for method, key, text in UNSERVED:
        query = [(name, value) for name, _, value in (part.partition("=") for part in text.split("&"))]
        refused(e.call(method, key, b"<x/>", query), 501, "NotImplemented")
    for name, code in (("analytics&id=a", "NoSuchConfiguration"), ("inventory&id=a", "NoSuchConfiguration"),
                       ("metrics&id=a", "NoSuchConfiguration"), ("intelligent-tiering&id=a", "NoSuchConfiguration"),
                       ("metadataTable", "NoSuchConfiguration"), ("replication", "ReplicationConfigurationNotFoundError")):
        query = [(part.partition("=")[0], part.partition("=")[2]) for part in name.split("&")]
        refused(e.call("GET", query=query), 404, code, BucketName=e.bucket)
    # Two at once, or one where it has no business, is never the plain operation.
    for method, key, query in (("PUT", "k", "torrent"), ("DELETE", "k", "acl"), ("DELETE", "k", "retention"),
                               ("PUT", None, "location"), ("DELETE", None, "versioning"), ("PUT", "k", "acl&tagging"),
                               ("GET", "k", "acl&tagging"), ("DELETE", "k", "uploads"), ("PUT", "k", "uploadId")):
        names = [(name, "") for name in query.split("&")]
        answer = e.call(method, key, b"", names)
        assert answer.status in (400, 404, 405, 501), (method, key, query, answer)
    equal(e.get("k").body, b"hello")
    # Headers that ask for what is not there.
    for name, value in (("x-amz-server-side-encryption", "aws:kms"), ("x-amz-mfa", "1 2")):
        answer = e.put("new", b"x", [(name, value)]) if name != "x-amz-mfa" else e.delete("k", [(name, value)])
        assert answer.status in (400, 501), (name, answer)
    e.absent("new")
    fine(e.put("new", b"x", [("x-amz-object-annotation-directive", "EXCLUDE"), ("x-amz-bucket-namespace", "x"),
                             ("x-amz-checksum-mode", "ENABLED")]))  # directives of clients that change nothing


@case
def of_all_the_same_shape(e):
    """XML declaration, Code, Message, RequestId as in the header, HostId; HEAD has no body."""
    for answer in (e.get("none"), e.call("GET", bucket="no-such-bucket"), e.plain("GET", e.path("none")), e.put("k" * 1025)):
        assert answer.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>'), answer.body
        equal(answer.headers["content-type"], "application/xml")
        equal(element(answer, "RequestId"), answer.headers["x-amz-request-id"])
        equal(element(answer, "HostId"), answer.headers["x-amz-id-2"])
        assert re.fullmatch("[0-9A-F]{16}|[0-9A-Z]+", element(answer, "RequestId")), answer.body
    answer = fine(e.head("none"), 404)
    equal(answer.body, b"")
    assert answer.headers["x-amz-request-id"]


def main():
    build, words = sys.argv[1], sys.argv[2:]
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="errors-") as parent, Node(build, parent) as node:
        for tls in (False, True):
            cases = Cases(" (TLS)" if tls else " (HTTP)")
            e = Edge(node, tls)
            for function in case.functions:
                name = "errors " + function.__name__.replace("_", " ")
                if words and not any(word in name for word in words):
                    continue
                with cases.case(name):
                    try:
                        e.new_bucket()
                        function(e)
                    except BaseException:
                        e.close()
                        raise
            e.close()
            failed, passed = failed + cases.failed, passed + cases.passed
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
