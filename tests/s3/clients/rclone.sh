# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
. "${BASH_SOURCE%/*}/steps.sh"

make_tree tree
noise 28000000 7 >big
export RCLONE_CONFIG="$WORK/rclone.conf" RCLONE_CONFIG_R_TYPE=s3 RCLONE_CONFIG_R_PROVIDER=Other \
	RCLONE_CONFIG_R_ENDPOINT="$ENDPOINT" RCLONE_CONFIG_R_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" \
	RCLONE_CONFIG_R_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" RCLONE_RETRIES=1 RCLONE_CA_CERT="$CA"
touch rclone.conf

step 'makes a bucket' rclone mkdir "r:$BUCKET"
step 'syncs a tree up' rclone sync tree "r:$BUCKET/tree"
step 'finds it equal by checksums' rclone check tree "r:$BUCKET/tree"
step 'copies a file up in parts' rclone copyto --s3-upload-cutoff 5M --s3-chunk-size 5M big "r:$BUCKET/big"
call 'copies a stream up' eval "rclone rcat --s3-chunk-size 5M r:$BUCKET/stream <big"

halfway

step 'finds it equal byte by byte' rclone check --download tree "r:$BUCKET/tree"
call 'reads a stream' eval "rclone cat r:$BUCKET/stream | cmp - big"
call 'reads from the middle' eval \
	"rclone cat --offset 12345678 --count 1000 r:$BUCKET/big | cmp - <(tail -c +12345679 big | head -c 1000)"
step 'syncs it down' rclone sync "r:$BUCKET/tree" tree.down
step 'which is the same tree' diff -r tree tree.down
call 'keeps the times' eval \
	"test \"\$(stat -c %Y tree/a/file-5000)\" = \"\$(stat -c %Y tree.down/a/file-5000)\""
step 'copies on the server' rclone copyto "r:$BUCKET/big" "r:$BUCKET/copied"
step 'copies on the server in parts' rclone copyto --s3-copy-cutoff 5M "r:$BUCKET/big" "r:$BUCKET/copied-parts"
call 'which gives the same' eval "rclone cat r:$BUCKET/copied-parts | cmp - big"
step 'moves on the server' rclone moveto "r:$BUCKET/copied" "r:$BUCKET/moved ü%+"
call 'changes a tree' eval 'rm -r "tree/ü" && noise 300000 9 >tree/a/file-4096'
step 'syncs the changes' rclone sync tree "r:$BUCKET/tree"
step 'finds them equal byte by byte' rclone check --download tree "r:$BUCKET/tree"
call 'makes a link that curl gets' eval "curl -sf \"\$(rclone link r:$BUCKET/big)\" | cmp - big"
call 'counts' eval "rclone size r:$BUCKET/tree | grep -q 'objects: 79'"
step 'cleans up old uploads' rclone cleanup "r:$BUCKET"
step 'purges the bucket' rclone purge "r:$BUCKET"
