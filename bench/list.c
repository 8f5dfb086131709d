/* SPDX-License-Identifier: Apache-2.0 */

/* What does a page of a listing cost, from the request to the last byte of its answer? */
#include <stdio.h>
#include <time.h>

#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static struct gateway_rig rig;

static void measure(const char *name, const char *target, unsigned rounds)
{
	double best = 1e9;
	for (unsigned i = 0; i < rounds; i++) {
		gateway_rig_make(&rig, "GET", target);
		sign_request(&rig.fake, &rig.sign, NULL);
		double start = now_us();
		gateway_rig_run(&rig);
		double us = now_us() - start;
		best = us < best ? us : best;
	}
	printf("%s %.0f us\n", name, best);
}

START_TEST(pages)
{
	char key[64];
	gateway_rig_open(&rig);
	uint64_t bucket = gateway_rig_bucket(&rig, "garden");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(key, sizeof key, "backups/2026/%05u.chunk", i);
		gateway_rig_put(&rig, bucket, key, "x");
	}
	measure("list_buckets", "/", 50);
	measure("list_1_key", "/garden?list-type=2&max-keys=1", 50);
	measure("list_1000_keys", "/garden?list-type=2", 50);
	measure("list_1000_keys_v1", "/garden", 50);
	measure("list_1000_versions", "/garden?versions", 50);
	measure("list_1_prefix", "/garden?delimiter=%2F&list-type=2", 50);
	gateway_rig_close(&rig);
}
END_TEST

static const struct kv_ops *counted;
static uint64_t seek_count;

static enum err count_seek(struct kv_reader *reader, struct bytes key, struct bytes *ret_key,
	struct bytes *ret_value)
{
	seek_count++;
	return counted->seek(reader, key, ret_key, ret_value);
}

/* A page of a thousand prefixes, of which each has a thousand keys. */
START_TEST(prefixes)
{
	enum { PREFIXES = 1000, KEYS = 1000, ROUNDS = 20 };
	char key[64];
	gateway_rig_open(&rig);
	uint64_t bucket = gateway_rig_bucket(&rig, "garden");
	for (unsigned i = 0; i < PREFIXES * KEYS; i++) {
		snprintf(key, sizeof key, "%04u/%04u.chunk", i / KEYS, i % KEYS);
		gateway_rig_put(&rig, bucket, key, "x");
	}
	struct kv_ops ops = *rig.rig.kv->ops;
	counted = rig.rig.kv->ops;
	ops.seek = count_seek;
	rig.rig.kv->ops = &ops;
	measure("list_1000_prefixes_of_1e6", "/garden?delimiter=%2F&list-type=2", ROUNDS);
	rig.rig.kv->ops = counted;
	printf("list_1000_prefixes_of_1e6_seeks %.2f per row\n",
		(double)seek_count / ROUNDS / PREFIXES);
	gateway_rig_close(&rig);
}
END_TEST

/* The rig is made for tests, so this is one. */
int main(void)
{
	Suite *suite = suite_create("list");
	TCase *one = tcase_create("list");
	tcase_set_timeout(one, 0);
	tcase_add_test(one, pages);
	tcase_add_test(one, prefixes);
	suite_add_tcase(suite, one);
	return test_run(suite);
}
