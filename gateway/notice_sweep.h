/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_NOTICE_SWEEP_H
#define GATEWAY_NOTICE_SWEEP_H

#include "storage/meta/index.h"
#include "storage/meta/notice.h"
#include "storage/object/store.h"

/* Gives up what waited for too long for a webhook that nobody tells of it, as it is in no node's
 * settings, or not in those of the node that works for all.
 *
 * It looks at each queue that the index has, one in a turn of the loop. That a webhook is not in
 * the settings says little: nodes are started with new ones one by one. So its notices have the
 * same time as others (NOTIFIER_KEEP_MS), and NOTICE_SWEEP_LATE_MS more, in which a notifier gives
 * up, and counts, what is its own. As with it, one node works for all; two do no harm. */
#define NOTICE_SWEEP_IDLE_MS 60000
#define NOTICE_SWEEP_RETRY_MS 5000
#define NOTICE_SWEEP_LATE_MS (UINT64_C(60) * 60 * 1000)

struct notice_sweep {
	struct store_loop *store;
	bool is_proposed, is_stopping;
	void (*stopped)(struct notice_sweep *sweep);
	struct timer timer;
	uint8_t from[NOTICE_TARGET_LEN_MAX + 1]; /* the first name that was not looked at */
	size_t from_len;
	struct index_proposal proposal;
	uint8_t command[COMMAND_HEADER_LEN + 256];
};

/* Begins, on the store's loop. */
void notice_sweep_start(struct notice_sweep *sweep, struct store_loop *store);

/* Ends when nothing is in flight; stopped() follows, never inside the call. */
void notice_sweep_stop(struct notice_sweep *sweep, void (*stopped)(struct notice_sweep *sweep));

#endif
