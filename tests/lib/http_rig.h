/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_HTTP_RIG_H
#define TESTS_LIB_HTTP_RIG_H

#include "server/http_hub.h"
#include "server/loop.h"

#define HTTP_RIG_EVENTS_LEN 2048

/* A server of one loop, whose handler does what the test says and writes down what it saw. */
struct http_rig {
	struct server_loop *loop;
	struct loop *base;
	struct http_hub *hub;
	struct exchange_handler handler;
	struct exchange *x; /* the running one */
	struct task task;
	struct timer timer, patience;
	unsigned step;
	unsigned exchange_count;
	bool in_call; /* an exchange's function runs: nothing may call back (X2) */
	bool is_stopped;
	void (*on_start)(struct http_rig *f);
	void (*on_readable)(struct http_rig *f);
	void (*on_sent)(struct http_rig *f, enum err err);
	void (*on_gone)(struct http_rig *f);
	void (*script)(struct http_rig *f); /* the client, a step each few milliseconds */
	int client;
	char events[HTTP_RIG_EVENTS_LEN];
	size_t events_len;
	uint8_t body[65536];
	size_t body_len;
	char answer[65536];
	size_t answer_len;
	bool answer_ended;
};

/* --- for the handler -------------------------------------------------------------------------- */

/* Writes an event down. */
void http_rig_note(struct http_rig *f, const char *event);

/* Reads into body what is there, at most cap bytes. */
MUST_USE enum err http_rig_read_some(struct http_rig *f, size_t cap);
void http_rig_respond(struct http_rig *f, unsigned status, bool has_len, uint64_t len);
void http_rig_send_text(struct http_rig *f, const char *text, bool is_last);
void http_rig_end(struct http_rig *f);
void http_rig_answer_empty(struct http_rig *f);
void http_rig_just_end(struct http_rig *f);
/* Reads to the end of the body, then answers; ends when the body fails. */
void http_rig_read_all(struct http_rig *f);

/* --- for the script of the client ------------------------------------------------------------- */

void http_rig_say(struct http_rig *f, const char *text);
/* Stops the server, and so run(). */
void http_rig_finish(struct http_rig *f);

/* Of http_hub_stop(): the end of run(). */
void http_rig_stopped(void *arg);

/* --- for the test ----------------------------------------------------------------------------- */

/* The one rig of the process, with nothing set. */
struct http_rig *http_rig_reset(void);
/* Runs the loop until the script has called finish(). */
void http_rig_run(struct http_rig *f, const struct http_settings *settings);
void http_rig_run_default(struct http_rig *f);

#endif
