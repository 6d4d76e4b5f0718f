/* SPDX-License-Identifier: Apache-2.0 */
/* The peer of a file transfer: a plain zmq PUSH/PULL pipe with CURVE between two processes on
 * loopback, which moves BYTES in pieces of CHUNK bytes.
 *
 *     peer_pipe BYTES CHUNK
 *
 * Prints bytes a second, from the first piece that arrived to the last. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

typedef struct {
    char public_key[41];
    char secret_key[41];
} KeyPair;

static void check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "peer_pipe: %s: %s\n", what, zmq_strerror(errno));
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set_text(void *socket, int option, const char *text)
{
    check(zmq_setsockopt(socket, option, text, strlen(text)), "key");
}

static void send_all(const char *endpoint, const KeyPair *server, uint64_t bytes, size_t chunk)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_PUSH);
    KeyPair own;
    char *data = calloc(1, chunk);

    check(zmq_curve_keypair(own.public_key, own.secret_key), "keys");
    set_text(socket, ZMQ_CURVE_SERVERKEY, server->public_key);
    set_text(socket, ZMQ_CURVE_PUBLICKEY, own.public_key);
    set_text(socket, ZMQ_CURVE_SECRETKEY, own.secret_key);
    check(zmq_connect(socket, endpoint), endpoint);
    for (uint64_t sent = 0; sent < bytes; sent += chunk)
        check(zmq_send(socket, data, bytes - sent < chunk ? bytes - sent : chunk, 0), "send");
    free(data);
    zmq_close(socket);
    zmq_ctx_term(context);
}

static double receive_all(void *socket, uint64_t bytes)
{
    double began = 0;
    uint64_t received = 0;

    while (received < bytes) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        check(zmq_msg_recv(&message, socket, 0), "receive");
        if (began == 0)
            began = now_s();
        received += zmq_msg_size(&message);
        zmq_msg_close(&message);
    }
    return now_s() - began;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: peer_pipe BYTES CHUNK\n");
        return 2;
    }
    uint64_t bytes = strtoull(argv[1], NULL, 10);
    size_t chunk = strtoull(argv[2], NULL, 10);
    KeyPair keys;
    char endpoint[64];
    int tell[2];

    check(zmq_curve_keypair(keys.public_key, keys.secret_key), "keys");
    check(pipe(tell), "pipe");
    pid_t child = fork();
    if (child == 0) {
        if (read(tell[0], endpoint, sizeof endpoint) <= 0)
            _exit(1);
        send_all(endpoint, &keys, bytes, chunk);
        _exit(0);
    }

    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_PULL);
    check(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &(int){1}, sizeof(int)), "curve");
    set_text(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key);
    check(zmq_bind(socket, "tcp://127.0.0.1:*"), "bind");
    check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &(size_t){sizeof endpoint}),
            "endpoint");
    check((int)write(tell[1], endpoint, sizeof endpoint), "pipe");
    double took = receive_all(socket, bytes);
    waitpid(child, NULL, 0);
    printf("%.0f\n", (double)bytes / took);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
