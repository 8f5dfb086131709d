/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_MODEL_H
#define TESTS_LIB_MODEL_H

#include "storage/bytes.h"

/* A sorted map that is too simple to be wrong: what maps under test are compared with. */
struct model_row {
	struct bytes key, value; /* the model's own */
};

struct model {
	struct model_row *rows;
	size_t count, cap;
};

void model_free(struct model *model);
void model_put(struct model *model, struct bytes key, struct bytes value);
void model_remove(struct model *model, struct bytes key);
void model_copy(struct model *to, const struct model *from); /* to is empty or zeroed */

/* The row of a key, or NULL. */
const struct model_row *model_get(const struct model *model, struct bytes key);

/* The index of the first row at or after key; model->count if there is none. */
size_t model_seek(const struct model *model, struct bytes key);

#endif
