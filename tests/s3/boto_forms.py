# SPDX-License-Identifier: Apache-2.0
"""Cases of forms.py about PostObject: uploads by HTML forms."""
import base64
import datetime
import hashlib
import json
import re
import socket
import ssl
from urllib.parse import unquote

from boto_case import keys_of, noise, registry
from boto_policies import set_policy, statement
from boto_signatures import code_of
from cases import equal

case = registry()

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
END = f"\r\n--{BOUNDARY}--\r\n".encode()


def part(name, value, filename=None):
    value = value if isinstance(value, bytes) else value.encode()
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n"
    if filename:
        head += "Content-Type: application/octet-stream\r\n"
    return head.encode() + b"\r\n" + value


def form(fields, data, filename="file.bin", tail=END):
    parts = [part(name, value) for name, value in (fields.items() if isinstance(fields, dict) else fields)]
    if data is not None:
        parts.append(part("file", data, filename))
    return b"\r\n".join(parts) + tail


def post(c, fields, data, bucket=None, headers=None, **more):
    url = (c.node.tls_url if c.tls else c.node.url) + f"/{bucket or c.bucket}"
    return c.fetch(url, "POST", form(fields, data, **more), {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **(headers or {})})


def signed(c, key="k", fields=None, conditions=(), expires=600, version="s3v4"):
    return c.client(signature_version=version).generate_presigned_post(
        c.bucket, key, Fields=dict(fields or {}), Conditions=list(conditions), ExpiresIn=expires)["fields"]


def with_policy(c, policy, **fields):
    """Fields signed by hand (version 2), so that the policy may be anything."""
    import hmac
    text = policy if isinstance(policy, str) else json.dumps(policy)
    encoded = base64.b64encode(text.encode()).decode()
    mac = hmac.new(c.node.secret.encode(), encoded.encode(), hashlib.sha1).digest()
    return {"key": "k", **fields, "AWSAccessKeyId": c.node.key, "policy": encoded,
            "signature": base64.b64encode(mac).decode()}


def later(seconds=600, form="%Y-%m-%dT%H:%M:%S.000Z"):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime(form)


def read(c, key="k"):
    return c.s3.get_object(Bucket=c.bucket, Key=key)["Body"].read()


def message_of(answer):
    return re.search(rb"<Message>(.*)</Message>", answer[2], re.S)[1].decode()


@case
def a_form_signed_by_boto3_uploads_a_file(c):
    for version in ("s3v4", "s3"):
        for length in (0, 1, 5000, 300_000):
            data = noise(length)
            status, headers, body = post(c, signed(c, version=version), data)
            equal((status, body), (204, b""))
            equal(headers["ETag"], f'"{hashlib.md5(data).hexdigest()}"')
            assert headers["Location"].endswith(f"/{c.bucket}/k"), headers["Location"]
            equal(read(c), data)


@case
def a_file_of_any_length_around_the_tail_comes_back(c):
    fields = signed(c)
    for length in (16 << 10, (16 << 10) + 1, (20 << 10) - 200, *range((20 << 10) - 60, (20 << 10) + 3, 4),
                   (64 << 10) - 1, 3 << 20):
        data = noise(length)
        equal(post(c, fields, data)[0], 204)
        assert read(c) == data, length


@case
def what_stands_behind_the_file_is_passed_over(c):
    more = b"\r\n" + part("submit", "Upload to S3") + END
    for data in (b"short", noise(100_000)):
        for tail in (more, END[:-2], END + b"epilogue", b"\r\n" + part("x", "y" * 4000) + more):
            status, _, body = post(c, signed(c), data, tail=tail)
            equal((status, body), (204, b""))
            equal(read(c), data)


@case
def two_files_are_refused(c):
    for first, second in ((b"a", b"b"), (noise(100_000), b"b"), (b"a", noise(100_000)), (noise(50_000), noise(50_000))):
        tail = b"\r\n" + part("file", second, "b") + END
        equal(code_of(post(c, signed(c), first, tail=tail)), (400, "IncorrectNumberOfFilesInPostRequest"))
    equal(code_of(post(c, signed(c), None)), (400, "InvalidArgument"))
    equal(keys_of(c.s3, c.bucket), [])


@case
def a_form_may_say_what_a_put_may_say(c):
    fields = {"Content-Type": "text/x", "Cache-Control": "no-cache", "Content-Disposition": "inline",
              "x-amz-meta-color": "blüe", "x-amz-storage-class": "STANDARD_IA", "acl": "private",
              "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>",
              "x-ignore-this": "x"}
    conditions = [{name: value} for name, value in fields.items() if name != "x-ignore-this"]
    equal(post(c, signed(c, fields=fields, conditions=conditions), b"data")[0], 204)
    answer = c.s3.get_object(Bucket=c.bucket, Key="k")
    equal((answer["ContentType"], answer["CacheControl"], answer["ContentDisposition"]),
          ("text/x", "no-cache", "inline"))
    equal(c.s3.get_object_tagging(Bucket=c.bucket, Key="k")["TagSet"], [{"Key": "a", "Value": "b c"}])
    for name, value, code in (("x-amz-storage-class", "COLD", "InvalidStorageClass"),
                              ("x-amz-meta-a", "a\r\nx-evil: b", "InvalidArgument"),
                              ("tagging", "<Tagging>", "MalformedXML"),
                              ("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
                              ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest")):
        answer = post(c, signed(c, fields={name: value}, conditions=[{name: value}]), b"data")
        equal(code_of(answer), (400, code))
    md5 = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    equal(post(c, signed(c, fields={"Content-MD5": md5}, conditions=[{"Content-MD5": md5}]), b"data")[0], 204)


@case
def the_name_of_the_file_may_be_the_key(c):
    for name, key in (("a b.txt", "a b.txt"), ("C:\\dir\\ü.txt", "ü.txt"), ("/x/y/z", "z")):
        fields = signed(c, key="up/${filename}")
        equal(post(c, fields, b"data", filename=name)[0], 204)
        equal(read(c, "up/" + key), b"data")
    exact = {"expiration": later(), "conditions": [{"bucket": c.bucket}, {"key": "up/${filename}"}]}
    equal(post(c, with_policy(c, exact, key="up/${filename}"), b"data", filename="q")[0], 204)


@case
def success_is_told_as_the_form_wants(c):
    for status in ("200", "201", "204", "404", "x"):
        fields = signed(c, key="a b", fields={"success_action_status": status},
                        conditions=[{"success_action_status": status}])
        answer = post(c, fields, b"data")
        equal(answer[0], int(status) if status in ("200", "201") else 204)
        if status == "201":
            text = answer[2].decode()
            assert f"<Bucket>{c.bucket}</Bucket><Key>a b</Key>" in text and "/a%20b</Location>" in text, text
            assert '<ETag>"8d777f385d3dfec8815d20f7496026dc"</ETag>' in text, text
    for page, mark in (("http://x.test/done", "?"), ("https://x.test/done?a=b", "&")):
        fields = signed(c, key="ü/k", fields={"success_action_redirect": page},
                        conditions=[{"success_action_redirect": page}])
        status, headers, _ = post(c, fields, b"data")
        equal(status, 303)
        equal(unquote(headers["Location"]),
              f'{page}{mark}bucket={c.bucket}&key=ü/k&etag="8d777f385d3dfec8815d20f7496026dc"')
    bad = "http://x.test/\r\nx-evil: a"
    status, headers, _ = post(c, signed(c, fields={"redirect": bad}, conditions=[{"redirect": bad}]), b"data")
    equal((status, headers["x-evil"]), (204, None))


@case
def a_policy_must_hold(c):
    ok = [{"bucket": c.bucket}, ["starts-with", "$key", ""]]

    def answer(conditions, data=b"data", expiration=None, **fields):
        policy = {"expiration": expiration or later(), "conditions": conditions}
        return post(c, with_policy(c, policy, **fields), data)

    equal(answer(ok)[0], 204)
    equal(answer([{"bUcKeT": c.bucket}, ["StArTs-WiTh", "$KeY", ""]])[0], 204)
    refusals = [
        (answer([{"bucket": c.bucket}]), "Invalid according to Policy: Extra input fields: key"),
        (answer([["eq", "$key", "k"], {"bucket": "other"}]), None),
        (answer([["eq", "$key", "other"]]), 'Invalid according to Policy: Policy Condition failed: ["eq", "$key", "other"]'),
        (answer([["starts-with", "$key", "x"]]), None),
        (answer(ok + [["starts-with", "$Content-Type", ""]]), None),
        (answer(ok + [["starts-with", "$Content-Type", "image/"]], **{"Content-Type": "image/a,text/b"}), None),
        (answer(ok, **{"x-amz-meta-a": "b"}), "Invalid according to Policy: Extra input fields: x-amz-meta-a"),
        (answer(ok, expiration=later(-1)), "Invalid according to Policy: Policy expired."),
    ]
    for got, message in refusals:
        equal(code_of(got), (403, "AccessDenied"))
        if message:
            equal(message_of(got).replace("&quot;", '"'), message)
    equal(answer(ok + [["starts-with", "$Content-Type", "image/"]], **{"Content-Type": "image/a, image/b"})[0], 204)
    equal(code_of(answer(ok, expiration="soon")), (400, "InvalidPolicyDocument"))
    equal(code_of(answer([{}])), (400, "InvalidPolicyDocument"))
    equal(code_of(answer(ok + [["content-length-range", 0]])), (400, "InvalidPolicyDocument"))
    equal(code_of(answer(ok + [["like", "$key", "k"]])), (400, "InvalidPolicyDocument"))
    for text in ("", "{", "[]", "null", json.dumps({"conditions": ok}), json.dumps({"expiration": later()}),
                 json.dumps({"expiration": later(), "CONDITIONS": ok})):
        equal(code_of(post(c, with_policy(c, text), b"data"))[0], 400)
    for low, high, size, code in ((5, 10, 4, "EntityTooSmall"), (0, 3, 4, "EntityTooLarge"),
                                  (0, 99_999, 100_000, "EntityTooLarge"), (100_001, 200_000, 100_000, "EntityTooSmall"),
                                  (0, 90_000, 3_000_000, "EntityTooLarge")):
        got = answer(ok + [["content-length-range", low, high]], noise(size))
        equal(code_of(got), (400, code))
    equal(answer(ok + [["content-length-range", "4", "4"]])[0], 204)
    equal(answer(ok + [["content-length-range", 100_000, 100_000]], noise(100_000))[0], 204)


@case
def a_form_that_nobody_signed_or_wrongly_is_refused(c):
    fields = signed(c)
    denied = [
        ({"key": "k"}, (403, "AccessDenied")),
        ({**fields, "x-amz-signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
        ({**fields, "policy": base64.b64encode(b"{}").decode()}, (403, "SignatureDoesNotMatch")),
        ({**fields, "x-amz-credential": fields["x-amz-credential"].replace(c.node.key, "x")},
         (403, "InvalidAccessKeyId")),
        ({name: value for name, value in fields.items() if name != "x-amz-signature"}, (400, "InvalidArgument")),
        ({name: value for name, value in fields.items() if name != "policy"}, (400, "InvalidArgument")),
        ({name: value for name, value in fields.items() if name != "key"}, (400, "InvalidArgument")),
        ({**fields, "bucket": "other"}, (403, "AccessDenied")),
        ({**fields, "AWSAccessKeyId": c.node.key, "signature": "x"}, (400, "InvalidArgument")),
    ]
    for wrong, code in denied:
        equal(code_of(post(c, wrong, b"data")), code)
    old = signed(c, version="s3")
    equal(code_of(post(c, {**old, "signature": "AAAA" + old["signature"][4:]}, b"data")), (403, "SignatureDoesNotMatch"))
    # A form for one bucket is none for another.
    other = "other-" + c.bucket
    c.s3.create_bucket(Bucket=other)
    equal(code_of(post(c, fields, b"data", bucket=other)), (403, "AccessDenied"))
    equal(code_of(post(c, fields, b"data", bucket="none-" + c.bucket)), (404, "NoSuchBucket"))
    equal(keys_of(c.s3, c.bucket) + keys_of(c.s3, other), [])


@case
def anybody_may_post_where_the_policy_of_the_bucket_says_so(c):
    equal(code_of(post(c, {"key": "open/k"}, b"data")), (403, "AccessDenied"))
    set_policy(c, statement(c, action="s3:PutObject", resource="/open/*"))
    equal(post(c, {"key": "open/k"}, b"data")[0], 204)
    equal(read(c, "open/k"), b"data")
    equal(code_of(post(c, {"key": "closed/k"}, b"data")), (403, "AccessDenied"))
    equal(code_of(post(c, {"key": "open/${filename}"}, b"data", filename="k2"))[0], 204)
    equal(code_of(post(c, {"key": "open/k", "tagging": "<Tagging/>"}, b"data")), (403, "AccessDenied"))


@case
def a_form_that_is_none_is_refused(c):
    fields, url = signed(c), (c.node.tls_url if c.tls else c.node.url) + f"/{c.bucket}"
    answer = c.fetch(url, "POST", b"x", {"Content-Type": "application/x-www-form-urlencoded"})
    equal(code_of(answer), (412, "PreconditionFailed"))
    malformed = (400, "MalformedPOSTRequest")
    equal(code_of(c.fetch(url, "POST", b"x", {"Content-Type": "multipart/form-data"})), malformed)
    for body in (b"", b"x" * 100, form(fields, b"data", tail=b""), form(fields, b"data")[:-20],
                 form(fields, noise(100_000), tail=b""), form(fields, b"data", tail=b"\r\n--" + BOUNDARY.encode() + b"x"),
                 form(fields, noise(100_000), tail=b"\r\n--" + BOUNDARY.encode() + b"\r\nx")):
        equal(code_of(c.fetch(url, "POST", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})),
              malformed)
    too_long = (400, "MaxPostPreDataLengthExceededError")
    equal(code_of(post(c, [("x-ignore-a", "x" * 21_000), *fields.items()], b"data")), too_long)
    equal(code_of(post(c, [*((f"x-ignore-{i}", "x") for i in range(101)), *fields.items()], b"data")), too_long)
    equal(code_of(post(c, [("key", "a"), *fields.items()], b"data")), (400, "InvalidArgument"))
    equal(code_of(post(c, {**fields, "key": ""}, b"data")), (400, "InvalidArgument"))
    equal(keys_of(c.s3, c.bucket), [])


@case
def a_body_that_comes_in_pieces_is_the_same(c):
    fields, data = signed(c), noise(40_000)
    body = form(fields, data)
    for step in (1000, 37):
        sock = socket.create_connection((c.node.host, c.node.s3_port), timeout=30)
        if c.tls:
            sock = ssl.create_default_context(cafile=c.node.certificate).wrap_socket(sock, server_hostname="127.0.0.1")
        with sock:
            sock.sendall((f"POST /{c.bucket} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
                          f"Content-Type: multipart/form-data; boundary=\"{BOUNDARY}\"\r\n\r\n").encode())
            for start in range(0, len(body), step):
                sock.sendall(body[start:start + step])
            assert sock.recv(100).startswith(b"HTTP/1.1 204"), step
        equal(read(c), data)
        c.s3.delete_object(Bucket=c.bucket, Key="k")


@case
def a_form_is_encrypted_where_the_bucket_says_so(c):
    c.s3.put_bucket_encryption(Bucket=c.bucket, ServerSideEncryptionConfiguration={
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
    for length in (100, 20_000, 300_000, 3 << 20):
        data = noise(length)
        equal(post(c, signed(c), data)[0], 204)
        answer = c.s3.get_object(Bucket=c.bucket, Key="k")
        equal(answer["ServerSideEncryption"], "AES256")
        assert answer["Body"].read() == data, length
