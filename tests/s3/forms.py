#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What old clients and browsers send: signatures of version 2, uploads by forms and ACLs, over HTTP and
TLS.

usage: forms.py BUILD [WORD]...        only cases whose name has one of the words
"""
import os
import ssl
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boto_acls
import boto_forms
import boto_signatures
from boto import Client
from cases import Cases
from node import Node


class FormClient(Client):
    """A client that can also say a request by hand."""

    def fetch(self, url, method="GET", body=None, headers=None):
        """The status, headers and body of an answer, an error too. Redirects are not followed."""
        context = ssl.create_default_context(cafile=self.node.certificate) if self.tls else None
        opener = urllib.request.build_opener(
            NoRedirect, urllib.request.HTTPSHandler(context=context))
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def run(node, modules, suffix, words):
    passed = failed = 0
    for tls in (False, True):
        cases = Cases(suffix + (", TLS)" if tls else ")"))
        client = FormClient(node, tls)
        for function in [function for module in modules for function in module.functions]:
            name = function.__name__.replace("_", " ")
            if words and not any(word in name for word in words):
                continue
            with cases.case(name):
                client.new_bucket()
                function(client)
        passed, failed = passed + cases.passed, failed + cases.failed
    return passed, failed


def main():
    build, words = sys.argv[1], sys.argv[2:]
    settings = [
        ({}, (boto_signatures.case, boto_forms.case, boto_acls.case), " (defaults"),
        ({"RUBUS_SIGNATURE_V2": "all", "RUBUS_BUCKET_DEFAULTS": "classic"},
         (boto_signatures.case_all, boto_acls.case_classic), " (signature_v2: all, bucket_defaults: classic"),
        ({"RUBUS_SIGNATURE_V2": "off"}, (boto_signatures.case_off,), " (signature_v2: off"),
    ]
    passed = failed = 0
    for environment, modules, suffix in settings:
        with tempfile.TemporaryDirectory(prefix="forms-") as parent, \
                Node(build, parent, environment=environment) as node:
            results = run(node, modules, suffix, words)
        passed, failed = passed + results[0], failed + results[1]
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
