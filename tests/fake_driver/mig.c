/* MIG: a device split into instances, each with a handle of its own. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

const char *mig_text(const struct scenario *s, int device, int slot)
{
    const struct list *migs = &s->lists[MIGS][device];
    for (int i = 0; i < migs->count; i++)
        if (migs->items[i].slot == slot)
            return migs->items[i].text;
    return NULL;
}

/* `mig_mode`, and without it: whether there are instances. */
static answer_t mig_mode(const struct call *c, unsigned *mode)
{
    *mode = c->scenario->lists[MIGS][c->device].count > 0;
    return device_text(c->scenario, c->device, "mig_mode") ? read_u32(c, "mig_mode", mode) : OK;
}

bool device_has_mig(const struct call *c)
{
    unsigned mode;
    return mig_mode(c, &mode) == OK && mode == 1;
}

API nvmlDeviceGetMigMode(handle_t handle, unsigned *current, unsigned *pending)
{
    CALL(handle);
    answer_t answer = mig_mode(&c, current);
    *pending = *current;
    if (answer == OK && device_text(c.scenario, c.device, "mig_mode_pending"))
        answer = read_u32(&c, "mig_mode_pending", pending);
    return answer;
}

API nvmlDeviceGetMaxMigDeviceCount(handle_t handle, unsigned *count)
{
    CALL(handle);
    return read_u32(&c, "mig_max", count);
}

API nvmlDeviceGetMigDeviceHandleByIndex(handle_t handle, unsigned index, handle_t *mig)
{
    CALL(handle);
    if (index > 200)
        return INVALID_ARGUMENT;
    if (!device_has_mig(&c) || !mig_text(c.scenario, c.device, (int)index))
        return NOT_FOUND; /* a hole, which a caller has to step over */
    *mig = handle_of(c.scenario, c.device, (int)index);
    return OK;
}

API nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle_t mig, handle_t *device)
{
    CALL_OR_MIG(mig);
    if (c.mig == NO_MIG)
        return INVALID_ARGUMENT;
    *device = handle_of(c.scenario, c.device, NO_MIG);
    return OK;
}

API nvmlDeviceIsMigDeviceHandle(handle_t handle, unsigned *is_mig)
{
    CALL_OR_MIG(handle);
    *is_mig = c.mig != NO_MIG;
    return OK;
}

static answer_t instance_id(const struct call *c, const char *name, unsigned otherwise,
                            unsigned *id)
{
    if (c->mig == NO_MIG)
        return NOT_SUPPORTED;
    *id = (unsigned)option_number(c, mig_text(c->scenario, c->device, c->mig), name, otherwise);
    return OK;
}

API nvmlDeviceGetGpuInstanceId(handle_t handle, unsigned *id)
{
    CALL_OR_MIG(handle);
    return instance_id(&c, "gi", (unsigned)c.mig + 1, id);
}

API nvmlDeviceGetComputeInstanceId(handle_t handle, unsigned *id)
{
    CALL_OR_MIG(handle);
    return instance_id(&c, "ci", 0, id);
}

struct attributes {
    unsigned sms, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    uint64_t memory_mib;
};

API nvmlDeviceGetAttributes_v2(handle_t handle, struct attributes *attributes)
{
    CALL_OR_MIG(handle);
    if (c.mig == NO_MIG)
        return NOT_SUPPORTED;
    const char *line = mig_text(c.scenario, c.device, c.mig);
    char profile[32];
    unsigned slices = option(line, "profile", profile, sizeof profile) ? (unsigned)atoi(profile) : 1;
    memset(attributes, 0, sizeof *attributes);
    attributes->sms = (unsigned)option_number(&c, line, "sms", slices * 16);
    attributes->copy_engines = slices;
    attributes->decoders = slices;
    attributes->jpegs = slices;
    attributes->gpu_slices = slices;
    attributes->compute_slices = slices;
    attributes->memory_mib = option_number(&c, line, "memory_total", 10200547328) >> 20;
    return OK;
}
