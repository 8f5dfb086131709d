#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the benchmarks of a build directory and prints "name value unit", a line each; what is
# measured against a limit has the limit's line before it. See bench/bench.py for the rows.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
for program in erasure digest; do
	test ! -x "$build/bench/$program" || "$build/bench/$program"
done
exec python3 bench/bench.py "$build"
