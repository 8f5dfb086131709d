/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_CONSENSUS_SINGLE_H
#define STORAGE_META_CONSENSUS_SINGLE_H

#include "storage/clock.h"
#include "storage/meta/consensus.h"
#include "storage/meta/log.h"

/* Consensus of one member: what is durable in its log is committed. */
struct consensus_single_setup {
	struct log_setup log; /* failed and arg are ours */
	struct clock *clock;
};

/* Opens the log that log_create() made. Blocks; before the loops run. Gives the consensus to the
 * caller: consensus_replay(), consensus_start(), consensus_stop(), consensus_close(). Errors: those
 * of log_open(). */
MUST_USE enum err consensus_single_open(
	const struct consensus_single_setup *setup, struct consensus **ret_consensus);

#endif
