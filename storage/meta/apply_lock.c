/* SPDX-License-Identifier: Apache-2.0 */
/* Object lock: versions that are kept, whoever asks for them to go. Gateways refuse earlier and say
 * it better; what counts is decided here, alike on every member.
 *
 * (K1) A version with a legal hold, or with a retention that has not ended, is removed by no
 *      command. A retention in GOVERNANCE mode gives way to a command that says bypass_governance;
 *      whoever proposes it has seen that the client may.
 * (K2) Only buckets with lock have such versions, and lock and versioning of these are never taken
 *      away: a new version replaces none.
 * (K3) A retention is made longer by anybody; shorter, or of another mode, only in GOVERNANCE mode
 *      with bypass_governance. One that has ended is none.
 * (K4) When a retention ends is judged by the cluster's time, which does not go back. The retention
 *      that a bucket has for versions without one of their own begins when the version is made.
 */
#include "storage/meta/apply_priv.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

bool apply_version_is_locked(
	const struct apply *apply, const struct row_version *row, bool bypass_governance)
{
	if (row->has_legal_hold)
		return true;
	if (row->retention == RETENTION_NONE || row->retain_until_ms <= apply->time_ms)
		return false;
	return row->retention == RETENTION_COMPLIANCE || !bypass_governance;
}

bool apply_lock_may_have(
	const struct row_bucket *bucket, const struct command_attributes *attributes)
{
	return bucket->has_lock || /* (K2) */
		(attributes->retention == RETENTION_NONE && !attributes->has_legal_hold);
}

bool apply_lock_is_in_the_way(struct apply *apply, const struct apply_object *object)
{
	struct version_id version;
	struct row_version row;
	return object->bucket.versioning != BUCKET_ENABLED &&
		apply_version_null(apply, object, &version, &row) &&
		apply_version_is_locked(apply, &row, false);
}

enum command_code apply_lock_check_insert(struct apply *apply, const struct apply_object *object,
	const struct command_attributes *attributes)
{
	if (!apply_lock_may_have(&object->bucket, attributes))
		return COMMAND_REFUSED;
	return apply_lock_is_in_the_way(apply, object) ? COMMAND_LOCKED : COMMAND_OK;
}

void apply_lock_set(struct apply *apply, const struct row_bucket *bucket,
	const struct command_attributes *attributes, struct row_version *row)
{
	struct row_key key;
	struct row_bucket_lock lock;
	row->retention = attributes->retention;
	row->retain_until_ms = attributes->retain_until_ms;
	row->has_legal_hold = row->had_legal_hold = attributes->has_legal_hold;
	if (!bucket->has_lock || row->retention != RETENTION_NONE)
		return;
	row_key_bucket_config(&key, bucket->id, BUCKET_CONFIG_LOCK);
	if (!apply_get_bucket_lock(apply, &key, &lock))
		return;
	row->retention = lock.mode;
	row->retain_until_ms = apply->time_ms +
		(lock.days + UINT64_C(365) * lock.years) * DAY_MS; /* (K4) */
}

/* (K3) */
static bool may_set_retention(const struct apply *apply, const struct row_version *row,
	const struct command_object_update *update)
{
	if (row->retention == RETENTION_NONE || row->retain_until_ms <= apply->time_ms)
		return true;
	if (update->retention == row->retention && update->retain_until_ms >= row->retain_until_ms)
		return true;
	return row->retention == RETENTION_GOVERNANCE && update->bypass_governance;
}

enum command_code apply_lock_update(
	struct apply *apply, const struct command_object_update *update, struct row_version *row)
{
	struct row_key key;
	struct row_bucket bucket;
	if (!(update->set & (OBJECT_SET_RETENTION | OBJECT_SET_LEGAL_HOLD)))
		return COMMAND_OK;
	row_key_id(&key, TABLE_BUCKET, update->bucket);
	if (!apply_get_bucket(apply, &key, &bucket) || !bucket.has_lock)
		return COMMAND_REFUSED; /* (K2) */
	if (update->set & OBJECT_SET_RETENTION) {
		if (!may_set_retention(apply, row, update))
			return COMMAND_LOCKED;
		row->retention = update->retention;
		row->retain_until_ms = update->retain_until_ms;
	}
	if (update->set & OBJECT_SET_LEGAL_HOLD) {
		row->has_legal_hold = update->has_legal_hold;
		row->had_legal_hold = true;
	}
	return COMMAND_OK;
}
