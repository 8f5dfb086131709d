/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_user.h"

enum err control_refuse_long_list(char *message)
{
	return node_refuse(message, ERR_LIMIT, "there are more than %d; the list would be too long",
		CONTROL_LIST_MAX);
}

const char *control_argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text && text[0] ? text : NULL;
}

json_t *control_text(struct bytes bytes)
{
	json_t *text = json_stringn(bytes.len ? (const char *)bytes.data : "", bytes.len);
	return text ? text : json_string("?"); /* not UTF-8 */
}

enum err control_end_list(enum err err, json_t *list, json_t **ret_result)
{
	if (err != ERR_NOT_FOUND) {
		json_decref(list);
		return err;
	}
	*ret_result = list;
	return ERR_OK;
}
