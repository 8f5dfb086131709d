# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about users: who sees and may what, keys, grants, policies, quotas, sessions."""
import itertools
import json
import os
import tempfile
import time

from boto_case import keys_of, refused, registry
from cases import equal

case = registry()
numbers = itertools.count(1)


def rubus(c, *arguments):
    return c.node.rubus(*arguments)


def rubus_refuses(c, *arguments):
    try:
        rubus(c, *arguments)
    except AssertionError as error:
        return str(error)
    raise AssertionError(f"rubus {arguments} was not refused")


def new_user(c, word="user"):
    """A user of a name that nobody had, and a client of its first key."""
    made = rubus(c, "user", "create", "--id", f"{word}-{next(numbers)}")
    return made["id"], c.client(key=made["access_key"], secret=made["secret_key"])


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def policy(effect, action, *resources):
    return document({"Effect": effect, "Action": action,
                     "Resource": [f"arn:aws:s3:::{resource}" for resource in resources]})


def set_policy(c, noun, name, text):
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        file.write(text)
    try:
        rubus(c, noun, "policy", "set", name, file.name)
    finally:
        os.unlink(file.name)


def names(s3, **arguments):
    return [bucket["Name"] for bucket in s3.list_buckets(**arguments)["Buckets"]]


def denied(function, **arguments):
    return refused(403, "AccessDenied", function, **arguments)


@case
def users_own_what_they_make_and_see_no_more(c):
    ann, ann_s3 = new_user(c, "ann")
    bob, bob_s3 = new_user(c, "bob")
    ann_s3.create_bucket(Bucket=c.bucket + "-ann")
    ann_s3.put_object(Bucket=c.bucket + "-ann", Key="k", Body=b"data")
    equal(names(ann_s3), [c.bucket + "-ann"])
    equal(names(bob_s3), [])
    equal(ann_s3.list_buckets()["Owner"]["ID"], ann)
    equal(ann_s3.get_bucket_acl(Bucket=c.bucket + "-ann")["Owner"]["ID"], ann)
    equal(ann_s3.list_objects_v2(Bucket=c.bucket + "-ann", FetchOwner=True)["Contents"][0]["Owner"]["ID"], ann)
    for call, more in ((bob_s3.get_object, {"Key": "k"}), (bob_s3.head_bucket, {}),
                       (bob_s3.put_object, {"Key": "k", "Body": b"x"}),
                       (bob_s3.list_objects_v2, {}), (bob_s3.delete_object, {"Key": "k"}),
                       (bob_s3.delete_bucket, {}), (bob_s3.get_bucket_policy, {})):
        refused(403, ("AccessDenied", "403"), call, Bucket=c.bucket + "-ann", **more)
    refused(409, "BucketAlreadyExists", bob_s3.create_bucket, Bucket=c.bucket + "-ann")
    shown = rubus(c, "user", "show", ann)
    equal((shown["buckets"], shown["objects"], shown["bytes"]), (1, 1, 4))
    # Root keeps what it could do before there were users.
    equal(c.s3.get_object(Bucket=c.bucket + "-ann", Key="k")["Body"].read(), b"data")
    assert "give-buckets-to" in rubus_refuses(c, "user", "delete", ann)
    rubus(c, "user", "delete", ann, "--give-buckets-to", bob)
    refused(403, "InvalidAccessKeyId", ann_s3.list_buckets)
    equal(names(bob_s3), [c.bucket + "-ann"])
    equal(bob_s3.get_object(Bucket=c.bucket + "-ann", Key="k")["Body"].read(), b"data")


@case
def keys_of_a_user_end_one_by_one(c):
    user, first = new_user(c)
    first.create_bucket(Bucket=c.bucket + "-k")
    made = rubus(c, "key", "create", "--user", user, "--name", "laptop", "--expires", "1h")
    second = c.client(key=made["id"], secret=made["secret"])
    equal(names(second), [c.bucket + "-k"])
    rubus(c, "key", "disable", made["id"])
    refused(403, "InvalidAccessKeyId", second.list_buckets)
    equal(names(first), [c.bucket + "-k"])
    rubus(c, "key", "enable", made["id"])
    equal(names(second), [c.bucket + "-k"])
    rubus(c, "user", "disable", user)
    for s3 in (first, second):
        refused(403, "InvalidAccessKeyId", s3.list_buckets)
    rubus(c, "user", "enable", user)
    equal(names(first), [c.bucket + "-k"])
    rubus(c, "key", "delete", made["id"])
    refused(403, "InvalidAccessKeyId", second.list_buckets)
    shown = json.dumps(rubus(c, "user", "show", user)) + json.dumps(rubus(c, "key", "list"))
    assert made["secret"] not in shown
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    made = rubus(c, "key", "create", "--user", user, "--expires", end)
    third = c.client(key=made["id"], secret=made["secret"])
    time.sleep(3)
    refused(403, "InvalidAccessKeyId", third.list_buckets)
    equal(rubus(c, "key", "show", made["id"])["state"], "expired")


@case
def grants_let_a_key_or_a_user_in(c):
    user, s3 = new_user(c)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    denied(s3.get_object, Bucket=c.bucket, Key="k")
    rubus(c, "bucket", "allow", c.bucket, "--user", user, "--read")
    equal(s3.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    equal(keys_of(s3, c.bucket), ["k"])
    equal(names(s3), [c.bucket])
    denied(s3.put_object, Bucket=c.bucket, Key="n", Body=b"x")
    denied(s3.put_bucket_versioning, Bucket=c.bucket, VersioningConfiguration={"Status": "Enabled"})
    rubus(c, "bucket", "allow", c.bucket, "--user", user, "--write")
    s3.put_object(Bucket=c.bucket, Key="n", Body=b"x")
    s3.delete_object(Bucket=c.bucket, Key="n")
    denied(s3.delete_bucket, Bucket=c.bucket)
    rubus(c, "bucket", "deny", c.bucket, "--user", user, "--read")
    denied(s3.get_object, Bucket=c.bucket, Key="k")
    s3.put_object(Bucket=c.bucket, Key="n", Body=b"x")
    rubus(c, "bucket", "deny", c.bucket, "--user", user)
    denied(s3.put_object, Bucket=c.bucket, Key="n", Body=b"x")
    equal(names(s3), [])
    key = rubus(c, "key", "create", "--user", user)
    rubus(c, "bucket", "allow", c.bucket, "--key", key["id"], "--owner")
    by_key = c.client(key=key["id"], secret=key["secret"])
    by_key.put_bucket_versioning(Bucket=c.bucket, VersioningConfiguration={"Status": "Enabled"})
    denied(s3.get_object, Bucket=c.bucket, Key="k")
    equal(rubus(c, "key", "show", key["id"])["grants"], [{"bucket": c.bucket, "rights": ["owner"]}])
    equal(rubus(c, "bucket", "show", c.bucket)["grants"], [{"key": key["id"], "rights": ["owner"]}])
    rubus(c, "key", "delete", key["id"])
    equal(rubus(c, "bucket", "show", c.bucket)["grants"], [])


@case
def policies_of_users_and_keys_are_weighed(c):
    user, s3 = new_user(c)
    c.s3.put_object(Bucket=c.bucket, Key="open/k", Body=b"data")
    s3.create_bucket(Bucket=c.bucket + "-own")
    set_policy(c, "user", user, policy("Allow", "s3:GetObject", c.bucket + "/open/*"))
    equal(s3.get_object(Bucket=c.bucket, Key="open/k")["Body"].read(), b"data")
    denied(s3.put_object, Bucket=c.bucket, Key="open/k", Body=b"x")
    denied(s3.get_object, Bucket=c.bucket, Key="closed/k")
    c.s3.put_bucket_policy(Bucket=c.bucket, Policy=document(
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
         "Resource": f"arn:aws:s3:::{c.bucket}/open/*"}))
    denied(s3.get_object, Bucket=c.bucket, Key="open/k")
    set_policy(c, "user", user, policy("Deny", "s3:*", c.bucket + "-own/*"))
    denied(s3.put_object, Bucket=c.bucket + "-own", Key="k", Body=b"x")
    rubus(c, "user", "policy", "remove", user)
    s3.put_object(Bucket=c.bucket + "-own", Key="k", Body=b"x")
    made = rubus(c, "key", "create", "--user", user)
    set_policy(c, "key", made["id"], policy("Allow", "s3:GetObject", c.bucket + "-own/*"))
    reader = c.client(key=made["id"], secret=made["secret"])
    equal(reader.get_object(Bucket=c.bucket + "-own", Key="k")["Body"].read(), b"x")
    denied(reader.delete_object, Bucket=c.bucket + "-own", Key="k")
    denied(reader.list_buckets)
    denied(reader.create_bucket, Bucket=c.bucket + "-more")


@case
def quotas_bound_buckets_and_users(c):
    user, s3 = new_user(c)
    one, two = c.bucket + "-one", c.bucket + "-two"
    for bucket in (one, two):
        s3.create_bucket(Bucket=bucket)
    rubus(c, "bucket", "set", one, "quota-bytes=1K", "quota-objects=3")
    s3.put_object(Bucket=one, Key="a", Body=bytes(1000))
    refused(403, "QuotaExceeded", s3.put_object, Bucket=one, Key="b", Body=bytes(25))
    s3.put_object(Bucket=one, Key="a", Body=bytes(1024))
    refused(403, "QuotaExceeded", s3.copy_object, Bucket=one, Key="b",
            CopySource={"Bucket": one, "Key": "a"})
    upload = s3.create_multipart_upload(Bucket=one, Key="m")["UploadId"]
    refused(403, "QuotaExceeded", s3.upload_part, Bucket=one, Key="m", UploadId=upload,
            PartNumber=1, Body=bytes(2000))
    s3.abort_multipart_upload(Bucket=one, Key="m", UploadId=upload)
    s3.delete_object(Bucket=one, Key="a")
    s3.put_bucket_versioning(Bucket=one, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket=one, Key="v", Body=b"x")
    refused(403, "QuotaExceeded", s3.put_object, Bucket=one, Key="v", Body=b"x")
    shown = rubus(c, "bucket", "show", one)
    equal((shown["versions"], shown["bytes"], shown["quota_objects"]), (3, 3, 3))
    rubus(c, "user", "set", user, "quota-bytes=1M", "soft-quota-bytes=1K")
    s3.put_object(Bucket=two, Key="k", Body=bytes(1 << 19))
    equal(s3.put_object(Bucket=two, Key="k", Body=bytes(1 << 19))["ResponseMetadata"]["HTTPStatusCode"], 200)
    refused(403, "QuotaExceeded", s3.put_object, Bucket=two, Key="l", Body=bytes(1 << 19))
    found = rubus_refuses(c, "health")
    assert "QUOTA_SOFT" in found and f"user {user}" in found, found
    assert "QUOTA_FULL" in found and f"bucket {one}" in found, found
    rubus(c, "user", "set", user, "quota-bytes=none", "soft-quota-bytes=none")
    rubus(c, "bucket", "set", one, "quota-bytes=none", "quota-objects=none")
    s3.put_object(Bucket=two, Key="l", Body=bytes(1 << 19))
    equal(rubus(c, "user", "show", user)["bytes"], (1 << 20) + 3)


def session(c, credentials):
    return c.client(key=credentials["AccessKeyId"], secret=credentials["SecretAccessKey"],
                    token=credentials["SessionToken"])


@case
def a_session_is_its_key_narrowed_by_its_policy(c):
    made = rubus(c, "user", "create", "--id", f"sts-{next(numbers)}")
    key = {"key": made["access_key"], "secret": made["secret_key"]}
    s3, sts = c.client(**key), c.client(service="sts", **key)
    bucket = c.bucket + "-sts"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    equal(sts.get_caller_identity()["Account"], made["id"])
    whole = sts.get_session_token()["Credentials"]
    equal(session(c, whole).get_object(Bucket=bucket, Key="k")["Body"].read(), b"data")
    role = {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "backup"}
    given = sts.assume_role(**role, DurationSeconds=900,
                            Policy=policy("Allow", "s3:GetObject", bucket + "/*"))
    assert given["AssumedRoleUser"]["Arn"].endswith("/backup"), given
    reader = session(c, given["Credentials"])
    equal(reader.get_object(Bucket=bucket, Key="k")["Body"].read(), b"data")
    denied(reader.put_object, Bucket=bucket, Key="k", Body=b"x")
    denied(reader.list_buckets)
    many = {"Objects": [{"Key": "k"}]}
    equal(reader.delete_objects(Bucket=bucket, Delete=many)["Errors"][0]["Code"], "AccessDenied")
    # It narrows what the user may, and gives nothing.
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    wide = session(c, sts.assume_role(**role, Policy=policy("Allow", "s3:*", "*"))["Credentials"])
    equal(names(wide), [bucket])
    denied(wide.get_object, Bucket=c.bucket, Key="k")
    url = wide.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert "X-Amz-Security-Token" in url or "x-amz-security-token" in url
    second = c.client(service="sts", key=whole["AccessKeyId"], secret=whole["SecretAccessKey"],
                      token=whole["SessionToken"])
    refused(403, "AccessDenied", second.get_session_token)
    equal(second.get_caller_identity()["Account"], made["id"])
    refused(400, "MalformedPolicyDocument", sts.assume_role, **role, Policy="{}")
    refused(400, "ValidationError", sts.get_session_token, DurationSeconds=129601)
    refused(400, "ValidationError", sts.assume_role, **role, DurationSeconds=43201)
    # Without its key there is no session.
    rubus(c, "key", "disable", made["access_key"])
    refused(403, "InvalidAccessKeyId", session(c, whole).list_buckets)
    refused(403, "InvalidClientTokenId", sts.get_caller_identity)
    rubus(c, "key", "enable", made["access_key"])
    equal(names(session(c, whole)), [bucket])


@case
def a_token_that_was_changed_opens_nothing(c):
    made = rubus(c, "user", "create", "--id", f"forged-{next(numbers)}")
    key = {"key": made["access_key"], "secret": made["secret_key"]}
    sts = c.client(service="sts", **key)
    one, two = (sts.get_session_token()["Credentials"] for _ in range(2))
    token = one["SessionToken"]
    for at in (0, 10, 60, len(token) // 2, len(token) - 8):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:]
        refused(400, "InvalidToken", session(c, {**one, "SessionToken": changed}).list_buckets)
    for changed in (token[:-4], token + "AAAA", "no token", two["SessionToken"]):
        refused(400, "InvalidToken", session(c, {**one, "SessionToken": changed}).list_buckets)
    refused(403, "SignatureDoesNotMatch",
            session(c, {**one, "SecretAccessKey": two["SecretAccessKey"]}).list_buckets)
    refused(403, "InvalidAccessKeyId",
            c.client(key=one["AccessKeyId"], secret=one["SecretAccessKey"]).list_buckets)
    refused(403, "SignatureDoesNotMatch",
            c.client(service="sts", key=made["access_key"], secret="wrong-secret").get_caller_identity)
