/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PORT_OWNER_H
#define SERVER_PORT_OWNER_H

#include <stddef.h>
#include <stdint.h>

/* Writes who listens on a TCP port of this machine, as "nginx (process 812)". Leaves text as it is
 * when that cannot be known. Reads /proc; blocks shortly. */
void port_owner_find(uint16_t port, char *text, size_t cap);

#endif
