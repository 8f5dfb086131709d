#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary client against a node: over HTTP and over TLS, on one drive, on four of which one is lost
halfway, and on three nodes of which one is killed halfway.

usage: clients.py BUILD CLIENT        where tests/s3/clients/CLIENT.sh says what it does

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


def environment(node, tls, big, client, work):
    url = node.tls_url if tls else node.url
    wanted = {
        "CLIENT": client, "ENDPOINT": url, "HOST_PORT": url.split("//")[1], "BUCKET": f"{client}-data",
        "CA": node.certificate if tls else "", "WORK": work, "BIG": "yes" if big else "",
        "PORT": str(free_port()), "HOME": work, "PYTHON": sys.executable,
        "CLIENTS": os.path.dirname(sys.executable), "AWS_ACCESS_KEY_ID": node.key,
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


def run_script(client, tls, big, node, work, lose):
    """Runs the script against a node; gives a line for each case, and its exit status at the end."""
    script = subprocess.Popen(
        ["bash", os.path.join(HERE, "clients", client + ".sh")], cwd=work, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1,
        env=environment(node, tls, big, client, work))
    for line in script.stdout:
        line = line.rstrip("\n")
        if line == "halfway":
            lose()
            print("go", file=script.stdin, flush=True)
        else:
            yield line
    yield script.wait()


def judge(client, name, lines, node):
    """Prints what a script says. Returns passed, failed."""
    passed = failed = 0
    for line in lines:
        if line != 0 and not isinstance(line, str) or line == 0 and not passed:
            failed += 1
            print(f"not ok {client} comes to its end ({name}): {line}", flush=True)
        elif line != 0:
            is_case = line.startswith(("ok ", "not ok "))
            passed += line.startswith("ok ")
            failed += line.startswith("not ok ")
            print(f"{line} ({name})" if is_case else line, flush=True)
    if failed:
        print("\n".join("#   " + text for text in node.log_tail(1500).splitlines()))
    return passed, failed


def run(build, client, name, tls, nodes, drives, big):
    with tempfile.TemporaryDirectory(prefix=client + "-") as parent:
        settings = {"RUBUS_SEGMENT_MIB": "256"} if big else {}  # as it is for a user
        work = os.path.join(parent, "work")
        os.mkdir(work)
        if nodes > 1:
            with Cluster(build, parent, nodes, drives, environment=settings) as cluster:
                node = cluster.nodes[0]
                return judge(client, name, run_script(
                    client, tls, big, node, work, cluster.nodes[-1].kill), node)
        with Node(build, parent, drives, settings) as node:
            return judge(client, name, run_script(
                client, tls, big, node, work, lambda: lose_a_drive(node)), node)


def main():
    results = [run(sys.argv[1], sys.argv[2], *row) for row in ROWS]
    sys.exit(1 if any(failed for _, failed in results) else 0)


if __name__ == "__main__":
    main()
