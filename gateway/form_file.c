/* SPDX-License-Identifier: Apache-2.0 */

/* How long a file is that is sent by a form nobody says; it ends where its delimiter begins. But
 * the whole body has a length, and what may follow the file has a bound: all but the last
 * FORM_TAIL_LEN_MAX bytes of a long body are the file's own. These are given out as they come, and
 * go to the drives; the rest is kept until the end, and says how long the file was.
 *
 * (L1) A delimiter does not pass: where one ends among the sure bytes, what follows the file is too
 *      long, and the request is refused.
 * (L2) The end of the file is known before it is told that all of it was read, and what follows it
 *      is well-formed; so a body that was cut makes no object.
 */
#include "gateway/form_file.h"

static_assert(FORM_SHORT_LEN_MAX - FORM_TAIL_LEN_MAX >= STORE_INLINE_LEN_MAX,
	"a long file is not kept in the index");

void form_file_init(struct form_file *file, struct exchange *x, const struct form *form,
	struct bytes staged, uint8_t tail[FORM_SHORT_LEN_MAX])
{
	assert(x->has_body_len && form->file_at + staged.len <= x->body_len);
	uint64_t left = x->body_len - form->file_at;
	file->exchange = x;
	file->form = form;
	file->staged = staged;
	file->is_long = left > FORM_SHORT_LEN_MAX;
	file->is_end_known = false;
	file->sure_len = file->is_long ? left - FORM_TAIL_LEN_MAX : 0;
	file->given_len = file->len = file->len_min = 0;
	file->len_max = UINT64_MAX;
	file->tail = tail;
	file->tail_len = 0;
	file->tail_due = left - file->sure_len;
	file->carry_len = 0;
}

/* Bytes of the wire, those first that came before. */
static enum err read_wire(
	struct form_file *file, uint8_t *buf, size_t cap, size_t *ret_len, enum s3_code *ret_code)
{
	if (file->staged.len > 0) {
		*ret_len = file->staged.len < cap ? file->staged.len : cap;
		memcpy(buf, file->staged.data, *ret_len);
		file->staged = bytes_from(file->staged, *ret_len);
		return ERR_OK;
	}
	enum err err = exchange_read(file->exchange, buf, cap, ret_len);
	if (err == ERR_OK || err == ERR_BUSY)
		return err;
	*ret_code = err == ERR_TIMEOUT ? S3_REQUEST_TIMEOUT : S3_INCOMPLETE_BODY;
	return err == ERR_END ? ERR_INVALID : err;
}

/* (L1) Has a delimiter ended in these bytes, or may one have begun? */
static bool has_delimiter(struct form_file *file, const uint8_t *data, size_t len)
{
	uint8_t seam[2 * sizeof file->carry];
	size_t at, keep = file->form->delimiter_len - 1;
	size_t more = len < keep ? len : keep;
	memcpy(seam, file->carry, file->carry_len);
	memcpy(seam + file->carry_len, data, more);
	size_t seam_len = file->carry_len + more;
	if (form_find_delimiter(file->form, bytes_make(seam, seam_len), &at) ||
		form_find_delimiter(file->form, bytes_make(data, len), &at))
		return true;
	if (len >= keep) {
		memcpy(file->carry, data + len - keep, keep);
		file->carry_len = keep;
	} else {
		size_t drop = seam_len > keep ? seam_len - keep : 0;
		memcpy(file->carry, seam + drop, seam_len - drop);
		file->carry_len = seam_len - drop;
	}
	return false;
}

static enum s3_code check_len(const struct form_file *file, struct s3_error_detail *detail)
{
	if (file->len > file->len_max) {
		s3_error_add_uint(detail, "ProposedSize", file->len);
		s3_error_add_uint(detail, "MaxSizeAllowed", file->len_max);
		return S3_ENTITY_TOO_LARGE;
	}
	if (file->len < file->len_min) {
		s3_error_add_uint(detail, "ProposedSize", file->len);
		s3_error_add_uint(detail, "MinSizeAllowed", file->len_min);
		return S3_ENTITY_TOO_SMALL;
	}
	return S3_OK;
}

enum err form_file_end(
	struct form_file *file, struct s3_error_detail *detail, enum s3_code *ret_code)
{
	size_t len, at;
	assert(!file->is_end_known && file->given_len == file->sure_len);
	while (file->tail_len < file->tail_due) {
		enum err err = read_wire(file, file->tail + file->tail_len,
			file->tail_due - file->tail_len, &len, ret_code);
		if (err != ERR_OK)
			return err;
		file->tail_len += len;
	}
	struct bytes tail = bytes_make(file->tail, file->tail_len);
	size_t look = tail.len < file->form->delimiter_len - 1 ? tail.len
							       : file->form->delimiter_len - 1;
	if (has_delimiter(file, tail.data, look)) { /* it began before the tail */
		*ret_code = S3_INCORRECT_NUMBER_OF_FILES;
		return ERR_INVALID;
	}
	if (!form_find_delimiter(file->form, tail, &at)) {
		*ret_code = S3_MALFORMED_POST_REQUEST;
		return ERR_INVALID;
	}
	*ret_code = form_check_tail(file->form, file->tail + at, file->tail_len - at);
	file->len = file->sure_len + at;
	if (*ret_code == S3_OK)
		*ret_code = check_len(file, detail);
	file->is_end_known = *ret_code == S3_OK; /* (L2) */
	return *ret_code == S3_OK ? ERR_OK : ERR_INVALID;
}

static enum err read_sure(
	struct form_file *file, uint8_t *buf, size_t cap, size_t *ret_len, enum s3_code *ret_code)
{
	uint64_t left = file->sure_len - file->given_len;
	enum err err = read_wire(file, buf, left < cap ? left : cap, ret_len, ret_code);
	if (err != ERR_OK)
		return err;
	if (has_delimiter(file, buf, *ret_len)) {
		*ret_code = S3_INCORRECT_NUMBER_OF_FILES;
		return ERR_INVALID;
	}
	file->given_len += *ret_len;
	return ERR_OK;
}

enum err form_file_read(
	struct form_file *file, uint8_t *buf, size_t cap, size_t *ret_len, enum s3_code *ret_code)
{
	assert(cap > 0);
	if (file->given_len < file->sure_len)
		return read_sure(file, buf, cap, ret_len, ret_code);
	assert(file->is_end_known);
	uint64_t left = file->len - file->given_len;
	if (left == 0)
		return ERR_END;
	*ret_len = left < cap ? left : cap;
	memcpy(buf, file->tail + (file->given_len - file->sure_len), *ret_len);
	file->given_len += *ret_len;
	return ERR_OK;
}
