#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boto3, with its defaults, against a node: over HTTP and over TLS.

usage: boto.py BUILD [WORD]...        only cases whose name has one of the words

The cases are the functions of boto_objects, boto_multipart, boto_checksums, boto_buckets, boto_versions,
boto_lock, boto_policies, boto_users and boto_seal that are marked @case; each has a bucket of its own. They name what S3 does, and where
the row of the edge tables of docs is behind it.
"""
import os
import sys
import tempfile

import boto3
from botocore.config import Config

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boto_buckets
import boto_checksums
import boto_lock
import boto_multipart
import boto_objects
import boto_policies
import boto_seal
import boto_users
import boto_versions
from cases import Cases
from node import Node


class Client:
    """What a case is given: a client, a bucket, and where to get other clients from."""

    def __init__(self, node, tls):
        self.node, self.tls = node, tls
        self.s3 = self.client()
        self.bucket_count = 0
        self.bucket = None

    def client(self, key=None, secret=None, token=None, service="s3", **config):
        return boto3.client(
            service, endpoint_url=self.node.tls_url if self.tls else self.node.url,
            aws_access_key_id=key or self.node.key,
            aws_secret_access_key=secret or self.node.secret, aws_session_token=token, region_name="us-east-1",
            verify=self.node.certificate if self.tls else None,
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=32, read_timeout=60,
                          retries={"mode": "standard", "total_max_attempts": 1}, **config))

    def new_bucket(self):
        self.bucket_count += 1
        self.bucket = f"cases-{'tls' if self.tls else 'http'}-{self.bucket_count}"
        self.s3.create_bucket(Bucket=self.bucket)
        return self.bucket


def main():
    build, words = sys.argv[1], sys.argv[2:]
    modules = (boto_objects, boto_multipart, boto_checksums, boto_buckets, boto_versions, boto_lock,
               boto_policies, boto_users, boto_seal)
    functions = [function for module in modules for function in module.case.functions]
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="boto-") as parent, Node(build, parent) as node:
        for tls in (False, True):
            cases = Cases(" (boto3, TLS)" if tls else " (boto3)")
            client = Client(node, tls)
            for function in functions:
                name = function.__name__.replace("_", " ")
                if words and not any(word in name for word in words):
                    continue
                with cases.case(name):
                    client.new_bucket()
                    function(client)
            failed, passed = failed + cases.failed, passed + cases.passed
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
