/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/frame_zip.h"

#include <assert.h>
#include <zstd.h>

#include "storage/object/frame.h"

enum { ZIP_LEVEL = 1, WINDOW_LOG = 16 };
static_assert(FRAME_LEN == 1 << WINDOW_LOG, "a frame is one window");

void frame_zip_fini(struct frame_zip *zip)
{
	ZSTD_freeCCtx(zip->deflate);
	ZSTD_freeDCtx(zip->inflate);
	*zip = (struct frame_zip){0};
}

static enum err make_deflate(struct frame_zip *zip)
{
	ZSTD_CCtx *made = ZSTD_createCCtx();
	if (!made)
		return ERR_NO_MEMORY;
	if (ZSTD_isError(ZSTD_CCtx_setParameter(made, ZSTD_c_compressionLevel, ZIP_LEVEL)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(made, ZSTD_c_windowLog, WINDOW_LOG)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(made, ZSTD_c_contentSizeFlag, 0))) {
		ZSTD_freeCCtx(made);
		return ERR_NO_MEMORY;
	}
	zip->deflate = made;
	return ERR_OK;
}

enum err frame_zip_deflate(
	struct frame_zip *zip, const uint8_t *in, size_t len, uint8_t *out, size_t *ret_len)
{
	assert(len > 0 && len <= FRAME_LEN);
	enum err err = zip->deflate ? ERR_OK : make_deflate(zip);
	if (err)
		return err;
	size_t got = ZSTD_compress2(zip->deflate, out, len - len / 16, in, len);
	if (ZSTD_isError(got) || got + len / 16 > len || got >= len)
		return ERR_LIMIT;
	*ret_len = got;
	return ERR_OK;
}

enum err frame_zip_inflate(
	struct frame_zip *zip, const uint8_t *in, size_t in_len, uint8_t *out, size_t len)
{
	if (!zip->inflate)
		zip->inflate = ZSTD_createDCtx();
	if (!zip->inflate)
		return ERR_NO_MEMORY;
	size_t got = ZSTD_decompressDCtx(zip->inflate, out, len, in, in_len);
	return ZSTD_isError(got) || got != len ? ERR_CORRUPT : ERR_OK;
}

bool frame_zip_should_try(struct frame_zip_guess *guess)
{
	if (guess->skips == 0)
		return true;
	guess->skips--;
	return false;
}

void frame_zip_tell(struct frame_zip_guess *guess, bool has_paid)
{
	guess->misses = has_paid ? 0 : guess->misses + 1;
	if (guess->misses >= 4) { /* all of the first 256 KiB (K5) */
		unsigned shift = guess->misses < 8 ? guess->misses : 8;
		guess->skips = 1u << shift;
	}
	if (guess->skips > FRAME_ZIP_SKIPS_MAX)
		guess->skips = FRAME_ZIP_SKIPS_MAX;
}
