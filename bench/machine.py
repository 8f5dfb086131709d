# SPDX-License-Identifier: Apache-2.0
"""What the rows of the bench are measured with: processes, their cost, the load, the machine's limits."""
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")


class Rows:
    """What was measured, and how much of it is as it is to be."""

    json = False
    missed = []

    @classmethod
    def say(cls, name, value, unit, limit=None, goal=None, most=False):
        """Prints a row. limit must hold and goal is wanted; most: both are upper bounds."""
        text = f"{value:.3f}" if isinstance(value, float) and abs(value) < 100 else f"{value:.0f}"
        row, verdict = {"name": name, "value": float(text), "unit": unit}, ""
        if limit is not None:
            sign = -1 if most else 1
            reached = "goal" if goal is not None and sign * value >= sign * goal else \
                "limit" if sign * value >= sign * limit else "missed"
            if reached == "missed":
                cls.missed.append(name)
            row.update(limit=limit, goal=goal, most=most, reached=reached)
            bound = "at most" if most else "at least"
            verdict = f"  ({bound} {limit:g}" + (f", goal {goal:g}" if goal is not None else "") + \
                f": {'MISSED' if reached == 'missed' else reached + ' reached'})"
        print(json.dumps(row) if cls.json else f"{name} {text} {unit}{verdict}", flush=True)


say = Rows.say


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as file:
        text = file.read()
    return sum(int(re.search(name + r":\s+(\d+)", text)[1])
               for name in ("RssAnon", "RssShmem")) / 1024


def metric(admin_port, pattern):
    """The sum of all values whose name and labels begin like the pattern."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=5).read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if re.match(pattern + r"(\{|\s|[^{]*\})", line))


def load(build, ports, key, secret, pids, op, size, connections, seconds=5, **more):
    """One run of bench/load. Returns its numbers and the CPU seconds of the servers."""
    command = [f"{build}/bench/load", "--port", ",".join(map(str, ports)), "--key", key,
               "--secret", secret, "--bucket", more.pop("bucket", "bench"), "--op", op,
               "--size", str(size), "--connections", str(connections),
               "--seconds", str(seconds), "--name", "x"]
    for name, value in more.items():
        command += ["--" + name] + ([] if value is True else [str(value)])
    cpu = sum(map(cpu_seconds, pids))
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 600)
    cpu = sum(map(cpu_seconds, pids)) - cpu
    if run.returncode:
        sys.exit(f"load failed: {' '.join(command)}\n{run.stdout}{run.stderr}")
    numbers = {line.split()[0][2:]: float(line.split()[1]) for line in run.stdout.splitlines()}
    numbers["cpu"] = cpu
    numbers["bytes"] = numbers["rate"] * numbers["seconds"] * 1e9
    return numbers


class Peak:
    """The greatest resident size of any of some processes while a block runs, sampled every 10 ms."""

    def __init__(self, *pids):
        self.pids, self.peak, self.is_over = pids, 0, False

    def __enter__(self):
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def sample(self):
        while not self.is_over:
            self.peak = max(self.peak, *(rss_mib(pid) for pid in self.pids))
            time.sleep(0.01)

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()


def fio(parent, mode, size="1m", depth=16, seconds=4, file_size="2g"):
    """GB/s of O_DIRECT reads or writes on the file system of the bench."""
    command = ["fio", "--name=x", f"--filename={parent}/fio.dat", f"--rw={mode}", f"--bs={size}",
               "--direct=1", "--ioengine=io_uring", f"--iodepth={depth}", f"--size={file_size}",
               "--time_based", f"--runtime={seconds}", "--output-format=terse",
               "--terse-version=3", "--end_fsync=1" if mode == "write" else "--norandommap"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = out.strip().splitlines()[-1].split(";")
    return int(fields[6] if "read" in mode else fields[47]) * 1024 / 1e9


def drop_caches():
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
    except OSError:
        pass
