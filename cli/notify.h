/* SPDX-License-Identifier: Apache-2.0 */
/* What a service tells systemd (sd_notify(3), Type=notify) when it runs under it: a datagram to
 * $NOTIFY_SOCKET. Elsewhere nothing happens. */
#pragma once

/* "READY=1"; starts the watchdog's pings if $WATCHDOG_USEC asks for them (default main context). */
void notify_ready(void);
void notify_state(const char *state);
