/* SPDX-License-Identifier: Apache-2.0 */
/* What a trial prints, sent on as it comes. What could not be sent (the coordinator was away, or
 * reads slowly) is sent from the run's output file when it is back. All of it: it knows what it has
 * seen. Of a run in place, whose file it has, a coordinator that was started again does not know
 * what it told others of it: it gets the lines that it may not have heard of, some perhaps twice. */
#pragma once

#include "worker/internal.h"

void echo_output(WTask *t, int stream, const char *data, gsize len);
void echo_rewind(WTask *t);   /* the connection is a new one */
void echo_mark(WTask *t);     /* a PING is sent */
void echo_heard(WTask *t);    /* and answered: so is all that was sent before it */
void echo_catch_up(WTask *t); /* sends some of what is missing; from time to time */
void echo_rest(WTask *t);     /* before its end is told, as far as there is room: the file has it */
