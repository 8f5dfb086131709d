/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_WEBHOOK_H
#define SERVER_WEBHOOK_H

#include "gateway/notifier.h"

/* A webhook: one HTTP service that is told what happens, by POST of a JSON document.
 *
 * (W1) Each has a thread of its own, which blocks: a service that does not answer holds up nobody
 *      else. A post ends within the timeouts of s3_wire.h, one after another, and its answer
 *      within S3_WIRE_HEAD_MS_MAX, however it drips.
 * (W2) A post was taken when it was answered with 2xx. The connection is kept for the next one;
 * when a kept one turns out to be closed the post is made once more on a new one, so that what the
 *      service has already seen may come again.
 * (W3) The token is read from its file for each connection and is not kept longer.
 */
#define WEBHOOK_HOST_LEN_MAX 253
#define WEBHOOK_PATH_LEN_MAX 1024
#define WEBHOOK_TOKEN_LEN_MAX 4096
#define WEBHOOK_HEAD_LEN_MAX 8192 /* of an answer */
#define WEBHOOK_ANSWER_LEN_MAX (1 << 20) /* that is read over; a longer one ends the connection */

struct webhook_url {
	bool is_tls;
	uint16_t port;
	char host[WEBHOOK_HOST_LEN_MAX + 1]; /* without brackets */
	char path[WEBHOOK_PATH_LEN_MAX + 1]; /* with its query */
};

/* "http://host[:port][/path]" or https. False: it is not. */
bool webhook_parse_url(const char *text, struct webhook_url *ret_url);

struct webhook;

struct webhook_setup {
	const char *name; /* borrowed, as all of these; empty or NULL: not set */
	const char *url; /* webhook_parse_url() takes it */
	const char *token_file; /* what Authorization says; one word is a bearer token */
	const char *certificate; /* the only one that is believed, PEM */
};

/* Starts the thread. Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err webhook_new(const struct webhook_setup *setup, struct webhook **ret_webhook);

/* Borrowed until webhook_free(). */
struct notifier_door *webhook_door(struct webhook *webhook);

/* What is being posted ends soon, as failed. Any thread. */
void webhook_stop(struct webhook *webhook);

/* No post is in flight. Joins the thread. NULL is fine. Blocks. */
void webhook_free(struct webhook *webhook);

#endif
