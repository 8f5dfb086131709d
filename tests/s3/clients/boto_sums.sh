# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
. "${BASH_SOURCE%/*}/steps.sh"

test -z "$CA" || export AWS_CA_BUNDLE=$CA
exec "$PYTHON" "${BASH_SOURCE%/*}/boto_sums.py"
