/* The library itself: start and stop, versions, finding devices. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

API nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    CALL_INIT();
    initialised_add(1);
    return OK;
}

API nvmlInit_v2(void)
{
    CALL_INIT();
    initialised_add(1);
    return OK;
}

API nvmlInit(void)
{
    CALL_INIT();
    initialised_add(1);
    return OK;
}

API nvmlShutdown(void)
{
    CALL_LIBRARY();
    initialised_add(-1);
    return OK;
}

__attribute__((visibility("default"))) const char *nvmlErrorString(answer_t answer)
{
    static const char *const names[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported",
        "Insufficient Permissions", "Already Initialized", "Not Found", "Insufficient Size",
        "Insufficient External Power", "Driver Not Loaded", "Timeout", "Interrupt Request Issue",
        "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM", "GPU is lost",
        "GPU requires reset", "Operating System Blocked The Request",
        "Driver/library version mismatch", "In use by another client", "Insufficient Memory",
        "No data", "vGPU ECC not supported", "Insufficient resources", "Frequency not supported",
        "Argument version mismatch", "Deprecated", "Not ready", "No GPUs were found",
        "Invalid state", "Reset type not supported", "Unknown Error",
    };
    size_t last = sizeof names / sizeof *names - 1;
    return names[answer < last ? answer : last];
}

API nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    CALL_LIBRARY();
    return read_global_text(&c, "driver_version", version, length);
}

API nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    CALL_LIBRARY();
    return read_global_text(&c, "nvml_version", version, length);
}

static answer_t cuda_version(const struct call *c, int *version)
{
    char text[32];
    answer_t answer = read_global_text(c, "cuda_version", text, sizeof text);
    if (answer == OK)
        *version = atoi(text);
    return answer;
}

API nvmlSystemGetCudaDriverVersion(int *version)
{
    CALL_LIBRARY();
    return cuda_version(&c, version);
}

API nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    CALL_LIBRARY();
    return cuda_version(&c, version);
}

API nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length)
{
    CALL_LIBRARY();
    char path[48];
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return NOT_FOUND;
    size_t n = length ? fread(name, 1, length - 1, file) : 0;
    fclose(file);
    if (length)
        name[n] = '\0';
    return OK;
}

API nvmlDeviceGetCount_v2(unsigned *count)
{
    CALL_LIBRARY();
    *count = c.scenario->says_count;
    return OK;
}

/* The device number at an index, NO_DEVICE outside the count. */
static int device_at(unsigned index)
{
    struct scenario *s = scenario_acquire();
    int device = index < (unsigned)s->count ? s->order[index] : NO_DEVICE;
    scenario_release(s);
    return device;
}

API nvmlDeviceGetHandleByIndex_v2(unsigned index, handle_t *handle)
{
    int device = device_at(index);
    CALL_INDEX(device);
    if (device == NO_DEVICE)
        return INVALID_ARGUMENT;
    *handle = handle_of(c.scenario, device, NO_MIG);
    return OK;
}

static bool same_mig(const struct scenario *s, int device, int slot, const char *uuid)
{
    char found[96];
    return option(mig_text(s, device, slot), "uuid", found, sizeof found)
           && strcmp(found, uuid) == 0;
}

/* Search the devices and their MIG instances for a text under `key`. */
static answer_t find(struct call *c, const char *key, const char *wanted, handle_t *handle)
{
    for (int i = 0; wanted && i < c->scenario->count; i++) {
        char found[96];
        c->device = c->scenario->order[i];
        if (read_text(c, key, found, sizeof found) == OK && strcmp(found, wanted) == 0) {
            *handle = handle_of(c->scenario, c->device, NO_MIG);
            return c->scenario->lost[c->device] ? GPU_IS_LOST : OK;
        }
        const struct list *migs = &c->scenario->lists[MIGS][c->device];
        for (int j = 0; device_has_mig(c) && j < migs->count; j++)
            if (same_mig(c->scenario, c->device, migs->items[j].slot, wanted)) {
                *handle = handle_of(c->scenario, c->device, migs->items[j].slot);
                return OK;
            }
    }
    return wanted ? NOT_FOUND : INVALID_ARGUMENT;
}

API nvmlDeviceGetHandleByUUID(const char *uuid, handle_t *handle)
{
    CALL_LIBRARY();
    return find(&c, "uuid", uuid, handle);
}

API nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, handle_t *handle)
{
    CALL_LIBRARY();
    return find(&c, "pci_bus_id", bus_id, handle);
}
