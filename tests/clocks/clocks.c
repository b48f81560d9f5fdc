/* Moves the clocks of a program that is preloaded with this: what a suspend does to
 * CLOCK_BOOTTIME and the wall clock, and what a hand or NTP does to the wall clock. The two
 * offsets, in nanoseconds, lie in the file that CLOCKS_FILE names; a test rewrites them while the
 * program runs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct offsets {
    volatile int64_t boottime, realtime;
};

static const struct offsets *offsets;

/* The first call may come from anywhere, so that this is a constructor and takes no lock. */
__attribute__((constructor)) static void open_offsets(void)
{
    const char *path = getenv("CLOCKS_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *offsets, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        offsets = page;
}

static void add(struct timespec *t, int64_t ns)
{
    int64_t whole = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec + ns;
    t->tv_sec = whole / 1000000000;
    t->tv_nsec = whole % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int answer = (int)syscall(SYS_clock_gettime, clock, t);
    if (answer == 0 && offsets) {
        if (clock == CLOCK_BOOTTIME)
            add(t, offsets->boottime);
        else if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
            add(t, offsets->realtime);
    }
    return answer;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    (void)zone;
    struct timespec t;
    int answer = clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
