/* SPDX-License-Identifier: Apache-2.0 */

/* The body of a form:
 *
 *	[preamble CRLF] --boundary CRLF (headers CRLF CRLF value CRLF --boundary)* -- [epilogue]
 *
 * Each part's Content-Disposition names its field; the one named "file" is the object, and ends the
 * fields. The delimiter is CRLF, two dashes and the boundary; the first one may lack its CRLF.
 *
 * (F1) What was looked at is not looked at again when more comes, but for the headers of one part,
 *      which are short; so a client that sends byte by byte costs little.
 * (F2) Every bound is checked before anything is kept, and is the same however the body is cut.
 * (F3) A field is there once: a policy is asked about what is used, and nothing else.
 */
#include "gateway/form.h"

#define FILE_FIELD "file"

static enum form_progress bad(struct form *form, enum s3_code code, const char *message)
{
	form->code = code;
	form->message = message;
	return FORM_BAD;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool is_text_in_any_case(struct bytes bytes, const char *text)
{
	return bytes.len == strlen(text) &&
		strncasecmp((const char *)bytes.data, text, bytes.len) == 0;
}

static bool has_prefix_in_any_case(struct bytes bytes, const char *text)
{
	return bytes.len >= strlen(text) &&
		strncasecmp((const char *)bytes.data, text, strlen(text)) == 0;
}

/* --- parameters of headers -------------------------------------------------------------------- */

/* Takes "; name=value" or "; name="value"" off. False: there is none, or it is broken. In a quoted
 * value only a quote is escaped: browsers of old send paths with backslashes. */
static bool take_param(struct bytes *rest, struct bytes *ret_name, struct bytes *ret_value)
{
	struct bytes text = bytes_trim(*rest, " \t");
	if (text.len == 0 || text.data[0] != ';')
		return false;
	text = bytes_trim(bytes_from(text, 1), " \t");
	const uint8_t *equals = text.len > 0 ? memchr(text.data, '=', text.len) : NULL;
	if (!equals)
		return false;
	*ret_name = bytes_trim(bytes_make(text.data, equals - text.data), " \t");
	text = bytes_trim(bytes_from(text, equals - text.data + 1), " \t");
	size_t end = 0;
	if (text.len > 0 && text.data[0] == '"') {
		end = 1;
		while (end < text.len && (text.data[end] != '"' || text.data[end - 1] == '\\'))
			end++;
		if (end == text.len)
			return false;
		*ret_value = bytes_make(text.data + 1, end - 1);
		end++;
	} else {
		while (end < text.len && text.data[end] != ';')
			end++;
		*ret_value = bytes_trim(bytes_make(text.data, end), " \t");
	}
	*rest = bytes_from(text, end);
	return true;
}

static bool is_boundary_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
		(c != '\0' && strchr("'()+_,-./:=? ", c));
}

enum s3_code form_init(struct form *form, struct bytes content_type)
{
	static const char type[] = "multipart/form-data";
	struct bytes rest, name, value;

	form->step = FORM_IN_PREAMBLE;
	form->code = S3_OK;
	form->message = NULL;
	form->at = form->searched = form->file_at = 0;
	form->file_name = form->part_name = (struct bytes){0};
	form->field_count = form->fields_len = 0;
	if (!has_prefix_in_any_case(content_type, type))
		return S3_PRECONDITION_FAILED;
	rest = bytes_from(content_type, sizeof type - 1);
	while (take_param(&rest, &name, &value)) {
		if (!is_text_in_any_case(name, "boundary"))
			continue;
		bool is_good = value.len > 0 && value.len <= FORM_BOUNDARY_LEN_MAX &&
			value.data[value.len - 1] != ' ';
		for (size_t i = 0; i < value.len && is_good; i++)
			is_good = is_boundary_byte(value.data[i]);
		if (!is_good)
			return S3_MALFORMED_POST_REQUEST;
		memcpy(form->delimiter, "\r\n--", 4);
		memcpy(form->delimiter + 4, value.data, value.len);
		form->delimiter_len = 4 + value.len;
		return S3_OK;
	}
	return S3_MALFORMED_POST_REQUEST;
}

/* --- fields ----------------------------------------------------------------------------------- */

bool form_find(const struct form *form, const char *name, struct bytes *ret_value)
{
	for (size_t i = 0; i < form->field_count; i++) {
		if (!bytes_is_text(form->fields[i].name, name))
			continue;
		if (ret_value)
			*ret_value = form->fields[i].value;
		return true;
	}
	return false;
}

static enum form_progress add_field(struct form *form, struct bytes value)
{
	struct bytes name = form->part_name;
	form->fields_len += name.len + value.len;
	if (form->field_count == FORM_FIELDS_MAX || form->fields_len > FORM_FIELDS_LEN_MAX)
		return bad(form, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED, NULL);
	for (size_t i = 0; i < form->field_count; i++)
		if (bytes_is_equal(form->fields[i].name, name)) /* (F3) */
			return bad(
				form, S3_INVALID_ARGUMENT, "A form may have each field once only.");
	form->fields[form->field_count++] = (struct form_field){name, value};
	return FORM_MORE;
}

/* What browsers send as a file's name may be a path, of any system. */
static struct bytes last_of_path(struct bytes path)
{
	for (size_t i = path.len; i > 0; i--)
		if (path.data[i - 1] == '/' || path.data[i - 1] == '\\')
			return bytes_from(path, i);
	return path;
}

static bool take_disposition(struct form *form, struct bytes value, struct bytes *ret_name)
{
	static const char type[] = "form-data";
	struct bytes name, text;
	if (!has_prefix_in_any_case(value, type))
		return false;
	value = bytes_from(value, sizeof type - 1);
	form->file_name = (struct bytes){0};
	while (take_param(&value, &name, &text)) {
		if (is_text_in_any_case(name, "name"))
			*ret_name = text;
		else if (is_text_in_any_case(name, "filename"))
			form->file_name = last_of_path(text);
	}
	return bytes_trim(value, " \t").len == 0;
}

/* Is it how bytes are sent that are just bytes? */
static bool is_plain_encoding(struct bytes value)
{
	return is_text_in_any_case(value, "7bit") || is_text_in_any_case(value, "8bit") ||
		is_text_in_any_case(value, "binary");
}

/* The headers of a part, each line with its CRLF. */
static enum form_progress take_head(struct form *form, uint8_t *data, size_t len)
{
	struct bytes part = {0};
	while (len > 0) {
		uint8_t *end = memmem(data, len, "\r\n", 2);
		assert(end);
		uint8_t *colon = memchr(data, ':', end - data);
		if (!colon)
			return bad(form, S3_MALFORMED_POST_REQUEST, NULL);
		struct bytes name = bytes_make(data, colon - data);
		struct bytes value = bytes_trim(bytes_make(colon + 1, end - colon - 1), " \t");
		if (is_text_in_any_case(name, "content-transfer-encoding") &&
			!is_plain_encoding(value))
			return bad(form, S3_NOT_IMPLEMENTED,
				"Content-Transfer-Encoding is not supported in forms.");
		if (is_text_in_any_case(name, "content-disposition") &&
			(part.data || !take_disposition(form, value, &part)))
			return bad(form, S3_MALFORMED_POST_REQUEST, NULL);
		len -= end + 2 - data;
		data = end + 2;
	}
	if (part.len == 0)
		return bad(form, S3_MALFORMED_POST_REQUEST, NULL);
	for (size_t i = 0; i < part.len; i++)
		((uint8_t *)part.data)[i] = lower(part.data[i]);
	form->part_name = part;
	return FORM_MORE;
}

/* --- the steps -------------------------------------------------------------------------------- */

static void go_on(struct form *form, enum form_step step, size_t at)
{
	form->step = step;
	form->at = form->searched = at;
}

/* The place of a needle behind what was searched, or `len`. */
static size_t search(
	struct form *form, const uint8_t *buf, size_t len, const void *needle, size_t needle_len)
{
	const uint8_t *found = memmem(
		buf + form->searched, len - form->searched, needle, needle_len);
	if (found)
		return found - buf;
	if (len >= needle_len && len - needle_len + 1 > form->searched)
		form->searched = len - needle_len + 1; /* (F1) */
	return len;
}

/* Is what began at `at` longer than it may be, wherever its end is, which search() gave? As long as
 * the end is not there it is not before what was searched, whatever has come of it. */
static bool is_too_long(const struct form *form, size_t end, size_t len, size_t max)
{
	return (end < len ? end : form->searched) - form->at > max;
}

static enum form_progress skip_preamble(struct form *form, const uint8_t *buf, size_t len)
{
	size_t bare_len = form->delimiter_len - 2;
	if (len < bare_len)
		return FORM_MORE;
	if (memcmp(buf, form->delimiter + 2, bare_len) == 0) {
		go_on(form, FORM_BEHIND_DELIMITER, bare_len);
		return FORM_MORE;
	}
	size_t at = search(form, buf, len, form->delimiter, form->delimiter_len);
	if (at < len)
		go_on(form, FORM_BEHIND_DELIMITER, at + form->delimiter_len);
	return FORM_MORE;
}

static enum form_progress pass_delimiter(struct form *form, const uint8_t *buf, size_t len)
{
	size_t at = form->at;
	if (len - at < 2)
		return FORM_MORE;
	if (memcmp(buf + at, "--", 2) == 0) {
		go_on(form, FORM_ENDED, at + 2);
		return FORM_END;
	}
	while (at < len && (buf[at] == ' ' || buf[at] == '\t'))
		at++;
	if (at - form->at > FORM_PART_HEAD_LEN_MAX)
		return bad(form, S3_MALFORMED_POST_REQUEST, NULL);
	if (len - at < 2)
		return FORM_MORE;
	if (memcmp(buf + at, "\r\n", 2) != 0)
		return bad(form, S3_MALFORMED_POST_REQUEST, NULL);
	go_on(form, FORM_IN_HEAD, at + 2);
	return FORM_MORE;
}

static enum form_progress pass_head(struct form *form, uint8_t *buf, size_t len)
{
	size_t end = search(form, buf, len, "\r\n\r\n", 4);
	if (is_too_long(form, end, len, FORM_PART_HEAD_LEN_MAX))
		return bad(form, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED, NULL);
	if (end == len)
		return FORM_MORE;
	enum form_progress progress = take_head(form, buf + form->at, end + 2 - form->at);
	if (progress != FORM_MORE)
		return progress;
	if (!bytes_is_text(form->part_name, FILE_FIELD)) {
		go_on(form, FORM_IN_VALUE, end + 4);
		return FORM_MORE;
	}
	go_on(form, FORM_IN_FILE, end + 4);
	form->file_at = end + 4;
	return form->file_at <= FORM_HEAD_LEN_MAX
		? FORM_FILE
		: bad(form, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED, NULL);
}

static enum form_progress pass_value(struct form *form, const uint8_t *buf, size_t len)
{
	size_t end = search(form, buf, len, form->delimiter, form->delimiter_len);
	if (is_too_long(form, end, len, FORM_FIELDS_LEN_MAX))
		return bad(form, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED, NULL);
	if (end == len)
		return FORM_MORE;
	enum form_progress progress = add_field(form, bytes_make(buf + form->at, end - form->at));
	go_on(form, FORM_BEHIND_DELIMITER, end + form->delimiter_len);
	return progress;
}

enum form_progress form_feed(struct form *form, uint8_t *buf, size_t len)
{
	enum form_step step;
	enum form_progress progress = FORM_MORE;

	assert(form->code == S3_OK && form->at <= len);
	do {
		step = form->step;
		switch (step) {
		case FORM_IN_PREAMBLE:
			progress = skip_preamble(form, buf, len);
			break;
		case FORM_BEHIND_DELIMITER:
			progress = pass_delimiter(form, buf, len);
			break;
		case FORM_IN_HEAD:
			progress = pass_head(form, buf, len);
			break;
		case FORM_IN_VALUE:
			progress = pass_value(form, buf, len);
			break;
		case FORM_IN_FILE:
			return FORM_FILE;
		case FORM_ENDED:
			return FORM_END;
		}
	} while (progress == FORM_MORE && form->step != step);
	if (progress == FORM_MORE && len > FORM_HEAD_LEN_MAX)
		return bad(form, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED, NULL);
	return progress;
}

/* --- behind the file -------------------------------------------------------------------------- */

bool form_find_delimiter(const struct form *form, struct bytes text, size_t *ret_at)
{
	const uint8_t *found = text.len > 0
		? memmem(text.data, text.len, form->delimiter, form->delimiter_len)
		: NULL;
	if (!found)
		return false;
	*ret_at = found - text.data;
	return true;
}

enum s3_code form_check_tail(const struct form *form, uint8_t *buf, size_t len)
{
	struct form tail = {.delimiter_len = form->delimiter_len};
	memcpy(tail.delimiter, form->delimiter, form->delimiter_len);
	assert(len >= form->delimiter_len);
	go_on(&tail, FORM_BEHIND_DELIMITER, form->delimiter_len);
	switch (form_feed(&tail, buf, len)) {
	case FORM_END:
		return S3_OK;
	case FORM_FILE:
		return S3_INCORRECT_NUMBER_OF_FILES;
	default:
		return S3_MALFORMED_POST_REQUEST;
	}
}
