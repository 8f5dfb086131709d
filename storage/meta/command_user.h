/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_USER_H
#define STORAGE_META_COMMAND_USER_H

#include "storage/meta/fields.h"
#include "storage/meta/rows.h"

/* Commands on users. */
enum command_user_set {
	USER_SET_ABOUT = 1 << 0, /* name, e-mail */
	USER_SET_STATE = 1 << 1,
	USER_SET_POLICY = 1 << 2,
	USER_SET_QUOTA = 1 << 3,
};

/* Makes a user of an owner, whose buckets and keys may be there already, or sets of one what is
 * named in set. EXISTS; NO_KEY; LIMIT: it has more than COMMAND_USER_KEYS_MAX keys, or their rows
 * come to more than COMMAND_USER_KEYS_LEN_MAX, since the command changes them all. */
#define COMMAND_USER_KEYS_MAX 512
#define COMMAND_USER_KEYS_LEN_MAX (1024 * 1024)
struct command_user_put {
	struct bytes id;
	bool must_be_new;
	uint32_t set;
	struct bytes name, email;
	uint8_t state;
	struct bytes policy; /* empty: removed */
	struct row_quota quota;
};

/* The user and all of its keys. NO_KEY; NOT_EMPTY: it owns buckets, result.count; LIMIT: as
 * above, but rows that go are short. */
struct command_user_delete {
	struct bytes id;
};

#endif
