/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/kv_lmdb_suspect.h"

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/kv_lmdb.h"

static struct suspect *_Atomic known[SUSPECT_MAPS_MAX];

enum err suspect_init(struct suspect *suspect, const char *dir, bool *ret_is_there)
{
	int len = snprintf(suspect->path, sizeof suspect->path, "%s/suspect", dir);
	if (len >= (int)sizeof suspect->path)
		return ERR_INVALID;
	*ret_is_there = access(suspect->path, F_OK) == 0;
	return ERR_OK;
}

void suspect_register(struct suspect *suspect)
{
	for (size_t i = 0; i < SUSPECT_MAPS_MAX; i++) {
		struct suspect *none = NULL;
		if (atomic_compare_exchange_strong(&known[i], &none, suspect))
			return;
	}
}

void suspect_forget(struct suspect *suspect)
{
	for (size_t i = 0; i < SUSPECT_MAPS_MAX; i++) {
		struct suspect *own = suspect;
		atomic_compare_exchange_strong(&known[i], &own, NULL);
	}
}

void suspect_mark(const struct suspect *suspect)
{
	int fd = open(suspect->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

void suspect_clear(const struct suspect *suspect)
{
	unlink(suspect->path);
}

void kv_lmdb_mark_all(void)
{
	for (size_t i = 0; i < SUSPECT_MAPS_MAX; i++) {
		const struct suspect *suspect = atomic_load(&known[i]);
		if (suspect)
			suspect_mark(suspect);
	}
}
