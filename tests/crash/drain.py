#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fourth node is added and the first is drained and removed, while restic backs up and images are pulled
from a container registry, both of which keep what they have in the cluster. Every pull and every backup
succeeds, and every byte is compared.

usage: drain.py BUILD [--mib N]
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3"),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3", "clients")]
import backup
from cases import Cases, equal, say, wait_until
from cluster import Cluster, ClusterNode
from grow import ask, settle, tell
from image import make_image
from node import free_port
from wire import Wire

IMAGES = "images"
CONFIG = """version: 0.1
log: {{level: warn}}
storage:
  s3:
    regionendpoint: {url}
    region: us-east-1
    bucket: {bucket}
    accesskey: {key}
    secretkey: {secret}
    secure: false
    v4auth: true
    rootdirectory: /registry
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Registry:
    """Blobs are answered with a redirect to the node that it speaks to."""

    def __init__(self, parent, node):
        self.parent, self.port = parent, free_port()
        config = os.path.join(parent, "registry.yml")
        with open(config, "w") as file:
            file.write(CONFIG.format(url=node.url, bucket=IMAGES, key=node.key, secret=node.secret, port=self.port))
        self.log = open(os.path.join(parent, "registry.log"), "wb")
        # Its SDK refuses to start where this names a file, since it brings its own transport.
        environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=environment)
        wait_until(self.answers, 30, lambda: open(self.log.name, errors="replace").read()[-2000:])

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def copy(self, *words):
        done = subprocess.run(["skopeo", "--insecure-policy", "--tmpdir", self.parent, "copy", *words],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
        assert done.returncode == 0, done.stderr[-1000:]

    def push(self, folder, name):
        self.copy("--dest-tls-verify=false", f"oci:{folder}", f"docker://127.0.0.1:{self.port}/{name}")

    def pull(self, name, folder, target):
        """And compares every blob with those that were pushed."""
        shutil.rmtree(target, ignore_errors=True)
        self.copy("--src-tls-verify=false", f"docker://127.0.0.1:{self.port}/{name}", f"oci:{target}:latest")
        equal(subprocess.run(["diff", "-r", f"{folder}/blobs", f"{target}/blobs"], check=False).returncode, 0)


class Loop(threading.Thread):
    """Does something again and again; stops at the first failure."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function, self.rounds, self.failure, self.has_ended = function, 0, None, False
        self.start()

    def run(self):
        while not self.has_ended:
            try:
                self.function(self.rounds)
            except Exception as failure:  # told by whoever waits
                self.failure = failure
                return
            self.rounds += 1

    def goes_on(self):
        """A whole round from now on."""
        target = self.rounds + 2
        wait_until(lambda: self.failure or self.rounds >= target, 240, "it goes on")
        if self.failure:
            raise self.failure

    def end(self):
        self.has_ended = True
        self.join(300)
        if self.failure:
            raise self.failure
        return self.rounds


def back_up(restic, node, parent, mib, number):
    tree = os.path.join(parent, "tree")
    backup.make_tree(tree, number, mib)
    restic.run(node, "backup", tree)
    shutil.rmtree(os.path.join(parent, "back"), ignore_errors=True)
    restic.run(node, "restore", "latest", "--target", os.path.join(parent, "back"))
    equal(subprocess.run(["diff", "-r", tree, os.path.join(parent, "back") + tree], check=False).returncode, 0)


def test(cases, cluster, registry, restic, parent, mib):
    first, second = cluster.nodes[:2]
    loops = [Loop(lambda number: registry.pull(f"team/app:{number % 2}", f"{parent}/image{number % 2}",
                                               f"{parent}/pulled")),
             Loop(lambda number: back_up(restic, second, parent, mib, number))]
    with cases.case("a fourth node is added while images are pulled and restic backs up"):
        fourth = ClusterNode(cluster.build, parent, "node4")
        fourth.key, fourth.secret = first.key, first.secret
        cluster.nodes.append(fourth)
        cluster.join(fourth)
        cluster.wait_voters(4)
        plan = ask(second, "layout", "plan")[1]
        equal((plan["profile_before"], plan["profile"]), ("2+1", "2+2"))
        equal(ask(second, "layout", "apply", plan["plan"])[0], 0)
        settle(second, "four nodes", 240)
        for loop in loops:
            loop.goes_on()
    with cases.case("the first node is drained and removed meanwhile"):
        equal(ask(second, "node", "drain", "node1", "--apply")[0], 0)
        settle(second, "node1 drained", 240)
        wait_until(lambda: ask(second, "node", "remove", "node1")[0] == 0, 60,
                   lambda: (ask(second, "node", "remove", "node1"), tell([second])()))
        equal(first.process.wait(timeout=30), 4)
        cluster.nodes.remove(first)
        for loop in loops:
            loop.goes_on()
    with cases.case("every pull and every backup succeeded, and was what it had to be"):
        pulls, backups = (loop.end() for loop in loops)
        say(f"{pulls} pulls, {backups} backups, each compared")
        restic.run(second, "check", "--read-data")
    with cases.case("an image can be pushed to those that are left, and pulled"):
        make_image(f"{parent}/image2", 2, 1000000)
        registry.push(f"{parent}/image2", "team/app:2")
        registry.pull("team/app:2", f"{parent}/image2", f"{parent}/pulled")
        wait_until(lambda: ask(second, "status")[1]["cluster"]["state"] == "ok", 30, tell(cluster.nodes))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--mib", type=int, default=24)
    options = parser.parse_args()
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="drain-") as parent, Cluster(options.build, parent) as cluster:
        second = cluster.nodes[1]
        for name in (IMAGES, backup.BUCKET):
            Wire(second).make_bucket(name)
        registry, restic = Registry(parent, second), backup.Restic(parent, second)
        try:
            restic.run(second, "init")
            for number in (0, 1):
                make_image(f"{parent}/image{number}", number, 2000000)
                registry.push(f"{parent}/image{number}", f"team/app:{number}")
            begin = time.monotonic()
            test(cases, cluster, registry, restic, parent, options.mib)
            say(f"{time.monotonic() - begin:.0f} s")
        finally:
            registry.end()
    cases.end()


if __name__ == "__main__":
    main()
