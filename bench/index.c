/* SPDX-License-Identifier: Apache-2.0 */
/* What applying and looking up cost: the index with a log in memory and rows in LMDB, on one
 * thread. */
#include "storage/meta/index.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/lib/index_rig.h"
#include "tests/lib/test.h"

#define KEYS 100000
#define BODY_LEN 4096
#define IN_FLIGHT 64

struct put {
	struct index_proposal proposal;
	uint8_t bytes[BODY_LEN + 512];
};

static struct rig rig;
static uint64_t bucket;
static struct put batch[IN_FLIGHT];
static uint8_t data[BODY_LEN];

/* Cheaper than ck_assert_ok(). */
static void check(enum err err)
{
	assert(err == ERR_OK);
}

/* Of this process: others use the machine too. */
static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static struct bytes key_of(unsigned n, char *buf, size_t cap)
{
	int len = snprintf(buf, cap, "store/.chunks/%04x/%016lx", n * 40503u % 65536,
		n * 0x9e3779b97f4a7c15ul);
	return bytes_make(buf, len);
}

static void put_done(struct index_proposal *proposal)
{
	assert(proposal->err == ERR_OK);
	assert(proposal->result.code == COMMAND_OK);
}

static void put_all(size_t len)
{
	char buf[100];
	for (unsigned n = 0; n < KEYS; n += IN_FLIGHT) {
		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			struct command command = {.type = COMMAND_OBJECT_PUT};
			command.object_put.bucket = bucket;
			command.object_put.key = key_of(n + i, buf, sizeof buf);
			command.object_put.body.len = len;
			command.object_put.body.inline_data = bytes_make(data, len);
			batch[i].proposal = (struct index_proposal){
				.loop = &rig.loop.loop, .bytes = batch[i].bytes, .done = put_done};
			check(command_encode(&command, batch[i].bytes, sizeof batch[i].bytes,
				&batch[i].proposal.len));
			index_propose(rig.index, &batch[i].proposal);
		}
		rig_run(&rig);
	}
}

static void find_all(void)
{
	char buf[100];
	struct object_info object;
	for (unsigned n = 0; n < KEYS; n++) {
		check(index_view_begin(rig.reader));
		check(index_version_find(
			rig.reader, bucket, key_of(n * 7919u % KEYS, buf, sizeof buf), &object));
		index_view_end(rig.reader);
	}
}

static void list_all(void)
{
	struct index_version_cursor cursor;
	size_t count = 0;
	check(index_view_begin(rig.reader));
	index_versions_init(&cursor, rig.reader, bucket);
	enum err err = index_versions_seek(&cursor, bytes_of(""));
	for (; err == ERR_OK; err = index_versions_next_key(&cursor))
		count++;
	index_view_end(rig.reader);
	assert(count >= KEYS);
}

static void measure(const char *name, const char *what, double start)
{
	printf("%s_%s %.2f us\n", name, what, (now() - start) / KEYS * 1e6);
}

static void measure_all(const char *what, const struct index_settings *settings)
{
	rig_open_with(&rig, settings);
	struct command create = {.type = COMMAND_BUCKET_CREATE};
	create.bucket_create.name = bytes_of("bucket");
	create.bucket_create.owner = bytes_of("owner");
	bucket = rig_propose(&rig, &create).id;
	double start = now();
	put_all(BODY_LEN);
	measure("put_4k", what, start);
	start = now();
	put_all(BODY_LEN);
	measure("overwrite_4k", what, start);
	start = now();
	put_all(0);
	measure("overwrite_empty", what, start);
	start = now();
	find_all();
	measure("find_current", what, start);
	start = now();
	list_all();
	measure("list_row", what, start);
	rig_close(&rig);
}

/* The rig checks its calls, so the measurement runs as a test. */
START_TEST(costs)
{
	measure_all("in_buffer",
		&(struct index_settings){
			.is_alone = true, .arena_len = (size_t)2 << 30, .rows_max = SIZE_MAX});
	measure_all("with_commits", &(struct index_settings){.is_alone = true});
}
END_TEST

int main(void)
{
	setenv("CK_FORK", "no", 1);
	Suite *suite = suite_create("index");
	TCase *tc = tcase_create("index");
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, costs);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
