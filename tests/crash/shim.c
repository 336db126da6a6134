/* A disk that loses power, fills up, turns read-only or is slow: LD_PRELOAD for paraphed.
 *
 * SIGKILL does not show a missing fsync, because the page cache survives it. So each write to a file under PARAPHE_SHIM_DIR is noted
 * first, with what it overwrites and what it writes, in the undo log PARAPHE_SHIM_UNDO, and each fsync that succeeded is noted after
 * it. Whoever killed the process takes back what no fsync covered (loss.rs). PARAPHE_SHIM_PAGE is a file of 4 KiB, mapped: counters for
 * the harness to read and orders for it to give (disk.rs), 64-bit words in the machine's order. With the page alone, the shim only counts.
 *
 * Invariants: a write reaches the file only after its record is in the undo log; a sync is noted only after the real one returned.
 * Not modelled: what is written through a mapping (SQLite's -shm, which recovery builds anew), and the removal of a file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FDS = 4096, MOST_FILES = 64, NAME_BYTES = 64, PAGE_BYTES = 4096, COMPACT_BYTES = 1 << 20 };
enum fault { NONE = 0, FULL = 1, READ_ONLY = 2, FULL_COPYING = 3 };
enum kind { WRITE = 1, TRUNCATE = 2, SYNC = 3, CREATE = 4, SYNC_DIR = 5 };

struct page {
    _Atomic uint64_t syncs, writes, refused; /* counters */
    _Atomic uint64_t moves;                  /* of them, writes to neither a -wal nor a .journal: a checkpoint moves pages */
    _Atomic uint64_t spare[4];
    _Atomic uint64_t fault;         /* enum fault */
    _Atomic int64_t room;           /* with FULL, bytes by which files may still grow; with FULL_COPYING, all that may be written */
    _Atomic uint64_t sync_delay_us; /* before each fsync */
    _Atomic uint64_t die_at_write;  /* the write of this number is made in part, then the process dies; 0 for never */
    _Atomic uint64_t die_at_move;   /* like die_at_write */
    _Atomic uint64_t die_at_sync;   /* the fsync of this number never returns; 0 for never */
};

struct record {
    uint32_t kind, name_bytes, old_bytes, new_bytes;
    uint64_t offset;   /* WRITE: where; TRUNCATE: the new size */
    uint64_t old_size; /* of the file, before */
    uint64_t number;   /* rises by one; of SYNC and SYNC_DIR: the last record that it covers */
}; /* followed by the file's name, the old and the new bytes */

struct file {
    char name[NAME_BYTES];
    uint64_t unsynced;
};

static struct page *page;
static char dir[PATH_MAX];
static int undo = -1;
static uint64_t number, log_bytes, unsynced_names;
static struct file files[MOST_FILES];
static int file_count;
static int16_t file_of[MOST_FDS]; /* 0 not ours, -1 the directory, n files[n - 1] */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

__attribute__((constructor)) static void set_up(void) {
    if (real_fsync) return;
    *(void **)&real_open = dlsym(RTLD_NEXT, "open64");
    *(void **)&real_close = dlsym(RTLD_NEXT, "close");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    *(void **)&real_unlink = dlsym(RTLD_NEXT, "unlink");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    const char *page_path = getenv("PARAPHE_SHIM_PAGE"), *dir_path = getenv("PARAPHE_SHIM_DIR");
    const char *undo_path = getenv("PARAPHE_SHIM_UNDO");
    if (!page_path) return;
    int fd = real_open(page_path, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    real_close(fd);
    if (page == MAP_FAILED) abort();
    if (!dir_path || !undo_path) return;
    if (!realpath(dir_path, dir)) abort();
    undo = real_open(undo_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (undo < 0) abort();
}

static int ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

static int tracked(int fd) { return fd >= 0 && fd < MOST_FDS ? file_of[fd] : 0; }

/* A record of the undo log, in one write: cut short by a kill, it is of a write that was never made. */
static void note(enum kind kind, const char *name, uint64_t offset, uint64_t old_size, uint64_t of, const void *old,
                 uint32_t old_bytes, const void *new, uint32_t new_bytes) {
    struct record head = {kind, (uint32_t)strlen(name), old_bytes, new_bytes, offset, old_size, of};
    size_t size = sizeof head + head.name_bytes + old_bytes + new_bytes;
    char *whole = malloc(size), *at = whole;
    if (!whole) abort();
    at = (char *)mempcpy(at, &head, sizeof head);
    at = (char *)mempcpy(at, name, head.name_bytes);
    if (old_bytes) at = (char *)mempcpy(at, old, old_bytes);
    if (new_bytes) memcpy(at, new, new_bytes);
    if (real_write(undo, whole, size) != (ssize_t)size) abort();
    log_bytes += size;
    free(whole);
}

/* Reads what a change is about to replace, also where the file was opened for writing alone. */
static void read_old(int fd, char *old, size_t count, off_t offset) {
    if (!count || pread(fd, old, count, offset) == (ssize_t)count) return;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reader = real_open(link, O_RDONLY | O_CLOEXEC);
    if (reader < 0 || pread(reader, old, count, offset) != (ssize_t)count) abort();
    real_close(reader);
}

/* Notes what a write of `count` bytes at `offset`, or with `count` 0 a truncation to `offset`, is about to replace. */
static void note_change(int fd, enum kind kind, const void *bytes, size_t count, off_t offset) {
    struct file *file = &files[file_of[fd] - 1];
    struct stat stat;
    if (fstat(fd, &stat)) abort();
    size_t replaced = 0;
    if (offset < stat.st_size) {
        size_t rest = (size_t)(stat.st_size - offset);
        replaced = kind == TRUNCATE || rest < count ? rest : count;
    }
    char *old = malloc(replaced + 1);
    if (!old) abort();
    read_old(fd, old, replaced, offset);
    note(kind, file->name, (uint64_t)offset, (uint64_t)stat.st_size, ++number, old, (uint32_t)replaced, bytes, (uint32_t)count);
    file->unsynced++;
    free(old);
}

/* How much of a write a full or read-only disk takes; -1 with errno for nothing. */
static ssize_t admitted(int fd, size_t count, off_t offset) {
    uint64_t fault = atomic_load(&page->fault);
    struct stat stat;
    if (fault == NONE) return (ssize_t)count;
    if (fault == READ_ONLY) {
        atomic_fetch_add(&page->refused, 1);
        errno = EROFS;
        return -1;
    }
    if (fstat(fd, &stat)) abort();
    int64_t growth = fault == FULL_COPYING ? (int64_t)count : offset + (int64_t)count - stat.st_size;
    if (growth <= 0) return (ssize_t)count;
    int64_t room = atomic_load(&page->room);
    int64_t fits = (int64_t)count - (growth > room ? growth - room : 0);
    atomic_store(&page->room, growth > room ? 0 : room - growth);
    if (fits > 0) return fits;
    atomic_fetch_add(&page->refused, 1);
    errno = ENOSPC;
    return -1;
}

/* Counts a write; whether the process dies within it. */
static int is_last(int fd) {
    uint64_t nth = atomic_fetch_add(&page->writes, 1) + 1;
    if (nth == atomic_load(&page->die_at_write)) return 1;
    const char *name = files[file_of[fd] - 1].name;
    if (ends_with(name, "-wal") || ends_with(name, ".journal")) return 0;
    return atomic_fetch_add(&page->moves, 1) + 1 == atomic_load(&page->die_at_move);
}

static ssize_t write_at(int fd, const void *bytes, size_t count, off_t offset) {
    pthread_mutex_lock(&lock);
    ssize_t done = admitted(fd, count, offset);
    if (done > 0) {
        note_change(fd, WRITE, bytes, (size_t)done, offset);
        if (is_last(fd)) {
            real_pwrite(fd, bytes, (size_t)done / 2, offset);
            die();
        }
        done = real_pwrite(fd, bytes, (size_t)done, offset);
    }
    int failure = errno;
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return tracked(fd) > 0 ? write_at(fd, bytes, count, offset) : real_pwrite(fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

ssize_t write(int fd, const void *bytes, size_t count) {
    if (!real_write) set_up();
    if (tracked(fd) <= 0) return real_write(fd, bytes, count);
    int appends = fcntl(fd, F_GETFL) & O_APPEND;
    off_t offset = lseek(fd, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t done = write_at(fd, bytes, count, offset);
    if (done > 0) lseek(fd, offset + done, SEEK_SET);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (tracked(fd) <= 0) return real_writev(fd, parts, count);
    return count > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0; /* a short write, as the caller must expect */
}

int ftruncate64(int fd, off_t size) {
    if (tracked(fd) <= 0) return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    int done = -1, failure = EROFS;
    if (atomic_load(&page->fault) != READ_ONLY) {
        note_change(fd, TRUNCATE, NULL, 0, size);
        done = real_ftruncate(fd, size);
        failure = errno;
    }
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* Once nothing is unsynced, nothing in the log is needed any more. */
static void compact(void) {
    uint64_t unsynced = unsynced_names;
    for (int n = 0; n < file_count; n++) unsynced += files[n].unsynced;
    if (unsynced || log_bytes < COMPACT_BYTES) return;
    if (real_ftruncate(undo, 0)) abort();
    log_bytes = 0;
}

static void note_sync(int fd, uint64_t covers, uint64_t pending) {
    pthread_mutex_lock(&lock);
    if (file_of[fd] < 0) {
        note(SYNC_DIR, "", 0, 0, covers, NULL, 0, NULL, 0);
        unsynced_names = 0;
    } else {
        struct file *file = &files[file_of[fd] - 1];
        note(SYNC, file->name, 0, 0, covers, NULL, 0, NULL, 0);
        file->unsynced -= pending;
    }
    compact();
    pthread_mutex_unlock(&lock);
}

static int sync_with(int (*real)(int), int fd) {
    if (!page) return real(fd);
    uint64_t nth = atomic_fetch_add(&page->syncs, 1) + 1;
    pthread_mutex_lock(&lock);
    int of = undo >= 0 ? tracked(fd) : 0;
    uint64_t covers = number, pending = of > 0 ? files[of - 1].unsynced : 0;
    pthread_mutex_unlock(&lock);
    uint64_t delay_us = atomic_load(&page->sync_delay_us);
    if (delay_us) usleep((useconds_t)delay_us);
    if (nth == atomic_load(&page->die_at_sync)) die();
    if (of && pending && atomic_load(&page->fault) == READ_ONLY) {
        errno = EROFS;
        return -1;
    }
    int done = real(fd);
    if (!done && of) note_sync(fd, covers, pending);
    return done;
}

int fsync(int fd) { return sync_with(real_fsync, fd); }

int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }

static int16_t index_of(const char *name) {
    for (int n = 0; n < file_count; n++)
        if (!strcmp(files[n].name, name)) return (int16_t)(n + 1);
    if (file_count == MOST_FILES || strlen(name) >= NAME_BYTES) abort();
    strcpy(files[file_count].name, name);
    return (int16_t)++file_count;
}

/* Remembers a descriptor of a file that lies in the directory, or of the directory itself. */
static void remember(int fd, int is_new) {
    char link[64], path[PATH_MAX];
    size_t length = strlen(dir);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t read = readlink(link, path, sizeof path - 1);
    if (read < 0 || fd >= MOST_FDS) return;
    path[read] = 0;
    pthread_mutex_lock(&lock);
    if (!strcmp(path, dir)) {
        file_of[fd] = -1;
    } else if (!strncmp(path, dir, length) && path[length] == '/' && !strchr(path + length + 1, '/') && !ends_with(path, "-shm") && !ends_with(path, ".lock")) {
        file_of[fd] = index_of(path + length + 1);
        if (is_new) {
            note(CREATE, path + length + 1, 0, 0, ++number, NULL, 0, NULL, 0);
            unsynced_names++;
        }
    }
    pthread_mutex_unlock(&lock);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!real_open) set_up();
    if (undo < 0) return real_open(path, flags, mode);
    int is_new = (flags & O_CREAT) && access(path, F_OK);
    if (is_new && atomic_load(&page->fault) == READ_ONLY && !strncmp(path, dir, strlen(dir))) {
        errno = EROFS;
        return -1;
    }
    int fd = real_open(path, flags, mode);
    if (fd >= 0) remember(fd, is_new);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}

int close(int fd) {
    if (!real_close) set_up();
    if (fd >= 0 && fd < MOST_FDS) file_of[fd] = 0;
    return real_close(fd);
}

int unlink(const char *path) {
    if (undo >= 0 && atomic_load(&page->fault) == READ_ONLY && !strncmp(path, dir, strlen(dir))) {
        errno = EROFS;
        return -1;
    }
    return real_unlink(path);
}
