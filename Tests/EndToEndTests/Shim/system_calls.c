/* Stands between a gateway and the kernel: notes the order of syncs and of what goes over the ingress's connections,
   holds syncs up, and lets them or the journal's writes fail.

   Loaded with LD_PRELOAD. In the directory SHIM_DIRECTORY it appends to the file "calls", a line a call, and looks for
   these files before each call:
     hold-sync    a sync waits while it exists
     fail-sync    a sync fails with EIO
     no-space     a write to the journal's files fails with ENOSPC
   SHIM_PORT is the port whose connections are noted. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum subject { OTHER, JOURNAL, CONNECTION };

static const char *directory;
static int noted = -1;
static int port;

__attribute__((constructor)) static void begin(void) {
    directory = getenv("SHIM_DIRECTORY");
    const char *text = getenv("SHIM_PORT");
    port = text ? atoi(text) : 0;
    if (!directory) return;
    char path[512];
    snprintf(path, sizeof path, "%s/calls", directory);
    noted = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* One write a line, appended: the order of lines is the order of events. */
static void note(const char *what, int fd, long result) {
    if (noted < 0) return;
    char line[96];
    int length = snprintf(line, sizeof line, "%s %d %ld\n", what, fd, result);
    syscall(SYS_write, noted, line, (size_t)length);
}

static int is_asked_for(const char *flag) {
    if (!directory) return 0;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, flag);
    return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

static enum subject subject_of(int fd) {
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) return OTHER;
    if (S_ISREG(status.st_mode)) {
        char name[64], path[512];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        long length = syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof path - 1);
        if (length <= 0) return OTHER;
        path[length] = 0;
        const char *end = strrchr(path, '/');
        if (!end) return OTHER;
        return strcmp(end, "/journal.sqlite") == 0 || strcmp(end, "/journal.sqlite-wal") == 0 ? JOURNAL : OTHER;
    }
    if (S_ISSOCK(status.st_mode)) {
        struct sockaddr_in address;
        socklen_t size = sizeof address;
        if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return OTHER;
        return address.sin_family == AF_INET && ntohs(address.sin_port) == port ? CONNECTION : OTHER;
    }
    return OTHER;
}

static int synced(int fd, long number) {
    int saved = errno;
    if (subject_of(fd) != JOURNAL) {
        errno = saved;
        return (int)syscall(number, fd);
    }
    note("sync-begins", fd, 0);
    while (is_asked_for("hold-sync")) {
        struct timespec pause = {0, 1000000};
        syscall(SYS_nanosleep, &pause, NULL);
    }
    if (is_asked_for("fail-sync")) {
        note("sync-fails", fd, EIO);
        errno = EIO;
        return -1;
    }
    int result = (int)syscall(number, fd);
    saved = errno;
    note("sync-ends", fd, result);
    errno = saved;
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* Whether a write may go on; if not, errno says why. */
static int may_write(int fd, long size) {
    int saved = errno;
    enum subject subject = subject_of(fd);
    if (subject == JOURNAL) {
        if (is_asked_for("no-space")) {
            note("no-space", fd, size);
            errno = ENOSPC;
            return 0;
        }
        note("journal-write", fd, size);
    } else if (subject == CONNECTION) {
        note("answer", fd, size);
    }
    errno = saved;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    return may_write(fd, (long)size) ? syscall(SYS_write, fd, bytes, size) : -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return may_write(fd, (long)size) ? syscall(SYS_pwrite64, fd, bytes, size, offset) : -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
    return may_write(fd, (long)size) ? syscall(SYS_pwrite64, fd, bytes, size, offset) : -1;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return may_write(fd, count) ? syscall(SYS_writev, fd, parts, count) : -1;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    return may_write(fd, (long)size) ? syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0) : -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    return may_write(fd, (long)message->msg_iovlen) ? syscall(SYS_sendmsg, fd, message, flags) : -1;
}

static ssize_t received(int fd, ssize_t result) {
    int saved = errno;
    if (result > 0 && subject_of(fd) == CONNECTION) note("request", fd, (long)result);
    errno = saved;
    return result;
}

ssize_t read(int fd, void *bytes, size_t size) { return received(fd, syscall(SYS_read, fd, bytes, size)); }

ssize_t recv(int fd, void *bytes, size_t size, int flags) {
    return received(fd, syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL));
}
