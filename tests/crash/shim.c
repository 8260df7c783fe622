/* Counts the file operations of a process and its children below one folder, and kills or fails at the N-th.

   Preloaded before libc, so that Python, Arrow, Torch and Rust are all seen. Each function asks `step` first: does this
   operation take place, take place in part, fail, or end the process here? What is told and asked lies in memory that
   all processes share (`struct control`, which shim.py mirrors). Operations are named by a letter:

     c open that creates or empties a file   o open to append   w write   f fsync   t truncate
     r rename   u unlink   m mkdir   d rmdir   l link
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOG_SIZE (8 << 20)
enum mode { COUNT, KILL, TORN, FULL, BROKEN };
enum verdict { PASS, HALF, LAST, FAIL };

struct control {
    int32_t armed, mode, at, alone; /* alone: kill this process, not its whole group */
    _Atomic int32_t count, done, log_used, unused;
    char root[1024];
    char log[LOG_SIZE]; /* a line an operation: letter, size, path, second path */
};

static struct control *control;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("CRASH_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    void *memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (memory != MAP_FAILED)
        control = memory;
}

static void die(void) {
    control->done = 1;
    kill(control->alone ? getpid() : 0, SIGKILL);
    for (;;)
        pause();
}

static int watched(const char *path) {
    size_t length = strlen(control->root);
    return strncmp(path, control->root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* The path of an open file; empty for a socket, a pipe or what lies elsewhere. */
static const char *path_of(int fd, char *out) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, out, PATH_MAX - 1);
    out[length > 0 ? length : 0] = 0;
    return out;
}

static const char *path_at(int folder, const char *path, char *out) {
    if (path[0] == '/')
        return path;
    if (folder != AT_FDCWD)
        path_of(folder, out);
    else if (!getcwd(out, PATH_MAX))
        out[0] = 0;
    size_t length = strlen(out);
    snprintf(out + length, PATH_MAX - length, "/%s", path);
    return out;
}

static int there(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0;
}

static void note(char letter, long size, const char *path, const char *to) {
    char line[2 * PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%c\t%ld\t%s\t%s\n", letter, size, path, to);
    int start = atomic_fetch_add(&control->log_used, length);
    if (start + length <= LOG_SIZE)
        memcpy(control->log + start, line, (size_t)length);
}

/* What becomes of an operation on `path`. */
static enum verdict step(char letter, const char *path, const char *to, long size) {
    if (!control || !control->armed || (!watched(path) && !watched(to)))
        return PASS;
    int number = atomic_fetch_add(&control->count, 1) + 1;
    int divisible = letter == 'w' && size > 1;
    if (number == control->at && (control->mode == KILL || (control->mode == TORN && !divisible))) {
        note('!', letter, path, to); /* where it ended; not done any more */
        die();
    }
    int now = number == control->at, later = number > control->at;
    if (control->mode == FULL && (now || later) && strchr("cwmrl", letter)) {
        control->done = 1;
        if (now && divisible) {
            note(letter, size / 2, path, to);
            return HALF;
        }
        errno = ENOSPC;
        return FAIL;
    }
    if (control->mode == BROKEN && now) {
        control->done = 1;
        errno = EIO;
        return FAIL;
    }
    note(letter, size, path, to);
    return control->mode == TORN && now ? LAST : PASS;
}

static enum verdict step_fd(char letter, int fd, long size) {
    char path[PATH_MAX];
    if (!control || !control->armed)
        return PASS;
    return step(letter, path_of(fd, path), "", size);
}

static enum verdict step_open(int folder, const char *name, int flags) {
    char buffer[PATH_MAX];
    struct stat found;
    if (!control || !control->armed || !(flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE)
        return PASS;
    const char *path = path_at(folder, name, buffer);
    int is_there = stat(path, &found) == 0;
    if (is_there && !S_ISREG(found.st_mode))
        return PASS;
    return step(!is_there || (flags & O_TRUNC) ? 'c' : 'o', path, "", is_there ? (long)found.st_size : 0);
}

#define NEXT(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) \
        next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(int, name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return step_open(AT_FDCWD, path, flags) == FAIL ? -1 : next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        NEXT(int, name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return step_open(folder, path, flags) == FAIL ? -1 : next(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *how) { \
        NEXT(FILE *, name, const char *, const char *); \
        int flags = strchr(how, 'w') ? O_WRONLY | O_TRUNC | O_CREAT : strpbrk(how, "a+") ? O_RDWR | O_CREAT : 0; \
        return step_open(AT_FDCWD, path, flags) == FAIL ? NULL : next(path, how); \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define ENDED(verdict, size, call) \
    if (verdict == FAIL) \
        return -1; \
    if (verdict != PASS) \
        size /= 2; \
    ssize_t written = call; \
    if (verdict == LAST) \
        die(); \
    return written

ssize_t write(int fd, const void *data, size_t size) {
    NEXT(ssize_t, write, int, const void *, size_t);
    enum verdict verdict = step_fd('w', fd, (long)size);
    ENDED(verdict, size, next(fd, data, size));
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) { \
        NEXT(ssize_t, name, int, const void *, size_t, offset_type); \
        enum verdict verdict = step_fd('w', fd, (long)size); \
        ENDED(verdict, size, next(fd, data, size, offset)); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(ssize_t, writev, int, const struct iovec *, int);
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    enum verdict verdict = step_fd('w', fd, (long)size);
    if (verdict == FAIL)
        return -1;
    if (verdict == PASS)
        return next(fd, parts, count);
    ssize_t written = 0;
    size /= 2;
    for (int i = 0; i < count && size; i++) {
        struct iovec part = {parts[i].iov_base, parts[i].iov_len < size ? parts[i].iov_len : size};
        written += next(fd, &part, 1);
        size -= part.iov_len;
    }
    if (verdict == LAST)
        die();
    return written;
}

#define SENDFILE(name, offset_type) \
    ssize_t name(int to, int from, offset_type *offset, size_t size) { \
        NEXT(ssize_t, name, int, int, offset_type *, size_t); \
        enum verdict verdict = step_fd('w', to, (long)size); \
        ENDED(verdict, size, next(to, from, offset, size)); \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

ssize_t copy_file_range(int from, off64_t *offset, int to, off64_t *to_offset, size_t size, unsigned flags) {
    NEXT(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    enum verdict verdict = step_fd('w', to, (long)size);
    ENDED(verdict, size, next(from, offset, to, to_offset, size, flags));
}

#define SYNC(name) \
    int name(int fd) { \
        NEXT(int, name, int); \
        struct stat found = {0}; \
        if (control && control->armed) \
            fstat(fd, &found); \
        return step_fd('f', fd, (long)found.st_size) == FAIL ? -1 : next(fd); \
    }
SYNC(fsync)
SYNC(fdatasync)

#define FTRUNCATE(name, offset_type) \
    int name(int fd, offset_type size) { \
        NEXT(int, name, int, offset_type); \
        return step_fd('t', fd, (long)size) == FAIL ? -1 : next(fd, size); \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define TRUNCATE(name, offset_type) \
    int name(const char *path, offset_type size) { \
        NEXT(int, name, const char *, offset_type); \
        char buffer[PATH_MAX]; \
        return step('t', path_at(AT_FDCWD, path, buffer), "", (long)size) == FAIL ? -1 : next(path, size); \
    }
TRUNCATE(truncate, off_t)
TRUNCATE(truncate64, off64_t)

static enum verdict step_two(char letter, int folder, const char *from, int to_folder, const char *to) {
    char buffer[PATH_MAX], other[PATH_MAX];
    if (!control || !control->armed)
        return PASS;
    return step(letter, path_at(folder, from, buffer), path_at(to_folder, to, other), 0);
}

int rename(const char *from, const char *to) {
    NEXT(int, rename, const char *, const char *);
    return step_two('r', AT_FDCWD, from, AT_FDCWD, to) == FAIL ? -1 : next(from, to);
}

int renameat(int folder, const char *from, int to_folder, const char *to) {
    NEXT(int, renameat, int, const char *, int, const char *);
    return step_two('r', folder, from, to_folder, to) == FAIL ? -1 : next(folder, from, to_folder, to);
}

int renameat2(int folder, const char *from, int to_folder, const char *to, unsigned flags) {
    NEXT(int, renameat2, int, const char *, int, const char *, unsigned);
    return step_two('r', folder, from, to_folder, to) == FAIL ? -1 : next(folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) {
    NEXT(int, link, const char *, const char *);
    return step_two('l', AT_FDCWD, from, AT_FDCWD, to) == FAIL ? -1 : next(from, to);
}

int symlink(const char *from, const char *to) {
    NEXT(int, symlink, const char *, const char *);
    return step_two('l', AT_FDCWD, to, AT_FDCWD, to) == FAIL ? -1 : next(from, to);
}

/* Removing what is not there, or making what is, changes nothing: not counted. */
static enum verdict step_entry(char letter, int folder, const char *name, int needs_one) {
    char buffer[PATH_MAX];
    if (!control || !control->armed)
        return PASS;
    const char *path = path_at(folder, name, buffer);
    return there(path) == needs_one ? step(letter, path, "", 0) : PASS;
}

int unlink(const char *path) {
    NEXT(int, unlink, const char *);
    return step_entry('u', AT_FDCWD, path, 1) == FAIL ? -1 : next(path);
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(int, unlinkat, int, const char *, int);
    return step_entry(flags & AT_REMOVEDIR ? 'd' : 'u', folder, path, 1) == FAIL ? -1 : next(folder, path, flags);
}

int remove(const char *path) {
    NEXT(int, remove, const char *);
    return step_entry('u', AT_FDCWD, path, 1) == FAIL ? -1 : next(path);
}

int rmdir(const char *path) {
    NEXT(int, rmdir, const char *);
    return step_entry('d', AT_FDCWD, path, 1) == FAIL ? -1 : next(path);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(int, mkdir, const char *, mode_t);
    return step_entry('m', AT_FDCWD, path, 0) == FAIL ? -1 : next(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    NEXT(int, mkdirat, int, const char *, mode_t);
    return step_entry('m', folder, path, 0) == FAIL ? -1 : next(folder, path, mode);
}
