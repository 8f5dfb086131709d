#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Holds the tree against docs/STYLE.md, as far as a program can check it. Prints each place that
# breaks a rule and ends with the number of them.
set -u
cd "$(dirname "$0")/.." || exit 1

bad=0
complain() {
	printf '%s\n' "$1"
	bad=$((bad + 1))
}

# each FILES-GLOB PATTERN MESSAGE [ALLOWED-REGEX]: no line of those files may match.
forbid() {
	found=$(git ls-files -- "$1" | xargs -r grep -nE -- "$2" /dev/null | grep -vE -- "${4:-^$}")
	test -z "$found" && return
	printf '%s\n' "$found" | while read -r line; do printf '%s: %s\n' "$3" "$line"; done
	bad=$((bad + $(printf '%s\n' "$found" | wc -l)))
}

sources=$(git ls-files -- '*.c' '*.h')

# --- files ----------------------------------------------------------------------------------------

for file in $sources; do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
		complain "no SPDX line: $file"
	lines=$(wc -l <"$file")
	test "$lines" -le 600 || complain "over 600 lines: $file ($lines)"
done

# A module's name stands once in the tree, so that its prefix says where it is.
modules=$(printf '%s\n' "$sources" | grep -E '^(erasure|storage|gateway|server)/.*\.c$' |
	sed 's#.*/##' | sort | uniq -d)
test -z "$modules" || complain "module names used twice: $modules"

for name in util common helpers misc; do
	printf '%s\n' "$sources" | grep -E "/$name\.[ch]$" && complain "a drawer, not a module: $name"
done

# Every source is built; a file that nothing compiles is dead.
for file in $(printf '%s\n' "$sources" | grep '\.c$'); do
	grep -qF "build \$b/${file%.c}.o: cc" modules.ninja || complain "not in modules.ninja: $file"
done

# --- which way the folders point --------------------------------------------------------------------

forbid 'erasure/*' '#include "(storage|gateway|server|tests|bench)/' 'erasure includes upwards'
forbid 'storage/*' '#include "(gateway|server|tests|bench)/' 'storage includes upwards'
forbid 'gateway/*' '#include "(server|tests|bench)/' 'gateway includes upwards'
forbid 'server/*' '#include "(tests|bench)/' 'server includes upwards'
forbid '*.[ch]' '#include "\.\.?/' 'includes are written from the root'

# --- each library has its door ----------------------------------------------------------------------

door() {
	found=$(git ls-files -- '*.c' '*.h' | grep -vE '^(tests|bench)/' |
		xargs -r grep -lE "#include <($1)>" | grep -vE "^($2)$")
	test -z "$found" || complain "<$1> is included outside its door: $found"
}

door 'h2o(/.*)?\.h|h2o/.*\.h' 'server/.*'
door 'liburing\.h' 'server/.*'
door 'lmdb\.h' 'storage/kv_lmdb[a-z_]*\.[ch]'
door 'raft\.h' 'storage/meta/consensus[a-z_]*\.c'
door 'isa-l\.h|isa-l/.*\.h' 'erasure/.*'
door 'zstd\.h' 'storage/[a-z_]*\.c'
door 'openssl/(md5|sha|evp|hmac)\.h' 'gateway/digest/.*|server/tls[a-z_]*\.c'
door 'openssl/.*\.h' 'gateway/digest/.*|server/tls[a-z_]*\.[ch]'
door 'expat\.h' 'gateway/xml_in\.c'
door 'cyaml/.*\.h' 'server/config[a-z_]*\.c'
door 'libsmartcols/.*\.h' 'server/.*'
door 'check\.h' 'tests/.*'

# --- code ---------------------------------------------------------------------------------------

forbid '*.[ch]' '^typedef (struct|union|enum)' 'structs are not typedef-ed'
forbid '*.[ch]' '[[:space:]]$' 'white space at the end'
forbid '*.[ch]' '(TODO|FIXME|XXX)' 'an issue is the place for this' 'XXXX"|XXH|XXXXXX'
forbid 'storage/*.[ch]' '(^|[^_a-z])(time|gettimeofday|clock_gettime|rand|random|getrandom)\(' \
	'time and chance come through their seams'
forbid 'gateway/*.[ch]' '(^|[^_a-z])(time|gettimeofday|clock_gettime|rand|random|getrandom)\(' \
	'time and chance come through their seams'
forbid 'storage/*.[ch]' '(^|[^_a-z])(f?printf|puts)\(' 'storage does not print'
forbid 'gateway/*.[ch]' '(^|[^_a-z])(f?printf|puts)\(' 'gateway does not print'
forbid '*.[ch]' '(^|[^_a-z])(strcpy|strcat|sprintf|gets|strtok|atoi)\(' 'an unbounded or unchecked call'
forbid '*.c' '#define NDEBUG' 'assert is on in every build'

# Lines of at most 100 columns, tabs being 8 wide.
long=$(printf '%s\n' "$sources" | grep -v '^tests/corpus/' | xargs -r awk '
	{ line = $0; column = 0
	  for (i = 1; i <= length(line); i++)
		column = substr(line, i, 1) == "\t" ? int(column / 8) * 8 + 8 : column + 1
	  if (column > 100) print FILENAME ":" FNR }')
test -z "$long" || complain "over 100 columns:
$long"

# Functions of at most 60 lines: from a brace in the first column to the next.
functions=$(printf '%s\n' "$sources" | grep -E '^(erasure|storage|gateway|server)/.*\.c$' |
	xargs -r awk 'FNR == 1 { start = 0 } /^\{/ { start = FNR }
	/^\}/ && start { if (FNR - start - 1 > 60) print FILENAME ":" start " " FNR - start - 1; start = 0 }')
test -z "$functions" || complain "functions over 60 lines:
$functions"

# Every function declared in a header of ours that returns an error must be used.
missing=$(printf '%s\n' "$sources" | grep -E '^(storage|gateway|server)/.*\.h$' |
	xargs -r awk '/^(static inline )?enum err [a-z_0-9]+\(/ { if ($0 !~ /MUST_USE/ && prev !~ /MUST_USE/) {
		text = $0; while (text !~ /[;{]/ && (getline line) > 0) text = text line
		if (text !~ /MUST_USE/) print FILENAME ": " $0 } } { prev = $0 }' | grep -v 'err_from_errno')
test -z "$missing" || complain "not MUST_USE:
$missing"

if test "$bad" -gt 0; then
	echo "tidy: $bad complaints"
	exit 1
fi
echo "tidy: $(printf '%s\n' "$sources" | wc -l) files, no complaint"
