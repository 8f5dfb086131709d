/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_S3_FEATURES_H
#define TESTS_S3_FEATURES_H

#include <stdio.h>

/* The second half of docs/S3.md: what S3 is beyond its operations, feature by feature, and the
 * choices where sources disagree. What is a matter of operations is read from the table of routes,
 * so that it cannot lag behind. */
void s3_features_print(FILE *out);

#endif
