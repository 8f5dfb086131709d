# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A container registry that keeps its images in the node; skopeo pushes and pulls. Layers are answered
# with a redirect to a presigned URL of the node, as by default.
here=$(cd "${BASH_SOURCE%/*}" && pwd)
. "$here/steps.sh"

. "$here/registry_steps.sh"

layer_len=3000000
test -z "$BIG" || layer_len=45000000

# make_image DIR SEED: an image of five layers, as an OCI layout.
make_image() { "$PYTHON" "$here/image.py" "$1" "$2" "$layer_len"; }

skopeo="skopeo --insecure-policy --tmpdir $WORK"
push() { timeout 300 $skopeo copy --dest-tls-verify=false "oci:$1" "docker://127.0.0.1:$PORT/$2"; }
pull() {
	rm -rf pulled
	timeout 300 $skopeo copy --src-tls-verify=false "docker://127.0.0.1:$PORT/$1" oci:pulled:latest &&
		diff -r "$2/blobs" pulled/blobs
}
blobs() { find "$1/blobs/sha256" -type f -printf '%f\n' | sort; }
has_blob() { curl -sfI "http://127.0.0.1:$PORT/v2/$1/blobs/sha256:$2"; }

make_image one 1
make_image two 2
echo "# an image has $(du -sm one | cut -f 1) MiB"
call 'gets a bucket' "$CLIENTS/aws" --endpoint-url "$ENDPOINT" s3 mb "s3://$BUCKET"
call 'starts' start_registry
trap 'stop_registry' EXIT
call 'takes an image' push one team/app:one
call 'gives it back' pull team/app:one one
call 'takes a second image with the same base' push two team/app:two

stop_registry
halfway
call 'starts again' start_registry

call 'gives back the first image' pull team/app:one one
call 'gives back the second image' pull team/app:two two
call 'takes an image under another name' push two other/app:two
call 'lists tags' eval "$skopeo list-tags --tls-verify=false docker://127.0.0.1:$PORT/team/app | grep -q two"
call 'deletes an image' $skopeo delete --tls-verify=false "docker://127.0.0.1:$PORT/team/app:one"
stop_registry
step 'collects garbage' docker-registry garbage-collect config.yml
call 'starts after that' start_registry
only_one=$(comm -23 <(blobs one) <(blobs two))
gone() { for blob in $only_one; do ! has_blob team/app "$blob" || return 1; done; }
call 'has collected what only the deleted image had' gone
call 'gives back what is left' pull team/app:two two
call 'gives back the other name' pull other/app:two two
