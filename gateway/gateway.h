/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/digest/digest_lanes.h"
#include "gateway/exchange.h"
#include "gateway/sigv4.h"
#include "storage/object/store.h"

/* The S3 gateway: what one process shares, and what each loop has of its own. */
#define GATEWAY_DOMAINS_MAX 8

struct gateway_settings {
	struct bytes region;
	bool region_is_strict;
	struct bytes domains[GATEWAY_DOMAINS_MAX]; /* under which buckets are virtual hosts */
	size_t domain_count;
	unsigned requests_max; /* in progress on one loop; more get SlowDown */
	uint64_t object_len_max; /* of a single PUT or part */
};

/* How the gateway learns the secret of an access key: the row of the index has it sealed. */
struct secrets;
struct secrets_ops {
	/* Opens a sealed secret into buf (cap at least SIGV4_SECRET_LEN_MAX). Errors: ERR_CORRUPT,
	 * not sealed with our key. Any thread, does not block. */
	enum err (*open)(struct secrets *secrets, struct bytes sealed, uint8_t *buf, size_t cap,
		size_t *ret_len);
};
struct secrets {
	const struct secrets_ops *ops;
};

struct gateway {
	struct gateway_settings settings;
	struct store *store;
	struct secrets *secrets;
	struct worker *worker;
	struct clock *clock;
	struct trace *trace;
	bool is_time_set; /* false: the clock is before 2026, every request is refused with 503 */
};

/* Counters of one loop, added up when they are asked for. */
struct gateway_counters {
	uint64_t requests[64]; /* by route */
	uint64_t errors_4xx, errors_5xx;
	uint64_t bytes_in, bytes_out;
	uint64_t in_progress;
};

struct request;

/* One for each loop. */
struct gateway_loop {
	struct exchange_handler handler; /* of the S3 listener */
	struct gateway *gateway;
	struct loop *loop;
	struct store_loop *store;
	struct digest_lanes lanes;
	struct sigv4_keys *keys; /* derived signing keys of this loop */
	struct request *free_requests;
	unsigned request_count; /* made */
	struct gateway_counters counters;
};

/* Makes the gateway of one loop ready; borrows all. Errors: ERR_NO_MEMORY. */
MUST_USE enum err gateway_loop_init(struct gateway_loop *loop, struct gateway *gateway,
	struct loop *on, struct store_loop *store);

/* No request is in progress. */
void gateway_loop_fini(struct gateway_loop *loop);

#endif
