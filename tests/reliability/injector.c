/* Number the calls of a process and its children that change files below a folder, and at one of
   them fail, write less, or send a signal. Loaded by LD_PRELOAD; injector.py lays out `Control`. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum op { OPEN, WRITE, TRUNCATE, SYNC, CLOSE, RENAME, UNLINK, MKDIR, RMDIR, LINK, ATTRIBUTE,
          READ_OPEN, READ };
enum action { COUNT, FAIL, SHORT, SIGNAL, SIGNAL_GROUP, TORN };

#define LINES 8192
#define TEXT 240

struct line { int32_t op; int32_t pid; int32_t hit; char path[TEXT]; };

struct control {
    uint32_t armed;
    uint32_t action;
    int32_t value;      /* errno or signal */
    uint32_t ops;       /* mask of the calls that are numbered */
    uint32_t sticky;    /* mask of the calls that fail from `at` on, not only at it */
    uint32_t spare;
    uint64_t at;        /* from 1 */
    uint64_t count;
    uint64_t hits;
    uint64_t strays;    /* files opened for writing outside the folder */
    char root[512];
    struct line lines[LINES];
    struct line stray[64];
};

static struct control *control;

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("RELIABILITY_CONTROL");
    if (path == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *place = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (place != MAP_FAILED) control = place;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* The absolute path of `path` seen from the folder `dir`, with "." and ".." left in. */
static int absolute(int dir, const char *path, char *out, size_t size) {
    if (path[0] == '/') return snprintf(out, size, "%s", path) < (int)size;
    char link[64];
    if (dir == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, out, size - 1);
    if (n < 0) return 0;
    while (path[0] == '.' && path[1] == '/') path += 2;
    return snprintf(out + n, size - n, "/%s", path) < (int)(size - n);
}

static int below(const char *path) {
    size_t n = strlen(control->root);
    return n > 0 && strncmp(path, control->root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static void note(struct line *line, enum op op, const char *path) {
    line->op = op;
    line->pid = getpid();
    line->hit = 0;
    size_t n = strlen(path), skip = n >= TEXT ? n - TEXT + 1 : 0;
    memcpy(line->path, path + skip, n - skip + 1);
}

/* What is to happen at this call: COUNT (nothing), FAIL (errno is set), SHORT or TORN. */
static enum action decide(enum op op, const char *path) {
    if (!(control->ops & (1u << op))) return COUNT;
    uint64_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (number <= LINES) note(&control->lines[number - 1], op, path);
    int again = (control->sticky & (1u << op)) && number > control->at;
    if (control->at == 0 || control->action == COUNT || (number != control->at && !again))
        return COUNT;
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_SEQ_CST);
    if (number <= LINES) control->lines[number - 1].hit = 1;
    switch (control->action) {
    case FAIL:
        errno = control->value;
        return FAIL;
    case SHORT:
        return op == WRITE ? SHORT : COUNT;
    case TORN:
        if (op == WRITE) return TORN;
        kill(getpid(), SIGKILL);
        return COUNT;
    case SIGNAL_GROUP:
        kill(0, control->value);
        return COUNT;
    default:
        kill(getpid(), control->value);
        return COUNT;
    }
}

static enum action at_path(enum op op, int dir, const char *path) {
    if (control == NULL || !control->armed || path == NULL) return COUNT;
    int before = errno;
    char full[PATH_MAX];
    enum action action = COUNT;
    if (absolute(dir, path, full, sizeof full)) {
        if (below(full)) action = decide(op, full);
        else if (op == OPEN && strncmp(full, "/dev/", 5) != 0 && strncmp(full, "/proc/", 6) != 0) {
            uint64_t number = __atomic_fetch_add(&control->strays, 1, __ATOMIC_SEQ_CST);
            if (number < 64) note(&control->stray[number], op, full);
        }
    }
    if (action != FAIL) errno = before;
    return action;
}

static enum action at_fd(enum op op, int fd) {
    if (control == NULL || !control->armed || fd <= 2) return COUNT;
    int before = errno;
    char link[64], full[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, full, sizeof full - 1);
    enum action action = COUNT;
    if (n > 0) {
        full[n] = 0;
        if (below(full)) action = decide(op, full);
    }
    if (action != FAIL) errno = before;
    return action;
}

static int changes(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0; }

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); \
    }

static int opened(int dir, const char *path, int flags) {
    return at_path(changes(flags) ? OPEN : READ_OPEN, dir, path) == FAIL;
}

#define OPEN_AT_PATH(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); MODE(flags) \
        return opened(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode); \
    }
OPEN_AT_PATH(open)
OPEN_AT_PATH(open64)

#define OPEN_IN_FOLDER(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(name); MODE(flags) \
        return opened(dir, path, flags) ? -1 : real(dir, path, flags, mode); \
    }
OPEN_IN_FOLDER(openat)
OPEN_IN_FOLDER(openat64)

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        enum op op = strpbrk(mode, "wa+") ? OPEN : READ_OPEN; \
        return at_path(op, AT_FDCWD, path) == FAIL ? NULL : real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* The bytes that are written at this call: all, or one half where it is to be short or torn. */
static ssize_t allowed(enum action action, size_t size) {
    if (action == FAIL) return -1;
    return action == SHORT || action == TORN ? (ssize_t)((size + 1) / 2) : (ssize_t)size;
}

static ssize_t after(enum action action, ssize_t result) {
    if (action == TORN) kill(getpid(), SIGKILL);
    return result;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    enum action action = at_fd(WRITE, fd);
    ssize_t n = allowed(action, size);
    return n < 0 ? -1 : after(action, real(fd, bytes, n));
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *bytes, size_t size, offset_type offset) { \
        REAL(name); \
        enum action action = at_fd(WRITE, fd); \
        ssize_t n = allowed(action, size); \
        return n < 0 ? -1 : after(action, real(fd, bytes, n, offset)); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* Several pieces: short or torn means the first of them alone. */
ssize_t writev(int fd, const struct iovec *pieces, int n) {
    REAL(writev);
    enum action action = at_fd(WRITE, fd);
    if (action == FAIL) return -1;
    return after(action, real(fd, pieces, action == COUNT || n < 2 ? n : 1));
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    REAL(sendfile);
    return at_fd(WRITE, out) == FAIL ? -1 : real(out, in, offset, size);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
    REAL(sendfile64);
    return at_fd(WRITE, out) == FAIL ? -1 : real(out, in, offset, size);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(copy_file_range);
    return at_fd(WRITE, out) == FAIL ? -1 : real(in, from, out, to, size, flags);
}

ssize_t read(int fd, void *bytes, size_t size) {
    REAL(read);
    return at_fd(READ, fd) == FAIL ? -1 : real(fd, bytes, size);
}
ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
    REAL(pread);
    return at_fd(READ, fd) == FAIL ? -1 : real(fd, bytes, size, offset);
}
ssize_t pread64(int fd, void *bytes, size_t size, off64_t offset) {
    REAL(pread64);
    return at_fd(READ, fd) == FAIL ? -1 : real(fd, bytes, size, offset);
}

#define ON_FD(name, op, parameters, arguments) \
    int name parameters { REAL(name); return at_fd(op, fd) == FAIL ? -1 : real arguments; }
ON_FD(ftruncate, TRUNCATE, (int fd, off_t size), (fd, size))
ON_FD(ftruncate64, TRUNCATE, (int fd, off64_t size), (fd, size))
ON_FD(fallocate, TRUNCATE, (int fd, int mode, off_t from, off_t size), (fd, mode, from, size))
ON_FD(fsync, SYNC, (int fd), (fd))
ON_FD(fdatasync, SYNC, (int fd), (fd))
ON_FD(syncfs, SYNC, (int fd), (fd))
ON_FD(fchmod, ATTRIBUTE, (int fd, mode_t mode), (fd, mode))

int posix_fallocate(int fd, off_t from, off_t size) {
    REAL(posix_fallocate);
    return at_fd(TRUNCATE, fd) == FAIL ? errno : real(fd, from, size);
}

/* A file is closed even where closing reports an error, as Linux does. */
int close(int fd) {
    REAL(close);
    enum action action = COUNT;
    if (control != NULL && control->armed && fd > 2) {
        int flags = (int)syscall(SYS_fcntl, fd, F_GETFL, 0);
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) action = at_fd(CLOSE, fd);
    }
    int kept = errno, result = real(fd);
    if (action == FAIL) { errno = kept; return -1; }
    return result;
}

#define ON_PATH(name, op, parameters, arguments) \
    int name parameters { \
        REAL(name); return at_path(op, AT_FDCWD, path) == FAIL ? -1 : real arguments; \
    }
ON_PATH(truncate, TRUNCATE, (const char *path, off_t size), (path, size))
ON_PATH(truncate64, TRUNCATE, (const char *path, off64_t size), (path, size))
ON_PATH(rename, RENAME, (const char *path, const char *to), (path, to))
ON_PATH(unlink, UNLINK, (const char *path), (path))
ON_PATH(remove, UNLINK, (const char *path), (path))
ON_PATH(mkdir, MKDIR, (const char *path, mode_t mode), (path, mode))
ON_PATH(rmdir, RMDIR, (const char *path), (path))
ON_PATH(chmod, ATTRIBUTE, (const char *path, mode_t mode), (path, mode))

int link(const char *from, const char *path) {
    REAL(link);
    return at_path(LINK, AT_FDCWD, path) == FAIL ? -1 : real(from, path);
}
int symlink(const char *to, const char *path) {
    REAL(symlink);
    return at_path(LINK, AT_FDCWD, path) == FAIL ? -1 : real(to, path);
}

#define IN_FOLDER(name, op, parameters, arguments) \
    int name parameters { REAL(name); return at_path(op, dir, path) == FAIL ? -1 : real arguments; }
IN_FOLDER(unlinkat, flags & AT_REMOVEDIR ? RMDIR : UNLINK, (int dir, const char *path, int flags),
          (dir, path, flags))
IN_FOLDER(mkdirat, MKDIR, (int dir, const char *path, mode_t mode), (dir, path, mode))
IN_FOLDER(renameat, RENAME, (int dir, const char *path, int to_dir, const char *to),
          (dir, path, to_dir, to))
IN_FOLDER(renameat2, RENAME,
          (int dir, const char *path, int to_dir, const char *to, unsigned flags),
          (dir, path, to_dir, to, flags))
IN_FOLDER(utimensat, ATTRIBUTE,
          (int dir, const char *path, const struct timespec times[2], int flags),
          (dir, path, times, flags))
int linkat(int from_dir, const char *from, int dir, const char *path, int flags) {
    REAL(linkat);
    return at_path(LINK, dir, path) == FAIL ? -1 : real(from_dir, from, dir, path, flags);
}
int symlinkat(const char *to, int dir, const char *path) {
    REAL(symlinkat);
    return at_path(LINK, dir, path) == FAIL ? -1 : real(to, dir, path);
}
