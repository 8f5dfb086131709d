#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: tests/fuzz/run.sh BUILDDIR
#
# Fuzzes each target of BUILDDIR/tests/fuzz for FUZZ_SECONDS (60) seconds, from a copy of its corpus.
# Prints a line per target; fails if any crashed, and leaves the input in BUILDDIR/crashes.
set -u
cd "$(dirname "$0")/../.." || exit 1
builddir=${1:?usage: $0 BUILDDIR}
seconds=${FUZZ_SECONDS:-60}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

failed=0
for target in "$builddir"/tests/fuzz/*; do
	test -f "$target" && test -x "$target" || continue
	name=${target##*/}
	mkdir -p "$work/$name" "$builddir/crashes"
	test -d "tests/corpus/$name" && cp -r "tests/corpus/$name/." "$work/$name/"
	if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 \
		-print_final_stats=1 -artifact_prefix="$builddir/crashes/$name-" "$work/$name" \
		>"$work/$name.log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
		speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$work/$name.log")
		covered=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$work/$name.log" | tail -n 1)
		printf '%-16s ok      %s runs, %s/s, %s edges\n' "$name" "$runs" "$speed" "$covered"
	else
		failed=1
		printf '%-16s CRASHED\n' "$name"
		tail -n 30 "$work/$name.log"
	fi
done
exit $failed
