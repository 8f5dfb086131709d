/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that show how the cluster is. */
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "server/control.h"
#include "server/health_codes.h"
#include "storage/bytes.h"

/* Says the answer "no" of a command that has printed what it was asked for. */
static enum cli_exit say_no(struct cli *cli, const json_t *result, const char *behind)
{
	const char *why = json_string_value(json_object_get(result, "why"));
	fprintf(cli->err, "rubus: %s\n", why && *why ? why : behind);
	return CLI_FAILED;
}

static bool is_yes(const json_t *result, const char *field)
{
	return json_is_true(json_object_get(result, field));
}

/* Shows an object; the status says whether a field of it is true. */
static enum cli_exit show_answer(struct cli *cli, const char *call, const char *const *fields,
	const struct cli_column *columns, size_t count, const char *behind)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, call, &result);
	if (status)
		return status;
	cli_print_object(cli, columns, count, json_incref(result));
	for (size_t i = 0; !status && fields[i]; i++)
		if (!is_yes(result, fields[i]))
			status = say_no(cli, result, behind);
	json_decref(result);
	return status;
}

/* --- how the cluster is ----------------------------------------------------------------------- */

static const struct cli_column cluster_columns[] = {
	{"cluster", "state", CLI_KIND_STATE},
	{"why", "why", CLI_KIND_TEXT},
	{"next", "next", CLI_KIND_TEXT},
	{"leader", "leader", CLI_KIND_TEXT},
	{"term", "term", CLI_KIND_COUNT},
	{"voters", "voters_text", CLI_KIND_TEXT},
	{"profile", "profile", CLI_KIND_TEXT},
	{"durability", "durability", CLI_KIND_TEXT},
	{"one node away", "one_away", CLI_KIND_TEXT},
	{"usable", "usable", CLI_KIND_LEN},
	{"safe to fill", "safe", CLI_KIND_LEN},
	{"in extents", "stored", CLI_KIND_LEN},
	{"still fits", "left", CLI_KIND_LEN},
	{"slowest drive", "slowest_text", CLI_KIND_TEXT},
	{"shards missing", "missing", CLI_KIND_COUNT},
	{"shards elsewhere", "elsewhere", CLI_KIND_COUNT},
	{"under profile", "under_profile", CLI_KIND_COUNT},
	{"to be coded anew", "recode_text", CLI_KIND_TEXT},
	{"behind the log", "applied_lag", CLI_KIND_COUNT},
};

static const struct cli_column cluster_node_columns[] = {
	{"NODE", "number", CLI_KIND_COUNT},
	{"NAME", "name", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"SINCE", "since_ms", CLI_KIND_TIME},
	{"DUTY", "duty", CLI_KIND_TEXT},
	{"ZONE", "zone", CLI_KIND_TEXT},
	{"MAINTENANCE", "maintenance", CLI_KIND_TEXT},
};

static json_int_t number_at(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* "412 GiB, of which 12 GiB would not survive the loss of one node; 3.1 h to fix" */
static json_t *recode_text(const json_t *recode)
{
	char len[CLI_TEXT_LEN], bare[CLI_TEXT_LEN], text[4 * CLI_TEXT_LEN + 64];
	json_int_t bytes = number_at(recode, "bytes"), bare_bytes = number_at(recode, "bare_bytes");
	const json_t *eta = json_object_get(recode, "eta_ms");
	if (bytes <= 0)
		return json_string("");
	cli_format_len(bytes, len);
	cli_format_len(bare_bytes, bare);
	size_t at = snprintf(text, sizeof text, "%s", len);
	if (bare_bytes > 0)
		at += snprintf(text + at, sizeof text - at,
			", of which %s would not survive the loss of one %s", bare,
			json_string_value(json_object_get(recode, "domain")));
	if (json_is_integer(eta))
		snprintf(text + at, sizeof text - at, "; %.1f h to fix",
			json_integer_value(eta) / 3600e3);
	return json_string(text);
}

void cli_print_cluster(struct cli *cli, const json_t *cluster)
{
	json_t *shown = json_copy((json_t *)cluster);
	if (!shown)
		return;
	json_object_set_new(shown, "voters_text",
		json_sprintf("%d of %d there, %d needed", (int)number_at(shown, "voters_there"),
			(int)number_at(shown, "voters"), (int)number_at(shown, "voters_needed")));
	json_t *slowest = json_object_get(json_object_get(shown, "slowest"), "text");
	if (slowest)
		json_object_set(shown, "slowest_text", slowest);
	json_object_set_new(shown, "recode_text", recode_text(json_object_get(shown, "recode")));
	cli_print_fields(cli, cluster_columns, ARRAY_COUNT(cluster_columns), shown);
	fputc('\n', cli->out);
	cli_print_table(cli, cluster_node_columns, ARRAY_COUNT(cluster_node_columns),
		json_object_get(shown, "nodes"));
	fputc('\n', cli->out);
	json_decref(shown);
}

static const struct cli_column tree_columns[] = {
	{"NAME", "name", CLI_KIND_TEXT},
	{"STATE", "state", CLI_KIND_STATE},
	{"CLASS", "class", CLI_KIND_TEXT},
	{"WEIGHT", "weight", CLI_KIND_LEN},
	{"USED", "used", CLI_KIND_LEN},
	{"FREE", "free", CLI_KIND_LEN},
};

enum cli_exit cli_run_tree(struct cli *cli)
{
	json_t *zones;
	enum cli_exit status = cli_ask(cli, "tree", &zones);
	if (status)
		return status;
	if (cli->is_json) {
		cli_print_list(cli, "zones", NULL, 0, zones);
		return CLI_OK;
	}
	cli_print_tree(cli, tree_columns, ARRAY_COUNT(tree_columns), zones);
	json_decref(zones);
	return CLI_OK;
}

/* --- health ----------------------------------------------------------------------------------- */

static const struct cli_column finding_columns[] = {
	{"SEVERITY", "severity", CLI_KIND_STATE},
	{"CODE", "code", CLI_KIND_TEXT},
	{"WHAT", "what", CLI_KIND_TEXT},
};

enum cli_exit cli_run_health(struct cli *cli)
{
	json_t *result;
	enum cli_exit status = cli_ask(cli, "health", &result);
	if (status)
		return status;
	bool is_healthy = is_yes(result, "healthy");
	const json_t *findings = json_object_get(result, "findings");
	if (cli->is_json) {
		cli_print_document(cli, json_incref(result));
	} else if (json_array_size(findings) > 0) {
		cli_print_table(cli, finding_columns, ARRAY_COUNT(finding_columns), findings);
	} else {
		fputs("healthy\n", cli->out);
	}
	json_decref(result);
	return is_healthy
		? CLI_OK
		: say_no(cli, NULL, "not healthy; what to do says: rubus health explain CODE");
}

static const struct cli_column entry_columns[] = {
	{"code", "code", CLI_KIND_TEXT},
	{"severity", "severity", CLI_KIND_STATE},
	{"meaning", "meaning", CLI_KIND_TEXT},
	{"next", "next", CLI_KIND_TEXT},
};

enum cli_exit cli_run_health_explain(struct cli *cli)
{
	const char *code = cli->arguments[0];
	for (size_t i = 0; i < HEALTH_CODE_COUNT; i++) {
		const struct health_entry *entry = &health_entries[i];
		if (strcasecmp(entry->name, code) != 0)
			continue;
		cli_print_object(cli, entry_columns, ARRAY_COUNT(entry_columns),
			json_pack("{s:s, s:s, s:s, s:s}", "code", entry->name, "severity",
				health_severity_text(entry->severity), "meaning", entry->meaning,
				"next", entry->help));
		return CLI_OK;
	}
	return cli_fail(cli, CLI_NOT_FOUND,
		"there is no code %.64s; rubus health prints those that hold", code);
}

/* --- one node, one drive ---------------------------------------------------------------------- */

static const struct cli_column node_columns[] = {
	{"node", "number", CLI_KIND_COUNT},
	{"name", "name", CLI_KIND_TEXT},
	{"id", "id", CLI_KIND_TEXT},
	{"state", "state", CLI_KIND_STATE},
	{"since", "since_ms", CLI_KIND_TIME},
	{"in maintenance until", "maintenance_until_ms", CLI_KIND_TIME},
	{"duty", "duty", CLI_KIND_TEXT},
	{"role", "role", CLI_KIND_TEXT},
	{"zone", "zone", CLI_KIND_TEXT},
	{"addresses", "addresses", CLI_KIND_TEXT},
	{"joined", "joined_ms", CLI_KIND_TIME},
	{"log applied", "applied", CLI_KIND_COUNT},
	{"behind the log", "applied_lag", CLI_KIND_COUNT},
	{"round trip in us", "rtt_us", CLI_KIND_COUNT},
	{"drives", "drives", CLI_KIND_COUNT},
	{"drives up", "drives_up", CLI_KIND_COUNT},
	{"places in the ring", "positions", CLI_KIND_COUNT},
	{"used", "used", CLI_KIND_LEN},
	{"free", "free", CLI_KIND_LEN},
};

enum cli_exit cli_run_node_show(struct cli *cli)
{
	return cli_show_object(cli, "node.show", node_columns, ARRAY_COUNT(node_columns));
}

enum cli_exit cli_run_node_maintenance(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"node", "name", CLI_KIND_TEXT},
		{"in maintenance until", "maintenance_until_ms", CLI_KIND_TIME},
	};
	return cli_show_object(cli, "node.maintenance", columns, ARRAY_COUNT(columns));
}

enum cli_exit cli_run_node_can_stop(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"node", "node", CLI_KIND_TEXT},
		{"can be stopped", "can_stop", CLI_KIND_STATE},
		{"why", "why", CLI_KIND_TEXT},
		{"all readable then", "readable", CLI_KIND_STATE},
		{"all writable then", "writable", CLI_KIND_STATE},
		{"one more loss is fine", "safe", CLI_KIND_STATE},
		{"voters left", "voters_left", CLI_KIND_COUNT},
		{"voters needed", "voters_needed", CLI_KIND_COUNT},
	};
	static const char *const fields[] = {"can_stop", NULL};
	return show_answer(cli, "node.can-stop", fields, columns, ARRAY_COUNT(columns),
		"it cannot be stopped now");
}

enum cli_exit cli_run_drive_safe_to_remove(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"drive", "drive", CLI_KIND_COUNT},
		{"node", "node", CLI_KIND_TEXT},
		{"safe to remove", "safe_to_remove", CLI_KIND_STATE},
		{"why", "why", CLI_KIND_TEXT},
		{"places in the ring", "positions", CLI_KIND_COUNT},
	};
	static const char *const fields[] = {"safe_to_remove", NULL};
	return show_answer(cli, "drive.safe-to-remove", fields, columns, ARRAY_COUNT(columns),
		"it cannot be removed now");
}

/* --- the way between nodes -------------------------------------------------------------------- */

/* Takes what was found and shows a list of it; the status says whether all is well. */
static enum cli_exit show_checked(struct cli *cli, json_t *result, const char *list,
	const struct cli_column *columns, size_t count, const char *behind)
{
	enum cli_exit status = CLI_OK;
	if (cli->is_json)
		cli_print_document(cli, json_incref(result));
	else
		cli_print_table(cli, columns, count, json_object_get(result, list));
	if (!is_yes(result, "ok"))
		status = say_no(cli, NULL, behind);
	json_decref(result);
	return status;
}

#define NET_LOOK_MS 100
#define NET_TELL_EVERY 30 /* looks */

static void tell_net_progress(struct cli *cli, const json_t *result, bool is_terminal)
{
	fprintf(cli->err, "%s%d of %d pairs of nodes%s", is_terminal ? "\r\033[K" : "",
		(int)number_at(result, "pairs_done"), (int)number_at(result, "pairs_count"),
		is_terminal ? "" : "\n");
	fflush(cli->err);
}

/* Begins a test, or follows the one that is on its way, to its end. */
static enum err follow_net_test(
	struct cli *cli, const struct config *config, json_t **ret_result, char *message)
{
	static const struct timespec pause = {.tv_nsec = NET_LOOK_MS * 1000000L};
	bool is_terminal = isatty(fileno(cli->err)), is_told = false;
	for (unsigned look = 0;; look++) {
		json_t *request = json_pack("{s:s, s:b}", "call", "net.test", "begin", look == 0);
		enum err err = control_ask(config->state_dir, request, ret_result, message);
		json_decref(request);
		if (err)
			return err;
		if (is_yes(*ret_result, "done")) {
			if (is_terminal && is_told)
				fputs("\r\033[K", cli->err);
			return ERR_OK;
		}
		if (look % NET_TELL_EVERY == NET_TELL_EVERY - 1) {
			tell_net_progress(cli, *ret_result, is_terminal);
			is_told = true;
		}
		json_decref(*ret_result);
		nanosleep(&pause, NULL);
	}
}

enum cli_exit cli_run_net_test(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"FROM", "from", CLI_KIND_TEXT},
		{"TO", "to", CLI_KIND_TEXT},
		{"STATE", "state", CLI_KIND_STATE},
		{"RTT us", "rtt_us", CLI_KIND_COUNT},
		{"MIN", "rtt_us_min", CLI_KIND_COUNT},
		{"MAX", "rtt_us_max", CLI_KIND_COUNT},
		{"EACH WAY", "bytes_per_second", CLI_KIND_RATE},
		{"MTU", "mtu", CLI_KIND_COUNT},
		{"THERE", "mtu_there", CLI_KIND_COUNT},
		{"PATH", "path_mtu", CLI_KIND_COUNT},
		{"BACK", "path_mtu_back", CLI_KIND_COUNT},
		{"WHY", "why", CLI_KIND_TEXT},
	};
	struct config *config;
	char message[CONTROL_MESSAGE_LEN];
	json_t *result;
	enum cli_exit status = cli_load_config(cli, &config);
	if (status)
		return status;
	enum err err = follow_net_test(cli, config, &result, message);
	config_free(config);
	if (err)
		return cli_fail(cli, cli_exit_of(err), "%s", message);
	return show_checked(cli, result, "pairs", columns, ARRAY_COUNT(columns),
		"not all nodes reach each other as they should; see rubus status and their logs");
}

enum cli_exit cli_run_time_check(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"NODE", "number", CLI_KIND_COUNT},
		{"NAME", "node", CLI_KIND_TEXT},
		{"STATE", "state", CLI_KIND_STATE},
		{"AHEAD ms", "ahead_ms", CLI_KIND_COUNT},
		{"GIVE OR TAKE", "within_ms", CLI_KIND_COUNT},
		{"WHY", "why", CLI_KIND_TEXT},
	};
	json_t *result;
	enum cli_exit status = cli_ask(cli, "time.check", &result);
	if (status)
		return status;
	return show_checked(cli, result, "nodes", columns, ARRAY_COUNT(columns),
		"not all clocks agree; where one is wrong: timedatectl set-ntp true");
}

/* --- what if ---------------------------------------------------------------------------------- */

enum cli_exit cli_run_layout_simulate(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"readable", "readable", CLI_KIND_STATE},
		{"writable", "writable", CLI_KIND_STATE},
		{"safe", "safe", CLI_KIND_STATE},
		{"quorum", "quorum", CLI_KIND_STATE},
		{"why", "why", CLI_KIND_TEXT},
		{"bytes not readable", "unreadable_bytes", CLI_KIND_LEN},
		{"bytes not safe", "unsafe_bytes", CLI_KIND_LEN},
	};
	static const char *const fields[] = {"readable", "writable", NULL};
	return show_answer(cli, "layout.simulate", fields, columns, ARRAY_COUNT(columns),
		"not all would be readable and writable");
}
