#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the rubus command line as people and scripts do, and holds it to its contract: exit
# statuses, one line on stderr, one JSON document on stdout.
#
#   tests/s3/cli.sh build/release/rubus
set -u
rubus=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
failed=0
trap 'rm -rf "$dir"' EXIT
unset RUBUS_CONFIG RUBUS_ROOT_ACCESS_KEY RUBUS_ROOT_SECRET_KEY

fail() {
	printf 'FAILED: %s\n' "$*"
	failed=$((failed + 1))
}

# expect STATUS TEXT COMMAND...: the command ends with the status and says the text somewhere.
expect() {
	status=$1 text=$2
	shift 2
	timeout 60 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	test "$got" = "$status" || fail "status $got, not $status: $*: $(cat "$dir/err")"
	cat "$dir/out" "$dir/err" | grep -qF -- "$text" ||
		fail "'$text' is not said by: $*: $(cat "$dir/out" "$dir/err")"
	if test "$got" != 0 && test "$(wc -l <"$dir/err")" -gt 1; then
		fail "more than one line on stderr: $*: $(cat "$dir/err")"
	fi
}

# What the last command printed on stdout is one JSON document with a field.
has_json() {
	python3 - "$dir/out" "$1" <<'PYTHON' || fail "no JSON document with $1"
import json, sys
document = json.load(open(sys.argv[1]))
assert document["schema_version"] == 1
for name in sys.argv[2].split("."):
    document = document[name]
PYTHON
}

# config NAME [LINE]...: a configuration with two drives of that name.
config() {
	name=$1
	shift
	{
		printf 'state_dir: %s/%s/node\nreserve_mib: 1\nsegment_mib: 96\ndrives:\n' "$dir" "$name"
		printf '  - path: %s/%s/drive1\n  - path: %s/%s/drive2\n' "$dir" "$name" "$dir" "$name"
		for line; do printf '%s\n' "$line"; done
	} >"$dir/$name.yaml"
	mkdir -p "$dir/$name"
}

# --- help ---------------------------------------------------------------------------------------

"$rubus" help --man | diff - "$root/docs/rubus.1" >"$dir/diff" ||
	fail "docs/rubus.1 is not what rubus help --man prints: $(head -n 5 "$dir/diff")"
expect 0 'usage: rubus COMMAND' "$rubus" help
expect 0 'usage: rubus key create' "$rubus" help key create
expect 0 'usage: rubus key create' "$rubus" key create --help
expect 0 'rotate ID' "$rubus" key --help
expect 2 'no command is named' "$rubus"
expect 2 "did you mean 'rubus status'?" "$rubus" statsu
expect 2 'did you mean --json?' "$rubus" status --jsno
expect 2 'no such' "$rubus" help no such
expect 0 'rubus ' "$rubus" --version
if test -e /dev/full; then
	timeout 10 "$rubus" help >/dev/full 2>"$dir/err" && fail 'output was lost in silence'
fi

# --- configuration ------------------------------------------------------------------------------

config fine
expect 0 'drive2' "$rubus" config check "$dir/fine.yaml"
expect 0 '' "$rubus" config check "$dir/fine.yaml" --json
has_json drives
expect 0 '127.0.0.1:7' env RUBUS_S3_ADDRESS=127.0.0.1:7 "$rubus" config check "$dir/fine.yaml"
expect 78 'RUBUS_LOOPS' env RUBUS_LOOPS=many "$rubus" config check "$dir/fine.yaml"
config wrong 's3_address: nowhere'
expect 78 "s3_address is 'nowhere'" "$rubus" config check "$dir/wrong.yaml"
config unknown 'drive_count: 7'
expect 78 'drive_count' "$rubus" config check "$dir/unknown.yaml" --json
has_json error.message
config large 'segment_mib: 4096'
sed -i '/segment_mib: 96/d' "$dir/large.yaml"
expect 78 'segment_mib' "$rubus" config check "$dir/large.yaml"
expect 78 'No such file' "$rubus" config check "$dir/nothing.yaml"
expect 78 'No such file' "$rubus" status --config "$dir/nothing.yaml"
expect 0 'is fine' "$rubus" config check "$root/packaging/rubus.yaml.example"
# Every setting of the example is one that there is.
sed 's/^#\([a-z]\)/\1/' "$root/packaging/rubus.yaml.example" >"$dir/all.yaml"
expect 0 'is fine' "$rubus" config check "$dir/all.yaml"
grep -q '^io: auto' "$dir/all.yaml" || fail 'the example was not read'

# --- init ---------------------------------------------------------------------------------------

expect 0 'access key id' "$rubus" init --config "$dir/fine.yaml"
test "$(stat -c %a "$dir/fine/node/root.key")" = 600 || fail 'root.key is not 0600'
test "$(stat -c %a "$dir/fine/node")" = 700 || fail 'the state directory is not 0700'
secret=$(sed -n 's/^secret_access_key: //p' "$dir/fine/node/root.key")
grep -qF "$secret" "$dir/out" || fail 'the secret is not shown once'
expect 6 'is a node already' "$rubus" init --config "$dir/fine.yaml" --json
has_json error.code
grep -qF "$secret" "$dir/out" "$dir/err" && fail 'the secret is shown twice'

config given
RUBUS_ROOT_ACCESS_KEY=mykey RUBUS_ROOT_SECRET_KEY=mysecret123 \
	expect 0 'mykey' "$rubus" init --config "$dir/given.yaml"
grep -qF mysecret123 "$dir/out" && fail 'a given secret is shown'
config half
RUBUS_ROOT_ACCESS_KEY=mykey expect 78 'set both' "$rubus" init --config "$dir/half.yaml"

config foreign
mkdir "$dir/foreign/drive2" && echo precious >"$dir/foreign/drive2/file"
expect 6 'not ours' "$rubus" init --config "$dir/foreign.yaml"
test "$(cat "$dir/foreign/drive2/file")" = precious || fail 'a foreign file was touched'
rm -r "$dir/foreign/drive2"
expect 0 'access key id' "$rubus" init --config "$dir/foreign.yaml"

config other
mkdir "$dir/other/node" && echo precious >"$dir/other/node/file"
expect 6 'not ours' "$rubus" init --config "$dir/other.yaml"

# A drive of another cluster.
config taken
sed -i "s#$dir/taken/drive2#$dir/fine/drive2#" "$dir/taken.yaml"
expect 6 'belongs to another cluster' "$rubus" init --config "$dir/taken.yaml"

if test "$(id -u)" = 0 && command -v setpriv >/dev/null; then
	config denied
	chmod 755 "$dir" "$dir/denied"
	cp "$rubus" "$dir/rubus" && chmod 755 "$dir/rubus"
	chmod 644 "$dir/denied.yaml"
	nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
	# shellcheck disable=SC2086
	expect 4 'sudo' $nobody "$dir/rubus" init --config "$dir/denied.yaml"
	chmod 600 "$dir/denied.yaml"
	# shellcheck disable=SC2086
	expect 4 'sudo' $nobody "$dir/rubus" status --config "$dir/denied.yaml"
	chmod 644 "$dir/fine.yaml"
	# shellcheck disable=SC2086
	expect 4 'no permission' $nobody "$dir/rubus" status --config "$dir/fine.yaml"
fi

# --- without a node -----------------------------------------------------------------------------

expect 3 'no node runs' "$rubus" status --config "$dir/fine.yaml"
expect 3 'no node runs' "$rubus" key list --config "$dir/fine.yaml" --json
has_json error.exit_status
expect 3 'no node runs' env RUBUS_CONFIG="$dir/fine.yaml" "$rubus" bucket list

test "$failed" = 0 || exit 1
echo "cli: everything as it should be"
