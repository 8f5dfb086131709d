/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/reach.h"

#include "storage/bytes.h"
#include "storage/object/store.h"

/* The place of a drive of another node; whoever had it before is forgotten. */
static struct reach_drive *place_of(struct store_loop *loop, uint16_t number)
{
	struct reach_drive *drive = &loop->reach.drives[number % REACH_DRIVES_MAX];
	if (drive->number != number)
		*drive = (struct reach_drive){.number = number};
	return drive;
}

/* Asks the index which node has the drive. */
static void look_up(struct store_loop *loop, struct reach_drive *drive)
{
	bool has_view = index_view_has_begun(loop->reader);
	enum err err = has_view ? ERR_OK : index_view_begin(loop->reader);
	if (err)
		return; /* what was known before is as good */
	struct row_drive row;
	err = index_drive_get(loop->reader, drive->number, &row);
	drive->is_known = err == ERR_OK && row.state != DRIVE_ROW_GONE;
	if (drive->is_known)
		drive->node = row.node;
	drive->known_until_ms = loop_now_ms(loop->loop) + REACH_KNOWN_MS;
	if (!has_view)
		index_view_end(loop->reader);
}

void reach_find(struct store_loop *loop, uint16_t number, struct site *ret_site)
{
	*ret_site = (struct site){0};
	ret_site->drive = store_drive(loop->store, number);
	if (ret_site->drive) {
		ret_site->number = number;
		return;
	}
	if (!loop->peers || number == 0)
		return;
	struct reach_drive *drive = place_of(loop, number);
	if (!drive->is_known || loop_now_ms(loop->loop) >= drive->known_until_ms)
		look_up(loop, drive);
	if (!drive->is_known || id_is_equal(drive->node, loop->peers->self))
		return; /* nobody's, or of this node and out of service */
	struct peer_info info;
	peer_info(loop->peers, drive->node, &info);
	if (!info.is_linked)
		return;
	ret_site->number = number;
	ret_site->peers = loop->peers;
	ret_site->node = drive->node;
}

void reach_missed_node(struct store *store, struct id node)
{
	struct missed *missed = &store->missed;
	pthread_mutex_lock(&missed->lock);
	unsigned at = 0;
	while (at < missed->count && !id_is_equal(missed->nodes[at], node))
		at++;
	if (at == missed->count && at < MISSED_MAX)
		missed->nodes[missed->count++] = node;
	pthread_mutex_unlock(&missed->lock);
}

void reach_missed(struct store_loop *loop, uint16_t number)
{
	if (!loop->peers || number == 0)
		return;
	struct reach_drive *drive = place_of(loop, number);
	if (!drive->is_known)
		look_up(loop, drive);
	if (drive->is_known && !id_is_equal(drive->node, loop->peers->self))
		reach_missed_node(loop->store, drive->node);
}

bool reach_is_avoided(struct store_loop *loop, uint16_t number)
{
	if (!loop->peers || number == 0 || store_drive(loop->store, number))
		return false;
	return loop_now_ms(loop->loop) < place_of(loop, number)->avoid_until_ms;
}

uint64_t reach_resting_mark(struct id node)
{
	return get_le64(node.bytes) | 1; /* never 0 */
}

static bool is_resting(const struct store *store, struct id node)
{
	for (unsigned i = 0; i < STORE_RESTING_MAX; i++)
		if (atomic_load(&store->resting[i]) == reach_resting_mark(node))
			return true;
	return false;
}

uint32_t reach_distance(struct store_loop *loop, const struct site *site)
{
	if (!site_is_remote(site))
		return 0;
	if (is_resting(loop->store, site->node))
		return UINT32_MAX;
	struct peer_info info;
	peer_info(loop->peers, site->node, &info);
	return 1 + (info.rtt_us < UINT32_MAX ? info.rtt_us : UINT32_MAX - 1);
}

void reach_failed(struct store_loop *loop, uint16_t number)
{
	if (!loop->peers || number == 0 || store_drive(loop->store, number))
		return;
	place_of(loop, number)->avoid_until_ms = loop_now_ms(loop->loop) + REACH_AVOID_MS;
}

void reach_took(struct store_loop *loop, uint16_t number, uint64_t ms)
{
	struct reach_drive *drive = place_of(loop, number);
	uint32_t us = ms < REACH_HEDGE_MS_MAX ? ms * 1000 : REACH_HEDGE_MS_MAX * 1000;
	uint32_t old = drive->typical_us;
	drive->typical_us = old == 0 ? us : old - old / 8 + us / 8;
}

uint64_t reach_hedge_ms(struct store_loop *loop, uint16_t number)
{
	uint64_t ms = place_of(loop, number)->typical_us * (uint64_t)REACH_HEDGE_FACTOR / 1000;
	if (ms > REACH_HEDGE_MS_MAX)
		return REACH_HEDGE_MS_MAX;
	return ms > REACH_HEDGE_MS_MIN ? ms : REACH_HEDGE_MS_MIN;
}
