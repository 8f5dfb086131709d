/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about how the cluster is: in the control thread. */
#include "server/control_health.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/facts.h"
#include "server/health_codes.h"
#include "server/node_drives.h"
#include "server/node_priv.h"

#define DETAIL_LEN 512
#define CLOCK_SKEW_MS 1000

static const char *const class_names[] = {"nvme", "ssd", "hdd"};

/* --- health ----------------------------------------------------------------------------------- */

struct findings {
	json_t *list;
	enum health_severity worst;
};

__attribute__((format(printf, 3, 4))) static void find(
	struct findings *findings, enum health_code code, const char *format, ...)
{
	const struct health_entry *entry = &health_entries[code];
	char detail[DETAIL_LEN];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	json_t *text = json_string(detail);
	json_array_append_new(findings->list,
		json_pack("{s:s, s:s, s:o, s:s}", "code", entry->name, "severity",
			health_severity_text(entry->severity), "what",
			text ? text : json_string("?"), "next", entry->help));
	if (entry->severity > findings->worst)
		findings->worst = entry->severity;
}

static void judge_nodes(const struct facts *facts, struct findings *findings)
{
	if (!facts->has_quorum)
		find(findings, HEALTH_NO_QUORUM, "%s; %u of %u voters are there, %u are needed",
			facts_leader(facts) ? "a node leads" : "no node leads", facts->voters_there,
			facts->voters, facts->voters_needed);
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct fact_node *node = &facts->nodes[i];
		int64_t ahead_ms = node->view.ahead_ms;
		const char *state = facts_state_text(facts, node);
		if (node->view.differs)
			find(findings, HEALTH_STATE_DIFFERS, "node %s, at log index %llu",
				node->name, (unsigned long long)node->view.differs_at);
		if (facts_is_in_maintenance(facts, node))
			find(findings, HEALTH_NODE_MAINTENANCE, "node %s is %s", node->name,
				node->is_up ? "up" : "away");
		else if (!node->is_up && strcmp(state, "gone") == 0)
			find(findings, HEALTH_NODE_GONE, "node %s is gone", node->name);
		else if (facts_is_overdue(facts, node))
			find(findings, HEALTH_NODE_UNDECIDED, "node %s is away for %.1f h",
				node->name, (double)node->away_ms / 3600000);
		else if (!node->is_up)
			find(findings, HEALTH_NODE_AWAY, "node %s is %s", node->name, state);
		else if (node->view.has_time && llabs(ahead_ms) > CLOCK_SKEW_MS)
			find(findings, HEALTH_CLOCK_SKEW, "the clock of node %s is %lld ms %s",
				node->name, llabs(ahead_ms), ahead_ms > 0 ? "ahead" : "behind");
	}
}

static void judge_scrub(const struct fact_drive *drive, const char *name, struct findings *findings)
{
	const struct scrub_counts *counts = &drive->scrub.counts;
	if (scrub_counts_is_bad(counts))
		find(findings, HEALTH_DAMAGE_FOUND,
			"drive %u of node %s: %llu shards damaged, %llu of them mended, %llu not "
			"readable",
			drive->number, name, (unsigned long long)counts->bad,
			(unsigned long long)counts->mended, (unsigned long long)counts->unread);
	else if (counts->bad > 0 || counts->missing > 0)
		find(findings, HEALTH_DAMAGE_MENDED,
			"drive %u of node %s: %llu shards damaged, %llu not there", drive->number,
			name, (unsigned long long)counts->bad, (unsigned long long)counts->missing);
}

static void judge_steering(const struct facts *facts, struct findings *findings)
{
	if (facts->steering.is_repair_paused)
		find(findings, HEALTH_REPAIR_PAUSED, "rubus repair pause was run");
	if (facts->steering.is_scrub_paused)
		find(findings, HEALTH_SCRUB_PAUSED, "rubus scrub pause was run");
}

static void judge_drives(const struct facts *facts, struct findings *findings)
{
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		const char *name = drive->node ? drive->node->name : "?";
		if (!drive->is_up && drive->node && drive->node->is_up)
			find(findings, HEALTH_DRIVE_DOWN, "drive %u of node %s", drive->number,
				name);
		judge_scrub(drive, name, findings);
		if (facts->ring && drive->state == DRIVE_ROW_IN && drive->weight > 0 &&
			ring_count_drive(facts->ring, drive->number) == 0)
			find(findings, HEALTH_DRIVE_UNUSED, "drive %u of node %s", drive->number,
				name);
	}
}

static void judge_data(const struct facts *facts, struct findings *findings)
{
	const struct ring_outlook *outlook = &facts->outlook;
	if (!facts->ring) {
		find(findings, HEALTH_NO_LAYOUT, "there is no ring");
		return;
	}
	unsigned slots = facts->ring->slot_count;
	if (outlook->unreadable > 0)
		find(findings, HEALTH_DATA_UNREADABLE, "%u of %u slots, with %llu stored bytes",
			outlook->unreadable, slots, (unsigned long long)outlook->unreadable_len);
	if (outlook->stopped > 0)
		find(findings, HEALTH_READ_ONLY,
			"%u of %u slots take nothing above 4 KiB; reads and deletes go on",
			outlook->stopped, slots);
	if (facts->ring->profile.m > 0 && outlook->readable > outlook->safe)
		find(findings, HEALTH_DATA_AT_RISK,
			"%u of %u slots would not survive one more loss",
			outlook->readable - outlook->safe, slots);
	if (facts->is_held)
		find(findings, HEALTH_COLLECTION_HELD, "nothing is collected");
	if (facts->missing > 0)
		find(findings, HEALTH_SHARDS_MISSING, "%llu shards",
			(unsigned long long)facts->missing);
	if (facts->under_profile > 0)
		find(findings, HEALTH_UNDER_PROFILE,
			"%llu extents with %llu stored bytes, of which the loss of one %s would "
			"take %llu",
			(unsigned long long)facts->off.under_extents,
			(unsigned long long)facts->off.under_len,
			facts->ring->domain == RING_DOMAIN_DRIVE ? "drive" : "node",
			(unsigned long long)facts->off.bare_len);
	if (facts->exceptions > facts->missing_exceptions)
		find(findings, HEALTH_SHARDS_ELSEWHERE, "%llu shards",
			(unsigned long long)(facts->exceptions - facts->missing_exceptions));
}

static void judge_self(const struct facts *facts, struct findings *findings)
{
	const struct node *node = facts->node;
	struct log_mirror_status log = {0};
	if (node->has_failed)
		find(findings, HEALTH_NODE_FAILED, "%s", err_text(node->failure));
	if (facts->index.is_space_low)
		find(findings, HEALTH_INDEX_SPACE_LOW, "%llu MiB are free, %llu MiB are needed",
			(unsigned long long)(facts->index.space_free >> 20),
			(unsigned long long)(facts->index.space_wanted >> 20));
	if (node->mirror)
		log_mirror_status(node->mirror, &log);
	if (log.in_sync < log.wanted)
		find(findings, HEALTH_INDEX_COPIES, "%u of %u copies", log.in_sync, log.wanted);
	char trouble[128];
	if (node_archive_trouble(node, trouble, sizeof trouble))
		find(findings, HEALTH_INDEX_ARCHIVE, "%s", trouble);
	for (unsigned i = 0; i < node->drive_count; i++)
		if (!node->drives[i].drive &&
			node_drive_state(facts->node, &node->drives[i]) < DRIVE_ROW_GONE)
			find(findings, HEALTH_DRIVE_DOWN, "%.200s of this node: %.200s",
				node->drives[i].path, node->drives[i].why);
}

static void judge_quotas(const struct facts *facts, struct findings *findings)
{
	struct control_quotas quotas;
	if (control_quotas(facts->node, &quotas) != ERR_OK)
		return; /* the index says itself what is wrong with it */
	if (quotas.full.count > 0)
		find(findings, HEALTH_QUOTA_FULL, "%zu: %s", quotas.full.count, quotas.full.names);
	if (quotas.soft.count > 0)
		find(findings, HEALTH_QUOTA_SOFT, "%zu: %s", quotas.soft.count, quotas.soft.names);
}

/* The gravest first. */
static json_t *sort_findings(json_t *list)
{
	static const char *const order[] = {"critical", "warning", "notice"};
	json_t *sorted = json_array();
	for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
		for (size_t j = 0; j < json_array_size(list); j++) {
			json_t *one = json_array_get(list, j);
			const char *severity = json_string_value(json_object_get(one, "severity"));
			if (severity && strcmp(severity, order[i]) == 0)
				json_array_append(sorted, one);
		}
	}
	json_decref(list);
	return sorted;
}

static void judge(const struct facts *facts, struct findings *findings)
{
	findings->list = json_array();
	findings->worst = HEALTH_NOTICE;
	judge_self(facts, findings);
	judge_nodes(facts, findings);
	judge_data(facts, findings);
	judge_drives(facts, findings);
	judge_steering(facts, findings);
	judge_quotas(facts, findings);
	findings->list = sort_findings(findings->list);
}

enum err control_health(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	struct facts *facts;
	struct findings findings;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	judge(facts, &findings);
	facts_free(facts);
	*ret_result = json_pack("{s:b, s:o}", "healthy", findings.worst == HEALTH_NOTICE,
		"findings", findings.list);
	return *ret_result ? ERR_OK : ERR_NO_MEMORY;
}

/* --- status ----------------------------------------------------------------------------------- */

/* One word for how the cluster is. */
static const char *state_of(const struct facts *facts)
{
	const struct ring_outlook *outlook = &facts->outlook;
	bool is_whole = facts->voters_there == facts->voters && facts->missing == 0 &&
		!facts->has_gone && !facts->is_held && facts->under_profile == 0;
	for (size_t i = 0; i < facts->node_count; i++)
		is_whole &= facts->nodes[i].is_up;
	for (size_t i = 0; i < facts->drive_count; i++)
		is_whole &= facts->drives[i].is_up;
	if (!facts->has_quorum)
		return "no quorum";
	if (facts->ring && outlook->unreadable > 0)
		return "unreadable";
	if (!facts->ring || outlook->stopped > 0 || facts->index.is_space_low)
		return "read-only";
	return is_whole ? "ok" : "degraded";
}

static json_t *node_json(const struct facts *facts, const struct fact_node *node)
{
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:b}", "number", node->number,
		"name", node->name, "state", facts_state_text(facts, node), "duty",
		node->is_leader           ? "leader"
			: node->is_voter  ? "voter"
			: node->is_member ? "learner"
					  : "none",
		"zone", node->zone, "is_this", node->is_own, "maintenance",
		node->maintenance_until_ms > (uint64_t)clock_wall_ms(facts->node->clock));
	if (node->since_ms > 0)
		json_object_set_new(json, "since_ms", json_integer(node->since_ms));
	return json;
}

/* What promise P1 means here, in one line: for data, then for the index. */
static json_t *durability_json(const struct facts *facts)
{
	static const char *const domains[] = {[RING_DOMAIN_DRIVE] = "drive",
		[RING_DOMAIN_NODE] = "node",
		[RING_DOMAIN_ZONE] = "zone"};
	const struct ring_outlook *outlook = &facts->outlook;
	unsigned spare = facts->has_quorum ? facts->voters_there - facts->voters_needed : 0;
	char data[128];
	if (!facts->ring)
		snprintf(data, sizeof data, "unknown: there is no ring yet");
	else if (outlook->unreadable > 0)
		snprintf(data, sizeof data, "not all data can be read now");
	else if (facts->ring->profile.m == 0)
		snprintf(data, sizeof data, "data is there once: it does not survive any loss");
	else if (outlook->safe < facts->ring->slot_count || facts->missing > 0)
		snprintf(data, sizeof data, "not all data survives the loss of one more %s",
			domains[facts->ring->domain]);
	else if (facts->under_profile > 0)
		snprintf(data, sizeof data,
			"data survives the loss of any one more %s, but for %llu extents",
			domains[facts->ring->domain], (unsigned long long)facts->off.under_extents);
	else
		snprintf(data, sizeof data, "data survives the loss of any one more %s",
			domains[facts->ring->domain]);
	if (!facts->has_quorum)
		return json_sprintf("%s; the index waits for a quorum", data);
	if (spare == 0)
		return json_sprintf("%s; the index does not survive that of a voter", data);
	return json_sprintf(
		"%s; the index that of %u of its %u voters", data, spare, facts->voters_there);
}

/* Writes wait for the drive whose flushes take longest. */
static json_t *slowest_json(const struct facts *facts)
{
	const struct fact_drive *slowest = NULL;
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		if (drive->is_up && drive->node && drive->space.flush_ns > 0 &&
			(!slowest || drive->space.flush_ns > slowest->space.flush_ns))
			slowest = drive;
	}
	if (!slowest)
		return json_null(); /* nothing was written yet */
	return json_pack("{s:i, s:s, s:f, s:o}", "drive", (int)slowest->number, "node",
		slowest->node->name, "flush_ms", slowest->space.flush_ns / 1e6, "text",
		json_sprintf("drive %u of %s: a flush takes %.1f ms", slowest->number,
			slowest->node->name, slowest->space.flush_ns / 1e6));
}

/* What is to be coded anew, since it was written with another profile or without some drives. */
static json_t *recode_json(const struct facts *facts)
{
	const struct index_profile_sums *off = &facts->off;
	bool is_eta = facts->knows_mender && facts->recode_eta_ms != UINT64_MAX;
	bool is_drive = facts->ring && facts->ring->domain == RING_DOMAIN_DRIVE;
	return json_pack("{s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "extents",
		(json_int_t)off->off_extents, "bytes", (json_int_t)off->off_len, "under_bytes",
		(json_int_t)off->under_len, "bare_bytes", (json_int_t)off->bare_len, "domain",
		is_drive ? "drive" : "node", "bytes_per_second",
		facts->knows_mender ? json_integer(facts->recode_rate) : json_null(), "eta_ms",
		is_eta ? json_integer(facts->recode_eta_ms) : json_null());
}

static json_t *status_json(const struct facts *facts, const struct findings *findings)
{
	const struct fact_node *leader = facts_leader(facts);
	const json_t *first = json_array_get(findings->list, 0);
	const char *state = state_of(facts);
	const char *why = json_string_value(json_object_get(first, "what"));
	const char *next = json_string_value(json_object_get(first, "next"));
	bool is_ok = strcmp(state, "ok") == 0;
	json_t *nodes = json_array();
	for (size_t i = 0; i < facts->node_count; i++)
		json_array_append_new(nodes, node_json(facts, &facts->nodes[i]));
	const struct ring *ring = facts->ring;
	const struct ring_summary *summary = &facts->summary;
	const struct index_status *index = &facts->index;
	uint64_t commit = facts->info.commit_index;
	json_t *left = facts->spaces ? json_integer(summary->left_len) : json_null();
	return json_pack(
		"{s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:o, s:o, s:I, s:I, "
		"s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s}",
		"durability", durability_json(facts), "slowest", slowest_json(facts), "left", left,
		"state", state, "why", is_ok || !why ? "" : why, "next", is_ok || !next ? "" : next,
		"leader", leader ? leader->name : "", "term", (json_int_t)facts->info.term,
		"voters", (int)facts->voters, "voters_there", (int)facts->voters_there,
		"voters_needed", (int)facts->voters_needed, "nodes", nodes, "profile",
		ring ? json_sprintf("%u+%u", ring->profile.k, ring->profile.m) : json_string(""),
		"usable", (json_int_t)summary->usable_after, "safe", (json_int_t)summary->safe_len,
		"stored", (json_int_t)facts->stored_len, "missing", (json_int_t)facts->missing,
		"exceptions", (json_int_t)facts->exceptions, "elsewhere",
		(json_int_t)(facts->exceptions - facts->missing_exceptions), "under_profile",
		(json_int_t)facts->under_profile, "applied", (json_int_t)index->applied,
		"applied_lag", (json_int_t)(commit > index->applied ? commit - index->applied : 0),
		"recode", recode_json(facts), "one_away", facts_one_away_text(facts));
}

enum err control_cluster_status(struct node *node, json_t **ret_status)
{
	struct facts *facts;
	struct findings findings;
	*ret_status = NULL;
	if (!node->cluster)
		return ERR_OK;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	judge(facts, &findings);
	*ret_status = status_json(facts, &findings);
	json_decref(findings.list);
	facts_free(facts);
	return *ret_status ? ERR_OK : ERR_NO_MEMORY;
}

/* --- tree ------------------------------------------------------------------------------------- */

static json_t *tree_drive(const struct fact_drive *drive)
{
	json_t *json = json_pack("{s:s, s:i, s:o, s:s, s:s, s:I}", "type", "drive", "number",
		drive->number, "name", json_sprintf("drive %u", drive->number), "class",
		drive->class < ARRAY_COUNT(class_names) ? class_names[drive->class] : "?", "state",
		!drive->is_up                                ? "away"
			: drive->state == DRIVE_ROW_DRAINING ? "draining"
							     : "up",
		"weight", (json_int_t)drive->weight);
	if (drive->has_space && drive->space.used + drive->space.free > 0) {
		json_object_set_new(json, "used", json_integer(drive->space.used));
		json_object_set_new(json, "free", json_integer(drive->space.free));
	}
	return json;
}

static void add_int(json_t *json, const char *name, uint64_t number)
{
	json_int_t before = json_integer_value(json_object_get(json, name));
	json_object_set_new(json, name, json_integer(before + (json_int_t)number));
}

static json_t *tree_node(const struct facts *facts, const struct fact_node *node)
{
	json_t *drives = json_array();
	json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:o}", "type", "node", "name", node->name,
		"number", node->number, "state", facts_state_text(facts, node), "children", drives);
	add_int(json, "weight", 0);
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		if (drive->node != node)
			continue;
		json_array_append_new(drives, tree_drive(drive));
		add_int(json, "weight", drive->weight);
		if (drive->has_space) {
			add_int(json, "used", drive->space.used);
			add_int(json, "free", drive->space.free);
		}
	}
	return json;
}

static json_t *find_zone(json_t *zones, const char *name)
{
	for (size_t i = 0; i < json_array_size(zones); i++) {
		json_t *zone = json_array_get(zones, i);
		const char *text = json_string_value(json_object_get(zone, "name"));
		if (text && strcmp(text, name) == 0)
			return zone;
	}
	json_t *zone = json_pack("{s:s, s:s, s:[]}", "type", "zone", "name", name, "children");
	json_array_append_new(zones, zone);
	return zone;
}

enum err control_tree(struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	static const char *const sums[] = {"weight", "used", "free"};
	struct facts *facts;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	json_t *zones = json_array();
	for (size_t i = 0; i < facts->node_count; i++) {
		const char *name = facts->nodes[i].zone;
		json_t *zone = find_zone(zones, name[0] ? name : "(no zone)");
		json_t *json = tree_node(facts, &facts->nodes[i]);
		for (size_t j = 0; j < ARRAY_COUNT(sums); j++)
			add_int(zone, sums[j], json_integer_value(json_object_get(json, sums[j])));
		json_array_append_new(json_object_get(zone, "children"), json);
	}
	facts_free(facts);
	*ret_result = zones;
	return ERR_OK;
}
