# SPDX-License-Identifier: Apache-2.0
"""Sharp edges 75 to 83: versions, locks, buckets."""
import datetime

from cases import equal
from edge_case import crc32, element, fine, md5_header, now, refused, registry, texts

case = registry()


def versions(e, **query):
    rows = [("versions", "")] + [(name.replace("_", "-"), str(value)) for name, value in query.items()]
    return fine(e.call("GET", query=rows))


@case
def edge_75_a_version_is_null_before_and_while_suspended(e):
    equal(fine(e.put("k", b"zero")).headers["x-amz-version-id"], None)
    equal(e.get("k", query=[("versionId", "null")]).body, b"zero")
    e.versioning("Enabled")
    one = fine(e.put("k", b"one")).headers["x-amz-version-id"]
    assert one and one != "null", one
    e.versioning("Suspended")
    equal(fine(e.put("k", b"two")).headers["x-amz-version-id"], "null")
    fine(e.put("k", b"three"))
    for version, body in (("null", b"three"), (one, b"one")):
        equal(e.get("k", query=[("versionId", version)]).body, body)
    equal(texts(versions(e), "VersionId"), ["null", one])
    for version in (one[:-1] + ("0" if one[-1] != "0" else "1"),):
        refused(e.get("k", query=[("versionId", version)]), 404, "NoSuchVersion", Key="k", VersionId=version)
    for version in ("nonsense", "", "x" * 200):
        answer = e.get("k", query=[("versionId", version)])
        refused(answer, 400, "InvalidArgument", ArgumentName="versionId")
    refused(e.get("never", query=[("versionId", one)]), 404, "NoSuchVersion")


@case
def edge_76_a_delete_marker_says_that_it_is_one(e):
    e.versioning("Enabled")
    fine(e.put("k", b"x"))
    marker = fine(e.delete("k"), 204).headers["x-amz-version-id"]
    for call in (e.get, e.head):
        answer = fine(call("k"), 404)
        equal((answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]), ("true", marker))
        answer = fine(call("k", query=[("versionId", marker)]), 405)
        equal((answer.headers["x-amz-delete-marker"], answer.headers["allow"]), ("true", "DELETE"))
        assert answer.headers["last-modified"], answer.headers
    refused(e.get("k"), 404, "NoSuchKey", Key="k")
    refused(e.get("k", query=[("versionId", marker)]), 405, "MethodNotAllowed", Method="GET",
            ResourceType="DeleteMarker")


@case
def edge_77_versions_are_listed_the_newest_first(e):
    fine(e.put("b", b"x"))
    equal((texts(versions(e), "VersionId"), texts(versions(e), "IsLatest")), (["null"], ["true"]))
    e.versioning("Enabled")
    made = [fine(e.put("b", b"%d" % i)).headers["x-amz-version-id"] for i in range(3)]
    fine(e.put("a", b"x"))
    page = versions(e, prefix="b")
    equal(texts(page, "VersionId"), made[::-1] + ["null"])
    equal(texts(page, "IsLatest"), ["true"] + ["false"] * 3)
    page = versions(e, key_marker="b", version_id_marker=made[1])
    equal(texts(page, "VersionId"), [made[0], "null"])
    refused(e.call("GET", query=[("versions", ""), ("version-id-marker", made[0])]), 400, "InvalidArgument")
    got, more = [], {}
    while True:
        page = versions(e, max_keys=2, **more)
        got += zip(texts(page, "Key"), texts(page, "VersionId"))
        if element(page, "IsTruncated") == "false":
            break
        more = {"key_marker": element(page, "NextKeyMarker"), "version_id_marker": element(page, "NextVersionIdMarker")}
    equal([row for row in got if row[0] == "b"], [("b", version) for version in made[::-1] + ["null"]])


@case
def edge_77_a_null_version_that_goes_between_pages_leaves_no_hole(e):
    fine(e.put("k", b"0"))
    e.versioning("Enabled")
    older = [fine(e.put("k", b"%d" % i)).headers["x-amz-version-id"] for i in range(2)]
    e.versioning("Suspended")
    fine(e.put("k", b"null"))
    e.versioning("Enabled")
    newer = fine(e.put("k", b"newest")).headers["x-amz-version-id"]
    # Newest first: newer, null, older[1], older[0].
    page = versions(e, max_keys=2)
    equal(texts(page, "VersionId")[-2:], [newer, "null"])
    marker = element(page, "NextVersionIdMarker")
    equal(texts(versions(e, key_marker="k", version_id_marker="null"), "VersionId"), older[::-1])
    fine(e.delete("k", query=[("versionId", "null")]), 204)
    equal(texts(versions(e, key_marker="k", version_id_marker=marker), "VersionId"), older[::-1])
    # Who goes on from what was listed last, and deleted it all, finds the rest.
    equal(texts(versions(e, key_marker="k", version_id_marker="null"), "VersionId"), [newer, *older[::-1]])


def lock_bucket(e):
    e.new_bucket([("x-amz-bucket-object-lock-enabled", "true")])


def after(**more):
    return (now() + datetime.timedelta(**more)).strftime("%Y-%m-%dT%H:%M:%SZ")


def retain(e, mode, until, version, headers=()):
    text = f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
    body = text.encode()
    return e.call("PUT", "k", body, query=[("retention", ""), ("versionId", version)], headers=headers)


@case
def edge_78_a_lock_implies_versions_and_only_governance_gives_way(e):
    enabled = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
    refused(e.document("object-lock", enabled), 409, "InvalidBucketState")
    e.versioning("Enabled")
    fine(e.document("object-lock", enabled))  # a bucket that had versions before
    lock_bucket(e)
    equal(element(e.call("GET", query=[("versioning", "")]), "Status"), "Enabled")
    refused(e.document("versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"),
            409, "InvalidBucketState")
    version = fine(e.put("k", b"x")).headers["x-amz-version-id"]
    fine(retain(e, "GOVERNANCE", after(days=2), version))
    refused(retain(e, "GOVERNANCE", after(days=1), version), 403, "AccessDenied")
    fine(retain(e, "GOVERNANCE", after(days=1), version, [("x-amz-bypass-governance-retention", "true")]))
    version = fine(e.put("k", b"y")).headers["x-amz-version-id"]
    until = now() + datetime.timedelta(seconds=4)
    fine(retain(e, "COMPLIANCE", until.strftime("%Y-%m-%dT%H:%M:%SZ"), version))
    for headers in ([], [("x-amz-bypass-governance-retention", "true")]):
        refused(retain(e, "COMPLIANCE", after(seconds=1), version, headers), 403, "AccessDenied")
        refused(retain(e, "GOVERNANCE", after(days=1), version, headers), 403, "AccessDenied")
    fine(retain(e, "COMPLIANCE", after(seconds=6), version))  # longer is fine


@case
def edge_79_what_is_retained_can_be_hidden_but_not_deleted(e):
    lock_bucket(e)
    version = fine(e.put("k", b"x", [("x-amz-object-lock-mode", "COMPLIANCE"),
                                     ("x-amz-object-lock-retain-until-date", after(seconds=4)),
                                     ("content-md5", "ndTkYSaMgDT1yFZOFVxnpg==")])).headers["x-amz-version-id"]
    marker = fine(e.delete("k"), 204)
    equal(marker.headers["x-amz-delete-marker"], "true")
    refused(e.delete("k", query=[("versionId", version)]), 403, "AccessDenied")
    text = f"<Delete><Object><Key>k</Key><VersionId>{version}</VersionId></Object></Delete>"
    equal(texts(e.document("delete", text, method="POST"), "Code"), ["AccessDenied"])
    fine(e.delete("k", query=[("versionId", marker.headers["x-amz-version-id"])]), 204)
    equal(e.get("k").body, b"x")


@case
def edge_79_what_will_be_retained_comes_with_a_digest(e):
    """By what the request says, or by the default of its bucket alone; a signed payload is none."""
    lock_bucket(e)
    fine(e.put("k", b"x"))
    text = ("<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
            "<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>")
    fine(e.document("object-lock", text))
    refused(e.put("k", b"x"), 400, "InvalidRequest")
    upload = e.start_upload("u")
    refused(e.part("u", upload, 1, b"x"), 400, "InvalidRequest")
    for name, value in (("content-md5", md5_header(b"x")), ("x-amz-checksum-crc32", crc32(b"x"))):
        fine(e.put("k", b"x", [(name, value)]))
        etag = fine(e.part("u", upload, 1, b"x", [(name, value)])).headers["etag"]
    fine(e.complete("u", upload, [(1, etag)]))
    fine(e.put("c", headers=[("x-amz-copy-source", f"{e.bucket}/k")]))
    fine(e.document("object-lock", text[:text.index("<Rule>")] + "</ObjectLockConfiguration>"))
    fine(e.put("k", b"x"))


@case
def edge_80_a_bucket_is_made_once(e):
    fine(e.put("k", b"content"))
    answer = e.call("PUT")
    assert answer.status == 200 or answer.code == "BucketAlreadyOwnedByYou", answer
    equal(e.get("k").body, b"content")
    refused(e.call("PUT", signer=e.other("eve")), 409, "BucketAlreadyExists")
    equal(e.get("k").body, b"content")


@case
def edge_81_names_of_buckets_are_those_of_hosts(e):
    for name in ("ab", "a" * 64, "Upper", "under_score", "-a1", "a1-", "a..b", "192.168.0.1", ".ab", "ab.", "a b c",
                 "xn--abc", "a%2Fb"):
        answer = e.call("PUT", path="/" + name.replace(" ", "%20"))
        assert answer.status == 400 and answer.code == "InvalidBucketName" or name == "a%2Fb", (name, answer)
    for name in ("abc", "a-b.c1", "1a2", "b" * 63):
        path = "/" + (name + "-tls" if e.tls and len(name) < 10 else name)
        fine(e.call("PUT", path=path))
        fine(e.call("DELETE", path=path), 204)


@case
def edge_82_the_location_is_the_region(e):
    equal(texts(e.call("GET", query=[("location", "")]), "LocationConstraint"), ["rubus"])
    equal(e.call("HEAD").headers["x-amz-bucket-region"], "rubus")

    def make(text):
        e.bucket_count += 1
        e.bucket = f"edge-{'tls' if e.tls else 'http'}-{e.bucket_count}"
        return e.call("PUT", body=text.encode())

    root = "<CreateBucketConfiguration>%s</CreateBucketConfiguration>"
    for text in ("", root % "", root % "<LocationConstraint/>", root % "<LocationConstraint></LocationConstraint>",
                 root % "<LocationConstraint>rubus</LocationConstraint>"):
        fine(make(text))
    answer = make(root % "<LocationConstraint>eu-west-9</LocationConstraint>")
    equal((answer.status, answer.code in ("IllegalLocationConstraintException", "InvalidLocationConstraint")),
          (400, True))


@case
def edge_83_what_is_not_configured_says_so_in_its_own_words(e):
    rows = {"lifecycle": "NoSuchLifecycleConfiguration", "cors": "NoSuchCORSConfiguration", "tagging": "NoSuchTagSet",
            "policy": "NoSuchBucketPolicy", "policyStatus": "NoSuchBucketPolicy", "website": "NoSuchWebsiteConfiguration",
            "object-lock": "ObjectLockConfigurationNotFoundError",
            "encryption": "ServerSideEncryptionConfigurationNotFoundError",
            "ownershipControls": "OwnershipControlsNotFoundError",
            "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
            "replication": "ReplicationConfigurationNotFoundError"}
    for name, code in rows.items():
        refused(e.call("GET", query=[(name, "")]), 404, code, BucketName=e.bucket)
    for name in ("versioning", "notification", "logging", "accelerate", "requestPayment"):
        answer = fine(e.call("GET", query=[(name, "")]))
        assert b"<Status" not in answer.body, answer.body
