# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A repository as people have it: backups of a real tree, a drive lost between two of them, everything
# read back and compared byte by byte.
. "${BASH_SOURCE%/*}/steps.sh"

export RESTIC_REPOSITORY="s3:$ENDPOINT/$BUCKET/repository" RESTIC_PASSWORD=brambles \
	RESTIC_CACHE_DIR="$WORK/cache" RESTIC_PROGRESS_FPS=0.1
restic="restic ${CA:+--cacert $CA} --quiet"

# The system's own libraries, and noise where there are not enough: at least 1 GiB if BIG.
wanted=$((120 << 20))
test -z "$BIG" || wanted=$((1100 << 20))
mkdir noise
noise 60000000 1 >noise/1
{
	find "$WORK/noise" -type f -printf '%s %p\n'
	find /usr/lib -xdev -type f -size -200M -printf '%s %p\n' | sort -k 2
} | awk -v wanted=$wanted '{ sum += $1; print substr($0, length($1) + 2); if (sum > wanted) exit }
	END { print sum >"bytes" }' >all.files
while test "$(cat bytes)" -lt $wanted; do
	noise 100000000 "$(cat bytes)" >"noise/$(cat bytes)"
	echo "$WORK/noise/$(cat bytes)" >>all.files
	echo $(($(cat bytes) + 100000000)) >bytes
done
echo "# restic backs up $(wc -l <all.files) files, $(($(cat bytes) >> 20)) MiB"
awk 'NR % 3 != 0' all.files >first.files

same() {
	find "$1" -type f | wc -l | grep -qx "$(wc -l <"$2")" || return 1
	while read -r file; do cmp "$file" "$1$file" || return 1; done <"$2"
}

step 'makes a repository' $restic init
step 'backs up a tree' $restic backup --tag first --files-from-verbatim first.files
step 'backs it up again' $restic backup --tag again --files-from-verbatim first.files
call 'finds nothing new in it' eval "test \"\$($restic stats --mode raw-data --json | tee stats |
	grep -o 'total_size\":[0-9]*')\" && grep -q total_size stats"

halfway

step 'backs up the whole tree' $restic backup --tag all --files-from-verbatim all.files
step 'checks every byte of the repository' $restic check --read-data
rm -rf cache
step 'restores the first backup' $restic restore --target first latest --tag first
call 'which is byte for byte what was backed up' same first first.files
rm -rf first
step 'forgets all but the last and prunes' $restic forget --group-by host --keep-last 1 --prune
step 'checks every byte of what is left' $restic check --read-data
step 'restores the last backup' $restic restore --target all latest
call 'which is byte for byte what was backed up last' same all all.files
call 'has one snapshot left' eval "test \"\$($restic snapshots --json | grep -o short_id | wc -l)\" = 1"
