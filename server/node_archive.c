/* SPDX-License-Identifier: Apache-2.0 */
/* The archive of the index on this node's drives: where it is, and what is said of it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "server/node_priv.h"

#define LATE_INTERVALS 3 /* an archive that old, with something to add, is too old */

static_assert(STORE_DRIVES_MAX <= ARCHIVE_HOMES_MAX, "every drive can have one");

/* As many as bodies survive the loss of and one more; other nodes have theirs. */
static unsigned wanted_copies(const struct node *node)
{
	unsigned count = node->drive_count;
	if (node->cluster || count < 2)
		return 1;
	unsigned copies = ring_profile_default(count).m + 1;
	return copies < ARCHIVE_COPIES_MAX ? copies : ARCHIVE_COPIES_MAX;
}

/* The last entry that is in the log. One of several members never gives up what it has applied. */
static uint64_t last_entry(const struct node *node)
{
	struct consensus_info info;
	if (node->cluster)
		return UINT64_MAX;
	consensus_info(node->consensus, &info);
	return info.commit_index;
}

enum err node_open_archive(struct node *node)
{
	struct index_archive_setup setup = {
		.kv = node->index_kv,
		.copies = wanted_copies(node),
		.loop = server_loop_base(node->apply_loop),
		.worker = worker_threads_worker(node->archivist),
		.clock = node->clock,
		.trace = node->trace,
		.node = node->identity.node,
		.log_last = last_entry(node),
		.interval_ms = (uint64_t)node->config->archive_seconds * 1000,
	};
	for (unsigned i = 1; i < node->home_count; i++)
		setup.homes[setup.home_count++] = (struct archive_home){
			.disk = node->homes[i].disk, .drive = node->homes[i].id};
	return setup.home_count > 0 ? index_archive_new(&setup, &node->archive) : ERR_OK;
}

enum err node_archive_lend(struct node *node, const struct archive_home *home)
{
	return node->archive ? index_archive_add(node->archive, home, wanted_copies(node)) : ERR_OK;
}

/* --- what is said of it ----------------------------------------------------------------------- */

static int64_t age_ms(const struct node *node, const struct index_archive_status *status)
{
	return status->waiting_ms > 0 ? clock_wall_ms(node->clock) - status->waiting_ms : 0;
}

bool node_archive_trouble(const struct node *node, char *text, size_t cap)
{
	struct index_archive_status status;
	if (!node->archive)
		return false;
	index_archive_status(node->archive, &status);
	int64_t late_ms = LATE_INTERVALS * (int64_t)node->config->archive_seconds * 1000;
	int64_t up_ms = clock_wall_ms(node->clock) - node->started_ms;
	if (age_ms(node, &status) > late_ms)
		snprintf(text, cap, "changes wait for %" PRId64 " s", age_ms(node, &status) / 1000);
	else if (up_ms > late_ms && !status.is_complete)
		snprintf(text, cap, "there is none%s%s", status.err ? ": " : "",
			status.err ? err_text(status.err) : "");
	else if (status.is_behind && !status.is_copying && status.err)
		snprintf(text, cap, "it ends at log index %" PRIu64 ": %s", status.log_index,
			err_text(status.err));
	else if (status.is_complete && !status.is_copying && status.copies < status.wanted)
		snprintf(text, cap, "on %u of %u drives", status.copies, status.wanted);
	else
		return false;
	return true;
}

void node_archive_text(const struct node *node, char *text, size_t cap)
{
	struct index_archive_status status;
	char why[128];
	if (!node->archive) {
		snprintf(text, cap, "none: this node has no drives");
		return;
	}
	index_archive_status(node->archive, &status);
	if (node_archive_trouble(node, why, sizeof why))
		snprintf(text, cap, "%s", why);
	else if (!status.is_complete)
		snprintf(text, cap, "not made yet");
	else if (status.waiting_ms > 0 || status.is_behind)
		snprintf(text, cap, "on %u drive%s, up to log index %" PRIu64 ", the rest %s",
			status.copies, status.copies == 1 ? "" : "s", status.log_index,
			status.is_copying ? "with the copy that is being made" : "within minutes");
	else
		snprintf(text, cap, "on %u drive%s, complete", status.copies,
			status.copies == 1 ? "" : "s");
}

struct json_t *node_archive_json(const struct node *node)
{
	struct index_archive_status status = {0};
	if (!node->archive)
		return json_null();
	index_archive_status(node->archive, &status);
	return json_pack("{s:b, s:b, s:b, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I}", "complete",
		status.is_complete, "behind", status.is_behind, "copying", status.is_copying,
		"generation", (json_int_t)status.generation, "log_index",
		(json_int_t)status.log_index, "waiting_ms", (json_int_t)age_ms(node, &status),
		"copies", (int)status.copies, "wanted", (int)status.wanted, "full_bytes",
		(json_int_t)status.full_len, "log_bytes", (json_int_t)status.log_len,
		"changed_bytes", (json_int_t)status.changed_len, "written_bytes",
		(json_int_t)status.written_len);
}

void node_archive_metrics(const struct node *node, struct metrics_text *text)
{
	struct index_archive_status status;
	if (!node->archive)
		return;
	index_archive_status(node->archive, &status);
	const struct {
		const char *name, *help;
		enum metrics_kind kind;
		double value;
	} families[] = {
		{"rubus_index_archive_copies", "Drives that have all of the newest index archive.",
			METRICS_GAUGE, status.copies},
		{"rubus_index_archive_copies_wanted", "Drives that should have it.", METRICS_GAUGE,
			status.wanted},
		{"rubus_index_archive_log_index", "Log index that the archive is flushed up to.",
			METRICS_GAUGE, status.log_index},
		{"rubus_index_archive_waiting_seconds",
			"How long changes wait to be flushed to the archive.", METRICS_GAUGE,
			age_ms(node, &status) / 1e3},
		{"rubus_index_archive_changed_bytes_total",
			"Bytes of rows that changed and were archived, before zstd.",
			METRICS_COUNTER, status.changed_len},
		{"rubus_index_archive_written_bytes_total",
			"Bytes written to drives for the archive.", METRICS_COUNTER,
			status.written_len},
	};
	for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
		metrics_text_family(text, families[i].name, families[i].help, families[i].kind);
		metrics_text_value(text, NULL, families[i].value);
	}
}
