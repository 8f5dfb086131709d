# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A bucket as a file system: a clone of git's and a build inside it, and what files are asked for.
. "${BASH_SOURCE%/*}/steps.sh"
CLIENT="s3fs $(s3fs --version | sed -n 's/.* V\([^ ]*\) .*/\1/p')"

# Waits for a server that is away longer than by default.
mount_it() {
	s3fs "$BUCKET" mnt -o url="$ENDPOINT" -o use_path_request_style -o sigv4 -o endpoint=us-east-1 \
		-o passwd_file="$WORK/passwd" -o retries=10 -o enable_content_md5 &&
		mountpoint -q mnt
}

# Outside the mount the stat cache is empty, so that everything comes from the node.
mount_again() { umount mnt && mount_it; }

make_repository() {
	git init -q repository && cd repository && git config user.name a && git config user.email a@b.c
	for i in $(seq 12); do
		printf 'int part%d(int x)\n{\n\treturn x + %d;\n}\n' "$i" "$i" >"part$i.c"
		printf 'int part%d(int x);\n' "$i"
	done >parts.h
	{
		printf '#include "parts.h"\nint main(void)\n{\n\tint x = 0;\n'
		for i in $(seq 12); do printf '\tx = part%d(x);\n' "$i"; done
		printf '\treturn x;\n}\n'
	} >main.c
	git add . && git commit -qm one && cd ..
}

build() {
	cd mnt/clone && for i in *.c; do gcc -c "$i" -o "${i%.c}.o" || return 1; done
	ar rcs libparts.a part*.o && gcc -o program main.o -L. -lparts || return 1
	cd ../..
}

runs() {
	cp mnt/clone/program program && ./program
	test $? = 78
}

# In the middle of a large file, at its end, and beyond it.
edit() {
	printf changed | dd of="$1" bs=1 seek=7000000 conv=notrunc status=none &&
		printf more >>"$1" && truncate -s 12000000 "$1" && truncate -s 11000001 "$1"
}

noise 11000000 7 >big
printf '%s:%s' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >passwd
chmod 600 passwd
mkdir mnt
trap 'umount -l mnt 2>/dev/null' EXIT
"$CLIENTS/aws" --endpoint-url "$ENDPOINT" s3 mb "s3://$BUCKET" >/dev/null
call 'mounts a bucket' mount_it
step 'copies a file in' cp big mnt/big
if test -z "$CA"; then
	halfway
	call 'mounts it again' mount_again
	step 'has the file' cmp big mnt/big
	exit
fi
make_repository
step 'takes a clone of git' git clone -q repository mnt/clone
make_tree tree
rm -r tree/a/b\ c/d
step 'copies a tree in' cp -r tree mnt/tree
call 'edits a file' edit mnt/big

halfway

call 'builds in the clone' build
call 'runs what was built' runs
step 'commits in the clone' git -C mnt/clone -c user.name=a -c user.email=a@b.c commit -qam two --allow-empty
call 'mounts it again' mount_again
step 'has the tree' diff -r tree mnt/tree
edit big
step 'has the edited file' cmp big mnt/big
step 'has a repository that is whole' git -C mnt/clone fsck --strict
step 'sets the mode' chmod 640 mnt/big
call 'has it' eval 'umount mnt; mount_it; stat -c %a mnt/big | grep -qx 640'
step 'makes a link' ln -s big mnt/link
call 'has it' eval 'umount mnt; mount_it; readlink mnt/link | grep -qx big && cmp mnt/link big'
step 'renames a file' mv mnt/big 'mnt/größe + 1'
step 'renames a directory' mv mnt/tree mnt/trees
call 'has both' eval 'umount mnt; mount_it; cmp big "mnt/größe + 1" && diff -r tree mnt/trees && ! test -e mnt/big'
step 'removes all' rm -r mnt/clone mnt/trees mnt/link
step 'refuses to remove what holds something' bash -c 'mkdir mnt/d && touch mnt/d/f && ! rmdir mnt/d'
