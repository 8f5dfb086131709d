/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_lock.h"

#include "gateway/s3_time.h"

static bool is(struct bytes name, const char *expected)
{
	return bytes_is_text(name, expected);
}

static void check_root(struct xml_in *in, unsigned depth, struct bytes name, const char *expected)
{
	if (depth == 1 && !is(name, expected))
		xml_in_stop(in, S3_MALFORMED_XML);
}

bool xml_lock_parse_mode(struct bytes text, uint8_t *ret_mode)
{
	if (is(text, "GOVERNANCE"))
		*ret_mode = RETENTION_GOVERNANCE;
	else if (is(text, "COMPLIANCE"))
		*ret_mode = RETENTION_COMPLIANCE;
	else
		return false;
	return true;
}

/* --- ObjectLockConfiguration ------------------------------------------------------------------ */

static void configuration_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_lock_configuration *body = CONTAINER_OF(in, struct xml_lock_configuration, in);
	(void)attributes;
	check_root(in, depth, name, "ObjectLockConfiguration");
	if (depth == 3)
		body->is_in_rule = is(name, "DefaultRetention");
}

/* A whole number of days or years. */
static enum s3_code parse_period(struct bytes text, uint32_t max, uint32_t *ret_count)
{
	uint32_t count = 0;
	bool is_negative = text.len > 1 && text.data[0] == '-';
	for (size_t i = is_negative; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return S3_MALFORMED_XML;
		if (count <= max)
			count = 10 * count + (text.data[i] - '0');
	}
	if (text.len == 0)
		return S3_MALFORMED_XML;
	if (is_negative || count == 0 || count > max)
		return S3_INVALID_RETENTION_PERIOD;
	*ret_count = count;
	return S3_OK;
}

static enum s3_code take_rule_part(
	struct xml_lock_configuration *body, struct bytes name, struct bytes text)
{
	if (is(name, "Mode"))
		return xml_lock_parse_mode(text, &body->rule.mode) ? S3_OK : S3_MALFORMED_XML;
	if (is(name, "Days")) {
		body->has_days = true;
		return parse_period(text, ROW_LOCK_DAYS_MAX, &body->rule.days);
	}
	if (is(name, "Years")) {
		body->has_years = true;
		return parse_period(text, ROW_LOCK_YEARS_MAX, &body->rule.years);
	}
	return S3_OK;
}

static void configuration_close(
	struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_lock_configuration *body = CONTAINER_OF(in, struct xml_lock_configuration, in);
	enum s3_code code = S3_OK;
	text = bytes_trim(text, XML_IN_SPACE);
	if (depth == 2 && is(name, "ObjectLockEnabled")) {
		body->is_enabled = is(text, "Enabled");
		code = body->is_enabled ? S3_OK : S3_MALFORMED_XML;
	} else if (depth == 4 && body->is_in_rule) {
		code = take_rule_part(body, name, text);
	} else if (depth == 3 && is(name, "DefaultRetention")) {
		bool is_whole = body->rule.mode != RETENTION_NONE &&
			body->has_days != body->has_years && !body->has_rule;
		body->has_rule = true;
		code = is_whole ? S3_OK : S3_MALFORMED_XML;
	} else if (depth == 2 && is(name, "Rule")) {
		code = body->has_rule ? S3_OK : S3_MALFORMED_XML;
	} else if (depth == 1) {
		code = body->is_enabled ? S3_OK : S3_MALFORMED_XML;
	}
	if (code != S3_OK)
		xml_in_stop(in, code);
}

enum err xml_lock_configuration_init(struct xml_lock_configuration *body)
{
	body->is_enabled = body->has_rule = body->is_in_rule = false;
	body->has_days = body->has_years = false;
	body->rule = (struct row_bucket_lock){.mode = RETENTION_NONE};
	return xml_in_init(&body->in, configuration_open, configuration_close);
}

/* --- Retention -------------------------------------------------------------------------------- */

static void retention_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)attributes;
	check_root(in, depth, name, "Retention");
}

static void retention_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_retention *body = CONTAINER_OF(in, struct xml_retention, in);
	bool is_good = true;
	text = bytes_trim(text, XML_IN_SPACE);
	if (depth == 2 && is(name, "Mode"))
		is_good = xml_lock_parse_mode(text, &body->mode);
	else if (depth == 2 && is(name, "RetainUntilDate"))
		is_good = s3_time_parse_iso8601(text, &body->until_ms) == ERR_OK &&
			body->until_ms > 0;
	else if (depth == 1)
		is_good = (body->mode == RETENTION_NONE) == (body->until_ms == 0);
	if (!is_good)
		xml_in_stop(in, S3_MALFORMED_XML);
}

enum err xml_retention_init(struct xml_retention *body)
{
	body->mode = RETENTION_NONE;
	body->until_ms = 0;
	return xml_in_init(&body->in, retention_open, retention_close);
}

/* --- LegalHold -------------------------------------------------------------------------------- */

static void legal_hold_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)attributes;
	check_root(in, depth, name, "LegalHold");
}

static void legal_hold_close(
	struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_legal_hold *body = CONTAINER_OF(in, struct xml_legal_hold, in);
	bool is_good = true;
	text = bytes_trim(text, XML_IN_SPACE);
	if (depth == 2 && is(name, "Status")) {
		body->has_status = true;
		body->is_on = is(text, "ON");
		is_good = body->is_on || is(text, "OFF");
	} else if (depth == 1) {
		is_good = body->has_status;
	}
	if (!is_good)
		xml_in_stop(in, S3_MALFORMED_XML);
}

enum err xml_legal_hold_init(struct xml_legal_hold *body)
{
	body->has_status = body->is_on = false;
	return xml_in_init(&body->in, legal_hold_open, legal_hold_close);
}
