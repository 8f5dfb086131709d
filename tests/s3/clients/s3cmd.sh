# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
. "${BASH_SOURCE%/*}/steps.sh"

make_tree tree
noise 18000000 7 >big
: >empty.cfg
s3="s3cmd --config=empty.cfg --access_key=$AWS_ACCESS_KEY_ID --secret_key=$AWS_SECRET_ACCESS_KEY"
s3="$s3 --host=$HOST_PORT --host-bucket=$HOST_PORT --no-progress"
if test -n "$CA"; then s3="$s3 --ssl --ca-certs=$CA"; else s3="$s3 --no-ssl"; fi

step 'makes a bucket' $s3 mb "s3://$BUCKET"
step 'puts a file' $s3 put tree/a/file-5000 "s3://$BUCKET/small"
step 'puts a file in parts' $s3 put --multipart-chunk-size-mb=5 big "s3://$BUCKET/big"
step 'syncs a tree up' $s3 sync tree/ "s3://$BUCKET/tree/"
call 'has nothing to sync after that' eval "! $s3 sync tree/ s3://$BUCKET/tree/ | grep upload:"

halfway

step 'gets a file' $s3 get "s3://$BUCKET/big" big.down
step 'which is the same' cmp big big.down
step 'syncs a tree down' $s3 sync "s3://$BUCKET/tree/" tree.down/
step 'which is the same tree' diff -r tree tree.down
call 'tells size and MD5' eval \
	"$s3 info s3://$BUCKET/small | grep -q \"\$(md5sum <tree/a/file-5000 | cut -d' ' -f1)\""
step 'copies on the server' $s3 cp "s3://$BUCKET/small" "s3://$BUCKET/copied"
step 'moves on the server' $s3 mv "s3://$BUCKET/copied" "s3://$BUCKET/moved ü"
step 'sets headers by a copy' $s3 modify --add-header=x-amz-meta-a:b "s3://$BUCKET/small"
call 'lists recursively' eval "$s3 ls --recursive s3://$BUCKET | grep -q 'moved ü'"
call 'counts what there is' eval "$s3 du s3://$BUCKET/tree | grep -q ' 88 objects'"
step 'lists uploads' $s3 multipart "s3://$BUCKET"
step 'deletes a tree' $s3 del --recursive --force "s3://$BUCKET/tree/"
step 'deletes the rest' $s3 del --recursive --force "s3://$BUCKET/"
step 'removes the bucket' $s3 rb "s3://$BUCKET"
