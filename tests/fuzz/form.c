/* SPDX-License-Identifier: Apache-2.0 */
/* "CONTENT-TYPE\nBODY": a form means the same however it is cut in pieces, and its parts lie in it.
 */
#include "gateway/form.h"

#include <stdlib.h>

#include "gateway/form_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MAX = FORM_HEAD_LEN_MAX };

static struct form whole, cut;
static uint8_t whole_buf[INPUT_MAX], cut_buf[INPUT_MAX];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_inside(struct bytes bytes, size_t len)
{
	check(bytes.len == 0 ||
		(bytes.data >= whole_buf && bytes.data + bytes.len <= whole_buf + len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = len > 0 ? memchr(data, '\n', len) : NULL;
	if (!end || len > INPUT_MAX || form_init(&whole, bytes_make(data, end - data)) != S3_OK)
		return 0;
	check(form_init(&cut, bytes_make(data, end - data)) == S3_OK);
	struct bytes body = bytes_from(bytes_make(data, len), end - data + 1);
	if (body.len > 0)
		memcpy(whole_buf, body.data, body.len);
	enum form_progress expected = form_feed(&whole, whole_buf, body.len);

	enum form_progress progress = FORM_MORE;
	size_t step = 1 + (body.len > 0 ? body.data[body.len / 2] % 31 : 0);
	for (size_t from = 0; from < body.len && progress == FORM_MORE; from += step) {
		size_t to = body.len - from < step ? body.len : from + step;
		memcpy(cut_buf + from, body.data + from, to - from);
		progress = form_feed(&cut, cut_buf, to);
	}
	check(progress == expected && cut.code == whole.code);
	check(cut.field_count == whole.field_count && cut.file_at == whole.file_at);
	for (size_t i = 0; i < whole.field_count; i++) {
		check(bytes_is_equal(cut.fields[i].name, whole.fields[i].name));
		check(bytes_is_equal(cut.fields[i].value, whole.fields[i].value));
		check_inside(whole.fields[i].name, body.len);
		check_inside(whole.fields[i].value, body.len);
	}
	if (expected != FORM_FILE)
		return 0;
	check_inside(whole.file_name, body.len);
	struct form_policy policy = {.form = &whole, .now_ms = 1};
	struct bytes json;
	if (form_find(&whole, "policy", &json) && form_policy_check(&policy, json) != S3_OK)
		check(policy.message_len > 0 && policy.message_len < sizeof policy.message);
	size_t at;
	struct bytes file = bytes_from(bytes_make(whole_buf, body.len), whole.file_at);
	if (form_find_delimiter(&whole, file, &at))
		(void)!form_check_tail(&whole, whole_buf + whole.file_at + at, file.len - at);
	return 0;
}
