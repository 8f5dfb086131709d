# SPDX-License-Identifier: Apache-2.0
"""Cases of forms.py about ACLs and whose objects are."""
from boto_case import keys_of, refused, registry
from boto_forms import post, signed
from boto_policies import anonymous, other, set_policy, statement
from cases import equal

case = registry()
case_classic = registry()  # bucket_defaults: classic

ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
KEYS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


def allow_acls(c, ownership="ObjectWriter"):
    c.s3.put_bucket_ownership_controls(
        Bucket=c.bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})


def grants(answer):
    return sorted((grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"])
                  for grant in answer["Grants"])


def owner_of(c):
    return c.s3.get_bucket_acl(Bucket=c.bucket)["Owner"]["ID"]


@case
def canned_ACLs_of_objects_are_kept_and_count(c):
    allow_acls(c)
    me, eve, nobody = owner_of(c), other(c), anonymous(c)
    full = (me, "FULL_CONTROL")
    for canned, extra, eve_reads, all_read in (
            ("private", [], False, False), ("public-read", [(ALL, "READ")], True, True),
            ("public-read-write", [(ALL, "READ"), (ALL, "WRITE")], True, True),
            ("authenticated-read", [(KEYS, "READ")], True, False), ("bucket-owner-read", [], False, False),
            ("bucket-owner-full-control", [], False, False)):
        for make in (lambda: c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data", ACL=canned),
                     lambda: c.s3.put_object_acl(Bucket=c.bucket, Key="k", ACL=canned),
                     lambda: c.s3.copy_object(Bucket=c.bucket, Key="k", CopySource={"Bucket": c.bucket, "Key": "s"},
                                              ACL=canned)):
            c.s3.put_object(Bucket=c.bucket, Key="s", Body=b"data")
            c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
            make()
            equal(grants(c.s3.get_object_acl(Bucket=c.bucket, Key="k")), sorted([full, *extra]))
            for client, reads in ((eve, eve_reads), (nobody, all_read)):
                if reads:
                    equal(client.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
                else:
                    refused(403, "AccessDenied", client.get_object, Bucket=c.bucket, Key="k")
                refused(403, "AccessDenied", client.put_object, Bucket=c.bucket, Key="k", Body=b"x")
                refused(403, "AccessDenied", client.list_objects_v2, Bucket=c.bucket)
                refused(403, "AccessDenied", client.get_object_acl, Bucket=c.bucket, Key="k")
    refused(400, "InvalidArgument", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"", ACL="open")


@case
def an_upload_in_parts_and_a_form_have_ACLs(c):
    allow_acls(c)
    upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="m", ACL="public-read")["UploadId"]
    part = c.s3.upload_part(Bucket=c.bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"data")
    c.s3.complete_multipart_upload(Bucket=c.bucket, Key="m", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="m")["Body"].read(), b"data")
    equal(post(c, signed(c, fields={"acl": "public-read"}, conditions=[{"acl": "public-read"}]), b"data")[0], 204)
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")


@case
def grants_by_headers_and_documents_are_kept_and_count(c):
    allow_acls(c)
    me, eve = owner_of(c), other(c, "eve")
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data", GrantRead='id="eve", uri="' + KEYS + '"',
                    GrantReadACP="id=eve")
    expected = sorted([("eve", "READ"), (KEYS, "READ"), ("eve", "READ_ACP")])
    equal(grants(eve.get_object_acl(Bucket=c.bucket, Key="k")), expected)
    equal(eve.get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    refused(403, "AccessDenied", eve.put_object_acl, Bucket=c.bucket, Key="k", ACL="public-read")
    document = {"Owner": {"ID": me}, "Grants": [
        {"Grantee": {"Type": "CanonicalUser", "ID": "eve"}, "Permission": "WRITE_ACP"},
        {"Grantee": {"Type": "CanonicalUser", "ID": me}, "Permission": "FULL_CONTROL"}]}
    c.s3.put_object_acl(Bucket=c.bucket, Key="k", AccessControlPolicy=document)
    refused(403, "AccessDenied", eve.get_object, Bucket=c.bucket, Key="k")
    eve.put_object_acl(Bucket=c.bucket, Key="k", ACL="public-read")
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    refused(400, "InvalidRequest", c.s3.put_object_acl, Bucket=c.bucket, Key="k", ACL="private", GrantRead="id=eve")
    refused(400, "InvalidArgument", c.s3.put_object_acl, Bucket=c.bucket, Key="k", GrantRead="name=eve")
    refused(400, "InvalidArgument", c.s3.put_object_acl, Bucket=c.bucket, Key="k", GrantRead='uri="http://x"')
    refused(405, "UnresolvableGrantByEmailAddress", c.s3.put_object_acl, Bucket=c.bucket, Key="k",
            GrantRead='emailAddress="a@b.test"')
    many = [{"Grantee": {"Type": "CanonicalUser", "ID": f"user-{i}"}, "Permission": "READ"} for i in range(13)]
    refused(400, "MalformedACLError", c.s3.put_object_acl, Bucket=c.bucket, Key="k",
            AccessControlPolicy={"Owner": {"ID": me}, "Grants": many})
    c.s3.put_object_acl(Bucket=c.bucket, Key="k", AccessControlPolicy={"Owner": {"ID": me}, "Grants": many[:12]})
    equal(len(c.s3.get_object_acl(Bucket=c.bucket, Key="k")["Grants"]), 12)
    refused(404, "NoSuchKey", c.s3.put_object_acl, Bucket=c.bucket, Key="none", ACL="private")


@case
def the_ACL_of_a_bucket_lets_list_and_write(c):
    allow_acls(c)
    eve, nobody = other(c, "eve"), anonymous(c)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    c.s3.put_bucket_acl(Bucket=c.bucket, ACL="public-read")
    equal(keys_of(nobody, c.bucket), ["k"])
    refused(403, "AccessDenied", nobody.get_object, Bucket=c.bucket, Key="k")
    refused(404, "NoSuchKey", nobody.get_object, Bucket=c.bucket, Key="none")
    refused(403, "AccessDenied", nobody.put_object, Bucket=c.bucket, Key="x", Body=b"x")
    c.s3.put_bucket_acl(Bucket=c.bucket, GrantWrite="id=eve", GrantReadACP="id=eve")
    refused(403, "AccessDenied", nobody.list_objects_v2, Bucket=c.bucket)
    refused(403, "AccessDenied", eve.list_objects_v2, Bucket=c.bucket)
    equal(grants(eve.get_bucket_acl(Bucket=c.bucket)), [("eve", "READ_ACP"), ("eve", "WRITE")])
    eve.put_object(Bucket=c.bucket, Key="e", Body=b"eve's", ACL="public-read")
    equal(nobody.get_object(Bucket=c.bucket, Key="e")["Body"].read(), b"eve's")
    equal(c.s3.get_object_acl(Bucket=c.bucket, Key="e")["Owner"]["ID"], "eve")
    equal(eve.get_object_acl(Bucket=c.bucket, Key="e")["Owner"]["ID"], "eve")
    eve.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": "e"}]})
    refused(403, "AccessDenied", eve.put_bucket_acl, Bucket=c.bucket, ACL="public-read")
    # The owner prefers to own what is given away, and nothing else.
    allow_acls(c, "BucketOwnerPreferred")
    eve.put_object(Bucket=c.bucket, Key="mine", Body=b"x")
    eve.put_object(Bucket=c.bucket, Key="given", Body=b"x", ACL="bucket-owner-full-control")
    equal(c.s3.get_object_acl(Bucket=c.bucket, Key="mine")["Owner"]["ID"], "eve")
    equal(c.s3.get_object_acl(Bucket=c.bucket, Key="given")["Owner"]["ID"], owner_of(c))


@case
def a_policy_denies_what_an_ACL_allows(c):
    allow_acls(c)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data", ACL="public-read")
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    set_policy(c, statement(c, effect="Deny", principal={"AWS": "eve"}))
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    refused(403, "AccessDenied", other(c, "eve").get_object, Bucket=c.bucket, Key="k")


@case
def public_ACLs_may_be_blocked_and_ignored(c):
    allow_acls(c)
    block = {"BlockPublicAcls": False, "IgnorePublicAcls": True, "BlockPublicPolicy": False,
             "RestrictPublicBuckets": False}
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data", ACL="public-read")
    c.s3.put_bucket_acl(Bucket=c.bucket, ACL="public-read")
    c.s3.put_public_access_block(Bucket=c.bucket, PublicAccessBlockConfiguration=block)
    refused(403, "AccessDenied", anonymous(c).get_object, Bucket=c.bucket, Key="k")
    refused(403, "AccessDenied", anonymous(c).list_objects_v2, Bucket=c.bucket)
    block.update(BlockPublicAcls=True, IgnorePublicAcls=False)
    c.s3.put_public_access_block(Bucket=c.bucket, PublicAccessBlockConfiguration=block)
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    for canned in ("public-read", "public-read-write", "authenticated-read"):
        refused(403, "AccessDenied", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"", ACL=canned)
        refused(403, "AccessDenied", c.s3.put_object_acl, Bucket=c.bucket, Key="k", ACL=canned)
        refused(403, "AccessDenied", c.s3.put_bucket_acl, Bucket=c.bucket, ACL=canned)
    c.s3.put_object_acl(Bucket=c.bucket, Key="k", GrantRead="id=eve")


@case
def where_ACLs_are_off_they_are_refused_and_do_not_count(c):
    allow_acls(c)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data", ACL="public-read")
    c.s3.put_bucket_acl(Bucket=c.bucket, ACL="public-read")
    off = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    refused(400, "InvalidBucketAclWithObjectOwnership", c.s3.put_bucket_ownership_controls, Bucket=c.bucket,
            OwnershipControls=off)
    c.s3.put_bucket_acl(Bucket=c.bucket, ACL="private")
    c.s3.put_bucket_ownership_controls(Bucket=c.bucket, OwnershipControls=off)
    refused(403, "AccessDenied", anonymous(c).get_object, Bucket=c.bucket, Key="k")
    equal(grants(c.s3.get_object_acl(Bucket=c.bucket, Key="k")), [(owner_of(c), "FULL_CONTROL")])
    for call, more in ((c.s3.put_object, {"Key": "k", "Body": b""}), (c.s3.put_object_acl, {"Key": "k"}),
                       (c.s3.put_bucket_acl, {})):
        refused(400, "AccessControlListNotSupported", call, Bucket=c.bucket, ACL="public-read", **more)


@case
def a_bucket_may_be_made_with_ownership_and_ACL(c):
    name = "made-" + c.bucket
    refused(400, "AccessControlListNotSupported", c.s3.create_bucket, Bucket=name, ACL="public-read")
    refused(400, "InvalidArgument", c.s3.create_bucket, Bucket=name, ObjectOwnership="Nobody")
    c.s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerPreferred", ACL="public-read")
    equal(c.s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"],
          {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]})
    equal(keys_of(anonymous(c), name), [])


@case
def conditions_hold_for_copies_and_deletes(c):
    one = c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"1")
    copy = {"Bucket": c.bucket, "Key": "to", "CopySource": {"Bucket": c.bucket, "Key": "k"}}
    refused(404, "NoSuchKey", c.s3.copy_object, **copy, IfMatch=one["ETag"])
    c.s3.copy_object(**copy, IfNoneMatch="*")
    refused(412, "PreconditionFailed", c.s3.copy_object, **copy, IfNoneMatch="*")
    refused(412, "PreconditionFailed", c.s3.copy_object, **copy, IfMatch='"0"')
    c.s3.copy_object(**copy, IfMatch=one["ETag"])
    head = c.s3.head_object(Bucket=c.bucket, Key="to")
    good = {"Key": "to", "ETag": one["ETag"], "Size": 1, "LastModifiedTime": head["LastModified"]}
    for wrong in ({"ETag": '"0"'}, {"Size": 2}, {"LastModifiedTime": 0}, {"LastModifiedTime": 1_000_000}):
        errors = c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{**good, **wrong}]})["Errors"]
        equal([error["Code"] for error in errors], ["PreconditionFailed"])
    refused(412, "PreconditionFailed", c.s3.delete_object, Bucket=c.bucket, Key="to", IfMatch='"0"')
    equal(len(c.s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [good]})["Deleted"]), 1)
    equal(keys_of(c.s3, c.bucket), ["k"])


@case
def the_expected_owners_of_buckets_are_compared(c):
    me = owner_of(c)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"1", ExpectedBucketOwner=me)
    copy = {"Bucket": c.bucket, "Key": "to", "CopySource": {"Bucket": c.bucket, "Key": "k"}}
    c.s3.copy_object(**copy, ExpectedBucketOwner=me, ExpectedSourceBucketOwner=me)
    for call, more in ((c.s3.get_object, {"Key": "k"}), (c.s3.list_objects_v2, {}), (c.s3.head_bucket, {})):
        refused(403, ("AccessDenied", "403"), call, Bucket=c.bucket, ExpectedBucketOwner="other", **more)
    refused(403, "AccessDenied", c.s3.copy_object, **copy, ExpectedSourceBucketOwner="other")


@case_classic
def new_buckets_of_old_have_ACLs(c):
    equal(c.s3.get_bucket_ownership_controls(Bucket=c.bucket)["OwnershipControls"],
          {"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data", ACL="public-read")
    equal(anonymous(c).get_object(Bucket=c.bucket, Key="k")["Body"].read(), b"data")
    c.s3.create_bucket(Bucket="modern-" + c.bucket, ObjectOwnership="BucketOwnerEnforced")
    refused(400, "AccessControlListNotSupported", c.s3.put_object, Bucket="modern-" + c.bucket, Key="k", Body=b"",
            ACL="public-read")
