/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_PRIV_H
#define SERVER_NODE_PRIV_H

#include "server/node.h"

/* The steps of a start, in their order. Each leaves what it opened in the node, also when it fails;
 * node_stop() closes it. Errors come with a message where there is more to say than their text. */
MUST_USE enum err node_lock_state(struct node *node, char *message);
MUST_USE enum err node_open_index(struct node *node, char *message);
MUST_USE enum err node_list_drives(struct node *node, char *message);
MUST_USE enum err node_open_drives(struct node *node, char *message);
MUST_USE enum err node_open_store(struct node *node);
MUST_USE enum err node_open_services(struct node *node);
MUST_USE enum err node_open_tls(struct node *node, char *message);
MUST_USE enum err node_open_gateway(struct node *node);
MUST_USE enum err node_open_admin(struct node *node);
MUST_USE enum err node_start_background(struct node *node);
MUST_USE enum err node_listen(struct node *node, const char *address, bool is_s3, char *message);

/* Opens the directory of that path. node_close_disk() closes it, also when it was never opened; its
 * files are closed by then. */
MUST_USE enum err node_open_disk(struct node *node, const char *path, struct node_disk *disk);
void node_close_disk(struct node_disk *disk);

/* Opens one of the node's drives; its why says what is wrong. Blocks; not on a loop. */
MUST_USE enum err node_open_drive(struct node *node, unsigned index);

/* Makes an open drive known to the index, if it is not yet, and lends it to the loops. weight 0: as
 * many bytes as it has. Blocks; not on a loop. Errors: ERR_DENIED, it was given up or removed. */
MUST_USE enum err node_introduce_drive(struct node *node, unsigned index, uint64_t weight);

/* Closes what is on the drive; its disk stays open, since the log may be there. */
void node_close_drive(struct node_drive *drive);

/* Ends taking part; proposals end, and what was sent is not known to be done. Once is enough. */
void node_stop_consensus(struct node *node);

/* Waits for what may wait for a proposal, as long as it can be decided, and for patience_ms at
 * most; then ends taking part, so that it ends. For a stop, when others may be stopping, too. */
void node_await_decided(struct node *node, struct completion *completion, unsigned patience_ms);

/* Ends collecting and mending; while the loops run. */
void node_stop_background(struct node *node);

/* Ends what is done for other nodes; while the loops run. And frees; after they have stopped. */
void node_stop_services(struct node *node);
void node_close_services(struct node *node);

/* node_log.c: the log, where the disk of the state directory is open; the index's map at path. */
MUST_USE enum err node_open_log(struct node *node, char *message);
MUST_USE enum err node_open_map(struct node *node, const char *path, char *message);

/* Gives a drive that was added while the node runs what the others have: who the node is, and where
 * they do, copies of the log and of the archive. In the control thread. */
void node_lend_drive(struct node *node, const struct node_drive *drive);

/* Can the index be made of an archive on a drive and the log? Between opening log and index; block.
 */
bool node_can_rebuild(struct node *node);

/* Makes it so, in place of what the map has. Errors: ERR_NOT_FOUND, there is no archive that the
 * log goes on from; ERR_CORRUPT; those of the map. */
MUST_USE enum err node_rebuild_index(struct node *node, const char *path);

/* Is the map empty, and the log does not begin where an empty one does? */
bool node_index_is_lost(struct node *node);

/* node_archive.c: the archive of the index, when its map is open. */
MUST_USE enum err node_open_archive(struct node *node);
MUST_USE enum err node_archive_lend(struct node *node, const struct archive_home *home);

/* What is wrong with it, in a few words; false: nothing. */
bool node_archive_trouble(const struct node *node, char *text, size_t cap);

/* What there is to say of it: one line, JSON, metrics. */
struct metrics_text;
void node_archive_text(const struct node *node, char *text, size_t cap);
struct json_t *node_archive_json(const struct node *node);
void node_archive_metrics(const struct node *node, struct metrics_text *text);

/* node_snapshot.c: what snapshots of the index go through, before the log is opened. */
#define NODE_INDEX_MAP_LEN (UINT64_C(1) << 38) /* address space: 256 GiB */
MUST_USE enum err node_open_snapshots(struct node *node);

/* Writes what the node knows of itself for a scrape: a source of its metrics. */
struct metrics_text;
void node_metrics_collect(void *arg, struct metrics_text *text);

#endif
