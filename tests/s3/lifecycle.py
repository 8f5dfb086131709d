#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle rules on real nodes, in days of two seconds, asked for with boto3: on one node, and on three
of which one is killed while rules are at work.

usage: lifecycle.py BUILD
"""
import datetime
import email.utils
import re
import sys
import tempfile

import boto3
from botocore.config import Config

from boto_case import keys_of, refused
from cases import Cases, equal, wait_until
from cluster import Cluster, wait_all_serve
from node import Node
from wire import Wire

DAY = 2
SETTINGS = {"RUBUS_LIFECYCLE_DAY_SECONDS": str(DAY)}


def client(node):
    return boto3.client(
        "s3", endpoint_url=node.url, aws_access_key_id=node.key, aws_secret_access_key=node.secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 8}))


def set_rules(s3, bucket, *rules):
    rules = [{"ID": f"rule{i}", "Status": "Enabled", **rule} for i, rule in enumerate(rules)]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    equal(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], rules)


def put(s3, bucket, *keys, body=b"x", **more):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=body, **more)


def versions_of(s3, bucket):
    page = s3.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])), len(page.get("DeleteMarkers", []))


def soon(look, seconds=20 * DAY):
    wait_until(look, seconds, look)


class Rules:
    """Cases against one endpoint, each with a bucket of its own."""

    def __init__(self, cases, s3):
        self.cases, self.s3, self.count = cases, s3, 0

    def bucket(self, versioned=False):
        self.count += 1
        name = f"life-{self.count}"
        self.s3.create_bucket(Bucket=name)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def an_object_says_when_it_will_be_taken(self):
        """x-amz-expiration, of everything that writes or reads the newest version."""
        s3, bucket = self.s3, self.bucket(True)

        def of(answer):
            text = answer.get("Expiration")
            found = re.fullmatch('expiry-date="(.*)", rule-id="(.*)"', text or "")
            return (email.utils.parsedate_to_datetime(found[1]), found[2]) if found else text

        equal(of(s3.put_object(Bucket=bucket, Key="logs/k", Body=b"x")), None)
        rules = [{"ID": "much later", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30000}},
                 {"ID": "a b+c", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 20000}},
                 {"ID": "tagged", "Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 10000}},
                 {"ID": "off", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}, "Status": "Disabled"}]
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={
            "Rules": [{"Status": "Enabled", **rule} for rule in rules]})
        put = s3.put_object(Bucket=bucket, Key="logs/k", Body=b"x")
        due, rule = of(put)
        equal(rule, "a%20b%2Bc")
        left = (due - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / DAY
        assert 19990 < left < 20002, left
        equal(due.timestamp() % DAY, 0)
        for answer in (s3.head_object(Bucket=bucket, Key="logs/k"), s3.get_object(Bucket=bucket, Key="logs/k")):
            equal(of(answer), (due, rule))
        equal(of(s3.head_object(Bucket=bucket, Key="logs/k", VersionId=put["VersionId"])), None)
        equal(of(s3.put_object(Bucket=bucket, Key="k", Body=b"x"))[1], "much%20later")
        equal(of(s3.put_object(Bucket=bucket, Key="logs/t", Body=b"x", Tagging="a=b"))[1], "tagged")
        equal(of(s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/logs/t"))[1], "tagged")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="logs/m")["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key="logs/m", UploadId=upload, PartNumber=1, Body=b"x")
        equal(of(s3.complete_multipart_upload(Bucket=bucket, Key="logs/m", UploadId=upload, MultipartUpload={
            "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}))[1], "a%20b%2Bc")
        date = datetime.datetime(2031, 1, 1, tzinfo=datetime.timezone.utc)
        set_rules(s3, bucket, {"Filter": {"Prefix": "logs/"}, "Expiration": {"Date": date}})
        equal(of(s3.head_object(Bucket=bucket, Key="logs/k")), (date, "rule0"))
        s3.delete_bucket_lifecycle(Bucket=bucket)
        equal(of(s3.head_object(Bucket=bucket, Key="logs/k")), None)

    def by_prefix_tag_and_size(self):
        s3, bucket = self.s3, self.bucket()
        put(s3, bucket, "logs/1", "logs/2", "keep/1", body=b"x" * 100)
        put(s3, bucket, "tagged", Tagging="class=cheap")
        put(s3, bucket, "large", body=b"x" * 5000)
        with self.cases.case("objects go by prefix, by tag and by size, and nothing else does"):
            set_rules(s3, bucket, {"Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}},
                      {"Filter": {"Tag": {"Key": "class", "Value": "cheap"}}, "Expiration": {"Days": 1}},
                      {"Filter": {"ObjectSizeGreaterThan": 4999}, "Expiration": {"Days": 1}},
                      {"Filter": {"Prefix": ""}, "Expiration": {"Days": 5000}},
                      {"Filter": {"Prefix": "keep/"}, "Status": "Disabled", "Expiration": {"Days": 1}})
            soon(lambda: keys_of(s3, bucket) == ["keep/1"])
            put(s3, bucket, "logs/3")
            soon(lambda: keys_of(s3, bucket) == ["keep/1"])
            s3.put_object_tagging(Bucket=bucket, Key="keep/1",
                                  Tagging={"TagSet": [{"Key": "class", "Value": "cheap"}]})
            soon(lambda: keys_of(s3, bucket) == [])

    def of_versions(self):
        s3, bucket = self.s3, self.bucket(versioned=True)
        put(s3, bucket, *["a"] * 6, "b")
        with self.cases.case("old versions go but for the newest ones, and so do markers that are alone"):
            set_rules(s3, bucket, {"Filter": {}, "NoncurrentVersionExpiration": {
                "NoncurrentDays": 1, "NewerNoncurrentVersions": 2}})
            soon(lambda: versions_of(s3, bucket) == (4, 0))
            set_rules(s3, bucket, {"Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                                   "Expiration": {"ExpiredObjectDeleteMarker": True}})
            soon(lambda: versions_of(s3, bucket) == (2, 0))
            s3.delete_object(Bucket=bucket, Key="a")
            soon(lambda: versions_of(s3, bucket) == (1, 0))
        with self.cases.case("a current version that expires is behind a marker"):
            set_rules(s3, bucket, {"Filter": {}, "Expiration": {"Days": 1}})
            soon(lambda: keys_of(s3, bucket) == [])
            equal(versions_of(s3, bucket), (1, 1))

    def of_uploads(self):
        s3, bucket = self.s3, self.bucket()
        upload = s3.create_multipart_upload(Bucket=bucket, Key="u")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="u", UploadId=upload, PartNumber=1, Body=b"x")
        put(s3, bucket, "u")
        with self.cases.case("an upload that nobody completes is aborted"):
            set_rules(s3, bucket, {"Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
            soon(lambda: "Uploads" not in s3.list_multipart_uploads(Bucket=bucket))
            refused(404, "NoSuchUpload", s3.list_parts, Bucket=bucket, Key="u", UploadId=upload)
            equal(keys_of(s3, bucket), ["u"])

    def by_date(self):
        s3, bucket = self.s3, self.bucket()
        put(s3, bucket, "a")
        with self.cases.case("from a date on objects go at once"):
            set_rules(s3, bucket, {"Filter": {}, "Expiration": {
                "Date": datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)}})
            put(s3, bucket, "b")
            equal(keys_of(s3, bucket), ["a", "b"])
            s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
                {"Status": "Enabled", "Filter": {}, "Expiration": {
                    "Date": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)}}]})
            soon(lambda: keys_of(s3, bucket) == [])

    def against_locks(self):
        s3 = self.s3
        s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        put(s3, "locked", "a", ObjectLockLegalHoldStatus="ON")
        put(s3, "locked", "a", "b")
        with self.cases.case("what is locked outlives every rule"):
            set_rules(s3, "locked", {"Filter": {}, "Expiration": {"Days": 1},
                                     "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
            soon(lambda: versions_of(s3, "locked") == (1, 1))

    def taken_away(self):
        s3, bucket = self.s3, self.bucket()
        put(s3, bucket, "a")
        with self.cases.case("rules that are deleted delete nothing more"):
            set_rules(s3, bucket, {"Filter": {}, "Expiration": {"Days": 4}})
            s3.delete_bucket_lifecycle(Bucket=bucket)
            refused(404, "NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)
            other = self.bucket()
            put(s3, other, "a")
            set_rules(s3, other, {"Filter": {}, "Expiration": {"Days": 5}})
            soon(lambda: keys_of(s3, other) == [])
            equal(keys_of(s3, bucket), ["a"])

    def refusals(self):
        s3, bucket = self.s3, self.bucket()

        def refuse(code, **rule):
            refused(400 if code != "NotImplemented" else 501, code, s3.put_bucket_lifecycle_configuration,
                    Bucket=bucket, LifecycleConfiguration={"Rules": [{"Status": "Enabled", **rule}]})
        with self.cases.case("rules that cannot be done are refused"):
            refuse("InvalidArgument", Filter={}, Expiration={"Days": 0})
            refuse("InvalidArgument", ID="x" * 256, Filter={}, Expiration={"Days": 1})
            refuse("InvalidRequest", Filter={})
            refuse("MalformedXML", Expiration={"Days": 1})
            refuse("MalformedXML", Filter={}, Expiration={"Days": 1}, **{"Status": "enabled"})
            refuse("NotImplemented", Filter={}, Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])
            refused(404, "NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)


def one_node(cases, build, parent):
    with Node(build, parent, environment=SETTINGS) as node:
        rules = Rules(cases, client(node))
        rules.refusals()
        with cases.case("an object says when it will be taken, and by which rule"):
            rules.an_object_says_when_it_will_be_taken()
        rules.by_prefix_tag_and_size()
        rules.of_versions()
        rules.of_uploads()
        rules.by_date()
        rules.against_locks()
        rules.taken_away()


def three_nodes(cases, build, parent):
    with Cluster(build, parent, 3, environment=SETTINGS) as cluster:
        first = cluster.nodes[0]
        Wire(first).make_bucket("alive")
        wait_all_serve(cluster, "alive", "k")
        s3 = client(first)
        s3.create_bucket(Bucket="life")
        put(s3, "life", *[f"go/{i}" for i in range(300)], *[f"stay/{i}" for i in range(50)])
        stay = sorted(f"stay/{i}" for i in range(50))
        with cases.case("rules are done by the others when the node that does them is killed"):
            set_rules(s3, "life", {"Filter": {"Prefix": "go/"}, "Expiration": {"Days": 1}})
            for node in cluster.nodes:
                wait_all_serve(cluster, "alive", "k")
                node.kill()
                left = client(next(other for other in cluster.nodes if other is not node))
                put(left, "life", *[f"go/{node.name}/{i}" for i in range(20)])
                soon(lambda left=left: keys_of(left, "life") == stay, 120)
                cluster.restart([node])
        with cases.case("all nodes say the same of what was left"):
            wait_all_serve(cluster, "alive", "k")
            for node in cluster.nodes:
                equal(keys_of(client(node), "life"), stay)


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as parent:
        one_node(cases, sys.argv[1], parent)
        three_nodes(cases, sys.argv[1], parent)
    cases.end()


if __name__ == "__main__":
    main()
