/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/auth.h"
#include "gateway/bucket_rules.h"
#include "gateway/digest/digest_lanes.h"
#include "gateway/exchange.h"
#include "gateway/request_queue.h"
#include "gateway/secrets.h"
#include "storage/object/store.h"

/* The S3 gateway: what one process shares, and what each loop has of its own. */
#define GATEWAY_DOMAINS_MAX 8
#define GATEWAY_HOST_ID_LEN_MAX 64
#define GATEWAY_WEBHOOKS_MAX 16

struct gateway_settings {
	struct bytes region;
	bool region_is_strict; /* refuse signatures for other regions */
	enum sigv2_use v2; /* signatures of version 2 */
	bool sse_c_without_tls; /* take keys of customers over plain HTTP, from a proxy */
	uint8_t ownership; /* enum bucket_ownership of new buckets; 0: as if enforced */
	struct bytes domains[GATEWAY_DOMAINS_MAX]; /* under which buckets are virtual hosts */
	size_t domain_count;
	struct bytes website_domains[GATEWAY_DOMAINS_MAX]; /* and websites, under these */
	size_t website_domain_count;
	struct bytes webhooks[GATEWAY_WEBHOOKS_MAX]; /* names that buckets may tell */
	size_t webhook_count;
	struct bytes host_id; /* x-amz-id-2: names the node; at most GATEWAY_HOST_ID_LEN_MAX */
	unsigned requests_max; /* in progress on one loop; more wait, and get SlowDown at last */
	size_t text_len_max; /* bytes of text buffers lent at a time on one loop */
	uint64_t object_len_max; /* of a single PUT or part */
	unsigned buckets_max; /* of one owner; 0: any number */
	uint64_t lifecycle_day_ms; /* 0: LIFECYCLE_DAY_MS; else in tests */
};

struct gateway {
	struct gateway_settings settings;
	struct store *store;
	struct secrets *secrets;
	struct worker *worker;
	struct clock *clock;
	struct trace *trace;
	_Atomic uint64_t writes_closed_until_ns; /* of the monotonic clock; any thread sets it */
	struct digest_hall hall; /* the gateway's own: digest_hall_init() makes it */
};

#define GATEWAY_ROUTES_MAX 128

/* Counters of one loop, added up when they are asked for. */
struct gateway_counters {
	uint64_t requests[GATEWAY_ROUTES_MAX]; /* by route_index() */
	uint64_t unrouted; /* refused before a route was found */
	uint64_t errors_4xx, errors_5xx;
	uint64_t over_quota; /* of them, refused by a quota */
	uint64_t bytes_in, bytes_out; /* of bodies, as clients mean them */
	uint64_t in_progress;
};

struct request;

/* One for each loop; only its thread touches it. */
struct gateway_loop {
	struct exchange_handler handler; /* of the S3 listener */
	struct gateway *gateway;
	struct loop *loop;
	struct store_loop *store;
	struct digest_lanes lanes;
	struct auth_keys keys; /* what was learnt of access keys */
	struct bucket_rules_cache rules; /* and of buckets */
	struct pool text_pool; /* buffers of REQUEST_TEXT_LEN */
	struct request *free_requests; /* up to REQUESTS_KEPT_MAX of them, for the next ones */
	unsigned free_count;
	unsigned request_count; /* in memory; at most requests_max */
	unsigned stranger_count; /* of them, whose sender is not known: request_stranger.h */
	struct request_queue waiting; /* for one of them */
	struct task admit_task;
	bool is_admit_posted;
	struct gateway_counters counters;
};

/* Makes the gateway of one loop ready; borrows all until gateway_loop_fini(). Errors:
 * ERR_NO_MEMORY. */
MUST_USE enum err gateway_loop_init(struct gateway_loop *loop, struct gateway *gateway,
	struct loop *on, struct store_loop *store);

/* No request is in progress. */
void gateway_loop_fini(struct gateway_loop *loop);

#endif
