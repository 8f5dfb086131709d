# SPDX-License-Identifier: Apache-2.0
"""Sharp edges 24 to 36: listings."""
import re
import threading

from cases import equal
from edge_case import Edge, element, fine, refused, registry, texts

case = registry()


def prefixes(answer):
    """Of the common prefixes alone: the prefix that was asked for is an element Prefix, too."""
    return re.findall(r"<CommonPrefixes><Prefix>([^<]*)</Prefix></CommonPrefixes>", answer.body.decode())


@case
def edge_24_keys_come_in_the_order_of_their_bytes(e):
    keys = ["a", "a b", "a!", "a-b", "a.b", "a/b", "a0", "aB", "a~", "ab", "é", "\uffee", "\U0001f353", "Z", "%"]
    e.put_many(reversed(keys))
    keys.sort(key=lambda key: key.encode())
    equal(texts(e.list(), "Key"), keys)
    equal(texts(e.list(list_type=2), "Key"), keys)
    assert "\uffee".encode() < "\U0001f353".encode() and keys.index("\uffee") < keys.index("\U0001f353")
    # Prefixes stand among the keys where their own bytes put them.
    got = []
    token = None
    while True:
        more = {"continuation_token": token} if token else {}
        page = e.list(list_type=2, delimiter="/", max_keys=1, prefix="a", **more)
        got += texts(page, "Key") + prefixes(page)
        if element(page, "IsTruncated") == "false":
            break
        token = element(page, "NextContinuationToken")
    equal(got, ["a", "a b", "a!", "a-b", "a.b", "a/", "a0", "aB", "ab", "a~"])


@case
def edge_25_max_keys_counts_keys_and_prefixes(e):
    e.put_many(["a", "b/1", "b/2", "c"])
    page = e.list(list_type=2, delimiter="/", max_keys=2)
    equal((texts(page, "Key"), prefixes(page), element(page, "KeyCount")), (["a"], ["b/"], "2"))
    for kind in ({}, {"list_type": 2}):
        page = e.list(max_keys=0, **kind)
        equal((texts(page, "Key"), element(page, "IsTruncated"), element(page, "MaxKeys")), ([], "false", "0"))
        equal(element(e.list(max_keys=5000, **kind), "MaxKeys"), "1000")
        for bad in ("x", "-1", "1.5", "2147483648"):
            refused(e.try_list(max_keys=bad, **kind), 400, "InvalidArgument", ArgumentName=None, ArgumentValue=bad)


@case
def edge_26_a_next_marker_comes_with_a_delimiter_and_covers_its_prefix(e):
    e.put_many(["a", "b/1", "b/2", "b/3", "c", "d"])
    equal(texts(e.list(max_keys=2), "NextMarker"), [])
    equal(texts(e.list(max_keys=2, marker="b/1"), "Key"), ["b/2", "b/3"])
    page = e.list(max_keys=2, delimiter="/")
    equal((element(page, "NextMarker"), element(page, "IsTruncated")), ("b/", "true"))
    page = e.list(max_keys=2, delimiter="/", marker="b/")
    equal((texts(page, "Key"), prefixes(page)), (["c", "d"], []))
    equal(element(page, "Marker"), "b/")
    # A marker inside of a prefix that was folded has passed it.
    page = e.list(delimiter="/", marker="b/1")
    equal((texts(page, "Key"), prefixes(page)), (["c", "d"], []))


@case
def edge_27_a_token_is_opaque_and_beats_start_after(e):
    keys = ["a b", "a+b", "a/b", "é", "z"]
    e.put_many(keys)
    page = e.list(list_type=2, max_keys=2, start_after="a")
    token = element(page, "NextContinuationToken")
    assert re.fullmatch("[A-Za-z0-9._~=+/-]+", token), token
    page = e.list(list_type=2, continuation_token=token, start_after="zz")
    equal(texts(page, "Key"), sorted(keys, key=lambda key: key.encode())[2:])
    equal((element(page, "ContinuationToken"), element(page, "StartAfter")), (token, "zz"))
    page = e.list(list_type=2, continuation_token="", max_keys=1)
    equal((texts(page, "Key"), element(page, "ContinuationToken")), (["a b"], ""))
    for bad in ("made up", "%%%", token[:-3] + "é", token + "x"):
        refused(e.try_list(list_type=2, continuation_token=bad), 400, "InvalidArgument")
    # Another client, which is all that a restart is to a token that says everything itself.
    other = Edge(e.node, not e.tls)
    other.bucket = e.bucket
    equal(texts(other.list(list_type=2, continuation_token=token), "Key")[-1], "é")
    other.close()


@case
def edge_28_start_after_lies_anywhere(e):
    e.put_many(["a", "b/1", "b/2", "b/3", "c"])

    def got(**query):
        page = e.list(list_type=2, **query)
        return texts(page, "Key"), prefixes(page)

    equal(got(start_after="a"), (["b/1", "b/2", "b/3", "c"], []))
    equal(got(start_after="aa", prefix="b/"), (["b/1", "b/2", "b/3"], []))
    equal(got(start_after="b/1x", prefix="b/"), (["b/2", "b/3"], []))
    equal(got(start_after="bz", prefix="b/"), ([], []))
    equal(got(start_after="b", delimiter="/"), (["c"], ["b/"]))
    equal(got(start_after="b/1", delimiter="/"), (["c"], []))  # docs/S3.md, Choices
    equal(got(start_after="b/3", delimiter="/"), (["c"], []))
    equal(got(start_after="b0", delimiter="/"), (["c"], []))


@case
def edge_29_a_delimiter_is_any_string(e):
    e.put_many(["a/b/c", "a/b d", "aXYb", "aXYc", "aXZ", "a%b"])

    def got(delimiter, **more):
        page = e.list(list_type=2, delimiter=delimiter, **more)
        return texts(page, "Key"), prefixes(page)

    equal(got("XY"), (["a%b", "a/b d", "a/b/c", "aXZ"], ["aXY"]))
    equal(got(" "), (["a%b", "a/b/c", "aXYb", "aXYc", "aXZ"], ["a/b "]))
    equal(got("%"), (["a/b d", "a/b/c", "aXYb", "aXYc", "aXZ"], ["a%"]))
    equal(got("/", prefix="a/"), (["a/b d"], ["a/b/"]))
    page = e.list(list_type=2, delimiter="")
    equal((len(texts(page, "Key")), texts(page, "Delimiter")), (6, []))


@case
def edge_30_names_are_encoded_where_it_is_asked_for(e):
    e.put_many(["d e/f+g/é", "d e/k+%"])
    page = e.list(list_type=2, encoding_type="url", prefix="d e/", delimiter="+g/", start_after="d e/+")
    equal(element(page, "EncodingType"), "url")
    equal(texts(page, "Key"), ["d%20e/k%2B%25"])
    equal(prefixes(page), ["d%20e/f%2Bg/"])
    equal((texts(page, "Prefix")[0], element(page, "Delimiter"), element(page, "StartAfter")),
          ("d%20e/", "%2Bg/", "d%20e/%2B"))
    page = e.list(encoding_type="url", marker="d e", delimiter="/", max_keys=1, prefix="d e/")
    equal((element(page, "Marker"), element(page, "NextMarker")), ("d%20e", "d%20e/f%2Bg/"))
    page = e.call("GET", query=[("versions", ""), ("encoding-type", "url"), ("max-keys", "1")])
    equal((texts(page, "Key"), element(page, "NextKeyMarker")), (["d%20e/f%2Bg/%C3%A9"],) + ("d%20e/f%2Bg/%C3%A9",))
    page = e.call("GET", query=[("versions", ""), ("encoding-type", "url"), ("key-marker", "d e/k")])
    equal((texts(page, "Key"), element(page, "KeyMarker")), (["d%20e/k%2B%25"], "d%20e/k"))
    e.start_upload("u p")
    page = e.call("GET", query=[("uploads", ""), ("encoding-type", "url"), ("prefix", "u p"), ("key-marker", "a b")])
    equal((texts(page, "Key"), texts(page, "Prefix"), element(page, "KeyMarker")), (["u%20p"], ["u%20p"], "a%20b"))
    equal(texts(e.list(list_type=2), "EncodingType"), [])
    refused(e.try_list(encoding_type="base64"), 400, "InvalidArgument", ArgumentName="encoding-type")


@case
def edge_31_what_XML_cannot_say_is_a_reference(e):
    keys = ["a\x01b", "a\x1fb", "a\rb", "a\nb", "a\tb", "a\x7fb", "a\x00b", "a\ufffeb"]
    e.put_many(keys)
    text = e.list(list_type=2).body
    for raw in (b"&#x1;", b"&#x1F;", b"&#13;"):
        assert raw.lower() in text.lower() or raw.replace(b"#13", b"#xD").lower() in text.lower(), (raw, text)
    assert b"\xef\xbf\xbd" not in text and b"\x01" not in text and b"\r" not in text, text
    page = e.list(list_type=2, encoding_type="url")
    equal(sorted(texts(page, "Key")), sorted(
        ["a%01b", "a%1Fb", "a%0Db", "a%0Ab", "a%09b", "a%7Fb", "a%00b", "a%EF%BF%BEb"]))


@case
def edge_32_each_version_of_the_listing_has_its_fields(e):
    fine(e.put("k", b"hello"))
    page = e.list()
    equal((element(page, "StorageClass"), texts(page, "KeyCount"), len(texts(page, "Owner"))), ("STANDARD", [], 1))
    assert element(page, "ID"), page.body
    page = e.list(list_type=2)
    equal((element(page, "KeyCount"), texts(page, "Owner"), element(page, "StorageClass")), ("1", [], "STANDARD"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", element(page, "LastModified")), page.body
    equal(element(page, "Size"), "5")
    equal(len(texts(e.list(list_type=2, fetch_owner="true"), "Owner")), 1)
    equal(texts(e.list(list_type=2, fetch_owner="false"), "Owner"), [])


@case
def edge_33_an_ETag_stands_in_plain_quotes(e):
    etag = fine(e.put("k", b"hello")).headers["etag"]
    assert f"<ETag>{etag}</ETag>".encode() in e.list().body and etag.startswith('"'), e.list().body
    answer = e.call("PUT", "c", headers=[("x-amz-copy-source", f"{e.bucket}/k")])
    assert f"<ETag>{etag}</ETag>".encode() in answer.body, answer.body


@case
def edge_34_elements_of_a_kind_stand_together(e):
    e.put_many(["a", "b/1", "c", "d/1", "e"])
    for kind in ({}, {"list_type": 2}):
        text = e.list(delimiter="/", **kind).body.decode()
        kinds = re.findall("<(Contents|CommonPrefixes)>", text)
        equal(kinds, sorted(kinds, reverse=True))
    keys = "".join(f"<Object><Key>{key}</Key>{version}</Object>" for key, version in
                   (("a", ""), ("b/1", "<VersionId>nonsense</VersionId>"), ("c", ""), ("none", "")))
    answer = fine(e.document("delete", f"<Delete>{keys}</Delete>", method="POST"))
    kinds = re.findall("<(Deleted|Error)>", answer.body.decode())
    equal(kinds, ["Deleted"] * 3 + ["Error"])
    # Versions and their delete markers are told in the order of keys, not of kinds.
    e.versioning("Enabled")
    for key in ("a", "b", "c"):
        fine(e.put(key))
        fine(e.delete(key), 204)
    text = e.call("GET", query=[("versions", ""), ("prefix", "")]).body.decode()
    got = re.findall("<(Version|DeleteMarker)><Key>([abc])</Key>", text)
    equal(got, [(kind, key) for key in "abc" for kind in ("DeleteMarker", "Version")])


@case
def edge_35_uploads_come_by_key_and_then_by_time(e):
    ids = [(key, e.start_upload(key)) for key in ("b", "a", "b", "a/x", "b")]

    def page(**query):
        answer = fine(e.call("GET", query=[("uploads", "")] + [(n.replace("_", "-"), str(v)) for n, v in query.items()]))
        return list(zip(texts(answer, "Key"), texts(answer, "UploadId"))), answer

    expected = sorted(ids, key=lambda row: (row[0].encode(), ids.index(row)))
    equal(page()[0], expected)
    got, answer = page(max_uploads=3)
    equal(got, expected[:3])
    more = page(key_marker=element(answer, "NextKeyMarker"), upload_id_marker=element(answer, "NextUploadIdMarker"))
    equal(more[0], expected[3:])
    equal(page(upload_id_marker=expected[3][1])[0], expected)  # alone it says nothing
    equal(page(key_marker="a/x")[0], [row for row in expected if row[0] == "b"])
    equal(page(prefix="a")[0], expected[:2])
    got, answer = page(delimiter="/")
    equal(([row[0] for row in got], prefixes(answer)), (["a", "b", "b", "b"], ["a/"]))
    for key, upload in ids:
        fine(e.delete(key, query=[("uploadId", upload)]), 204)
    equal(page()[0], [])


@case
def edge_36_what_stays_is_listed_once_while_others_come_and_go(e):
    fixed = [f"k{i:03}" for i in range(60)]
    e.put_many(fixed)
    stop = threading.Event()

    def churn():
        other = Edge(e.node, e.tls)
        other.bucket = e.bucket
        i = 0
        while not stop.is_set():
            key = f"k{i % 60:03}+{i % 7}"
            other.put(key)
            other.delete(key)
            i += 1
        other.close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for kind in ("v1", "v2", "versions") * 3:
            got, more = [], {}
            while True:
                if kind == "versions":
                    page = fine(e.call("GET", query=[("versions", ""), ("max-keys", "7"), *more.items()]))
                else:
                    page = e.list(max_keys=7, **({"list_type": 2} if kind == "v2" else {}), **more)
                got += texts(page, "Key")
                if element(page, "IsTruncated") == "false":
                    break
                if kind == "v1":
                    more = {"marker": got[-1]}
                elif kind == "v2":
                    more = {"continuation_token": element(page, "NextContinuationToken")}
                else:
                    more = {"key-marker": element(page, "NextKeyMarker"),
                            "version-id-marker": element(page, "NextVersionIdMarker")}
            equal(got, sorted(set(got)))
            equal([key for key in got if "+" not in key], fixed)
    finally:
        stop.set()
        thread.join()
