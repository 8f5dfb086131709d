#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the benchmarks of a build directory and prints "name value unit", a line each; what is
# measured against a limit has the limit's line before it, and what has to hold says whether it
# does. See bench/bench.py for the rows of one node and bench/nodes.py for those of several;
# `bench/bench.py --only cluster` runs only these.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
for program in erasure digest parse list; do
	test ! -x "$build/bench/$program" || "$build/bench/$program"
done
exec python3 bench/bench.py "$build"
