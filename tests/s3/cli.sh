#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the rubus command line as people and scripts do, and holds it to its contract: exit
# statuses, one line on stderr, one JSON document on stdout.
#
#   tests/s3/cli.sh build/release/rubus [clients]
#
# With "clients" the commands that a demo prints are run as they are printed.
set -u
rubus=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
failed=0
node=
# shellcheck disable=SC2317
clean_up() {
	test -z "$node" || kill -KILL "$node" 2>/dev/null
	rm -rf "$dir"
}
trap clean_up EXIT
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
sed -e 's/^#\([a-z]\)/\1/' -e 's/^#\(  - \|    [a-z]\)/\1/' "$root/packaging/rubus.yaml.example" >"$dir/all.yaml"
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
	expect 4 "sudo install -d -o \$USER -m 700 $dir/denied/node" \
		$nobody "$dir/rubus" init --config "$dir/denied.yaml"
	chown 65534 "$dir/denied"
	mkdir -m 755 "$dir/denied/drive1"
	# shellcheck disable=SC2086
	expect 4 "sudo chown -R \$USER $dir/denied/drive1" \
		$nobody "$dir/rubus" init --config "$dir/denied.yaml"
	chmod 600 "$dir/denied.yaml"
	# shellcheck disable=SC2086
	expect 4 'sudo' $nobody "$dir/rubus" status --config "$dir/denied.yaml"
	chmod 644 "$dir/fine.yaml"
	# shellcheck disable=SC2086
	expect 4 'no permission' $nobody "$dir/rubus" status --config "$dir/fine.yaml"
fi

config nowhere
rmdir "$dir/nowhere"
expect 5 "sudo install -d" "$rubus" init --config "$dir/nowhere.yaml"

# --- without a node -----------------------------------------------------------------------------

expect 3 'no node runs' "$rubus" status --config "$dir/fine.yaml"
expect 3 'no node runs' "$rubus" key list --config "$dir/fine.yaml" --json
has_json error.exit_status
expect 3 'no node runs' env RUBUS_CONFIG="$dir/fine.yaml" "$rubus" bucket list

# --- a demo -------------------------------------------------------------------------------------

# start NAME COMMAND...: a node in the background, once it serves.
start() {
	name=$1
	shift
	env "$@" >"$dir/$name.out" 2>"$dir/$name.err" </dev/null &
	node=$!
	for _ in $(seq 300); do
		grep -q 'certificate\|tls_fingerprint' "$dir/$name.out" && return
		kill -0 "$node" 2>/dev/null || break
		sleep 0.1
	done
	fail "it does not serve: $*: $(cat "$dir/$name.out" "$dir/$name.err")"
}

# stop SIGNAL STATUS: the node ends on a signal.
stop() {
	kill "-$1" "$node"
	wait "$node"
	got=$?
	test "$got" = "$2" || fail "status $got after SIG$1, not $2"
	node=
}

addresses='--s3 127.0.0.1:0 --admin 127.0.0.1:0'
demo="$dir/a demo"
expect 2 'ADDRESS:PORT' "$rubus" demo --dir "$demo" --s3 nowhere
expect 2 "--drives is 'many'" "$rubus" demo --dir "$demo" --drives many
expect 2 "--drives is '0'" "$rubus" demo --dir "$demo" --drives 0
expect 2 '--dir is not named' "$rubus" demo
expect 6 'not a demo' "$rubus" demo --dir "$dir"
expect 1 'No such file' "$rubus" demo --dir "$dir/no/such/place"
# shellcheck disable=SC2086
start demo "$rubus" demo --dir "$demo" --drives 3 $addresses
secret=$(sed -n 's/^secret_access_key: //p' "$demo/node/root.key")
root_id=$(sed -n 's/^access_key_id: //p' "$demo/node/root.key")
grep -qF "$secret" "$dir/demo.out" || fail 'the secret is not shown at the first run'
test -d "$demo/drive3/segments" || fail 'drive3 has no segments'
test -e "$demo/drive4" && fail 'there are more drives than were asked for'

say() {
	status=$1 text=$2
	shift 2
	expect "$status" "$text" "$rubus" "$@" --dir "$demo"
}

say 0 'share a file system' status
say 0 '3 of 3 up' status
say 0 '' status --json
has_json durability
say 0 'drive3' drive list
say 0 '' drive list --json
has_json drives
say 0 'still fits' df
say 0 '' df --json
has_json available
say 0 'photos' bucket create photos
say 6 'there already' bucket create photos
say 2 '3 to 63' bucket create No_Name
say 0 'photos' bucket list
say 0 '' bucket list --json
has_json buckets
say 0 'root' bucket show photos
say 5 'no bucket nothing' bucket show nothing
long=$(printf '%01500d' 0)
say 5 'there is no' key show "$long"
say 5 'there is no' bucket show "$long"
python3 - "$demo/node/control.sock" <<'PYTHON' || fail 'a request of rubbish is not refused'
import json, os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
rubbish = [{"call": call, "id": value, "name": value}
           for call in ("key.show", "key.rotate", "key.delete", "bucket.show", "bucket.delete", "none")
           for value in (None, 5, "", "x" * 3000, [], {})]
for request in [None, 7, [], *rubbish]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("control.sock")
        sock.sendall(json.dumps(request).encode() + b"\n")
        assert "error" in json.loads(sock.makefile().readline()), request
PYTHON
say 5 'no bucket nothing' bucket delete nothing
say 0 'photos' bucket delete photos
say 5 'no bucket photos' bucket show photos
say 0 "$root_id" key list
say 2 'admin or owner' key create --role king
say 0 'secret' key create --owner me --description 'for a test' --json
has_json secret
key=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["id"])' "$dir/out")
say 0 'for a test' key show "$key"
say 0 'disabled' key disable "$key"
say 0 'enabled' key enable "$key"
say 0 'secret' key rotate "$key"
say 0 "$key" key delete "$key"
say 5 "no key $key" key show "$key"
say 5 "no key $key" key rotate "$key"
say 5 "no key $key" key delete "$key"
say 0 'secret' key rotate "$root_id"
new_secret=$(sed -n 's/^secret_access_key: //p' "$demo/node/root.key")
grep -qF "$new_secret" "$dir/out" || fail 'root.key does not have the secret that holds'
test "$new_secret" != "$secret" || fail 'the secret was not rotated'

# Users, their keys, grants and quotas.
say 0 'ann-secret' user create --id ann --name 'Ann A' --access-key ANNKEY --secret-key ann-secret
say 0 '"secret_key"' user create --id bob --json
say 6 'user ann is there already' user create --id ann
say 2 'letters, digits' user create --id 'a b'
say 2 'letters, digits' user create --name nobody
say 6 'key ANNKEY is there already' user create --id carl --access-key ANNKEY --secret-key ann-secret
say 5 'no user carl' user show carl
say 2 'printable' user create --id carl --access-key CARLKEY --secret-key short
say 0 'Ann A' user list
say 0 'ANNKEY' user show ann
if grep -q 'ann-secret' "$dir/out"; then fail 'a secret is shown twice'; fi
say 5 'no user carl' key create --user carl
say 2 '90d' key create --user ann --expires yesterday
say 2 '90d' key create --user ann --expires 2020-01-31
say 0 'secret' key create --user ann --expires 90d --name laptop
say 0 'laptop' key list --user ann
if grep -qF "$root_id" "$dir/out"; then fail 'keys of others are listed'; fi
say 0 'photos' bucket create photos --user ann
say 0 '10.0 MiB' bucket set photos quota-bytes=10M soft-quota-objects=5
say 2 'no setting quota' bucket set photos quota=10M
say 2 'write a number' bucket set photos quota-bytes=much
say 0 '10.0 MiB' bucket show photos
say 0 'Anna' user set ann name=Anna quota-objects=7
say 0 'read+write' bucket allow photos --user bob --read --write
say 5 'no user carl' bucket allow photos --user carl --read
say 5 'no key NONE' bucket allow photos --key NONE --read
say 2 'one of --key and --user' bucket allow photos --read
say 2 'say what' bucket allow photos --user bob
say 0 'photos read+write' user show bob
say 0 'read' bucket deny photos --user bob --write
say 0 'user bob' bucket deny photos --user bob
if grep -q 'read' "$dir/out"; then fail 'a grant is left'; fi
echo '{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}' > "$dir/policy"
say 0 'GetObject' user policy set bob "$dir/policy"
say 0 'GetObject' user policy show bob
say 0 '' user policy remove bob
say 0 'GetObject' key policy set ANNKEY "$dir/policy"
echo '{"Statement":{"Effect":"Allow","Action":"s3:Nothing","Resource":"*"}}' > "$dir/policy"
say 2 'invalid action' user policy set bob "$dir/policy"
say 2 'name the file' user policy set bob
say 6 'give-buckets-to' user delete ann
say 0 'ann' user delete ann --give-buckets-to bob
say 5 'no key ANNKEY' key show ANNKEY
say 0 'bob' bucket show photos
say 0 'disabled' user disable bob
say 0 'enabled' user enable bob
say 0 'photos' bucket delete photos
say 0 'bob' user delete bob

# One node for a directory, one process for a port.
# shellcheck disable=SC2086
expect 6 'served by another process' "$rubus" demo --dir "$demo" $addresses
port=$(sed -n 's#.*S3 *http://127.0.0.1:\([0-9]*\).*#\1#p' "$dir/demo.out")
expect 6 "rubus (process $node)" "$rubus" demo --dir "$dir/second" --s3 "127.0.0.1:$port" \
	--admin 127.0.0.1:0
grep -q 'take another port' "$dir/err" || fail 'no way out of a port in use is told'
if test "${2-}" = clients; then
	sed -n '/^  export/p; /^  aws/p; /^  s3cmd/p; /restic/p' "$dir/demo.out" >"$dir/commands"
	test "$(wc -l <"$dir/commands")" = 5 || fail 'the demo prints other commands'
	timeout 120 sh -eu "$dir/commands" >"$dir/out" 2>&1 ||
		fail "a command of the demo does not work: $(cat "$dir/out")"
	say 0 'backups' bucket list
	say 6 'not empty' bucket delete backups
fi
stop INT 0

# Again, with a drive missing, a foreign one, and addresses of this run only.
expect 6 'has 3 drives' "$rubus" demo --dir "$demo" --drives 4
mv "$demo/drive2" "$dir/aside"
# shellcheck disable=SC2086
start again "$rubus" demo --dir "$demo" $addresses
grep -qF "$new_secret" "$dir/again.out" && fail 'the secret is shown at a later run'
grep -q '2 of 3 drives' "$dir/again.out" || fail 'a missing drive is not told'
say 0 'is missing' drive list
say 0 'degraded' status
stop TERM 0
cp -r "$dir/fine/drive1" "$demo/drive2"
# shellcheck disable=SC2086
start foreign_drive "$rubus" demo --dir "$demo" $addresses --json
cp "$dir/foreign_drive.out" "$dir/out"
has_json access_key_id
say 0 'another cluster' drive list
say 0 "$root_id" key delete "$root_id"
test -e "$demo/node/root.key" && fail 'root.key outlives its key'
stop TERM 0
rm -rf "$demo/drive2"
mv "$dir/aside" "$demo/drive2"
# shellcheck disable=SC2086
start whole "$rubus" demo --dir "$demo" $addresses
grep -q '3 of 3 drives' "$dir/whole.out" || fail 'a drive that came back is not served'
grep -q 'rubus key create' "$dir/whole.out" || fail 'no way to a first key is told'
stop INT 0

# --- serve --------------------------------------------------------------------------------------

config served 's3_address: 127.0.0.1:0' 'admin_address: 127.0.0.1:0'
expect 78 'rubus init' "$rubus" serve --config "$dir/served.yaml"
expect 0 'access key id' "$rubus" init --config "$dir/served.yaml"
start served RUBUS_LOG_FORMAT=json "$rubus" serve --config "$dir/served.yaml"
grep -q '"memory: all pools' "$dir/served.err" || fail 'the sum of the pools is not told'
kill -HUP "$node"
expect 0 'ok' env RUBUS_CONFIG="$dir/served.yaml" "$rubus" status
grep -q 'certificate: reloaded' "$dir/served.err" || fail 'SIGHUP does not reload'
stop TERM 0
python3 - "$dir/served.err" <<'PYTHON' || fail 'the log has a line that is not JSON'
import json, sys
for line in open(sys.argv[1]):
    json.loads(line)
PYTHON
# A node whose process was killed leaves a socket that nobody serves.
start served "$rubus" serve --config "$dir/served.yaml"
stop KILL 137
expect 3 'no node runs' "$rubus" status --config "$dir/served.yaml"
# Where the system was told to start it.
python3 - "$dir/notify" "$rubus" "$dir/served.yaml" <<'PYTHON' || fail 'systemd is not told'
import os, signal, socket, subprocess, sys
path, rubus, config = sys.argv[1:]
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(path)
told.settimeout(30)
node = subprocess.Popen([rubus, "serve", "--config", config], env={**os.environ, "NOTIFY_SOCKET": path},
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    assert told.recv(999) == b"READY=1"
    node.send_signal(signal.SIGTERM)
    assert told.recv(999) == b"STOPPING=1"
    assert node.wait(30) == 0
finally:
    node.kill()
PYTHON

test "$failed" = 0 || exit 1
echo "cli: everything as it should be"
