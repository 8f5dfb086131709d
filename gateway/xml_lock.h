/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_LOCK_H
#define GATEWAY_XML_LOCK_H

#include "gateway/xml_in.h"
#include "storage/meta/rows.h"

/* The documents of object lock; used as those of xml_body.h. */

/* --- ObjectLockConfiguration ------------------------------------------------------------------ */

struct xml_lock_configuration {
	struct xml_in in;
	bool is_enabled; /* true in a good document */
	bool has_rule;
	struct row_bucket_lock rule; /* with has_rule: a mode, and days or years */

	bool is_in_rule, has_days, has_years;
};

/* Codes besides S3_MALFORMED_XML: S3_INVALID_RETENTION_PERIOD, days or years that are not from 1 to
 * what they may be. */
enum err xml_lock_configuration_init(struct xml_lock_configuration *body) MUST_USE;

/* --- Retention -------------------------------------------------------------------------------- */

struct xml_retention {
	struct xml_in in;
	uint8_t mode; /* RETENTION_NONE, with until_ms 0: the document is empty, and lifts it */
	uint64_t until_ms;
};

enum err xml_retention_init(struct xml_retention *body) MUST_USE;

/* --- LegalHold -------------------------------------------------------------------------------- */

struct xml_legal_hold {
	struct xml_in in;
	bool has_status, is_on;
};

enum err xml_legal_hold_init(struct xml_legal_hold *body) MUST_USE;

/* GOVERNANCE or COMPLIANCE, in capitals. False: neither. */
bool xml_lock_parse_mode(struct bytes text, uint8_t *ret_mode);

#endif
