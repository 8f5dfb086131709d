#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster does when nodes go away for good: a majority that is lost, and what goes on without it.

usage: recover.py BUILD [--only WORD] [--seed N]
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from cases import Cases, equal, say, wait_until
from cluster import Cluster, ClusterNode
from wire import Wire, read_all

BUCKET = "recover"


def put_all(cluster, rng, sizes, count=12):
    wires = [Wire(node, timeout=40) for node in cluster.nodes]
    wires[0].make_bucket(BUCKET)
    bodies = {}
    for i in range(count):
        key = f"{i:03}"
        bodies[key] = rng.randbytes(sizes[i % len(sizes)])
        equal(wires[i % len(wires)].put(BUCKET, key, bodies[key]).status, 200)
    return bodies


def fails(node, *words):
    """A command that is to fail; gives its status and what it says."""
    answer = subprocess.run([node.program, *words, "--config", node.config], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=60, env=node.environment)
    assert answer.returncode != 0, answer.stdout
    return answer.returncode, answer.stderr


def health(node):
    answer = subprocess.run([node.program, "health", "--config", node.config, "--json"], capture_output=True,
                            text=True, stdin=subprocess.DEVNULL, timeout=60, env=node.environment)
    return {finding["code"] for finding in json.loads(answer.stdout)["findings"]}


def lost_majority(cases, rng):
    with tempfile.TemporaryDirectory(prefix="recover-") as parent, Cluster(cases.build, parent, 3) as cluster:
        survivor, *lost = cluster.nodes[1], cluster.nodes[0], cluster.nodes[2]
        bodies = put_all(cluster, rng, (0, 10, 3000))
        with cases.case("forced recovery is refused while the node runs, and while a majority answers"):
            status, text = fails(survivor, "cluster", "recover", "--yes")
            assert status == 6 and "stop it" in text, (status, text)
            survivor.stop()
            status, text = fails(survivor, "cluster", "recover", "--yes")
            assert status == 6 and "majority" in text, (status, text)
        survivor.spawn()
        survivor.wait_ready()
        for node in lost:
            node.kill()
        with cases.case("a node without a majority ends at once, though clients wait"):
            clients = [threading.Thread(target=lambda: Wire(survivor, timeout=40).put(BUCKET, "vain", b"x"))
                       for _ in range(4)]
            for client in clients:
                client.start()
            time.sleep(1)
            begin = time.monotonic()
            survivor.stop()
            assert time.monotonic() - begin < 5, time.monotonic() - begin
            for client in clients:
                client.join()
        with cases.case("a node that waits for a quorum says who is missing and what to do, and ends at once"):
            survivor.spawn()
            wait_until(lambda: os.path.exists(os.path.join(survivor.dir, "node", "control.sock")), 10, "a socket")
            wait_until(lambda: survivor.run("status")["state"] == "waiting for quorum", 10,
                       lambda: survivor.run("status"))
            status = survivor.run("status")
            equal({node["name"]: node["state"] for node in status["members"]},
                  {"node1": "away", "node2": "up", "node3": "away"})
            assert "node1, node3" in status["why"] and "cluster recover" in status["next"], status
            code, text = fails(survivor, "bucket", "list")
            assert code == 3 and "waiting for quorum" in text, (code, text)
            begin = time.monotonic()
            survivor.stop()
            assert time.monotonic() - begin < 1.5, time.monotonic() - begin
        with cases.case("forced recovery says who is lost, and changes nothing before it is told to"):
            plan = survivor.run("cluster", "recover")
            equal(plan["done"], False)
            equal((plan["epoch"], plan["epoch_after"]), (1, 2))
            equal({node["name"]: node["fate"] for node in plan["members"]},
                  {"node1": "lost", "node2": "survives", "node3": "lost"})
            assert not os.path.exists(os.path.join(survivor.dir, "node", "epoch"))
        with cases.case("the survivor of a lost majority goes on alone, with all that its index had"):
            equal(survivor.run("cluster", "recover", "--yes")["done"], True)
            survivor.spawn()
            survivor.wait_ready()
            read_all(survivor, BUCKET, bodies)
            wire = Wire(survivor, timeout=40)
            bodies["after"] = b"the loss"
            equal(wire.put(BUCKET, "after", bodies["after"]).status, 200)
            quorum = survivor.run("quorum")
            equal((quorum["voters"], len(quorum["members"])), (1, 1))
        with cases.case("when the lost nodes are given up, objects of any size are taken again"):
            equal(wire.put(BUCKET, "big", b"b" * 300000).status, 503)
            for node in lost:
                survivor.run("node", "gone", node.name, "--force")
            survivor.run("layout", "apply")
            bodies["big"] = rng.randbytes(300000)
            wait_until(lambda: wire.put(BUCKET, "big", bodies["big"]).status == 200, 30,
                       lambda: str(survivor.run("status")["cluster"]))
            read_all(survivor, BUCKET, bodies)
        with cases.case("what is deleted is not collected before the recovery is confirmed"):
            assert "COLLECTION_HELD" in health(survivor), health(survivor)
            equal(survivor.run("cluster", "confirm")["was_held"], True)
            assert "COLLECTION_HELD" not in health(survivor), health(survivor)
            equal(survivor.run("cluster", "confirm")["was_held"], False)
        with cases.case("nodes of before the recovery end when they are started again"):
            for node in lost:
                node.spawn()
            for node in lost:
                wait_until(lambda: node.process.poll() is not None, 30, node.log_tail)
                assert "left behind by a forced recovery" in node.log_tail(), node.log_tail()
        with cases.case("the recovered node starts again as it is"):
            survivor.stop()
            survivor.spawn()
            survivor.wait_ready()
            read_all(survivor, BUCKET, bodies)


def two_survivors(cases, rng):
    with tempfile.TemporaryDirectory(prefix="recover-") as parent, Cluster(cases.build, parent, 4) as cluster:
        first, second = cluster.nodes[0], cluster.nodes[1]
        bodies = put_all(cluster, rng, (10, 3000, 150000))
        for node in cluster.nodes:
            node.kill()
        with cases.case("of two survivors the second follows the first, and keeps its drives"):
            ends = [node.run("cluster", "recover") for node in (first, second)]
            ends = [(end["log_term"], end["log_index"]) for end in ends]
            if ends[1] > ends[0]:
                first, second = second, first
            equal(first.run("cluster", "recover", "--yes")["epoch_after"], 2)
            equal(second.run("cluster", "recover", "--epoch", "2", "--yes")["done"], True)
            cluster.restart([first, second])
            wait_until(lambda: first.run("quorum")["voters"] == 2, 30, lambda: first.run("quorum"))
            small = {key: body for key, body in bodies.items() if len(body) <= 3000}
            for node in (first, second):
                wire = Wire(node, timeout=40)
                for key, body in small.items():
                    equal(wire.get(BUCKET, key).body, body)


class Writers:
    """Clients that put, as SDKs do: what was answered 503, or not at all, is tried again for some seconds."""

    def __init__(self, nodes, rng, count=4):
        self.nodes, self.bodies, self.is_ending = nodes, {}, False
        self.refused, self.other, self.lock = 0, [], threading.Lock()
        self.later = 0  # 503s that say when to come back
        self.threads = [threading.Thread(target=self.run, args=(i, rng.randrange(1 << 30))) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number, seed):
        rng, wires, at = random.Random(seed), [Wire(node, timeout=40) for node in self.nodes], number
        for i in range(1000000):
            if self.is_ending:
                return
            key, body = f"w{number}-{i}", rng.randbytes(rng.choice((100, 30000, 150000)))
            if self.put(wires[at % len(wires)], key, body):
                with self.lock:
                    self.bodies[key] = body
            else:
                at += 1
                time.sleep(0.05)

    def put(self, wire, key, body):
        try:
            answer = wire.put(BUCKET, key, body)
        except OSError:
            return False
        with self.lock:
            self.refused += answer.status == 503
            self.later += answer.status == 503 and "retry-after" in {name.lower() for name in answer.headers}
            if answer.status not in (200, 503):
                self.other.append(answer)
        return answer.status == 200

    def end(self):
        self.is_ending = True
        for thread in self.threads:
            thread.join()
        equal(self.other, [])
        return self.bodies


def rest(cases, rng):
    with tempfile.TemporaryDirectory(prefix="rest-") as parent, Cluster(cases.build, parent, 3) as cluster:
        bodies = put_all(cluster, rng, (10, 3000, 150000))
        first = cluster.nodes[0]
        with cases.case("cluster stop under load ends all nodes in order, and refuses writes before with a time"):
            writers = Writers(cluster.nodes, rng)
            time.sleep(1)
            begin = time.monotonic()
            answer = first.run("cluster", "stop")
            seconds = time.monotonic() - begin
            equal((sorted(answer["stopped"]), answer["left_out"]), (["node1", "node2", "node3"], 0))
            equal(answer["stopped"][-1], "node1")
            equal([node.process.wait(timeout=10) for node in cluster.nodes], [0, 0, 0])
            bodies.update(writers.end())
            assert writers.later > 0, (writers.refused, writers.later)
            say(f"{len(bodies)} objects, stopped in {seconds:.1f} s, {writers.refused} puts answered 503")
        with cases.case("after a cluster stop all nodes start again and have what was answered"):
            cluster.restart(cluster.nodes)
            wire = Wire(cluster.nodes[1], timeout=40)
            keys = {key for key, _, _ in wire.list(BUCKET, "")}
            assert keys >= set(bodies), sorted(set(bodies) - keys)[:5]
            for key, body in bodies.items():
                equal(wire.get(BUCKET, key).body, body)
            equal(wire.put(BUCKET, "again", b"x").status, 200)
        with cases.case("cluster stop with a node away stops the others, and says so"):
            cluster.nodes[2].kill()
            wait_until(lambda: "up" not in {node["state"] for node in first.run("node", "list")["nodes"]
                                            if node["name"] == "node3"}, 20, "node3 is away")
            status, text = fails(first, "cluster", "stop")
            assert status == 1 and "1 nodes" in text, (status, text)
            equal([node.process.wait(timeout=10) for node in cluster.nodes[:2]], [0, 0])


def state_of(node, name):
    return node.run("node", "show", name)["state"]


def gone(cases, rng):
    """Four nodes with the ring of three of them, so that the fourth is the place for what one of them held."""
    with tempfile.TemporaryDirectory(prefix="gone-") as parent, Cluster(cases.build, parent, 3) as cluster:
        first, _, victim = cluster.nodes
        cluster.nodes.append(ClusterNode(cases.build, parent, "node4"))
        cluster.join(cluster.nodes[-1])
        cluster.give_key()
        bodies = put_all(cluster, rng, (10, 3000, 150000, 400000), 24)
        with cases.case("a node that is away is suspect, then away, and stays in the ring"):
            victim.kill()
            wait_until(lambda: state_of(first, "node3") == "suspect", 5, "suspect")
            wait_until(lambda: state_of(first, "node3") == "away", 10, "away")
            assert "NODE_AWAY" in health(first), health(first)
        with cases.case("in maintenance a node raises no alarm and does not count as away"):
            first.run("node", "gone-after", "4s")
            first.run("node", "maintenance", "node3", "on", "--for", "20m")
            assert not {"NODE_AWAY", "NODE_GONE"} & health(first), health(first)
            time.sleep(8)
            equal(state_of(first, "node3"), "maintenance")
        with cases.case("who leads and is in maintenance gives the lead away"):
            leader = cluster.leader()
            first.run("node", "maintenance", leader.name, "on", "--for", "20m")
            wait_until(lambda: cluster.leader() not in (None, leader), 20, "another leads")
            first.run("node", "maintenance", leader.name, "off")
        with cases.case("a node that was away for long is given up, and its shards are made anew"):
            first.run("node", "maintenance", "node3", "off")
            wait_until(lambda: state_of(first, "node3") == "gone", 60, lambda: first.log_tail())
            wait_until(lambda: not {"SHARDS_MISSING", "DATA_AT_RISK", "SHARDS_ELSEWHERE"} & health(first), 60,
                       lambda: str(health(first)))
            for node in cluster.nodes:
                if node is not victim:
                    read_all(node, BUCKET, bodies)


def shrinks(cases, rng):
    """Three nodes, and no fourth."""
    with tempfile.TemporaryDirectory(prefix="shrinks-") as parent, Cluster(cases.build, parent, 3) as cluster:
        first, second, victim = cluster.nodes
        bodies = put_all(cluster, rng, (10, 3000, 150000, 400000), 24)
        with cases.case("three nodes say that all goes on with one of them away"):
            text = first.run("layout", "show")["one_away"]
            assert text.startswith("reads and writes"), text
        with cases.case("of three nodes one that was away for long is given up, and the two keep two copies"):
            first.run("node", "gone-after", "4s")
            victim.kill()
            wait_until(lambda: state_of(first, "node3") == "gone", 60, lambda: first.log_tail())
            troubles = {"SHARDS_MISSING", "DATA_AT_RISK", "SHARDS_ELSEWHERE", "UNDER_PROFILE", "NODE_UNDECIDED"}
            wait_until(lambda: first.run("layout", "show")["profile"] == "1+1" and not troubles & health(first) and
                       not first.run("layout", "diff")["changes"], 90,
                       lambda: f"{health(first)} {first.run('layout', 'diff')} {first.log_tail()}")
            for node in (first, second):
                read_all(node, BUCKET, bodies)
        with cases.case("it is removed, and the two say that none of them may be away"):
            wait_until(lambda: first.run("node", "remove", "node3"), 30, "removed")
            cluster.nodes.remove(victim)
            cluster.wait_voters(2)
            text = first.run("layout", "show")["one_away"]
            assert text.startswith("nothing") and "witness" in text, text


def witness(cases, rng):
    with tempfile.TemporaryDirectory(prefix="witness-") as parent, Cluster(cases.build, parent, 2) as cluster:
        third = ClusterNode(cases.build, parent, "witness", drives=0)
        cluster.nodes.append(third)
        cluster.join(third)
        cluster.give_key()
        cluster.wait_voters(3)
        first, second, _ = cluster.nodes
        bodies = put_all(cluster, rng, (10, 3000, 150000))
        with cases.case("two nodes and a witness say what is left with one of them away"):
            for text in (first.run("layout", "show")["one_away"], first.run("status")["cluster"]["one_away"]):
                assert text.startswith("reads and deletes only") and "both nodes" in text, text
        with cases.case("of two nodes and a witness one may be away: all is read, deleted, and small things are written"):
            fails(first, "node", "can-stop", "node2")  # large objects could not be written
            second.kill()
            wait_until(lambda: state_of(first, "node2") == "away", 20, "away")
            wire = Wire(third, timeout=40)
            for key, body in bodies.items():
                equal(wire.get(BUCKET, key).body, body)
            key = next(key for key in bodies if len(bodies[key]) == 150000)
            equal(wire.delete(BUCKET, key).status, 204)
            del bodies[key]
            bodies["small"] = b"s"
            equal(wire.put(BUCKET, "small", b"s").status, 200)
            equal(wire.put(BUCKET, "large", b"l" * 150000).status, 503)
            assert "READ_ONLY" in health(first), health(first)
            first.run("node", "gone-after", "4s")
            wait_until(lambda: "NODE_UNDECIDED" in health(first), 60, lambda: str(health(first)))
            time.sleep(5)  # it is tried again and again
            equal(state_of(first, "node2"), "away")
            first.run("node", "gone-after", "24h")
            cluster.restart([second])
            wait_until(lambda: wire.put(BUCKET, "large", b"l" * 150000).status == 200, 30, "writes are taken again")
            bodies["large"] = b"l" * 150000
        with cases.case("after a power cut in the whole house all is there"):
            for node in cluster.nodes:
                node.kill()
            cluster.restart(cluster.nodes)
            for node in cluster.nodes:
                wait_until(lambda: Wire(node, timeout=40).get(BUCKET, "small").status == 200, 30, "it is read")
                read_all(node, BUCKET, bodies)


class Halves:
    """A body in whose middle something happens."""

    def __init__(self, body, happen):
        self.body, self.happen = body, happen

    def __len__(self):
        return len(self.body)

    def __iter__(self):
        middle = len(self.body) * 3 // 4
        yield self.body[:middle]
        time.sleep(0.5)  # it is on the drives by then
        self.happen()
        time.sleep(0.5)
        yield self.body[middle:]


def unfinished(cases, rng):
    """Two nodes and a witness: what a put cannot bring to two drives is refused in its middle."""
    with tempfile.TemporaryDirectory(prefix="unfinished-") as parent, Cluster(cases.build, parent, 2) as cluster:
        third = ClusterNode(cases.build, parent, "witness", drives=0)
        cluster.nodes.append(third)
        cluster.join(third)
        cluster.give_key()
        cluster.wait_voters(3)
        first, second, _ = cluster.nodes
        bodies = put_all(cluster, rng, (10, 150000), 4)
        wire = Wire(first, timeout=60)
        for number, size in enumerate((400000, 9 << 20)):
            with cases.case(f"a put of {size} bytes that loses its drives is answered 503, and is to be sent later"):
                key, body = f"cut-{number}", rng.randbytes(size)
                answer = wire.put(BUCKET, key, Halves(body, second.kill))
                equal((answer.status, answer.code), (503, "ServiceUnavailable"))
                equal(answer.headers["retry-after"], "1")
                equal(wire.get(BUCKET, key).status, 404)
            with cases.case(f"a client that goes on sending {size} bytes as it is told succeeds when the node is back"):
                waits = []
                def again():
                    answer = wire.put(BUCKET, key, body)
                    if answer.status != 200:
                        equal(answer.status, 503)
                        waits.append(int(answer.headers["retry-after"]))
                        time.sleep(waits[-1])
                    return answer.status == 200
                assert not again()
                second.spawn()
                wait_until(again, 60, "it is taken")
                second.wait_ready()
                bodies[key] = body
        for node in cluster.nodes:
            read_all(node, BUCKET, bodies)


def begin_join(node, token):
    return subprocess.Popen([node.program, "join", token, "--config", node.config, "--json"], env=node.environment,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tokens(cases, rng):
    with tempfile.TemporaryDirectory(prefix="token-") as parent, Cluster(cases.build, parent, 1) as cluster:
        first = cluster.nodes[0]
        racers = [ClusterNode(cases.build, parent, name) for name in ("node2", "node3")]
        with cases.case("of two nodes that use one token at once exactly one joins, the other with a new one"):
            token = first.run("token", "create")["token"]
            runs = [begin_join(node, token) for node in racers]
            said = [run.communicate(timeout=60) for run in runs]
            equal(sorted(run.returncode == 0 for run in runs), [False, True])
            loser = [run.returncode == 0 for run in runs].index(False)
            assert "token" in said[loser][0] + said[loser][1], said[loser]
            racers[loser].run("join", first.run("token", "create")["token"])
            for node in racers:
                node.spawn()
                cluster.nodes.append(node)
            for node in racers:
                node.wait_ready()
            equal(len(first.run("node", "list")["nodes"]), 3)
        with cases.case("a join that is killed at any moment is run again, and is the same node"):
            late = ClusterNode(cases.build, parent, "node4")
            token = first.run("token", "create")["token"]
            killed = 0
            for i in range(12):
                run = begin_join(late, token)
                time.sleep(0.004 * i)
                killed += run.poll() is None
                run.kill()
                run.communicate()
                if os.path.exists(os.path.join(late.dir, "node", "identity")):
                    break
            if not os.path.exists(os.path.join(late.dir, "node", "identity")):
                late.run("join", token)
            late.spawn()
            cluster.nodes.append(late)
            late.wait_ready()
            equal(sorted(node["name"] for node in first.run("node", "list")["nodes"]),
                  ["node1", "node2", "node3", "node4"])
            say(f"a join was killed {killed} times")


def written_late(cases, rng):
    """log-members is written after the change of members that it tells of."""
    with tempfile.TemporaryDirectory(prefix="late-") as parent, Cluster(cases.build, parent, 1) as cluster:
        first, second = cluster.nodes[0], ClusterNode(cases.build, parent, "node2")
        with cases.case("a node that crashed before it wrote down its members does not go on alone"):
            path = os.path.join(first.dir, "node", "log-members")
            wait_until(lambda: os.path.exists(path), 10, "log-members")
            with open(path, "rb") as file:
                before = file.read()
            cluster.nodes.append(second)
            cluster.join(second)
            cluster.wait_voters(2)
            for node in cluster.nodes:
                node.kill()
            with open(path, "wb") as file:
                file.write(before)
            with open(first.config) as file:
                lines = [line for line in file if not line.startswith("cluster_address")]
            with open(first.config, "w") as file:
                file.writelines(lines)
            first.spawn()
            assert first.process.wait(timeout=30) != 0
            assert "one of a cluster of 2" in first.log_tail(), first.log_tail()


PARTS = {"witness": witness, "unfinished": unfinished, "shrinks": shrinks, "tokens": tokens, "late": written_late, "majority": lost_majority, "survivors": two_survivors, "rest": rest, "gone": gone}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    cases = Cases()
    cases.build = options.build
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(cases, random.Random(options.seed))
    cases.end()


if __name__ == "__main__":
    main()
