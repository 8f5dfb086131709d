/* SPDX-License-Identifier: Apache-2.0 */
/* How fast are the digests, in lanes and alone, and how much faster than OpenSSL's own front in the
 * same run? Prints "name value unit"; a ratio above 1 is faster than OpenSSL. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/digest/crc.h"
#include "gateway/digest/digest.h"
#include "gateway/digest/digest_lanes.h"
#include "gateway/digest/hash_lanes.h"
#include "gateway/digest/hmac.h"
#include "storage/bytes.h"

enum { STREAMS_MAX = 48, UNIT_LEN = 256 * 1024, SLICE_LEN = 16 * 1024 };

static uint8_t *units[STREAMS_MAX];

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Calls per second, the best of five runs of 8 ms. */
static double rate(void (*call)(void *), void *arg)
{
	double best = 0;
	call(arg);
	for (int i = 0; i < 5; i++) {
		double start = now(), took;
		unsigned count = 0;
		do {
			call(arg);
			count++;
			took = now() - start;
		} while (took < 0.008);
		if (count / took > best)
			best = count / took;
	}
	return best;
}

static void print(const char *name, double value, const char *unit)
{
	printf("%-40s %10.3f %s\n", name, value, unit);
}

/* --- kernels --- */

struct kernel_call {
	const struct hash_kernel *kernel;
	unsigned run_count;
};

static void run_kernel(void *arg)
{
	static uint32_t states[STREAMS_MAX][HASH_WORDS_MAX];
	struct kernel_call *call = arg;
	struct hash_run runs[STREAMS_MAX];
	for (unsigned i = 0; i < call->run_count; i++)
		runs[i] = (struct hash_run){states[i], units[i], SLICE_LEN / HASH_BLOCK_LEN};
	hash_lanes_run(call->kernel, runs, call->run_count);
}

static void run_evp(void *arg)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_Digest(units[0], SLICE_LEN, digest, NULL, arg, NULL);
}

static void bench_kernels(const struct hash_kernel *kernels, size_t count, const EVP_MD *md)
{
	static const unsigned stream_counts[] = {1, 2, 3, 4, 8, 16};
	double alone = rate(run_evp, (void *)(uintptr_t)md) * SLICE_LEN * 1e-9;
	char name[100];
	snprintf(name, sizeof name, "%s_evp", EVP_MD_get0_name(md));
	print(name, alone, "GB/s");
	for (size_t i = 0; i < count; i++) {
		if (!kernels[i].is_available())
			continue;
		for (size_t j = 0; j < ARRAY_COUNT(stream_counts); j++) {
			struct kernel_call call = {&kernels[i], stream_counts[j]};
			double speed = rate(run_kernel, &call) * call.run_count * SLICE_LEN * 1e-9;
			snprintf(name, sizeof name, "%s_x%u", kernels[i].name, call.run_count);
			print(name, speed, "GB/s");
			snprintf(name, sizeof name, "%s_x%u_to_evp", kernels[i].name,
				call.run_count);
			print(name, speed / alone, "ratio");
		}
	}
}

/* --- CRCs --- */

struct crc_call {
	const struct crc_kernel *kernel;
	enum crc_kind kind;
	size_t len;
	uint64_t crc;
};

static void run_crc(void *arg)
{
	struct crc_call *call = arg;
	call->crc = crc_update_with(call->kernel, call->kind, call->crc, units[0], call->len);
}

static void bench_crcs(void)
{
	static const char *const names[CRC_KIND_COUNT] = {"crc32", "crc32c", "crc64nvme"};
	static const size_t lens[] = {64, 512, 4096, SLICE_LEN, UNIT_LEN};
	size_t count;
	const struct crc_kernel *kernels = crc_list(&count);
	for (size_t i = 0; i < count; i++)
		for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++)
			for (size_t j = 0; j < ARRAY_COUNT(lens); j++) {
				struct crc_call call = {&kernels[i], kind, lens[j], 0};
				char name[100];
				if (!kernels[i].is_available())
					continue;
				snprintf(name, sizeof name, "%s_%s_%zu", kernels[i].name,
					names[kind], lens[j]);
				print(name, rate(run_crc, &call) * lens[j] * 1e-9, "GB/s");
			}
}

/* --- short messages --- */

static struct hmac_key hmac_key;

static void run_hmac(void *arg)
{
	hmac_sign(&hmac_key, units[0], 150, arg);
}

static void run_hmac_once(void *arg)
{
	hmac_sign_once(units[1], 32, units[0], 150, arg);
}

static void run_hmac_openssl(void *arg)
{
	HMAC(EVP_sha256(), units[1], 32, units[0], 150, arg, NULL);
}

static void run_sha256(void *arg)
{
	digest_sha256(units[0], 600, arg);
}

static void run_sha256_evp(void *arg)
{
	EVP_Digest(units[0], 600, arg, NULL, EVP_sha256(), NULL);
}

static void bench_messages(void)
{
	uint8_t mac[SHA256_LEN];
	hmac_key_init(&hmac_key, units[1], 32);
	double hmac = rate(run_hmac, mac), openssl = rate(run_hmac_openssl, mac);
	print("hmac_150", 1e6 / hmac, "us");
	print("hmac_150_key_used_once", 1e6 / rate(run_hmac_once, mac), "us");
	print("hmac_150_openssl", 1e6 / openssl, "us");
	print("hmac_150_to_openssl", hmac / openssl, "ratio");
	double sha256 = rate(run_sha256, mac), evp = rate(run_sha256_evp, mac);
	print("sha256_600", 1e6 / sha256, "us");
	print("sha256_600_evp", 1e6 / evp, "us");
	print("sha256_600_to_evp", sha256 / evp, "ratio");
}

/* --- the lanes of a loop, one unit per stream and turn --- */

static struct task *posted;

static void post(struct loop *loop, struct task *task)
{
	(void)loop;
	posted = task;
}

static bool is_current(struct loop *loop)
{
	(void)loop;
	return true;
}

static uint64_t now_ms(struct loop *loop)
{
	struct timespec now;
	(void)loop;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void submit(struct worker *worker, struct work *work)
{
	(void)worker;
	work->run(work);
	work->done(work);
}

static void done(struct digest_job *job)
{
	(void)job;
}

/* No timers: without an open body (digest_lanes_enter) the lanes hold nothing back. */
static const struct loop_ops loop_ops = {.post = post, .is_current = is_current, .now_ms = now_ms};
static const struct worker_ops worker_ops = {.submit = submit};

struct lanes_call {
	struct digest_hall hall;
	struct digest_lanes lanes;
	unsigned stream_count;
	size_t len;
	struct digest_stream streams[STREAMS_MAX];
	struct digest_job jobs[STREAMS_MAX];
};

static void run_lanes(void *arg)
{
	struct lanes_call *call = arg;
	for (unsigned i = 0; i < call->stream_count; i++) {
		call->jobs[i].stream = &call->streams[i];
		call->jobs[i].buf = units[i];
		call->jobs[i].len = call->len;
		call->jobs[i].done = done;
		digest_lanes_submit(&call->lanes, &call->jobs[i]);
	}
	while (posted) {
		struct task *task = posted;
		posted = NULL;
		task->run(task);
	}
}

static void bench_lanes(const char *what, unsigned kinds, size_t len)
{
	static const unsigned stream_counts[] = {1, 2, 4, 8, 16, 32, 48};
	static struct loop loop = {.ops = &loop_ops};
	static struct worker worker = {.ops = &worker_ops};
	static struct lanes_call call;
	for (size_t i = 0; i < ARRAY_COUNT(stream_counts); i++) {
		char name[100];
		digest_hall_init(&call.hall);
		digest_lanes_init(&call.lanes, &call.hall, &loop, &worker);
		call.stream_count = stream_counts[i];
		call.len = len;
		for (unsigned j = 0; j < call.stream_count; j++)
			digest_stream_init(&call.streams[j], kinds);
		double speed = rate(run_lanes, &call) * call.stream_count * len * 1e-9;
		snprintf(name, sizeof name, "lanes_%s_%zu_x%u", what, len, call.stream_count);
		print(name, speed, "GB/s");
		digest_lanes_fini(&call.lanes);
		digest_hall_fini(&call.hall);
	}
}

int main(void)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		units[i] = aligned_alloc(4096, UNIT_LEN);
		if (!units[i])
			return EXIT_FAILURE;
		memset(units[i], (int)i, UNIT_LEN);
	}
	size_t count;
	const struct hash_kernel *kernels = hash_lanes_list_md5(&count);
	bench_kernels(kernels, count, EVP_md5());
	kernels = hash_lanes_list_sha256(&count);
	bench_kernels(kernels, count, EVP_sha256());
	bench_crcs();
	bench_messages();
	bench_lanes("md5", DIGEST_MD5, UNIT_LEN);
	bench_lanes("md5_crc64", DIGEST_MD5 | DIGEST_CRC64NVME, UNIT_LEN);
	bench_lanes("md5_sha256", DIGEST_MD5 | DIGEST_SHA256, UNIT_LEN);
	bench_lanes("md5_sha256", DIGEST_MD5 | DIGEST_SHA256, 4096);
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		free(units[i]);
	return EXIT_SUCCESS;
}
