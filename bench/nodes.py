# SPDX-License-Identifier: Apache-2.0
"""The rows of several nodes: all on this machine, on loopback, each a process of its own.

Every node and the client share the cores and the drive of the machine, so that rates say little
about a cluster of machines; ratios to what the machine can do in the same run, and what one
operation costs (messages, flushes, system calls, CPU seconds), do.
"""
import os
import shutil
import sys
import time

import machine
from machine import Peak, drop_caches, fio, say

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "s3"))
from cases import wait_until  # noqa: E402
from cluster import Cluster, ClusterNode  # noqa: E402

started = []


def kill_all():
    for cluster in started:
        cluster.__exit__()
    started.clear()


class BenchNode(ClusterNode):
    def metric(self, pattern):
        return machine.metric(self.admin_port, pattern)


class BenchCluster(Cluster):
    """Nodes with a bucket; load goes to all of them, or to those that are named."""

    def __init__(self, build, parent, count, drives=1, environment=None):
        parent = os.path.join(parent, f"cluster{len(started)}")
        os.makedirs(parent)
        super().__init__(build, parent, count, drives, BenchNode, environment)
        started.append(self)
        self.__enter__()
        self.nodes[0].run("bucket", "create", "bench")
        self.settle()

    def settle(self):
        """Until the ring that was applied is that which all writes go by."""
        wait_until(lambda: not any(node.run("layout", "diff")["changes"] for node in self.nodes), 30,
                   lambda: "the ring is not there")

    def pids(self, nodes=None):
        return [node.process.pid for node in nodes or self.nodes if node.process.poll() is None]

    def load(self, op, size, connections, seconds=4, nodes=None, **more):
        nodes = nodes or self.nodes
        first = self.nodes[0]
        return machine.load(self.build, [node.s3_port for node in nodes], first.key, first.secret,
                            self.pids(), op, size, connections, seconds, **more)

    def metric(self, pattern):
        return sum(node.metric(pattern) for node in self.nodes)

    def counts(self, names):
        return {name: self.metric(pattern) for name, pattern in names.items()}

    def rss(self):
        return max(machine.rss_mib(pid) for pid in self.pids())

    def stop(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.kill()
        shutil.rmtree(self.parent, ignore_errors=True)


# --- what an operation costs, counted ---------------------------------------------------------------

KINDS = ("raft", "propose", "read-index", "shard-open", "shard-append", "shard-seal", "shard-abort",
         "shard-read", "shard-free", "shard-whole")
COUNTED = {"flushes": "rubus_disk_flushes_total", "messages": "rubus_channel_messages_sent_total",
           "sends": "rubus_channel_sends_total", "receives": "rubus_channel_receives_total",
           "sent_bytes": "rubus_channel_sent_bytes_total", "wakeups": "rubus_loop_wakeups_total",
           "turns": "rubus_loop_turns_total",
           **{f"{kind}_{what}": f'rubus_channel_sent_kind_total{{kind="{kind}",is="{what}"'
              for kind in KINDS for what in ("request", "answer")}}


class Counted:
    """Counts what the operations of a block cost, and says it for each of them. What idle nodes send
    meanwhile is taken off."""

    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        idle = self.cluster.counts(COUNTED)
        begin = time.monotonic()
        time.sleep(1.5)
        self.before = self.cluster.counts(COUNTED)
        self.begin = time.monotonic()
        self.idle = {name: (self.before[name] - idle[name]) / (self.begin - begin) for name in idle}
        return self

    def __exit__(self, *_):
        seconds = time.monotonic() - self.begin
        after = self.cluster.counts(COUNTED)
        self.cost = {name: max(0, after[name] - self.before[name] - self.idle[name] * seconds)
                     for name in after}

    def say(self, name, count, most=None):
        """most: so many messages, and half of one for what comes between."""
        say(f"{name}_messages", self.cost["messages"] / count, "messages/op", limit=most, most=True)
        for what, value in self.cost.items():
            if what != "messages" and value / count >= 0.02:
                say(f"{name}_{what}", value / count, "/op")


def best(times, measure):
    """The run with the highest rate: the machine has other things to do."""
    return max((measure() for _ in range(times)), key=lambda run: run["ops"])


# --- rows -------------------------------------------------------------------------------------------


def put_large(build, parent):
    """3 nodes 2+1: PUT 1 MiB signed."""
    limit = fio(parent, "write", seconds=2, file_size="512m")
    cluster = BenchCluster(build, parent, 3)
    run = best(3, lambda: cluster.load("put", 1 << 20, 16, seconds=3, signed=True, keys=500))
    limit = max(limit, fio(parent, "write", seconds=2, file_size="512m"))
    say("fio_write_1m", limit, "GB/s")
    say("nodes3_put_1m_signed_16", run["rate"], "GB/s")
    say("nodes3_put_1m_signed_16_of_fio", run["rate"] / (limit / 1.5), "ratio", 0.35, 0.65)
    say("nodes3_put_1m_signed_16_cpu", run["cpu"] / (run["bytes"] / 1e9), "cpu-s/GB")
    cluster.stop()


def get_large(build, parent):
    """4 nodes 2+2: GET 1 MiB cold."""
    cluster = BenchCluster(build, parent, 4)
    cluster.load("put", 1 << 20, 16, count=800, keys=800)

    def measure():
        drop_caches()
        limit = fio(parent, "read", seconds=1, file_size="512m")
        drop_caches()
        run = cluster.load("get", 1 << 20, 16, count=800, keys=800)
        run["limit"], run["of"] = limit, run["rate"] / limit
        return run
    run = max((measure() for _ in range(2)), key=lambda run: run["of"])
    say("fio_read_1m", run["limit"], "GB/s")
    say("nodes4_get_1m_cold_16", run["rate"], "GB/s")
    say("nodes4_get_1m_cold_16_of_fio", run["of"], "ratio", 0.5, 0.9)
    say("nodes4_get_1m_cold_16_cpu", run["cpu"] / (run["bytes"] / 1e9), "cpu-s/GB")
    cluster.stop()


def put_small(build, parent):
    """3 nodes: PUT 4 KiB."""
    cluster = BenchCluster(build, parent, 3)
    with Counted(cluster) as counted:
        runs = [cluster.load("put", 4096, 32, seconds=3, signed=True, keys=1000000) for _ in range(3)]
    run = max(runs, key=lambda run: run["ops"])
    say("nodes3_put_4k_signed_32", run["ops"], "1/s", 5000, 18000)
    say("nodes3_put_4k_signed_32_cpu", min(run["cpu"] / run["count"] for run in runs) * 1e6, "us/op")
    say("nodes3_put_4k_signed_32_p99", run["p99"], "us")
    counted.say("nodes3_put_4k_32", sum(run["count"] for run in runs))
    run = best(2, lambda: cluster.load("put", 4096, 1, seconds=2, signed=True))
    say("nodes3_put_4k_1_p50", run["p50"], "us")
    cluster.stop()


def put_flush(build, parent):
    """3 nodes with flushes of 1 ms more: one connection."""
    cluster = BenchCluster(build, parent, 3, environment={"RUBUS_BENCH_SYNC_DELAY_MS": "1"})
    leader = cluster.leader()
    follower = next(node for node in cluster.nodes if node is not leader)
    device = BenchFlush(parent).median_us() + 1000
    say("flush_1ms", device, "us")
    for name, node in (("leader", leader), ("follower", follower)):
        run = min((cluster.load("put", 4096, 1, seconds=3, signed=True, nodes=[node])
                   for _ in range(2)), key=lambda run: run["p50"])
        say(f"nodes3_put_4k_1_1ms_{name}_p50", run["p50"], "us", 2 * device + 300, most=True)
    cluster.stop()


class BenchFlush:
    """What one flush of 4 KiB takes here."""

    def __init__(self, parent):
        self.path = os.path.join(parent, "flush.dat")

    def median_us(self):
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
        try:
            for i in range(100):
                os.pwrite(fd, bytes(4096), i * 4096)
            times = []
            for i in range(100):
                begin = time.monotonic()
                os.pwrite(fd, bytes(4096), i * 4096)
                times.append(time.monotonic() - begin)
        finally:
            os.close(fd)
        return sorted(times)[50] * 1e6


def costs(build, parent):
    """What one operation costs 3 nodes, as docs/ARCHITECTURE.md has it; one at a time."""
    cluster = BenchCluster(build, parent, 3)
    leader = cluster.leader()
    follower = [node for node in cluster.nodes if node is not leader][:1]
    for name, size, most in (("put_4k", 4096, 10.5), ("put_1m", 1 << 20, 26.5)):
        cluster.load("put", size, 1, count=20, nodes=follower, keys=20)
        with Counted(cluster) as counted:
            cluster.load("put", size, 1, count=300, keys=300, prefix=name, nodes=follower)
        counted.say(f"nodes3_{name}_follower_1", 300, most)
    cluster.load("get", 1 << 20, 1, count=20, keys=20, prefix="put_1m", nodes=follower)
    with Counted(cluster) as counted:
        cluster.load("get", 1 << 20, 1, count=300, keys=300, prefix="put_1m", nodes=follower)
    counted.say("nodes3_get_1m_follower_1", 300, 6.5)
    cluster.stop()


def degraded(build, parent):
    """4 nodes 2+2, one of them killed: GET 1 MiB of the other three; and its leader killed."""
    cluster = BenchCluster(build, parent, 4)
    leader = cluster.leader()
    victim = next(node for node in reversed(cluster.nodes) if node is not leader)
    rest = [node for node in cluster.nodes if node is not victim]
    cluster.load("put", 1 << 20, 16, count=500, keys=500)

    def measure():
        return best(2, lambda: cluster.load("get", 1 << 20, 16, seconds=2, keys=500, nodes=rest))
    measure_first = measure()
    victim.kill()
    time.sleep(6)  # until it is suspect
    run = measure()
    say("nodes4_get_1m_16", measure_first["rate"], "GB/s")
    say("nodes4_get_1m_degraded_16", run["rate"], "GB/s")
    say("nodes4_get_1m_degraded_of_healthy", run["rate"] / measure_first["rate"], "ratio", 0.8, 0.95)
    say("nodes4_get_1m_degraded_cpu_of_healthy", (run["cpu"] / run["bytes"]) /
        (measure_first["cpu"] / measure_first["bytes"]), "ratio")
    cluster.stop()


def failover(build, parent):
    """3 nodes, the leader killed: until a write is acknowledged again by another."""
    worst = 0
    cluster = BenchCluster(build, parent, 3)
    for _ in range(3):
        leader = cluster.leader()
        rest = [node for node in cluster.nodes if node is not leader]
        cluster.load("put", 4096, 1, count=5, nodes=rest)
        leader.kill()
        begin = time.monotonic()
        cluster.load("put", 4096, 1, count=1, nodes=rest[:1])
        worst = max(worst, time.monotonic() - begin)
        cluster.restart([leader])
        time.sleep(1)
    say("nodes3_leader_killed_write_again", worst, "s", 3, most=True)
    cluster.stop()


def memory(build, parent):
    """Resident memory of each of 3 nodes."""
    cluster = BenchCluster(build, parent, 3)
    cluster.load("put", 1 << 20, 8, count=50, keys=50)
    time.sleep(13)  # what was lent is given back after 10 s
    say("nodes3_rss_idle", cluster.rss(), "MiB", 32, most=True)
    with Peak(*cluster.pids()) as peak:
        cluster.load("put", 1 << 20, 128, seconds=4, keys=500)
    say("nodes3_rss_128_uploads", peak.peak, "MiB", 128, most=True)
    with Peak(*cluster.pids()) as peak:
        cluster.load("put", 1 << 20, 128, seconds=4, keys=500, nodes=cluster.nodes[:1])
    say("nodes3_rss_128_uploads_one_node", peak.peak, "MiB", 128, most=True)
    cluster.stop()


REBUILD_LEN = {64 << 20: 3 << 30, 8 << 10: 512 << 20}  # of bodies, by their size


def is_whole(node):
    cluster = node.run("status").get("cluster", {})
    return cluster.get("missing") == 0 and cluster.get("exceptions") == 0 and \
        not node.run("layout", "diff")["changes"]


def is_done(node, *words):
    try:
        node.run(*words)
        return True
    except AssertionError:
        return False


def lose_drive(node, other):
    """Its node is started without it, and it is given up."""
    path = f"{node.dir}/drive1"
    drives = node.run("drive", "list")["drives"]
    number = str(next(drive["number"] for drive in drives if drive["path"] == path))
    node.kill()
    shutil.rmtree(path)
    node.spawn()
    node.wait_ready()
    wait_until(lambda: is_done(other, "drive", "gone", number), 30, lambda: "the drive is not given up")


def rebuild_of(build, parent, size):
    """One of six drives is lost, and the other of its node takes its shards. Gives the bytes that were
    made anew, how fast the middle nine tenths of them were, when all was whole, the CPU seconds of all
    nodes, and what they counted."""
    cluster = BenchCluster(build, parent, 3, drives=2)
    node, other = cluster.nodes[1], cluster.nodes[0]
    count = REBUILD_LEN[size] // size
    cluster.load("put", size, 64 if size < 1 << 20 else 4, count=count, keys=count)
    held = node.metric("rubus_drive_used_bytes")
    lose_drive(node, other)
    begin = time.monotonic()
    cpu, counts = sum(map(machine.cpu_seconds, cluster.pids())), cluster.counts(COUNTED)
    written = [(begin, node.metric("rubus_disk_written_bytes_total"))]
    kept = node.metric("rubus_drive_used_bytes")
    while not written[-1][0] > written[0][0] + 1 or written[-1][1] > written[-10][1] or \
            node.metric("rubus_drive_used_bytes") < 0.98 * held:
        time.sleep(0.03)
        written.append((time.monotonic(), node.metric("rubus_disk_written_bytes_total")))
        assert written[-1][0] < begin + 60, "the drive does not come back"
    wait_until(lambda: is_whole(other), 60, lambda: other.run("status"))
    whole = time.monotonic() - begin
    first, last = written[0][1], written[-1][1]

    def reached(share):
        return next(at for at, len_ in written if len_ >= first + share * (last - first))
    len_ = node.metric("rubus_drive_used_bytes") - kept
    rate = 0.9 * len_ / (reached(0.95) - reached(0.05))
    cpu = sum(map(machine.cpu_seconds, cluster.pids())) - cpu
    after = cluster.counts(COUNTED)
    cluster.stop()
    return len_, rate, whole, cpu, {name: after[name] - counts[name] for name in counts}


def rebuild(build, parent):
    """3 nodes of 2 drives, 2+1: a drive is lost and what it held is made anew, small and large. What
    does not grow with the bytes (to notice, to plan, to flip what is empty) is a row of its own."""
    rates = {}
    for name, size in (("64m", 64 << 20), ("8k", 8 << 10)):
        len_, rates[name], whole, cpu, counts = rebuild_of(build, parent, size)
        say(f"nodes3_rebuild_{name}_bytes", len_ / 1e6, "MB")
        say(f"nodes3_rebuild_{name}", rates[name] / 1e6, "MB/s", 200)
        say(f"nodes3_rebuild_{name}_whole_after", whole, "s")
        say(f"nodes3_rebuild_{name}_fixed", max(0, whole - len_ / rates[name]), "s")
        say(f"nodes3_rebuild_{name}_cpu", cpu / (len_ / 1e9), "cpu-s/GB")
        shards = len_ / (size // 2 if size > 1 << 20 else size + 4096)
        say(f"nodes3_rebuild_{name}_messages", counts["messages"] / shards, "/shard")
        say(f"nodes3_rebuild_{name}_flushes", counts["flushes"] / shards, "/shard")
    say("nodes3_rebuild_8k_time_of_64m", rates["64m"] / rates["8k"], "ratio", 2, most=True)


ROWS = {"nodes_rebuild": rebuild, "nodes_put_large": put_large, "nodes_get_large": get_large, "nodes_put_small": put_small,
        "nodes_put_flush": put_flush, "nodes_costs": costs, "nodes_degraded": degraded,
        "nodes_failover": failover, "nodes_memory": memory}
