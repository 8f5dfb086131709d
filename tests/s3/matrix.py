#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every operation by every kind of sender in every form of payload: what each cell has to answer.

usage: matrix.py BUILD [WORD]...        only operations whose name has one of the words

The operations are those of the table of routes, as BUILD/tests/print_routes --json has it, so that a
new one is in the matrix on the day it is there. Each request is as well-formed as its sender can make
it; those that are to be refused have a body, too, in the form that they claim. What has to hold:

(M1) Whoever cannot prove who they are is refused with 403 and the code of their fault, whatever the
     operation, also one that does not exist, and whatever the form of the payload.
(M2) Who has proven it and has no right is refused with 403 AccessDenied.
(M3) Who has the right is not: the answer is that of the operation, 501 where there is none.
(M4) A stranger's signed payload is a contradiction: 400.
(M5) What was refused has changed nothing.
"""
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal, say
from edge_case import (SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Edge, chunks_len, chunks_of,
                       crc32, fine, now)
from node import Node
from wire import Signer, canonical_query

BUCKET, KEY = "matrix", "dir/key"
TRAILER = b"x-amz-checksum-crc32:"
SIGNED = "signed"
GRANTED = (("s3:GetObject", "/*"), ("s3:ListBucket", ""))  # to those who may read
MODES = (SIGNED, UNSIGNED, SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER)
# A document that no operation takes, and an object's bytes.
BODY = b"hello"


class Sender:
    """How a kind of sender signs, and the code with which it is refused wherever it comes; None: it is
    known, and weighed."""

    def __init__(self, name, signer, refusal=None, is_presigned=False, expires="600", age=0, spoil=False):
        self.name, self.signer, self.refusal = name, signer, refusal
        self.is_presigned, self.expires, self.age, self.spoil = is_presigned, expires, age, spoil

    @property
    def is_stranger(self):
        return self.signer is None


def senders_of(e):
    node = e.node
    spare = node.rubus("key", "create", "--owner", "admin-to-be")
    node.rubus("key", "disable", spare["id"])
    disabled = Signer(spare["id"], spare["secret"])
    end = now() + datetime.timedelta(seconds=2)
    short = node.rubus("key", "create", "--owner", "short-lived", "--expires", end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    expired = Signer(short["id"], short["secret"])
    user = node.rubus("user", "create", "--id", "sent-away")
    node.rubus("user", "disable", "sent-away")
    gone = Signer(user["access_key"], user["secret_key"])
    inner = node.rubus("user", "create", "--id", "inner")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{BUCKET}{r}"} for action, r in GRANTED]}, file)
        file.flush()
        node.rubus("user", "policy", "set", "inner", file.name)
    while now() < end:
        time.sleep(0.05)
    forged = Signer(node.key, "x" * 40)
    unknown = Signer("AKNOSUCHKEY000000000", "x" * 40)
    return [
        Sender("nobody", None),
        Sender("a forged signature", forged, "SignatureDoesNotMatch"),
        Sender("a signature with one bit changed", e.signer, "SignatureDoesNotMatch", spoil=True),
        Sender("an unknown key", unknown, "InvalidAccessKeyId"),
        Sender("a disabled key", disabled, "InvalidAccessKeyId"),
        Sender("an expired key", expired, "InvalidAccessKeyId"),
        Sender("a key of a disabled user", gone, "InvalidAccessKeyId"),
        Sender("a URL of an expired key", expired, "InvalidAccessKeyId", is_presigned=True),
        Sender("a forged URL", forged, "SignatureDoesNotMatch", is_presigned=True),
        Sender("a URL with one bit changed", e.signer, "SignatureDoesNotMatch", is_presigned=True, spoil=True),
        Sender("a URL of a disabled key", disabled, "InvalidAccessKeyId", is_presigned=True),
        Sender("a URL that is over", e.signer, "AccessDenied", is_presigned=True, expires="1", age=60),
        Sender("another user", e.other("mallory")),
        Sender("a URL of another user", e.other("mallory"), is_presigned=True),
        Sender("a user who may read", e.other("reader")),
        Sender("a user who may read by a policy of the own", Signer(inner["access_key"], inner["secret_key"])),
        Sender("a URL of the owner", e.signer, is_presigned=True),
        Sender("the owner", e.signer),
    ]


# --- requests -----------------------------------------------------------------------------------------


def resource(route):
    """Path and query of an operation."""
    path = {"/": "/", "/bucket": f"/{BUCKET}", "/bucket/key": f"/{BUCKET}/{KEY}"}[route["scope"]]
    values = {"partNumber": "1", "uploadId": "0123456789abcdef01234567", "id": "x"}
    query = [(name, value or values.get(name, "")) for name, _, value in
             (param.partition("=") for param in route["params"])]
    return path, query


def headers_of(route, mode):
    """Headers, and the body's trailers, of a payload in this form."""
    headers, trailers = [], None
    if route["method"] in ("PUT", "POST"):
        body = BODY
        headers.append(("content-type", "application/octet-stream"))
    else:
        body = b""
    if route.get("header"):
        value = f"/{BUCKET}/{KEY}" if route["header"] == "x-amz-copy-source" else "x"
        headers.append((route["header"], value))
        body = b""
    if mode in (SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER):
        if mode != SIGNED_CHUNKS:
            headers.append(("x-amz-trailer", "x-amz-checksum-crc32"))
            trailers = [TRAILER + crc32(body).encode()]
        headers += [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(body)))]
    return headers, trailers, body


def spoil_last(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def request(e, sender, route, mode):
    """The bytes of the request."""
    path, query = resource(route)
    headers, trailers, body = headers_of(route, mode)
    chunks = [body] if body else []
    payload = hashlib.sha256(body).hexdigest() if mode == SIGNED else mode
    is_chunked = mode.startswith("STREAMING-")
    length = chunks_len(chunks, mode, trailers) if is_chunked else len(body)
    has_body = route["method"] in ("PUT", "POST")
    stamp, signature = now().strftime("%Y%m%dT%H%M%SZ"), "0" * 64
    if sender.is_presigned or sender.is_stranger:
        signed = [("host", e.host), *headers]
        if sender.is_stranger or is_chunked:
            signed.append(("x-amz-content-sha256", payload))
        target = path + ("?" + canonical_query(query) if query else "")
        if sender.is_presigned:
            target, stamp, signature = presign(e, sender, route["method"], path, query, signed, payload)
        if has_body:
            signed.append(("content-length", str(length)))
        lines = [f"{route['method']} {target} HTTP/1.1", *[f"{n}: {v}" for n, v in signed]]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    else:
        if has_body:
            headers.append(("content-length", str(length)))
        head, stamp, signature = e.head_of(route["method"], path, query, headers, payload, signer=sender.signer,
                                           edit=spoil_last if sender.spoil else None)
    if not has_body:
        return head
    if not is_chunked:
        return head + body
    return head + chunks_of(chunks, mode, trailers, sender.signer or e.signer, stamp, signature)


def presign(e, sender, method, path, query, headers, payload):
    """As Edge.presign(), with a payload of any form, which a presigned request says in its header."""
    signer, values = sender.signer, dict(headers)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - sender.age))
    names = sorted(values)
    query = [*query, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
             ("X-Amz-Credential", f"{signer.key}/{stamp[:8]}/{signer.region}/s3/aws4_request"),
             ("X-Amz-Date", stamp), ("X-Amz-Expires", sender.expires), ("X-Amz-SignedHeaders", ";".join(names))]
    text = values.get("x-amz-content-sha256", UNSIGNED)
    canonical = "\n".join([method, path, canonical_query(query), *[f"{name}:{values[name]}" for name in names], "",
                           ";".join(names), text])
    signature = signer.signature(stamp, "AWS4-HMAC-SHA256", hashlib.sha256(canonical.encode()).hexdigest())
    if sender.spoil:
        signature = spoil_last(signature)
    return path + "?" + canonical_query([*query, ("X-Amz-Signature", signature)]), stamp, signature


# --- what is expected ---------------------------------------------------------------------------------

READS = ("s3:GetObject", "s3:ListBucket")
# Refused by their bodies, and then by nothing: what they delete is weighed key by key.
BY_KEY = ("DeleteObjects",)


def is_form(route):
    """Who it is from, and what they may, stands in the form."""
    return route["operation"] == "PostObject" and route["support"] == "yes"


def may(sender, route):
    if not route["needs_bucket"] or is_form(route):
        return True
    if sender.name.startswith("a user who may read"):
        return route["action"] in READS or route["operation"] in BY_KEY
    if "another user" in sender.name:
        return route["operation"] in BY_KEY
    return True


def of_operation(sender, route):
    """The statuses that a well-formed request may have whose sender may; one is expected of each."""
    operation = route["operation"]
    if route["support"] == "no":
        return {501}
    if operation == "PostObject":
        return {412}  # the body is no form
    if "refusal" in route:
        return {404}
    if operation == "CreateBucket":
        return {400, 409}  # the document is none, or it is there
    if operation in ("UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload",
                     "ListParts"):
        return {404}
    if operation in ("CopyObject", "RenameObject"):
        return {400}  # onto itself; from nowhere
    if operation == "DeleteBucket":
        return {409}
    if operation in ("GetObjectRetention", "GetObjectLegalHold"):
        return {400, 404}
    if operation == "GetObjectAttributes":
        return {400}  # which ones is not said
    if route["body"] == "document":
        return {400}
    if route["method"] == "DELETE":
        return {204}
    if route["method"] == "GET" and route["scope"] == "/bucket" and route["params"]:
        return {200, 404}  # or not configured
    return {200}


def expected(sender, route, mode):
    """A set of statuses and a code, or None for any."""
    if sender.is_stranger:
        if mode not in (UNSIGNED, UNSIGNED_TRAILER):
            return {400}, "InvalidRequest"
        if route["operation"] in BY_KEY:
            return {400}, None  # the bucket has a policy, which may let anybody in
        if is_form(route):
            return {412}, None  # and there is none here
        return {403}, "AccessDenied"
    if sender.refusal:
        return {403}, sender.refusal
    if not may(sender, route):
        return {403}, "AccessDenied"
    return of_operation(sender, route), None


def check(answer, cell, statuses, code):
    is_head = cell[1].startswith("Head")
    if answer.status not in statuses or (code and not is_head and answer.code != code):
        raise AssertionError(f"{cell}: {answer}, not {statuses} {code or ''}")


def state_of(e):
    """All that a refused request could have changed."""
    names = ("versioning", "policy", "lifecycle", "cors", "tagging", "acl", "publicAccessBlock", "ownershipControls",
             "object-lock", "uploads", "versions", "encryption", "notification", "website", "logging")
    texts = [e.call("GET", query=[(name, "")]).body for name in names]
    texts += [e.call("GET", KEY, query=query).body for query in ([], [("tagging", "")], [("acl", "")])]
    return [text if b"<Error>" not in text else text.partition(b"</Message>")[0] for text in texts]


def prepare(e):
    e.bucket = BUCKET
    fine(e.call("PUT"))
    fine(e.put(KEY, b"content", [("x-amz-tagging", "a=1")]))
    rows = [{"Effect": "Allow", "Principal": {"AWS": "reader"}, "Action": action, "Resource": f"arn:aws:s3:::{BUCKET}{r}"}
            for action, r in GRANTED]
    fine(e.document("policy", json.dumps({"Version": "2012-10-17", "Statement": rows})), 204)


def main():
    build, words = sys.argv[1], sys.argv[2:]
    text = subprocess.run([os.path.join(build, "tests", "print_routes"), "--json"], capture_output=True, check=True).stdout
    routes = [route for route in json.loads(text) if not words or any(word in route["operation"] for word in words)]
    cases = Cases()
    count = 0
    with tempfile.TemporaryDirectory(prefix="matrix-") as parent, Node(build, parent) as node:
        e = Edge(node, False)
        prepare(e)
        before = state_of(e)
        for sender in senders_of(e):
            with cases.case(f"of {sender.name}, every operation in every form of payload is answered as it ought to be"):
                wrong = []
                for route in routes:
                    for mode in MODES:
                        cell = (sender.name, route["operation"], mode)
                        answer = e.exchange(request(e, sender, route, mode), route["method"])
                        count += 1
                        try:
                            check(answer, cell, *expected(sender, route, mode))
                        except AssertionError as error:
                            wrong.append(str(error))
                        if sender.name in ("the owner", "a URL of the owner") and route["method"] == "DELETE":
                            fine(e.put(KEY, b"content", [("x-amz-tagging", "a=1")]))
                if wrong:
                    raise AssertionError(f"{len(wrong)} cells are wrong:\n" + "\n".join(wrong[:40]))
                if not sender.name.endswith("the owner"):
                    equal(state_of(e), before)
        with cases.case("it is still the same process"):
            assert node.process.poll() is None, node.log_tail()
        e.close()
    say(f"{count} cells: {len(routes)} operations")
    cases.end()


if __name__ == "__main__":
    main()
