/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_VERSION_H
#define SERVER_VERSION_H

#define RUBUS_VERSION "0.1.0"

#endif
