#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that cannot be installed here, replayed: over TLS and, where they can, over HTTP, on one node
that is started again halfway, and over TLS on three nodes of which one is killed halfway.

usage: clients_replayed.py BUILD [CLIENT]...
"""
import contextlib
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import replay_gitlab
import replay_go
import replay_pbs
from cases import Cases, say
from cluster import Cluster
from edge_case import fine
from node import Node
from wire import Wire

# What plays it, its name, and whether it speaks without TLS.
CLIENTS = {
    "pbs": (replay_pbs.play, "Proxmox Backup Server 4", False),
    "terraform": (replay_go.terraform, "Terraform", True),
    "gitlab": (replay_gitlab.play, "GitLab", True),
    "velero": (replay_go.velero, "Velero", True),
    "thanos": (replay_go.thanos, "Thanos and Loki", True),
    "restic": (replay_go.restic, "restic 0.19", True),
    "k3s": (replay_go.k3s, "k3s", True),
}


class Place:
    """Where a client plays: a node, another that will live, and cases that bear the client's name."""

    def __init__(self, cases, client, nodes, tls):
        self.play, self.name, self.can_http = CLIENTS[client]
        self.cases, self.tls = cases, tls
        self.node, self.other = nodes[0], nodes[-2]
        self.bucket = f"{client}-{'tls' if tls else 'http'}"
        self.full = tls and nodes[0] is nodes[-1]

    def case(self, name):
        return self.cases.case(f"replayed {self.name}: {name}")

    def rubus(self, *words):
        """A command of the program, as its user types it."""
        return self.node.run(*words) if hasattr(self.node, "run") else self.node.rubus(*words)

    def policy(self, text):
        wire = Wire(self.node, self.tls)
        fine(wire.request("PUT", "/" + self.bucket, text.encode(), query=[("policy", "")]), 204)
        wire.close()


@contextlib.contextmanager
def one_node(build, parent):
    with Node(build, parent) as node:
        yield [node, node], node.restart


@contextlib.contextmanager
def three_nodes(build, parent):
    with Cluster(build, parent) as cluster:
        yield cluster.nodes, cluster.nodes[-1].kill


def run(clients, start, suffix, ways, build):
    with tempfile.TemporaryDirectory(prefix="replayed-") as parent, start(build, parent) as (nodes, lose):
        all_cases, plays = [], []
        for tls in ways:
            cases = Cases(f" ({'TLS' if tls else 'HTTP'}, {suffix})")
            all_cases.append(cases)
            places = [Place(cases, client, nodes, tls) for client in clients]
            plays += [place.play(place) for place in places if tls or place.can_http]
        for play in plays:
            next(play)
        lose()
        for play in plays:
            if next(play, None) is not None:
                say("a client has more than two halves")
        return not any(cases.failed for cases in all_cases)


def main():
    build, *clients = sys.argv[1:]
    clients = clients or list(CLIENTS)
    fine = [run(clients, one_node, "1 node, restarted", (True, False), build),
            run(clients, three_nodes, "3 nodes, 1 killed", (True,), build)]
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
