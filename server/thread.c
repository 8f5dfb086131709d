/* SPDX-License-Identifier: Apache-2.0 */
#include "server/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

enum err thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg)
{
	sigset_t blocked, before;
	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGFPE);
	sigdelset(&blocked, SIGILL);
	sigdelset(&blocked, SIGABRT);
	sigdelset(&blocked, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	pthread_t thread;
	int errno_value = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errno_value != 0)
		return errno_value == ENOMEM ? ERR_NO_MEMORY : ERR_LIMIT;
	*ret_thread = thread;
	return ERR_OK;
}

void thread_set_name(const char *name)
{
	char cut[16];
	snprintf(cut, sizeof cut, "%s", name);
	prctl(PR_SET_NAME, cut);
}
