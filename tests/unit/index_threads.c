/* SPDX-License-Identifier: Apache-2.0 */
/* The index used by several loops at once, over a real log and map. With the thread sanitizer it
 * shows that what is shared is under the lock or atomic. */
#include "storage/meta/index.h"

#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "server/clock_real.h"
#include "server/disk_file.h"
#include "server/loop.h"
#include "server/random_real.h"
#include "server/worker_threads.h"
#include "storage/kv_lmdb.h"
#include "storage/meta/consensus_single.h"
#include "tests/lib/test.h"

enum { LOOPS = 2, APPLY = LOOPS, COMMITTER, LOG, ALL_LOOPS };
enum { CLIENTS = 32, ROUNDS = 60 };

struct rig {
	char path[PATH_MAX];
	char log_path[PATH_MAX + 8];
	char kv_path[PATH_MAX + 8];
	struct server_loop *loops[ALL_LOOPS];
	struct worker_threads *threads;
	struct disk *disk;
	struct kv *kv;
	struct trace trace;
	struct consensus *consensus;
	struct index *index;
	struct index_reader *readers[LOOPS];
	uint64_t bucket;
	sem_t ended;
};

static void trace_nothing(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	(void)trace;
	(void)level;
	(void)request_id;
	(void)text;
}

static const struct trace_ops trace_ops = {trace_nothing};

static void failed(void *arg, enum err err)
{
	(void)arg;
	ck_abort_msg("the index failed: %s", err_name(err));
}

static void opened(void *arg, enum err err)
{
	struct rig *rig = arg;
	ck_assert_ok(err);
	sem_post(&rig->ended);
}

static struct loop *loop_at(struct rig *rig, unsigned i)
{
	return server_loop_base(rig->loops[i]);
}

static void open_parts(struct rig *rig, struct random_source *random)
{
	struct consensus_single_setup log = {
		.log = {.disk = rig->disk,
			.state_disk = rig->disk,
			.loop = loop_at(rig, LOG),
			.worker = worker_threads_worker(rig->threads),
			.random = random,
			.trace = &rig->trace,
			.segment_len = 1 << 20},
		.clock = clock_real(),
	};
	/* The second start finds the log of the first. */
	err_ignore(log_create(&log.log));
	ck_assert_ok(consensus_single_open(&log, &rig->consensus));
	ck_assert_ok(kv_lmdb_open(rig->kv_path, 64 << 20, &rig->kv));
}

static void rig_start(struct rig *rig)
{
	struct random_source *random;
	struct server_loop_options options = {0};
	ck_assert_ok(random_real_open(&random));
	ck_assert_ok(worker_threads_new("worker", 1, &rig->threads));
	ck_assert_ok(
		server_disk_new(rig->log_path, worker_threads_worker(rig->threads), &rig->disk));
	for (unsigned i = 0; i < ALL_LOOPS; i++)
		ck_assert_ok(server_loop_new(i, "loop", &options, &rig->loops[i]));
	rig->trace = (struct trace){&trace_ops, TRACE_ERROR};
	open_parts(rig, random);
	struct index_setup setup = {
		.kv = rig->kv,
		.consensus = rig->consensus,
		.apply = loop_at(rig, APPLY),
		.committer = loop_at(rig, COMMITTER),
		.clock = clock_real(),
		.random = random,
		.trace = &rig->trace,
		.node = {"node"},
		.settings = {.rows_max = 500, .idle_ms = 5, .is_alone = true},
		.failed = failed,
	};
	ck_assert_ok(index_open(&setup, &rig->index));
	for (unsigned i = 0; i < LOOPS; i++)
		ck_assert_ok(index_reader_open(rig->index, &rig->readers[i]));
	for (unsigned i = 0; i < ALL_LOOPS; i++)
		ck_assert_ok(server_loop_start(rig->loops[i]));
	index_start(rig->index, opened, rig);
	sem_wait(&rig->ended);
}

static void stopped(void *arg)
{
	struct rig *rig = arg;
	sem_post(&rig->ended);
}

static void rig_stop(struct rig *rig)
{
	consensus_stop(rig->consensus, stopped, rig);
	sem_wait(&rig->ended);
	for (unsigned i = 0; i < ALL_LOOPS; i++) {
		server_loop_stop(rig->loops[i]);
		server_loop_join(rig->loops[i]);
	}
	for (unsigned i = 0; i < LOOPS; i++)
		index_reader_close(rig->readers[i]);
	index_close(rig->index);
	consensus_close(rig->consensus);
	kv_close(rig->kv);
	worker_threads_free(rig->threads);
	for (unsigned i = 0; i < ALL_LOOPS; i++)
		server_loop_free(rig->loops[i]);
	server_disk_free(rig->disk);
}

/* --- clients ---------------------------------------------------------------------------------- */

/* Puts its key again and again, and finds what it has put; now and then it holds and reports. */
struct client {
	struct rig *rig;
	unsigned number, round;
	struct task task;
	struct index_proposal proposal;
	struct index_hold read_hold, write_hold;
	uint8_t bytes[512];
	char key[20];
};

static void client_next(struct client *client);

static void client_done(struct index_proposal *proposal)
{
	struct client *client = CONTAINER_OF(proposal, struct client, proposal);
	struct index_reader *reader = client->rig->readers[client->number % LOOPS];
	struct object_info object;
	struct bytes data;
	ck_assert_ok(proposal->err);
	ck_assert_uint_eq(proposal->result.code, COMMAND_OK);
	index_release_write(reader, &client->write_hold);
	ck_assert_ok(index_view_begin(reader));
	ck_assert_ok(
		index_version_find(reader, client->rig->bucket, bytes_of(client->key), &object));
	ck_assert(version_id_is_equal(object.version, proposal->result.version));
	ck_assert_ok(index_inline_get(reader, object.row.body, &data));
	ck_assert_uint_eq(data.data[0], client->round);
	if (client->round > 0)
		index_release_read(reader, &client->read_hold);
	index_hold_read(reader, &client->read_hold);
	index_view_end(reader);
	if (client->number == 0)
		err_ignore(index_report(client->rig->index)); /* one may be on its way */
	client->round++;
	client_next(client);
}

static void client_next(struct client *client)
{
	struct rig *rig = client->rig;
	struct index_reader *reader = rig->readers[client->number % LOOPS];
	uint8_t data[100] = {client->round};
	if (client->round == ROUNDS) {
		index_release_read(reader, &client->read_hold);
		sem_post(&rig->ended);
		return;
	}
	struct command command = {.type = COMMAND_OBJECT_PUT};
	command.object_put.bucket = rig->bucket;
	command.object_put.key = bytes_of(client->key);
	command.object_put.body.len = sizeof data;
	command.object_put.body.inline_data = bytes_make(data, sizeof data);
	client->proposal = (struct index_proposal){
		.loop = loop_at(rig, client->number % LOOPS),
		.bytes = client->bytes,
		.done = client_done,
	};
	ck_assert_ok(command_encode(
		&command, client->bytes, sizeof client->bytes, &client->proposal.len));
	index_hold_write(reader, &client->write_hold);
	(void)index_extent_id_make(reader);
	index_propose(rig->index, &client->proposal);
}

static void client_start(struct task *task)
{
	client_next(CONTAINER_OF(task, struct client, task));
}

static void bucket_made(struct index_proposal *proposal)
{
	struct client *client = CONTAINER_OF(proposal, struct client, proposal);
	ck_assert_ok(proposal->err);
	client->rig->bucket = proposal->result.id; /* EXISTS at the second start */
	sem_post(&client->rig->ended);
}

static void make_bucket(struct rig *rig)
{
	struct client client = {.rig = rig};
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of("bucket");
	command.bucket_create.owner = bytes_of("owner");
	client.proposal = (struct index_proposal){
		.loop = loop_at(rig, 0), .bytes = client.bytes, .done = bucket_made};
	ck_assert_ok(
		command_encode(&command, client.bytes, sizeof client.bytes, &client.proposal.len));
	index_propose(rig->index, &client.proposal);
	sem_wait(&rig->ended);
}

static void run_clients(struct rig *rig)
{
	struct client *clients = calloc(CLIENTS, sizeof *clients);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].rig = rig;
		clients[i].number = i;
		clients[i].task.run = client_start;
		snprintf(clients[i].key, sizeof clients[i].key, "key %u", i);
		loop_post(loop_at(rig, i % LOOPS), &clients[i].task);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct index_status status; /* from another thread meanwhile */
		index_status(rig->index, &status);
		ck_assert_err(status.err, ERR_OK);
		ring_snapshot_unref(index_ring(rig->index));
		sem_wait(&rig->ended);
	}
	free(clients);
}

START_TEST(several_loops_use_one_index)
{
	struct rig *rig = calloc(1, sizeof *rig);
	test_dir_make(rig->path);
	snprintf(rig->log_path, sizeof rig->log_path, "%s/log", rig->path);
	snprintf(rig->kv_path, sizeof rig->kv_path, "%s/kv", rig->path);
	ck_assert_int_eq(mkdir(rig->log_path, 0700), 0);
	sem_init(&rig->ended, 0, 0);
	for (int start = 0; start < 2; start++) {
		rig_start(rig);
		make_bucket(rig);
		run_clients(rig);
		struct index_status status;
		index_status(rig->index, &status);
		ck_assert_uint_ge(status.commands, CLIENTS * ROUNDS);
		rig_stop(rig);
	}
	test_dir_remove(rig->path);
	free(rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_threads");
	TCase *tc = tcase_create("index_threads");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, several_loops_use_one_index);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
