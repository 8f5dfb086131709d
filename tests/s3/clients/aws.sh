# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The AWS command line: version 2 of Debian and the newest version 1, which is also the newest botocore.
. "${BASH_SOURCE%/*}/steps.sh"

# Version 1 still signs URLs with Signature Version 2, which Rubus does not speak, unless it is told.
mkdir .aws
printf '[default]\ns3 =\n  signature_version = s3v4\n' >.aws/config
make_tree tree
noise 31000000 7 >big

drive_one() {
	aws=$1 bucket=$2
	test -z "$CA" || export AWS_CA_BUNDLE=$CA
	CLIENT="aws-cli $($aws --version 2>&1 | sed 's#aws-cli/\([^ ]*\).*#\1#')"
	s3="$aws --endpoint-url $ENDPOINT s3"
	api="$aws --endpoint-url $ENDPOINT --output text s3api"

	step 'makes a bucket' $s3 mb "s3://$bucket"
	step 'copies a small file up' $s3 cp tree/a/file-5000 "s3://$bucket/small"
	step 'copies a file up in parts' $s3 cp big "s3://$bucket/big"
	call 'copies a stream up' eval "$s3 cp - s3://$bucket/stream <big"
	step 'syncs a tree up' $s3 sync tree "s3://$bucket/tree"
	call 'has nothing to sync after that' eval \
		"test -z \"\$($s3 sync --size-only tree s3://$bucket/tree)\""
	step 'puts an object with SHA-256' $api put-object --bucket "$bucket" --key sha --body big \
		--checksum-algorithm SHA256
	step 'puts an object with CRC32C' $api put-object --bucket "$bucket" --key crc --body tree/a/file-5000 \
		--checksum-algorithm CRC32C

	halfway

	step 'copies a file down in parts' $s3 cp "s3://$bucket/big" big.down
	step 'which is the same' cmp big big.down
	call 'copies a stream down' eval "$s3 cp s3://$bucket/stream - | cmp - big"
	step 'syncs a tree down' $s3 sync "s3://$bucket/tree" tree.down
	step 'which is the same tree' diff -r tree tree.down
	step 'copies on the server in parts' $s3 cp "s3://$bucket/big" "s3://$bucket/copied"
	call 'which gives the same' eval "$s3 cp s3://$bucket/copied - | cmp - big"
	step 'moves on the server' $s3 mv "s3://$bucket/copied" "s3://$bucket/moved"
	step 'gets a range' $api get-object --bucket "$bucket" --key sha --range bytes=100-199 range
	call 'which is the right one' eval 'tail -c +101 big | head -c 100 | cmp - range'
	call 'lists with prefixes' eval "$s3 ls s3://$bucket/ | grep -q 'PRE tree/'"
	call 'makes an URL that curl gets' eval "curl -sf \"\$($s3 presign s3://$bucket/big)\" | cmp - big"
	step 'fails for what is not there' bash -c "! $s3 cp s3://$bucket/none none"
	step 'syncs deletions' bash -c "rm -r tree.down/ü && $s3 sync --delete tree.down s3://$bucket/tree"
	call 'which are no longer listed' eval "! $s3 ls --recursive s3://$bucket/tree | grep größe"
	step 'removes the bucket with all in it' $s3 rb --force "s3://$bucket"
	rm -rf big.down tree.down range
}

test -z "$BIG" || drive_one /usr/bin/aws "$BUCKET-v2"
drive_one "$CLIENTS/aws" "$BUCKET-v1"
