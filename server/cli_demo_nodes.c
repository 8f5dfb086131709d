/* SPDX-License-Identifier: Apache-2.0 */
/* `rubus demo --nodes N`: a cluster on one machine, each node a process of its own.
 *
 *	DIR/node1 …		one node each:
 *	  rubus.yaml		its configuration
 *	  node, drive1 …	its state and its drives
 *	  rubus.log		what it has to say
 *
 * The first run makes node 1 and has the others join it, by the commands that a user would type;
 * each later run serves them all again. A node that was killed is started again by its own
 * command: rubus serve --config DIR/node2/rubus.yaml. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/cli_demo.h"
#include "server/control.h"
#include "server/identity.h"
#include "server/version.h"
#include "storage/bytes.h"

#define NODES_MAX 9
#define PORT_STEP 10
#define S3_PORT_DEFAULT 9000
#define DRIVES_PER_NODE_MAX 16
#define RESERVE_MIB 16 /* of each drive: all share one file system */
#define READY_SECONDS 60
#define STOP_SECONDS 20
#define OUTPUT_LEN_MAX (64u << 10)
#define POLL_MS 50

extern char **environ;

struct demo_nodes {
	char dir[PATH_MAX]; /* absolute */
	unsigned count, drives;
	char host[64];
	unsigned s3_port, admin_port; /* of node 1 */
	pid_t pids[NODES_MAX]; /* 0: not running */
};

/* A path of a node; static storage of its own for each call site is not needed: it is copied. */
struct demo_path {
	char text[PATH_MAX + 64];
};

static struct demo_path path_of(const struct demo_nodes *demo, unsigned node, const char *name)
{
	struct demo_path path;
	snprintf(path.text, sizeof path.text, "%s/node%u/%s", demo->dir, node + 1, name);
	return path;
}

/* --- options ---------------------------------------------------------------------------------- */

static bool read_count(const char *text, unsigned max, unsigned *count)
{
	char *end;
	long number = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || number < 1 || number > (long)max)
		return false;
	*count = number;
	return true;
}

static enum cli_exit take_address(
	struct cli *cli, const char *option, char *host, unsigned *port, unsigned behind)
{
	uint16_t number;
	const char *value = cli_value(cli, option);
	if (!value) {
		*port = behind;
		return CLI_OK;
	}
	if (config_parse_address(value, host, &number) || !host[0] ||
		number + PORT_STEP * NODES_MAX > UINT16_MAX)
		return cli_fail(cli, CLI_USAGE, "--%s is '%s'; write ADDRESS:PORT, for example %s",
			option, value, "127.0.0.1:9000");
	*port = number;
	return CLI_OK;
}

static enum cli_exit take_options(struct cli *cli, struct demo_nodes *demo)
{
	const char *drives = cli_value(cli, "drives"), *dir = cli_value(cli, "dir");
	char admin_host[64];
	demo->drives = 1;
	snprintf(demo->host, sizeof demo->host, "127.0.0.1");
	if (!read_count(cli_value(cli, "nodes"), NODES_MAX, &demo->count))
		return cli_fail(cli, CLI_USAGE, "--nodes is '%s'; it must be 1 to %d",
			cli_value(cli, "nodes"), NODES_MAX);
	if (drives && !read_count(drives, DRIVES_PER_NODE_MAX, &demo->drives))
		return cli_fail(cli, CLI_USAGE, "--drives is '%s'; it must be 1 to %d", drives,
			DRIVES_PER_NODE_MAX);
	if (!dir)
		return cli_fail(cli, CLI_USAGE,
			"--dir is not named; write: rubus demo --nodes 3 --dir demo-cluster");
	enum cli_exit status = take_address(cli, "s3", demo->host, &demo->s3_port, S3_PORT_DEFAULT);
	if (!status)
		status = take_address(
			cli, "admin", admin_host, &demo->admin_port, demo->s3_port + 1);
	if (status)
		return status;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return cli_fail(cli, cli_exit_of(err_from_errno(errno)),
			"%s: %s; name another directory with --dir", dir, strerror(errno));
	if (!realpath(dir, demo->dir) || strpbrk(demo->dir, "'\n\r\t"))
		return cli_fail(cli, CLI_USAGE,
			"%s: a demo's path has no quotes and no lines; name another with --dir",
			dir);
	return CLI_OK;
}

/* --- files ------------------------------------------------------------------------------------ */

static bool write_config(const struct demo_nodes *demo, unsigned node, FILE *file)
{
	bool is_v6 = strchr(demo->host, ':') != NULL;
	const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "";
	unsigned step = PORT_STEP * node;
	fprintf(file, "# Made by rubus demo.\nstate_dir: '%s'\nnode_name: node%u\n",
		path_of(demo, node, "node").text, node + 1);
	fprintf(file, "s3_address: '%s%s%s:%u'\n", open, demo->host, close, demo->s3_port + step);
	fprintf(file, "admin_address: '%s%s%s:%u'\n", open, demo->host, close,
		demo->admin_port + step);
	fprintf(file, "cluster_address: '%s%s%s:%u'\n", open, demo->host, close,
		demo->admin_port + 1 + step);
	fprintf(file, "reserve_mib: %d\ndrives:\n", RESERVE_MIB);
	for (unsigned i = 1; i <= demo->drives; i++)
		fprintf(file, "  - path: '%s%u'\n", path_of(demo, node, "drive").text, i);
	return fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
}

static enum cli_exit make_config(struct cli *cli, const struct demo_nodes *demo, unsigned node)
{
	struct demo_path config = path_of(demo, node, "rubus.yaml");
	struct demo_path part = path_of(demo, node, "rubus.yaml.part");
	struct demo_path dir = path_of(demo, node, "");
	if (access(config.text, F_OK) == 0)
		return CLI_OK;
	FILE *file = NULL;
	if (mkdir(dir.text, 0700) == 0 || errno == EEXIST)
		file = fopen(part.text, "we");
	bool is_written = file && write_config(demo, node, file);
	if (file && fclose(file) != 0)
		is_written = false;
	if (is_written && rename(part.text, config.text) == 0)
		return CLI_OK;
	return cli_fail(cli, cli_exit_of(err_from_errno(errno)),
		"%s: %s; name another directory with --dir", config.text, strerror(errno));
}

/* --- processes -------------------------------------------------------------------------------- */

/* Starts this program with other arguments. Its stdout goes to out, its stderr to log, where these
 * are not negative. Returns 0 when it cannot. */
static pid_t spawn(const char *const *arguments, int out, int log)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid = 0;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	/* In a group of its own: Ctrl-C goes to us, and we end them in order. */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (log >= 0)
		posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO);
	char program[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
	program[len > 0 ? len : 0] = '\0';
	if (posix_spawn(&pid, program, &actions, &attributes, (char *const *)arguments, environ))
		pid = 0;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
}

/* Did a signal come to end all? They are blocked, and wait to be taken. */
static bool is_interrupted(void)
{
	sigset_t waiting;
	return sigpending(&waiting) == 0 &&
		(sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM));
}

/* Waits for a child, which is ended when a signal comes. */
static int wait_child(pid_t pid)
{
	int status = -1;
	bool is_told = false;
	pid_t ended;
	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
		if (is_interrupted() && !is_told)
			is_told = kill(pid, SIGTERM) == 0;
		nap();
	}
	return status;
}

/* Runs a command to its end. What it prints on stdout goes to output (NULL: nowhere). */
static enum cli_exit run_command(
	struct cli *cli, const char *const *arguments, char *output, size_t cap)
{
	int ends[2], status = -1;
	size_t len = 0;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return cli_fail(cli, CLI_FAILED, "no pipe could be made: %s", strerror(errno));
	pid_t pid = spawn(arguments, ends[1], -1);
	close(ends[1]);
	char rest[4096];
	for (ssize_t got = 1; pid && got > 0;) {
		struct pollfd readable = {.fd = ends[0], .events = POLLIN};
		if (poll(&readable, 1, POLL_MS) <= 0) {
			if (is_interrupted())
				break;
			continue;
		}
		bool is_kept = output && len + 1 < cap;
		got = is_kept ? read(ends[0], output + len, cap - 1 - len)
			      : read(ends[0], rest, sizeof rest);
		if (got > 0 && is_kept)
			len += got;
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	close(ends[0]);
	if (output)
		output[len] = '\0';
	if (pid)
		status = wait_child(pid);
	if (pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return CLI_OK;
	if (is_interrupted())
		return cli_fail(cli, CLI_INTERRUPTED, "interrupted; run it again to go on");
	return cli_fail(cli, CLI_FAILED, "rubus %s %s did not succeed; what it said is above",
		arguments[1], arguments[2]);
}

static enum cli_exit serve_node(struct cli *cli, struct demo_nodes *demo, unsigned node)
{
	struct demo_path config = path_of(demo, node, "rubus.yaml");
	struct demo_path log_path = path_of(demo, node, "rubus.log");
	const char *arguments[] = {"rubus", "serve", "--config", config.text, NULL};
	int log = open(log_path.text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return cli_fail(cli, CLI_FAILED, "%s: %s", log_path.text, strerror(errno));
	demo->pids[node] = spawn(arguments, log, log);
	close(log);
	if (!demo->pids[node])
		return cli_fail(cli, CLI_FAILED, "node %u could not be started", node + 1);
	return CLI_OK;
}

/* Has a node ended? Then it is not running any more. */
static bool has_ended(struct demo_nodes *demo, unsigned node)
{
	int status;
	if (!demo->pids[node])
		return true;
	if (waitpid(demo->pids[node], &status, WNOHANG) != demo->pids[node])
		return false;
	demo->pids[node] = 0;
	return true;
}

static enum cli_exit wait_ready(struct cli *cli, struct demo_nodes *demo, unsigned node)
{
	char message[CONTROL_MESSAGE_LEN];
	struct demo_path state = path_of(demo, node, "node");
	json_t *request = json_pack("{s:s}", "call", "status");
	enum err err = ERR_TIMEOUT;
	for (unsigned i = 0;
		err && i < READY_SECONDS * 20 && !has_ended(demo, node) && !is_interrupted(); i++) {
		json_t *result = NULL;
		err = control_ask(state.text, request, &result, message);
		if (!err && json_is_false(json_object_get(result, "ready")))
			err = ERR_TIMEOUT;
		json_decref(result);
		if (err)
			nap();
	}
	json_decref(request);
	if (!err)
		return CLI_OK;
	if (is_interrupted())
		return cli_fail(cli, CLI_INTERRUPTED, "interrupted; run it again to go on");
	return cli_fail(cli, CLI_FAILED, "node %u does not serve; %s says why", node + 1,
		path_of(demo, node, "rubus.log").text);
}

/* --- the cluster ------------------------------------------------------------------------------ */

static enum cli_exit init_first(struct cli *cli, const struct demo_nodes *demo)
{
	struct demo_path config = path_of(demo, 0, "rubus.yaml");
	const char *arguments[] = {"rubus", "init", "--config", config.text, "--json", NULL};
	return run_command(cli, arguments, NULL, 0);
}

static enum cli_exit join(struct cli *cli, const struct demo_nodes *demo, unsigned node)
{
	struct demo_path first = path_of(demo, 0, "rubus.yaml");
	struct demo_path config = path_of(demo, node, "rubus.yaml");
	char output[OUTPUT_LEN_MAX];
	const char *create[] = {"rubus", "token", "create", "--config", first.text, "--json", NULL};
	enum cli_exit status = run_command(cli, create, output, sizeof output);
	if (status)
		return status;
	json_t *answer = json_loads(output, 0, NULL);
	const char *token = json_string_value(json_object_get(answer, "token"));
	const char *arguments[] = {"rubus", "join", token, "--config", config.text, "--json", NULL};
	status = token ? run_command(cli, arguments, NULL, 0)
		       : cli_fail(cli, CLI_FAILED, "node 1 gave no token");
	json_decref(answer);
	return status;
}

/* Spreads the ring over all nodes. */
static enum cli_exit spread(struct cli *cli, const struct demo_nodes *demo)
{
	struct demo_path config = path_of(demo, 0, "rubus.yaml");
	const char *arguments[] = {
		"rubus", "layout", "apply", "--config", config.text, "--json", NULL};
	return run_command(cli, arguments, NULL, 0);
}

static enum cli_exit start(struct cli *cli, struct demo_nodes *demo, bool *ret_is_new)
{
	enum cli_exit status = CLI_OK;
	*ret_is_new = !identity_is_there(path_of(demo, 0, "node").text);
	for (unsigned i = 0; !status && i < demo->count; i++)
		status = make_config(cli, demo, i);
	if (!status && *ret_is_new)
		status = init_first(cli, demo);
	/* Those that were there begin together: they may need one another. */
	for (unsigned i = 0; !status && i < demo->count; i++)
		if (identity_is_there(path_of(demo, i, "node").text))
			status = serve_node(cli, demo, i);
	for (unsigned i = 0; !status && i < demo->count; i++) {
		if (!demo->pids[i])
			status = join(cli, demo, i);
		if (!status && !demo->pids[i])
			status = serve_node(cli, demo, i);
		if (!status)
			status = wait_ready(cli, demo, i);
	}
	if (!status && *ret_is_new)
		status = spread(cli, demo);
	return status;
}

static void stop(struct demo_nodes *demo)
{
	for (unsigned i = 0; i < demo->count; i++)
		if (demo->pids[i])
			kill(demo->pids[i], SIGTERM);
	for (unsigned round = 0; round <= STOP_SECONDS * 20; round++) {
		bool is_running = false;
		for (unsigned i = 0; i < demo->count; i++)
			is_running |= !has_ended(demo, i);
		if (!is_running)
			return;
		nap();
	}
	for (unsigned i = 0; i < demo->count; i++)
		if (demo->pids[i])
			kill(demo->pids[i], SIGKILL);
}

/* Until a signal comes; says which node ended meanwhile. */
static void watch(struct cli *cli, struct demo_nodes *demo, const sigset_t *signals)
{
	static const struct timespec second = {.tv_sec = 1};
	while (sigtimedwait(signals, NULL, &second) < 0) {
		for (unsigned i = 0; i < demo->count; i++) {
			if (demo->pids[i] && has_ended(demo, i))
				fprintf(cli->err,
					"rubus: node %u ended; start it again: rubus serve "
					"--config '%s'\n",
					i + 1, path_of(demo, i, "rubus.yaml").text);
		}
	}
}

static void announce(struct cli *cli, const struct demo_nodes *demo, const struct root_key *root)
{
	char host[96];
	json_t *endpoints = json_array();
	for (unsigned i = 0; i < demo->count; i++)
		json_array_append_new(endpoints,
			json_sprintf("http://%s:%u", demo->host, demo->s3_port + PORT_STEP * i));
	json_t *facts = json_pack("{s:s, s:o, s:s, s:s, s:o}", "dir", demo->dir, "endpoints",
		endpoints, "region", "rubus", "access_key_id", root->id, "root_key_file",
		json_string(path_of(demo, 0, "node/root.key").text));
	if (cli->is_json) {
		cli_print_document(cli, facts);
		fflush(cli->out);
		return;
	}
	fprintf(cli->out, "rubus %s: %u nodes in %s\n\n", RUBUS_VERSION, demo->count, demo->dir);
	for (unsigned i = 0; i < demo->count; i++)
		fprintf(cli->out, "  node %u  http://%s:%u\n", i + 1, demo->host,
			demo->s3_port + PORT_STEP * i);
	snprintf(host, sizeof host, "%s:%u", demo->host, demo->s3_port);
	cli_demo_print_commands(cli->out, facts, host);
	fprintf(cli->out,
		"  rubus status --config '%s'\n\nCtrl-C ends them; the same command serves them "
		"again.\n",
		path_of(demo, 0, "rubus.yaml").text);
	fflush(cli->out);
	json_decref(facts);
}

enum cli_exit cli_run_demo_nodes(struct cli *cli)
{
	struct demo_nodes demo = {0};
	struct root_key root = {0};
	sigset_t signals;
	char message[IDENTITY_MESSAGE_LEN];
	bool is_new;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	umask(0077);
	enum cli_exit status = take_options(cli, &demo);
	if (!status)
		status = start(cli, &demo, &is_new);
	if (!status) {
		/* The first key may have been deleted. */
		err_ignore(identity_load_root(path_of(&demo, 0, "node").text, &root, message));
		announce(cli, &demo, &root);
		watch(cli, &demo, &signals);
	}
	stop(&demo);
	explicit_bzero(&root, sizeof root);
	return status;
}
