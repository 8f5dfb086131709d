# SPDX-License-Identifier: Apache-2.0
"""A node under test: a process of its own, its drives in a directory of its own, on loopback."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# Below the ports that the kernel gives to clients, so that none of them takes ours while we restart.
# tests/run.sh gives programs that run at once ports apart.
PORTS = [int(port) for port in os.environ.get("TEST_PORTS", "21000-31999").split("-")]
# A segment is as long as it will be from the start on: the shortest ones, since there are many nodes.
SETTINGS = {"RUBUS_SEGMENT_MIB": "96"}
given = set()  # none is given twice, since a node may not have taken it yet


class NodeEnded(Exception):
    pass


def free_port():
    while True:
        port = random.randint(*PORTS)
        if port in given:
            continue
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        given.add(port)
        return port


def read_key(directory):
    """The first key of a node and its secret."""
    with open(os.path.join(directory, "node", "root.key")) as file:
        values = dict(line.strip().split(": ", 1) for line in file if ": " in line)
    return values["access_key_id"], values["secret_access_key"]


class Node:
    host = "127.0.0.1"
    name = "the node"

    def __init__(self, build, parent=None, drives=1, environment=None):
        self.program = os.path.join(build, "rubus")
        self.dir = os.path.join(parent or tempfile.mkdtemp(prefix="node-"), "demo")
        self.drives = drives
        self.environment = {**os.environ, **SETTINGS, **(environment or {})}
        self.s3_port, self.admin_port = free_port(), free_port()
        self.process = None
        self.key = self.secret = None  # read at the first start: what a test does to the file is its own affair

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except Exception:
                self.kill()
                raise

    @property
    def url(self):
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def tls_url(self):
        return f"https://127.0.0.1:{self.s3_port}"

    @property
    def certificate(self):
        return os.path.join(self.dir, "node", "tls.crt")

    @property
    def log_path(self):
        return self.dir + ".log"

    def log_tail(self, length=3000):
        with open(self.log_path, errors="replace") as file:
            return file.read()[-length:]

    # --- its life -----------------------------------------------------------------------------------

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "demo", "--dir", self.dir, "--drives", str(self.drives),
                 "--s3", f"127.0.0.1:{self.s3_port}", "--admin", f"127.0.0.1:{self.admin_port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)

    def start(self, seconds=60):
        self.spawn()
        begin = time.monotonic()
        while not self.is_ready():
            if self.process.poll() is not None:
                raise NodeEnded(f"ended with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() - begin > seconds:
                self.kill()
                raise AssertionError(f"not ready after {seconds} s:\n{self.log_tail()}")
            time.sleep(0.01)
        self.start_seconds = time.monotonic() - begin
        if not self.key:
            self.key, self.secret = read_key(self.dir)
        return self

    def is_ready(self):
        try:
            self.admin("/health/ready")
            return True
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        if status != 0:
            raise AssertionError(f"ended with {status}:\n{self.log_tail()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    # --- its drives ---------------------------------------------------------------------------------

    def drive_paths(self):
        with open(os.path.join(self.dir, "rubus.yaml")) as file:
            return re.findall(r"path:\s*['\"]?([^'\"\s]+)", file.read())

    def take_drive(self, path):
        """As if it were pulled while the machine is off; call it while the node is stopped."""
        os.rename(path, path + ".away")

    def return_drive(self, path):
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(path + ".away", path)

    # --- what it says -------------------------------------------------------------------------------

    def admin(self, path):
        url = f"http://{self.host}:{self.admin_port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.admin("/metrics").splitlines()
                   if re.match(name + r"(\{|\s)", line))

    def rubus(self, *arguments):
        """Runs a command of the CLI on this node. Returns its document."""
        run = subprocess.run([self.program, *arguments, "--dir", self.dir, "--json"],
                             capture_output=True, text=True, timeout=60)
        if run.returncode:
            raise AssertionError(f"rubus {arguments}: {run.returncode}: {run.stdout}{run.stderr}")
        return json.loads(run.stdout)

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            text = file.read()
        return sum(int(re.search(name + r":\s+(\d+)", text)[1])
                   for name in ("RssAnon", "RssShmem")) / 1024
