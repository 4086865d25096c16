/* Faults of the system for a process that loads this library with LD_PRELOAD.
 *
 * BAEKMAN_FAULT_FLOCK set: flock fails, as on a file system without locks.
 * BAEKMAN_FAULT_CLOCK=SECONDS: the clock of the day is set by so many seconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int flock(int descriptor, int operation) {
    int (*next)(int, int) = dlsym(RTLD_NEXT, "flock");
    if (getenv("BAEKMAN_FAULT_FLOCK")) {
        errno = ENOLCK;
        return -1;
    }
    return next(descriptor, operation);
}

static long shift(void) {
    const char *seconds = getenv("BAEKMAN_FAULT_CLOCK");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*next)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    int (*next)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = next(now, zone);
    if (result == 0)
        now->tv_sec += shift();
    return result;
}

time_t time(time_t *now) {
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
