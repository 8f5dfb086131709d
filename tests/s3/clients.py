#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary client against a node: over HTTP and over TLS, on one drive, on four of which one is lost
halfway, and on three nodes of which one is killed halfway.

usage: clients.py BUILD CLIENT        where tests/s3/clients/CLIENT.sh says what it does
       clients.py BUILD --together CLIENT...
                                      all of them on the same nodes, which cost more than they do: each
                                      up to its middle, then what is lost, then each to its end

The script finds everything in its environment (see clients/steps.sh). It prints "halfway" and waits
for a line when a drive may go; the node is then stopped, the drive's directory is moved away, and
the node is started again.
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster
from node import Node, free_port

HERE = os.path.dirname(os.path.abspath(__file__))

# Big runs are those that a user would do; the small ones are for what TLS and drives change.
ROWS = [("HTTP, 1 drive", False, 1, 1, True), ("TLS, 1 drive", True, 1, 1, False),
        ("HTTP, 4 drives, 1 lost", False, 1, 4, False), ("TLS, 4 drives, 1 lost", True, 1, 4, True),
        ("HTTP, 3 nodes, 1 killed", False, 3, 1, False), ("TLS, 3 nodes, 1 killed", True, 3, 1, False)]
# What goes on together: name, nodes, and whether over TLS, or HTTP, where a script does the least.
TOGETHER = [("1 node, restarted", 1, (True, False)), ("3 nodes, 1 killed", 3, (True,))]


def environment(node, tls, big, client, work):
    url = node.tls_url if tls else node.url
    wanted = {
        "CLIENT": client, "ENDPOINT": url, "HOST_PORT": url.split("//")[1], "BUCKET": f"{client}-{'tls' if tls else 'http'}".replace("_", "-"),
        "CA": node.certificate if tls else "", "WORK": work, "BIG": "yes" if big else "",
        "PORT": str(free_port()), "HOME": work, "PYTHON": sys.executable,
        "CLIENTS": os.path.dirname(sys.executable),
        "NODE_PATH": os.path.join(os.path.dirname(sys.executable), "..", "node_modules"), "AWS_ACCESS_KEY_ID": node.key,
        "AWS_SECRET_ACCESS_KEY": node.secret, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2", "LC_ALL": "C.UTF-8",
    }
    if tls:
        # What Go, Python and curl each ask for. AWS_CA_BUNDLE is for the AWS command line only: Go's
        # SDK fails with it where a program brings its own transport, as rclone and the registry do.
        wanted.update(SSL_CERT_FILE=node.certificate, REQUESTS_CA_BUNDLE=node.certificate,
                      CURL_CA_BUNDLE=node.certificate)
    # Nothing else of ours, so that a proxy or a bundle of the machine does not change what is tested.
    return {**{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}, **wanted}


def lose_a_drive(node):
    """The first time; later it is started again without that drive."""
    node.stop()
    lost = node.drive_paths()[-1]
    if node.drives > 1 and os.path.isdir(lost):
        node.take_drive(lost)
    node.start()


class Script:
    """A client's script as it runs against a node, up to its middle and from there on."""

    def __init__(self, client, tls, big, node, work):
        self.client = client
        self.passed = self.failed = 0
        self.process = subprocess.Popen(
            ["bash", os.path.join(HERE, "clients", client + ".sh")], cwd=work, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1,
            env=environment(node, tls, big, client, work))

    def go(self, name):
        """Prints what it says, up to its middle or its end. Says whether it is halfway."""
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == "halfway":
                return True
            is_case = line.startswith(("ok ", "not ok "))
            self.passed += line.startswith("ok ")
            self.failed += line.startswith("not ok ")
            print(f"{line} ({name})" if is_case else line, flush=True)
        return False

    def go_on(self, name, lose):
        """To its end, which counts. What does its work twice is halfway twice."""
        self.say_go()
        while self.go(name):
            lose()
            self.say_go()
        status = self.process.wait()
        if status or not self.passed:
            self.failed += 1
            print(f"not ok {self.client} comes to its end ({name}): {status}", flush=True)

    def say_go(self):
        try:
            print("go", file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it has ended, and go() sees that

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def run_scripts(jobs, lose, node):
    """jobs: what is to run, in the words of Script, each after the name of its cases. Returns whether
    all is well."""
    scripts = []
    try:
        for name, *words in jobs:
            scripts.append((name, Script(*words)))
            scripts[-1][1].go(name)
        lose()
        for name, script in scripts:
            script.go_on(name, lose)
    finally:
        for _, script in scripts:
            script.end()
    fine = not any(script.failed for _, script in scripts)
    if not fine:
        print("\n".join("#   " + text for text in node.log_tail(1500).splitlines()))
    return fine


def run(build, name, nodes, drives, rows):
    """rows: a client, whether over TLS, and whether with much, each."""
    with tempfile.TemporaryDirectory(prefix="clients-") as parent:
        # As it is for a user.
        settings = {"RUBUS_SEGMENT_MIB": "256"} if any(big for *_, big in rows) else {}

        def jobs(node):
            for client, tls, big in rows:
                work = tempfile.mkdtemp(prefix=client + "-", dir=parent)
                yield name(tls), client, tls, big, node, work
        if nodes > 1:
            with Cluster(build, parent, nodes, drives, environment=settings) as cluster:
                return run_scripts(jobs(cluster.nodes[0]), cluster.nodes[-1].kill, cluster.nodes[0])
        with Node(build, parent, drives, settings) as node:
            return run_scripts(jobs(node), lambda: lose_a_drive(node), node)


def main():
    build, *clients = sys.argv[1:]
    fine = []
    if clients[0] == "--together":
        for name, nodes, how in TOGETHER:
            rows = [(client, tls, False) for tls in how for client in clients[1:]]
            fine.append(run(build, lambda tls: f"{'TLS' if tls else 'HTTP'}, {name}", nodes, 1, rows))
    else:
        for name, tls, nodes, drives, big in ROWS:
            fine.append(run(build, lambda _: name, nodes, drives, [(clients[0], tls, big)]))
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
