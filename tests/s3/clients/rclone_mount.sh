# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A bucket as a file system with a cache of writes, and two directions of a sync.
. "${BASH_SOURCE%/*}/steps.sh"
CLIENT="rclone $(rclone version | sed -n '1s/rclone v\([0-9.]*\).*/\1/p')"

export RCLONE_CONFIG_NODE_TYPE=s3 RCLONE_CONFIG_NODE_PROVIDER=Other RCLONE_CONFIG_NODE_ENV_AUTH=true
export RCLONE_CONFIG_NODE_ENDPOINT=$ENDPOINT RCLONE_CONFIG_NODE_REGION=us-east-1 RCLONE_CONFIG=$WORK/empty.conf
: >empty.conf
remote=node:$BUCKET

mount_it() {
	rclone mount "$remote" mnt --vfs-cache-mode writes --vfs-write-back 100ms --dir-cache-time 1s \
		--cache-dir "$WORK/cache" --daemon --daemon-wait 20s --log-file mount.log &&
		mountpoint -q mnt
}

# What was written goes out after it was closed.
unmount() {
	sleep 1
	for _ in $(seq 100); do
		find "$WORK/cache/vfsMeta" -type f -exec grep -l '"Dirty": true' {} + | grep -q . || break
		sleep 0.1
	done
	umount mnt
}

same() { rclone check --one-way=false "$1" "$2"; }

bisync() { rclone bisync both "$remote/both" --workdir "$WORK/bisync" "$@"; }

noise 11000000 7 >big
make_tree tree
mkdir mnt
trap 'umount -l mnt 2>/dev/null' EXIT
step 'makes a bucket' rclone mkdir "$remote"
call 'mounts it' mount_it
step 'copies a file in' cp big mnt/big
if test -z "$CA"; then
	halfway
	call 'unmounts' unmount
	step 'has put the file' rclone check --download . "$remote" --include /big
	exit
fi
step 'copies a tree in' cp -r tree mnt/tree
cp -r tree both
call 'begins to sync both ways' bisync --resync

halfway

step 'appends' bash -c 'printf more >>mnt/big'
printf more >>big
step 'renames a directory' mv mnt/tree mnt/trees
step 'removes a file' rm mnt/trees/a/file-0
rm tree/a/file-0
call 'unmounts' unmount
step 'has put everything' rclone check --download tree "$remote/trees"
step 'has appended' rclone check --download . "$remote" --include /big
call 'mounts it again' mount_it
step 'has the tree' diff -r tree mnt/trees
step 'has the file' cmp big mnt/big
call 'unmounts again' unmount

echo here >both/here
rm -r both/ü
echo there | rclone rcat "$remote/both/there"
step 'deletes on the other side' rclone delete "$remote/both/one+two"
call 'syncs both ways' bisync --force
call 'has what either side made' eval 'test "$(cat both/there)" = there &&
	test "$(rclone cat "$remote/both/here")" = here'
call 'has not what either side removed' eval '! test -e both/one+two/plus && ! rclone lsf "$remote/both" | grep ü'
step 'has the same on both sides' rclone check --download both "$remote/both"
echo here2 >both/same
echo there2 | rclone rcat "$remote/both/same"
call 'keeps both of what was changed on both' eval 'bisync && ls both | grep -c ^same | grep -qx 2'
