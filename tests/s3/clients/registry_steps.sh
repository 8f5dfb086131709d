# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A container registry on the node, for scripts that have read steps.sh.

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
http: {addr: "127.0.0.1:$PORT", secret: of all that share the uploads}
YAML

start_registry() {
	docker-registry serve config.yml >>registry.log 2>&1 &
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
