# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A container registry that keeps its images in the node; skopeo pushes and pulls. Layers are answered
# with a redirect to a presigned URL of the node, as by default.
. "${BASH_SOURCE%/*}/steps.sh"

layer_len=3000000
test -z "$BIG" || layer_len=45000000

cat >config.yml <<YAML
version: 0.1
log: {level: warn}
storage:
  s3:
    regionendpoint: $ENDPOINT
    region: us-east-1
    bucket: $BUCKET
    accesskey: $AWS_ACCESS_KEY_ID
    secretkey: $AWS_SECRET_ACCESS_KEY
    secure: $(if test -n "$CA"; then echo true; else echo false; fi)
    v4auth: true
    rootdirectory: /registry
  delete: {enabled: true}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "127.0.0.1:$PORT"}
YAML

# make_image DIR SEED: an image of five layers, as an OCI layout.
make_image() {
	"$PYTHON" - "$1" "$2" "$layer_len" <<'PYTHON'
import gzip, hashlib, io, json, os, random, sys, tarfile
folder, seed, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
blobs = os.path.join(folder, "blobs", "sha256")
os.makedirs(blobs)

def add(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(blobs, digest), "wb") as file:
        file.write(data)
    return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}

layers, diff_ids = [], []
for i in range(5):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        # The first layer is the same in all images, as a base is.
        body = random.Random(i and seed * 100 + i).randbytes(length + i * 1234567)
        info = tarfile.TarInfo(f"layer-{i}")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    diff_ids.append("sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest())
    # Compressed, or skopeo would do it and the digests would be others.
    layers.append(add(gzip.compress(buffer.getvalue(), 1, mtime=0), "layer.v1.tar+gzip"))
config = {"architecture": "amd64", "os": "linux", "config": {},
          "rootfs": {"type": "layers", "diff_ids": diff_ids}}
config = add(json.dumps(config).encode(), "config.v1+json")
manifest = {"schemaVersion": 2, "config": config, "layers": layers,
            "mediaType": "application/vnd.oci.image.manifest.v1+json"}
manifest = add(json.dumps(manifest).encode(), "manifest.v1+json")
manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
with open(os.path.join(folder, "index.json"), "w") as file:
    json.dump({"schemaVersion": 2, "manifests": [manifest]}, file)
with open(os.path.join(folder, "oci-layout"), "w") as file:
    file.write('{"imageLayoutVersion": "1.0.0"}')
PYTHON
}

start_registry() {
	docker-registry serve config.yml >registry.log 2>&1 &
	registry=$!
	for _ in $(seq 100); do
		curl -sf "http://127.0.0.1:$PORT/v2/" && return 0
		sleep 0.1
	done
	cat registry.log
	return 1
}

stop_registry() {
	kill "$registry"
	wait "$registry" 2>/dev/null
	return 0
}

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
