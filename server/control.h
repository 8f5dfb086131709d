/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_H
#define SERVER_CONTROL_H

#include <jansson.h>

#include "storage/err.h"

/* The control socket: how `rubus` on the same machine speaks to the node that runs there.
 *
 * A Unix socket in the state directory, 0600, so that the rights of files say who may. One request
 * per connection: a line {"call": NAME, ...arguments}, answered by a line {"result": ...} or
 * {"error": TEXT, "code": NAME of an enum err}. One thread answers them one by one. */
#define CONTROL_SOCKET "control.sock"
#define CONTROL_REQUEST_LEN_MAX (64u << 10)
#define CONTROL_ANSWER_LEN_MAX (64u << 20)
#define CONTROL_MESSAGE_LEN 512
#define CONTROL_REQUEST_TIMEOUT_S 3 /* a request is one small line; a stop waits for it */
#define CONTROL_ANSWER_TIMEOUT_S 60

struct control;
struct node;

/* Opens the socket and answers in a thread of its own. A socket that a dead process left is
 * replaced: the caller holds the lock of the state directory. */
MUST_USE enum err control_open(struct node *node, char *message, struct control **ret_control);

/* Has the thread look whether something else is to be done (cluster.gone_wanted). Any thread. NULL
 * is fine. */
void control_wake(struct control *control);

/* Answers what is being answered and ends. NULL is fine. Blocks. */
void control_close(struct control *control);

/* Answers one request: a reference is given with ret_result. In the control thread. */
MUST_USE enum err control_call(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

/* The other side: sends a request (borrowed) to the node of a state directory and gives its result.
 * Blocks. Errors: ERR_CLOSED, no node runs there; what the node answered; message says it. */
MUST_USE enum err control_ask(
	const char *state_dir, const json_t *request, json_t **ret_result, char *message);

#endif
