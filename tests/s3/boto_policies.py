# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about policies of buckets, strangers, and pages of other origins."""
import json
import urllib.error
import urllib.request

import botocore

from boto_case import refused, registry
from cases import equal

case = registry()


def statement(c, effect="Allow", principal="*", action="s3:GetObject", resource="/*", **more):
    return {"Effect": effect, "Principal": principal, "Action": action,
            "Resource": f"arn:aws:s3:::{c.bucket}{resource}", **more}


def set_policy(c, *statements):
    c.s3.put_bucket_policy(Bucket=c.bucket, Policy=json.dumps(
        {"Version": "2012-10-17", "Statement": list(statements)}))


def anonymous(c):
    return c.client(signature_version=botocore.UNSIGNED)


def other(c, owner="eve"):
    """A client with a key of another owner."""
    key = c.node.rubus("key", "create", "--owner", owner)
    return c.client(key=key["id"], secret=key["secret"])


@case
def a_policy_lets_strangers_read(c):
    c.s3.put_object(Bucket=c.bucket, Key="open/k", Body=b"data")
    c.s3.put_object(Bucket=c.bucket, Key="closed/k", Body=b"data")
    stranger = anonymous(c)
    refused(403, "AccessDenied", stranger.get_object, Bucket=c.bucket, Key="open/k")
    set_policy(c, statement(c, resource="/open/*"))
    equal(stranger.get_object(Bucket=c.bucket, Key="open/k")["Body"].read(), b"data")
    equal(stranger.head_object(Bucket=c.bucket, Key="open/k")["ContentLength"], 4)
    refused(403, "AccessDenied", stranger.get_object, Bucket=c.bucket, Key="closed/k")
    refused(403, "AccessDenied", stranger.get_object, Bucket=c.bucket, Key="open/none")
    refused(403, "AccessDenied", stranger.put_object, Bucket=c.bucket, Key="open/k", Body=b"x")
    refused(403, "AccessDenied", stranger.list_objects_v2, Bucket=c.bucket)
    refused(403, "AccessDenied", stranger.list_buckets)
    equal(c.s3.get_bucket_policy_status(Bucket=c.bucket)["PolicyStatus"]["IsPublic"], True)
    c.s3.delete_bucket_policy(Bucket=c.bucket)
    refused(403, "AccessDenied", stranger.get_object, Bucket=c.bucket, Key="open/k")


@case
def a_policy_lets_strangers_write(c):
    set_policy(c, statement(c, action=["s3:PutObject", "s3:AbortMultipartUpload"]))
    stranger = anonymous(c)
    stranger.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    upload = stranger.create_multipart_upload(Bucket=c.bucket, Key="m")["UploadId"]
    part = stranger.upload_part(Bucket=c.bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    stranger.complete_multipart_upload(
        Bucket=c.bucket, Key="m", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    equal(c.s3.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    equal(c.s3.get_object(Bucket=c.bucket, Key="m")["Body"].read(), b"x")
    refused(403, "AccessDenied", stranger.get_object, Bucket=c.bucket, Key="k")
    refused(403, "AccessDenied", stranger.delete_object, Bucket=c.bucket, Key="k")


@case
def a_policy_speaks_to_one_user(c):
    c.s3.put_object(Bucket=c.bucket, Key="home/eve/k", Body=b"data")
    eve, mallory = other(c), other(c, "mallory")
    set_policy(
        c, statement(c, principal={"AWS": "arn:aws:iam:::user/eve"}, action="s3:*Object",
                     resource="/home/${aws:username}/*"),
        statement(c, principal={"AWS": "eve"}, action="s3:ListBucket", resource="",
                  Condition={"StringLike": {"s3:prefix": "home/eve/*"}}))
    equal(eve.get_object(Bucket=c.bucket, Key="home/eve/k")["Body"].read(), b"data")
    eve.put_object(Bucket=c.bucket, Key="home/eve/n", Body=b"x")
    equal(eve.list_objects_v2(Bucket=c.bucket, Prefix="home/eve/")["KeyCount"], 2)
    refused(403, "AccessDenied", eve.list_objects_v2, Bucket=c.bucket, Prefix="home/")
    refused(403, "AccessDenied", eve.get_object, Bucket=c.bucket, Key="home/mallory/k")
    refused(403, "AccessDenied", mallory.get_object, Bucket=c.bucket, Key="home/eve/k")
    answer = eve.delete_objects(Bucket=c.bucket, Delete={"Objects": [
        {"Key": "home/eve/n"}, {"Key": "home/mallory/n"}]})
    equal([row["Key"] for row in answer["Deleted"]], ["home/eve/n"])
    equal([row["Code"] for row in answer["Errors"]], ["AccessDenied"])
    refused(403, "AccessDenied", eve.get_bucket_policy, Bucket=c.bucket)
    equal(c.s3.get_bucket_policy_status(Bucket=c.bucket)["PolicyStatus"]["IsPublic"], False)


@case
def a_copy_takes_tags_along_only_with_the_right_to_them(c):
    source, target = c.bucket, c.new_bucket()
    c.s3.put_object(Bucket=source, Key="plain", Body=b"x")
    c.s3.put_object(Bucket=source, Key="tagged", Body=b"x", Tagging="a=1")
    eve = other(c)
    both = [{"Effect": "Allow", "Principal": {"AWS": "eve"}, "Action": "s3:PutObject*",
             "Resource": f"arn:aws:s3:::{target}/*"}]
    c.s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Statement": both}))

    def allow(*actions):
        c.s3.put_bucket_policy(Bucket=source, Policy=json.dumps({"Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "eve"}, "Action": list(actions),
             "Resource": f"arn:aws:s3:::{source}/*"}]}))

    def copy(key, **more):
        eve.copy_object(Bucket=target, Key=key, CopySource=f"{source}/{key}", **more)

    allow("s3:GetObject")
    copy("plain")
    refused(403, "AccessDenied", copy, key="tagged")
    copy("tagged", TaggingDirective="REPLACE", Tagging="b=2")
    allow("s3:GetObject", "s3:GetObjectTagging")
    copy("tagged")
    equal(c.s3.get_object_tagging(Bucket=target, Key="tagged")["TagSet"], [{"Key": "a", "Value": "1"}])


@case
def what_is_denied_is_denied_to_the_owner(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    set_policy(c, statement(c, "Deny", action="s3:DeleteObject*"))
    refused(403, "AccessDenied", c.s3.delete_object, Bucket=c.bucket, Key="k")
    c.s3.get_object(Bucket=c.bucket, Key="k")
    set_policy(c, statement(c, "Deny", action="s3:*"))
    refused(403, "AccessDenied", c.s3.get_object, Bucket=c.bucket, Key="k")
    c.s3.delete_bucket_policy(Bucket=c.bucket)
    c.s3.delete_object(Bucket=c.bucket, Key="k")


@case
def a_policy_asks_for_TLS(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    set_policy(c, statement(c, "Deny", action="s3:*",
                            Condition={"Bool": {"aws:SecureTransport": "false"}}))
    if c.tls:
        c.s3.get_object(Bucket=c.bucket, Key="k")
    else:
        refused(403, "AccessDenied", c.s3.get_object, Bucket=c.bucket, Key="k")


@case
def a_tag_of_the_object_opens_it(c):
    c.s3.put_object(Bucket=c.bucket, Key="open", Body=b"data", Tagging="public=yes")
    c.s3.put_object(Bucket=c.bucket, Key="closed", Body=b"data", Tagging="public=no")
    set_policy(c, statement(c, Condition={"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}))
    stranger = anonymous(c)
    equal(stranger.get_object(Bucket=c.bucket, Key="open")["Body"].read(), b"data")
    refused(403, "AccessDenied", stranger.get_object, Bucket=c.bucket, Key="closed")


@case
def a_policy_that_is_none_is_refused(c):
    for bad in (statement(c, "Maybe"), statement(c, action="s3:GetEverything"),
                statement(c, action="s3:ListBucket"), statement(c, principal={"AWS": "*?"}),
                statement(c, Condition={"StringEquals": {"s3:unheard-of": "x"}}),
                statement(c, Condition={"StringMaybe": {"s3:prefix": "x"}}),
                {**statement(c), "Resource": "arn:aws:s3:::another/*"}):
        refused(400, "MalformedPolicy", c.s3.put_bucket_policy, Bucket=c.bucket,
                Policy=json.dumps({"Statement": [bad]}))
    refused(400, "MalformedPolicy", c.s3.put_bucket_policy, Bucket=c.bucket, Policy="{")
    refused(404, "NoSuchBucketPolicy", c.s3.get_bucket_policy, Bucket=c.bucket)


@case
def public_access_can_be_blocked(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    set_policy(c, statement(c))
    anonymous(c).get_object(Bucket=c.bucket, Key="k")
    c.s3.put_public_access_block(Bucket=c.bucket, PublicAccessBlockConfiguration={
        "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True})
    refused(403, "AccessDenied", anonymous(c).get_object, Bucket=c.bucket, Key="k")
    refused(403, "AccessDenied", c.s3.put_bucket_policy, Bucket=c.bucket,
            Policy=json.dumps({"Statement": [statement(c)]}))
    c.s3.delete_public_access_block(Bucket=c.bucket)
    anonymous(c).get_object(Bucket=c.bucket, Key="k")


def fetch(url, method="GET", **headers):
    """Status, headers and body of a request as a browser sends it."""
    request = urllib.request.Request(url, method=method, headers={
        name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@case
def a_page_of_another_origin_may_what_the_rules_say(c):
    if c.tls:
        return
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    url = c.client(signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": c.bucket, "Key": "k"})
    plain = f"{c.node.url}/{c.bucket}/k"
    origin = "https://app.example.org"
    asking = {"Origin": origin, "Access_Control_Request_Method": "PUT",
              "Access_Control_Request_Headers": "X-Amz-Date, content-type"}
    status, headers, _ = fetch(url, Origin=origin)
    equal((status, headers["Access-Control-Allow-Origin"], headers["Vary"]), (200, None, None))
    status, _, body = fetch(plain, "OPTIONS", **asking)
    assert status == 403 and b"AccessForbidden" in body, (status, body)
    c.s3.put_bucket_cors(Bucket=c.bucket, CORSConfiguration={"CORSRules": [
        {"AllowedOrigins": ["https://*.example.org"], "AllowedMethods": ["GET", "PUT"],
         "AllowedHeaders": ["x-amz-*", "Content-Type"], "ExposeHeaders": ["ETag"],
         "MaxAgeSeconds": 600}]})
    status, headers, _ = fetch(plain, "OPTIONS", **asking)
    equal(status, 200)
    equal(headers["Access-Control-Allow-Origin"], origin)
    equal(headers["Access-Control-Allow-Methods"], "GET, PUT")
    equal(headers["Access-Control-Allow-Headers"], "x-amz-date, content-type")
    equal(headers["Access-Control-Max-Age"], "600")
    status, headers, body = fetch(url, Origin=origin)
    equal((status, body, headers["Access-Control-Allow-Origin"]), (200, b"data", origin))
    equal(headers["Access-Control-Expose-Headers"], "ETag")
    assert "Origin" in headers["Vary"], headers["Vary"]
    for failing in (plain, url.replace("Signature=", "Signature=0"), plain + "?X-Amz-Algorithm=x"):
        status, headers, _ = fetch(failing, Origin=origin)
        assert status in (400, 403), status
        equal(headers["Access-Control-Allow-Origin"], origin)
    status, headers, _ = fetch(url, Origin="https://example.com")
    equal((status, headers["Access-Control-Allow-Origin"]), (200, None))
    for wrong in ({**asking, "Origin": "https://example.com"},
                  {**asking, "Access_Control_Request_Method": "DELETE"},
                  {**asking, "Access_Control_Request_Headers": "x-other"}):
        equal(fetch(plain, "OPTIONS", **wrong)[0], 403)
    equal(fetch(plain, "OPTIONS")[0], 400)
