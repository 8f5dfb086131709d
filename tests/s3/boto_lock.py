# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about object lock, and GetObjectAttributes."""
import base64
import datetime
import hashlib
import time
import zlib

from boto_case import MIB, noise, refused, registry
from cases import equal

case = registry()

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"


def after(**more):
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(**more)


def lock_bucket(c):
    c.bucket += "-lock"
    c.s3.create_bucket(Bucket=c.bucket, ObjectLockEnabledForBucket=True)


def put(c, key="k", body=b"x", **more):
    return c.s3.put_object(Bucket=c.bucket, Key=key, Body=body, **more)["VersionId"]


def retain(c, version, mode, until, **more):
    return c.s3.put_object_retention(Bucket=c.bucket, Key="k", VersionId=version,
                                     Retention={"Mode": mode, "RetainUntilDate": until}, **more)


def retention(c, version, key="k"):
    got = c.s3.get_object_retention(Bucket=c.bucket, Key=key, VersionId=version)["Retention"]
    return got["Mode"], got["RetainUntilDate"]


def hold(c, version, status):
    c.s3.put_object_legal_hold(Bucket=c.bucket, Key="k", VersionId=version, LegalHold={"Status": status})


def remove(c, version, key="k", **more):
    c.s3.delete_object(Bucket=c.bucket, Key=key, VersionId=version, **more)


def is_kept(c, version, **more):
    error = refused(403, "AccessDenied", c.s3.delete_object, Bucket=c.bucket, Key="k", VersionId=version, **more)
    equal(error["Error"]["Message"], "Access Denied because object protected by object lock.")
    c.s3.head_object(Bucket=c.bucket, Key="k", VersionId=version)


@case
def a_bucket_with_lock_has_versions_for_ever(c):
    refused(404, "ObjectLockConfigurationNotFoundError", c.s3.get_object_lock_configuration, Bucket=c.bucket)
    lock_bucket(c)
    equal(c.s3.get_bucket_versioning(Bucket=c.bucket)["Status"], "Enabled")
    equal(c.s3.get_object_lock_configuration(Bucket=c.bucket)["ObjectLockConfiguration"],
          {"ObjectLockEnabled": "Enabled"})
    refused(409, "InvalidBucketState", c.s3.put_bucket_versioning, Bucket=c.bucket,
            VersioningConfiguration={"Status": "Suspended"})
    c.s3.put_bucket_versioning(Bucket=c.bucket, VersioningConfiguration={"Status": "Enabled"})


@case
def lock_comes_to_a_bucket_that_has_versions(c):
    enabled = {"ObjectLockEnabled": "Enabled"}
    refused(409, "InvalidBucketState", c.s3.put_object_lock_configuration, Bucket=c.bucket,
            ObjectLockConfiguration=enabled)
    c.s3.put_bucket_versioning(Bucket=c.bucket, VersioningConfiguration={"Status": "Enabled"})
    c.s3.put_object_lock_configuration(Bucket=c.bucket, ObjectLockConfiguration=enabled)
    equal(c.s3.get_object_lock_configuration(Bucket=c.bucket)["ObjectLockConfiguration"], enabled)
    refused(409, "InvalidBucketState", c.s3.put_bucket_versioning, Bucket=c.bucket,
            VersioningConfiguration={"Status": "Suspended"})


@case
def a_lock_configuration_is_one_period_of_one_mode(c):
    lock_bucket(c)

    def configure(**rule):
        return dict(Bucket=c.bucket, ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": rule}})

    for rule in ({"Mode": GOVERNANCE, "Days": 1}, {"Mode": COMPLIANCE, "Years": 100},
                 {"Mode": GOVERNANCE, "Days": 36500}):
        c.s3.put_object_lock_configuration(**configure(**rule))
        got = c.s3.get_object_lock_configuration(Bucket=c.bucket)["ObjectLockConfiguration"]
        equal(got["Rule"]["DefaultRetention"], rule)
    for rule in ({"Mode": "governance", "Days": 1}, {"Mode": GOVERNANCE}, {"Days": 1},
                 {"Mode": GOVERNANCE, "Days": 1, "Years": 1}):
        refused(400, "MalformedXML", c.s3.put_object_lock_configuration, **configure(**rule))
    for rule in ({"Mode": GOVERNANCE, "Days": 0}, {"Mode": GOVERNANCE, "Days": -1},
                 {"Mode": GOVERNANCE, "Days": 36501}, {"Mode": GOVERNANCE, "Years": 101}):
        refused(400, "InvalidRetentionPeriod", c.s3.put_object_lock_configuration, **configure(**rule))
    refused(400, "MalformedXML", c.s3.put_object_lock_configuration, Bucket=c.bucket,
            ObjectLockConfiguration={"ObjectLockEnabled": "Disabled"})
    equal(got["Rule"]["DefaultRetention"], {"Mode": GOVERNANCE, "Days": 36500})
    c.s3.put_object_lock_configuration(Bucket=c.bucket,
                                       ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    got = c.s3.get_object_lock_configuration(Bucket=c.bucket)["ObjectLockConfiguration"]
    assert "Rule" not in got


@case
def new_versions_have_the_retention_of_their_bucket(c):
    lock_bucket(c)
    plain = put(c)
    c.s3.put_object_lock_configuration(Bucket=c.bucket, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": GOVERNANCE, "Days": 2}}})
    refused(404, "NoSuchObjectLockConfiguration", c.s3.get_object_retention, Bucket=c.bucket, Key="k",
            VersionId=plain)
    made = {"k": put(c)}
    made["copy"] = c.s3.copy_object(Bucket=c.bucket, Key="copy",
                                    CopySource={"Bucket": c.bucket, "Key": "k"})["VersionId"]
    upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="parts")["UploadId"]
    part = c.s3.upload_part(Bucket=c.bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")
    made["parts"] = c.s3.complete_multipart_upload(
        Bucket=c.bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})["VersionId"]
    for key, version in made.items():
        mode, until = retention(c, version, key)
        equal(mode, GOVERNANCE)
        assert abs(until - after(days=2)) < datetime.timedelta(minutes=2), until
        refused(403, "AccessDenied", c.s3.delete_object, Bucket=c.bucket, Key=key, VersionId=version)
    own = put(c, ObjectLockMode=COMPLIANCE, ObjectLockRetainUntilDate=after(days=9))
    equal(retention(c, own)[0], COMPLIANCE)
    marker = c.s3.delete_object(Bucket=c.bucket, Key="k")["VersionId"]
    remove(c, marker)  # what has no bytes is not kept
    remove(c, plain)


@case
def governance_gives_way_to_who_says_so(c):
    lock_bucket(c)
    version = put(c)
    until = after(days=3)
    retain(c, version, GOVERNANCE, until)
    equal(retention(c, version), (GOVERNANCE, until))
    head = c.s3.head_object(Bucket=c.bucket, Key="k")
    equal((head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]), (GOVERNANCE, until))
    is_kept(c, version)
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    equal([(e["Code"], e["Key"], e["VersionId"]) for e in answer["Errors"]], [("AccessDenied", "k", version)])
    retain(c, version, GOVERNANCE, after(days=4))
    for mode, date in ((GOVERNANCE, until), (COMPLIANCE, after(days=9))):
        refused(403, "AccessDenied", retain, c=c, version=version, mode=mode, until=date)
    retain(c, version, GOVERNANCE, until, BypassGovernanceRetention=True)
    # A delete of the key only hides it.
    marker = c.s3.delete_object(Bucket=c.bucket, Key="k")["VersionId"]
    remove(c, marker)
    c.s3.put_object_retention(Bucket=c.bucket, Key="k", VersionId=version, Retention={},
                              BypassGovernanceRetention=True)
    refused(404, "NoSuchObjectLockConfiguration", c.s3.get_object_retention, Bucket=c.bucket, Key="k")
    retain(c, version, GOVERNANCE, until)
    remove(c, version, BypassGovernanceRetention=True)
    version = put(c)
    retain(c, version, GOVERNANCE, until)
    answer = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]},
                                 BypassGovernanceRetention=True)
    equal([item["VersionId"] for item in answer["Deleted"]], [version])


@case
def compliance_gives_way_to_nobody_until_it_ends(c):
    lock_bucket(c)
    version = put(c)
    retain(c, version, COMPLIANCE, after(seconds=4))
    is_kept(c, version)
    is_kept(c, version, BypassGovernanceRetention=True)
    for mode, date in ((COMPLIANCE, after(seconds=1)), (GOVERNANCE, after(days=1))):
        refused(403, "AccessDenied", retain, c=c, version=version, mode=mode, until=date,
                BypassGovernanceRetention=True)
    retain(c, version, COMPLIANCE, after(seconds=5))
    time.sleep(7)
    remove(c, version)


@case
def a_legal_hold_keeps_until_it_is_lifted(c):
    lock_bucket(c)
    version = put(c)
    refused(404, "NoSuchObjectLockConfiguration", c.s3.get_object_legal_hold, Bucket=c.bucket, Key="k")
    assert "ObjectLockLegalHoldStatus" not in c.s3.head_object(Bucket=c.bucket, Key="k")
    for status in ("ON", "OFF", "ON"):
        hold(c, version, status)
        equal(c.s3.get_object_legal_hold(Bucket=c.bucket, Key="k")["LegalHold"]["Status"], status)
        equal(c.s3.get_object(Bucket=c.bucket, Key="k")["ObjectLockLegalHoldStatus"], status)
    is_kept(c, version, BypassGovernanceRetention=True)
    refused(400, "MalformedXML", c.s3.put_object_legal_hold, Bucket=c.bucket, Key="k",
            LegalHold={"Status": "on"})
    hold(c, version, "OFF")
    remove(c, version)


@case
def a_lock_comes_with_the_object(c):
    lock_bucket(c)
    until = after(days=1)
    more = dict(ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=until, ObjectLockLegalHoldStatus="ON")
    versions = {"k": put(c, **more)}
    plain = put(c, key="plain")
    versions["copy"] = c.s3.copy_object(Bucket=c.bucket, Key="copy", **more,
                                        CopySource={"Bucket": c.bucket, "Key": "plain"})["VersionId"]
    upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="parts", **more)["UploadId"]
    part = c.s3.upload_part(Bucket=c.bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")
    versions["parts"] = c.s3.complete_multipart_upload(
        Bucket=c.bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})["VersionId"]
    for key, version in versions.items():
        equal(retention(c, version, key), (GOVERNANCE, until))
        equal(c.s3.get_object_legal_hold(Bucket=c.bucket, Key=key)["LegalHold"]["Status"], "ON")
        refused(403, "AccessDenied", c.s3.delete_object, Bucket=c.bucket, Key=key, VersionId=version,
                BypassGovernanceRetention=True)
    # A copy has no lock of its source's.
    bare = c.s3.copy_object(Bucket=c.bucket, Key="bare", CopySource={"Bucket": c.bucket, "Key": "k"})
    refused(404, "NoSuchObjectLockConfiguration", c.s3.get_object_retention, Bucket=c.bucket, Key="bare")
    remove(c, bare["VersionId"], "bare")
    remove(c, plain, "plain")


@case
def headers_of_a_lock_are_checked(c):
    until = after(days=1)
    both = dict(ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=until)
    refused(400, "InvalidRequest", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"", **both)
    for call, more in ((c.s3.get_object_retention, {}), (c.s3.get_object_legal_hold, {}),
                       (c.s3.put_object_retention, {"Retention": {"Mode": GOVERNANCE, "RetainUntilDate": until}}),
                       (c.s3.put_object_legal_hold, {"LegalHold": {"Status": "ON"}})):
        error = refused(400, "InvalidRequest", call, Bucket=c.bucket, Key="k", **more)
        equal(error["Error"]["Message"], "Bucket is missing Object Lock Configuration")
    lock_bucket(c)
    for more in (dict(ObjectLockMode=GOVERNANCE), dict(ObjectLockRetainUntilDate=until),
                 dict(ObjectLockMode="BOTH", ObjectLockRetainUntilDate=until),
                 dict(ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=after(days=-1)),
                 dict(ObjectLockLegalHoldStatus="PERHAPS")):
        refused(400, "InvalidArgument", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"", **more)
    version = put(c)
    refused(400, "InvalidArgument", retain, c=c, version=version, mode=GOVERNANCE, until=after(days=-1))
    refused(400, "MalformedXML", retain, c=c, version=version, mode="governance", until=until)
    refused(400, "MalformedXML", c.s3.put_object_retention, Bucket=c.bucket, Key="k",
            Retention={"Mode": GOVERNANCE})
    refused(404, "NoSuchKey", c.s3.put_object_legal_hold, Bucket=c.bucket, Key="none",
            LegalHold={"Status": "ON"})
    bare = c.client(request_checksum_calculation="when_required")
    refused(400, "InvalidRequest", bare.put_object, Bucket=c.bucket, Key="k", Body=b"x", **both)


# --- GetObjectAttributes ---

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


@case
def attributes_say_what_is_asked_for(c):
    body = noise(5000)
    c.s3.put_bucket_versioning(Bucket=c.bucket, VersioningConfiguration={"Status": "Enabled"})
    version = c.s3.put_object(Bucket=c.bucket, Key="k", Body=body, ChecksumAlgorithm="CRC32")["VersionId"]
    got = c.s3.get_object_attributes(Bucket=c.bucket, Key="k", ObjectAttributes=ALL)
    equal((got["ETag"], got["ObjectSize"], got["StorageClass"], got["VersionId"]),
          (hashlib.md5(body).hexdigest(), 5000, "STANDARD", version))
    equal(got["Checksum"]["ChecksumType"], "FULL_OBJECT")
    equal(got["Checksum"]["ChecksumCRC32"], base64.b64encode(zlib.crc32(body).to_bytes(4)).decode())
    assert "ObjectParts" not in got and isinstance(got["LastModified"], datetime.datetime)
    got = c.s3.get_object_attributes(Bucket=c.bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in got and "Checksum" not in got and "StorageClass" not in got
    refused(400, "InvalidArgument", c.s3.get_object_attributes, Bucket=c.bucket, Key="k",
            ObjectAttributes=["Colour"])
    refused(404, "NoSuchKey", c.s3.get_object_attributes, Bucket=c.bucket, Key="none", ObjectAttributes=ALL)
    marker = c.s3.delete_object(Bucket=c.bucket, Key="k")["VersionId"]
    refused(404, "NoSuchKey", c.s3.get_object_attributes, Bucket=c.bucket, Key="k", ObjectAttributes=ALL)
    refused(405, "MethodNotAllowed", c.s3.get_object_attributes, Bucket=c.bucket, Key="k",
            VersionId=marker, ObjectAttributes=ALL)
    equal(c.s3.get_object_attributes(Bucket=c.bucket, Key="k", VersionId=version,
                                     ObjectAttributes=ALL)["ObjectSize"], 5000)


@case
def attributes_have_the_parts_in_pages(c):
    upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    body, parts = noise(5 * MIB), []
    for number in (1, 2, 7, 10000):
        part = c.s3.upload_part(Bucket=c.bucket, Key="k", UploadId=upload, PartNumber=number, Body=body,
                                ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    done = c.s3.complete_multipart_upload(Bucket=c.bucket, Key="k", UploadId=upload,
                                          MultipartUpload={"Parts": parts})
    got = c.s3.get_object_attributes(Bucket=c.bucket, Key="k", ObjectAttributes=ALL)
    equal(got["ETag"], done["ETag"].strip('"'))
    equal(got["Checksum"], {"ChecksumSHA256": done["ChecksumSHA256"], "ChecksumType": "COMPOSITE"})
    pages = got["ObjectParts"]
    equal((pages["TotalPartsCount"], pages["IsTruncated"], pages["MaxParts"]), (4, False, 1000))
    want = [(part["PartNumber"], 5 * MIB, part["ChecksumSHA256"]) for part in parts]
    equal([(p["PartNumber"], p["Size"], p["ChecksumSHA256"]) for p in pages["Parts"]], want)
    for size in (1, 2, 3, 4):
        found, marker = [], 0
        while True:
            page = c.s3.get_object_attributes(Bucket=c.bucket, Key="k", ObjectAttributes=["ObjectParts"],
                                              MaxParts=size, PartNumberMarker=marker)["ObjectParts"]
            equal((page["PartNumberMarker"], page["TotalPartsCount"]), (marker, 4))
            assert len(page["Parts"]) <= size
            found += [(p["PartNumber"], p["Size"], p["ChecksumSHA256"]) for p in page["Parts"]]
            marker = page["NextPartNumberMarker"]
            if not page["IsTruncated"]:
                break
        equal(found, want)
