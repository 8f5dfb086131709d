# SPDX-License-Identifier: Apache-2.0
"""Several nodes under test: each a process of its own, made and joined by the commands that a user types."""
import json
import os
import signal
import subprocess
import tempfile

from cases import wait_until
from node import Node, NodeEnded, free_port, read_key
from wire import Wire


class ClusterNode(Node):
    """A node with a configuration file; the first of a cluster is made by init, others by join. One
    without drives is a witness."""

    prefix = []  # what its commands are run with

    def __init__(self, build, parent, name, drives=1, environment=None):
        super().__init__(build, parent, drives, environment)
        self.name = name
        self.dir = os.path.join(parent, name)
        self.config = os.path.join(self.dir, "rubus.yaml")
        self.cluster_port = free_port()
        os.makedirs(self.dir)
        with open(self.config, "w") as file:
            file.write(
                f"state_dir: {self.dir}/node\nnode_name: {name}\nreserve_mib: 16\n"
                f"s3_address: {self.host}:{self.s3_port}\nadmin_address: {self.host}:{self.admin_port}\n"
                f"cluster_address: {self.host}:{self.cluster_port}\n")
            file.write("drives:\n" if drives else "role: witness\n")
            for i in range(1, drives + 1):
                file.write(f"  - path: {self.dir}/drive{i}\n")

    def run(self, *words, seconds=60):
        """A command of the program for this node; gives its JSON, or its error."""
        answer = subprocess.run(
            [*self.prefix, self.program, *words, "--config", self.config, "--json"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds, env=self.environment)
        if answer.returncode != 0:
            raise AssertionError(f"rubus {' '.join(words)}: {answer.returncode} {answer.stderr[-500:]}")
        return json.loads(answer.stdout)

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.program, "serve", "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.environment)

    def wait_ready(self, seconds=60):
        def ready():
            if self.process.poll() is not None:
                raise NodeEnded(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            return self.is_ready()
        wait_until(ready, seconds, lambda: f"{self.name} is ready:\n{self.log_tail()}")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Cluster:
    def __init__(self, build, parent=None, count=3, drives=1, kind=ClusterNode, environment=None):
        self.build = build
        self.parent = parent or tempfile.mkdtemp(prefix="cluster-")
        self.nodes = [kind(build, self.parent, f"node{i + 1}", drives, environment) for i in range(count)]

    def __enter__(self):
        first = self.nodes[0]
        first.run("init")
        first.spawn()
        first.wait_ready()
        for node in self.nodes[1:]:
            self.join(node)
        self.give_key()
        self.wait_voters(len(self.nodes))
        first.run("layout", "apply")
        return self

    def __exit__(self, kind=None, *_):
        for node in self.nodes:
            if kind and os.path.exists(node.log_path):
                print(f"#   {node.name}:\n#   " + node.log_tail().replace("\n", "\n#   "), flush=True)
            if node.process and node.process.poll() is None:
                node.resume()
                node.kill()

    def join(self, node):
        token = self.nodes[0].run("token", "create")["token"]
        node.run("join", token)
        node.spawn()
        node.wait_ready()

    def give_key(self):
        key = read_key(self.nodes[0].dir)
        for node in self.nodes:
            node.key, node.secret = key

    def wait_voters(self, members, seconds=60):
        """Until all are members and as many vote as are to."""
        voters = {1: 1, 2: 2, 3: 3, 4: 3}.get(members, 5)

        def settled():
            quorum = self.nodes[0].run("quorum")
            return len(quorum["members"]) == members and quorum["voters"] == voters
        wait_until(settled, seconds, lambda: self.nodes[0].run("quorum"))

    def leader(self):
        """The node that leads, or None."""
        for node in self.nodes:
            if node.process.poll() is None:
                try:
                    if node.run("quorum", seconds=10)["role"] == "leader":
                        return node
                except (AssertionError, subprocess.TimeoutExpired):
                    pass
        return None

    def restart(self, nodes):
        for node in nodes:
            node.spawn()
        for node in nodes:
            node.wait_ready()


def used_bytes(cluster):
    """What lives on the drives of all nodes."""
    return sum(node.metric("rubus_drive_used_bytes") for node in cluster.nodes)


def is_linked(node):
    try:
        return all(other["state"] == "up" for other in node.run("node", "list")["nodes"])
    except AssertionError:
        return False


def wait_serves(node, bucket, key, seconds=60):
    """Until it answers a read and a write of a key of its own."""
    wire = Wire(node, timeout=40)

    def serves():
        try:
            return wire.put(bucket, f"{key}-{node.name}", b"x").status == 200 and \
                wire.get(bucket, f"{key}-{node.name}").status == 200
        except OSError:
            return False
    wait_until(serves, seconds, lambda: f"{node.name} serves:\n{node.log_tail()}")
    wire.close()


def wait_all_serve(cluster, bucket, key, seconds=60):
    """Until every node serves and is linked to the others."""
    for node in cluster.nodes:
        wait_serves(node, bucket, key, seconds)
        wait_until(lambda: is_linked(node), seconds, lambda: f"{node.name}: {node.run('node', 'list')}")
