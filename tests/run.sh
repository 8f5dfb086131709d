#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: tests/run.sh BUILDDIR [PART]...
#
# Runs the tests of the whole product, or only those parts, and prints a line for each case, "ok NAME"
# or "not ok NAME"; lines that begin with # explain. It ends with "N passed, N failed" and fails if any
# did. What the parts print is kept in BUILDDIR/test-logs. A part is a program that speaks the same
# lines; it has failed, too, when it ends otherwise than they say, says nothing, or takes too long.
#
# Most parts wait more than they work, so three are run at a time (TEST_LANES), each with a directory and
# ports of its own; what a part says is printed when it has ended. Those whose cases are about time are
# run alone. TEST_SECONDS is when no further part is begun; what was not begun counts as skipped.
# Nothing is begun where the file system of the directories has too little room for all of it.
#
#   quick     the tests of ninja check and check_rest, which are all in both variants, and those for
#             the thread sanitizer: read from their stamps, not run again
#   long      simulations that take minutes; beside all others, with what of the processors these leave
#   framing   ten thousand connections to the HTTP layer alone
#   boto      boto3, all of S3 that is there
#   sealed    compressed and encrypted bodies while drives and nodes fail, and where a customer's key is not
#   versions  boto3, versions and locks, on three nodes
#   lifecycle rules that delete, in days of two seconds
#   edges     the 83 sharp edges of S3, by their numbers
#   framing_s3
#             what is a request and what is not, at a node, over HTTP and TLS
#   matrix    every operation by every kind of sender in every form of payload
#   signed    requests that botocore signed, and the same ones with one bit or header changed
#   website   buckets as websites
#   rename    of objects, by many at once
#   notifications of buckets, told to webhooks that are away and by nodes that are killed
#   advisories
#             what went wrong in other servers, class by class
#   errors    the documents of errors, element by element
#   hostile   broken and malicious requests
#   aws, s3cmd, rclone, restic, registry
#             clients, over HTTP and TLS, on one drive, on four of which one is lost, and on three
#             nodes of which one is killed
#   sdks      the libraries of JavaScript and Python, together over TLS, with a look over HTTP, on one node that
#             is restarted and on three of which one is killed
#   tools     the same of s3cmd's other commands, duplicity, large packs of restic's, and a registry with
#             uploads that were left
#   mounts    the same of buckets as file systems and as a block device; needs /dev/fuse
#   replayed  clients that cannot be had: Proxmox Backup Server, Terraform, GitLab, Velero, Thanos, k3s
#   stalled   ten thousand connections that do nothing
#   import    what is in another service comes here, on good days and bad ones
#   full      a drive and an index without space
#   census    what lies on the drives, read without the product's code
#   drives    every set of drives that may be lost, and one more
#   mirror    a log on several drives, and what is lost of it and of the index
#   archive   every state directory is lost, and the index comes back from the drives
#   salvage   what was written after the end of an archive comes back beside it
#   log_kept  an index is lost, and a log of it is not
#   bitflip   bytes that change on the drives
#   scrub     damage that a scrub finds and mends, and a node that is left alone
#   wipe      a node of three whose drives and state are lost
#   wipe_rates  how long that takes, as small objects and as large extents
#   maps      damaged files of LMDB
#   cluster_cli
#             the commands that show a cluster, on three nodes
#   profile_grows
#             one node that becomes three, and what it held is coded anew
#   kill9     a node that is killed fifty times while it writes
#   kills     three nodes that are killed, one, two or all, while clients write to them
#   pause     a node that leads, stands still for half a minute, and goes on
#   away      every set of nodes that may be away, and more than may, of three, four and five
#   backup    nodes that are killed while restic backs up
#   nodes     three nodes that are killed and paused while clients race on them
#   join      nodes that join one whose log has forgotten how it began
#   grow      drives and nodes that come and go under load
#   seven     one node that grows to seven
#   drain     a node that joins and one that is drained while images are pulled and restic backs up
#   claims    an older copy of a drive, and a drive that moves to another node
#   recover   a majority that is lost for ever, and what goes on without it
#   rolling   three nodes that are upgraded one by one while clients write
#   partition three nodes that are cut off from one another; needs root
#   histories what racing clients were answered, held against the rules of a register
set -u
cd "$(dirname "$0")/.." || exit 1
builddir=${1:?usage: $0 BUILDDIR [PART]...}
shift
builddir=$(cd "$builddir" && pwd) || exit 1
release=$builddir/release
python=$builddir/clients/bin/python

# Parts in the order in which they are begun, the long ones first: a name, the seconds that it may take
# on a slow machine, whether it runs alone, and the program.
table="
quick        60 alone  stamps
framing     300 alone  tests/s3/framing.py $release/tests/http_echo --stalled 10000
stalled     400 alone  tests/s3/stalled.py $release
hostile     600 alone  tests/s3/hostile.py $release
long       2400 beside tests/sim/long.py $builddir
aws        1500 shared tests/s3/clients.py $release aws
partition  1200 shared tests/crash/partition.py $release
restic     1500 shared tests/s3/clients.py $release restic
kills      1200 shared tests/crash/kills.py $release
seven       600 shared tests/crash/grow.py $release --slow
full       1800 shared tests/s3/full.py $release
nodes      1200 shared tests/crash/nodes.py $release
registry   1200 shared tests/s3/clients.py $release registry
away       1200 shared tests/crash/away.py $release
kill9      1200 shared tests/crash/kill9.py $release
grow       1200 shared tests/crash/grow.py $release
drain       600 shared tests/crash/drain.py $release
scrub       600 shared tests/crash/scrub.py $release
wipe        600 shared tests/crash/wipe.py $release
wipe_rates  600 alone  tests/crash/wipe.py $release --rates --count 50000 --most 3
recover    1200 shared tests/crash/recover.py $release
drives     1200 shared tests/crash/drives.py $release
boto        900 shared tests/s3/boto.py $release
edges       300 shared tests/s3/edges.py $release
matrix      300 shared tests/s3/matrix.py $release
signed      300 shared tests/s3/signed.py $release
errors      300 shared tests/s3/errors.py $release
framing_s3  300 shared tests/s3/framing_s3.py $release
advisories  300 shared tests/s3/advisories.py $release
bitflip    1200 shared tests/crash/bitflip.py $release
sealed      300 shared tests/s3/sealed.py $release
forms       300 shared tests/s3/forms.py $release
lifecycle   600 shared tests/s3/lifecycle.py $release
rename      600 shared tests/s3/rename.py $release
website     600 shared tests/s3/website.py $release
notifications 600 shared tests/s3/notifications.py $release
pause       600 shared tests/crash/pause.py $release
join       1200 shared tests/crash/join.py $release
backup      900 shared tests/crash/backup.py $release
archive    1200 shared tests/crash/archive.py $release
log_kept    600 shared tests/crash/log_kept.py $release
import      300 shared tests/s3/imports.py $release
s3cmd      1200 shared tests/s3/clients.py $release s3cmd
rclone     1200 shared tests/s3/clients.py $release rclone
sdks        600 shared tests/s3/clients.py $release --together aws_sdk_js minio_js boto_sums
tools       900 shared tests/s3/clients.py $release --together s3cmd_all duplicity restic_large registry_uploads
mounts      600 shared tests/s3/clients.py $release --together s3fs rclone_mount s3backer
replayed    600 shared tests/s3/clients_replayed.py $release
maps       1200 shared tests/crash/maps.py $release
mirror     1200 shared tests/crash/mirror.py $release
cluster_cli 600 shared tests/s3/cluster_cli.py $release
versions    600 shared tests/s3/boto_cluster.py $release
histories  1200 shared tests/crash/histories.py $release
profile_grows 600 shared tests/s3/profile_grows.py $release
rolling     600 shared tests/crash/rolling.py $release
salvage     600 shared tests/crash/salvage.py $release
claims      600 shared tests/crash/claims.py $release
census      600 shared tests/crash/census.py --test $release
"
parts=${*:-$(awk '{ print $1 }' <<<"$table")}
for name in $parts; do
	if ! grep -q "^$name " <<<"$table"; then
		echo "$0: no part is called $name; see the top of this file" >&2
		exit 2
	fi
done

logs=$builddir/test-logs
mkdir -p "$logs"
lanes=${TEST_LANES:-3}
budget=${TEST_SECONDS:-2700}

# In MiB: what three of the largest parts take at once, for each lane, and what an index wants to be left
# (storage/meta/index_space.c).
lane_mib=3700 spare_mib=4200
free_mib=$(df -m --output=avail "${TMPDIR:-/tmp}" | tail -n 1)
missing_mib=$((lanes * lane_mib + spare_mib - free_mib))
if test "$missing_mib" -gt 0; then
	echo "not ok ${TMPDIR:-/tmp} has room: $missing_mib MiB more must be free there (TMPDIR, TEST_LANES)"
	echo "0 passed, 1 failed"
	exit 1
fi
root=$(mktemp -d "${TMPDIR:-/tmp}/rubus-test.XXXXXX")
passed=0 failed=0 skipped=0
declare -A lane_of=() name_of=() begin_of=() # of each part that runs, by its process

# Ends what is left of a part, found by the directory it was given, and unmounts what it mounted.
sweep() {
	local process place
	for process in /proc/[0-9]*; do
		{ tr '\0' '\n' <"$process/environ"; } 2>/dev/null | grep -qxF "TMPDIR=$1" || continue
		test "${process#/proc/}" = $$ || kill -9 "${process#/proc/}" 2>/dev/null
	done
	awk -v dir="$1/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r |
		while read -r place; do umount -l "$place" 2>/dev/null; done
	rm -rf "$1"
}

leave() {
	trap - EXIT INT TERM
	for pid in "${!lane_of[@]}"; do
		kill -- -"$pid" 2>/dev/null
		sweep "$root/${lane_of[$pid]}"
	done
	test -z "${watch-}" || kill "$watch"
	rm -rf "$root"
	exit "${1:-130}"
}
trap 'leave 130' INT TERM
trap 'leave 1' EXIT

# The stamp of a test is its log. Those that the build file names, not whatever lies there.
stamps() {
	local dir stamp name
	dir=$(sed -n 's/^builddir = //p' config.ninja)
	ninja -t commands check check_rest "$dir/tsan/check_threads" "$dir/release/check_users" |
		sed -n 's/.*&& mv [^ ]*\.log \([^ ]*\.ok\) .*/\1/p' | sort -u |
		while read -r stamp; do
			name=${stamp#"$dir/"}
			if test -f "$stamp"; then echo "ok ${name%.ok}"; else echo "not ok ${name%.ok}"; fi
		done
}

# count NAME STATUS: adds up what the log of a part says.
count() {
	local ok not_ok
	ok=$(grep -c '^ok ' "$logs/$1")
	not_ok=$(grep -c '^not ok ' "$logs/$1")
	if test "$2" -ne 0 && test "$not_ok" -eq 0; then
		echo "not ok $1 ends with status $2" | tee -a "$logs/$1"
		grep -v '^ok ' "$logs/$1" | tail -n 30 | sed 's/^/#   /'
		not_ok=1
	elif test $((ok + not_ok)) -eq 0; then
		echo "not ok $1 has cases" | tee -a "$logs/$1"
		not_ok=1
	fi
	passed=$((passed + ok))
	failed=$((failed + not_ok))
}

# begin NAME LANE SECONDS COMMAND...: in a process group, a directory, and with ports of its own.
begin() {
	local name=$1 lane=$2 seconds=$3 first
	shift 3
	mkdir "$root/$lane"
	first=$((21000 + lane * 11000 / (lanes + 1)))
	rm -f "$root/space.$lane"
	set -m
	{
		TIMEFORMAT='%U %S'
		time TMPDIR=$root/$lane TEST_PORTS=$first-$((first + 11000 / (lanes + 1) - 1)) \
			timeout --foreground --kill-after=30 "$seconds" "$@" < <(:) >"$logs/$name" 2>"$logs/$name.err"
	} 2>"$logs/$name.time" &
	set +m
	lane_of[$!]=$lane name_of[$!]=$name begin_of[$!]=$SECONDS
}

# The most that lay in each lane's directory, and in all at once, in MiB: looked at every other second.
watch_space() {
	local sum lane mib
	while sleep 2; do
		sum=0
		while read -r mib lane; do
			sum=$((sum + mib))
			keep_most "$root/space.${lane##*/}" "$mib"
		done < <(nice du -smx "$root"/[0-9]* 2>/dev/null)
		keep_most "$root/space" "$sum"
	done
}

# keep_most FILE NUMBER
keep_most() {
	test "$(cat "$1" 2>/dev/null || echo 0)" -ge "$2" || echo "$2" >"$1"
}

# Waits for a part to end, prints what it said, and frees its lane.
end_one() {
	local pid status name
	wait -n -p pid "${!lane_of[@]}"
	status=$?
	name=${name_of[$pid]}
	grep -E '^(ok|not ok|#) ' "$logs/$name"
	grep -q . "$logs/$name.err" && tail -n 20 "$logs/$name.err" | sed 's/^/#   /'
	test $status -ne 124 || echo "# $name was ended for taking too long"
	count "$name" $status
	sweep "$root/${lane_of[$pid]}"
	echo "# $name took $((SECONDS - begin_of[$pid])) s," \
		"$(awk '{ printf "%d", $1 + $2 }' "$logs/$name.time") s of processors," \
		"$(cat "$root/space.${lane_of[$pid]}" 2>/dev/null || echo 0) MiB"
	unset "lane_of[$pid]" "name_of[$pid]" "begin_of[$pid]"
}

# A lane that no part is in, or as many as there are lanes, which is the place of what runs beside them.
free_lane() {
	local lane
	for ((lane = 0; lane < lanes; lane++)); do
		[[ " ${lane_of[*]} " == *" $lane "* ]] || break
	done
	echo "$lane"
}

are_all_free() {
	local lane
	for ((lane = 0; lane < lanes; lane++)); do
		[[ " ${lane_of[*]} " == *" $lane "* ]] && return 1
	done
	return 0
}

run() {
	local name=$1 seconds=$2 how=$3
	shift 3
	case $how in
	alone) until are_all_free; do end_one; done ;;
	shared) while test "$(free_lane)" = "$lanes"; do end_one; done ;;
	esac
	if test "$SECONDS" -gt "$budget"; then
		echo "# $name is skipped: $budget s are over (TEST_SECONDS)"
		skipped=$((skipped + 1))
	elif test "$1" = stamps; then
		stamps | tee "$logs/$name"
		count "$name" 0
	elif test "$how" = beside; then
		begin "$name" "$lanes" "$seconds" nice -n 10 "$python" "$@"
	else
		begin "$name" "$(free_lane)" "$seconds" "$python" "$@"
		test "$how" = shared || end_one
	fi
}

watch_space &
watch=$!
for part in $parts; do
	# The words of a line are the words of the command.
	# shellcheck disable=SC2046
	run $(grep "^$part " <<<"$table")
done
while test "${#lane_of[@]}" -gt 0; do end_one; done

echo "# all took $SECONDS s, with at most $(cat "$root/space" 2>/dev/null || echo 0) MiB in $root"
if test "$skipped" -gt 0; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
if test "$failed" -gt 0 || test "$passed" -eq 0; then leave 1; fi
leave 0
