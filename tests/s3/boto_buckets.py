# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about buckets, listings, who may what, and what is not configured."""
import concurrent.futures

import botocore
from botocore.exceptions import ClientError

from boto_case import keys_of, noise, refused, registry
from cases import equal

case = registry()


def put_all(c, keys):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: c.s3.put_object(Bucket=c.bucket, Key=key, Body=b"x"), keys))


@case
def a_bucket_is_made_listed_and_deleted(c):
    assert c.bucket in [b["Name"] for b in c.s3.list_buckets()["Buckets"]]
    c.s3.head_bucket(Bucket=c.bucket)
    equal(c.s3.get_bucket_location(Bucket=c.bucket).get("LocationConstraint"), "rubus")
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    refused(409, "BucketNotEmpty", c.s3.delete_bucket, Bucket=c.bucket)
    c.s3.delete_object(Bucket=c.bucket, Key="k")
    c.s3.delete_bucket(Bucket=c.bucket)
    refused(404, "404", c.s3.head_bucket, Bucket=c.bucket)
    refused(404, "NoSuchBucket", c.s3.list_objects_v2, Bucket=c.bucket)
    refused(404, "NoSuchBucket", c.s3.delete_bucket, Bucket=c.bucket)


@case
def a_bucket_that_is_made_again_starts_empty(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    c.s3.delete_object(Bucket=c.bucket, Key="k")
    c.s3.delete_bucket(Bucket=c.bucket)
    c.s3.create_bucket(Bucket=c.bucket)
    equal(keys_of(c.s3, c.bucket), [])
    refused(404, "NoSuchKey", c.s3.get_object, Bucket=c.bucket, Key="k")


@case
def a_bucket_of_ours_can_be_made_again(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    try:
        c.s3.create_bucket(Bucket=c.bucket)
    except ClientError as error:
        equal(error.response["Error"]["Code"], "BucketAlreadyOwnedByYou")
    equal(keys_of(c.s3, c.bucket), ["k"])


@case
def bad_names_of_buckets_are_refused(c):
    s3 = c.client()
    s3.meta.events.unregister("before-parameter-build.s3", botocore.handlers.validate_bucket_name)
    for name in ("ab", "UPPER", "under_score", "-dash", "dash-", "a..b", "192.168.0.1", "a" * 64):
        refused(400, "InvalidBucketName", s3.create_bucket, Bucket=name)


@case
def a_listing_goes_in_pages(c):
    keys = [f"{i:05}" for i in range(2345)]
    put_all(c, reversed(keys))
    equal(keys_of(c.s3, c.bucket), keys)
    equal(keys_of(c.s3, c.bucket, "list_objects"), keys)
    equal(keys_of(c.s3, c.bucket, PaginationConfig={"PageSize": 7}, StartAfter="02300"), keys[2301:])
    page = c.s3.list_objects_v2(Bucket=c.bucket)
    equal((page["KeyCount"], page["IsTruncated"], page["MaxKeys"]), (1000, True, 1000))
    page = c.s3.list_objects_v2(Bucket=c.bucket, MaxKeys=0)
    equal((page["KeyCount"], page["IsTruncated"]), (0, False))
    page = c.s3.list_objects_v2(Bucket=c.bucket, MaxKeys=5000)
    equal(len(page["Contents"]), 1000)
    for count in (-1, 1 << 31, 1 << 64):
        refused(400, "InvalidArgument", c.s3.list_objects_v2, Bucket=c.bucket, MaxKeys=count)


@case
def a_delimiter_folds_keys(c):
    put_all(c, ["a", "b/1", "b/2", "b/c/3", "c/", "d//e", "e"])

    def folded(**more):
        found = []
        for page in c.s3.get_paginator("list_objects_v2").paginate(
                Bucket=c.bucket, PaginationConfig={"PageSize": 2}, **more):
            found += [o["Key"] for o in page.get("Contents", [])]
            found += [p["Prefix"] + "*" for p in page.get("CommonPrefixes", [])]
        return sorted(found)

    equal(folded(Delimiter="/"), ["a", "b/*", "c/*", "d/*", "e"])
    equal(folded(Delimiter="/", Prefix="b/"), ["b/1", "b/2", "b/c/*"])
    equal(folded(Delimiter="/", Prefix="d/"), ["d//*"])
    equal(folded(Delimiter="/", Prefix="c/"), ["c/"])
    equal(folded(Prefix="b"), ["b/1", "b/2", "b/c/3"])
    equal(folded(Prefix="none"), [])
    page = c.s3.list_objects(Bucket=c.bucket, Delimiter="/", MaxKeys=2)
    equal((page["NextMarker"], page["IsTruncated"]), ("b/", True))
    page = c.s3.list_objects(Bucket=c.bucket, Delimiter="/", Marker="b/")
    equal([p["Prefix"] for p in page["CommonPrefixes"]], ["c/", "d/"])


@case
def a_listing_says_what_the_objects_say(c):
    body = noise(12345)
    put = c.s3.put_object(Bucket=c.bucket, Key="k", Body=body)
    head = c.s3.head_object(Bucket=c.bucket, Key="k")
    item = c.s3.list_objects_v2(Bucket=c.bucket, FetchOwner=True)["Contents"][0]
    equal((item["Size"], item["ETag"]), (12345, put["ETag"]))
    equal(item["LastModified"].replace(microsecond=0), head["LastModified"])
    assert item["Owner"]["ID"], item


@case
def versions_of_a_plain_bucket_are_null(c):
    put_all(c, ["a", "b", "c"])
    answer = c.s3.list_object_versions(Bucket=c.bucket)
    equal([(v["Key"], v["VersionId"], v["IsLatest"]) for v in answer["Versions"]],
          [(key, "null", True) for key in "abc"])
    assert "Status" not in c.s3.get_bucket_versioning(Bucket=c.bucket)
    c.s3.get_object(Bucket=c.bucket, Key="a", VersionId="null")
    refused(404, "NoSuchVersion", c.s3.get_object, Bucket=c.bucket, Key="none", VersionId="null")


@case
def only_the_right_secret_opens(c):
    refused(403, "SignatureDoesNotMatch", c.client(secret="wrong" * 8).list_buckets)
    refused(403, "InvalidAccessKeyId", c.client(key="AKNOSUCHKEY000000000").list_buckets)
    anonymous = c.client(signature_version=botocore.UNSIGNED)
    refused(403, "AccessDenied", anonymous.list_objects_v2, Bucket=c.bucket)
    refused(403, "AccessDenied", anonymous.put_object, Bucket=c.bucket, Key="k", Body=b"x")
    equal(keys_of(c.s3, c.bucket), [])


@case
def what_is_not_configured_says_so(c):
    rows = [("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
            ("get_bucket_policy", "NoSuchBucketPolicy"), ("get_bucket_cors", "NoSuchCORSConfiguration"),
            ("get_bucket_tagging", "NoSuchTagSet"), ("get_bucket_website", "NoSuchWebsiteConfiguration"),
            ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
            ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
            ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
            ("get_public_access_block", "NoSuchPublicAccessBlockConfiguration"),
            ("get_bucket_ownership_controls", "OwnershipControlsNotFoundError")]
    for operation, code in rows:
        refused(404, code, getattr(c.s3, operation), Bucket=c.bucket)
        refused(404, "NoSuchBucket", getattr(c.s3, operation), Bucket="no-such-bucket")


@case
def what_is_not_there_is_refused_not_ignored(c):
    refused(501, "NotImplemented", c.s3.put_bucket_accelerate_configuration, Bucket=c.bucket,
            AccelerateConfiguration={"Status": "Enabled"})
    refused(501, "NotImplemented", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"x",
            ServerSideEncryption="aws:kms")


@case
def an_ACL_that_is_private_is_accepted(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x", ACL="private")
    equal(c.s3.get_object_acl(Bucket=c.bucket, Key="k")["Grants"][0]["Permission"], "FULL_CONTROL")
    equal(c.s3.get_bucket_acl(Bucket=c.bucket)["Grants"][0]["Permission"], "FULL_CONTROL")
    refused(400, "AccessControlListNotSupported", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"x",
            ACL="public-read")


@case
def an_error_carries_the_id_of_its_request(c):
    error = refused(404, "NoSuchKey", c.s3.get_object, Bucket=c.bucket, Key="none")
    metadata = error["ResponseMetadata"]
    equal(metadata["HTTPHeaders"]["x-amz-request-id"], metadata["RequestId"])
    assert metadata["RequestId"], error


@case
def a_listing_is_whole_while_others_write(c):
    fixed = [f"fixed/{i:04}" for i in range(300)]
    put_all(c, fixed)

    def churn(i):
        for j in range(20):
            c.s3.put_object(Bucket=c.bucket, Key=f"fixed/{i:04}-{j}", Body=b"x")
            c.s3.delete_object(Bucket=c.bucket, Key=f"fixed/{i:04}-{j}")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        work = [pool.submit(churn, i * 50) for i in range(6)]
        while not all(future.done() for future in work):
            got = keys_of(c.s3, c.bucket, PaginationConfig={"PageSize": 37})
            equal(got, sorted(set(got)))
            assert set(fixed) <= set(got), set(fixed) - set(got)
        for future in work:
            future.result()
    equal(keys_of(c.s3, c.bucket), fixed)


@case
def a_bucket_keeps_its_configurations(c):
    tags = [{"Key": "team", "Value": "fruit"}, {"Key": "é", "Value": ""}]
    c.s3.put_bucket_tagging(Bucket=c.bucket, Tagging={"TagSet": tags})
    equal(c.s3.get_bucket_tagging(Bucket=c.bucket)["TagSet"], tags)
    rules = [{"ID": "one", "AllowedHeaders": ["*"], "AllowedMethods": ["GET", "PUT"],
              "AllowedOrigins": ["https://*.example.org"], "ExposeHeaders": ["ETag"],
              "MaxAgeSeconds": 3000}]
    c.s3.put_bucket_cors(Bucket=c.bucket, CORSConfiguration={"CORSRules": rules})
    equal(c.s3.get_bucket_cors(Bucket=c.bucket)["CORSRules"], rules)
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False,
             "RestrictPublicBuckets": False}
    c.s3.put_public_access_block(Bucket=c.bucket, PublicAccessBlockConfiguration=block)
    equal(c.s3.get_public_access_block(Bucket=c.bucket)["PublicAccessBlockConfiguration"], block)
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    c.s3.put_bucket_ownership_controls(Bucket=c.bucket, OwnershipControls=controls)
    equal(c.s3.get_bucket_ownership_controls(Bucket=c.bucket)["OwnershipControls"], controls)
    c.s3.delete_bucket_tagging(Bucket=c.bucket)
    c.s3.delete_bucket_cors(Bucket=c.bucket)
    c.s3.delete_public_access_block(Bucket=c.bucket)
    c.s3.delete_bucket_ownership_controls(Bucket=c.bucket)
    what_is_not_configured_says_so(c)
