# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about single objects: put, get, conditions, ranges, copies, deletes, URLs."""
import concurrent.futures
import datetime
import hashlib
import io
import time
import urllib.error
import urllib.request

from botocore.exceptions import ClientError

from boto_case import MIB, keys_of, noise, refused, registry
from cases import equal

case = registry()

SIZES = (0, 1, 4095, 4096, 4097, 65536, 128 << 10, (128 << 10) + 1, MIB, 5 * MIB + 17)


@case
def an_object_is_read_back_as_it_was_put(c):
    for size in SIZES:
        body = noise(size)
        put = c.s3.put_object(Bucket=c.bucket, Key=f"o{size}", Body=body)
        equal(put["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        got = c.s3.get_object(Bucket=c.bucket, Key=f"o{size}")
        equal(got["ContentLength"], size)
        equal(got["ETag"], put["ETag"])
        assert got["Body"].read() == body, size


@case
def a_body_over_an_extent_is_read_back(c):
    body = noise(70 * MIB)
    c.s3.put_object(Bucket=c.bucket, Key="big", Body=body)
    assert c.s3.get_object(Bucket=c.bucket, Key="big")["Body"].read() == body
    got = c.s3.get_object(Bucket=c.bucket, Key="big", Range=f"bytes={64 * MIB - 5}-{64 * MIB + 4}")
    equal(got["Body"].read(), body[64 * MIB - 5:64 * MIB + 5])


@case
def an_overwrite_is_seen_at_once(c):
    for i in range(20):
        body = noise(1000 * i, i)
        c.s3.put_object(Bucket=c.bucket, Key="k", Body=body)
        assert c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read() == body
        sizes = [o["Size"] for o in c.s3.list_objects_v2(Bucket=c.bucket)["Contents"]]
        equal(sizes, [len(body)])


@case
def headers_of_a_put_come_back(c):
    sent = dict(ContentType="text/x-odd", CacheControl="max-age=7", ContentDisposition="inline",
                ContentEncoding="gzip", ContentLanguage="de",
                Metadata={"one": "1", "with-dash": "a b  c"})
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x", **sent)
    for got in (c.s3.head_object(Bucket=c.bucket, Key="k"), c.s3.get_object(Bucket=c.bucket, Key="k")):
        equal(got["AcceptRanges"], "bytes")
        assert isinstance(got["LastModified"], datetime.datetime)
        for name in sent:
            equal(got[name], sent[name])


@case
def a_type_that_was_not_said_is_binary(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    equal(c.s3.head_object(Bucket=c.bucket, Key="k")["ContentType"], "binary/octet-stream")


@case
def response_overrides_are_applied(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    got = c.s3.get_object(Bucket=c.bucket, Key="k", ResponseContentType="a/b",
                          ResponseContentDisposition="attachment; filename=x",
                          ResponseCacheControl="no-store")
    equal(got["ContentType"], "a/b")
    equal(got["ContentDisposition"], "attachment; filename=x")
    equal(got["CacheControl"], "no-store")


@case
def metadata_over_2_KiB_is_refused(c):
    refused(400, "MetadataTooLarge", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"",
            Metadata={"a": "x" * 2100})


@case
def a_stream_of_unknown_seekability_is_put(c):
    class Stream(io.RawIOBase):
        def __init__(self, data):
            self.inner = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.inner.readinto(buffer)

    body = noise(3 * MIB)
    c.s3.upload_fileobj(Stream(body), c.bucket, "k")
    assert c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read() == body


@case
def odd_keys_are_kept_as_they_are(c):
    keys = ["a b", "a+b", "a%2Fb", "a%b", "ü/ß", "你好", "😀", "a//b", "/lead", "trail/", "//", "a/../b",
            "..", ".", "a/./b", "'\"<>&", "a?b=c", "a#b", "*", "~", "a:b;c,d", "tab\there", "\x7f",
            "x" * 1024, "ö" * 512, "a\\b", "[]{}|^`", "line\nbreak", "e\u0301", "\u00e9"]
    for key in keys:
        c.s3.put_object(Bucket=c.bucket, Key=key, Body=key.encode())
    for key in keys:
        got = c.s3.get_object(Bucket=c.bucket, Key=key)["Body"].read()
        assert got == key.encode(), (key, got)
    want = sorted(keys, key=lambda key: key.encode())
    equal(keys_of(c.s3, c.bucket), want)
    equal(keys_of(c.s3, c.bucket, "list_objects"), want)
    for key in keys:
        c.s3.copy_object(Bucket=c.bucket, Key="copy", CopySource={"Bucket": c.bucket, "Key": key})
        got = c.s3.get_object(Bucket=c.bucket, Key="copy")["Body"].read()
        assert got == key.encode(), (key, got)
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    equal(sorted(item["Key"] for item in answer["Deleted"]), sorted(keys))
    equal(keys_of(c.s3, c.bucket), ["copy"])


@case
def a_key_of_1025_bytes_is_refused(c):
    refused(400, "KeyTooLongError", c.s3.put_object, Bucket=c.bucket, Key="x" * 1025, Body=b"")


@case
def ranges_are_those_of_the_RFC(c):
    body = noise(100)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=body)
    rows = [("bytes=0-0", 0, 1), ("bytes=00-01", 0, 2), ("bytes=10-19", 10, 20), ("bytes=-101", 0, 100),
            ("bytes=-1", 99, 100), ("bytes=99-200", 99, 100), ("bytes=50-", 50, 100),
            ("bytes=0-", 0, 100)]
    for text, first, end in rows:
        got = c.s3.get_object(Bucket=c.bucket, Key="k", Range=text)
        equal(got["ResponseMetadata"]["HTTPStatusCode"], 206)
        equal(got["ContentRange"], f"bytes {first}-{end - 1}/100")
        equal(got["Body"].read(), body[first:end])
    for text in ("bytes=100-", "bytes=-0", "bytes=100-110"):
        error = refused(416, "InvalidRange", c.s3.get_object, Bucket=c.bucket, Key="k", Range=text)
        equal(error["Error"].get("ActualObjectSize"), "100")
    for text in ("bytes=9-1", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-"):
        got = c.s3.get_object(Bucket=c.bucket, Key="k", Range=text)
        equal((got["ResponseMetadata"]["HTTPStatusCode"], len(got["Body"].read())), (200, 100))


@case
def every_range_of_an_empty_object_is_refused(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"")
    for text in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        refused(416, "InvalidRange", c.s3.get_object, Bucket=c.bucket, Key="k", Range=text)


@case
def ranges_over_borders_of_units_and_blocks_are_exact(c):
    body = noise(9 * MIB + 12345)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=body)
    for middle in (4096, 16384, 65536, 256 << 10, 512 << 10, MIB, 4 * MIB, 8 * MIB, len(body) - 2):
        for first, last in ((middle - 1, middle), (middle, middle), (middle - 3000, middle + 3000),
                            (0, middle), (middle - 1, len(body) - 1)):
            got = c.s3.get_object(Bucket=c.bucket, Key="k", Range=f"bytes={first}-{last}")
            assert got["Body"].read() == body[first:last + 1], (first, last)


@case
def conditions_of_a_get_are_judged(c):
    put = c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    at = c.s3.head_object(Bucket=c.bucket, Key="k")["LastModified"]
    day = datetime.timedelta(days=1)
    for function in (c.s3.get_object, c.s3.head_object):
        def get(**more):
            return function(Bucket=c.bucket, Key="k", **more)
        codes_304, codes_412 = ("304", "NotModified"), ("412", "PreconditionFailed")
        get(IfMatch=put["ETag"])
        get(IfMatch="*")
        get(IfNoneMatch='"other"')
        get(IfModifiedSince=at - day)
        get(IfUnmodifiedSince=at + day)
        get(IfMatch=put["ETag"], IfUnmodifiedSince=at - day)
        refused(412, codes_412, get, IfMatch='"other"')
        refused(304, codes_304, get, IfNoneMatch=put["ETag"])
        refused(304, codes_304, get, IfNoneMatch="*")
        refused(304, codes_304, get, IfModifiedSince=at)
        refused(412, codes_412, get, IfUnmodifiedSince=at - day)
        refused(304, codes_304, get, IfNoneMatch=put["ETag"], IfModifiedSince=at - day)


@case
def a_conditional_put_creates_once(c):
    put = c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"1", IfNoneMatch="*")
    refused(412, "PreconditionFailed", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"2", IfNoneMatch="*")
    equal(c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"1")
    refused(412, "PreconditionFailed", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"2",
            IfMatch='"00000000000000000000000000000000"')
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"3", IfMatch=put["ETag"])
    refused(404, "NoSuchKey", c.s3.put_object, Bucket=c.bucket, Key="none", Body=b"", IfMatch=put["ETag"])
    c.s3.delete_object(Bucket=c.bucket, Key="k")
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"4", IfNoneMatch="*")
    equal(c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"4")


@case
def one_of_many_conditional_creators_wins(c):
    def create(key, i):
        try:
            c.s3.put_object(Bucket=c.bucket, Key=key, Body=b"%d" % i, IfNoneMatch="*")
            return i
        except ClientError as error:
            assert error.response["Error"]["Code"] in (
                "PreconditionFailed", "ConditionalRequestConflict"), error
            return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for round_ in range(10):
            winners = [i for i in pool.map(lambda i: create(f"k{round_}", i), range(16)) if i is not None]
            equal(len(winners), 1)
            got = c.s3.get_object(Bucket=c.bucket, Key=f"k{round_}")["Body"].read()
            equal(got, b"%d" % winners[0])


@case
def what_was_never_there_is_not_found(c):
    refused(404, "NoSuchKey", c.s3.get_object, Bucket=c.bucket, Key="none")
    refused(404, "404", c.s3.head_object, Bucket=c.bucket, Key="none")
    refused(404, "NoSuchBucket", c.s3.get_object, Bucket="no-such-bucket", Key="none")
    refused(404, "NoSuchBucket", c.s3.put_object, Bucket="no-such-bucket", Key="none", Body=b"x")
    answer = c.s3.delete_object(Bucket=c.bucket, Key="none")
    equal(answer["ResponseMetadata"]["HTTPStatusCode"], 204)


@case
def what_is_deleted_is_gone(c):
    for size in (0, 100, 200000):
        c.s3.put_object(Bucket=c.bucket, Key="k", Body=noise(size))
        answer = c.s3.delete_object(Bucket=c.bucket, Key="k")
        equal(answer["ResponseMetadata"]["HTTPStatusCode"], 204)
        refused(404, "NoSuchKey", c.s3.get_object, Bucket=c.bucket, Key="k")
        equal(keys_of(c.s3, c.bucket), [])


@case
def many_objects_are_deleted_by_one_request(c):
    keys = [f"k{i:04}" for i in range(1000)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: c.s3.put_object(Bucket=c.bucket, Key=key, Body=b"x"), keys[::2]))
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    equal(len(answer["Deleted"]), 1000)
    equal(answer.get("Errors", []), [])
    equal(keys_of(c.s3, c.bucket), [])
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Quiet": True, "Objects": [{"Key": "k"}]})
    assert "Deleted" not in answer and "Errors" not in answer, answer
    refused(400, "MalformedXML", c.s3.delete_objects, Bucket=c.bucket,
            Delete={"Objects": [{"Key": f"k{i}"} for i in range(1001)]})
    refused(400, "MalformedXML", c.s3.delete_objects, Bucket=c.bucket, Delete={"Objects": []})


@case
def a_copy_has_body_and_metadata(c):
    body = noise(300000)
    c.s3.put_object(Bucket=c.bucket, Key="from", Body=body, Metadata={"a": "1"}, ContentType="x/y")
    source = {"Bucket": c.bucket, "Key": "from"}
    answer = c.s3.copy_object(Bucket=c.bucket, Key="to", CopySource=source)
    equal(answer["CopyObjectResult"]["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
    got = c.s3.get_object(Bucket=c.bucket, Key="to")
    assert got["Body"].read() == body
    equal((got["Metadata"], got["ContentType"]), ({"a": "1"}, "x/y"))
    c.s3.copy_object(Bucket=c.bucket, Key="to", CopySource=source, MetadataDirective="REPLACE",
                     Metadata={"b": "2"}, ContentType="z/z")
    got = c.s3.head_object(Bucket=c.bucket, Key="to")
    equal((got["Metadata"], got["ContentType"]), ({"b": "2"}, "z/z"))
    c.s3.delete_object(Bucket=c.bucket, Key="from")
    assert c.s3.get_object(Bucket=c.bucket, Key="to")["Body"].read() == body


@case
def a_copy_onto_itself_must_change_something(c):
    body = noise(200000)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=body)
    source = {"Bucket": c.bucket, "Key": "k"}
    refused(400, "InvalidRequest", c.s3.copy_object, Bucket=c.bucket, Key="k", CopySource=source)
    c.s3.copy_object(Bucket=c.bucket, Key="k", CopySource=source, MetadataDirective="REPLACE",
                     Metadata={"new": "1"})
    got = c.s3.get_object(Bucket=c.bucket, Key="k")
    equal(got["Metadata"], {"new": "1"})
    assert got["Body"].read() == body


@case
def conditions_of_a_copy_are_judged(c):
    put = c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    more = dict(Bucket=c.bucket, Key="to", CopySource={"Bucket": c.bucket, "Key": "k"})
    c.s3.copy_object(**more, CopySourceIfMatch=put["ETag"])
    c.s3.copy_object(**more, CopySourceIfNoneMatch='"other"')
    refused(412, "PreconditionFailed", c.s3.copy_object, **more, CopySourceIfMatch='"other"')
    refused(412, "PreconditionFailed", c.s3.copy_object, **more, CopySourceIfNoneMatch=put["ETag"])
    refused(404, "NoSuchKey", c.s3.copy_object, Bucket=c.bucket, Key="to",
            CopySource={"Bucket": c.bucket, "Key": "none"})


@case
def a_presigned_URL_gets_and_puts(c):
    import ssl
    context = ssl.create_default_context(cafile=c.node.certificate) if c.tls else None
    s3 = c.client(signature_version="s3v4")

    def fetch(url, **more):
        request = urllib.request.Request(url, **more)
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    where = {"Bucket": c.bucket, "Key": "a b/ü+"}
    body = noise(100000)
    url = s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    equal(fetch(url, data=body, method="PUT", headers={"Content-Type": ""})[0], 200)
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    equal(fetch(url), (200, body))
    equal(fetch(url, method="HEAD")[0], 403)
    status, text = fetch(url.replace("%20", "%21", 1))
    equal((status, b"SignatureDoesNotMatch" in text), (403, True))
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=1)
    time.sleep(2.1)
    status, text = fetch(url)
    equal((status, b"<Code>AccessDenied</Code>" in text), (403, True))
    equal(fetch(url.split("?")[0])[0], 403)


@case
def an_unknown_storage_class_is_refused(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x", StorageClass="STANDARD")
    assert "StorageClass" not in c.s3.head_object(Bucket=c.bucket, Key="k")
    equal(c.s3.list_objects_v2(Bucket=c.bucket)["Contents"][0]["StorageClass"], "STANDARD")
    refused(400, "InvalidStorageClass", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"",
            StorageClass="MYTHICAL")


@case
def the_tags_of_an_object_can_be_asked_for(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    equal(c.s3.get_object_tagging(Bucket=c.bucket, Key="k")["TagSet"], [])
    refused(404, "NoSuchKey", c.s3.get_object_tagging, Bucket=c.bucket, Key="none")


@case
def many_clients_read_what_they_wrote(c):
    def work(i):
        for j in range(10):
            body = noise((i * 37 + j * 5000) % 300000, i * 100 + j)
            c.s3.put_object(Bucket=c.bucket, Key=f"k{i}", Body=body)
            assert c.s3.get_object(Bucket=c.bucket, Key=f"k{i}")["Body"].read() == body

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    equal(len(keys_of(c.s3, c.bucket)), 16)
