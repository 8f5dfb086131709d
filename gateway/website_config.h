/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_WEBSITE_CONFIG_H
#define GATEWAY_WEBSITE_CONFIG_H

#include "storage/meta/fields.h"

/* What a bucket's configuration says of it as a website (BUCKET_CONFIG_WEBSITE): one byte, the
 * version of the format, and fields. website.h is what is done with it. */
#define WEBSITE_FORMAT 1
#define WEBSITE_RULES_MAX 50
#define WEBSITE_HOST_LEN_MAX 255
#define WEBSITE_KEY_LEN_MAX 1024
#define WEBSITE_RULES_LEN_MAX (24 * 1024)

enum website_protocol { /* kept on disk */
	WEBSITE_SAME = 0, /* as the request came */
	WEBSITE_HTTP = 1,
	WEBSITE_HTTPS = 2,
};

struct website_rule {
	/* The condition. */
	bool has_prefix;
	struct bytes prefix;
	uint16_t error; /* HTTP status; 0: any time, before the object is looked for */
	/* The redirect. */
	uint8_t protocol; /* enum website_protocol */
	struct bytes host; /* empty: that of the request */
	bool replaces_prefix, replaces_key; /* one of them at most */
	struct bytes replacement;
	uint16_t code; /* of the answer; 0: 301 */
};

struct website {
	struct bytes index, error; /* keys; empty: none */
	struct bytes host; /* where everything is redirected to; empty: nowhere */
	uint8_t protocol; /* the same */
	struct bytes rules; /* website_rule_next() */
};

/* Writes a configuration; out->is_full is set when there is no room. */
void website_encode(struct fields_out *out, const struct website *website);
void website_rule_append(struct fields_out *out, const struct website_rule *rule);

/* Errors: ERR_CORRUPT, ERR_VERSION; of the second ERR_END, ERR_CORRUPT. */
MUST_USE enum err website_decode(struct bytes config, struct website *ret_website);
MUST_USE enum err website_rule_next(struct bytes *list, struct website_rule *ret_rule);

#endif
