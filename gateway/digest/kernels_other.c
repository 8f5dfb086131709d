/* SPDX-License-Identifier: Apache-2.0 */
#if !defined(__x86_64__) && !defined(__aarch64__)
#include "gateway/digest/hash_lanes.h"
#include "gateway/digest/kernels_priv.h"
#include "storage/bytes.h"

static bool has_all(void)
{
	return true;
}

static const struct hash_kernel md5_kernels[] = {
	{"md5_plain", has_all, 4, 2, md5_run_plain, &md5_kernels[1]},
	{"md5_openssl", has_all, 1, 1, md5_run_alone, NULL},
};

static const struct hash_kernel sha256_kernels[] = {
	{"sha256_openssl", has_all, 1, 1, sha256_run_alone, NULL},
};

static const struct crc_kernel crc_kernels[] = {
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

const struct hash_twin_kernel *hash_lanes_choose_twins(void)
{
	return NULL;
}

const struct crc_kernel *crc_list(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(crc_kernels);
	return crc_kernels;
}

#endif
