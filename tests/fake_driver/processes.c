/* Who holds the device: process lists and what each process uses. */
#include "fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process_v1 {
    unsigned pid;
    uint64_t memory;
};

struct process_v2 { /* version 3 is the same */
    unsigned pid;
    uint64_t memory;
    unsigned gpu_instance, compute_instance;
};

static unsigned pid_of(const struct call *c, const char *line)
{
    char text[24];
    if (option(line, "pid", text, sizeof text) && strcmp(text, "self") == 0)
        return (unsigned)getpid();
    return (unsigned)option_number(c, line, "pid", 0);
}

/* Is the process of this type (C, G or M; `C+G` is two) and inside the handle's instance? */
static bool belongs(const struct call *c, const char *line, char type)
{
    char text[16] = "C";
    option(line, "type", text, sizeof text);
    if (!strchr(text, type))
        return false;
    if (c->mig == NO_MIG)
        return true;
    uint64_t none = NOT_AVAILABLE_U32;
    return option_number(c, line, "gi", none)
           == option_number(c, mig_text(c->scenario, c->device, c->mig), "gi",
                            (uint64_t)c->mig + 1);
}

/* `stride` bytes for each entry, which a driver and its caller do not always agree on. */
static answer_t list_processes(const struct call *c, char type, size_t stride, unsigned *count,
                               char *out)
{
    const struct list *list = &c->scenario->lists[PROCESSES][c->device];
    unsigned found = 0, room = *count;
    uint64_t size_query = INSUFFICIENT_SIZE, real_stride = stride;
    if (stride == sizeof(struct process_v2))
        read_u64(c, "processes.struct_bytes", &real_stride);
    size_t bytes = room * stride, at = 0;
    for (int i = 0; i < list->count; i++) {
        const char *line = list->items[i].text;
        if (!belongs(c, line, type))
            continue;
        found++;
        if (!out || found > room)
            continue;
        struct process_v2 process = {
            .pid = pid_of(c, line),
            .memory = option_number(c, line, "memory", 0),
            .gpu_instance = (unsigned)option_number(c, line, "gi", NOT_AVAILABLE_U32),
            .compute_instance = (unsigned)option_number(c, line, "ci", NOT_AVAILABLE_U32),
        };
        size_t length = real_stride < sizeof process ? (size_t)real_stride : sizeof process;
        if (at + length <= bytes)
            memcpy(out + at, &process, length);
        at += real_stride;
    }
    *count = found;
    if (!out)
        read_u64(c, "processes.size_query", &size_query);
    if (found == 0)
        return OK;
    return out ? (found > room ? INSUFFICIENT_SIZE : OK) : (answer_t)size_query;
}

#define PROCESS_LIST(symbol, type, entry)                                                      \
    API symbol(handle_t handle, unsigned *count, entry *processes)                             \
    {                                                                                          \
        CALL_OR_MIG(handle);                                                                   \
        return list_processes(&c, type, sizeof *processes, count, (char *)processes);          \
    }

PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses, 'C', struct process_v1)
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2, 'C', struct process_v2)
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3, 'C', struct process_v2)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses, 'G', struct process_v1)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, 'G', struct process_v2)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, 'G', struct process_v2)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses, 'M', struct process_v1)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, 'M', struct process_v2)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, 'M', struct process_v2)

/* ---- utilisation of each process ---------------------------------------------------------- */

struct process_sample {
    unsigned pid;
    uint64_t stamp_us;
    unsigned sm, memory, encoder, decoder;
};

struct process_sample_v1 {
    uint64_t stamp_us;
    unsigned pid, sm, memory, encoder, decoder, jpg, ofa;
};

/* A row for a process that uses anything, stamped with the last sixth of a second. */
static bool process_row(const struct call *c, const char *line, uint64_t since_us,
                        struct process_sample_v1 *row)
{
    row->pid = pid_of(c, line);
    row->sm = (unsigned)option_number(c, line, "sm", 0);
    row->memory = (unsigned)option_number(c, line, "mem", 0);
    row->encoder = (unsigned)option_number(c, line, "enc", 0);
    row->decoder = (unsigned)option_number(c, line, "dec", 0);
    row->jpg = (unsigned)option_number(c, line, "jpg", 0);
    row->ofa = (unsigned)option_number(c, line, "ofa", 0);
    row->stamp_us = option_number(c, line, "stamp", 0);
    if (row->stamp_us) /* a stale row: the driver answers it whatever was asked */
        return true;
    row->stamp_us = realtime_us() / 166667 * 166667;
    return row->stamp_us > since_us
           && (row->sm || row->memory || row->encoder || row->decoder || row->jpg || row->ofa);
}

/* Rows since then in a new array; their number. */
static unsigned process_rows(const struct call *c, uint64_t since_us,
                             struct process_sample_v1 **rows)
{
    const struct list *list = &c->scenario->lists[PROCESSES][c->device];
    unsigned found = 0;
    *rows = calloc((size_t)list->count + 1, sizeof **rows);
    for (int i = 0; *rows && i < list->count; i++)
        found += process_row(c, list->items[i].text, since_us, &(*rows)[found]);
    return found;
}

/* What an idle device answers: NOT_FOUND, or success and no row. */
static answer_t idle_answer(const struct call *c)
{
    unsigned answer = NOT_FOUND;
    read_u32(c, "process_utilization.idle", &answer);
    return answer;
}

API nvmlDeviceGetProcessUtilization(handle_t handle, struct process_sample *samples,
                                    unsigned *count, unsigned long long since_us)
{
    CALL(handle);
    if (device_has_mig(&c))
        return NOT_SUPPORTED;
    struct process_sample_v1 *rows;
    unsigned found = process_rows(&c, since_us, &rows), room = *count;
    answer_t answer = found == 0 ? idle_answer(&c) : OK;
    if (found > 0 && (!samples || found > room))
        answer = INSUFFICIENT_SIZE;
    for (unsigned i = 0; answer == OK && i < found; i++)
        samples[i] = (struct process_sample){rows[i].pid,    rows[i].stamp_us, rows[i].sm,
                                             rows[i].memory, rows[i].encoder,  rows[i].decoder};
    *count = found;
    free(rows);
    return answer;
}

struct processes_utilization {
    unsigned version, count;
    uint64_t since_us;
    struct process_sample_v1 *rows;
};

API nvmlDeviceGetProcessesUtilizationInfo(handle_t handle, struct processes_utilization *info)
{
    CALL(handle);
    if (info->version != (1u << 24 | sizeof *info))
        return VERSION_MISMATCH;
    if (device_has_mig(&c))
        return NOT_SUPPORTED;
    struct process_sample_v1 *rows;
    unsigned found = process_rows(&c, info->since_us, &rows), room = info->count;
    answer_t answer = found == 0 ? idle_answer(&c) : OK;
    if (found > 0 && (!info->rows || found > room))
        answer = INSUFFICIENT_SIZE;
    if (answer == OK && found > 0)
        memcpy(info->rows, rows, found * sizeof *rows);
    info->count = found;
    free(rows);
    return answer;
}
