# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
. "${BASH_SOURCE%/*}/steps.sh"

NODE_EXTRA_CA_CERTS=$CA exec "$CLIENTS/node" "${BASH_SOURCE%/*}/minio_js.js"
