/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/state_compare.h"

#include <assert.h>

#include "erasure/checksum.h"

void state_trail_init(struct state_trail *trail)
{
	pthread_mutex_init(&trail->lock, NULL);
}

void state_trail_fini(struct state_trail *trail)
{
	pthread_mutex_destroy(&trail->lock);
}

void state_trail_add(struct state_trail *trail, uint64_t log_index, const struct state_hash *hash)
{
	struct state_mark mark = {log_index, checksum(hash->tables, sizeof hash->tables, 0)};
	pthread_mutex_lock(&trail->lock);
	assert(log_index >= trail->last.log_index);
	trail->marks[log_index % STATE_TRAIL_LEN] = mark;
	trail->last = mark;
	pthread_mutex_unlock(&trail->lock);
}

struct state_mark state_trail_last(struct state_trail *trail)
{
	pthread_mutex_lock(&trail->lock);
	struct state_mark mark = trail->last;
	pthread_mutex_unlock(&trail->lock);
	return mark;
}

bool state_trail_find(struct state_trail *trail, uint64_t log_index, uint64_t *ret_digest)
{
	pthread_mutex_lock(&trail->lock);
	struct state_mark mark = trail->marks[log_index % STATE_TRAIL_LEN];
	pthread_mutex_unlock(&trail->lock);
	if (log_index == 0 || mark.log_index != log_index)
		return false;
	*ret_digest = mark.digest;
	return true;
}

void state_peer_tell(struct state_peer *peer, const struct state_mark *mark, unsigned agrees_with)
{
	peer->agrees_with = agrees_with;
	if (peer->told.log_index == 0 && mark->log_index > peer->compared)
		peer->told = *mark;
}

bool state_peer_compare(struct state_peer *peer, struct state_trail *trail)
{
	uint64_t log_index = peer->told.log_index, digest;
	bool did_differ = peer->differs;
	if (log_index == 0 || log_index > state_trail_last(trail).log_index)
		return false;
	if (state_trail_find(trail, log_index, &digest)) {
		peer->compared = log_index;
		peer->differs = digest != peer->told.digest;
	}
	peer->told = (struct state_mark){
		0}; /* where the trail has it no more, the next one counts */
	return peer->differs && !did_differ;
}

unsigned state_agrees_with(const struct state_peer *peers, size_t count)
{
	unsigned agrees = 1;
	for (size_t i = 0; i < count; i++)
		agrees += peers[i].compared > 0 && !peers[i].differs;
	return agrees;
}

bool state_must_stop(const struct state_peer *peers, size_t count, size_t members)
{
	if (state_agrees_with(peers, count) > members / 2)
		return false;
	for (size_t i = 0; i < count; i++)
		if (peers[i].differs && peers[i].agrees_with > members / 2)
			return true;
	return false;
}
