#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that show a cluster, on three real nodes: what they say when all is well, and that they
say no when a node is away, a clock is wrong, or the quorum is lost.

usage: cluster_cli.py BUILD
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from cases import Cases, equal, wait_until
from cluster import Cluster
from wire import Wire

# Laid over the C library of one node, this makes its wall clock wrong.
CLOCK = r"""
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *ts)
{
	long result = syscall(SYS_clock_gettime, id, ts);
	if (result == 0 && id == CLOCK_REALTIME)
		ts->tv_sec += AHEAD_S;
	return (int)result;
}
"""
AHEAD_S = 5


def ask(node, *words, seconds=30):
    """The exit status of a command and the one document that it prints."""
    answer = subprocess.run(
        [node.program, *words, "--config", node.config, "--json"], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=seconds)
    return answer.returncode, json.loads(answer.stdout)


def yes(node, *words):
    status, answer = ask(node, *words)
    equal(status, 0)
    return answer


def no(node, *words):
    status, answer = ask(node, *words)
    equal(status, 1)
    return answer


def refusal(node, *words):
    """The status and the message of a command that fails."""
    status, answer = ask(node, *words)
    assert status != 0, answer
    equal(answer["error"]["exit_status"], status)
    return status, answer["error"]["message"]


def text(node, *words):
    return subprocess.run(
        [node.program, *words, "--config", node.config], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=30).stdout


def codes(health):
    return {finding["code"] for finding in health["findings"]}


def health_port(node):
    """The status of /health/cluster."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.admin_port}/health/cluster", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def metrics(node):
    """Numbers of /metrics without labels, by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.admin_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    words = (line.split() for line in lines if not line.startswith("#"))
    return {word[0]: float(word[1]) for word in words if len(word) == 2}


def state(node):
    return ask(node, "status")[1]["cluster"]["state"]


def all_is_well(cases, nodes):
    first = nodes[0]
    with cases.case("a whole cluster is ok, and says who leads"):
        wait_until(lambda: state(first) == "ok", 20, lambda: ask(first, "status"))
        cluster = yes(first, "status")["cluster"]
        equal([node["state"] for node in cluster["nodes"]], ["up"] * 3)
        equal((cluster["voters_there"], cluster["voters_needed"]), (3, 2))
        assert cluster["leader"] in ("node1", "node2", "node3"), cluster["leader"]
        equal((cluster["profile"], cluster["missing"], cluster["under_profile"]), ("2+1", 0, 0))
        assert cluster["usable"] > 0 and all(node["since_ms"] > 0 for node in cluster["nodes"])
        equal(sum(node["duty"] == "leader" for node in cluster["nodes"]), 1)
    with cases.case("a whole cluster is healthy, on the admin port too"):
        equal(yes(first, "health")["healthy"], True)
        equal(health_port(first), 200)
    with cases.case("metrics say who leads and who is linked"):
        found = [metrics(node) for node in nodes]
        equal([one["rubus_cluster_nodes_linked"] for one in found], [2] * 3)
        equal([one["rubus_cluster_has_leader"] for one in found], [1] * 3)
        equal(sum(one["rubus_cluster_is_leader"] for one in found), 1)
        assert all(one["rubus_channel_messages_received_total"] > 0 for one in found), found
    with cases.case("what is stored is counted"):
        wire = Wire(first)
        equal(wire.request("PUT", "/seen").status, 200)
        equal(wire.request("PUT", "/seen/object", body=b"x" * (1 << 20)).status, 200)
        wait_until(lambda: yes(first, "layout", "show")["stored"] == 1 << 20, 10,
                   lambda: yes(first, "layout", "show"))
    with cases.case("the tree has every node with its drive and its fill"):
        def used():
            nodes = yes(first, "tree")["zones"][0]["children"]
            return [node["children"][0]["used"] for node in nodes]
        wait_until(lambda: min(used()) >= 1 << 19, 10, used)
        zones = yes(first, "tree")["zones"]
        equal(len(zones), 1)
        nodes = zones[0]["children"]
        equal([node["name"] for node in nodes], ["node1", "node2", "node3"])
        for node in nodes:
            equal([drive["state"] for drive in node["children"]], ["up"])
        assert "─drive 1" in text(first, "tree"), text(first, "tree")
    with cases.case("the ring is shown with what it survives and what was assumed"):
        ring = yes(first, "layout", "show")
        equal((ring["profile"], ring["domain"], ring["survives"]["nodes"]), ("2+1", "node", 1))
        assert 0 < ring["durability"]["any_loss_per_year"] < 0.01, ring["durability"]
        assert "2% of the nodes" in text(first, "layout", "show")
    with cases.case("a plan that changes nothing moves nothing"):
        plan = yes(first, "layout", "plan")
        equal((plan["changes"], plan["move_bytes"], plan["usable_before"]),
              (False, 0, plan["usable_after"]))
        equal([drive["shards_before"] for drive in plan["drives"]], [1024] * 3)


def background(cases, nodes):
    """What runs in the background is the same from every node, and steered from any."""
    with cases.case("a scrub is started on one node and its end is seen on all"):
        task = yes(nodes[0], "scrub", "start")["tasks"][0]["id"]
        status, verdict = ask(nodes[1], "tasks", "follow", str(task), seconds=90)
        equal((status, verdict["verdict"], verdict["state"]), (0, "clean", "done"))
        for node in nodes:
            wait_until(lambda: task in {one["id"] for one in yes(node, "repair", "report")["verdicts"]}, 10,
                       lambda: yes(node, "repair", "report"))
            drives = yes(node, "scrub", "status")["drives"]
            equal([drive["verdict"] for drive in drives], ["clean"] * 3)
    with cases.case("a task that is not there is not found"):
        equal(ask(nodes[0], "tasks", "follow", "4711")[0], 5)
    with cases.case("a pause on one node holds on all, and health says so"):
        yes(nodes[0], "repair", "pause")
        for node in nodes:
            wait_until(lambda: yes(node, "repair", "status")["paused"] and
                       metrics(node)["rubus_background_paused"] == 1, 10,
                       lambda: yes(node, "repair", "status"))
            assert "REPAIR_PAUSED" in codes(yes(node, "health")), ask(node, "health")
        yes(nodes[2], "repair", "resume")
        for node in nodes:
            wait_until(lambda: metrics(node)["rubus_background_paused"] == 0, 10, "it goes on")
    with cases.case("one node is responsible, and all name the same"):
        names = {yes(node, "repair", "status")["node"] for node in nodes}
        assert len(names) == 1 and names < {"node1", "node2", "node3"}, names
        equal([yes(node, "repair", "status")["state"] for node in nodes], ["whole"] * 3)


def what_ifs(cases, cluster):
    first, _, third = cluster.nodes
    with cases.case("one node may fail, but not one more"):
        answer = yes(first, "layout", "simulate", "--fail", "node2")
        equal((answer["readable"], answer["writable"], answer["safe"]), (True, True, False))
        equal(yes(first, "node", "can-stop", "node2")["can_stop"], True)
    with cases.case("simulate says no to the loss of two nodes of three"):
        answer = no(first, "layout", "simulate", "--fail", "node2,3")
        equal((answer["readable"], answer["writable"], answer["quorum"]), (False, False, False))
        equal(answer["slots"]["unreadable"], 1024)
        assert answer["unreadable_bytes"] == 1 << 20, answer
    with cases.case("simulate does not know a node that is not there"):
        equal(ask(first, "layout", "simulate", "--fail", "node9")[0], 5)
    with cases.case("a drive that holds shards is not safe to remove"):
        equal(no(first, "drive", "safe-to-remove", "1")["positions"], 1024)
    with cases.case("maintenance is noted, and taken back"):
        begin = time.time() * 1000
        until = yes(first, "node", "maintenance", "node2", "on", "--minutes", "5")["maintenance_until_ms"]
        assert 290000 < until - begin < 310000, until - begin
        wait_until(lambda: yes(first, "node", "show", "node2").get("maintenance_until_ms") == until, 5,
                   "the note is shown")
        yes(first, "node", "maintenance", "node2", "off")
        assert "maintenance_until_ms" not in yes(first, "node", "show", "node2")
        equal(ask(first, "node", "maintenance", "node2", "on")[0], 2)
        until = yes(first, "node", "maintenance", "node2", "on", "--for", "2h")["maintenance_until_ms"]
        assert 7190000 < until - begin < 7300000, until - begin
        yes(first, "node", "maintenance", "node2", "off")
        equal(ask(first, "node", "maintenance", "node2", "on", "--for", "20")[0], 2)
    with cases.case("how long a node is away before it is given up is shown, set, and must be a time"):
        equal(yes(first, "node", "gone-after")["seconds"], 86400)
        equal(yes(first, "node", "gone-after", "48h")["seconds"], 172800)
        equal(yes(first, "node", "gone-after", "never")["seconds"], 0)
        equal(yes(first, "node", "gone-after", "24h")["gone_after"], "24.0 h")
        equal([ask(first, "node", "gone-after", text)[0] for text in ("soon", "1", "0h")], [2, 2, 2])
    with cases.case("a node that is there is not given up, and one that is not there is not found"):
        equal(ask(first, "node", "gone", "node2")[0], 6)
        equal(ask(first, "node", "gone", "node9")[0], 5)
    with cases.case("nothing is to be confirmed where nothing was recovered, and a node that runs is not recovered"):
        equal(yes(first, "cluster", "confirm")["was_held"], False)
        equal(ask(first, "cluster", "recover")[0], 6)
        equal(ask(first, "cluster", "recover", "--epoch", "x")[0], 2)
    with cases.case("the way between all nodes is measured, whichever of them is asked"):
        for node, expected in ((first, {"1-2", "1-3", "2-3"}), (third, {"3-1", "3-2", "1-2"})):
            pairs = yes(node, "net", "test")["pairs"]
            equal({f"{pair['from_number']}-{pair['to_number']}" for pair in pairs}, expected)
            assert all(pair["rtt_us"] > 0 and pair["bytes_per_second"] > 1 << 20 for pair in pairs), pairs
    with cases.case("clocks agree"):
        nodes = yes(first, "time", "check")["nodes"]
        assert all(abs(node["ahead_ms"]) < 500 for node in nodes), nodes


def wait_drive(node, wanted):
    """Until the node's first drive is in a state; what another node did is here a moment later."""
    def found():
        return yes(node, "drive", "list")["drives"][0]["state"]
    wait_until(lambda: found() == wanted, 20, found)


def hardware_changes(cases, cluster):
    """What is shown and what is refused; that shards then really move is for tests/crash/grow.py."""
    first, second, _ = cluster.nodes
    path = f"{second.dir}/drive2"
    with cases.case("a drive is added to a running node, and holds nothing yet"):
        added = yes(second, "drive", "add", path, "--class", "ssd", "--weight", "300G")
        equal((added["drive"], added["class"], added["weight"]), (4, "ssd", 300 << 30))
        wait_until(lambda: {drive["drive"]: drive["shards"] for drive in yes(first, "layout", "show")["drives"]}
                   == {1: 1024, 2: 1024, 3: 1024, 4: 0}, 10, lambda: yes(first, "layout", "show"))
    with cases.case("what cannot be added is refused"):
        equal(refusal(second, "drive", "add", path)[0], 6)
        equal(refusal(second, "drive", "add", "relative")[0], 2)
        equal(refusal(second, "drive", "add", "/dev/null")[0], 2)
        equal(refusal(second, "drive", "add", first.dir)[0], 6)
        equal(refusal(second, "drive", "add", f"{second.dir}/x", "--weight", "0")[0], 2)
        equal(refusal(second, "drive", "add", f"{second.dir}/x", "--class", "tape")[0], 2)
    with cases.case("a plan has a name, and is applied once"):
        wire = Wire(first)
        for i in range(30):
            equal(wire.request("PUT", f"/seen/{i}", body=b"y" * 200000).status, 200)
        plan = yes(first, "layout", "plan", "--out", os.path.join(cluster.parent, "plan.json"))
        equal((plan["changes"], plan["profile_before"], plan["profile"]), (True, "2+1", "2+1"))
        after = {drive["drive"]: drive["shards_after"] for drive in plan["drives"]}
        assert after[4] > 0 and after[2] + after[4] == 1024 and plan["move_bytes"] > 0, plan
        equal(yes(first, "layout", "diff")["changes"], False)
        equal(yes(first, "layout", "apply", os.path.join(cluster.parent, "plan.json"))["plan"], plan["plan"])
        status, message = refusal(first, "layout", "apply", plan["plan"])
        equal(status, 6)
        assert "rubus layout plan" in message, message
    with cases.case("what was done is listed, and is gone back from"):
        wait_until(lambda: not yes(first, "layout", "diff")["changes"], 30, lambda: yes(first, "layout", "diff"))
        equal([entry["what"] for entry in yes(second, "layout", "history")["history"]],
              ["first ring", "apply", "apply"])
        equal(yes(first, "layout", "revert")["changes"], True)
        wait_until(lambda: not yes(first, "layout", "diff")["changes"], 30, lambda: yes(first, "layout", "diff"))
        shards = {drive["drive"]: drive["shards"] for drive in yes(first, "layout", "show")["drives"]}
        equal(shards, {1: 1024, 2: 1024, 3: 1024, 4: 0})
        equal(yes(second, "layout", "history")["history"][-1]["what"], "revert")
    with cases.case("a drain is shown, and taken back"):
        plan = yes(first, "drive", "drain", "2")
        equal((plan["applied"], plan["changes"]), (False, True))
        equal({drive["drive"]: drive["shards_after"] for drive in plan["drives"]}[2], 0)
        wait_drive(second, "draining")
        yes(first, "drive", "drain", "2", "--cancel")
        wait_drive(second, "up")
        equal(yes(first, "layout", "diff")["changes"], False)
    with cases.case("drives that hold shards, or work, are not removed or given up"):
        status, message = refusal(first, "drive", "remove", "2")
        equal(status, 6)
        assert "rubus drive drain 2" in message, message
        status, message = refusal(first, "drive", "gone", "2")
        equal(status, 6)
        assert "rubus drive drain 2" in message, message
        equal(refusal(first, "drive", "drain", "9")[0], 5)
        equal(refusal(first, "drive", "replace", "9", f"{first.dir}/x")[0], 5)
    with cases.case("a drive cannot take places where its node has others"):
        status, message = refusal(first, "drive", "replace", "2", f"{first.dir}/drive2")
        equal(status, 6)
        assert "rubus drive drain 2" in message, message
    with cases.case("empty drives are removed"):
        wait_until(lambda: ask(second, "drive", "remove", path)[0] == 0, 30,
                   lambda: ask(second, "drive", "remove", path))
        equal(yes(first, "drive", "remove", f"{first.dir}/drive2")["state"], "removed")
        equal(refusal(first, "drive", "drain", "4")[0], 6)
        wait_until(lambda: yes(second, "status")["state"] == "ok", 20, lambda: yes(second, "status"))
        equal([drive["drive"] for drive in yes(first, "layout", "show")["drives"]], [1, 2, 3])
    with cases.case("nodes that work are not removed, nor is the one that is asked"):
        status, message = refusal(first, "node", "remove", "node2")
        equal(status, 6)
        assert "rubus node drain node2" in message, message
        equal(refusal(first, "node", "remove", "node1")[0], 6)
        equal(refusal(first, "node", "remove", "node9")[0], 5)
        equal(refusal(first, "node", "drain", "node9")[0], 5)
    with cases.case("the drain of a node is shown, and taken back"):
        plan = yes(first, "node", "drain", "node3")
        equal((plan["applied"], plan["profile"]), (False, "1+1"))
        yes(first, "node", "drain", "node3", "--cancel")
        equal(yes(first, "layout", "plan")["changes"], False)


def a_node_is_away(cases, cluster):
    first, second, _ = cluster.nodes
    second.pause()
    with cases.case("a node that does not answer is away, and named"):
        wait_until(lambda: state(first) == "degraded", 20, lambda: ask(first, "status"))
        def states():
            return {node["name"]: node["state"] for node in yes(first, "status")["cluster"]["nodes"]}
        equal(states(), {"node1": "up", "node2": "suspect", "node3": "up"})
        wait_until(lambda: states()["node2"] == "away", 10, states)
        found = codes(no(first, "health"))
        assert {"NODE_AWAY", "DATA_AT_RISK"} <= found, found
        equal(health_port(first), 200)
    with cases.case("no other node may be stopped meanwhile"):
        equal(no(first, "node", "can-stop", "node3")["can_stop"], False)
    with cases.case("net test says which node cannot be reached, and that the others reach each other"):
        states = {(pair["from"], pair["to"]): pair["state"] for pair in no(first, "net", "test")["pairs"]}
        equal(states, {("node1", "node2"): "failed", ("node1", "node3"): "ok", ("node3", "node2"): "failed"})
    with cases.case("the clock of a node that is away is not known"):
        states = {node["node"]: node["state"] for node in no(first, "time", "check")["nodes"]}
        equal(states, {"node1": "ok", "node2": "unknown", "node3": "ok"})
    second.resume()
    wait_until(lambda: state(first) == "ok", 30, lambda: ask(first, "status"))


def a_clock_is_wrong(cases, cluster):
    first, _, third = cluster.nodes
    source = os.path.join(cluster.parent, "clock.c")
    library = os.path.join(cluster.parent, "clock.so")
    with open(source, "w") as file:
        file.write(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", f"-DAHEAD_S={AHEAD_S}", "-o", library, source], check=True)
    third.kill()
    third.environment = {**third.environment, "LD_PRELOAD": library}
    cluster.restart([third])
    with cases.case("time check says no to a clock that is ahead"):
        wait_until(lambda: "CLOCK_SKEW" in codes(ask(first, "health")[1]), 20, lambda: ask(first, "health"))
        nodes = {node["node"]: node for node in no(first, "time", "check")["nodes"]}
        equal([nodes[name]["state"] for name in ("node1", "node2", "node3")], ["ok", "ok", "wrong"])
        assert abs(nodes["node3"]["ahead_ms"] - AHEAD_S * 1000) < 1000, nodes
        yes(first, "time", "check", "--limit-ms", "10000")


def the_quorum_is_lost(cases, cluster):
    first = cluster.nodes[0]
    for node in cluster.nodes[1:]:
        node.kill()
    with cases.case("without a quorum the status is there at once, and says so"):
        wait_until(lambda: state(first) == "no quorum", 20, lambda: ask(first, "status"))
        begin = time.monotonic()
        cluster_status = yes(first, "status")["cluster"]
        assert time.monotonic() - begin < 2, time.monotonic() - begin
        equal((cluster_status["voters_there"], cluster_status["voters_needed"]), (1, 2))
        assert cluster_status["next"], cluster_status
        equal(health_port(first), 503)
        found = codes(no(first, "health"))
        assert {"NO_QUORUM", "DATA_UNREADABLE", "READ_ONLY"} <= found, found
        wait_until(lambda: metrics(first)["rubus_cluster_has_leader"] == 0, 10, "a leader alone steps down")
        equal(metrics(first)["rubus_cluster_nodes_linked"], 0)
        yes(first, "layout", "show")
        yes(first, "tree")
    with cases.case("what needs a quorum is refused at once"):
        begin = time.monotonic()
        assert ask(first, "node", "maintenance", "node2", "on", "--minutes", "5")[0] not in (0, 2)
        assert time.monotonic() - begin < 2, time.monotonic() - begin


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="cluster-cli-") as parent, Cluster(sys.argv[1], parent) as cluster:
        all_is_well(cases, cluster.nodes)
        background(cases, cluster.nodes)
        what_ifs(cases, cluster)
        hardware_changes(cases, cluster)
        a_node_is_away(cases, cluster)
        a_clock_is_wrong(cases, cluster)
        the_quorum_is_lost(cases, cluster)
    cases.end()


main()
