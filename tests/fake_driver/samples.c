/* nvmlDeviceGetSamples: what the driver buffered, worked out from the value's expression. */
#include "fake.h"

#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct sample {
    uint64_t stamp_us;
    union {
        double d;
        unsigned u;
        uint64_t ull;
    } value;
};

/* NVML's sampling types: the key sampled, the buffer that tells rate and length. */
static const struct {
    const char *key, *buffer, *name;
} kinds[] = {
    {"power_mw", "power", "power"},
    {"gpu_utilization", "utilization", "gpu"},
    {"memory_utilization", "utilization", "memory"},
    {"encoder_utilization", "utilization", "encoder"},
    {"decoder_utilization", "utilization", "decoder"},
    {"sm_clock", "clock_mhz", "sm_clock"},
    {"memory_clock", "clock_mhz", "memory_clock"},
    {NULL, NULL, NULL}, /* module power: Grace only */
    {"jpg_utilization", "utilization", "jpg"},
    {"ofa_utilization", "utilization", "ofa"},
};

enum { KINDS = sizeof kinds / sizeof *kinds, UINT = 1 };

/* Microseconds to add to CLOCK_MONOTONIC to get what the driver stamps samples with. The same as
 * before unless a clock moved: a sample whose stamp trembled would be new at every read. */
static int64_t clock_offset_us(const struct call *c)
{
    static _Atomic int64_t kept;
    const char *clock = scenario_text(c->scenario, "samples.clock");
    const char *jump = scenario_text(c->scenario, "samples.offset_us");
    int64_t offset = 0;
    double gap = 1e9;
    for (int i = 0; i < 3; i++) { /* the least held up of three looks at both clocks */
        struct timespec t;
        double before = monotonic_seconds();
        clock_gettime(strcmp(clock, "boottime") == 0 ? CLOCK_BOOTTIME : CLOCK_REALTIME, &t);
        double after = monotonic_seconds();
        if (after - before < gap) {
            double now = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
            gap = after - before;
            offset = (int64_t)((now - (before + after) / 2) * 1e6);
        }
    }
    offset += jump ? strtoll(jump, NULL, 0) : 0;
    if (llabs(offset - kept) > 1000)
        kept = offset;
    return kept;
}

struct source {
    const char *listed; /* `samples.<name> = 100 200 300` of the scenario, the newest last */
    struct expression e;
    double hz;
    unsigned count;
};

static answer_t open_source(const struct call *c, unsigned kind, struct source *source)
{
    char key[64];
    if (kind >= KINDS)
        return INVALID_ARGUMENT;
    if (!kinds[kind].key || (device_has_mig(c) && kind != 0))
        return NOT_SUPPORTED;
    memset(source, 0, sizeof *source);
    snprintf(key, sizeof key, "samples.%s.hz", kinds[kind].buffer);
    answer_t answer = read_expression(c, key, &source->e);
    source->hz = answer == OK ? expression_at(&source->e, c->now) : 0;
    snprintf(key, sizeof key, "samples.%s.count", kinds[kind].buffer);
    if (answer == OK)
        answer = read_u32(c, key, &source->count);
    snprintf(key, sizeof key, "samples.%s", kinds[kind].name);
    const char *text = device_text(c->scenario, c->device, key);
    if (answer != OK)
        return answer;
    if (text && strncmp(text, "none", 4) == 0)
        return NOT_FOUND;
    if (text && (strncmp(text, "error", 5) == 0 || strcmp(text, "unsupported") == 0)) {
        answer = read_expression(c, key, &source->e);
        return answer != OK ? answer : NOT_SUPPORTED;
    }
    if (text) {
        source->count = 0;
        for (const char *at = text; *(at += strspn(at, " \t")); at += strcspn(at, " \t"))
            source->count++;
        source->listed = text;
        return source->count ? OK : NOT_FOUND;
    }
    answer = read_expression(c, kinds[kind].key, &source->e);
    return answer == OK && (source->count == 0 || source->hz <= 0) ? NOT_FOUND : answer;
}

API nvmlDeviceGetSamples(handle_t handle, unsigned kind, unsigned long long since_us,
                         unsigned *type, unsigned *count, struct sample *samples)
{
    CALL(handle);
    struct source source;
    answer_t answer = open_source(&c, kind, &source);
    if (answer != OK)
        return answer;
    const char *twice_text = scenario_text(c.scenario, "samples.duplicates");
    unsigned copies = twice_text && atoi(twice_text) ? 2 : 1;
    *type = UINT;
    if (!samples) { /* the size of the buffer, whatever is in it */
        *count = source.count * copies;
        return OK;
    }
    unsigned room = *count, written = 0;
    int64_t offset = clock_offset_us(&c);
    /* Samples lie on a grid of time, so that two reads agree about the ones they share. */
    double newest = floor(c.now * source.hz);
    const char *listed = source.listed;
    for (unsigned i = 0; i < source.count; i++) {
        double t = (newest - (source.count - 1 - i)) / source.hz;
        uint64_t value = listed ? strtoull(listed, (char **)&listed, 0)
                                : expression_integer(&source.e, t);
        uint64_t stamp = (uint64_t)(llround(t * 1e6) + offset);
        if (stamp <= since_us)
            continue;
        for (unsigned copy = 0; copy < copies; copy++) {
            if (written == room)
                return INSUFFICIENT_SIZE;
            memset(&samples[written], 0, sizeof *samples);
            samples[written].stamp_us = stamp;
            samples[written++].value.u = (unsigned)value;
        }
    }
    *count = written;
    return written ? OK : NOT_FOUND;
}
