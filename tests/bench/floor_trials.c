/* SPDX-License-Identifier: Apache-2.0 */
/* What a batch of no-op trials cannot leave out, and nothing else: for each trial the folders of a
 * run, its small files, and a process that runs `true`, so many at a time.
 *
 *     floor_trials DIR TRIALS JOBS FILES BYTES
 *
 * makes DIR/0, DIR/1, ... with 3 folders and FILES files of BYTES bytes each. JOBS 0 starts no
 * process: what the files alone cost. Silent; the caller takes the time. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PATH_SIZE = 4096, MAX_BYTES = 65536 };

static void fail(const char *what)
{
    fprintf(stderr, "floor_trials: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_folder(const char *path)
{
    if (mkdir(path, 0777) != 0)
        fail(path);
}

static void write_file(const char *path, const char *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) != 0)
        fail(path);
}

static void make_run(const char *dir, int number, int files, size_t bytes)
{
    static const char *const folders[] = {"", "/.guild", "/.guild/attrs"};
    static char data[MAX_BYTES];
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%d%s", dir, number, folders[i]);
        make_folder(path);
    }
    for (int i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%s/%d/.guild/attrs/%d", dir, number, i);
        write_file(path, data, bytes);
    }
}

static void start_true(void)
{
    char *argv[] = {"true", NULL};
    int rc = posix_spawnp(&(pid_t){0}, "true", NULL, NULL, argv, environ);

    if (rc != 0) {
        errno = rc;
        fail("true");
    }
}

static void wait_one(void)
{
    int status;

    if (wait(&status) < 0 || status != 0)
        fail("wait");
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: floor_trials DIR TRIALS JOBS FILES BYTES\n");
        return 2;
    }
    int trials = atoi(argv[2]), jobs = atoi(argv[3]), files = atoi(argv[4]), running = 0;
    size_t bytes = (size_t)atoi(argv[5]);

    if (bytes > MAX_BYTES)
        return 2;
    for (int i = 0; i < trials; i++) {
        make_run(argv[1], i, files, bytes);
        if (jobs == 0)
            continue;
        if (running == jobs) {
            wait_one();
            running--;
        }
        start_true();
        running++;
    }
    while (running-- > 0)
        wait_one();
    return 0;
}
