#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hardware that comes and goes under three nodes while clients write, read and delete: a drive is replaced,
a dead one is given up, and a fourth node takes the place of the first. What was acknowledged is written
down outside of them and read back in full at the end, from every node that is left.

usage: grow.py BUILD [--seed N] [--slow]

With --slow one node grows to seven, as docs/OPERATING.md has it, and the last one is drained while restic
backs up; two nodes become one, without the one that leads; and a dead node is removed.
"""
import argparse
import hashlib
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
import backup
from cases import Cases, equal, say, wait_until
from cluster import Cluster, ClusterNode
from ledger import ABSENT, Ledger, Model, body_of
from wire import Wire

CLIENTS = 3
KEYS = 20  # of each client; slots that hold something take turns
BUCKET = "grow"
LOST = (OSError, http.client.HTTPException)
SIZES = (10, 5000, 100000, 300000, 1 << 20, 5 << 20)
PACE_S = 0.1  # the nodes and the clients share two cores


def ask(node, *words, seconds=60):
    """The exit status of a command and the one document that it prints."""
    answer = subprocess.run(
        [node.program, *words, "--config", node.config, "--json"], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=seconds)
    return answer.returncode, json.loads(answer.stdout)


class Client(threading.Thread):
    """Writes, deletes and reads back its own keys on any of the nodes that serve; its ledger says what it
    was told."""

    def __init__(self, load, number, seed):
        super().__init__(daemon=True)
        self.load, self.number = load, number
        self.path = os.path.join(load.parent, f"ledger-{number}")
        self.ledger = Ledger(self.path)
        self.rng = random.Random(f"{seed} {number}")
        self.serial = number << 20
        self.known = {}  # key: its state, where that is certain
        self.wrong, self.reads, self.unanswered = [], 0, 0

    def run(self):
        while not self.load.has_ended:
            node = self.rng.choice(self.load.nodes)
            wire = Wire(node, timeout=40)
            try:
                for _ in range(10):
                    if self.load.has_ended:
                        break
                    self.rng.choice((self.put, self.put, self.put, self.delete, self.get, self.get))(wire)
                    time.sleep(PACE_S)
            except LOST:
                self.unanswered += 1
                time.sleep(0.2)
            wire.close()

    def change(self, key, state, function):
        self.known.pop(key, None)
        self.ledger.ask(key, state)
        try:
            answer = function()
        except LOST:
            self.ledger.outcome("unknown")
            raise
        is_done = answer.status in (200, 204) and answer.code is None
        self.ledger.outcome("ok" if is_done else "unknown")
        if is_done:
            self.known[key] = state
        else:
            self.unanswered += 1

    def key(self):
        return f"{self.number}/{self.rng.randrange(KEYS):03}"

    def put(self, wire):
        key, size = self.key(), self.rng.choice(SIZES)
        self.serial += 1
        body = body_of(size, self.serial)
        state = [size, self.serial, hashlib.md5(body).hexdigest()]
        self.change(key, state, lambda: wire.put(BUCKET, key, body))

    def delete(self, wire):
        key = self.key()
        self.change(key, ABSENT, lambda: wire.delete(BUCKET, key))

    def get(self, wire):
        if not self.known:
            return
        key = self.rng.choice(sorted(self.known))
        answer, state = wire.get(BUCKET, key), self.known[key]
        self.reads += 1
        if answer.status == 503:
            self.unanswered += 1
        elif state is ABSENT and answer.status != 404:
            self.wrong.append(f"{key}: {answer}, and was deleted")
        elif state is not ABSENT and (answer.status != 200 or answer.body != body_of(*state[:2])):
            self.wrong.append(f"{key}: {answer}, not {state}")


class Load:
    def __init__(self, nodes, parent, seed):
        self.nodes, self.parent, self.has_ended = list(nodes), parent, False
        self.clients = [Client(self, i, seed) for i in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def end(self):
        self.has_ended = True
        for client in self.clients:
            client.join(120)
            assert not client.is_alive(), f"client {client.number} does not end"

    def done(self):
        return sum(client.serial - (client.number << 20) + client.reads for client in self.clients)

    def goes_on(self):
        """Clients get answers now."""
        before = self.done()
        wait_until(lambda: self.done() >= before + 20, 40, "clients are served")

    def check_reads(self):
        equal([why for client in self.clients for why in client.wrong], [])


def nothing_moves(node):
    status, diff = ask(node, "layout", "diff")
    return status == 0 and not diff["changes"]


def is_whole(node):
    """Nothing moves, nothing is missing, and all is coded as the ring says."""
    cluster = ask(node, "status")[1].get("cluster", {})
    return nothing_moves(node) and \
        [cluster.get(name) for name in ("missing", "exceptions", "under_profile")] == [0, 0, 0]


def tell(nodes):
    return lambda: "\n".join(f"{node.name}: {ask(node, 'layout', 'diff')} {ask(node, 'status')}\n{node.log_tail()}"
                             for node in nodes)


def settle(node, what, seconds=60):
    begin = time.monotonic()
    wait_until(lambda: is_whole(node), seconds, tell([node]))
    say(f"{what}: whole again after {time.monotonic() - begin:.1f} s")


def number_of(node, path):
    drives = ask(node, "drive", "list")[1]["drives"]
    return str(next(drive["number"] for drive in drives if drive["path"] == path))


def remove_drive(node, number):
    wait_until(lambda: ask(node, "drive", "safe-to-remove", number)[0] == 0, 20,
               lambda: ask(node, "drive", "safe-to-remove", number))
    wait_until(lambda: ask(node, "drive", "remove", number)[0] == 0, 60,
               lambda: (ask(node, "drive", "remove", number), node.log_tail()))


def replace_drive(cases, cluster, load):
    node = cluster.nodes[0]
    old, path = f"{node.dir}/drive1", f"{node.dir}/drive3"
    with cases.case("a drive is replaced by a new one while clients are served"):
        number = number_of(node, old)
        status, plan = ask(node, "drive", "replace", number, path)
        equal((status, plan["applied"], plan["changes"]), (0, False, True))
        new = next(drive for drive in plan["drives"] if drive["drive"] == plan["drive"])
        places = next(drive for drive in plan["drives"] if str(drive["drive"]) == number)["shards_before"]
        equal((new["shards_before"], new["shards_after"]), (0, places))
        assert nothing_moves(node)
        status, plan = ask(node, "drive", "replace", number, path, "--apply")
        equal((status, plan["applied"]), (0, True))
        settle(node, "replaced")
        remove_drive(node, number)
        load.goes_on()
    with cases.case("a removed drive is not missed, and the new one is there, after a start"):
        load.nodes.remove(node)
        node.stop()
        shutil.rmtree(old)
        cluster.restart([node])
        load.nodes.append(node)
        drives = {drive["path"]: drive["state"] for drive in ask(node, "drive", "list")[1]["drives"]}
        equal(drives[path], "up")
        load.goes_on()


def give_up_drive(cases, cluster, load):
    node, other = cluster.nodes[1], cluster.nodes[0]
    path = f"{node.dir}/drive1"
    number = number_of(node, path)
    with cases.case("a drive that works is not given up"):
        equal(ask(other, "drive", "gone", number)[0], 6)
    with cases.case("a dead drive is given up, and what it held is made anew"):
        load.nodes.remove(node)
        node.kill()
        os.rename(path, path + ".dead")
        cluster.restart([node])
        load.nodes.append(node)
        wait_until(lambda: ask(other, "drive", "gone", number)[0] == 0, 30,
                   lambda: ask(other, "drive", "gone", number))
        settle(other, "given up")
        equal(ask(other, "layout", "history")[1]["history"][-1]["what"], f"give up drive {number}")
        load.goes_on()
        remove_drive(other, number)


def replace_node(cases, cluster, load):
    first, second = cluster.nodes[:2]
    fourth = ClusterNode(cluster.build, cluster.parent, "node4", 2)
    fourth.key, fourth.secret = first.key, first.secret
    cluster.nodes.append(fourth)
    with cases.case("a fourth node joins while clients are served"):
        cluster.join(fourth)
        cluster.wait_voters(4)
        load.nodes.append(fourth)
        load.goes_on()
    with cases.case("it takes its share, and all is coded for four nodes"):
        plan = ask(second, "layout", "plan")[1]
        equal((plan["profile_before"], plan["profile"]), ("2+1", "2+2"))
        equal(ask(second, "layout", "apply", plan["plan"])[0], 0)
        settle(second, "grown to four nodes", 120)
        load.goes_on()
    with cases.case("a node that works and holds shards is not removed"):
        equal(ask(second, "node", "remove", "node1")[0], 6)
    with cases.case("a plan of other drives is refused"):
        plan = ask(second, "layout", "plan")[1]["plan"]
        equal(ask(second, "node", "drain", "node1")[0], 0)
        equal(ask(second, "layout", "apply", plan)[0], 6)
        assert nothing_moves(second)
    with cases.case("the first node is drained while clients are served"):
        status, plan = ask(second, "layout", "plan")
        equal((status, plan["profile_before"], plan["profile"]), (0, "2+2", "2+1"))
        equal(ask(second, "layout", "apply", plan["plan"])[0], 0)
        settle(second, "drained", 120)
        load.goes_on()
    with cases.case("it is removed, ends by itself, and does not start again"):
        load.nodes.remove(first)
        wait_until(lambda: ask(second, "node", "remove", "node1")[0] == 0, 60,
                   lambda: (ask(second, "node", "remove", "node1"), tell(cluster.nodes)()))
        equal(first.process.wait(timeout=30), 4)
        assert "this node was removed from its cluster" in first.log_tail(), first.log_tail()
        first.spawn()
        equal(first.process.wait(timeout=30), 4)
        cluster.nodes.remove(first)
        names = {node["name"] for node in ask(second, "node", "list")[1]["nodes"]}
        equal(names, {"node2", "node3", "node4"})
        cluster.wait_voters(3)
        load.goes_on()


def read_back(cases, cluster, load):
    load.end()
    model = Model()
    for client in load.clients:
        model.read(client.path)
    with cases.case("clients read what they wrote all the time"):
        load.check_reads()
    with cases.case("the cluster is ok at the end"):
        wait_until(lambda: ask(cluster.nodes[0], "status")[1]["cluster"]["state"] == "ok", 30,
                   tell(cluster.nodes))
    for node in cluster.nodes:
        with cases.case(f"{node.name} has all that was acknowledged and nothing that was deleted"):
            wire = Wire(node, timeout=40)
            listed = {key: (size, etag) for key, size, etag in wire.list(BUCKET)}
            wrong = [model.observe(key, *listed.get(key, (None, None)))
                     for key in sorted(model.states.keys() | listed.keys())]
            for key in model.present():
                state = model.states[key][-1]
                answer = wire.get(BUCKET, key)
                if answer.status != 200 or answer.body != body_of(*state[:2]):
                    wrong.append(f"{key}: {answer}, not {state}")
            equal([why for why in wrong if why], [])
            wire.close()
    say(f"{model.acknowledged} writes acknowledged, {model.unknown} of unknown outcome, "
        f"{sum(client.reads for client in load.clients)} reads, {len(model.present())} objects at the end")


def drain_under_backup(cases, cluster, parent):
    node, last = cluster.nodes[1], cluster.nodes[-1]
    Wire(node).make_bucket(backup.BUCKET)
    tree, restic = os.path.join(parent, "tree"), backup.Restic(parent, node)
    backup.make_tree(tree, 7, 48)
    restic.run(node, "init")
    with cases.case("a node is drained while restic backs up, and every byte can be read"):
        running = restic.start(node, "backup", tree)
        try:
            wait_until(lambda: ask(node, "layout", "show")[1]["stored"] > 16 << 20, 60, "it has begun")
            assert running.poll() is None, "the backup ended too soon"
            equal(ask(node, "node", "drain", last.name, "--apply")[0], 0)
            restic.end(running)
        finally:
            running.kill()
        settle(node, f"{last.name} drained", 180)
        restic.run(node, "check", "--read-data")
        wait_until(lambda: ask(node, "node", "remove", last.name)[0] == 0, 60,
                   lambda: ask(node, "node", "remove", last.name))
        equal(last.process.wait(timeout=30), 4)
        restic.run(node, "check", "--read-data")


def one_to_seven(cases, options):
    with tempfile.TemporaryDirectory(prefix="seven-") as parent, \
            Cluster(options.build, parent, count=1) as cluster:
        first = cluster.nodes[0]
        Wire(first).make_bucket(BUCKET)
        load = Load(cluster.nodes, parent, options.seed)
        time.sleep(3)
        for count, profile in ((2, "1+1"), (3, "2+1"), (4, "2+2"), (5, "3+2"), (6, "4+2"), (7, "4+2")):
            with cases.case(f"{count} nodes: what is stored is spread over all, as {profile}"):
                node = ClusterNode(cluster.build, parent, f"node{count}")
                node.key, node.secret = first.key, first.secret
                cluster.nodes.append(node)
                cluster.join(node)
                cluster.wait_voters(count)
                load.nodes.append(node)
                plan = ask(first, "layout", "plan")[1]
                equal((plan["profile"], plan["changes"]), (profile, True))
                equal(ask(first, "layout", "apply", plan["plan"])[0], 0)
                settle(first, f"{count} nodes", 180)
                shards = [drive["shards"] for drive in ask(first, "layout", "show")[1]["drives"]]
                assert len(shards) == count and min(shards) > 0, shards
                load.goes_on()
        read_back(cases, cluster, load)
        drain_under_backup(cases, cluster, parent)


def few_nodes(cases, options):
    with tempfile.TemporaryDirectory(prefix="few-") as parent, \
            Cluster(options.build, parent, count=2) as cluster:
        first, second = cluster.nodes
        Wire(first).make_bucket(BUCKET)
        load = Load(cluster.nodes, parent, options.seed)
        time.sleep(3)
        with cases.case("of two nodes the one that leads is removed, and the other goes on alone"):
            wait_until(cluster.leader, 30, "there is a leader")
            gone = cluster.leader()
            left = second if gone is first else first
            equal(ask(left, "node", "drain", gone.name, "--apply")[0], 0)
            settle(left, "drained", 60)
            load.nodes.remove(gone)
            wait_until(lambda: ask(left, "node", "remove", gone.name, seconds=100)[0] == 0, 70,
                       lambda: (ask(left, "node", "remove", gone.name, seconds=100), tell([left])()))
            equal(gone.process.wait(timeout=30), 4)
            equal((ask(left, "quorum")[1]["voters"], ask(left, "node", "drain", left.name)[0]), (1, 6))
            load.goes_on()
        cluster.nodes = [left]
        for number in (3, 4, 5):
            node = ClusterNode(cluster.build, parent, f"node{number}")
            node.key, node.secret = first.key, first.secret
            cluster.nodes.append(node)
            cluster.join(node)
            cluster.wait_voters(len(cluster.nodes))
        with cases.case("a dead node is removed once its drives were given up"):
            equal(ask(left, "layout", "apply")[1]["profile"], "2+2")
            settle(left, "2+2", 60)
            dead = cluster.nodes[1]
            number = next(str(drive["drive"]) for drive in ask(left, "layout", "show")[1]["drives"]
                          if drive["node"] == dead.name)
            dead.kill()
            wait_until(lambda: "drive gone " + number in ask(left, "node", "remove", dead.name)[1]["error"]["message"],
                       60, lambda: ask(left, "node", "remove", dead.name))
            status, answer = ask(left, "drive", "gone", number)
            equal((status, answer["applied"], answer["profile"]), (0, False, "2+1"))
            equal(ask(left, "layout", "apply", answer["plan"])[0], 0)
            settle(left, "made anew on three", 120)
            equal(ask(left, "node", "remove", dead.name)[0], 0)
            cluster.nodes.remove(dead)
            remove_drive(left, number)
            load.goes_on()
        read_back(cases, cluster, load)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    cases = Cases()
    if options.slow:
        one_to_seven(cases, options)
        few_nodes(cases, options)
        cases.end()
        return
    with tempfile.TemporaryDirectory(prefix="grow-") as parent, \
            Cluster(options.build, parent, drives=2) as cluster:
        Wire(cluster.nodes[0]).make_bucket(BUCKET)
        load = Load(cluster.nodes, parent, options.seed)
        time.sleep(3)
        replace_drive(cases, cluster, load)
        give_up_drive(cases, cluster, load)
        replace_node(cases, cluster, load)
        read_back(cases, cluster, load)
    cases.end()


if __name__ == "__main__":
    main()
