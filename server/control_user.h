/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_USER_H
#define SERVER_CONTROL_USER_H

#include "server/control.h"
#include "server/node.h"

/* Requests of the control socket about users, access keys and buckets; as control_call(). */
#define CONTROL_USER_CALLS(X) \
	X(key_create) \
	X(key_list) \
	X(key_show) \
	X(key_rotate) \
	X(key_disable) \
	X(key_enable) \
	X(key_delete) \
	X(key_policy) \
	X(user_create) \
	X(user_list) \
	X(user_show) \
	X(user_set) \
	X(user_disable) \
	X(user_enable) \
	X(user_delete) \
	X(user_policy) \
	X(bucket_create) \
	X(bucket_list) \
	X(bucket_show) \
	X(bucket_delete) \
	X(bucket_set) \
	X(bucket_allow) \
	X(bucket_deny)

#define X(name) \
	MUST_USE enum err control_##name( \
		struct node *node, const json_t *request, json_t **ret_result, char *message);
CONTROL_USER_CALLS(X)
#undef X

/* --- what they share, control_answer.c -------------------------------------------------------- */

#define CONTROL_LIST_MAX 100000

/* An argument of a request, or NULL: it is not there, or empty. Borrowed. */
const char *control_argument(const json_t *request, const char *name);

/* A text of a row. */
json_t *control_text(struct bytes bytes);

/* Takes a list whose next row was not got: it is complete when there is none. */
MUST_USE enum err control_end_list(enum err err, json_t *list, json_t **ret_result);
MUST_USE enum err control_refuse_long_list(char *message);

/* --- values, control_value.c ------------------------------------------------------------------ */

/* Bytes, or so many K, M, G or T of 1024; "none" is 0. */
bool control_read_len(const char *text, uint64_t *ret_len);

/* "90d", "12h", "30m", a day or a moment as ISO 8601 has it, not past; "never" is 0. */
bool control_read_expiry(const char *text, uint64_t now_ms, uint64_t *ret_ms);

/* May a user be called so? NULL is no. */
bool control_is_user_id(const char *id);

/* The i-th of the settings NAME=VALUE of a request: its value, and its name; NULL behind the last.
 * Borrowed. */
const char *control_setting(const json_t *request, size_t i, char *name, size_t cap);

/* Sets a quota, if the setting is one. Errors: ERR_INVALID, with a message. */
MUST_USE enum err control_set_quota(struct row_quota *quota, const char *name, const char *value,
	bool *ret_is_quota, char *message);

/* Adds the quotas that there are. */
void control_add_quota(json_t *json, const struct row_quota *quota);

/* --- of one for another ----------------------------------------------------------------------- */

/* What a new key is to be. Texts are borrowed; without id or secret one is made. */
struct control_new_key {
	const char *id, *secret, *owner, *description;
	uint8_t role;
	uint64_t expires_ms;
};

/* Makes a key, and tells its secret this once: "access_key" and "secret_key". */
MUST_USE enum err control_key_make(struct node *node, const struct control_new_key *new_key,
	json_t **ret_result, char *message);

/* Calls `call` for each bucket, under a view. What it returns ends it. */
struct control_buckets {
	enum err (*call)(
		struct control_buckets *buckets, struct node *node, const struct row_bucket *row);
};
MUST_USE enum err control_each_bucket(struct node *node, struct control_buckets *buckets);

/* Is there such a user? Says so if not. Errors: ERR_NOT_FOUND. */
MUST_USE enum err control_find_user(struct node *node, const char *id, char *message);

/* A policy of a request, checked: to be set, or empty. Errors: ERR_INVALID, with a message. */
MUST_USE enum err control_read_policy(
	const json_t *request, struct bytes *ret_policy, char *message);

/* The grants of a key or a user: an array of buckets with rights. */
MUST_USE enum err control_grants_of(
	struct node *node, const char *key_id, const char *user, json_t **ret_list);

/* Takes away what a key or a user was granted, everywhere. */
MUST_USE enum err control_drop_grants(
	struct node *node, const char *key_id, const char *user, char *message);

/* The grants of a bucket: an array of keys and users with rights. Under a view. */
MUST_USE enum err control_grants_in(struct node *node, uint64_t bucket, json_t **ret_list);

#endif
