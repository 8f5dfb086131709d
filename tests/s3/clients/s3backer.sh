# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A block device in a bucket, an object for each block, with ext4 on it.
. "${BASH_SOURCE%/*}/steps.sh"
CLIENT="s3backer $(s3backer --version 2>&1 | sed -n '1s/s3backer version \([^ ]*\).*/\1/p')"

# With --region it would put the name of the bucket in front of that of the host.
s3backer="s3backer --baseURL=$ENDPOINT/ --accessFile=$WORK/passwd --quiet"
s3backer="$s3backer --timeout=20 ${CA:+--cacert=$CA}"
device="--size=48M --blockSize=128k --blockCacheSize=200 --listBlocks"

mount_it() { $s3backer $device "$BUCKET" dev && mountpoint -q dev; }

# s3backer goes on to write for a while after that, and says in the bucket when it has ended.
unmount() {
	umount dev
	for _ in $(seq 200); do
		$aws s3api head-object --bucket "$BUCKET" --key s3backer-mounted >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	return 1
}

aws="$CLIENTS/aws --endpoint-url $ENDPOINT"
test -z "$CA" || export AWS_CA_BUNDLE=$CA
printf '%s:%s' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >passwd
chmod 600 passwd
mkdir dev
trap 'umount -l dev 2>/dev/null' EXIT
make_tree tree
$aws s3 mb "s3://$BUCKET" >/dev/null
call 'makes a device' mount_it
step 'makes a file system with a tree on it' mke2fs -q -t ext4 -E nodiscard -d tree dev/file
call 'ends' unmount
if test -z "$CA"; then
	halfway
	call 'has it again' mount_it
	step 'has a file system that is whole' e2fsck -fn dev/file
	exit
fi
call 'has it again' mount_it
step 'writes a file' debugfs -w -R "write tree/a/file-6000000 again" dev/file

halfway

step 'writes another' debugfs -w -R "write tree/a/file-1000000 other" dev/file
call 'ends again' unmount
call 'has it a third time' mount_it
step 'has a file system that is whole' e2fsck -fn dev/file
mkdir out
step 'reads the tree' debugfs -R "rdump / out" dev/file
step 'has the new files' bash -c 'cmp out/again tree/a/file-6000000 && cmp out/other tree/a/file-1000000'
rm -rf out/again out/other out/lost+found
step 'has the tree' diff -r tree out
call 'ends a third time' unmount
step 'erases the device' bash -c "yes y | $s3backer --erase --force $BUCKET"
call 'leaves nothing' eval "test -z \"\$($aws s3 ls s3://$BUCKET)\""
