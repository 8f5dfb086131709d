#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Buckets as websites on real nodes: pages, errors, redirects, and what strangers are not shown.

usage: website.py BUILD
"""
import http.client
import json
import os
import sys
import tempfile

import boto3
from botocore.config import Config

from boto_case import refused
from cases import Cases, equal
from cluster import Cluster, wait_all_serve
from wire import Wire

DOMAIN = "web.example.org"


def client(node):
    return boto3.client(
        "s3", endpoint_url=node.url, aws_access_key_id=node.key, aws_secret_access_key=node.secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 8}))


def ask(node, bucket, path, method="GET", headers=None):
    """(status, headers, body) as a browser has them."""
    connection = http.client.HTTPConnection(node.host, node.s3_port, timeout=20)
    connection.request(method, path, headers={"Host": f"{bucket}.{DOMAIN}", **(headers or {})})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def open_to_all(s3, bucket, *actions, prefix=""):
    statements = [{"Effect": "Allow", "Principal": "*", "Action": action,
                   "Resource": f"arn:aws:s3:::{bucket}" + (f"/{prefix}*" if action == "s3:GetObject" else "")}
                  for action in actions]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def make(s3, bucket, keys, configuration, *actions):
    s3.create_bucket(Bucket=bucket)
    for key, body in keys.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="text/html")
    if configuration:
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)
    if actions:
        open_to_all(s3, bucket, *actions)


def configurations(cases, s3):
    s3.create_bucket(Bucket="conf")
    with cases.case("a website's configuration is given back, and taken away"):
        wanted = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "sorry.html"},
                  "RoutingRules": [
                      {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
                      {"Condition": {"HttpErrorCodeReturnedEquals": "404"},
                       "Redirect": {"HostName": "example.com", "Protocol": "https", "HttpRedirectCode": "302",
                                    "ReplaceKeyWith": "lost?"}}]}
        refused(404, "NoSuchWebsiteConfiguration", s3.get_bucket_website, Bucket="conf")
        s3.put_bucket_website(Bucket="conf", WebsiteConfiguration=wanted)
        answer = s3.get_bucket_website(Bucket="conf")
        answer.pop("ResponseMetadata")
        equal(answer, wanted)
        other = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
        s3.put_bucket_website(Bucket="conf", WebsiteConfiguration=other)
        equal(s3.get_bucket_website(Bucket="conf")["RedirectAllRequestsTo"], other["RedirectAllRequestsTo"])
        s3.delete_bucket_website(Bucket="conf")
        refused(404, "NoSuchWebsiteConfiguration", s3.get_bucket_website, Bucket="conf")
    with cases.case("configurations that cannot be done are refused as S3 does"):
        def refuse(code, **configuration):
            refused(400, code, s3.put_bucket_website, Bucket="conf", WebsiteConfiguration=configuration)
        index = {"IndexDocument": {"Suffix": "i"}}
        refuse("InvalidArgument", ErrorDocument={"Key": "e"})
        refuse("InvalidArgument", IndexDocument={"Suffix": "a/b"})
        refuse("InvalidArgument", IndexDocument={"Suffix": ""})
        refuse("MalformedXML", **index, RedirectAllRequestsTo={"HostName": "h"})
        refuse("InvalidRequest", RedirectAllRequestsTo={"HostName": "a b"})
        refuse("InvalidRequest", **index, RoutingRules=[{"Redirect": {"HttpRedirectCode": "200"}}])
        refuse("InvalidRequest", **index, RoutingRules=[{
            "Condition": {"HttpErrorCodeReturnedEquals": "200"}, "Redirect": {"HostName": "h"}}])
        refuse("InvalidRequest", **index, RoutingRules=[{"Redirect": {
            "ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}])
        refuse("InvalidRequest", **index, RoutingRules=[{"Redirect": {"Protocol": "ftp"}}])
        refuse("InvalidRequest", **index, RoutingRules=[{"Redirect": {"HostName": "h"}}] * 51)


def pages(cases, node, s3):
    make(s3, "site", {"index.html": b"front", "docs/index.html": b"docs", "a b.html": b"blank", "sorry": b"lost"},
         {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "sorry"}},
         "s3:GetObject", "s3:ListBucket")
    with cases.case("a place shows its index document"):
        status, headers, body = ask(node, "site", "/")
        equal((status, headers["content-type"], body), (200, "text/html", b"front"))
        equal(ask(node, "site", "/docs/")[2], b"docs")
        equal(ask(node, "site", "/docs/?versionId=x&acl")[2], b"docs")
        status, headers, body = ask(node, "site", "/docs")
        equal((status, headers["location"]), (302, f"http://site.{DOMAIN}/docs/"))
    with cases.case("a page is served whole, in part, to HEAD, and not again when it is known"):
        status, headers, body = ask(node, "site", "/a%20b.html")
        equal((status, body), (200, b"blank"))
        equal(ask(node, "site", "/a%20b.html", headers={"If-None-Match": headers["etag"]})[0], 304)
        equal(ask(node, "site", "/a%20b.html", headers={"Range": "bytes=1-2"})[::2], (206, b"la"))
        equal(ask(node, "site", "/a%20b.html", "HEAD")[::2], (200, b""))
    with cases.case("what is not there is the error document, with the error's status"):
        equal(ask(node, "site", "/none")[::2], (404, b"lost"))
        equal(ask(node, "site", "/none/")[::2], (404, b"lost"))
        equal(ask(node, "site", "/none", headers={"Range": "bytes=0-0"})[0], 404)
    with cases.case("a website takes no writes"):
        for method in ("PUT", "POST", "DELETE"):
            status, headers, body = ask(node, "site", "/x", method)
            equal(status, 405)
            equal(b"<li>Code: MethodNotAllowed</li>" in body, True)
        equal("Contents" in s3.list_objects_v2(Bucket="site", Prefix="x"), False)
    with cases.case("the same bucket is as ever under other names"):
        equal(s3.get_object(Bucket="site", Key="index.html")["Body"].read(), b"front")


def strangers(cases, node, s3):
    make(s3, "shut", {"index.html": b"front", "open/1": b"one"}, {"IndexDocument": {"Suffix": "index.html"}})
    with cases.case("strangers are shown what the policy lets them read, and nothing else"):
        status, headers, body = ask(node, "shut", "/")
        equal((status, headers["content-type"]), (403, "text/html; charset=utf-8"))
        equal(b"<h1>403 Forbidden</h1>" in body and b"<li>Code: AccessDenied</li>" in body, True)
        open_to_all(s3, "shut", "s3:GetObject", prefix="open/")
        equal(ask(node, "shut", "/")[0], 403)
        equal(ask(node, "shut", "/open/1")[::2], (200, b"one"))
        equal(ask(node, "shut", "/open/none")[0], 403)
        open_to_all(s3, "shut", "s3:GetObject", "s3:ListBucket")
        equal(ask(node, "shut", "/open/none")[0], 404)
        equal(ask(node, "shut", "/")[0], 200)
    with cases.case("an error document that strangers may not read is not shown"):
        s3.put_bucket_website(Bucket="shut", WebsiteConfiguration={
            "IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "index.html"}})
        open_to_all(s3, "shut", "s3:GetObject", prefix="open/")
        status, _, body = ask(node, "shut", "/open/none")
        equal((status, b"front" in body), (403, False))
    with cases.case("a bucket without a website, and one that is not there, say so in HTML"):
        s3.create_bucket(Bucket="plain")
        status, headers, body = ask(node, "plain", "/<x>")
        equal((status, b"Code: NoSuchWebsiteConfiguration" in body), (404, True))
        status, headers, body = ask(node, "no-such", "/")
        equal((status, b"Code: NoSuchBucket" in body, b"BucketName: no-such" in body), (404, True, True))


def redirects(cases, node, s3):
    make(s3, "away", {}, {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}})
    with cases.case("all of a website may be elsewhere"):
        status, headers, _ = ask(node, "away", "/a%20b/c?x=y")
        equal((status, headers["location"]), (301, "https://example.com/a%20b/c"))
    make(s3, "rules", {"new/1": b"one", "moved": b""}, {
        "IndexDocument": {"Suffix": "index.html"}, "RoutingRules": [
            {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
            {"Condition": {"KeyPrefixEquals": "gone/", "HttpErrorCodeReturnedEquals": "404"},
             "Redirect": {"HostName": "archive.example.com", "HttpRedirectCode": "307"}},
            {"Condition": {"HttpErrorCodeReturnedEquals": "404"}, "Redirect": {"ReplaceKeyWith": "lost"}}]},
         "s3:GetObject", "s3:ListBucket")
    with cases.case("routing rules are followed by prefix and by error"):
        def to(path):
            status, headers, _ = ask(node, "rules", path)
            return status, headers.get("location")
        equal(to("/old/1"), (301, f"http://rules.{DOMAIN}/new/1"))
        equal(to("/new/1"), (200, None))
        equal(to("/gone/x"), (307, "http://archive.example.com/gone/x"))
        equal(to("/none"), (301, f"http://rules.{DOMAIN}/lost"))
    with cases.case("an object may say where it is"):
        s3.put_object(Bucket="rules", Key="moved", Body=b"", WebsiteRedirectLocation="/new/1")
        equal(to("/moved"), (301, "/new/1"))


def write_settings(cluster):
    for node in cluster.nodes:
        with open(node.config, "a") as file:
            file.write(f"website_domains: [{DOMAIN}]\n")


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="website-") as parent:
        for name in ("one", "three"):
            os.makedirs(os.path.join(parent, name))
        cluster = Cluster(sys.argv[1], os.path.join(parent, "one"), 1)
        write_settings(cluster)
        with cluster:
            node = cluster.nodes[0]
            s3 = client(node)
            configurations(cases, s3)
            pages(cases, node, s3)
            strangers(cases, node, s3)
            redirects(cases, node, s3)
        cluster = Cluster(sys.argv[1], os.path.join(parent, "three"), 3)
        write_settings(cluster)
        with cluster:
            Wire(cluster.nodes[0]).make_bucket("alive")
            wait_all_serve(cluster, "alive", "k")
            make(client(cluster.nodes[0]), "site", {"index.html": b"front"},
                 {"IndexDocument": {"Suffix": "index.html"}}, "s3:GetObject")
            with cases.case("all nodes show a website, also when one is killed"):
                for node in cluster.nodes:
                    equal(ask(node, "site", "/")[::2], (200, b"front"))
                cluster.nodes[0].kill()
                left = [ask(node, "site", "/")[::2] for node in cluster.nodes[1:]]
                equal(left, [(200, b"front")] * 2)
    cases.end()


if __name__ == "__main__":
    main()
