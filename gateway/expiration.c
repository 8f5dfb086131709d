/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/expiration.h"

#include "gateway/s3_time.h"
#include "gateway/uri.h"
#include "storage/meta/lifecycle.h"

static bool has_rules(const struct request *request)
{
	return request->rules && request->rules->has_lifecycle;
}

/* When a rule takes the version, if it does. */
static bool is_taken(const struct request *request, const struct lifecycle_rule *rule,
	const struct row_version *row, uint64_t *ret_due_ms)
{
	uint64_t day_ms = request->loop->gateway->settings.lifecycle_day_ms;
	if (rule->days == 0 && rule->date_ms == 0)
		return false;
	if (!lifecycle_fits(rule, request->resource.key, row->tags, row->len))
		return false;
	*ret_due_ms = rule->days == 0 ? rule->date_ms
				      : lifecycle_due_ms(row->time_ms, rule->days,
						day_ms > 0 ? day_ms : LIFECYCLE_DAY_MS);
	return true;
}

/* The rule that takes the version first. False: none does. */
static bool find_rule(const struct request *request, struct bytes config,
	const struct row_version *row, struct lifecycle_rule *ret_rule, uint64_t *ret_due_ms)
{
	struct lifecycle_rule rule;
	struct bytes list;
	uint64_t due_ms;
	*ret_due_ms = UINT64_MAX;
	if (lifecycle_open(config, &list) != ERR_OK)
		return false;
	while (lifecycle_next(&list, &rule) == ERR_OK)
		if (is_taken(request, &rule, row, &due_ms) && due_ms < *ret_due_ms) {
			*ret_rule = rule;
			*ret_due_ms = due_ms;
		}
	return *ret_due_ms < UINT64_MAX;
}

void expiration_add(
	struct request *request, struct response_headers *headers, const struct object_info *object)
{
	struct bytes config;
	struct lifecycle_rule rule;
	uint64_t due_ms;
	uint8_t date[S3_TIME_HTTP_LEN];
	struct text_out out;

	if (!has_rules(request) || object->row.is_delete_marker ||
		index_bucket_config(request_reader(request), request->bucket.id,
			BUCKET_CONFIG_LIFECYCLE, &config) != ERR_OK ||
		!find_rule(request, config, &object->row, &rule, &due_ms))
		return;
	s3_time_format_http(due_ms / 1000, date);
	request_note_begin(request, &out);
	text_put_text(&out, "expiry-date=\"");
	text_put(&out, date, sizeof date);
	text_put_text(&out, "\", rule-id=\"");
	uri_encode(&out, rule.id, false);
	text_put_char(&out, '"');
	struct bytes text = request_note_end(request, &out);
	if (text.len > 0)
		response_add(headers, "x-amz-expiration", text);
}

void expiration_add_written(
	struct request *request, struct response_headers *headers, struct version_id version)
{
	struct object_info object;
	if (!has_rules(request) || index_view_begin(request_reader(request)) != ERR_OK)
		return;
	if (index_version_get(request_reader(request), request->bucket.id, request->resource.key,
		    version, &object) == ERR_OK)
		expiration_add(request, headers, &object);
	index_view_end(request_reader(request));
}
