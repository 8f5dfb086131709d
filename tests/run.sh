#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: tests/run.sh BUILDDIR [PART]...
#
# Runs the tests of the whole product, or only those parts, and prints a line for each case, "ok NAME"
# or "not ok NAME"; lines that begin with # explain. It ends with "N passed, N failed" and fails if any
# did. What the parts print is kept in BUILDDIR/test-logs. A part is a program that speaks the same
# lines; it has failed, too, when it ends otherwise than they say, says nothing, or takes too long.
#
#   quick     the tests of ninja check, in all variants: read from their stamps, not run again
#   framing   ten thousand connections to the HTTP layer alone
#   boto      boto3, all of S3 that is there
#   hostile   broken and malicious requests
#   aws, s3cmd, rclone, restic, registry
#             clients, over HTTP and TLS, on one drive, on four of which one is lost, and on three
#             nodes of which one is killed
#   stalled   ten thousand connections that do nothing
#   full      a drive and an index without space
#   census    what lies on the drives, read without the product's code
#   drives    every set of drives that may be lost, and one more
#   mirror    a log on several drives, and what is lost of it and of the index
#   bitflip   bytes that change on the drives
#   maps      damaged files of LMDB
#   cluster_cli
#             the commands that show a cluster, on three nodes
#   kill9     a node that is killed fifty times while it writes
#   kills     three nodes that are killed, one, two or all, while clients write to them
#   pause     a node that leads, stands still for half a minute, and goes on
#   nodes     three nodes that are killed and paused while clients race on them
#   join      nodes that join one whose log has forgotten how it began
#   grow      drives and nodes that come and go under load
#   recover   a majority that is lost for ever, and what goes on without it
#   partition three nodes that are cut off from one another; needs root
#   histories what racing clients were answered, held against the rules of a register
set -u
cd "$(dirname "$0")/.." || exit 1
builddir=${1:?usage: $0 BUILDDIR [PART]...}
shift
builddir=$(cd "$builddir" && pwd) || exit 1
release=$builddir/release
python=$builddir/clients/bin/python
parts=${*:-quick framing boto hostile cluster_cli kill9 histories kills pause nodes partition join grow recover restic registry s3cmd rclone census drives mirror bitflip maps stalled full aws}

logs=$builddir/test-logs
mkdir -p "$logs"
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/rubus-test.XXXXXX")
export TMPDIR
passed=0 failed=0 skipped=0 child=''

# No part is begun later than this; what was not begun is told and counted as skipped.
budget=${TEST_SECONDS:-2700}

# Ends what is left of a part, found by the directory it was given, and unmounts what it mounted.
sweep() {
	for process in /proc/[0-9]*; do
		{ tr '\0' '\n' <"$process/environ"; } 2>/dev/null | grep -qxF "TMPDIR=$TMPDIR" || continue
		test "${process#/proc/}" = $$ || kill -9 "${process#/proc/}" 2>/dev/null
	done
	awk -v dir="$TMPDIR/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r |
		while read -r place; do umount -l "$place" 2>/dev/null; done
	rm -rf "${TMPDIR:?}"/*
}

leave() {
	trap - EXIT INT TERM
	test -z "$child" || kill -- -"$child" 2>/dev/null
	sweep
	rm -rf "$TMPDIR"
	exit "${1:-130}"
}
trap 'leave 130' INT TERM
trap 'leave 1' EXIT

# count NAME STATUS: adds up what the log of a part says.
count() {
	ok=$(grep -c '^ok ' "$logs/$1")
	not_ok=$(grep -c '^not ok ' "$logs/$1")
	if test "$2" -ne 0 && test "$not_ok" -eq 0; then
		echo "not ok $1 ends with status $2" | tee -a "$logs/$1"
		tail -n 30 "$logs/$1" | grep -v '^ok ' | sed 's/^/#   /'
		not_ok=1
	elif test $((ok + not_ok)) -eq 0; then
		echo "not ok $1 has cases" | tee -a "$logs/$1"
		not_ok=1
	fi
	passed=$((passed + ok))
	failed=$((failed + not_ok))
}

# part NAME SECONDS COMMAND...: runs a part in a process group and a directory of its own.
part() {
	name=$1 seconds=$2
	shift 2
	if test "$SECONDS" -gt "$budget"; then
		echo "# $name is skipped: $budget s are over (TEST_SECONDS)"
		skipped=$((skipped + 1))
		return
	fi
	begin=$SECONDS
	set -m
	timeout --kill-after=30 "$seconds" "$@" < <(:) > >(tee "$logs/$name" | grep --line-buffered -E '^(ok|not ok|#) ') \
		2>"$logs/$name.err" &
	child=$!
	set +m
	wait "$child"
	status=$?
	child=''
	sleep 0.1
	grep -q . "$logs/$name.err" && sed 's/^/#   /' "$logs/$name.err" | tail -n 20
	test $status -ne 124 || echo "# $name was ended after $seconds s"
	count "$name" $status
	sweep
	echo "# $name took $((SECONDS - begin)) s"
}

# The stamp of a test is its log. Those that the build file names, not whatever lies there.
quick() {
	dir=$(sed -n 's/^builddir = //p' config.ninja)
	stamps=$(ninja -t commands check "$dir/tsan/check_threads" "$dir/release/check_long" |
		sed -n 's/.*&& mv [^ ]*\.log \([^ ]*\.ok\) .*/\1/p' | sort -u)
	for stamp in $stamps; do
		name=${stamp#"$dir/"}
		if test -f "$stamp"; then echo "ok ${name%.ok}"; else echo "not ok ${name%.ok}"; fi
	done | tee "$logs/quick"
	count quick 0
}

framing() {
	if "$python" tests/s3/framing.py "$release/tests/http_echo" --stalled 10000 >"$TMPDIR/out" 2>&1; then
		echo 'ok HTTP/1.1 is read in one way and stalled clients cost little'
	else
		echo 'not ok HTTP/1.1 is read in one way and stalled clients cost little'
	fi
	sed 's/^/# /' "$TMPDIR/out"
}
export python release
export -f framing

for part in $parts; do
	case $part in
	quick) quick ;;
	framing) part framing 300 bash -c framing ;;
	boto) part boto 600 "$python" tests/s3/boto.py "$release" ;;
	hostile) part hostile 600 "$python" tests/s3/hostile.py "$release" ;;
	aws | s3cmd | rclone | restic | registry)
		part "$part" 1200 "$python" tests/s3/clients.py "$release" "$part" ;;
	stalled) part stalled 400 "$python" tests/s3/stalled.py "$release" ;;
	cluster_cli) part cluster_cli 300 "$python" tests/s3/cluster_cli.py "$release" ;;
	full) part full 600 "$python" tests/s3/full.py "$release" ;;
	census) part census 600 "$python" tests/crash/census.py --test "$release" ;;
	drives | mirror | bitflip | maps | kill9 | kills | pause | nodes | join | grow | recover | partition | histories)
		part "$part" 1200 "$python" "tests/crash/$part.py" "$release" ;;
	*)
		echo "$0: no part is called $part; see the top of this file" >&2
		leave 2
		;;
	esac
done

if test "$skipped" -gt 0; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
if test "$failed" -gt 0 || test "$passed" -eq 0; then leave 1; fi
leave 0
