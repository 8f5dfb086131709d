/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ADMIN_H
#define SERVER_ADMIN_H

#include "gateway/exchange.h"

/* The handler of the admin port: /metrics, /health/live, /health/ready and /health/cluster, and for
 * everything else the handler it was given. Any number of loops may share one. */
struct admin;
struct metrics;

#define ADMIN_REASON_LEN 256

/* Asks whether the node is in that state; if not, reason has ADMIN_REASON_LEN bytes for one
 * sentence. On any loop; does not block. */
struct admin_check {
	bool (*is_ok)(void *arg, char *reason);
	void *arg;
};

struct admin_options {
	struct metrics *metrics; /* borrowed */
	struct admin_check ready; /* can this node serve clients? */
	struct admin_check cluster; /* can the cluster? */
	struct exchange_handler *next; /* the rest; borrowed; NULL answers 404 */
};

/* Errors: ERR_NO_MEMORY. */
enum err admin_new(const struct admin_options *options, struct admin **ret_admin) MUST_USE;
void admin_free(struct admin *admin);

/* The handler, for a listener. Borrowed. */
struct exchange_handler *admin_handler(struct admin *admin);

/* In front of the handler of the S3 port: GET and HEAD of /minio/health/{live,ready,cluster}, which
 * load balancers set up for MinIO ask for. Whatever has a signature or a query is a request to a
 * bucket of that name, and goes on to `next`. Both are borrowed for as long as this is used. */
struct admin_aliases {
	struct exchange_handler handler;
	struct admin *admin;
	struct exchange_handler *next;
};

void admin_aliases_init(
	struct admin_aliases *aliases, struct admin *admin, struct exchange_handler *next);

#endif
