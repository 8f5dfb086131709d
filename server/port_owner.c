/* SPDX-License-Identifier: Apache-2.0 */
#include "server/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a

/* The inode of a socket that listens on the port, from one of the kernel's tables. */
static bool find_inode(const char *table, uint16_t port, unsigned long *ret_inode)
{
	FILE *file = fopen(table, "re");
	char line[512];
	bool is_found = false;

	if (!file)
		return false;
	while (!is_found && fgets(line, sizeof line, file)) {
		unsigned local_port, state;
		unsigned long inode;
		if (sscanf(line,
			    "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*d %lu",
			    &local_port, &state, &inode) != 3)
			continue;
		is_found = local_port == port && state == STATE_LISTEN && inode != 0;
		if (is_found)
			*ret_inode = inode;
	}
	fclose(file);
	return is_found;
}

static bool has_descriptor(const char *pid, const char *target)
{
	char path[64];
	bool is_found = false;

	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return false;
	for (struct dirent *entry; !is_found && (entry = readdir(dir));) {
		char link[64];
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);
		if (len < 0)
			continue;
		link[len] = 0;
		is_found = strcmp(link, target) == 0;
	}
	closedir(dir);
	return is_found;
}

static void format_owner(const char *pid, char *text, size_t cap)
{
	char path[64], name[32] = "a process";

	snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	FILE *file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof name, file))
			name[strcspn(name, "\n")] = 0;
		fclose(file);
	}
	/* A process chooses its name; it may not choose what our terminal does. */
	for (char *c = name; *c; c++) {
		if (!isprint((unsigned char)*c))
			*c = '?';
	}
	snprintf(text, cap, "%s (process %.20s)", name, pid);
}

void port_owner_find(uint16_t port, char *text, size_t cap)
{
	unsigned long inode = 0;
	char target[40];

	if (!find_inode("/proc/net/tcp", port, &inode) &&
		!find_inode("/proc/net/tcp6", port, &inode))
		return;
	snprintf(target, sizeof target, "socket:[%lu]", inode);
	DIR *proc = opendir("/proc");
	if (!proc)
		return;
	for (struct dirent *entry; (entry = readdir(proc));) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
			!has_descriptor(entry->d_name, target))
			continue;
		format_owner(entry->d_name, text, cap);
		break;
	}
	closedir(proc);
}
