/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_THREAD_H
#define SERVER_THREAD_H

#include <pthread.h>

#include "storage/err.h"

/* Starts a thread that takes no signals but those that its own faults raise: the others are for the
 * main thread. The caller joins it. Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg);

/* Names the calling thread for the system's tools; what is beyond 15 bytes is cut off. */
void thread_set_name(const char *name);

#endif
