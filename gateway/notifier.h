/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_NOTIFIER_H
#define GATEWAY_NOTIFIER_H

#include "gateway/notice_json.h"
#include "gateway/notice_sweep.h"
#include "storage/meta/index.h"
#include "storage/meta/notice.h"
#include "storage/object/store.h"

/* The notifier: tells webhooks of their notices.
 *
 * One on each node, with the webhooks of its settings, if any; that of the node with the lowest id
 *of those which have a session and are linked works for all (storage/repair/duty.h), so all nodes
 *are to have the same ones.
 *
 *	LOOKING → POSTING → LOOKING ... → PROPOSING (what was told goes) → LOOKING
 *	            ↑____| after a while, when the webhook did not take it
 *
 * (N1) A notice is posted only after the one before it was taken, or was too old: a webhook sees
 *      the notices of a key in order.
 * (N2) At most NOTIFIER_BATCH notices are told before those that were told are removed, and after a
 *      command that failed nothing is told before another one did not: who has lost the cluster
 *      tells so many at most, and those are told again by the next.
 * (N3) What is older than NOTIFIER_KEEP_MS is given up: a webhook that refuses a notice for ever
 *      holds up those behind it for so long. notice_sweep.h does it for webhooks that are in no
 *      settings.
 */
#define NOTIFIER_IDLE_MS 250
#define NOTIFIER_RETRY_MS 1000
#define NOTIFIER_RETRY_MS_MAX 60000
#define NOTIFIER_BATCH 100
#define NOTIFIER_KEEP_MS (UINT64_C(7) * 24 * 60 * 60 * 1000)
#define NOTIFIER_WEBHOOKS_MAX 16

struct notifier;

/* How a webhook is told; the server's. */
struct notifier_post {
	struct bytes body; /* borrowed until done() */
	struct loop *loop; /* where done() runs */
	void (*done)(struct notifier_post *post);
	enum err err; /* ERR_OK: it was taken */
	struct task task; /* of the one who posts */
};

struct notifier_door {
	void (*post)(struct notifier_door *door, struct notifier_post *post);
};

struct notifier_counters {
	uint64_t told, failed, given_up;
	uint64_t waiting, dropped; /* as last seen in the index */
};

enum notifier_state { NOTIFIER_LOOKING, NOTIFIER_POSTING, NOTIFIER_PROPOSING };

struct notifier_webhook {
	struct notifier *notifier;
	struct bytes name; /* borrowed */
	struct notifier_door *door;
	enum notifier_state state;
	struct timer timer;
	uint64_t retry_ms;
	struct version_id place; /* told up to there */
	struct version_id posted; /* what is being told */
	unsigned told; /* since the last command */
	struct notifier_post post;
	struct index_proposal proposal;
	struct notifier_counters counters;
	uint8_t command[COMMAND_HEADER_LEN + 256];
	uint8_t body[NOTICE_JSON_LEN_MAX];
};

struct notifier {
	struct store_loop *store;
	struct bytes region;
	bool is_stopping;
	void (*stopped)(struct notifier *notifier);
	unsigned running; /* webhooks, and the sweep */
	struct notice_sweep sweep;
	unsigned webhook_count;
	struct notifier_webhook *webhooks; /* owned */
};

struct notifier_setup {
	struct store_loop *store;
	struct bytes region; /* borrowed, as all of these */
	unsigned webhook_count;
	const struct bytes *names;
	struct notifier_door *const *doors;
};

/* Begins, on the store's loop. Errors: ERR_NO_MEMORY. */
MUST_USE enum err notifier_start(struct notifier *notifier, const struct notifier_setup *setup);

/* Ends when nothing is in flight; stopped() follows, never inside the call. */
void notifier_stop(struct notifier *notifier, void (*stopped)(struct notifier *notifier));

#endif
