/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_FORM_FILE_H
#define GATEWAY_FORM_FILE_H

#include "gateway/exchange.h"
#include "gateway/form.h"
#include "storage/object/store.h"

/* The file of a form, on its way from the wire; form_file.c says how its end is found.
 *
 *	form_file_init(&file, x, &form, staged, tail_buf);
 *	form_file_end()    until it is not ERR_BUSY, if not file.is_long
 *	form_file_read()   ... ERR_END
 *	form_file_end()    when a long one has given its sure_len bytes; then read on
 */
enum {
	FORM_TAIL_LEN_MAX = 16 << 10, /* what may follow a long file */
	FORM_SHORT_LEN_MAX = 20 << 10, /* file and tail; else it is a long one */
};

struct form_file {
	struct exchange *exchange; /* borrowed */
	const struct form *form; /* borrowed: its delimiter */
	struct bytes staged; /* bytes of it that came with the fields; borrowed */
	bool is_long;
	bool is_end_known;
	uint64_t sure_len; /* of a long one: bytes of it that are no tail in any case */
	uint64_t given_len;
	uint64_t len; /* when is_end_known */
	uint64_t len_min, len_max; /* what its policy lets it have */

	/* What comes behind the sure bytes. */
	uint8_t *tail; /* FORM_SHORT_LEN_MAX bytes; borrowed */
	size_t tail_len, tail_due;

	/* The last bytes given, in which a delimiter may have begun. */
	size_t carry_len;
	uint8_t carry[4 + FORM_BOUNDARY_LEN_MAX];
};

/* The body has Content-Length. staged are the bytes behind form->file_at that came already; both
 * they and tail are borrowed until the file was read. */
void form_file_init(struct form_file *file, struct exchange *x, const struct form *form,
	struct bytes staged, uint8_t tail[FORM_SHORT_LEN_MAX]);

/* Reads the tail, which says how long the file is. Of a long file after its sure bytes. Errors:
 * ERR_BUSY, more is to come; any other: *ret_code, with its detail. */
MUST_USE enum err form_file_end(
	struct form_file *file, struct s3_error_detail *detail, enum s3_code *ret_code);

/* Takes up to cap bytes of the file. ERR_OK; ERR_END; ERR_BUSY; any other: *ret_code. Not between
 * the sure bytes of a long file and its form_file_end(). */
MUST_USE enum err form_file_read(
	struct form_file *file, uint8_t *buf, size_t cap, size_t *ret_len, enum s3_code *ret_code);

#endif
