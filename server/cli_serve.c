/* SPDX-License-Identifier: Apache-2.0 */
/* `rubus serve`: runs a node in the foreground until a signal ends it. */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli_priv.h"
#include "server/node.h"
#include "storage/kv_lmdb.h"

#define FILES_BESIDE_CONNECTIONS 512 /* segments, maps, logs, epolls, io_urings */

/* --- the process ------------------------------------------------------------------------------ */

/* Before any thread starts: node_wait() takes these signals, and nobody else does. */
static void block_signals(sigset_t *ret_signals)
{
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGTERM);
	sigaddset(ret_signals, SIGHUP);
	sigset_t own;
	sigemptyset(&own);
	sigaddset(&own, NODE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
	pthread_sigmask(SIG_BLOCK, &own, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static struct sigaction earlier_segv, earlier_abort; /* of a sanitizer, or the default ones */

/* A page of a mapped file that cannot be read. Nothing is lost: the map is only written through its
 * file, and the log has what it lacks; the process ends before it acts on anything half-read. */
static void end_by_sigbus(int number)
{
	static const char line[] =
		"rubus: a page of the index or of a drive's table could not be read (SIGBUS): the "
		"drive failed, is full, or the file was cut off; see dmesg, then start again: the "
		"start checks the file and says what to do\n";
	(void)number;
	kv_lmdb_mark_all();
	if (write(STDERR_FILENO, line, sizeof line - 1) < 0)
		_exit(CLI_FAILED); /* nobody to tell */
	_exit(CLI_FAILED);
}

/* It may be our mistake or damage in a map: the next start reads all maps before it trusts them. */
static void mark_and_crash(int number)
{
	kv_lmdb_mark_all();
	sigaction(number, number == SIGSEGV ? &earlier_segv : &earlier_abort, NULL);
	if (number == SIGABRT)
		raise(number); /* a SIGSEGV comes again by itself */
}

static void catch_crashes(void)
{
	struct sigaction end = {.sa_handler = end_by_sigbus};
	struct sigaction mark = {.sa_handler = mark_and_crash};
	sigaction(SIGBUS, &end, NULL);
	sigaction(SIGSEGV, &mark, &earlier_segv);
	sigaction(SIGABRT, &mark, &earlier_abort);
}

/* Each connection is a file, and the usual bound of a shell is 1024. */
static void raise_file_limit(const struct config *config, struct trace *trace)
{
	struct rlimit limit;
	rlim_t wanted = config->max_connections + FILES_BESIDE_CONNECTIONS;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	bool is_enough = limit.rlim_max >= wanted;
	limit.rlim_cur = is_enough ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || !is_enough)
		trace_event(trace, TRACE_WARNING, 0,
			"only %llu files may be open, %llu are wanted; set LimitNOFILE or "
			"lower max_connections",
			(unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

/* Tells systemd how we are, when it asked to be told. */
static void notify(const char *state)
{
	if (!getenv("NOTIFY_SOCKET"))
		return;
	void *library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	int (*sd_notify)(int unset_environment, const char *text) = NULL;
	if (library)
		*(void **)&sd_notify = dlsym(library, "sd_notify");
	if (!sd_notify || sd_notify(0, state) < 0)
		fprintf(stderr, "rubus: systemd could not be told: %s\n", state);
	if (library)
		dlclose(library);
}

/* --- serving ---------------------------------------------------------------------------------- */

static enum err open_logger(const struct config *config, struct logger **ret_logger)
{
	static const enum trace_level levels[] = {[CONFIG_LOG_DEBUG] = TRACE_DEBUG,
		[CONFIG_LOG_INFO] = TRACE_INFO,
		[CONFIG_LOG_WARNING] = TRACE_WARNING,
		[CONFIG_LOG_ERROR] = TRACE_ERROR};
	struct logger_options options = {.fd = STDERR_FILENO,
		.is_json = config->log_format == CONFIG_LOG_JSON,
		.level = levels[config->log_level]};
	return logger_open(&options, ret_logger);
}

static enum cli_exit fail_start(
	struct cli *cli, const struct cli_service *service, enum err err, const char *message)
{
	enum cli_exit status = cli_exit_of(err);
	if (err == ERR_NOT_FOUND) /* no init was finished */
		status = CLI_BAD_CONFIG;
	return cli_fail(cli, status, "%s%s", message,
		err == ERR_EXISTS && service->port_hint ? service->port_hint : "");
}

/* Stops while a second Ctrl-C still ends the process at once; whatever is cut off then is what a
 * power cut may cut off. */
static void stop(struct node *node, const sigset_t *signals)
{
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	notify("STOPPING=1");
	node_stop(node);
}

/* A node that was removed has no part in anything any more: what it still proposes has no end, and
 * what is on its disks is nobody's. It ends as if it were killed. */
static _Noreturn void leave(struct cli *cli, const struct node *node)
{
	enum cli_exit status = cli_fail(cli, CLI_DENIED, "%s", node->failure_text);
	fflush(cli->out);
	fflush(cli->err);
	_exit(status);
}

/* Serves until a signal; each time the index is replaced, with a node made anew. */
static enum err run(struct cli *cli, const struct cli_service *service, struct logger *logger,
	const sigset_t *signals, char *message)
{
	bool is_announced = false;
	for (;;) {
		struct node *node;
		enum err err = node_start(service->config, logger, &node, message);
		if (err == ERR_END)
			continue;
		if (err)
			return err;
		message[0] = '\0';
		if (!is_announced) {
			node_print_limits(node);
			service->announce(cli, service, node);
			fflush(cli->out);
			notify("READY=1");
			is_announced = true;
		}
		err = node_wait(node);
		if (err == ERR_DENIED && identity_is_removed(service->config->state_dir))
			leave(cli, node);
		if (err != ERR_END) {
			stop(node, signals);
			return err;
		}
		node_stop(node);
	}
}

enum cli_exit cli_serve(struct cli *cli, const struct cli_service *service)
{
	sigset_t signals;
	struct logger *logger;
	char message[NODE_MESSAGE_LEN] = "";
	block_signals(&signals);
	catch_crashes();
	umask(0077);
	enum err err = open_logger(service->config, &logger);
	if (err)
		return cli_fail(cli, CLI_FAILED, "the log could not start: %s", err_text(err));
	raise_file_limit(service->config, logger_trace(logger));
	err = run(cli, service, logger, &signals, message);
	logger_close(logger);
	if (err == ERR_CANCELED) { /* it was ended while it waited, as it was told to */
		fprintf(cli->err, "rubus: %s\n", message);
		return CLI_OK;
	}
	if (err && message[0])
		return fail_start(cli, service, err, message);
	if (err)
		return cli_fail(cli, CLI_FAILED, "the node stopped by itself: %s; its log says why",
			err_text(err));
	return CLI_OK;
}

/* --- rubus serve ------------------------------------------------------------------------------ */

static const struct cli_column service_columns[] = {
	{"S3", "s3_address", CLI_KIND_TEXT},
	{"admin", "admin_address", CLI_KIND_TEXT},
	{"region", "region", CLI_KIND_TEXT},
	{"certificate", "tls_fingerprint", CLI_KIND_TEXT},
};

static void announce(struct cli *cli, const struct cli_service *service, struct node *node)
{
	char fingerprint[TLS_FINGERPRINT_LEN];
	tls_fingerprint(node->tls, fingerprint);
	cli_print_object(cli, service_columns, ARRAY_COUNT(service_columns),
		json_pack("{s:s, s:s, s:s, s:s}", "s3_address", service->config->s3_address,
			"admin_address", service->config->admin_address, "region",
			service->config->region, "tls_fingerprint", fingerprint));
	trace_event(node->trace, TRACE_INFO, 0, "ready");
}

enum cli_exit cli_run_serve(struct cli *cli)
{
	struct config *config;
	enum cli_exit status = cli_load_config(cli, &config);
	if (status)
		return status;
	struct cli_service service = {.config = config, .announce = announce};
	status = cli_serve(cli, &service);
	config_free(config);
	return status;
}
