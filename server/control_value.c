/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people type them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/s3_time.h"
#include "server/control_user.h"

bool control_read_len(const char *text, uint64_t *ret_len)
{
	static const char units[] = "KMGT";
	char *end;
	if (strcmp(text, "none") == 0) {
		*ret_len = 0;
		return true;
	}
	if (!isdigit((unsigned char)text[0]))
		return false;
	uint64_t len = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if ((*end && (!unit || end[1])) || len == 0 || len > (UINT64_C(1) << 60) >> shift)
		return false;
	*ret_len = len << shift;
	return true;
}

static bool read_count(const char *text, uint64_t *ret_count)
{
	char *end;
	if (strcmp(text, "none") == 0) {
		*ret_count = 0;
		return true;
	}
	uint64_t count = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
	if (count == 0 || count > UINT64_C(1) << 60 || *end)
		return false;
	*ret_count = count;
	return true;
}

/* A day, a moment, or so long from now. */
bool control_read_expiry(const char *text, uint64_t now_ms, uint64_t *ret_ms)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = {{'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	char day[40], *end;
	if (strcmp(text, "never") == 0) {
		*ret_ms = 0;
		return true;
	}
	if (!isdigit((unsigned char)text[0]) || strlen(text) + 11 > sizeof day)
		return false;
	uint64_t count = strtoull(text, &end, 10);
	for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
		if (end[0] != units[i].unit || end[1])
			continue;
		if (count == 0 || count > UINT64_C(100) * 366 * 86400000 / units[i].ms)
			return false;
		*ret_ms = now_ms + count * units[i].ms;
		return true;
	}
	bool is_day = strlen(text) == strlen("2027-01-31");
	size_t len = strlen(text);
	memcpy(day, text, len + 1);
	if (is_day)
		memcpy(day + len, "T00:00:00Z", 11);
	return s3_time_parse_iso8601(bytes_of(day), ret_ms) == ERR_OK && *ret_ms > now_ms;
}

bool control_is_user_id(const char *id)
{
	size_t len = id ? strlen(id) : 0;
	if (len == 0 || len > ROW_OWNER_LEN_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && !strchr("._-@+=", id[i]))
			return false;
	return true;
}

/* --- settings --------------------------------------------------------------------------------- */

const char *control_setting(const json_t *request, size_t i, char *name, size_t cap)
{
	const json_t *list = json_object_get(request, "setting");
	const char *text = json_string_value(json_array_get(list, i));
	const char *sign = text ? strchr(text, '=') : NULL;
	if (!text)
		return NULL;
	size_t len = sign ? (size_t)(sign - text) : strlen(text);
	if (len >= cap)
		len = cap - 1;
	memcpy(name, text, len);
	name[len] = '\0';
	return sign ? sign + 1 : "";
}

enum err control_set_quota(struct row_quota *quota, const char *name, const char *value,
	bool *ret_is_quota, char *message)
{
	const struct {
		const char *name;
		uint64_t *place;
		bool (*read)(const char *text, uint64_t *ret_number);
	} all[] = {
		{"quota-bytes", &quota->len, control_read_len},
		{"quota-objects", &quota->versions, read_count},
		{"soft-quota-bytes", &quota->soft_len, control_read_len},
		{"soft-quota-objects", &quota->soft_versions, read_count},
	};
	*ret_is_quota = false;
	for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
		if (strcmp(name, all[i].name) != 0)
			continue;
		*ret_is_quota = true;
		if (!all[i].read(value, all[i].place))
			return node_refuse(message, ERR_INVALID,
				"%s=%.64s: write a number above 0, such as %s, or none", name,
				value, all[i].read == read_count ? "100000" : "500G");
	}
	return ERR_OK;
}

void control_add_quota(json_t *json, const struct row_quota *quota)
{
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{"quota_bytes", quota->len},
		{"quota_objects", quota->versions},
		{"soft_quota_bytes", quota->soft_len},
		{"soft_quota_objects", quota->soft_versions},
	};
	for (size_t i = 0; i < ARRAY_COUNT(all); i++)
		if (all[i].value > 0)
			json_object_set_new(json, all[i].name, json_integer(all[i].value));
}
