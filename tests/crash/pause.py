#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The node that leads stands still for longer than its session lives (SIGSTOP), with uploads in flight
through it, and goes on. The others answer meanwhile; what it says afterwards is what is true then.

usage: pause.py BUILD [--seconds N]
"""
import argparse
import http.client
import os
import random
import socket
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster, used_bytes, wait_all_serve
from wire import UNSIGNED, Answer, Wire

BUCKET = "pause"
KEYS = 12
LOST = (OSError, http.client.HTTPException)
# What an upload may end with: done; not done; its body came too late; no answer.
FINE = (200, "ServiceUnavailable", "SlowDown", "RequestTimeout", "closed")
GAP_S = 20  # the longest time that the others may be without a leader, on a busy machine


class Upload(Wire):
    """A put that stops in the middle, until it is told to go on."""

    def __init__(self, node, key, body):
        super().__init__(node, timeout=90)
        self.key, self.body, self.half = key, body, len(body) // 2
        self.ended = "no answer"

    def begin(self):
        path = f"/{BUCKET}/{self.key}"
        headers = {"host": f"{self.host}:{self.port}", "content-length": str(len(self.body))}
        self.signer.sign("PUT", path, (), headers, UNSIGNED)
        connection = self.connect()
        connection.putrequest("PUT", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(self.body[:self.half])

    def end(self):
        try:
            self.connection.send(self.body[self.half:])
        except OSError:
            pass  # there may be an answer all the same
        try:
            response = self.connection.getresponse()
            self.ended = Answer(response.status, response.headers, response.read()).code or response.status
        except LOST:
            self.ended = "closed"
        self.close()


class Question(threading.Thread):
    """A get that is sent to the node while it stands still, and is answered later."""

    def __init__(self, node, key):
        super().__init__(daemon=True)
        self.wire, self.key, self.answer = Wire(node, timeout=120), key, None
        self.start()

    def run(self):
        try:
            self.answer = self.wire.get(BUCKET, self.key)
        except LOST:
            pass


class Others:
    """A client of each node that runs, which writes and reads what it wrote, one thing after the other."""

    def __init__(self, nodes, values):
        self.nodes, self.values = nodes, values
        self.count = 0
        self.longest = 0.0

    def run(self, until):
        rng, last = random.Random(4), time.monotonic()
        wires = [Wire(node, timeout=60) for node in self.nodes]
        while time.monotonic() < until:
            key = rng.choice(sorted(self.values))
            body = rng.randbytes(rng.choice((10, 5000, 200000)))
            try:
                answer = rng.choice(wires).put(BUCKET, key, body)
            except LOST as error:
                raise AssertionError(f"a node that runs gave no answer: {error!r}") from error
            if answer.status == 200:
                self.values[key] = body
                equal(rng.choice(wires).get(BUCKET, key).body, body)
                self.count += 1
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()
            else:
                equal(answer.status, 503)
            time.sleep(0.05)
        self.longest = max(self.longest, time.monotonic() - last)


def read_through(node, values, seconds):
    """Asks it from the first moment, until it has answered for every key. What it answers must be true."""
    left, refused, begin = set(values), 0, time.monotonic()
    wire = Wire(node, timeout=60)
    while left:
        assert time.monotonic() - begin < seconds, f"{node.name} does not serve:\n{node.log_tail()}"
        for key in sorted(left):
            try:
                answer = wire.get(BUCKET, key)
            except LOST:
                refused += 1
                continue
            if answer.status == 200:
                assert answer.body == values[key], f"{key}: {answer} is not what was written last"
                left.discard(key)
            else:
                equal(answer.status, 503)
                refused += 1
                time.sleep(0.05)
    return time.monotonic() - begin, refused


def deleted_meanwhile(others):
    wire = Wire(others[0])
    equal(wire.delete(BUCKET, "deleted").status, 204)
    equal(Wire(others[1]).get(BUCKET, "deleted").status, 404)


def test(cases, cluster, seconds):
    rng = random.Random(3)
    values = {f"k{i}": b"before" for i in range(KEYS)}
    wait_until(cluster.leader, 30, "there is a leader")
    still = cluster.leader()
    others = [node for node in cluster.nodes if node is not still]
    wire = Wire(still)
    for key, body in [*values.items(), ("deleted", rng.randbytes(300000))]:
        equal(wire.put(BUCKET, key, body).status, 200)
    uploads = [Upload(still, f"upload-{size}", rng.randbytes(size)) for size in (9000, 400000, 12 << 20)]
    for upload in uploads:
        upload.begin()
    part_upload = wire.start_upload(BUCKET, "parts")
    etag = wire.put_part(BUCKET, "parts", part_upload, 1, rng.randbytes(5 << 20)).headers["etag"]
    time.sleep(0.3)
    still.pause()
    begin = time.monotonic()
    load = Others(others, values)
    with cases.case(f"two of three nodes answer while the leader stands still for {seconds} s"):
        load.run(begin + seconds / 2)
        deleted_meanwhile(others)
        questions = [Question(still, key) for key in ("k0", "k1", "deleted")]
        load.run(begin + seconds)
        assert load.count > 20, f"only {load.count} writes succeeded"
        assert load.longest < GAP_S, f"nothing was written for {load.longest:.1f} s"
    still.resume()
    with cases.case("the one that stood still answers nothing that is no longer true"):
        took, refused = read_through(still, values, 60)
        for question in questions:
            question.join(120)
            answer = question.answer
            if answer and answer.status != 503:
                expected = (404, None) if question.key == "deleted" else (200, values[question.key])
                equal((answer.status, answer.body if expected[1] else None), expected)
        equal(Wire(still).get(BUCKET, "deleted").status, 404)
    with cases.case("uploads through it end with an error, or with what all nodes have"):
        for upload in uploads:
            upload.end()
            assert upload.ended in FINE, upload.ended
            if upload.ended == 200:
                for node in cluster.nodes:
                    equal(Wire(node).get(BUCKET, upload.key).body, upload.body)
    with cases.case("an upload of parts that was begun before goes on"):
        wait_all_serve(cluster, BUCKET, "alive")
        equal(wire.complete_upload(BUCKET, "parts", part_upload, [etag]).status, 200)
    say(f"{load.count} writes meanwhile, at most {load.longest:.1f} s between two; it served again "
        f"{took:.1f} s after, with {refused} refusals; uploads ended with {[one.ended for one in uploads]}")
    with cases.case("and the nodes agree, and keep nothing of uploads that failed"):
        for node in cluster.nodes:
            read_through(node, values, 60)
        kept = {one.key for one in uploads if one.ended == 200}
        for upload in uploads:
            seen = {Wire(node).head(BUCKET, upload.key).status for node in cluster.nodes}
            assert len(seen) == 1 and (upload.key not in kept or seen == {200}), (upload.key, seen)
        for key, _, _ in list(wire.list(BUCKET)):
            equal(wire.delete(BUCKET, key).status, 204)
        wait_until(lambda: used_bytes(cluster) == 0, 90, lambda: [
            node.metric("rubus_drive_used_bytes") for node in cluster.nodes])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seconds", type=float, default=33)
    options = parser.parse_args()
    socket.setdefaulttimeout(120)
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="pause-") as parent, Cluster(options.build, parent) as cluster:
        Wire(cluster.nodes[0]).make_bucket(BUCKET)
        test(cases, cluster, options.seconds)
    cases.end()


if __name__ == "__main__":
    main()
