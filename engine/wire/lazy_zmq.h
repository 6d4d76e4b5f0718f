/* SPDX-License-Identifier: Apache-2.0 */
/* libzmq's functions that we use, loaded on demand: see lazylib.h. */
#pragma once

#include <zmq.h>

#include "engine/base/lazylib.h"

#define LAZY_ZMQ(fn) LAZY("libzmq.so.5", fn)

#define zmq_bind LAZY_ZMQ(zmq_bind)
#define zmq_close LAZY_ZMQ(zmq_close)
#define zmq_connect LAZY_ZMQ(zmq_connect)
#define zmq_ctx_new LAZY_ZMQ(zmq_ctx_new)
#define zmq_ctx_set LAZY_ZMQ(zmq_ctx_set)
#define zmq_ctx_term LAZY_ZMQ(zmq_ctx_term)
#define zmq_curve_keypair LAZY_ZMQ(zmq_curve_keypair)
#define zmq_errno LAZY_ZMQ(zmq_errno)
#define zmq_disconnect LAZY_ZMQ(zmq_disconnect)
#define zmq_getsockopt LAZY_ZMQ(zmq_getsockopt)
#define zmq_has LAZY_ZMQ(zmq_has)
#define zmq_msg_close LAZY_ZMQ(zmq_msg_close)
#define zmq_msg_data LAZY_ZMQ(zmq_msg_data)
#define zmq_msg_get LAZY_ZMQ(zmq_msg_get)
#define zmq_msg_gets LAZY_ZMQ(zmq_msg_gets)
#define zmq_msg_init LAZY_ZMQ(zmq_msg_init)
#define zmq_msg_init_data LAZY_ZMQ(zmq_msg_init_data)
#define zmq_msg_more LAZY_ZMQ(zmq_msg_more)
#define zmq_msg_recv LAZY_ZMQ(zmq_msg_recv)
#define zmq_msg_send LAZY_ZMQ(zmq_msg_send)
#define zmq_msg_size LAZY_ZMQ(zmq_msg_size)
#define zmq_send LAZY_ZMQ(zmq_send)
#define zmq_setsockopt LAZY_ZMQ(zmq_setsockopt)
#define zmq_socket LAZY_ZMQ(zmq_socket)
#define zmq_socket_monitor LAZY_ZMQ(zmq_socket_monitor)
#define zmq_strerror LAZY_ZMQ(zmq_strerror)
#define zmq_version LAZY_ZMQ(zmq_version)
#define zmq_z85_decode LAZY_ZMQ(zmq_z85_decode)
#define zmq_z85_encode LAZY_ZMQ(zmq_z85_encode)
