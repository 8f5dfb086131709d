#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary client against a node: over HTTP and over TLS, on one drive, and on four of which one is
lost halfway.

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
from node import Node, free_port

HERE = os.path.dirname(os.path.abspath(__file__))

# Big runs are those that a user would do; the small ones are for what TLS and drives change.
ROWS = [("HTTP, 1 drive", False, 1, True), ("TLS, 1 drive", True, 1, False),
        ("HTTP, 4 drives, 1 lost", False, 4, False), ("TLS, 4 drives, 1 lost", True, 4, True)]


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


def run(build, client, name, tls, drives, big):
    """Returns passed, failed."""
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix=client + "-") as parent:
        work = os.path.join(parent, "work")
        os.mkdir(work)
        with Node(build, parent, drives) as node:
            script = subprocess.Popen(
                ["bash", os.path.join(HERE, "clients", client + ".sh")], cwd=work, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1,
                env=environment(node, tls, big, client, work))
            for line in script.stdout:
                line = line.rstrip("\n")
                if line == "halfway":
                    lose_a_drive(node)
                    print("go", file=script.stdin, flush=True)
                elif line.startswith(("ok ", "not ok ")):
                    passed += line.startswith("ok ")
                    failed += not line.startswith("ok ")
                    print(f"{line} ({name})", flush=True)
                else:
                    print(line, flush=True)
            if script.wait() != 0 or not passed:
                failed += 1
                print(f"not ok {client} comes to its end ({name}): {script.returncode}", flush=True)
            if failed:
                print("\n".join("#   " + text for text in node.log_tail(1500).splitlines()))
    return passed, failed


def main():
    results = [run(sys.argv[1], sys.argv[2], *row) for row in ROWS]
    sys.exit(1 if any(failed for _, failed in results) else 0)


if __name__ == "__main__":
    main()
