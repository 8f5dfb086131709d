# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this folder share. ../clients.py gives them in the environment:
#
#   ENDPOINT HOST_PORT CA    where the node is; CA is empty without TLS
#   AWS_…                    keys and region
#   BUCKET WORK PORT         for their use: a name, an empty directory, a free port
#   BIG                      yes for as much data as a user has, else empty
set -u
cd "$WORK" || exit 1

# step NAME COMMAND...: a case; it passes when the command does.
step() {
	name=$1
	shift
	if timeout 400 "$@" >"$WORK/step.log" 2>&1 </dev/null; then
		echo "ok $CLIENT: $name"
	else
		echo "not ok $CLIENT: $name (status $?)"
		tail -n 25 "$WORK/step.log" | cut -c 1-300 | sed 's/^/#   /'
	fi
}

# A function of the script as a case: timeout knows programs only.
call() {
	name=$1
	shift
	if "$@" >"$WORK/step.log" 2>&1 </dev/null; then
		echo "ok $CLIENT: $name"
	else
		echo "not ok $CLIENT: $name (status $?)"
		tail -n 25 "$WORK/step.log" | cut -c 1-300 | sed 's/^/#   /'
	fi
}

# From here on a drive is missing, or the node was at least started again.
halfway() {
	echo halfway
	read -r _
}

# noise BYTES SEED: bytes that do not compress, the same for the same seed.
noise() {
	"$PYTHON" -c 'import random, sys
random = random.Random(int(sys.argv[2]))
left = int(sys.argv[1])
while left > 0:
    sys.stdout.buffer.write(random.randbytes(min(left, 1 << 20)))
    left -= 1 << 20' "$1" "$2"
}

# make_tree DIR: files of many sizes, with names that need care.
make_tree() {
	mkdir -p "$1/a/b c/d" "$1/ü" "$1/one+two"
	echo plus >"$1/one+two/plus"
	i=0
	for size in 0 1 100 4096 5000 65536 131073 1000000 6000000; do
		i=$((i + 1))
		noise $size $i >"$1/a/file-$size"
		noise $size $((i + 100)) >"$1/a/b c/with space & ampersand $size%"
		noise $((size / 3)) $((i + 200)) >"$1/ü/größe+$size"
	done
	for i in $(seq 60); do echo "$i" >"$1/a/b c/d/$i.txt"; done
}
