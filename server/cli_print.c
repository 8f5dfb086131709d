/* SPDX-License-Identifier: Apache-2.0 */
/* Shows results: as tables for people, as one JSON document for programs. */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "storage/bytes.h"

void cli_format_len(uint64_t len, char *ret_text)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (len < 1024) {
		snprintf(ret_text, CLI_TEXT_LEN, "%" PRIu64 " B", len);
		return;
	}
	double value = len / 1024.0;
	size_t unit = 0;
	/* What would be rounded up to 1024 is 1 of the next unit. */
	while (value >= 1023.95 && unit + 1 < ARRAY_COUNT(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(ret_text, CLI_TEXT_LEN, "%.1f %s", value, units[unit]);
}

void cli_format_time(int64_t ms, char *ret_text)
{
	time_t seconds = ms / 1000;
	struct tm tm;
	if (!gmtime_r(&seconds, &tm) || strftime(ret_text, CLI_TEXT_LEN, "%FT%TZ", &tm) == 0)
		snprintf(ret_text, CLI_TEXT_LEN, "unknown");
}

/* --- tables ----------------------------------------------------------------------------------- */

static bool wants_color(const struct cli *cli)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	if ((no_color && *no_color) || (term && strcmp(term, "dumb") == 0))
		return false;
	return isatty(fileno(cli->out));
}

static const char *state_color(const char *state)
{
	if (!strcmp(state, "ok") || !strcmp(state, "up") || !strcmp(state, "enabled") ||
		!strcmp(state, "notice") || !strcmp(state, "yes"))
		return "green";
	if (!strcmp(state, "degraded") || !strcmp(state, "disabled") || !strcmp(state, "warning") ||
		!strcmp(state, "draining"))
		return "yellow";
	return "red";
}

static void format_rate(json_int_t rate, char *buf)
{
	char len[CLI_TEXT_LEN];
	cli_format_len(rate < 0 ? 0 : rate, len);
	snprintf(buf, CLI_TEXT_LEN, "%.32s/s", len);
}

/* The text of a cell; an unknown value is "-". buf has CLI_TEXT_LEN bytes. */
static const char *cell_text(const struct cli_column *column, const json_t *value, char *buf)
{
	snprintf(buf, CLI_TEXT_LEN, "-");
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	if (!json_is_integer(value))
		return buf;
	json_int_t number = json_integer_value(value);
	if (column->kind == CLI_KIND_LEN)
		cli_format_len(number < 0 ? 0 : number, buf);
	else if (column->kind == CLI_KIND_RATE)
		format_rate(number, buf);
	else if (column->kind == CLI_KIND_TIME)
		cli_format_time(number, buf);
	else
		snprintf(buf, CLI_TEXT_LEN, "%" JSON_INTEGER_FORMAT, number);
	return buf;
}

static void fill_cell(struct libscols_line *line, size_t cell, const struct cli_column *column,
	const json_t *value)
{
	char buf[CLI_TEXT_LEN];
	const char *text = cell_text(column, value, buf);
	scols_line_set_data(line, cell, text);
	if (column->kind == CLI_KIND_STATE)
		scols_cell_set_color(scols_line_get_cell(line, cell), state_color(text));
}

static struct libscols_table *new_table(struct cli *cli)
{
	struct libscols_table *table = scols_new_table();
	if (!table)
		return NULL;
	scols_table_set_stream(table, cli->out);
	scols_table_enable_colors(table, wants_color(cli));
	scols_table_set_column_separator(table, "  ");
	return table;
}

/* A column of which no row has a value is left out. */
static bool has_values(const struct cli_column *column, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *value = json_object_get(json_array_get(array, i), column->field);
		if (value && (!json_is_string(value) || json_string_length(value) > 0))
			return true;
	}
	return false;
}

void cli_print_table(
	struct cli *cli, const struct cli_column *columns, size_t count, const json_t *array)
{
	struct libscols_table *table = new_table(cli);
	if (!table)
		return;
	for (size_t j = 0; j < count; j++) {
		bool is_right = columns[j].kind == CLI_KIND_COUNT ||
			columns[j].kind == CLI_KIND_LEN || columns[j].kind == CLI_KIND_RATE;
		if (has_values(&columns[j], array))
			scols_table_new_column(
				table, columns[j].title, 0, is_right ? SCOLS_FL_RIGHT : 0);
	}
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *object = json_array_get(array, i);
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t j = 0, cell = 0; line && j < count; j++)
			if (has_values(&columns[j], array))
				fill_cell(line, cell++, &columns[j],
					json_object_get(object, columns[j].field));
	}
	scols_print_table(table);
	scols_unref_table(table);
}

static void add_branches(struct libscols_table *table, struct libscols_line *parent,
	const struct cli_column *columns, size_t count, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *object = json_array_get(array, i);
		struct libscols_line *line = scols_table_new_line(table, parent);
		for (size_t j = 0; line && j < count; j++) {
			const json_t *value = json_object_get(object, columns[j].field);
			if (value)
				fill_cell(line, j, &columns[j], value);
		}
		if (line)
			add_branches(
				table, line, columns, count, json_object_get(object, "children"));
	}
}

void cli_print_tree(
	struct cli *cli, const struct cli_column *columns, size_t count, const json_t *array)
{
	struct libscols_table *table = new_table(cli);
	if (!table)
		return;
	for (size_t j = 0; j < count; j++) {
		bool is_right = columns[j].kind == CLI_KIND_COUNT ||
			columns[j].kind == CLI_KIND_LEN || columns[j].kind == CLI_KIND_RATE;
		int flags = (j == 0 ? SCOLS_FL_TREE : 0) | (is_right ? SCOLS_FL_RIGHT : 0);
		scols_table_new_column(table, columns[j].title, 0, flags);
	}
	add_branches(table, NULL, columns, count, array);
	scols_print_table(table);
	scols_unref_table(table);
}

void cli_print_fields(
	struct cli *cli, const struct cli_column *columns, size_t count, const json_t *object)
{
	struct libscols_table *table = new_table(cli);
	if (!table)
		return;
	scols_table_enable_noheadings(table, 1);
	scols_table_new_column(table, "NAME", 0, 0);
	scols_table_new_column(table, "VALUE", 0, 0);
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_object_get(object, columns[i].field);
		if (!value || (json_is_string(value) && json_string_length(value) == 0))
			continue;
		struct libscols_line *line = scols_table_new_line(table, NULL);
		if (!line)
			continue;
		scols_line_set_data(line, 0, columns[i].title);
		fill_cell(line, 1, &columns[i], value);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* --- results ---------------------------------------------------------------------------------- */

void cli_print_document(struct cli *cli, json_t *object)
{
	json_t *document = json_pack("{s:i}", "schema_version", CLI_SCHEMA_VERSION);
	if (!object || !document || json_object_update(document, object) != 0 ||
		json_dumpf(document, cli->out, JSON_INDENT(2)) != 0)
		fprintf(cli->err, "rubus: no memory for the answer\n");
	fputc('\n', cli->out);
	json_decref(document);
	json_decref(object);
}

void cli_print_object(
	struct cli *cli, const struct cli_column *columns, size_t count, json_t *object)
{
	if (cli->is_json) {
		cli_print_document(cli, object);
		return;
	}
	cli_print_fields(cli, columns, count, object);
	json_decref(object);
}

void cli_print_list(struct cli *cli, const char *name, const struct cli_column *columns,
	size_t count, json_t *array)
{
	if (cli->is_json) {
		cli_print_document(cli, json_pack("{s:o}", name, array));
		return;
	}
	if (json_array_size(array) > 0)
		cli_print_table(cli, columns, count, array);
	else
		fprintf(cli->err, "There are no %s.\n", name);
	json_decref(array);
}
