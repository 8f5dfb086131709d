/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_QUOTA_H
#define GATEWAY_QUOTA_H

#include "gateway/request.h"

/* Will what the client is about to send be refused by a quota? Asked before a byte of it is read;
 * apply decides when it is there. True only where nothing that may happen meanwhile but deletes
 * could make it fit: what a version replaces is not known before, so where it would replace one the
 * body is taken. Under a view, after the bucket was found. Costs no look where the bucket has no
 * quota and whoever signs is no user. */
bool quota_is_exceeded(struct request *request);

#endif
