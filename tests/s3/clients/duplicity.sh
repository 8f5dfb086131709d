# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Full and incremental backups in volumes, through Debian's boto3.
. "${BASH_SOURCE%/*}/steps.sh"
CLIENT="duplicity $(duplicity --version | sed 's/.* //')"

duplicity="duplicity --no-encryption --archive-dir $WORK/archive --tempdir $WORK/temp --volsize 5"
duplicity="$duplicity --s3-endpoint-url $ENDPOINT --s3-region-name us-east-1 --num-retries 2 -v 3"
target=boto3+s3://$BUCKET/host
test -z "$CA" || export AWS_CA_BUNDLE=$CA
mkdir temp
make_tree tree
cp -r tree first
"$CLIENTS/aws" --endpoint-url "$ENDPOINT" s3 mb "s3://$BUCKET" >/dev/null
step 'backs up a tree' $duplicity full tree "$target"
if test -z "$CA"; then
	halfway
	step 'verifies the backup' $duplicity verify --compare-data "$target" tree
	exit
fi
sleep 1
echo new >tree/a/new
rm tree/a/file-5000
noise 3000000 9 >>tree/a/file-6000000

halfway

step 'backs up what changed' $duplicity incremental tree "$target"
rm -rf archive
step 'restores it without its cache' $duplicity restore "$target" restored
step 'which is the same tree' diff -r tree restored
step 'restores what was before' $duplicity restore --time "$(date -d '@'"$(stat -c %Y tree/a/file-1)" +%s)" "$target" before
step 'which is the same tree' diff -r first before
call 'tells of both backups' eval "$duplicity collection-status $target | grep -c -E '(Full|Incremental)  ' | grep -qx 2"
step 'makes a new full backup' $duplicity full first "$target"
step 'removes the old ones' $duplicity remove-all-but-n-full 1 --force "$target"
step 'verifies what is left' $duplicity verify --compare-data "$target" first
