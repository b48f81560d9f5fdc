/* Is the hardware sick: ECC, remapped rows, retired pages. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const error_types[] = {"corrected", "uncorrected"};
static const char *const counter_types[] = {"volatile", "aggregate"};
static const char *const locations[] = {"l1",          "l2",          "dram", "register_file",
                                        "texture",     "texture_shm", "cbu",  "sram"};

API nvmlDeviceGetEccMode(handle_t handle, unsigned *current, unsigned *pending)
{
    CALL(handle);
    answer_t answer = read_u32(&c, "ecc_mode", current);
    return answer != OK ? answer : read_u32(&c, "ecc_mode_pending", pending);
}

/* Without ECC there is nothing to count. */
static answer_t ecc_enabled(const struct call *c)
{
    unsigned mode = 0;
    answer_t answer = read_u32(c, "ecc_mode", &mode);
    return answer == OK && mode == 0 ? NOT_SUPPORTED : answer;
}

API nvmlDeviceGetTotalEccErrors(handle_t handle, unsigned error, unsigned counter, uint64_t *count)
{
    CALL(handle);
    if (error > 1 || counter > 1)
        return INVALID_ARGUMENT;
    char key[48];
    snprintf(key, sizeof key, "ecc.%s.%s", counter_types[counter], error_types[error]);
    answer_t answer = ecc_enabled(&c);
    return answer != OK ? answer : read_u64(&c, key, count);
}

API nvmlDeviceGetMemoryErrorCounter(handle_t handle, unsigned error, unsigned counter,
                                    unsigned location, uint64_t *count)
{
    CALL(handle);
    if (error > 1 || counter > 1 || location > 7)
        return INVALID_ARGUMENT;
    char key[64];
    snprintf(key, sizeof key, "ecc.%s.%s.%s", counter_types[counter], error_types[error],
             locations[location]);
    answer_t answer = ecc_enabled(&c);
    if (answer != OK)
        return answer;
    *count = 0;
    return device_text(c.scenario, c.device, key) ? read_u64(&c, key, count) : OK;
}

API nvmlDeviceGetRemappedRows(handle_t handle, unsigned *correctable, unsigned *uncorrectable,
                              unsigned *pending, unsigned *failure)
{
    CALL(handle);
    if (device_has_mig(&c))
        return NOT_SUPPORTED;
    answer_t answer = read_u32(&c, "remapped.correctable", correctable);
    if (answer == OK)
        answer = read_u32(&c, "remapped.uncorrectable", uncorrectable);
    if (answer == OK)
        answer = read_u32(&c, "remapped.pending", pending);
    return answer == OK ? read_u32(&c, "remapped.failure", failure) : answer;
}

/* Banks by how many spare rows they have left: max, high, partial, low, none. */
API nvmlDeviceGetRowRemapperHistogram(handle_t handle, unsigned banks[5])
{
    CALL(handle);
    char text[96], *at = text;
    answer_t answer = read_text(&c, "remapped.histogram", text, sizeof text);
    for (int i = 0; answer == OK && i < 5; i++)
        banks[i] = (unsigned)strtoul(at, &at, 0);
    return answer;
}

/* `retired_pages.sbe = 2` answers two made-up addresses. */
static answer_t retired_pages(const struct call *c, unsigned cause, unsigned *count,
                              uint64_t *addresses, uint64_t *stamps)
{
    static const char *const keys[] = {"retired_pages.sbe", "retired_pages.dbe"};
    unsigned pages = 0, room = *count;
    answer_t answer = cause < 2 ? read_u32(c, keys[cause], &pages) : INVALID_ARGUMENT;
    if (answer != OK)
        return answer;
    *count = pages;
    if (pages > room || (pages && !addresses))
        return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < pages; i++) {
        addresses[i] = 0x1000ull * (i + 1);
        if (stamps)
            stamps[i] = 1700000000 + i;
    }
    return OK;
}

API nvmlDeviceGetRetiredPages(handle_t handle, unsigned cause, unsigned *count,
                              uint64_t *addresses)
{
    CALL(handle);
    return retired_pages(&c, cause, count, addresses, NULL);
}

API nvmlDeviceGetRetiredPages_v2(handle_t handle, unsigned cause, unsigned *count,
                                 uint64_t *addresses, uint64_t *stamps)
{
    CALL(handle);
    return retired_pages(&c, cause, count, addresses, addresses ? stamps : NULL);
}

API nvmlDeviceGetRetiredPagesPendingStatus(handle_t handle, unsigned *pending)
{
    CALL(handle);
    return read_u32(&c, "retired_pages.pending", pending);
}
