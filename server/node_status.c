/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_status.h"

#include <stdio.h>
#include <string.h>

#include "server/control_health.h"
#include "server/node_drives.h"
#include "server/node_priv.h"
#include "server/node_space.h"
#include "server/version.h"

static const char *const class_names[] = {"nvme", "ssd", "hdd"};

static json_t *drive_json(struct node *node, const struct node_drive *drive)
{
	enum row_drive_state row_state = node_drive_state(node, drive);
	if (!drive->drive)
		return json_pack(
			"{s:s, s:s, s:s}", "path", drive->path, "state", "out", "why", drive->why);
	struct drive_space space;
	drive_space(drive->drive, &space);
	bool is_up = drive_state(drive->drive) == DRIVE_UP;
	bool is_late = row_state >= DRIVE_ROW_GONE;
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:I}", "path", drive->path,
		"state",
		is_late                                   ? "removed"
			: !is_up                          ? "fenced"
			: row_state == DRIVE_ROW_DRAINING ? "draining"
							  : "up",
		"why",
		is_late         ? "it was given up or removed, and is not used"
			: is_up ? ""
				: "a write, read or flush failed; replace the drive",
		"number", (int)drive->number, "class",
		class_names[drive_identity(drive->drive)->class], "total", (json_int_t)space.total,
		"used", (json_int_t)space.used, "garbage", (json_int_t)space.garbage, "free",
		(json_int_t)space.free);
}

static json_t *drives_json(struct node *node)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < node->drive_count; i++)
		json_array_append_new(list, drive_json(node, &node->drives[i]));
	return list;
}

enum err node_status_drives(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	*ret_result = drives_json(node);
	return ERR_OK;
}

/* What the loss of a drive does to the index, and what to do, in one line. */
static void format_index(const struct node *node, char *text, size_t cap)
{
	struct log_mirror_status log;
	if (!node->mirror && node->cluster) {
		text[0] = '\0'; /* the other members have it */
		return;
	}
	if (!node->mirror) {
		snprintf(text, cap, "on the state directory's drive alone%s",
			node->drive_count > 1
				? "; drives on file systems of their own would each have a copy"
				: "");
		return;
	}
	log_mirror_status(node->mirror, &log);
	enum err err = atomic_load(&node->copies.err);
	if (log.in_sync < log.wanted)
		snprintf(text, cap,
			"%u of %u copies of its log in sync: the loss of one more drive may lose "
			"writes; bring back or replace the drive that failed and start again",
			log.in_sync, log.wanted);
	else if (err && err != ERR_CANCELED)
		snprintf(text, cap,
			"%u copies of its log in sync, but no copy of the index beside them: %s; "
			"make room on the drives",
			log.in_sync, err_text(err));
	else
		snprintf(text, cap, "%u of %u copies in sync, on drives", log.in_sync, log.wanted);
}

static json_t *log_json(const struct node *node)
{
	struct log_mirror_status log = {0};
	json_t *homes = json_array();
	if (node->mirror)
		log_mirror_status(node->mirror, &log);
	for (unsigned i = 0; i < log.in_sync; i++)
		json_array_append_new(homes, json_string(log.disks[i]->path));
	return json_pack("{s:I, s:i, s:i, s:I, s:I, s:o}", "set", (json_int_t)log.set, "wanted",
		(int)log.wanted, "in_sync", (int)log.in_sync, "dropped", (json_int_t)log.dropped,
		"joined", (json_int_t)log.joined, "places", homes);
}

static bool is_log_short(const struct node *node)
{
	struct log_mirror_status log = {0};
	if (node->mirror)
		log_mirror_status(node->mirror, &log);
	return log.in_sync < log.wanted;
}

/* What promise P1 means here, in one line; of a cluster its own status says it. */
static void format_durability(
	const struct node *node, const struct ring *ring, unsigned out, char *text, size_t cap)
{
	unsigned m = ring ? ring->profile.m : 0;
	text[0] = '\0';
	if (node->cluster && !node_drives_share(node))
		return;
	if (!ring)
		snprintf(text, cap, "unknown: there is no ring yet");
	else if (m == 0)
		snprintf(text, cap,
			"one drive: data survives a power cut, not the loss of the drive");
	else if (out > m)
		snprintf(text, cap,
			"%u drives are out of service: data cannot all be read; bring them back",
			out);
	else if (out == m)
		snprintf(text, cap,
			"%u drives are out of service: the loss of one more loses data; bring "
			"them back",
			out);
	else if (node_drives_share(node))
		snprintf(text, cap,
			"drives share a file system and are lost together with it: for trying "
			"out, not for data");
	else
		snprintf(text, cap, "data survives the loss of %u more drive%s%s", m - out,
			m - out > 1 ? "s" : "",
			node->mirror ? "" : "; the index is on the state directory's drive alone");
}

enum err node_status(struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	struct index_status index;
	index_status(node->index, &index);
	unsigned wanted, up;
	node_count_drives(node, &wanted, &up);
	struct ring_snapshot *snapshot = index_ring(node->index);
	const struct ring *ring = snapshot ? ring_snapshot_ring(snapshot) : NULL;
	char fingerprint[TLS_FINGERPRINT_LEN];
	tls_fingerprint(node->tls, fingerprint);
	char promise[256];
	format_durability(node, ring, wanted - up, promise, sizeof promise);
	char full[512], copies[256], archive[256];
	node_format_full(node, &index, full, sizeof full);
	format_index(node, copies, sizeof copies);
	node_archive_text(node, archive, sizeof archive);
	const char *state = node->has_failed ? "failed"
		: index.is_space_low         ? "full"
		: up < wanted                ? "degraded"
		: is_log_short(node)         ? "degraded"
					     : "ok";
	*ret_result = json_pack(
		"{s:b, s:s, s:o, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:s, "
		"s:{s:i, s:i}, "
		"s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:o}",
		"ready", 1, "index_archive", archive, "archive", node_archive_json(node),
		"index_copies", copies, "log", log_json(node), "state", state, "why", full,
		"version", RUBUS_VERSION, "s3_address", node->config->s3_address, "admin_address",
		node->config->admin_address, "region", node->config->region, "tls_fingerprint",
		fingerprint, "started_ms", (json_int_t)node->started_ms, "drives_up", (int)up,
		"drives", (int)wanted, "durability", promise, "profile", "k",
		ring ? ring->profile.k : 0, "m", ring ? ring->profile.m : 0, "index", "applied",
		(json_int_t)index.applied, "committed", (json_int_t)index.committed, "bytes",
		(json_int_t)index.kv_used, "commands", (json_int_t)index.commands, "free",
		(json_int_t)index.space_free, "free_wanted", (json_int_t)index.space_wanted,
		"drive_list", drives_json(node));
	ring_snapshot_unref(snapshot);
	if (!*ret_result)
		return ERR_NO_MEMORY;
	json_t *cluster;
	enum err err = control_cluster_status(node, &cluster);
	if (!err && cluster)
		json_object_set_new(*ret_result, "cluster", cluster);
	if (err) {
		json_decref(*ret_result);
		*ret_result = NULL;
	}
	return err;
}
