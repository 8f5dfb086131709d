#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cases of boto.py about versions, locks, policies, users, ACLs and forms against three nodes: each call
goes to the next node, so that what one answered has to hold on all.

usage: boto_cluster.py BUILD [WORD]...        only cases whose name has one of the words
"""
import itertools
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boto_acls
import boto_buckets
import boto_forms
import boto_lock
import boto_policies
import boto_seal
import boto_users
import boto_versions
from cases import Cases
from cluster import Cluster, wait_all_serve
from forms import FormClient


class Turns:
    """Clients of several nodes that take turns."""

    def __init__(self, clients):
        self.clients = itertools.cycle(clients)

    def __getattr__(self, name):
        return getattr(next(self.clients), name)


def main():
    build, words = sys.argv[1], sys.argv[2:]
    functions = boto_versions.case.functions + boto_lock.case.functions + \
        boto_policies.case.functions + boto_users.case.functions + \
        boto_acls.case.functions + boto_forms.case.functions + [boto_buckets.a_bucket_keeps_its_configurations] + \
        [boto_seal.compressed_objects_are_what_was_put, boto_seal.copies_are_encrypted_as_is_asked_for,
         boto_seal.parts_are_encrypted_as_their_upload_was_begun]
    with tempfile.TemporaryDirectory(prefix="boto-") as parent, Cluster(build, parent) as cluster:
        cases = Cases(" (boto3, three nodes)")
        clients = [FormClient(node, False) for node in cluster.nodes]
        client = clients[0]
        client.new_bucket()
        wait_all_serve(cluster, client.bucket, "ready")
        makers = [each.client for each in clients]
        client.client = lambda **of: Turns([make(**of) for make in makers])
        client.s3 = Turns([each.s3 for each in clients])
        for function in functions:
            name = function.__name__.replace("_", " ")
            if words and not any(word in name for word in words):
                continue
            with cases.case(name):
                client.new_bucket()
                function(client)
    sys.exit(1 if cases.failed or not cases.passed else 0)


if __name__ == "__main__":
    main()
