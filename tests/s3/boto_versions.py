# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about versions of objects, and about their tags."""
import datetime

from boto_case import MIB, noise, refused, registry
from cases import equal

case = registry()


def enable(c, status="Enabled"):
    c.s3.put_bucket_versioning(Bucket=c.bucket, VersioningConfiguration={"Status": status})


def put(c, key="k", body=b"x", **more):
    return c.s3.put_object(Bucket=c.bucket, Key=key, Body=body, **more).get("VersionId")


def read(c, key="k", **more):
    return c.s3.get_object(Bucket=c.bucket, Key=key, **more)["Body"].read()


def listed(c, **more):
    """(key, version, is_latest, is_marker) as they stand, over all pages."""
    rows, markers = [], {}
    while True:
        page = c.s3.list_object_versions(Bucket=c.bucket, **more, **markers)
        both = [(item, False) for item in page.get("Versions", [])]
        both += [(item, True) for item in page.get("DeleteMarkers", [])]
        for item, _ in both:
            equal(item["Owner"]["ID"], c.s3.list_buckets()["Owner"]["ID"])
        rows += [(item["Key"], item["VersionId"], item["IsLatest"], is_marker) for item, is_marker in both]
        if not page["IsTruncated"]:
            return rows
        markers = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            markers["VersionIdMarker"] = page["NextVersionIdMarker"]


@case
def versioning_is_off_until_it_is_enabled(c):
    equal(c.s3.get_bucket_versioning(Bucket=c.bucket).get("Status"), None)
    equal(put(c), None)
    assert "VersionId" not in c.s3.head_object(Bucket=c.bucket, Key="k")
    enable(c)
    equal(c.s3.get_bucket_versioning(Bucket=c.bucket)["Status"], "Enabled")
    enable(c, "Suspended")
    equal(c.s3.get_bucket_versioning(Bucket=c.bucket)["Status"], "Suspended")
    refused(400, "MalformedXML", c.s3.put_bucket_versioning, Bucket=c.bucket,
            VersioningConfiguration={"Status": "Disabled"})
    refused(400, "IllegalVersioningConfigurationException", c.s3.put_bucket_versioning, Bucket=c.bucket,
            VersioningConfiguration={})
    refused(501, "NotImplemented", c.s3.put_bucket_versioning, Bucket=c.bucket,
            VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"})
    refused(404, "NoSuchBucket", c.s3.put_bucket_versioning, Bucket=c.bucket + "-none",
            VersioningConfiguration={"Status": "Enabled"})


@case
def each_put_is_a_version_that_can_be_read(c):
    enable(c)
    bodies = [noise(size, size) for size in (0, 10, 5000, 200_000, MIB)]
    ids = [put(c, body=body) for body in bodies]
    equal(len(set(ids)), len(ids))
    equal(read(c), bodies[-1])
    for version, body in zip(ids, bodies):
        got = c.s3.get_object(Bucket=c.bucket, Key="k", VersionId=version)
        equal((got["VersionId"], got["Body"].read()), (version, body))
        head = c.s3.head_object(Bucket=c.bucket, Key="k", VersionId=version)
        equal((head["VersionId"], head["ContentLength"]), (version, len(body)))
    equal(listed(c), [("k", version, version == ids[-1], False) for version in reversed(ids)])


@case
def a_marker_hides_a_key_until_it_is_deleted(c):
    enable(c)
    version = put(c, body=b"one")
    gone = c.s3.delete_object(Bucket=c.bucket, Key="k")
    equal(gone["DeleteMarker"], True)
    marker = gone["VersionId"]
    error = refused(404, "NoSuchKey", c.s3.get_object, Bucket=c.bucket, Key="k")
    headers = error["ResponseMetadata"]["HTTPHeaders"]
    equal((headers["x-amz-delete-marker"], headers["x-amz-version-id"]), ("true", marker))
    error = refused(405, "MethodNotAllowed", c.s3.get_object, Bucket=c.bucket, Key="k", VersionId=marker)
    headers = error["ResponseMetadata"]["HTTPHeaders"]
    equal((headers["x-amz-delete-marker"], headers["allow"]), ("true", "DELETE"))
    assert "last-modified" in headers
    error = refused(405, "405", c.s3.head_object, Bucket=c.bucket, Key="k", VersionId=marker)
    equal(error["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"], "true")
    equal(read(c, VersionId=version), b"one")
    equal(c.s3.list_objects_v2(Bucket=c.bucket)["KeyCount"], 0)
    equal(listed(c), [("k", version, False, False), ("k", marker, True, True)])
    gone = c.s3.delete_object(Bucket=c.bucket, Key="k", VersionId=marker)
    equal((gone["DeleteMarker"], gone["VersionId"]), (True, marker))
    equal(read(c), b"one")
    gone = c.s3.delete_object(Bucket=c.bucket, Key="k", VersionId=version)
    equal((gone.get("DeleteMarker"), gone["VersionId"]), (None, version))
    equal(listed(c), [])
    # What is not there is deleted as well.
    gone = c.s3.delete_object(Bucket=c.bucket, Key="k", VersionId=version)
    equal(gone["ResponseMetadata"]["HTTPStatusCode"], 204)


@case
def a_version_that_is_not_there_is_told_from_one_that_is_none(c):
    enable(c)
    version = put(c)
    put(c, key="other")
    error = refused(404, "NoSuchVersion", c.s3.get_object, Bucket=c.bucket, Key="other", VersionId=version)
    equal((error["Error"]["Key"], error["Error"]["VersionId"]), ("other", version))
    refused(404, "NoSuchVersion", c.s3.get_object, Bucket=c.bucket, Key="k", VersionId="null")
    for text in ("wrong", version + "0", version[:-1], "NULL"):
        for call in (c.s3.get_object, c.s3.delete_object, c.s3.get_object_tagging):
            error = refused(400, "InvalidArgument", call, Bucket=c.bucket, Key="k", VersionId=text)
            equal(error["Error"]["Message"], "Invalid version id specified")


@case
def the_null_version_is_what_was_before_and_what_comes_when_suspended(c):
    put(c, body=b"before")
    enable(c)
    first = put(c, body=b"first")
    equal(read(c, VersionId="null"), b"before")
    equal(c.s3.head_object(Bucket=c.bucket, Key="k", VersionId="null")["VersionId"], "null")
    enable(c, "Suspended")
    equal(put(c, body=b"suspended"), "null")
    equal((read(c), read(c, VersionId="null"), read(c, VersionId=first)), (b"suspended", b"suspended", b"first"))
    equal(listed(c), [("k", "null", True, False), ("k", first, False, False)])
    # A delete replaces the null version by a null marker, and that by itself.
    for _ in range(2):
        gone = c.s3.delete_object(Bucket=c.bucket, Key="k")
        equal((gone["DeleteMarker"], gone["VersionId"]), (True, "null"))
        equal(listed(c), [("k", first, False, False), ("k", "null", True, True)])
    refused(405, "MethodNotAllowed", c.s3.get_object, Bucket=c.bucket, Key="k", VersionId="null")
    equal(put(c, body=b"again"), "null")
    enable(c)
    last = put(c, body=b"last")
    equal([row[1] for row in listed(c)], [last, "null", first])
    gone = c.s3.delete_object(Bucket=c.bucket, Key="k", VersionId="null")
    equal((gone.get("DeleteMarker"), gone["VersionId"]), (None, "null"))
    equal([row[1] for row in listed(c)], [last, first])


@case
def deletes_of_many_name_versions_and_markers(c):
    enable(c)
    ids = [put(c, body=bytes([i])) for i in range(3)]
    put(c, key="j")
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [
        {"Key": "k", "VersionId": ids[0]}, {"Key": "j"}, {"Key": "never"}, {"Key": "k", "VersionId": "bad"}]})
    gone = {item["Key"]: item for item in answer["Deleted"]}
    equal(gone["k"], {"Key": "k", "VersionId": ids[0]})
    for key in ("j", "never"):
        equal(gone[key]["DeleteMarker"], True)
        assert gone[key]["DeleteMarkerVersionId"] and "VersionId" not in gone[key]
    equal([(e["Key"], e["Code"]) for e in answer["Errors"]], [("k", "NoSuchVersion")])
    marker = gone["j"]["DeleteMarkerVersionId"]
    refused(405, "MethodNotAllowed", c.s3.get_object, Bucket=c.bucket, Key="j", VersionId=marker)
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": "j", "VersionId": marker}]})
    equal(answer["Deleted"], [{"Key": "j", "VersionId": marker, "DeleteMarker": True,
                               "DeleteMarkerVersionId": marker}])
    equal(read(c, key="j"), b"x")
    enable(c, "Suspended")
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": "j"}]})
    equal(answer["Deleted"], [{"Key": "j", "DeleteMarker": True, "DeleteMarkerVersionId": "null"}])


@case
def pages_of_versions_may_end_inside_a_key(c):
    put(c, key="a")
    enable(c)
    for i in range(4):
        for key in ("a", "a/b", "c"):
            put(c, key=key, body=bytes([i]))
    c.s3.delete_object(Bucket=c.bucket, Key="a/b")
    whole = sorted(listed(c))
    equal(len(whole), 14)
    for size in (1, 2, 3, 5, 13, 14, 15):
        rows, markers = [], {}
        while True:
            page = c.s3.list_object_versions(Bucket=c.bucket, MaxKeys=size, **markers)
            items = page.get("Versions", []) + page.get("DeleteMarkers", [])
            assert len(items) <= size
            rows += [(i["Key"], i["VersionId"], i["IsLatest"], "ETag" not in i) for i in items]
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
        equal(len(rows), len(whole))
        equal(sorted(rows), whole)
    page = c.s3.list_object_versions(Bucket=c.bucket, Delimiter="/")
    equal([item["Key"] for item in page["Versions"]], ["a"] * 5 + ["c"] * 4)
    equal([item["Prefix"] for item in page["CommonPrefixes"]], ["a/"])
    page = c.s3.list_object_versions(Bucket=c.bucket, Delimiter="/", MaxKeys=6)
    equal((page["IsTruncated"], page["NextKeyMarker"], "NextVersionIdMarker" in page), (True, "a/", False))
    page = c.s3.list_object_versions(Bucket=c.bucket, Delimiter="/", KeyMarker="a/")
    equal({item["Key"] for item in page["Versions"]}, {"c"})
    page = c.s3.list_object_versions(Bucket=c.bucket, Prefix="a/")
    equal((len(page["Versions"]), len(page["DeleteMarkers"])), (4, 1))
    refused(400, "InvalidArgument", c.s3.list_object_versions, Bucket=c.bucket, VersionIdMarker="null")
    refused(400, "InvalidArgument", c.s3.list_object_versions, Bucket=c.bucket, KeyMarker="a",
            VersionIdMarker="zz")


@case
def copies_are_made_of_versions(c):
    enable(c)
    old = put(c, body=b"old", Metadata={"m": "1"}, Tagging="t=1")
    put(c, body=b"new")
    answer = c.s3.copy_object(Bucket=c.bucket, Key="copy",
                              CopySource={"Bucket": c.bucket, "Key": "k", "VersionId": old})
    equal(answer["CopySourceVersionId"], old)
    assert answer["VersionId"] != old
    got = c.s3.get_object(Bucket=c.bucket, Key="copy", VersionId=answer["VersionId"])
    equal((got["Body"].read(), got["Metadata"], got["TagCount"]), (b"old", {"m": "1"}, 1))
    # A version onto its own key is how one is brought back.
    answer = c.s3.copy_object(Bucket=c.bucket, Key="k",
                              CopySource={"Bucket": c.bucket, "Key": "k", "VersionId": old})
    equal((read(c), c.s3.head_object(Bucket=c.bucket, Key="k")["VersionId"]), (b"old", answer["VersionId"]))
    equal(read(c, VersionId=old), b"old")
    marker = c.s3.delete_object(Bucket=c.bucket, Key="k")["VersionId"]
    refused(404, "NoSuchKey", c.s3.copy_object, Bucket=c.bucket, Key="copy",
            CopySource={"Bucket": c.bucket, "Key": "k"})
    refused(400, "InvalidRequest", c.s3.copy_object, Bucket=c.bucket, Key="copy",
            CopySource={"Bucket": c.bucket, "Key": "k", "VersionId": marker})


@case
def uploads_in_parts_make_versions(c):
    enable(c)
    old = put(c, body=noise(6 * MIB))
    upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="k", Tagging="a=b")["UploadId"]
    copied = c.s3.upload_part_copy(Bucket=c.bucket, Key="k", UploadId=upload, PartNumber=1,
                                   CopySource={"Bucket": c.bucket, "Key": "k", "VersionId": old})
    equal(copied["CopySourceVersionId"], old)
    part = c.s3.upload_part(Bucket=c.bucket, Key="k", UploadId=upload, PartNumber=2, Body=b"end")
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]},
             {"PartNumber": 2, "ETag": part["ETag"]}]
    done = c.s3.complete_multipart_upload(Bucket=c.bucket, Key="k", UploadId=upload,
                                          MultipartUpload={"Parts": parts})
    equal(c.s3.complete_multipart_upload(Bucket=c.bucket, Key="k", UploadId=upload,
                                         MultipartUpload={"Parts": parts})["VersionId"], done["VersionId"])
    head = c.s3.head_object(Bucket=c.bucket, Key="k")
    equal((head["VersionId"], head["ContentLength"]), (done["VersionId"], 6 * MIB + 3))
    equal([row[1] for row in listed(c)], [done["VersionId"], old])
    equal(c.s3.get_object_tagging(Bucket=c.bucket, Key="k")["TagSet"], [{"Key": "a", "Value": "b"}])


@case
def conditions_are_about_the_current_version_or_the_one_named(c):
    enable(c)
    one = c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"1", IfNoneMatch="*")
    refused(412, "PreconditionFailed", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"2", IfNoneMatch="*")
    two = c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"2", IfMatch=one["ETag"])
    refused(412, "PreconditionFailed", c.s3.delete_object, Bucket=c.bucket, Key="k", IfMatch=one["ETag"])
    refused(412, "PreconditionFailed", c.s3.delete_object, Bucket=c.bucket, Key="k",
            VersionId=one["VersionId"], IfMatch=two["ETag"])
    c.s3.delete_object(Bucket=c.bucket, Key="k", VersionId=one["VersionId"], IfMatch=one["ETag"])
    equal([row[1] for row in listed(c)], [two["VersionId"]])
    head = c.s3.head_object(Bucket=c.bucket, Key="k")
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [
        {"Key": "k", "ETag": one["ETag"]}, {"Key": "k", "Size": 7},
        {"Key": "k", "LastModifiedTime": head["LastModified"] - datetime.timedelta(days=1)}]})
    equal([item["Code"] for item in answer["Errors"]], ["PreconditionFailed"] * 3)
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [
        {"Key": "k", "ETag": two["ETag"], "Size": 1, "LastModifiedTime": head["LastModified"]}]})
    equal(answer["Deleted"][0]["DeleteMarker"], True)
    # A marker counts as no object.
    refused(404, "NoSuchKey", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"3", IfMatch=two["ETag"])
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"3", IfNoneMatch="*")
    equal(len(listed(c)), 3)


@case
def a_bucket_with_versions_is_not_empty(c):
    enable(c)
    version = put(c)
    marker = c.s3.delete_object(Bucket=c.bucket, Key="k")["VersionId"]
    for gone in (version, marker):
        refused(409, "BucketNotEmpty", c.s3.delete_bucket, Bucket=c.bucket)
        c.s3.delete_object(Bucket=c.bucket, Key="k", VersionId=gone)
    c.s3.delete_bucket(Bucket=c.bucket)


# --- tags ---

def tags_of(c, **more):
    answer = c.s3.get_object_tagging(Bucket=c.bucket, Key="k", **more)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def tag(c, tags, **more):
    tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
    return c.s3.put_object_tagging(Bucket=c.bucket, Key="k", Tagging={"TagSet": tag_set}, **more)


@case
def tags_are_set_read_and_deleted(c):
    put(c, Tagging="one=1&two=%20x")
    equal(tags_of(c), {"one": "1", "two": " x"})
    tag(c, {"ü": "ö", "empty": ""})
    equal(tags_of(c), {"ü": "ö", "empty": ""})
    equal(c.s3.head_object(Bucket=c.bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
          ["x-amz-tagging-count"], "2")
    equal(c.s3.delete_object_tagging(Bucket=c.bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"], 204)
    equal(tags_of(c), {})
    for call in (c.s3.get_object_tagging, c.s3.delete_object_tagging):
        refused(404, "NoSuchKey", call, Bucket=c.bucket, Key="none")


@case
def tags_have_limits(c):
    put(c)
    longest = {f"{i}{'語' * 127}": "語" * 256 for i in range(10)}
    tag(c, longest)
    equal(tags_of(c), longest)
    c.s3.copy_object(Bucket=c.bucket, Key="copy", CopySource={"Bucket": c.bucket, "Key": "k"})
    equal(len(c.s3.get_object_tagging(Bucket=c.bucket, Key="copy")["TagSet"]), 10)
    bad = [{str(i): "" for i in range(11)}, {"k" * 129: ""}, {"k": "v" * 257}, {"aws:x": ""}]
    for tags in bad:
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        refused(400, "InvalidTag", c.s3.put_object_tagging, Bucket=c.bucket, Key="k",
                Tagging={"TagSet": tag_set})
    refused(400, "InvalidTag", c.s3.put_object_tagging, Bucket=c.bucket, Key="k",
            Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]})
    refused(400, "InvalidTag", c.s3.put_object, Bucket=c.bucket, Key="k", Tagging="a=1&a=2")
    refused(400, "InvalidTag", c.s3.put_object, Bucket=c.bucket, Key="k",
            Tagging="&".join(f"{i}=" for i in range(11)))
    equal(tags_of(c), longest)


@case
def each_version_has_tags_of_its_own(c):
    enable(c)
    one, two = put(c, Tagging="v=1"), put(c, Tagging="v=2")
    equal((tags_of(c), tags_of(c, VersionId=one)), ({"v": "2"}, {"v": "1"}))
    equal(tag(c, {"v": "3"}, VersionId=one)["VersionId"], one)
    equal((tags_of(c), tags_of(c, VersionId=one)), ({"v": "2"}, {"v": "3"}))
    equal(c.s3.delete_object_tagging(Bucket=c.bucket, Key="k")["VersionId"], two)
    equal((tags_of(c), tags_of(c, VersionId=one)), ({}, {"v": "3"}))
    marker = c.s3.delete_object(Bucket=c.bucket, Key="k")["VersionId"]
    refused(404, "NoSuchKey", c.s3.get_object_tagging, Bucket=c.bucket, Key="k")
    refused(405, "MethodNotAllowed", c.s3.put_object_tagging, Bucket=c.bucket, Key="k", VersionId=marker,
            Tagging={"TagSet": []})
    equal(len(listed(c)), 3)


@case
def a_copy_keeps_tags_or_has_its_own(c):
    put(c, Tagging="a=1")
    source = {"Bucket": c.bucket, "Key": "k"}
    c.s3.copy_object(Bucket=c.bucket, Key="same", CopySource=source)
    c.s3.copy_object(Bucket=c.bucket, Key="other", CopySource=source, TaggingDirective="REPLACE",
                     Tagging="b=2")
    for key, tags in (("same", [{"Key": "a", "Value": "1"}]), ("other", [{"Key": "b", "Value": "2"}])):
        equal(c.s3.get_object_tagging(Bucket=c.bucket, Key=key)["TagSet"], tags)
    refused(400, "InvalidArgument", c.s3.copy_object, Bucket=c.bucket, Key="x", CopySource=source,
            TaggingDirective="MOVE")
