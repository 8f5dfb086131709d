# SPDX-License-Identifier: Apache-2.0
"""Sharp edges 37 to 58: objects."""
import base64
import hashlib
import zlib

from cases import equal
from edge_case import (PART, UNSIGNED_TRAILER, base64_of, crc32, element, fine, md5, md5_header, refused, registry,
                       texts)

case = registry()


def copy(e, key, source, headers=(), **how):
    return e.call("PUT", key, headers=[("x-amz-copy-source", source), *headers], **how)


@case
def edge_37_a_key_has_up_to_1024_bytes_of_any_kind(e):
    for key in ("k" * 1024, "é" * 512, "a", "a/b", "a/", "a//", ".", "..", "a/./b", "a/../b", "/a", "\U0001f353" * 256):
        fine(e.put(key, key.encode()))
    for key in ("a", "a/b", "a/", "a//", ".", "..", "a/./b", "a/../b", "/a", "é" * 512):
        equal((key, e.get(key).body), (key, key.encode()))
    for key, size in (("k" * 1025, "1025"), ("é" * 513, "1026")):
        refused(e.put(key), 400, "KeyTooLongError", Size=size, MaxSizeAllowed="1024")


@case
def edge_38_user_metadata_is_lower_case_joined_and_bounded(e):
    fine(e.put("k", headers=[("X-Amz-Meta-MixedCase", "Value"), ("x-amz-meta-twice", "a"), ("x-amz-meta-twice", "b")]))
    headers = e.head("k").headers
    names = [name for name in headers.keys() if name.lower().startswith("x-amz-meta-")]
    equal(sorted(names), ["x-amz-meta-mixedcase", "x-amz-meta-twice"])
    equal((headers["x-amz-meta-mixedcase"], headers["x-amz-meta-twice"].replace(", ", ",")), ("Value", "a,b"))
    fine(e.put("k", headers=[("x-amz-meta-a", "x" * 2047)]))
    fine(e.put("k", headers=[(f"x-amz-meta-{i:02}", "x" * 49) for i in range(40)]))  # names count: 40 * 51
    refused(e.put("bad", headers=[("x-amz-meta-a", "x" * 2048)]), 400, "MetadataTooLarge", Size="2049",
            MaxSizeAllowed="2048")
    refused(e.put("bad", headers=[(f"x-amz-meta-{i:02}", "x" * 50) for i in range(40)]
                  + [("x-amz-meta-40", "123456789")]), 400, "MetadataTooLarge")
    refused(e.call("POST", "bad", query=[("uploads", "")], headers=[("x-amz-meta-a", "x" * 2048)]), 400,
            "MetadataTooLarge")
    e.absent("bad")


@case
def edge_39_metadata_beyond_ASCII_comes_back_byte_for_byte(e):
    for text in ("Grüße".encode("latin-1"), "Grüße \U0001f353".encode()):
        fine(e.put("k", headers=[("x-amz-meta-a", text.decode("latin-1"))]))
        equal(e.head("k").headers["x-amz-meta-a"].encode("latin-1"), text)
        fine(copy(e, "c", f"{e.bucket}/k"))
        equal(e.head("c").headers["x-amz-meta-a"].encode("latin-1"), text)


@case
def edge_40_an_ETag_is_the_MD5_in_quotes_and_compared_with_or_without(e):
    body = bytes(range(256)) * 40
    etag = f'"{md5(body)}"'
    equal(fine(e.put("k", body)).headers["etag"], etag)
    answer = e.chunked("k", [body], UNSIGNED_TRAILER, [("x-amz-trailer", "x-amz-checksum-crc32")],
                       [b"x-amz-checksum-crc32:" + crc32(body).encode()])
    equal(fine(answer).headers["etag"], etag)
    equal(e.get("k").headers["etag"], etag)
    for form in (etag, md5(body), "W/" + etag, f'"x", {etag}'):
        fine(e.get("k", [("if-match", form)]))
        fine(e.get("k", [("if-none-match", form)]), 304)
    refused(e.get("k", [("if-match", '"0123"')]), 412, "PreconditionFailed", Condition="If-Match")


@case
def edge_41_the_ETag_of_parts_is_the_MD5_of_their_MD5s(e):
    bodies = [bytes(PART), b"end"]
    want = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest() + "-2"
    equal(element(e.upload("k", bodies), "ETag"), f'"{want}"')
    equal(e.head("k").headers["etag"], f'"{want}"')
    one = hashlib.md5(hashlib.md5(b"x").digest()).hexdigest()
    equal(element(e.upload("one", [b"x"]), "ETag"), f'"{one}-1"')


@case
def edge_42_not_modified_has_headers_and_no_body(e):
    etag = fine(e.put("k", b"hello", [("cache-control", "max-age=9")])).headers["etag"]
    for call in (e.get, e.head):
        answer = fine(call("k", [("if-none-match", etag)]), 304)
        equal((answer.body, answer.headers["etag"], answer.headers["cache-control"]), (b"", etag, "max-age=9"))
        assert answer.headers["last-modified"], answer.headers
        equal((answer.headers["content-length"] or "0"), "0")
    fine(e.get("k"))  # on the same connection


@case
def edge_43_conditions_have_an_order(e):
    etag = fine(e.put("k", b"hello")).headers["etag"]
    past, future = "Mon, 01 Jan 2024 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    good, bad = ("if-match", etag), ("if-match", '"0"')
    same, other = ("if-none-match", etag), ("if-none-match", '"0"')
    for headers, status in (
            ([good, ("if-unmodified-since", past)], 200), ([bad, ("if-unmodified-since", future)], 412),
            ([other, ("if-modified-since", future)], 200), ([same, ("if-modified-since", past)], 304),
            ([good, same], 304), ([good, other], 200), ([bad, same], 412),
            ([("if-unmodified-since", past)], 412), ([("if-modified-since", future)], 304),
            ([("if-modified-since", e.get("k").headers["last-modified"])], 304),
            ([("if-modified-since", "nonsense")], 200), ([("if-match", "*")], 200), ([("if-none-match", "*")], 304)):
        for call in (e.get, e.head):
            equal((headers, call("k", headers).status), (headers, status))
    for headers in ([good], [("if-match", "*")], [same], [("if-unmodified-since", past)]):
        refused(e.get("none", headers), 404, "NoSuchKey")


@case
def edge_44_a_range_is_satisfied_refused_or_ignored(e):
    body = bytes(range(100))
    fine(e.put("k", body))
    for text, first, last in (("0-0", 0, 0), ("00-01", 0, 1), ("-101", 0, 99), ("99-200", 99, 99), ("-1", 99, 99),
                              ("10-", 10, 99), ("0-99", 0, 99), ("50-18446744073709551615", 50, 99)):
        answer = fine(e.get("k", [("range", "bytes=" + text)]), 206)
        equal((text, answer.body, answer.headers["content-range"]),
              (text, body[first:last + 1], f"bytes {first}-{last}/100"))
        answer = fine(e.head("k", [("range", "bytes=" + text)]), 206)
        equal(answer.headers["content-length"], str(last - first + 1))
    for text in ("100-", "-0", "100-110", "200-300"):
        answer = refused(e.get("k", [("range", "bytes=" + text)]), 416, "InvalidRange", RangeRequested="bytes=" + text,
                         ActualObjectSize="100")
        equal(answer.headers["content-range"], "bytes */100")
        fine(e.head("k", [("range", "bytes=" + text)]), 416)
    for text in ("bytes=5-4", "bytes=", "bytes=x-y", "bytes=0-1,5-6", "chars=0-1", "bytes=-", "0-1", "bytes 0-1",
                 "bytes=0-1-2", "bytes=+1-2"):
        answer = fine(e.get("k", [("range", text)]))
        equal((text, answer.body == body, answer.headers["content-range"]), (text, True, None))


@case
def edge_45_no_range_of_an_empty_object_is_satisfied(e):
    fine(e.put("k"))
    for text in ("0-", "0-0", "-1", "1-"):
        refused(e.get("k", [("range", "bytes=" + text)]), 416, "InvalidRange", ActualObjectSize="0")
    equal(fine(e.get("k")).body, b"")
    fine(e.get("k", [("range", "bytes=1-0")]))


@case
def edge_46_a_part_number_is_no_range(e):
    fine(e.put("plain", b"hello"))
    fine(e.put("empty"))
    e.upload("parts", [bytes(PART), b"x"])
    for key in ("plain", "parts"):
        refused(e.get(key, [("range", "bytes=0-1")], query=[("partNumber", "1")]), 400, "InvalidRequest")
    refused(e.get("parts", query=[("partNumber", "3")]), 416, "InvalidPartNumber", PartNumberRequested="3",
            ActualPartCount="2")
    refused(e.get("plain", query=[("partNumber", "2")]), 416, "InvalidPartNumber")
    answer = fine(e.get("plain", query=[("partNumber", "1")]), 206)
    equal((answer.body, answer.headers["content-range"], answer.headers["x-amz-mp-parts-count"]),
          (b"hello", "bytes 0-4/5", None))
    answer = e.get("empty", query=[("partNumber", "1")])
    equal((answer.body, answer.headers["content-range"]), (b"", None))
    assert answer.status in (200, 206), answer
    for number in ("0", "10001", "x", "-1"):
        refused(e.get("parts", query=[("partNumber", number)]), 400, "InvalidArgument")


@case
def edge_47_a_part_comes_with_the_ETag_of_the_whole(e):
    whole = element(e.upload("k", [bytes(PART), b"hello"]), "ETag")
    for call in (e.get, e.head):
        answer = fine(call("k", query=[("partNumber", "2")]), 206)
        equal((answer.headers["etag"], answer.headers["content-length"], answer.headers["content-range"],
               answer.headers["x-amz-mp-parts-count"]), (whole, "5", f"bytes {PART}-{PART + 4}/{PART + 5}", "2"))
    equal(e.get("k", query=[("partNumber", "2")]).body, b"hello")
    equal(e.head("k").headers["x-amz-mp-parts-count"], None)


@case
def edge_48_a_range_has_no_checksum_of_the_whole(e):
    body = bytes(range(200))
    fine(e.put("k", body, [("x-amz-checksum-crc32", crc32(body))]))
    mode = ("x-amz-checksum-mode", "ENABLED")
    equal(e.get("k", [mode]).headers["x-amz-checksum-crc32"], crc32(body))
    equal(e.get("k").headers["x-amz-checksum-crc32"], None)
    for text in ("1-9", "0-198"):
        equal(fine(e.get("k", [mode, ("range", "bytes=" + text)]), 206).headers["x-amz-checksum-crc32"], None)


@case
def edge_49_digests_that_are_none_or_wrong_are_told_apart(e):
    for text in ("nonsense", "AAAA", md5_header(b"x") + "AAAA", ""):
        refused(e.put("bad", b"hello", [("content-md5", text)]), 400, "InvalidDigest")
    refused(e.put("bad", b"hello", [("content-md5", md5_header(b"other"))]), 400, "BadDigest",
            ExpectedDigest=md5_header(b"other"), CalculatedDigest=md5_header(b"hello"))
    refused(e.put("bad", b"hello", [("x-amz-checksum-crc32", crc32(b"other"))]), 400, "BadDigest")
    for name, text in (("crc32", "AAAAAAAA"), ("sha256", "zz"), ("crc64nvme", "!"), ("sha1", "")):
        refused(e.put("bad", b"hello", [("x-amz-checksum-" + name, text)]), 400, "InvalidRequest")
    refused(e.put("bad", b"hello", [("x-amz-checksum-crc32", crc32(b"hello")), ("x-amz-checksum-sha256", base64_of(
        hashlib.sha256(b"hello").digest()))]), 400, "InvalidRequest")
    fine(e.put("good", b"hello", [("x-amz-checksum-crc32", crc32(b"hello")), ("content-md5", md5_header(b"hello"))]))
    e.absent("bad")


@case
def edge_50_a_copy_onto_itself_changes_something_and_loses_nothing(e):
    body = bytes(range(256)) * 1000
    fine(e.put("k", body, [("x-amz-meta-a", "1")]))
    refused(copy(e, "k", f"{e.bucket}/k"), 400, "InvalidRequest")
    refused(copy(e, "k", f"{e.bucket}/k", [("x-amz-metadata-directive", "COPY")]), 400, "InvalidRequest")
    for i in range(3):
        fine(copy(e, "k", f"{e.bucket}/k", [("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-a", str(i))]))
        answer = e.get("k")
        equal((answer.body == body, answer.headers["x-amz-meta-a"]), (True, str(i)))
    e.versioning("Enabled")
    version = fine(e.put("k", b"new")).headers["x-amz-version-id"]
    fine(copy(e, "k", f"{e.bucket}/k?versionId=null"))  # an older version becomes the newest
    equal(e.get("k").body, body)
    equal(e.get("k", query=[("versionId", version)]).body, b"new")


@case
def edge_51_a_copy_source_has_many_forms(e):
    for key in ("a b+c", "a?b", "é", "a%2Fb", "x?versionId=1"):
        fine(e.put(key, key.encode()))
    for source, key in ((f"{e.bucket}/a%20b%2Bc", "a b+c"), (f"/{e.bucket}/a%20b+c", "a b+c"),
                        (f"/{e.bucket}/a%3Fb", "a?b"), (f"{e.bucket}%2Fa%20b%2Bc", "a b+c"),
                        (f"{e.bucket}/%C3%A9", "é"), (f"{e.bucket}/a%252Fb", "a%2Fb"),
                        (f"{e.bucket}/a%3Fb?versionId=null", "a?b"), (f"{e.bucket}/x%3FversionId=1", "x?versionId=1"),
                        (f"{e.bucket}/a b+c", "a b+c")):
        fine(copy(e, "copy", source))
        equal((source, e.get("copy").body), (source, key.encode()))
    for source in ("", "/", e.bucket, f"{e.bucket}/", "%zz/k", f"{e.bucket}/%zz"):
        answer = copy(e, "bad", source)
        assert answer.status == 400 and answer.code, (source, answer)
    refused(copy(e, "bad", f"{e.bucket}/none"), 404, "NoSuchKey", Key="none")
    refused(copy(e, "bad", "no-such-bucket/k"), 404, "NoSuchBucket", BucketName="no-such-bucket")
    e.absent("bad")


@case
def edge_52_a_copy_answers_with_ETag_and_time_in_its_document(e):
    etag = fine(e.put("k", b"hello")).headers["etag"]
    answer = fine(copy(e, "c", f"{e.bucket}/k"))
    equal((element(answer, "ETag"), answer.headers["etag"]), (etag, None))
    assert element(answer, "LastModified").endswith("Z") and b"<CopyObjectResult" in answer.body, answer.body


@case
def edge_53_a_delete_answers_204_whatever_was_there(e):
    fine(e.put("k"))
    for key in ("k", "k", "never"):
        answer = fine(e.delete(key), 204)
        equal((answer.body, answer.headers["x-amz-delete-marker"]), (b"", None))
    e.versioning("Enabled")
    answer = fine(e.delete("k"), 204)
    marker = answer.headers["x-amz-version-id"]
    equal((answer.headers["x-amz-delete-marker"], bool(marker)), ("true", True))
    answer = fine(e.delete("k", query=[("versionId", marker)]), 204)
    equal((answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]), ("true", marker))


@case
def edge_54_many_deletes_are_bounded_and_answered_key_by_key(e):
    def delete(text, **how):
        return e.document("delete", f"<Delete>{text}</Delete>", method="POST", **how)

    keys = ["a&b", "<k>", "a  b", "é", "a'\"b", "a]]>b"]
    e.put_many(keys)
    rows = "".join("<Object><Key>%s</Key></Object>" % key.replace("&", "&amp;").replace("<", "&lt;").replace(
        "]]>", "]]&gt;") for key in keys)
    answer = fine(delete(rows + "<Object><Key>none</Key></Object>"))
    equal(sorted(texts(answer, "Key")), sorted(keys + ["none"]))
    equal(texts(e.list(), "Key"), [])
    refused(delete(""), 400, "MalformedXML")
    refused(delete("<Object><Key>k</Key></Object>" * 1001), 400, "MalformedXML")
    fine(delete("<Object><Key>k</Key></Object>" * 1000))
    answer = fine(delete("<Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>b</Key>"
                         "<VersionId>nonsense</VersionId></Object>"))
    equal((texts(answer, "Deleted"), texts(answer, "Key")), ([], ["b"]))
    equal(len(texts(answer, "Error")), 1)
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    for headers in ([("content-md5", md5_header(body))], [("x-amz-checksum-crc32", crc32(body))],
                    [("x-amz-checksum-sha256", base64_of(hashlib.sha256(body).digest()))], []):
        fine(e.call("POST", None, body, [("delete", "")], headers))
    refused(e.call("POST", None, body, [("delete", "")], payload="UNSIGNED-PAYLOAD"), 400, "InvalidRequest")
    refused(e.call("POST", None, body, [("delete", "")], [("x-amz-checksum-crc32", "AAAAAA==")]), 400, "BadDigest")
    crc64 = base64.b64encode(bytes(8)).decode()
    refused(e.call("POST", None, body, [("delete", "")], [("x-amz-checksum-crc64nvme", crc64)]), 400, "BadDigest")


@case
def edge_55_an_object_may_be_empty(e):
    equal(fine(e.put("k")).headers["etag"], f'"{md5(b"")}"')
    fine(e.chunked("trailer", [], UNSIGNED_TRAILER, [("x-amz-trailer", "x-amz-checksum-crc32")],
                   [b"x-amz-checksum-crc32:" + base64.b64encode(zlib.crc32(b"").to_bytes(4, "big"))]))
    fine(copy(e, "copy", f"{e.bucket}/k"))
    e.upload("parts", [b""])
    for key in ("k", "trailer", "copy", "parts"):
        answer = fine(e.get(key))
        equal((key, answer.body, answer.headers["content-length"]), (key, b"", "0"))


@case
def edge_56_an_answer_is_overridden_only_for_who_has_signed(e):
    names = {"response-content-type": "text/x", "response-content-disposition": 'attachment; filename="f"',
             "response-cache-control": "no-store", "response-content-encoding": "x", "response-content-language": "fr",
             "response-expires": "Thu, 01 Jan 2099 00:00:00 GMT"}
    fine(e.put("k", b"hello", [("content-type", "a/b")]))
    for call in (e.get, e.head):
        answer = fine(call("k", query=list(names.items())))
        for name, value in names.items():
            equal(answer.headers[name[len("response-"):]], value)
    answer = fine(e.get("k", [("range", "bytes=0-1")], query=list(names.items())), 206)
    equal(answer.headers["content-type"], "text/x")
    policy = ('{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}'
              % e.bucket)
    fine(e.document("policy", policy), 204)
    equal(e.plain("GET", e.path("k")).body, b"hello")
    for name in names:
        refused(e.plain("GET", e.path("k") + f"?{name}=x"), 400, "InvalidRequest")
    refused(e.get("none", query=list(names.items())), 404, "NoSuchKey")


@case
def edge_57_a_storage_class_is_known_and_STANDARD_is_not_echoed(e):
    for name in ("nonsense", "standard", ""):
        refused(e.put("bad", b"x", [("x-amz-storage-class", name)]), 400, "InvalidStorageClass")
    e.absent("bad")
    fine(e.put("k", b"x", [("x-amz-storage-class", "STANDARD")]))
    equal(e.head("k").headers["x-amz-storage-class"], None)
    equal(element(e.list(), "StorageClass"), "STANDARD")
    fine(e.put("k", b"x", [("x-amz-storage-class", "STANDARD_IA")]))


@case
def edge_58_tags_in_a_header_are_pairs_within_bounds(e):
    fine(e.put("k", b"x", [("x-amz-tagging", "a=1&b%20c=%2B%26&empty=")]))
    equal(e.head("k").headers["x-amz-tagging-count"], "3")
    answer = e.call("GET", "k", query=[("tagging", "")])
    equal(dict(zip(texts(answer, "Key"), texts(answer, "Value"))), {"a": "1", "b c": "+&", "empty": ""})
    for text in ("&".join(f"k{i}=v" for i in range(11)), "a=1&a=2", "k" * 129 + "=v", "k=" + "v" * 257, "=v"):
        refused(e.put("bad", b"x", [("x-amz-tagging", text)]), 400, "InvalidTag")
    e.absent("bad")
    fine(e.put("most", b"x", [("x-amz-tagging", "k" * 128 + "=" + "v" * 256)]))
    fine(copy(e, "c", f"{e.bucket}/k"))
    equal(e.head("c").headers["x-amz-tagging-count"], "3")
    fine(copy(e, "c", f"{e.bucket}/k", [("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "z=1")]))
    equal(e.head("c").headers["x-amz-tagging-count"], "1")
    refused(copy(e, "c", f"{e.bucket}/k", [("x-amz-tagging-directive", "nonsense")]), 400, "InvalidArgument")
