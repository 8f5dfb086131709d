/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/err.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

static const struct {
	const char *name;
	const char *text;
} table[ERR_COUNT] = {
#define X(name, text) [ERR_##name] = {#name, text},
	ERR_TABLE(X)
#undef X
};

const char *err_name(enum err err)
{
	assert(err < ERR_COUNT);
	return table[err].name;
}

const char *err_text(enum err err)
{
	assert(err < ERR_COUNT);
	return table[err].text;
}

enum err err_from_errno(int errno_value)
{
	switch (errno_value) {
	case 0:
		return ERR_OK;
	case ENOENT:
		return ERR_NOT_FOUND;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	case EROFS:
		return ERR_READ_ONLY;
	case ENOMEM:
		return ERR_NO_MEMORY;
	case EEXIST:
		return ERR_EXISTS;
	default:
		return ERR_IO;
	}
}
