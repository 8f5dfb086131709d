# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Packs as large as restic makes them, each one request, over slow and fast connections alike.
. "${BASH_SOURCE%/*}/steps.sh"
CLIENT="restic $(restic version | sed 's/restic \([^ ]*\).*/\1/')"

export RESTIC_REPOSITORY="s3:$ENDPOINT/$BUCKET" RESTIC_PASSWORD=brambles RESTIC_PROGRESS_FPS=0.1
restic="restic ${CA:+--cacert $CA} --quiet --no-cache --compression off --pack-size 128 -o s3.bucket-lookup=path"
mkdir tree
noise 140000000 1 >tree/1
test -z "$CA" || noise 30000000 2 >tree/2
step 'makes a repository and its bucket' $restic init -o s3.connections=3
step 'backs up in packs of 128 MiB' $restic backup tree
call 'has such packs' eval "\"$CLIENTS/aws\" --endpoint-url $ENDPOINT s3 ls --recursive s3://$BUCKET/data/ |
	awk '\$3 > 128 * 1048576 { n++ } END { exit n < 1 }'"

halfway

step 'checks every byte' $restic check --read-data
step 'restores' $restic restore latest --target out
step 'which is the same' diff -r tree out/tree
step 'lists locks and ends them' $restic unlock --remove-all
