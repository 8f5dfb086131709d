/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of the node's, and the counts of what it does there. */
#include "server/node_priv.h"

#include <stdlib.h>

#include "server/disk_count.h"
#include "server/disk_file.h"

#define SYNC_DELAY_MS_MAX 10000

/* RUBUS_BENCH_SYNC_DELAY_MS, for benchmarks only, makes every flush of the state directory and of
 * the drives as slow as a drive's that the machine does not have. LMDB flushes by itself and stays
 * as it is: it is on no acknowledgement's way. */
static unsigned sync_delay_us(struct node *node)
{
	const char *text = getenv("RUBUS_BENCH_SYNC_DELAY_MS");
	unsigned long delay_ms = text ? strtoul(text, NULL, 10) : 0;
	if (delay_ms > SYNC_DELAY_MS_MAX)
		delay_ms = SYNC_DELAY_MS_MAX;
	if (delay_ms > 0)
		trace_event(node->trace, TRACE_WARNING, 0,
			"RUBUS_BENCH_SYNC_DELAY_MS is set: each flush takes %lu ms longer, "
			"for a benchmark",
			delay_ms);
	return delay_ms * 1000;
}

enum err node_open_disk(struct node *node, const char *path, struct node_disk *disk)
{
	struct disk *files = NULL;
	enum err err = server_disk_new(path, worker_threads_worker(node->workers), &files);
	if (err)
		return err;
	err = disk_count_new(files, sync_delay_us(node), &disk->count);
	if (err) {
		server_disk_free(files);
		return err;
	}
	disk->files = files;
	disk->disk = disk_count_disk(disk->count);
	return ERR_OK;
}

void node_close_disk(struct node_disk *disk)
{
	disk_count_free(disk->count);
	server_disk_free(disk->files);
	*disk = (struct node_disk){0};
}
