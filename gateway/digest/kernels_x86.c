/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>

#include "gateway/digest/hash_lanes.h"
#include "gateway/digest/kernels_priv.h"
#include "storage/bytes.h"

static bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

/* The compilers' own question does not know this one everywhere. */
static bool has_sha_ni(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) &&
		__builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

static bool has_avx512_and_sha_ni(void)
{
	return has_avx512() && has_sha_ni();
}

static bool has_avx512vl_and_sha_ni(void)
{
	return has_avx512_and_sha_ni() && __builtin_cpu_supports("avx512vl");
}

static bool has_vpclmul(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq") &&
		__builtin_cpu_supports("pclmul");
}

static bool has_pclmul(void)
{
	return __builtin_cpu_supports("pclmul");
}

static bool has_all(void)
{
	return true;
}

static const struct hash_kernel md5_kernels[] = {
	{"md5_avx512", has_avx512, 16, 2, md5_run_avx512, &md5_kernels[3]},
	{"md5_avx2", has_avx2, 8, 5, md5_run_avx2, &md5_kernels[2]},
	{"md5_plain", has_all, 4, 2, md5_run_plain, &md5_kernels[3]},
	{"md5_openssl", has_all, 1, 1, md5_run_alone, NULL},
};

static const struct hash_kernel sha256_kernels[] = {
	{"sha256_avx512_ni", has_avx512_and_sha_ni, 16, 10, sha256_run_avx512, &sha256_kernels[1]},
	{"sha256_ni", has_sha_ni, 2, 2, sha256_run_ni, &sha256_kernels[3]},
	{"sha256_avx512", has_avx512, 16, 3, sha256_run_avx512, &sha256_kernels[3]},
	{"sha256_openssl", has_all, 1, 1, sha256_run_alone, NULL},
};

static const struct crc_kernel crc_kernels[] = {
	{"crc_vpclmul", has_vpclmul, 256, crc_fold_vpclmul},
	{"crc_pclmul", has_pclmul, 64, crc_fold_pclmul},
	{"crc_table", has_all, 0, NULL},
};

const struct hash_kernel *hash_lanes_list_md5(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(md5_kernels);
	return md5_kernels;
}

const struct hash_kernel *hash_lanes_list_sha256(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(sha256_kernels);
	return sha256_kernels;
}

static const struct hash_twin_kernel twin_kernel = {"md5_sha256_ni", 4, md5_sha256_run_ni};

/* Asked for each slice of a lone stream, while the processor takes microseconds to answer, where it
 * is a virtual one; so it is asked once. */
const struct hash_twin_kernel *hash_lanes_choose_twins(void)
{
	enum { UNKNOWN, ABSENT, PRESENT };
	static atomic_int answer;
	int known = atomic_load_explicit(&answer, memory_order_relaxed);
	if (known == UNKNOWN) {
		known = has_avx512vl_and_sha_ni() ? PRESENT : ABSENT;
		atomic_store_explicit(&answer, known, memory_order_relaxed);
	}
	return known == PRESENT ? &twin_kernel : NULL;
}

const struct crc_kernel *crc_list(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(crc_kernels);
	return crc_kernels;
}

#endif
