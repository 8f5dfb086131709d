#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bucket notifications on real nodes, told to webhooks over HTTP and TLS: what they say, their order,
and that they outlive webhooks that are away, nodes that are killed, and the node that tells them.

usage: notifications.py BUILD
"""
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

import boto3
from botocore.config import Config

from boto_case import refused
from cases import Cases, equal, wait_until
from cluster import Cluster, wait_all_serve
from node import free_port
from wire import Wire

ARN = "arn:rubus:sqs::{}:webhook"


class Webhook:
    """A service that is told: keeps what it took, and may be told to refuse or to be away."""

    def __init__(self, directory=None):
        self.port = free_port()
        self.messages, self.heads, self.status = [], [], 200
        self.certificate = None
        self.directory = directory
        self.server = None
        if directory:
            self.certificate = os.path.join(directory, "hook.crt")
            self.key = os.path.join(directory, "hook.key")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key,
                            "-out", self.certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        self.start()

    def start(self):
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status < 300:
                    hook.heads.append((self.path, dict(self.headers)))
                    hook.messages.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}/told?by=rubus"

    def records(self):
        return [message["Records"][0] for message in list(self.messages)]

    def told(self):
        """(event, key) of each message, those that came again left out."""
        seen, result = set(), []
        for record in self.records():
            thing = record["s3"]["object"]
            if (thing["sequencer"], thing["key"]) not in seen:
                seen.add((thing["sequencer"], thing["key"]))
                result.append((record["eventName"], urllib.parse.unquote_plus(thing["key"])))
        return result


def client(node):
    return boto3.client(
        "s3", endpoint_url=node.url, aws_access_key_id=node.key, aws_secret_access_key=node.secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 8}))


def write_settings(nodes, hooks):
    for node in nodes:
        with open(node.config, "a") as file:
            file.write("notify:\n")
            for name, (hook, token) in hooks.items():
                file.write(f"  - name: {name}\n    url: {hook.url}\n")
                if token:
                    file.write(f"    token_file: {token}\n")
                if hook.certificate:
                    file.write(f"    certificate: {hook.certificate}\n")


def rule(name, *events, **more):
    return {"Id": name, "QueueArn": ARN.format(name), "Events": list(events), **more}


def notify(s3, bucket, *rules):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(rules)} if rules else {})


def filtered(**values):
    return {"Filter": {"Key": {"FilterRules": [{"Name": n, "Value": v} for n, v in values.items()]}}}


def soon(look, expected, seconds=30):
    wait_until(lambda: look() == expected, seconds, lambda: f"{look()} is {expected}")


def configurations(cases, s3):
    s3.create_bucket(Bucket="rules")
    get = s3.get_bucket_notification_configuration

    def given_back():
        answer = get(Bucket="rules")
        answer.pop("ResponseMetadata")
        return answer

    with cases.case("a bucket without a configuration has an empty one"):
        equal(given_back(), {})
    with cases.case("what was set is given back, and taken away by an empty document"):
        wanted = {
            "QueueConfigurations": [rule("plain", "s3:ObjectCreated:*", **filtered(Prefix="a/", Suffix=".jpg"))],
            "TopicConfigurations": [{"Id": "t", "TopicArn": "arn:minio:sqs::secure:webhook",
                                     "Events": ["s3:ObjectRemoved:Delete", "s3:ObjectTagging:*"]}]}
        s3.put_bucket_notification_configuration(Bucket="rules", NotificationConfiguration=wanted)
        equal(given_back(), wanted)
        notify(s3, "rules")
        equal(given_back(), {})
    with cases.case("configurations that cannot be done are refused as S3 does"):
        def refuse(code, *rules, **more):
            return refused(501 if code == "NotImplemented" else 400, code,
                           s3.put_bucket_notification_configuration, Bucket="rules",
                           NotificationConfiguration={"QueueConfigurations": list(rules), **more})
        put = "s3:ObjectCreated:Put"
        answer = refuse("InvalidArgument", rule("nobody", put))
        equal(answer["Error"]["Message"], "Unable to validate the following destination configurations")
        equal(answer["Error"]["ArgumentName"], "Queue")
        refuse("InvalidArgument", {"QueueArn": "arn:aws:lambda:x:y:z", "Events": [put]})
        answer = refuse("InvalidArgument", rule("plain", "s3:ObjectCreated:Never"))
        equal(answer["Error"]["ArgumentValue"], "s3:ObjectCreated:Never")
        refuse("InvalidArgument", rule("plain", put), rule("secure", "s3:ObjectCreated:*"))
        refuse("InvalidArgument", rule("plain", put), {**rule("secure", "s3:ObjectRemoved:*"), "Id": "plain"})
        refuse("InvalidArgument", rule("plain", put, **filtered(prefixes="x")))
        refuse("InvalidArgument", rule("plain", put, **filtered(prefix="x" * 1025)))
        refuse("InvalidArgument", rule("plain", put, Filter={"Key": {"FilterRules": [
            {"Name": "prefix", "Value": "a"}, {"Name": "prefix", "Value": "b"}]}}))
        refuse("MalformedXML", rule("plain"))
        refuse("NotImplemented", rule("plain", "s3:ObjectRestore:*"))
        refuse("NotImplemented", EventBridgeConfiguration={})
        equal(given_back(), {})
    with cases.case("a destination that is not there is refused even if it is not to be validated"):
        answer = refused(400, "InvalidArgument", s3.put_bucket_notification_configuration,
                         Bucket="rules", SkipDestinationValidation=True,
                         NotificationConfiguration={"QueueConfigurations": [rule("later", "s3:ObjectCreated:Put")]})
        equal(answer["Error"]["Message"], "Unable to validate the following destination configurations")
        equal(given_back(), {})
        s3.put_bucket_notification_configuration(
            Bucket="rules", SkipDestinationValidation=True,
            NotificationConfiguration={"QueueConfigurations": [rule("plain", "s3:ObjectCreated:Put")]})
        notify(s3, "rules")


def messages(cases, node, s3, plain, secure):
    s3.create_bucket(Bucket="told")
    notify(s3, "told", rule("plain", "s3:ObjectCreated:*", "s3:ObjectRemoved:*", **filtered(prefix="a")),
           rule("secure", "s3:ObjectCreated:*", **filtered(prefix="t")))
    with cases.case("each event is told in its order, and what no rule is for is not"):
        etag = s3.put_object(Bucket="told", Key="a b+ü", Body=b"four")["ETag"].strip('"')
        s3.copy_object(Bucket="told", Key="a2", CopySource="told/a b+ü")
        upload = s3.create_multipart_upload(Bucket="told", Key="a3")["UploadId"]
        part = s3.upload_part(Bucket="told", Key="a3", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        s3.complete_multipart_upload(Bucket="told", Key="a3", UploadId=upload,
                                     MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        s3.put_object(Bucket="told", Key="b", Body=b"x")
        s3.delete_object(Bucket="told", Key="a2")
        s3.delete_objects(Bucket="told", Delete={"Objects": [{"Key": "a3"}, {"Key": "none"}, {"Key": "b"}]})
        soon(plain.told, [("ObjectCreated:Put", "a b+ü"), ("ObjectCreated:Copy", "a2"),
                          ("ObjectCreated:CompleteMultipartUpload", "a3"), ("ObjectRemoved:Delete", "a2"),
                          ("ObjectRemoved:Delete", "a3")])
    with cases.case("a message is the one of S3"):
        record = plain.records()[0]
        equal(plain.messages[0]["EventName"], "s3:ObjectCreated:Put")
        equal(plain.messages[0]["Key"], "told/a b+ü")
        equal((record["eventVersion"], record["eventSource"], record["awsRegion"]), ("2.1", "aws:s3", "rubus"))
        equal(record["s3"]["bucket"]["name"], "told")
        equal(record["s3"]["bucket"]["arn"], "arn:aws:s3:::told")
        equal(record["s3"]["configurationId"], "plain")
        thing = record["s3"]["object"]
        equal((thing["key"], thing["size"], thing["eTag"]), ("a+b%2B%C3%BC", 4, etag))
        equal(record["requestParameters"]["sourceIPAddress"], "127.0.0.1")
        equal(len(record["responseElements"]["x-amz-request-id"]), 16)
        equal("size" in plain.records()[3]["s3"]["object"], False)
        sequencers = [r["s3"]["object"]["sequencer"] for r in plain.records()]
        equal(sequencers, sorted(sequencers))
        path, head = plain.heads[0]
        equal((path, head["Content-Type"]), ("/told?by=rubus", "application/json"))
        equal("Authorization" in head, False)
    with cases.case("a webhook over TLS is told with its token"):
        s3.put_bucket_versioning(Bucket="told", VersioningConfiguration={"Status": "Enabled"})
        version = s3.put_object(Bucket="told", Key="tls", Body=b"x")["VersionId"]
        soon(secure.told, [("ObjectCreated:Put", "tls")])
        equal(secure.records()[0]["s3"]["object"]["versionId"], version)
        equal(secure.heads[0][1]["Authorization"], "Bearer open-sesame")
    with cases.case("a delete marker is told of as one"):
        plain.messages.clear()
        s3.put_object(Bucket="told", Key="a", Body=b"x")
        s3.delete_object(Bucket="told", Key="a")
        soon(plain.told, [("ObjectCreated:Put", "a"), ("ObjectRemoved:DeleteMarkerCreated", "a")])
    with cases.case("nothing is left when all is told"):
        soon(lambda: node.metric("rubus_notices_waiting"), 0)
        equal(node.metric("rubus_notices_dropped"), 0)


def trouble(cases, node, s3, plain, secure):
    def put(*keys):
        for key in keys:
            s3.put_object(Bucket="told", Key=key, Body=b"x")

    plain.messages.clear()
    secure.messages.clear()
    with cases.case("a webhook that refuses is told again, and holds up no other"):
        plain.status = 503
        put("a1", "a2", "t1")
        soon(secure.told, [("ObjectCreated:Put", "t1")])
        soon(lambda: node.metric("rubus_notices_waiting"), 2)
        equal(plain.told(), [])
        plain.status = 200
        soon(plain.told, [("ObjectCreated:Put", "a1"), ("ObjectCreated:Put", "a2")])
    with cases.case("a webhook that is away is told when it is back"):
        plain.stop()
        plain.messages.clear()
        put("a3", "a4")
        plain.start()
        soon(plain.told, [("ObjectCreated:Put", "a3"), ("ObjectCreated:Put", "a4")])
    with cases.case("what was not told is told after the node was killed"):
        soon(lambda: node.metric("rubus_notices_waiting"), 0)  # else some are told twice
        plain.status = 500
        plain.messages.clear()
        put(*[f"a{i}" for i in range(50)])
        node.kill()
        plain.status = 200
        node.spawn()
        node.wait_ready()
        soon(plain.told, [("ObjectCreated:Put", f"a{i}") for i in range(50)], 60)


def one_node(cases, build, parent):
    plain, secure = Webhook(), Webhook(parent)
    token = os.path.join(parent, "token")
    with open(token, "w") as file:
        file.write("open-sesame\n")
    cluster = Cluster(build, os.path.join(parent, "one"), 1)
    write_settings(cluster.nodes, {"plain": (plain, None), "secure": (secure, token)})
    with cluster:
        node = cluster.nodes[0]
        s3 = client(node)
        configurations(cases, s3)
        messages(cases, node, s3, plain, secure)
        trouble(cases, node, s3, plain, secure)


def three_nodes(cases, build, parent):
    hook = Webhook()
    cluster = Cluster(build, os.path.join(parent, "three"), 3)
    write_settings(cluster.nodes, {"plain": (hook, None)})
    with cluster:
        Wire(cluster.nodes[0]).make_bucket("alive")
        wait_all_serve(cluster, "alive", "k")
        s3 = client(cluster.nodes[0])
        s3.create_bucket(Bucket="told")
        notify(s3, "told", rule("plain", "s3:ObjectCreated:*"))
        expected = []
        with cases.case("all is told, in order for each key, whichever node is killed"):
            for node in cluster.nodes:
                wait_all_serve(cluster, "alive", "k")
                left = client(next(other for other in cluster.nodes if other is not node))
                for i in range(30):
                    if i == 15:
                        node.kill()
                    left.put_object(Bucket="told", Key=f"{node.name}/{i % 10}", Body=b"x")
                    expected.append(("ObjectCreated:Put", f"{node.name}/{i % 10}"))
                soon(lambda: len(hook.told()) >= len(expected), True, 90)
                cluster.restart([node])
            # A put that was tried again is told of twice, as it was done twice.
            equal(sorted(set(hook.told())), sorted(set(expected)))
            seen = {}
            for record in hook.records():
                thing = record["s3"]["object"]
                firsts = seen.setdefault(thing["key"], [])
                if thing["sequencer"] not in firsts:
                    firsts.append(thing["sequencer"])
            for key, firsts in seen.items():
                equal((key, firsts), (key, sorted(firsts)))
            equal(len(seen), 30)


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="notifications-") as parent:
        for name in ("one", "three"):
            os.makedirs(os.path.join(parent, name))
        one_node(cases, sys.argv[1], parent)
        three_nodes(cases, sys.argv[1], parent)
    cases.end()


if __name__ == "__main__":
    main()
