# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A registry whose clients left 2000 uploads, and go on with others after it was killed; layers come
# by a redirect to the node.
here=$(cd "${BASH_SOURCE%/*}" && pwd)
. "$here/steps.sh"
. "$here/registry_steps.sh"
CLIENT="registry $(docker-registry --version | sed 's/.* v\?//; s/+.*//')"

url=http://127.0.0.1:$PORT
count=2000
test -n "$CA" || count=20

# patch FILE: the next piece of the upload; $location is where the one after it goes.
patch() {
	curl -s --fail-with-body -X PATCH -D headers -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$location" &&
		location=$(tr -d '\r' <headers | sed -n 's/^[Ll]ocation: //p') && test -n "$location"
}

begin() {
	curl -s --fail-with-body -X POST -D headers "$url/v2/team/app/blobs/uploads/" &&
		location=$(tr -d '\r' <headers | sed -n 's/^[Ll]ocation: //p') && test -n "$location"
}

finish() { curl -s --fail-with-body -X PUT "$location&digest=sha256:$(sha256sum <"$1" | cut -d ' ' -f 1)"; }

# The same key that the registry gives an upload.
leave_uploads() {
	id=$(sed 's/.*uploads\/\([^?]*\).*/\1/' <<<"$location")
	"$PYTHON" "$here/stale_uploads.py" \
		"registry/docker/registry/v2/repositories/team/app/_uploads/$id/data" "$count"
}

get() {
	digest=sha256:$(sha256sum <"$1" | cut -d ' ' -f 1)
	curl -s -D headers -o /dev/null "$url/v2/team/app/blobs/$digest" && grep -q ' 307' headers &&
		grep -i '^location: ' headers | grep -q "$ENDPOINT/" &&
		curl -sfL "$url/v2/team/app/blobs/$digest" | cmp - "$1" &&
		curl -sfIL "$url/v2/team/app/blobs/$digest" | grep -qi "content-length: $(stat -c %s "$1")"
}

noise 6000000 1 >one
noise 1000000 2 >two
noise 7000000 3 >three
noise 40000000 4 >large
"$CLIENTS/aws" --endpoint-url "$ENDPOINT" s3 mb "s3://$BUCKET" >/dev/null
call 'starts' start_registry
trap 'stop_registry' EXIT
call 'begins a layer' begin
call 'takes a first piece' patch one
call "has $count uploads that were left" leave_uploads
kill -9 "$registry"
wait "$registry" 2>/dev/null
call 'starts after it was killed' start_registry
call 'takes a short piece' patch two

halfway

call 'takes a third piece behind the short one' patch three
cat one two three >layer
call 'ends the layer' finish layer
call 'gives it by a redirect' get layer
call 'begins a large one' begin
call 'takes it' patch large
call 'ends it by a copy in parts' finish large
call 'gives it by a redirect' get large
stop_registry
trap - EXIT
step 'still has the uploads that were left' bash -c "\"$CLIENTS/aws\" --endpoint-url $ENDPOINT s3api list-multipart-uploads \
	--bucket $BUCKET --query 'Uploads[].[Key]' --output text | wc -l >uploads && test \$(cat uploads) -ge $count"
