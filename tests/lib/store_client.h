/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_CLIENT_H
#define TESTS_LIB_STORE_CLIENT_H

#include "storage/object/get.h"
#include "storage/object/put.h"
#include "tests/lib/sim_store.h"
#include "tests/lib/store_model.h"
#include "tests/lib/store_versions.h"

/* Clients of a simulated store: what a gateway does with it, one operation each, entered into a
 * model. Everything that a client chooses comes from its own stream of chance. */
enum client_kind {
	CLIENT_PUT,
	CLIENT_CREATE, /* a put that wants nothing to be there */
	CLIENT_GET,
	CLIENT_DELETE,
	CLIENT_COPY,
	CLIENT_UPLOAD, /* of parts, with copies among them; completed, or aborted */
	CLIENT_LIST,
	CLIENT_KINDS,
	/* Where the bucket has versions: */
	CLIENT_OLD_GET = CLIENT_KINDS, /* of some version, by its id */
	CLIENT_OLD_DELETE, /* of a version, or a delete marker, that is not the newest */
	CLIENT_KINDS_ALL,
};

struct client_stats {
	uint64_t ops[CLIENT_KINDS_ALL], done[CLIENT_KINDS_ALL];
	uint64_t refused, failed, unknown, canceled, slow, get_errors;
};

/* What the clients of one run share. */
struct client_world {
	struct sim_store *rig;
	struct store_model *model;
	struct store_versions *versions; /* NULL: the bucket has none, or nobody asks */
	uint64_t bucket;
	uint64_t random;
	uint64_t seed;
	const bool *may_reads_fail; /* more is broken than the code makes good */
	struct client_stats *stats;
};

#define CLIENT_PARTS_MAX 3

struct client {
	struct client_world *world;
	enum client_kind kind;
	unsigned loop;
	unsigned key, source; /* key numbers */
	uint64_t len; /* of what is put, or of each part */
	bool is_whole; /* a get: of everything, at full speed, and it must not fail */
	bool is_done;
	enum err err; /* what became of it: ERR_OK, or why not */

	/* Of the client. */
	struct store_loop *store;
	struct index_barrier barrier;
	uint64_t since; /* when it began, in the model's time */
	uint32_t content; /* being written or read */
	unsigned event;
	bool has_event;
	struct put put;
	struct get get;
	struct timer timer;
	bool is_slow, is_proposed, is_discarded, is_durable;
	uint64_t filled, cancel_at; /* bytes; the client goes away there */
	struct put_frame *frames[2 * CODE_DATA_MAX + 1]; /* being digested */
	unsigned frame_count;
	bool has_piece;
	uint64_t read_at, read_end;
	struct index_proposal proposal;
	uint8_t bytes[20 * 1024];
	struct command_result result;
	void (*answered)(struct client *client);
	struct store_version *version; /* by whose id it asks; NULL: there was none */
	bool was_gone; /* it, when the client began */
	/* Of an upload. */
	uint64_t upload, change_count;
	unsigned part, part_count;
	struct store_slice parts[CLIENT_PARTS_MAX];
	struct store_slice slice; /* being copied */
};

/* Makes a client, which begins on its loop. Not from a task. */
struct client *client_start(struct client_world *world, enum client_kind kind, unsigned key,
	uint64_t len, bool is_whole);

/* Frees a client that is done. */
void client_free(struct client *client);

/* The node was killed: enters what is not known into the model, and keeps the memory. */
void client_bury(struct client *client);

/* The key with that number. */
struct bytes client_key(unsigned key);

#endif
