/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_SHARD_SERVICE_PRIV_H
#define STORAGE_SHARD_SHARD_SERVICE_PRIV_H

#include "storage/shard/shard_service.h"

/* What the files of the service share: shard_service.c has the beginning, the end and the frees;
 * shard_service_write.c and shard_service_read.c what their names say. */

struct served_append {
	struct shard_append append;
	struct served_write *owner;
	struct peer_request *request; /* being answered; NULL: not in use */
};

enum served_state {
	SERVED_FREE, /* the entry is not in use */
	SERVED_OPENING,
	SERVED_OPEN,
	SERVED_SEALING,
	SERVED_DROPPING, /* sealed, and being freed since nobody wants it */
};

struct served_write {
	struct shard_service *service;
	enum served_state state;
	struct shard_key key;
	struct served_write *next; /* of its bucket, or of those not in use */
	struct id from;
	struct drive *drive;
	struct peer_request *request; /* OPEN or SEAL, to be answered */
	bool is_whole; /* by one call, which is answered when it is sealed */
	bool is_dropped; /* to be aborted, or freed, as soon as that can be */
	enum err err; /* what the first append that failed did so with */
	uint64_t received_len;
	uint64_t used_ms; /* when it was last heard of */
	struct shard_write write;
	struct served_append appends[SHARD_SERVICE_APPENDS];
	struct shard_free free;
};

struct served_read {
	struct shard_service *service;
	struct peer_request *request; /* NULL: not in use */
	struct shard_read read;
	struct shard_read_range range;
	uint8_t *buf;
	struct pool_wait wait;
	uint64_t sums[SHARD_SUMS_MAX];
	uint8_t head[SHARD_SUMS_LEN_MAX];
};

/* Requests for the same shard share one: who asks again has given up its earlier request. */
struct served_free {
	struct shard_service *service;
	struct shard_key key;
	struct served_line requests; /* of different nodes; empty: not in use */
	bool is_shared; /* a request came after the free had begun */
	struct shard_free free;
};

void served_line_append(struct served_line *line, struct peer_request *request);
struct peer_request *served_line_take(struct served_line *line); /* NULL: it is empty */

/* The drive of this node that a key names. Errors: ERR_FENCED. */
MUST_USE enum err served_drive(
	const struct shard_service *service, const struct shard_key *key, struct drive **ret_drive);

/* Handlers; the service is the argument. */
void served_open(void *arg, struct peer_request *request);
void served_append(void *arg, struct peer_request *request);
void served_seal(void *arg, struct peer_request *request);
void served_abort(void *arg, struct peer_request *request);
void served_read(void *arg, struct peer_request *request);

/* Ends the writes of a node; of all, if NULL. */
void served_writes_drop(struct shard_service *service, const struct id *from);

/* Ends those that nobody goes on with. */
void served_writes_expire(struct shard_service *service);

/* Ends the write of a shard that is to be freed, if there is one, or waits to be begun (V4). */
void served_write_drop(struct shard_service *service, const struct shard_key *key);

/* Answers those that wait for a place when the service stops. */
void served_line_refuse(struct served_line *line);

/* Something ended: goes on with the stop. */
void served_ended(struct shard_service *service);

#endif
