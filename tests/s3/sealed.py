#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is compressed and encrypted while drives and nodes fail, and where a customer's key is not.

usage: sealed.py BUILD
"""
import base64
import hashlib
import http.client
import mmap
import os
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import botocore.exceptions

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "crash")]
from boto import Client
from boto_case import MIB, refused
from boto_seal import customer, mixed, source, words, zip_bucket
from cases import Cases, equal, say, wait_until
from census import records_of_drive
from cluster import Cluster, wait_all_serve
from flip import flip_blocks
from node import Node

CLUSTER = {"ServerSideEncryption": "AES256"}


# --- drives -----------------------------------------------------------------------------------------


def damage(node, more):
    """Changes a byte of every block of as many shards of each extent as it can lose, and some more."""
    extents = {}
    for drive in node.drive_paths():
        for record in records_of_drive(drive):
            extents.setdefault((record.session, record.counter), []).append(record)
    for records in extents.values():
        for record in random.sample(records, min(len(records), records[0].m + more)):
            flip_blocks(record)


def received(c, key):
    """What a client gets, whole or not, and whether it was told that this is all."""
    url = c.s3.generate_presigned_url("get_object", Params={"Bucket": c.bucket, "Key": key})
    try:
        return urllib.request.urlopen(url, timeout=60).read(), True
    except urllib.error.HTTPError as error:
        assert error.code >= 500, error
        return b"", False
    except http.client.IncompleteRead as error:
        return error.partial, False
    except OSError:
        return b"", False


def drives_fail(cases, build, parent):
    with Node(build, parent, 4) as node:
        c = Client(node, False)
        c.new_bucket()
        bodies = {}
        for is_zipped in (False, True):
            if is_zipped:
                zip_bucket(c)
            for length in (100000, 700001, 5 * MIB):
                for name, data in (("mixed", mixed(length)), ("noise", random.randbytes(length))):
                    key = f"{name}-{length}-{is_zipped}"
                    c.s3.put_object(Bucket=c.bucket, Key=key, Body=data, **CLUSTER)
                    bodies[key] = data
        with cases.case("encrypted bodies are read back from damaged drives"):
            node.stop()
            damage(node, 0)
            node.start()
            for key, data in bodies.items():
                equal(received(c, key) == (data, True), True)
            assert node.metric("rubus_bad_blocks_total") > 0, "no bad block was counted"
        with cases.case("of encrypted bodies that are lost no wrong byte is sent"):
            node.stop()
            damage(node, 1)
            node.start()
            lost = 0
            for key, data in bodies.items():
                got, is_whole = received(c, key)
                assert data.startswith(got), f"{key}: {len(got)} bytes, and not those that were put"
                equal(is_whole, len(got) == len(data))
                lost += not is_whole
            assert lost, "nothing was lost: the test changes nothing"
            say(f"{lost} of {len(bodies)} bodies were refused or cut off")


# --- keys -------------------------------------------------------------------------------------------


def files_with(folder, texts):
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and os.path.getsize(path):
                with open(path, "rb") as file, \
                        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    for text in texts:
                        if data.find(text) >= 0:
                            yield path


def keys_are_nowhere(cases, build, parent):
    key, data = os.urandom(32), mixed(700000)
    sealed = customer(key)
    with Node(build, parent, 1) as node, cases.case("a customer's key is in no log and on no drive"):
        c = Client(node, True)
        c.new_bucket()
        c.s3.put_object(Bucket=c.bucket, Key="canary-of-the-index", Body=data, **sealed)
        c.s3.put_object(Bucket=c.bucket, Key="short", Body=b"short", **sealed)
        equal(c.s3.get_object(Bucket=c.bucket, Key="short", **sealed)["Body"].read(), b"short")
        c.s3.copy_object(Bucket=c.bucket, Key="copy", CopySource={"Bucket": c.bucket, "Key": "short"},
                         **sealed, **source(key))
        upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="parts", **sealed)["UploadId"]
        c.s3.upload_part(Bucket=c.bucket, Key="parts", UploadId=upload, PartNumber=1, Body=data, **sealed)
        refused(403, "AccessDenied", c.s3.get_object, Bucket=c.bucket, Key="short", **customer(b"y" * 32))
        refused(404, "NoSuchKey", c.s3.get_object, Bucket=c.bucket, Key="none", **sealed)
        plain = Client(node, False)
        refused(400, "InvalidRequest", plain.s3.put_object, Bucket=c.bucket, Key="k", Body=b"x", **sealed)
        c.s3.put_object(Bucket=c.bucket, Key="short", Body=words(100000), **sealed)
        md5 = base64.b64encode(hashlib.md5(key).digest())
        secrets = [key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key), md5]
        metrics = node.admin("/metrics").encode()
        assert not any(text in metrics for text in secrets)
        node.stop()
        assert list(files_with(parent, [b"canary-of-the-index"])), "the name is not found either"
        equal(list(files_with(parent, secrets)), [])


# --- nodes ------------------------------------------------------------------------------------------


class Writer(threading.Thread):
    """Puts and reads bodies by one node until it is told to stop; knows what was acknowledged."""

    def __init__(self, client, bucket, name):
        super().__init__()
        self.client, self.bucket, self.name_of = client, bucket, name
        self.acknowledged, self.failure = {}, None
        self.is_over = False

    def run(self):
        rng = random.Random(self.name_of)
        number = 0
        while not self.is_over and not self.failure:
            length = rng.choice((3000, 90000, 400000, 1500000))
            data = rng.choice((mixed, rng.randbytes))(length)
            number += 1
            key = f"{self.name_of}-{number}"
            try:
                self.client.s3.put_object(Bucket=self.bucket, Key=key, Body=data,
                                          **rng.choice(({}, CLUSTER)))
                self.acknowledged[key] = data
                old = rng.choice(list(self.acknowledged))
                got = self.client.s3.get_object(Bucket=self.bucket, Key=old)["Body"].read()
                if got != self.acknowledged[old]:
                    self.failure = f"{old} is something else"
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError):
                time.sleep(0.1)  # no answer, or not now: it is the others that count


def a_node_fails(cases, build, parent):
    with Cluster(build, parent) as cluster:
        clients = [Client(node, False) for node in cluster.nodes]
        bucket = clients[0].new_bucket()
        wait_all_serve(cluster, bucket, "ready")
        cluster.nodes[0].run("bucket", "set", bucket, "compression=zstd")
        writers = [Writer(client, bucket, f"w{i}") for i, client in enumerate(clients[:2])]
        with cases.case("encrypted and compressed bodies are written and read while a node is killed"):
            for writer in writers:
                writer.start()
            try:
                time.sleep(2)
                before = [len(writer.acknowledged) for writer in writers]
                cluster.nodes[2].kill()
                wait_until(lambda: all(len(writer.acknowledged) > count + 5 or writer.failure
                                       for writer, count in zip(writers, before)), 40, "writes go on")
            finally:
                for writer in writers:
                    writer.is_over = True
                for writer in writers:
                    writer.join()
            equal([writer.failure for writer in writers], [None, None])
        with cases.case("the node that comes back serves what was written without it"):
            cluster.restart(cluster.nodes[2:])
            wait_all_serve(cluster, bucket, "again")
            count = 0
            for writer in writers:
                for key, data in writer.acknowledged.items():
                    got = clients[2].s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                    assert got == data, key
                    count += 1
            say(f"{count} bodies were read back")


def main():
    build = sys.argv[1]
    cases = Cases()
    for part in (drives_fail, keys_are_nowhere, a_node_fails):
        with tempfile.TemporaryDirectory(prefix="sealed-") as parent:
            part(cases, build, parent)
    cases.end()


if __name__ == "__main__":
    main()
