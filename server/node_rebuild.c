/* SPDX-License-Identifier: Apache-2.0 */
/* An index that is lost or damaged while its log is not: the newest archive on the drives that the
 * log goes on from, and then all that the log has behind it. Nothing is lost then, and nothing has
 * to be held up or confirmed (compare server/rescue.h, where there is no log). */
#include <inttypes.h>

#include "server/node_priv.h"
#include "storage/kv_lmdb.h"
#include "storage/meta/index_archive.h"
#include "storage/meta/index_copy.h"

static enum err pass_by(void *arg, const struct group *group)
{
	(void)arg;
	(void)group;
	return ERR_OK;
}

/* The archive of a home that the log goes on from. Errors: ERR_NOT_FOUND. */
static enum err find_in(struct node *node, struct disk *disk, struct archive_found *ret_found)
{
	uint64_t older_than = 0;
	for (;;) {
		enum err err = archive_find(disk, older_than, ret_found);
		if (err)
			return ERR_NOT_FOUND;
		uint64_t after = archive_log_index(ret_found->sequence);
		if (id_is_equal(ret_found->node, node->identity.node) &&
			consensus_replay(node->consensus, after, pass_by, NULL) == ERR_OK)
			return ERR_OK;
		older_than = ret_found->generation;
	}
}

/* The newest of all homes that was not tried. */
static enum err find(
	struct node *node, const bool *tried, struct archive_found *ret_found, unsigned *ret_home)
{
	struct archive_found found;
	bool has_any = false;
	for (unsigned i = 1; i < node->home_count; i++) {
		if (tried[i] || find_in(node, node->homes[i].disk, &found) != ERR_OK)
			continue;
		if (has_any && found.sequence <= ret_found->sequence)
			continue;
		has_any = true;
		*ret_found = found;
		*ret_home = i;
	}
	return has_any ? ERR_OK : ERR_NOT_FOUND;
}

bool node_can_rebuild(struct node *node)
{
	bool tried[LOG_HOMES_MAX] = {false};
	struct archive_found found;
	unsigned home;
	return find(node, tried, &found, &home) == ERR_OK;
}

enum err node_rebuild_index(struct node *node, const char *path)
{
	bool tried[LOG_HOMES_MAX] = {false};
	struct archive_found found;
	unsigned home = 0;
	enum err err;
	do {
		err = find(node, tried, &found, &home);
		if (err)
			return err;
		tried[home] = true;
		err = archive_restore(node->homes[home].disk, &found, node->index_kv, NULL, NULL);
		if (!err)
			err = archive_resume(node->index_kv, &found);
	} while (err == ERR_CORRUPT || err == ERR_IO);
	if (!err)
		trace_event(node->trace, TRACE_WARNING, 0,
			"the index in %.300s is made anew from the archive on %s, up to log index "
			"%" PRIu64 ", and from the log behind it",
			path, node->homes[home].disk->path, archive_log_index(found.sequence));
	return err;
}

bool node_index_is_lost(struct node *node)
{
	uint64_t applied;
	return index_copy_applied(node->index_kv, &applied) == ERR_OK && applied == 0 &&
		consensus_replay(node->consensus, 0, pass_by, NULL) == ERR_CORRUPT;
}
