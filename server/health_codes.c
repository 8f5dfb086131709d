/* SPDX-License-Identifier: Apache-2.0 */
#include "server/health_codes.h"

const struct health_entry health_entries[HEALTH_CODE_COUNT] = {
#define X(name, severity, meaning, help) {#name, HEALTH_##severity, meaning, help},
	HEALTH_TABLE(X)
#undef X
};

const char *health_severity_text(enum health_severity severity)
{
	static const char *const texts[] = {[HEALTH_NOTICE] = "notice",
		[HEALTH_WARNING] = "warning",
		[HEALTH_CRITICAL] = "critical"};
	return texts[severity];
}
