/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "server/cluster.h"
#include "server/disk_count.h"
#include "server/node_priv.h"

/* Each counter is written by one loop and read here while it runs: a number may be a moment old, as
 * it would be anyway when the scrape is read. */
static struct store_counters add_counters(const struct node *node)
{
	struct store_counters sum = {0};
	for (unsigned i = 0; i < node->store_loop_count; i++) {
		const struct store_counters *one = &node->store_loops[i].counters;
		sum.puts += one->puts;
		sum.gets += one->gets;
		sum.put_bytes += one->put_bytes;
		sum.get_bytes += one->get_bytes;
		sum.degraded_reads += one->degraded_reads;
		sum.bad_blocks += one->bad_blocks;
		sum.narrowed += one->narrowed;
		sum.zipped_bytes += one->zipped_bytes;
		sum.zipped_stored_bytes += one->zipped_stored_bytes;
		sum.sealed_bytes += one->sealed_bytes;
	}
	return sum;
}

static void write_one(struct metrics_text *text, const char *name, const char *help,
	enum metrics_kind kind, double value)
{
	metrics_text_family(text, name, help, kind);
	metrics_text_value(text, NULL, value);
}

static void write_store(const struct node *node, struct metrics_text *text)
{
	struct store_counters sum = add_counters(node);
	write_one(text, "rubus_bodies_written_total", "Bodies that became durable.",
		METRICS_COUNTER, sum.puts);
	write_one(text, "rubus_bodies_read_total", "Bodies or ranges that were read.",
		METRICS_COUNTER, sum.gets);
	write_one(text, "rubus_body_bytes_written_total", "Bytes of bodies received.",
		METRICS_COUNTER, sum.put_bytes);
	write_one(text, "rubus_body_bytes_read_total", "Bytes of bodies handed out.",
		METRICS_COUNTER, sum.get_bytes);
	write_one(text, "rubus_units_decoded_total",
		"Units that were missing or damaged and were rebuilt while they were read.",
		METRICS_COUNTER, sum.degraded_reads);
	write_one(text, "rubus_bad_blocks_total", "Reads that found a damaged block.",
		METRICS_COUNTER, sum.bad_blocks);
	write_one(text, "rubus_extents_narrowed_total",
		"Extents written with a narrower code because drives were missing.",
		METRICS_COUNTER, sum.narrowed);
	write_one(text, "rubus_zipped_bytes_total",
		"Bytes received for bodies in buckets with compression.", METRICS_COUNTER,
		sum.zipped_bytes);
	write_one(text, "rubus_zipped_stored_bytes_total",
		"What these came to: the ratio is that of both.", METRICS_COUNTER,
		sum.zipped_stored_bytes);
	write_one(text, "rubus_sealed_bytes_total", "Bytes received for encrypted bodies.",
		METRICS_COUNTER, sum.sealed_bytes);
}

static void write_gateway(const struct node *node, struct metrics_text *text)
{
	uint64_t over_quota = 0;
	for (unsigned i = 0; i < node->gateway_loop_count; i++)
		over_quota += node->gateway_loops[i].counters.over_quota;
	write_one(text, "rubus_quota_refusals_total",
		"Requests that were answered with QuotaExceeded.", METRICS_COUNTER, over_quota);
}

static void write_pools(const struct node *node, struct metrics_text *text)
{
	size_t lent[5] = {0}, limit[5] = {0};
	for (unsigned i = 0; i < node->store_loop_count; i++) {
		const struct store_loop *store = &node->store_loops[i];
		const struct pool *pools[5] = {&store->put_pool, &store->get_pool,
			&store->decode_pool, &store->pack_pool, &store->unpack_pool};
		for (unsigned j = 0; j < 5; j++) {
			lent[j] += pools[j]->lent_len;
			limit[j] += pools[j]->limit_len;
		}
	}
	static const char *const labels[5] = {"pool=\"upload\"", "pool=\"download\"",
		"pool=\"decode\"", "pool=\"pack\"", "pool=\"unpack\""};
	metrics_text_family(text, "rubus_pool_bytes", "Memory lent by a pool.", METRICS_GAUGE);
	for (unsigned j = 0; j < 5; j++)
		metrics_text_value(text, labels[j], lent[j]);
	metrics_text_family(text, "rubus_pool_limit_bytes", "The bound of a pool.", METRICS_GAUGE);
	for (unsigned j = 0; j < 5; j++)
		metrics_text_value(text, labels[j], limit[j]);
}

static void write_index(const struct node *node, struct metrics_text *text)
{
	struct index_status status;
	index_status(node->index, &status);
	write_one(text, "rubus_index_applied", "Log index that is applied.", METRICS_GAUGE,
		status.applied);
	write_one(text, "rubus_index_committed", "Log index that LMDB holds.", METRICS_GAUGE,
		status.committed);
	write_one(text, "rubus_index_commands_total", "Commands applied since the start.",
		METRICS_COUNTER, status.commands);
	write_one(text, "rubus_index_bytes", "Bytes of the index file in use.", METRICS_GAUGE,
		status.kv_used);
	write_one(text, "rubus_index_space_free_bytes",
		"Bytes free on the file system of the index, as of the last look.", METRICS_GAUGE,
		status.space_free);
	write_one(text, "rubus_index_space_wanted_bytes",
		"Bytes that must be free there for writes to be taken.", METRICS_GAUGE,
		status.space_wanted);
	write_one(text, "rubus_index_writable",
		"0: there is too little room for the index, only deletes are taken.", METRICS_GAUGE,
		!status.is_space_low);
	struct consensus_info info;
	consensus_info(node->consensus, &info);
	write_one(text, "rubus_log_groups_total", "Groups of commands made durable by one write.",
		METRICS_COUNTER, info.groups);
}

/* What was sent, by what it was about. */
static void write_kinds(const struct channel_counts *counts, struct metrics_text *text)
{
	static const struct {
		enum peer_kind kind;
		const char *name;
	} kinds[] = {{PEER_RAFT, "raft"}, {PEER_PROPOSE, "propose"},
		{PEER_READ_INDEX, "read-index"}, {PEER_SNAPSHOT, "snapshot"},
		{PEER_SHARD_OPEN, "shard-open"}, {PEER_SHARD_APPEND, "shard-append"},
		{PEER_SHARD_SEAL, "shard-seal"}, {PEER_SHARD_ABORT, "shard-abort"},
		{PEER_SHARD_READ, "shard-read"}, {PEER_SHARD_FREE, "shard-free"},
		{PEER_SHARD_CENSUS, "shard-census"}, {PEER_SHARD_WHOLE, "shard-whole"},
		{PEER_STATUS, "status"}, {PEER_REST, "rest"}};
	metrics_text_family(text, "rubus_channel_sent_kind_total",
		"Messages sent to other nodes, by what they are about.", METRICS_COUNTER);
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		char labels[64];
		snprintf(labels, sizeof labels, "kind=\"%s\",is=\"request\"", kinds[i].name);
		metrics_text_value(text, labels, counts->asked[kinds[i].kind]);
		snprintf(labels, sizeof labels, "kind=\"%s\",is=\"answer\"", kinds[i].name);
		metrics_text_value(text, labels, counts->answered[kinds[i].kind]);
	}
}

/* What counts the links to other nodes. */
static void write_channel(struct channel *channel, struct metrics_text *text)
{
	struct channel_counts counts = {0};
	uint64_t refused = 0;
	channel_add_counts(channel, &counts);
	for (unsigned i = 0; i < CHANNEL_REFUSAL_COUNT; i++)
		refused += counts.refused[i];
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{"messages_sent_total", "Calls, notes and answers sent to other nodes.",
			counts.messages_out},
		{"messages_received_total", "Calls, notes and answers of other nodes.",
			counts.messages_in},
		{"sends_total", "System calls that sent them.", counts.writes},
		{"receives_total", "System calls that received them.", counts.reads},
		{"sent_bytes_total", "Bytes sent to other nodes.", counts.bytes_out},
		{"received_bytes_total", "Bytes received from other nodes.", counts.bytes_in},
		{"links_dialed_total", "Links made to other nodes.", counts.links_dialed},
		{"links_accepted_total", "Links that other nodes made.", counts.links_accepted},
		{"links_broken_total", "Links that broke.", counts.links_broken},
		{"notes_lost_total", "Notes that found no link or no room.", counts.notes_lost},
		{"timeouts_total", "Calls that ended by their deadline.", counts.timeouts},
		{"refused_total", "Links of others that were refused.", refused},
		{"refused_us_total", "Links that others refused.", counts.refused_us},
	};
	for (size_t i = 0; i < ARRAY_COUNT(counters); i++) {
		char name[64];
		snprintf(name, sizeof name, "rubus_channel_%s", counters[i].name);
		write_one(text, name, counters[i].help, METRICS_COUNTER, counters[i].value);
	}
	write_kinds(&counts, text);
}

static void write_cluster(const struct node *node, struct metrics_text *text)
{
	struct consensus_info info;
	struct index_status status;
	struct cluster *cluster = node->cluster;
	if (!cluster)
		return;
	consensus_info(node->consensus, &info);
	index_status(node->index, &status);
	write_one(text, "rubus_cluster_nodes_linked", "Other nodes that are linked to this one.",
		METRICS_GAUGE, atomic_load(&cluster->linked_count));
	write_one(text, "rubus_cluster_has_majority",
		"1: this node sees a majority of the voters, itself counted.", METRICS_GAUGE,
		atomic_load(&cluster->has_majority));
	write_one(text, "rubus_cluster_has_leader", "1: this node knows who leads.", METRICS_GAUGE,
		info.leader != 0);
	write_one(text, "rubus_cluster_is_leader", "1: this node leads.", METRICS_GAUGE,
		info.role == CONSENSUS_LEADER);
	write_one(text, "rubus_cluster_term", "Term of the consensus.", METRICS_GAUGE, info.term);
	write_one(text, "rubus_log_commit_index", "Log index that is known to be committed.",
		METRICS_GAUGE, info.commit_index);
	write_one(text, "rubus_index_applied_lag",
		"Entries that are known to be committed and are not applied here.", METRICS_GAUGE,
		info.commit_index > status.applied ? info.commit_index - status.applied : 0);
	write_channel(cluster->channel, text);
}

static double disk_flushes(struct disk_count_stats stats)
{
	return stats.syncs + stats.dsync_writes + stats.dir_syncs;
}

static double disk_writes(struct disk_count_stats stats)
{
	return stats.writes;
}

static double disk_written(struct disk_count_stats stats)
{
	return stats.written_len;
}

static double disk_reads(struct disk_count_stats stats)
{
	return stats.reads;
}

static double disk_read_bytes(struct disk_count_stats stats)
{
	return stats.read_len;
}

/* One family over all directories; those that are not open have no value. */
static void write_disks(const struct node *node, struct metrics_text *text, const char *name,
	const char *help, double (*value)(struct disk_count_stats stats))
{
	char label[IDENTITY_PATH_LEN + 32];
	metrics_text_family(text, name, help, METRICS_COUNTER);
	if (node->state_disk.count) {
		metrics_text_label(label, sizeof label, "disk", node->config->state_dir);
		metrics_text_value(text, label, value(disk_count_stats(node->state_disk.count)));
	}
	for (unsigned i = 0; i < node->drive_count; i++) {
		const struct node_drive *drive = &node->drives[i];
		if (!drive->disk.count)
			continue;
		metrics_text_label(label, sizeof label, "disk", drive->path);
		metrics_text_value(text, label, value(disk_count_stats(drive->disk.count)));
	}
}

/* One family over all drives. */
static void write_drives(const struct node *node, struct metrics_text *text, const char *name,
	const char *help, double (*value)(const struct node_drive *drive))
{
	metrics_text_family(text, name, help, METRICS_GAUGE);
	for (unsigned i = 0; i < node->drive_count; i++) {
		char label[IDENTITY_PATH_LEN + 32];
		metrics_text_label(label, sizeof label, "drive", node->drives[i].path);
		metrics_text_value(text, label, value(&node->drives[i]));
	}
}

static double drive_is_up(const struct node_drive *drive)
{
	return drive->drive && drive_state(drive->drive) == DRIVE_UP;
}

static double drive_used(const struct node_drive *drive)
{
	struct drive_space space = {0};
	if (drive->drive)
		drive_space(drive->drive, &space);
	return space.used;
}

static double drive_free(const struct node_drive *drive)
{
	struct drive_space space = {0};
	if (drive->drive)
		drive_space(drive->drive, &space);
	return space.free;
}

/* How often threads were awake, and what they did then. */
static void write_loops(const struct node *node, struct metrics_text *text)
{
	struct {
		char name[24];
		struct server_loop_stats stats;
	} loops[NODE_LOOPS_MAX + 4];
	unsigned count = 0;
	const struct server_loop *others[] = {
		node->log_loop, node->apply_loop, node->commit_loop, node->locate_loop};
	static const char *const names[] = {"log", "apply", "commit", "locate"};
	for (; count < node->config->loops; count++) {
		snprintf(loops[count].name, sizeof loops[count].name, "loop=\"%u\"", count);
		loops[count].stats = server_loop_stats(node->loops[count]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(others); i++, count++) {
		snprintf(loops[count].name, sizeof loops[count].name, "loop=\"%s\"", names[i]);
		loops[count].stats = server_loop_stats(others[i]);
	}
	metrics_text_family(
		text, "rubus_loop_turns_total", "Waits of a thread for events.", METRICS_COUNTER);
	for (unsigned i = 0; i < count; i++)
		metrics_text_value(text, loops[i].name, loops[i].stats.turns);
	metrics_text_family(
		text, "rubus_loop_tasks_total", "Tasks that a thread ran.", METRICS_COUNTER);
	for (unsigned i = 0; i < count; i++)
		metrics_text_value(text, loops[i].name, loops[i].stats.tasks);
	metrics_text_family(text, "rubus_loop_wakeups_total",
		"Times that a thread slept and was woken by another.", METRICS_COUNTER);
	for (unsigned i = 0; i < count; i++)
		metrics_text_value(text, loops[i].name, loops[i].stats.wakeups);
}

/* Work in the background: what this node's mender did, and what it knows to be left for all. */
static void write_background(struct node *node, struct metrics_text *text)
{
	struct mender_status status;
	if (!node->is_mending)
		return;
	mender_status(&node->mender, &status);
	const struct scrub_counts *scrub = &status.scrub.counts;
	const struct {
		const char *name, *help;
		enum metrics_kind kind;
		uint64_t value;
	} rows[] = {
		{"rubus_scrub_read_bytes_total", "Bytes of shards that the scrub read.",
			METRICS_COUNTER, scrub->bytes},
		{"rubus_scrub_damaged_total", "Shards with damaged blocks that the scrub found.",
			METRICS_COUNTER, scrub->bad},
		{"rubus_scrub_mended_total", "Of them, those that were made anew.", METRICS_COUNTER,
			scrub->mended},
		{"rubus_scrub_missing_total", "Shards that were not there.", METRICS_COUNTER,
			scrub->missing},
		{"rubus_scrub_unread_total", "Shards that could not be read or mended.",
			METRICS_COUNTER, scrub->unread},
		{"rubus_scrub_passes_total", "Drives that were scrubbed to their end.",
			METRICS_COUNTER, status.scrub.passes},
		{"rubus_repair_is_responsible",
			"1: this node repairs and moves for all; the others say 0 of what is left.",
			METRICS_GAUGE, status.is_responsible},
		{"rubus_repair_left_shards", "Shards to be repaired.", METRICS_GAUGE,
			status.works[BOOK_REPAIR].shards_left},
		{"rubus_repair_left_bytes", "Bytes to be repaired.", METRICS_GAUGE,
			status.works[BOOK_REPAIR].bytes_left},
		{"rubus_move_left_bytes", "Bytes to be moved to where the ring wants them.",
			METRICS_GAUGE, status.works[BOOK_MOVE].bytes_left},
		{"rubus_recode_left_bytes", "Bytes to be coded anew by the ring's profile.",
			METRICS_GAUGE, status.works[BOOK_RECODE].bytes_left},
		{"rubus_repair_lost_extents", "Extents of which too few shards can be read.",
			METRICS_GAUGE, status.lost},
		{"rubus_background_paused", "1: repairs and moves are paused.", METRICS_GAUGE,
			status.is_paused},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		write_one(text, rows[i].name, rows[i].help, rows[i].kind, rows[i].value);
}

void node_metrics_collect(void *arg, struct metrics_text *text)
{
	struct node *node = arg;
	write_store(node, text);
	write_background(node, text);
	write_gateway(node, text);
	write_pools(node, text);
	write_index(node, text);
	node_archive_metrics(node, text);
	node_webhooks_metrics(&node->webhooks, text);
	write_cluster(node, text);
	write_loops(node, text);
	write_disks(node, text, "rubus_disk_flushes_total",
		"Flushes of files and directories, and writes that flush themselves. "
		"Without those of LMDB.",
		disk_flushes);
	write_disks(node, text, "rubus_disk_writes_total", "Writes.", disk_writes);
	write_disks(node, text, "rubus_disk_written_bytes_total", "Bytes written.", disk_written);
	write_disks(node, text, "rubus_disk_reads_total", "Reads.", disk_reads);
	write_disks(node, text, "rubus_disk_read_bytes_total", "Bytes read.", disk_read_bytes);
	write_drives(node, text, "rubus_drive_up", "1: the drive is in service.", drive_is_up);
	write_drives(node, text, "rubus_drive_used_bytes", "Bytes of live shards.", drive_used);
	write_drives(node, text, "rubus_drive_free_bytes", "Bytes that shards may still take.",
		drive_free);
}
