/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_MENDER_PRIV_H
#define STORAGE_REPAIR_MENDER_PRIV_H

#include "storage/repair/mender.h"

/* What the files of the mender share: mender.c looks and decides, mender_tell.c says how far it is.
 */

static inline uint64_t mender_now_ms(const struct mender *mender)
{
	return loop_now_ms(mender->setup.store->loop);
}

static inline uint64_t mender_done_count(const struct mender *mender)
{
	const struct crew_counters *counters = &mender->crew.counters;
	return counters->rebuilt + counters->copied + counters->there;
}

static inline uint64_t mender_written_len(const struct mender *mender)
{
	return mender->crew.counters.written_len + mender->crew.works[CREW_RECODE].bytes;
}

static inline bool mender_has_work(const struct mender *mender)
{
	return mender->has_exceptions || mender->has_moves || mender->has_others;
}

/* Takes over what people want of it, and tells who asks how far it is. */
void mender_tell(struct mender *mender);

#endif
