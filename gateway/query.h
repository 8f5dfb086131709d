/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include "gateway/text_out.h"
#include "storage/err.h"

/* The query of a request: "name=value&name&..." in a bounded array.
 *
 * %XX is decoded once; a raw plus is a space, as signers that send one (Go, curl) sign it as %20.
 * A name without "=" has an empty value and is signed as "name=". Empty parameters ("&&") do not
 * count. Duplicates are kept: all are signed, and the first is the one that is meant. */
enum { QUERY_PARAMS_MAX = 64 };

struct query_param {
	struct bytes name; /* decoded */
	struct bytes value; /* decoded */
};

struct query {
	size_t param_count;
	struct query_param params[QUERY_PARAMS_MAX];
};

/* Parses the text after the question mark. The result borrows buf, which needs text.len bytes.
 * Errors: ERR_INVALID, a percent sign without two digits; ERR_LIMIT, too many parameters. */
enum err query_parse(struct bytes text, uint8_t *buf, size_t cap, struct query *ret_query) MUST_USE;

/* The value of the first parameter of that name (case matters). Says whether there is one;
 * ret_value may be NULL. */
bool query_find(const struct query *query, const char *name, struct bytes *ret_value);

static inline bool query_has(const struct query *query, const char *name)
{
	return query_find(query, name, NULL);
}

/* Writes the canonical query string: sorted by encoded name, then encoded value. The parameter
 * called `without` is left out (NULL: none). */
void query_put_canonical(struct text_out *out, const struct query *query, const char *without);

#endif
