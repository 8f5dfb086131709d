/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/duty.h"

enum err duty_look(struct store_loop *store, struct duty *ret_duty)
{
	struct peers *peers = store->peers;
	uint64_t session, from = 0;
	struct row_session row;
	enum err err = ERR_NOT_FOUND;
	*ret_duty = (struct duty){.is_mine = true};
	while (peers && (err = index_session_next(store->reader, from, &session, &row)) == ERR_OK) {
		struct peer_info info;
		from = session + 1;
		peer_info(peers, row.node, &info);
		ret_duty->sessions_sum += session;
		ret_duty->links_sum += info.is_linked ? 3 * session : session;
		if (memcmp(&row.node, &peers->self, sizeof row.node) < 0 && info.is_linked)
			ret_duty->is_mine = false;
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}
