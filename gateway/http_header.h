/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_HEADER_H
#define GATEWAY_HTTP_HEADER_H

#include "storage/bytes.h"

/* One header field. In requests the name is in lower case and the value is as it was received,
 * without the white space around it. */
struct http_header {
	struct bytes name;
	struct bytes value;
};

#endif
