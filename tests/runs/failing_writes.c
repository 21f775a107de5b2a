// Makes chosen calls fail that write below a folder, for tests/runs/test_write_faults.py.
//
// Loaded with LD_PRELOAD, so that it also reaches the C++ code of tensorstore and TensorFlow.
// Counted are open (to create or write), write, fsync, rename, link, mkdir, truncate, and their variants.

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
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static atomic_long count = 0;
static long first = -1, last = -1;  // numbers of the calls that fail
static int error_number = 0;        // 0: SIGKILL
static long delay = 0;              // microseconds that every call takes longer

// Starts counting. The calls first..last fail with an errno, or kill the process if it is 0.
void faults_begin(const char *path, long from, long to, int number) {
  snprintf(folder, sizeof folder, "%s", path);
  first = from;
  last = to;
  error_number = number;
  atomic_store(&count, 0);
}

// Makes every counted call slower until faults_end.
void faults_delay(long microseconds) { delay = microseconds; }

long faults_end(void) {
  folder[0] = 0;
  delay = 0;
  return atomic_load(&count);
}

static int is_below(const char *path) {
  size_t length = strlen(folder);
  return length && path && strncmp(path, folder, length) == 0;
}

static int is_open_below(int descriptor) {
  if (!folder[0]) return 0;
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int is_at_below(int descriptor, const char *path) {
  return path && path[0] == '/' ? is_below(path) : is_open_below(descriptor);
}

// Counts a call; whether it must fail. errno is set then.
static int fails(int counted) {
  if (!counted) return 0;
  long number = atomic_fetch_add(&count, 1);
  if (delay) usleep(delay);
  if (number < first || number > last) return 0;
  if (!error_number) kill(getpid(), SIGKILL);
  errno = error_number;
  return 1;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = dlsym(RTLD_NEXT, name)

static int writes(int flags) { return (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY; }

#define OPEN(name)                                           \
  int name(const char *path, int flags, ...) {               \
    REAL(int, #name, const char *, int, ...);                \
    va_list rest;                                            \
    va_start(rest, flags);                                   \
    mode_t mode = va_arg(rest, mode_t);                      \
    va_end(rest);                                            \
    if (fails(writes(flags) && is_below(path))) return -1;   \
    return real(path, flags, mode);                          \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                  \
  int name(int base, const char *path, int flags, ...) {              \
    REAL(int, #name, int, const char *, int, ...);                    \
    va_list rest;                                                     \
    va_start(rest, flags);                                            \
    mode_t mode = va_arg(rest, mode_t);                               \
    va_end(rest);                                                     \
    if (fails(writes(flags) && is_at_below(base, path))) return -1;   \
    return real(base, path, flags, mode);                             \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                               \
  FILE *name(const char *path, const char *mode) {                                \
    REAL(FILE *, #name, const char *, const char *);                              \
    if (fails(strpbrk(mode, "wa+") != NULL && is_below(path))) return NULL;       \
    return real(path, mode);                                                      \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (fails(is_open_below(descriptor))) {
    if (errno == ENOSPC && size > 1) return real(descriptor, data, size / 2);  // what fits
    return -1;
  }
  return real(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  if (fails(is_open_below(descriptor))) return -1;
  return real(descriptor, parts, number);
}

#define PWRITE(name, offset_type)                                               \
  ssize_t name(int descriptor, const void *data, size_t size, offset_type at) { \
    REAL(ssize_t, #name, int, const void *, size_t, offset_type);               \
    if (fails(is_open_below(descriptor))) return -1;                            \
    return real(descriptor, data, size, at);                                    \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define OF_DESCRIPTOR(name)                           \
  int name(int descriptor) {                          \
    REAL(int, #name, int);                            \
    if (fails(is_open_below(descriptor))) return -1;  \
    return real(descriptor);                          \
  }
OF_DESCRIPTOR(fsync)
OF_DESCRIPTOR(fdatasync)

#define FTRUNCATE(name, size_type)                    \
  int name(int descriptor, size_type size) {          \
    REAL(int, #name, int, size_type);                 \
    if (fails(is_open_below(descriptor))) return -1;  \
    return real(descriptor, size);                    \
  }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define OF_TWO_PATHS(name)                          \
  int name(const char *from, const char *to) {      \
    REAL(int, #name, const char *, const char *);   \
    if (fails(is_below(to))) return -1;             \
    return real(from, to);                          \
  }
OF_TWO_PATHS(rename)
OF_TWO_PATHS(link)
OF_TWO_PATHS(symlink)

int renameat(int from_base, const char *from, int to_base, const char *to) {
  REAL(int, "renameat", int, const char *, int, const char *);
  if (fails(is_at_below(to_base, to))) return -1;
  return real(from_base, from, to_base, to);
}

int renameat2(int from_base, const char *from, int to_base, const char *to, unsigned flags) {
  REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
  if (fails(is_at_below(to_base, to))) return -1;
  return real(from_base, from, to_base, to, flags);
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  if (fails(is_below(path))) return -1;
  return real(path, mode);
}

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  if (fails(is_below(path))) return -1;
  return real(path);
}

int rmdir(const char *path) {
  REAL(int, "rmdir", const char *);
  if (fails(is_below(path))) return -1;
  return real(path);
}
