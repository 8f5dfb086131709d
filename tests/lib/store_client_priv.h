/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_CLIENT_PRIV_H
#define TESTS_LIB_STORE_CLIENT_PRIV_H

#include "tests/lib/store_client.h"

/* Shared by the files of store_client. */

uint64_t client_below(struct client *client, uint64_t n);
bool client_chance(struct client *client, unsigned percent);

/* The operation is over. */
void client_end(struct client *client, enum err err);

/* A failure that no client of a healthy node may see. */
void client_check_failure(struct client *client, const char *what, enum err err);

/* Proposes a command; answered() is called with what client_answer() then says. */
void client_propose(
	struct client *client, const struct command *command, void (*answered)(struct client *));

/* Of what came back: the error of the proposal, or of its result. */
MUST_USE enum err client_answer(const struct client *client);

/* The write of the client's key in the model; and what became of it. */
void client_begin_event(struct client *client, enum store_event_kind kind, uint32_t value);
void client_end_event(struct client *client, enum err err);

/* Looks up the source of a copy; false if there is none. */
bool client_find_source(struct client *client, struct object_info *info);

/* Puts client->content, len bytes of it: an object, or a part, which ends in client_part_ended() or
 * goes on in client_part_is_durable(). */
void client_start_body(struct client *client, uint64_t len);

/* After a proposal with the body: true if the index took it, or if that is not known; otherwise the
 * put is discarded, and ends with that error. */
bool client_keep_or_discard(struct client *client, enum err err);

/* Reads the object, or some of it, and ends the view it was found under. */
void client_read(struct client *client, const struct object_info *info);

/* store_client_version.c */
void client_choose_version(struct client *client);
void client_begin_old_get(struct client *client);
void client_begin_old_delete(struct client *client);

/* store_client_upload.c */
void client_begin_upload(struct client *client);
void client_part_ended(struct client *client, enum err err);
void client_part_is_durable(struct client *client);

#endif
