#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An index that is lost while a log of it is not: nothing is lost, not even what was archived too late.

usage: log_kept.py BUILD

The archive on the drives is always one of a while ago, and inline objects were put since, which are in the
log alone. The map of a node is removed, or damaged; the state directory of one whose log is on its drives
goes, with the copies of the index; all state directories of three nodes go, of which one has its log on
drives. Last, such a log is given up: by rubus index rebuild --ignore-log, and by rubus cluster recover
--epoch, and a drive that was away then does not bring it back.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3")]
from archive import BUCKET, World, archived, cases, ok, rebuild
from cases import equal, wait_until
from cluster import Cluster
from node import Node
from salvage import go_back, set_archives_aside
from wire import Wire

MIRRORED = {"RUBUS_LOG_COPIES": "2"}


def put_late(world, wire, prefix):
    for number in range(30):
        world.put(wire, f"late/{prefix}/{number}", 3000)
    world.put(wire, f"late/{prefix}/large", 300_000)
    world.delete(wire, f"late/{prefix}/0")


def config_of(node):
    return os.path.join(node.dir, "rubus.yaml")


def run(node, *words):
    return subprocess.run([node.program, *words, "--config", config_of(node), "--json"], env=node.environment,
                          capture_output=True, text=True, timeout=60)


class Alone:
    def __init__(self, build, parent, drives, environment=None):
        self.node = Node(build, parent, drives=drives, environment=environment)
        self.state = os.path.join(self.node.dir, "node")
        self.world = World()
        self.node.start()
        Wire(self.node).make_bucket(BUCKET)

    def begin(self, prefix):
        """In a second life, so that the log does not begin at its beginning."""
        self.world.fill(Wire(self.node), prefix)
        self.node.stop()
        self.node.start()
        self.world.put(Wire(self.node), f"{prefix}/second", 10)
        wait_until(lambda: archived(self.node.rubus, min(3, self.node.rubus("status")["archive"]["wanted"])), 30,
                   lambda: self.node.rubus("status")["archive"])
        set_archives_aside(self.node.drive_paths())
        put_late(self.world, Wire(self.node), prefix)
        self.node.kill()
        go_back(self.node.drive_paths())

    def come_back(self, source="the archive"):
        self.node.start()
        equal(f"made anew from {source}" in self.node.log_tail(20000), True)
        self.world.check(Wire(self.node))
        equal(self.node.rubus("cluster", "confirm")["was_held"], False)


    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.node.process.poll() is None:
            self.node.kill()


def lost_map(build, parent):
    with Alone(build, parent, 2) as one:
        lose_map(one)


def lose_map(one):
    with cases.case("a map that is lost is made of an archive and the log behind it"):
        one.begin("a")
        shutil.rmtree(os.path.join(one.state, "index"))
        one.come_back()
    with cases.case("so is one that is damaged"):
        one.begin("b")
        for name in os.listdir(os.path.join(one.state, "index")):
            if name.endswith(".mdb"):
                with open(os.path.join(one.state, "index", name), "r+b") as file:
                    file.write(os.urandom(65536))
        one.come_back()
    with cases.case("an archive that the log does not go on from is not used"):
        one.begin("c")
        shutil.rmtree(os.path.join(one.state, "index"))
        for path in one.node.drive_paths():
            shutil.rmtree(os.path.join(path, "archive"))
        one.node.spawn()
        equal(one.node.process.wait(timeout=30) != 0, True)


def mirrored(build, parent):
    with Alone(build, parent, 3, MIRRORED) as one:
        lose_state(one)


def lose_state(one):
    with cases.case("a log on drives brings all back without the copies of the index"):
        one.begin("a")
        root = open(os.path.join(one.state, "root.key")).read()
        shutil.rmtree(one.state)
        for path in one.node.drive_paths():
            if os.path.exists(os.path.join(path, "index-copy")):
                os.unlink(os.path.join(path, "index-copy"))
        equal(run(one.node, "init", "--from-drives").returncode, 0)
        with open(os.path.join(one.state, "root.key"), "w") as file:
            file.write(root)
        one.come_back("the log")
    with cases.case("a rebuild says that there is a log, and gives it up if it is told to"):
        before = World()
        before.there, before.gone = dict(one.world.there), set(one.world.gone)
        one.node.stop()
        one.node.start()
        wait_until(lambda: archived(one.node.rubus, one.node.rubus("status")["archive"]["wanted"]), 30, "archived")
        set_archives_aside(one.node.drive_paths())
        put_late(one.world, Wire(one.node), "given-up")
        one.node.kill()
        go_back(one.node.drive_paths())
        shutil.rmtree(one.state)
        refused = rebuild(one.node.program, config_of(one.node))
        equal((refused.returncode, "--ignore-log" in refused.stdout + refused.stderr), (6, True))
        away = [path for path in one.node.drive_paths() if os.path.exists(os.path.join(path, "log-state"))][0]
        one.node.take_drive(away)
        done = rebuild(one.node.program, config_of(one.node), "--ignore-log")
        equal((done.returncode, done.stderr), (0, ""))
        with open(os.path.join(one.state, "root.key"), "w") as file:
            file.write(root)
        one.node.start()
        before.check(Wire(one.node))
        before.put(Wire(one.node), "new", 2000)
    with cases.case("a drive that was away then does not bring the old log back"):
        one.node.stop()
        one.node.return_drive(away)
        one.node.start()
        before.check(Wire(one.node))
        equal(one.node.rubus("cluster", "confirm")["was_held"], True)
        one.node.stop()
        one.node.start()
        before.check(Wire(one.node))


class Mixed(Cluster):
    """Nodes of which the first was alone before, with its log on two drives, and keeps it there."""

    def __init__(self, build, parent, count):
        super().__init__(build, parent, count, drives=2)
        self.nodes[0].environment.update(MIRRORED)
        self.world = World()

    def __enter__(self):
        first = self.nodes[0]
        with open(first.config) as file:
            lines = file.readlines()
        with open(first.config, "w") as file:
            file.writelines(line for line in lines if not line.startswith("cluster_address"))
        first.run("init")
        first.spawn()
        first.wait_ready()
        first.stop()
        with open(first.config, "w") as file:
            file.writelines(lines)
        first.spawn()
        first.wait_ready()
        for node in self.nodes[1:]:
            self.join(node)
        self.give_key()
        self.wait_voters(len(self.nodes))
        first.run("layout", "apply")
        Wire(first).make_bucket(BUCKET)
        return self

    def state(self, node):
        return os.path.join(node.dir, "node")

    def check_small(self, node):
        wire = Wire(node, timeout=40)
        for key in self.world.there:
            if "/inline/" in key or key.startswith("late/"):
                equal((key, wire.get(BUCKET, key).status), (key, 200))
        for key in self.world.gone:
            equal((key, wire.get(BUCKET, key).status), (key, 404))


def all_lost(build, parent):
    with Mixed(build, parent, 3) as cluster:
        first = cluster.nodes[0]
        with cases.case("three nodes lose their state, and one has its log on drives"):
            equal(len([path for path in first.drive_paths() if os.path.exists(os.path.join(path, "log-state"))]), 2)
            cluster.world.fill(Wire(first), "a")
            wait_until(lambda: archived(first.run, 1), 30, lambda: first.run("status")["archive"])
            set_archives_aside(first.drive_paths())
            put_late(cluster.world, Wire(cluster.nodes[1]), "a")
            wait_until(lambda: Wire(first).get(BUCKET, "late/a/29").status == 200, 30, "it is there")
            for node in cluster.nodes:
                node.kill()
            go_back(first.drive_paths())
            root = open(os.path.join(cluster.state(first), "root.key")).read()
            for node in cluster.nodes:
                shutil.rmtree(cluster.state(node))
        with cases.case("its log and its archive bring all back, and the others join it"):
            first.run("init", "--from-drives")
            with open(os.path.join(cluster.state(first), "root.key"), "w") as file:
                file.write(root)
            first.run("cluster", "recover", "--yes")
            first.spawn()
            first.wait_ready()
            begins = re.findall(r"the mirrored log: entries (\d+) to", first.log_tail(20000))
            equal(int(begins[-1]) > 1, True)  # so that it is not enough alone
            for node in cluster.nodes[1:]:
                cluster.join(node)
            cluster.give_key()
            cluster.wait_voters(3)
            for node in cluster.nodes:
                cluster.world.check(Wire(node, timeout=40))


def followed(build, parent):
    with Mixed(build, parent, 4) as cluster:
        second, first = cluster.nodes[:2]
        with cases.case("a survivor whose log is on drives follows another, and its log stays there"):
            cluster.world.fill(Wire(first), "a")
            put_late(cluster.world, Wire(first), "a")
            indexes = lambda: {node.run("status")["index"]["applied"] for node in cluster.nodes}
            wait_until(lambda: len(indexes()) == 1, 30, indexes)
            for node in cluster.nodes:
                node.kill()
            equal(first.run("cluster", "recover", "--yes")["epoch_after"], 2)
            equal(second.run("cluster", "recover", "--epoch", "2", "--yes")["done"], True)
            cluster.restart([first, second])
            wait_until(lambda: first.run("quorum")["voters"] == 2, 30, lambda: first.run("quorum"))
            for node in (first, second):
                cluster.check_small(node)
            equal([os.path.exists(os.path.join(path, "log-state")) for path in second.drive_paths()], [True] * 2)
        with cases.case("and goes on with it"):
            for node in (first, second):
                node.stop()
            cluster.restart([first, second])
            wait_until(lambda: Wire(second, timeout=40).put(BUCKET, "late/again", b"x").status == 200, 30, "a write")
            cluster.check_small(second)


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="log-kept-") as parent:
        for part in (lost_map, mirrored, all_lost, followed):
            directory = os.path.join(parent, part.__name__)
            os.mkdir(directory)
            part(build, directory)
    cases.end()


main()
