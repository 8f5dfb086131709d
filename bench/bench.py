#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a node of this build, and beside it, in the same run, what the machine can do.

Prints "name value unit" for each row; with --row NAME only rows whose name begins so. Only release
numbers count. Ratios are to the limit that was measured in the same run; CPU is that of the server's
process, from /proc. Nothing here needs another machine: load is made by bench/load on loopback.
"""
import argparse
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import machine
import nodes
from machine import Peak, Rows, drop_caches, fio, say


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Node:
    """A node with drives under a directory of its own, made by `rubus demo`."""

    started = []

    def __init__(self, build, parent, drives, environment=None):
        self.build, self.s3, self.admin = build, free_port(), free_port()
        self.dir = os.path.join(parent, f"node{drives}")
        self.drives = drives
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None
        self.start()

    def start(self):
        self.log = open(self.dir + ".log", "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [f"{self.build}/rubus", "demo", "--dir", self.dir, "--drives", str(self.drives),
             "--s3", f"127.0.0.1:{self.s3}", "--admin", f"127.0.0.1:{self.admin}"],
            stdout=self.log, stderr=self.log, env=self.environment)
        Node.started.append(self)
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/health/ready", timeout=1).read()
                break
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("the node ended:\n" + open(self.dir + ".log").read()[-2000:])
                if time.monotonic() - begin > 60:
                    sys.exit("the node is not ready after 60 s")
                time.sleep(0.01)
        self.start_seconds = time.monotonic() - begin
        with open(os.path.join(self.dir, "node", "root.key")) as file:
            values = dict(line.strip().split(": ", 1) for line in file if ": " in line)
        self.key, self.secret = values["access_key_id"], values["secret_access_key"]

    def bucket(self, name):
        subprocess.run([f"{self.build}/rubus", "bucket", "create", name, "--dir", self.dir],
                       check=True, stdout=subprocess.DEVNULL)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(timeout=60)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def rss_mib(self):
        return machine.rss_mib(self.process.pid)

    def metric(self, name):
        return machine.metric(self.admin, name)

    def written(self):
        return self.metric("rubus_disk_written_bytes_total")

    def load(self, op, size, connections, seconds=5, **more):
        return machine.load(self.build, [self.s3], self.key, self.secret, [self.process.pid],
                            op, size, connections, seconds, **more)


def make_index_cold(node):
    """Takes the pages of the node's maps out of memory, which the kernel keeps while they are mapped,
    and drops what else is cached. Returns how many MiB of the maps are still there."""
    madvise, page_out = 440, 21  # process_madvise(), MADV_PAGEOUT
    libc = ctypes.CDLL(None, use_errno=True)
    maps = []
    with open(f"/proc/{node.process.pid}/maps") as file:
        for line in file:
            if line.rstrip().endswith(".mdb"):
                maps.append([int(end, 16) for end in line.split()[0].split("-")])
    pidfd = os.pidfd_open(node.process.pid)
    try:
        for start, end in maps:
            while start < end:
                vector = (ctypes.c_size_t * 2)(start, min(end - start, 1 << 30))
                done = libc.syscall(madvise, pidfd, vector, ctypes.c_size_t(1), page_out, 0)
                if done <= 0:
                    break
                start += done
    finally:
        os.close(pidfd)
    drop_caches()
    resident = 0
    with open(f"/proc/{node.process.pid}/smaps") as file:
        is_map = False
        for line in file:
            if re.match(r"[0-9a-f]+-", line):
                is_map = line.rstrip().endswith(".mdb")
            elif is_map and line.startswith("Rss:"):
                resident += int(line.split()[1])
    return resident / 1024


# --- rows: each function measures what belongs together ---------------------------------------------


def small(build, parent):
    node = Node(build, parent, 1)
    node.bucket("bench")
    flushed, written = node.metric("rubus_disk_flushes_total"), node.written()
    run = node.load("put", 4096, 32, signed=True, keys=1000000)
    flushed = node.metric("rubus_disk_flushes_total") - flushed
    written = node.written() - written
    say("put_4k_signed_32", run["ops"], "1/s")
    say("put_4k_signed_32_cpu", run["cpu"] / run["count"] * 1e6, "us/op")
    say("put_4k_signed_32_p50", run["p50"], "us")
    say("put_4k_signed_32_p99", run["p99"], "us")
    say("put_4k_flushes", flushed / run["count"], "flushes/op")
    say("put_4k_written", written / run["count"], "bytes/op")
    run = node.load("put", 4096, 1, seconds=3, signed=True)
    say("put_4k_signed_1_p50", run["p50"], "us")
    run = node.load("get", 4096, 16, keys=2000)
    say("get_4k_16", run["ops"], "1/s")
    say("get_4k_16_per_core", run["count"] / run["cpu"], "1/s/core")
    say("get_4k_16_p99", run["p99"], "us")
    node.stop()


def large(build, parent):
    node = Node(build, parent, 1)
    node.bucket("bench")
    limit = fio(parent, "write")
    say("fio_write_1m", limit, "GB/s")
    run = node.load("put", 1 << 20, 16, keys=2000)
    say("put_1m_unsigned_16", run["rate"], "GB/s")
    say("put_1m_unsigned_16_cpu", run["cpu"] / (run["bytes"] / 1e9), "cpu-s/GB")
    say("put_1m_unsigned_16_of_fio", run["rate"] / limit, "ratio")
    node.load("put", 1 << 20, 16, seconds=1, keys=64, prefix="hot")
    node.load("get", 1 << 20, 16, seconds=1, keys=64, prefix="hot")
    run = node.load("get", 1 << 20, 16, keys=64, prefix="hot")
    say("get_1m_hot_16", run["rate"], "GB/s")
    say("get_1m_hot_16_cpu", run["cpu"] / (run["bytes"] / 1e9), "cpu-s/GB")
    node.load("put", 64 << 20, 4, count=24, keys=24, prefix="cold")
    drop_caches()
    limit = fio(parent, "read")
    say("fio_read_1m", limit, "GB/s")
    drop_caches()
    run = node.load("get", 64 << 20, 4, count=24, keys=24, prefix="cold")
    say("get_64m_cold_4", run["rate"], "GB/s")
    say("get_64m_cold_of_fio", run["rate"] / limit, "ratio")
    node.stop()


def coded(build, parent):
    node = Node(build, parent, 4)
    node.bucket("bench")
    limit = fio(parent, "write")
    names = ("rubus_disk_flushes_total", "rubus_disk_writes_total", "rubus_disk_written_bytes_total")
    counts = [node.metric(name) for name in names]
    run = node.load("put", 1 << 20, 16, signed=True, keys=1000)
    counts = [node.metric(name) - count for name, count in zip(names, counts)]
    say("put_1m_signed_2+2_flushes", counts[0] / run["count"], "flushes/op")
    say("put_1m_signed_2+2_writes", counts[1] / run["count"], "writes/op")
    say("put_1m_signed_2+2_written", counts[2] / run["bytes"], "bytes/byte")
    say("put_1m_signed_2+2_16", run["rate"], "GB/s")
    say("put_1m_signed_2+2_of_half_fio", run["rate"] / (limit / 2), "ratio")
    say("put_1m_signed_2+2_cpu", run["cpu"] / (run["bytes"] / 1e9), "cpu-s/GB")
    run = node.load("get", 1 << 20, 16, seconds=3, keys=64)
    say("get_1m_hot_2+2_16", run["rate"], "GB/s")
    node.stop()


def memory(build, parent):
    node = Node(build, parent, 4)
    node.bucket("bench")
    time.sleep(12)
    say("rss_idle", node.rss_mib(), "MiB")
    with Peak(node.process.pid) as peak:
        node.load("put", 1 << 20, 128, seconds=5, keys=2000)
    say("rss_128_uploads", peak.peak, "MiB")
    time.sleep(12)  # what the uploads held is given back after 10 s
    with Peak(node.process.pid) as peak:
        run = node.load("put", 5 << 30, 1, count=1, keys=1, prefix="huge")
    say("rss_one_5g_put", peak.peak, "MiB")
    say("put_5g_rate", run["rate"], "GB/s")
    node.stop()


def listing(build, parent):
    node = Node(build, parent, 1)
    node.bucket("bench")
    with Peak(node.process.pid) as peak:
        run = node.load("put", 16, 64, count=1000000, keys=1000000)
    say("rss_1e6_puts", peak.peak, "MiB")
    say("put_16b_64_cpu", run["cpu"] / run["count"] * 1e6, "us/op")
    say("put_16b_64", run["ops"], "1/s")
    run = node.load("list", 0, 4, seconds=5)
    say("list_1000_of_1e6", run["keys"] / run["seconds"], "keys/s")
    say("list_1000_of_1e6_per_core", run["keys"] / run["cpu"], "keys/s/core")
    say("list_1000_of_1e6_p50", run["p50"], "us")
    run = node.load("head", 0, 16, seconds=3, keys=1000000, random=True)
    say("head_random_of_1e6_16", run["ops"], "1/s")
    say("head_random_of_1e6_16_p99", run["p99"], "us")
    time.sleep(1)  # what was put is in the map by now
    say("index_in_memory_when_cold", make_index_cold(node), "MiB")
    run = node.load("head", 0, 16, seconds=3, keys=1000000, random=True)
    say("head_random_of_1e6_16_cold", run["ops"], "1/s")
    say("head_random_of_1e6_16_cold_p99", run["p99"], "us")
    make_index_cold(node)
    run = node.load("list", 0, 1, count=1000)
    say("list_1000_of_1e6_cold", run["keys"] / run["seconds"], "keys/s")
    say("list_1000_of_1e6_cold_p99", run["p99"], "us")
    with Peak(node.process.pid) as peak:
        node.load("get", 16, 16, seconds=2, keys=1000000, random=True)
    say("rss_1e6_keys", peak.peak, "MiB")
    node.stop(signal.SIGKILL)
    node.start()
    say("start_after_kill_1e6", node.start_seconds, "s")
    node.stop()


def configure(node, bucket, what, body):
    subprocess.run(
        ["curl", "-sSf", "--aws-sigv4", "aws:amz:rubus:s3", "--user", f"{node.key}:{node.secret}", "-X", "PUT",
         "-H", f"x-amz-content-sha256: {hashlib.sha256(body.encode()).hexdigest()}",
         "--data-binary", body, f"http://127.0.0.1:{node.s3}/{bucket}?{what}="], check=True)


def set_rule(node, bucket, prefix, days):
    body = (f"<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>{prefix}</Prefix>"
            f"</Filter><Expiration><Days>{days}</Days></Expiration></Rule></LifecycleConfiguration>")
    configure(node, bucket, "lifecycle", body)


def objects_in(node, bucket):
    run = subprocess.run([f"{node.build}/rubus", "bucket", "show", bucket, "--dir", node.dir, "--json"],
                         check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)["objects"]


def expire(node, bucket, count, keep):
    """CPU seconds of the node from when so many objects were put until a rule has deleted them."""
    set_rule(node, bucket, "due", 1)
    node.load("put", 16, 32, count=count, keys=count, prefix="due", bucket=bucket)
    begin = machine.cpu_seconds(node.process.pid)
    while objects_in(node, bucket) > keep:
        time.sleep(0.5)
    return machine.cpu_seconds(node.process.pid) - begin


def lifecycle(build, parent):
    due, keep = 20000, 1000000
    node = Node(build, parent, 1, environment={"RUBUS_LIFECYCLE_DAY_SECONDS": "15"})
    node.bucket("alone"), node.bucket("among")
    node.load("put", 16, 64, count=keep, keys=keep, prefix="keep", bucket="among")
    alone = expire(node, "alone", due, 0)
    among = expire(node, "among", due, keep)
    say("expire_cpu", alone / due * 1e6, "us/op")
    say("expire_among_1e6_cpu", among / due * 1e6, "us/op")
    say("expire_among_1e6_of_alone", among / alone, "ratio")
    node.stop()


def sealed(build, parent):
    """Buckets that encrypt and that compress, and beside them, in turns, one that does neither."""
    node = Node(build, parent, 1)
    ways = {"plain": ("plain", {}), "sealed": ("sealed", {}), "zipped_noise": ("zipped", {}),
            "zipped": ("zipped", {"thin": True})}
    for bucket in ("plain", "sealed", "zipped"):
        node.bucket(bucket)
    configure(node, "sealed", "encryption",
              "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256"
              "</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>")
    subprocess.run([f"{build}/rubus", "bucket", "set", "zipped", "compression=zstd", "--dir", node.dir],
                   check=True, stdout=subprocess.DEVNULL)
    rates, cpu = {way: [] for way in ways}, {way: [] for way in ways}
    stored = sent = 0
    for turn in range(4):
        for way, (bucket, more) in ways.items():
            if way == "zipped":
                sent -= node.metric("rubus_zipped_bytes_total")
                stored -= node.metric("rubus_zipped_stored_bytes_total")
            run = node.load("put", 1 << 20, 16, seconds=1.5, keys=300, bucket=bucket, **more)
            if way == "zipped":
                sent += node.metric("rubus_zipped_bytes_total")
                stored += node.metric("rubus_zipped_stored_bytes_total")
            if turn > 0:  # the first one is to warm up
                rates[way].append(run["rate"])
                cpu[way].append(run["cpu"] / (run["bytes"] / 1e9))
    middle = {way: sorted(rates[way])[1] for way in ways}
    for way in ways:
        say(f"put_1m_{way}_16", middle[way], "GB/s")
        say(f"put_1m_{way}_16_cpu", sorted(cpu[way])[1], "cpu-s/GB")
    say("put_1m_sealed_of_plain", middle["sealed"] / middle["plain"], "ratio", 0.7)
    say("put_1m_zipped_noise_of_plain", middle["zipped_noise"] / middle["plain"], "ratio", 0.7)
    say("zipped_stored_of_sent", stored / sent, "ratio")
    node.stop()


def flushes(build, parent):
    for delay in (1, 3):
        node = Node(build, parent, 1, environment={"RUBUS_BENCH_SYNC_DELAY_MS": str(delay)})
        node.bucket("bench")
        run = node.load("put", 4096, 32, seconds=4, signed=True)
        say(f"put_4k_{delay}ms_flush", run["ops"], "1/s")
        say(f"put_4k_{delay}ms_flush_p99_of_p50", run["p99"] / run["p50"], "ratio")
        run = node.load("put", 1 << 20, 16, seconds=4, keys=1000)
        say(f"put_1m_{delay}ms_flush", run["rate"], "GB/s")
        say(f"put_1m_{delay}ms_flush_p99_of_p50", run["p99"] / run["p50"], "ratio")
        node.stop()
        shutil.rmtree(node.dir)


ROWS = {"small": small, "large": large, "coded": coded, "memory": memory, "listing": listing,
        "lifecycle": lifecycle, "flushes": flushes, "sealed": sealed, **nodes.ROWS}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--row", "--only", action="append", choices=sorted([*ROWS, "cluster"]),
                        help="only these; cluster: all those of several nodes")
    parser.add_argument("--json", action="store_true", help="a JSON document per row")
    parser.add_argument("--dir", help="where the drives are made; the file system that is measured")
    arguments = parser.parse_args()
    Rows.json = arguments.json
    for name, function in ROWS.items():
        wanted = arguments.row or [name]
        if name not in wanted and not ("cluster" in wanted and name in nodes.ROWS):
            continue
        parent = tempfile.mkdtemp(prefix="rubus-bench-", dir=arguments.dir)
        try:
            function(arguments.build, parent)
        finally:
            for node in Node.started:
                node.kill()
            Node.started.clear()
            nodes.kill_all()
            shutil.rmtree(parent, ignore_errors=True)
    if Rows.missed:
        print("missed:", " ".join(Rows.missed), file=sys.stderr)


main()
