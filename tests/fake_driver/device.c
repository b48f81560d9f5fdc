/* One device: identity, utilisation, memory, power, temperature, fans, clocks, modes. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the many calls that answer one number or one text under one key ------------------- */

#define NUMBER(symbol, key)                                                                    \
    API symbol(handle_t handle, unsigned *out)                                                 \
    {                                                                                          \
        CALL(handle);                                                                          \
        return read_u32(&c, key, out);                                                         \
    }
#define NUMBER64(symbol, key)                                                                  \
    API symbol(handle_t handle, uint64_t *out)                                                 \
    {                                                                                          \
        CALL(handle);                                                                          \
        return read_u64(&c, key, out);                                                         \
    }
#define TEXT(symbol, key)                                                                      \
    API symbol(handle_t handle, char *out, unsigned size)                                      \
    {                                                                                          \
        CALL(handle);                                                                          \
        return read_text(&c, key, out, size);                                                  \
    }
#define NUMBER_AND_WINDOW(symbol, key)                                                         \
    API symbol(handle_t handle, unsigned *out, unsigned *window_us)                            \
    {                                                                                          \
        CALL(handle);                                                                          \
        if (device_has_mig(&c))                                                                \
            return NOT_SUPPORTED;                                                              \
        *window_us = 167000;                                                                   \
        return read_u32(&c, key, out);                                                         \
    }

TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetBoardPartNumber, "part_number")
TEXT(nvmlDeviceGetVbiosVersion, "vbios_version")
NUMBER(nvmlDeviceGetArchitecture, "architecture")
NUMBER(nvmlDeviceGetBrand, "brand")
NUMBER(nvmlDeviceGetNumaNodeId, "numa_node")
NUMBER(nvmlDeviceGetBoardId, "board_id")
NUMBER(nvmlDeviceGetNumGpuCores, "cores")
NUMBER(nvmlDeviceGetMemoryBusWidth, "memory_bus_width")
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_limit_mw")
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "power_limit_default_mw")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit_enforced_mw")
NUMBER(nvmlDeviceGetNumFans, "fans")
NUMBER(nvmlDeviceGetPerformanceState, "performance_state")
NUMBER(nvmlDeviceGetPowerState, "performance_state")
NUMBER64(nvmlDeviceGetCurrentClocksEventReasons, "clocks_event_reasons")
NUMBER64(nvmlDeviceGetCurrentClocksThrottleReasons, "clocks_event_reasons")
NUMBER64(nvmlDeviceGetSupportedClocksEventReasons, "clocks_event_reasons_supported")
NUMBER64(nvmlDeviceGetSupportedClocksThrottleReasons, "clocks_event_reasons_supported")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence_mode")
NUMBER(nvmlDeviceGetDisplayActive, "display_active")
NUMBER(nvmlDeviceGetDisplayMode, "display_mode")
NUMBER(nvmlDeviceGetVirtualizationMode, "virtualization_mode")
NUMBER(nvmlDeviceGetAccountingMode, "accounting_mode")
NUMBER_AND_WINDOW(nvmlDeviceGetEncoderUtilization, "encoder_utilization")
NUMBER_AND_WINDOW(nvmlDeviceGetDecoderUtilization, "decoder_utilization")
NUMBER_AND_WINDOW(nvmlDeviceGetJpgUtilization, "jpg_utilization")
NUMBER_AND_WINDOW(nvmlDeviceGetOfaUtilization, "ofa_utilization")

/* ---- identity ---------------------------------------------------------------------------- */

API nvmlDeviceGetName(handle_t handle, char *name, unsigned size)
{
    CALL_OR_MIG(handle);
    char profile[32];
    answer_t answer = read_text(&c, "name", name, size);
    if (answer != OK || c.mig == NO_MIG
        || !option(mig_text(c.scenario, c.device, c.mig), "profile", profile, sizeof profile))
        return answer;
    size_t length = strlen(name);
    return (unsigned)snprintf(name + length, size - length, " MIG %s", profile) < size - length
               ? OK
               : INSUFFICIENT_SIZE;
}

API nvmlDeviceGetUUID(handle_t handle, char *uuid, unsigned size)
{
    CALL_OR_MIG(handle);
    char text[96];
    if (c.mig == NO_MIG)
        return read_text(&c, "uuid", uuid, size);
    if (!option(mig_text(c.scenario, c.device, c.mig), "uuid", text, sizeof text))
        snprintf(text, sizeof text, "MIG-00000000-0000-4000-8000-%06d%06d", c.device, c.mig);
    return copy_text(text, c.device, uuid, size);
}

API nvmlDeviceGetIndex(handle_t handle, unsigned *index)
{
    CALL_OR_MIG(handle);
    for (int i = 0; i < c.scenario->count; i++)
        if (c.scenario->order[i] == c.device)
            *index = (unsigned)(c.mig == NO_MIG ? i : c.mig);
    return OK;
}

API nvmlDeviceGetMinorNumber(handle_t handle, unsigned *minor)
{
    CALL(handle);
    *minor = (unsigned)c.device; /* unlike the index it stays with the device */
    return device_text(c.scenario, c.device, "minor") ? read_u32(&c, "minor", minor) : OK;
}

struct pci_info {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

API nvmlDeviceGetPciInfo_v3(handle_t handle, struct pci_info *info)
{
    CALL(handle);
    memset(info, 0, sizeof *info);
    answer_t answer = read_text(&c, "pci_bus_id", info->bus_id, sizeof info->bus_id);
    if (answer != OK)
        return answer;
    sscanf(info->bus_id, "%x:%x:%x", &info->domain, &info->bus, &info->device);
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.0",
             info->domain & 0xFFFF, info->bus & 0xFF, info->device & 0x1F);
    read_u32(&c, "pci_device_id", &info->device_id);
    read_u32(&c, "pci_subsystem_id", &info->subsystem_id);
    return OK;
}

API nvmlDeviceGetCudaComputeCapability(handle_t handle, int *major, int *minor)
{
    CALL(handle);
    char text[32];
    answer_t answer = read_text(&c, "compute_capability", text, sizeof text);
    *major = *minor = 0;
    if (answer == OK)
        sscanf(text, "%d.%d", major, minor);
    return answer;
}

API nvmlDeviceGetCpuAffinity(handle_t handle, unsigned words, unsigned long *mask)
{
    CALL(handle);
    char text[256], *at = text, *end;
    answer_t answer = read_text(&c, "cpu_affinity", text, sizeof text);
    for (unsigned i = 0; answer == OK && i < words; i++, at = end)
        mask[i] = strtoul(at, &end, 0); /* 0 once the text is used up */
    return answer;
}

/* ---- utilisation and memory -------------------------------------------------------------- */

struct utilization {
    unsigned gpu, memory;
};

API nvmlDeviceGetUtilizationRates(handle_t handle, struct utilization *rates)
{
    CALL(handle);
    if (device_has_mig(&c))
        return NOT_SUPPORTED;
    answer_t answer = read_u32(&c, "gpu_utilization", &rates->gpu);
    return answer != OK ? answer : read_u32(&c, "memory_utilization", &rates->memory);
}

/* Bytes of the device or of the MIG instance. A device split by MIG answers NO_PERMISSION. */
static answer_t memory_sizes(const struct call *c, uint64_t *total, uint64_t *reserved,
                             uint64_t *used)
{
    if (c->mig != NO_MIG) {
        const char *line = mig_text(c->scenario, c->device, c->mig);
        *total = option_number(c, line, "memory_total", 10200547328);
        *used = option_number(c, line, "memory_used", 0);
        *reserved = option_number(c, line, "memory_reserved", 0);
        return OK;
    }
    if (device_has_mig(c))
        return NO_PERMISSION;
    answer_t answer = read_u64(c, "memory_total", total);
    if (answer == OK)
        answer = read_u64(c, "memory_reserved", reserved);
    return answer == OK ? read_u64(c, "memory_used", used) : answer;
}

struct memory {
    uint64_t total, free, used;
};

API nvmlDeviceGetMemoryInfo(handle_t handle, struct memory *memory)
{
    CALL_OR_MIG(handle);
    uint64_t reserved = 0;
    answer_t answer = memory_sizes(&c, &memory->total, &reserved, &memory->used);
    if (answer == OK) {
        memory->used += reserved; /* the old call counts the driver's share as used */
        memory->free = memory->total - memory->used;
    }
    return answer;
}

struct memory_v2 {
    unsigned version;
    uint64_t total, reserved, free, used;
};

API nvmlDeviceGetMemoryInfo_v2(handle_t handle, struct memory_v2 *memory)
{
    CALL_OR_MIG(handle);
    if (memory->version != (2u << 24 | sizeof *memory))
        return VERSION_MISMATCH;
    answer_t answer = memory_sizes(&c, &memory->total, &memory->reserved, &memory->used);
    if (answer == OK)
        memory->free = memory->total - memory->used - memory->reserved;
    return answer;
}

API nvmlDeviceGetBAR1MemoryInfo(handle_t handle, struct memory *memory)
{
    CALL_OR_MIG(handle);
    answer_t answer = read_u64(&c, "bar1_total", &memory->total);
    if (answer == OK)
        answer = read_u64(&c, "bar1_used", &memory->used);
    memory->free = memory->total - memory->used;
    return answer;
}

/* ---- power ------------------------------------------------------------------------------- */

API nvmlDeviceGetPowerUsage(handle_t handle, unsigned *milliwatts)
{
    CALL(handle);
    uint64_t value = 0;
    answer_t answer = read_averaged(&c, "power_mw", 1, &value);
    *milliwatts = (unsigned)value;
    return answer;
}

API nvmlDeviceGetPowerManagementLimitConstraints(handle_t handle, unsigned *low, unsigned *high)
{
    CALL(handle);
    answer_t answer = read_u32(&c, "power_limit_min_mw", low);
    return answer != OK ? answer : read_u32(&c, "power_limit_max_mw", high);
}

API nvmlDeviceGetPowerManagementMode(handle_t handle, unsigned *mode)
{
    CALL(handle);
    *mode = 1;
    return OK;
}

API nvmlDeviceGetTotalEnergyConsumption(handle_t handle, uint64_t *millijoules)
{
    CALL(handle);
    return counter_read(c.device, ENERGY, millijoules);
}

/* ---- temperature and fans ---------------------------------------------------------------- */

API nvmlDeviceGetTemperature(handle_t handle, unsigned sensor, unsigned *celsius)
{
    CALL(handle);
    return sensor == 0 ? read_u32(&c, "temperature", celsius) : INVALID_ARGUMENT;
}

struct temperature {
    unsigned version, sensor;
    int celsius;
};

API nvmlDeviceGetTemperatureV(handle_t handle, struct temperature *temperature)
{
    CALL(handle);
    if (temperature->version != (1u << 24 | sizeof *temperature))
        return VERSION_MISMATCH;
    if (temperature->sensor != 0)
        return NOT_SUPPORTED;
    return read_u32(&c, "temperature", (unsigned *)&temperature->celsius);
}

struct margin {
    unsigned version;
    int celsius;
};

API nvmlDeviceGetMarginTemperature(handle_t handle, struct margin *margin)
{
    CALL(handle);
    if (margin->version != (1u << 24 | sizeof *margin))
        return VERSION_MISMATCH;
    return read_u32(&c, "temperature_margin", (unsigned *)&margin->celsius);
}

API nvmlDeviceGetTemperatureThreshold(handle_t handle, unsigned threshold, unsigned *celsius)
{
    CALL(handle);
    static const char *const keys[] = {"temperature_shutdown", "temperature_slowdown",
                                       "temperature_memory_max", "temperature_gpu_max"};
    return threshold < 4 ? read_u32(&c, keys[threshold], celsius) : NOT_SUPPORTED;
}

/* `fan.<i>.speed` of one fan, else `fan_speed` of them all. */
static answer_t fan_value(const struct call *c, unsigned fan, const char *what, unsigned *out)
{
    char key[32];
    unsigned fans = 0;
    answer_t answer = read_u32(c, "fans", &fans);
    if (answer != OK)
        return answer;
    if (fans > 0 && fan >= fans)
        return INVALID_ARGUMENT;
    snprintf(key, sizeof key, "fan.%u.%s", fan, what);
    if (!device_text(c->scenario, c->device, key))
        snprintf(key, sizeof key, "fan_%s", what);
    return read_u32(c, key, out);
}

API nvmlDeviceGetFanSpeed(handle_t handle, unsigned *percent)
{
    CALL(handle);
    return fan_value(&c, 0, "speed", percent);
}

API nvmlDeviceGetFanSpeed_v2(handle_t handle, unsigned fan, unsigned *percent)
{
    CALL(handle);
    return fan_value(&c, fan, "speed", percent);
}

struct fan_speed {
    unsigned version, fan, rpm;
};

API nvmlDeviceGetFanSpeedRPM(handle_t handle, struct fan_speed *speed)
{
    CALL(handle);
    if (speed->version != (1u << 24 | sizeof *speed))
        return VERSION_MISMATCH;
    return fan_value(&c, speed->fan, "rpm", &speed->rpm);
}

/* ---- clocks and what holds them down ------------------------------------------------------ */

API nvmlDeviceGetClockInfo(handle_t handle, unsigned type, unsigned *mhz)
{
    CALL(handle);
    static const char *const keys[] = {"graphics_clock", "sm_clock", "memory_clock",
                                       "video_clock"};
    return type < 4 ? read_u32(&c, keys[type], mhz) : INVALID_ARGUMENT;
}

API nvmlDeviceGetMaxClockInfo(handle_t handle, unsigned type, unsigned *mhz)
{
    CALL(handle);
    static const char *const keys[] = {"graphics_clock_max", "sm_clock_max", "memory_clock_max",
                                       "video_clock_max"};
    return type < 4 ? read_u32(&c, keys[type], mhz) : INVALID_ARGUMENT;
}

API nvmlDeviceGetMinMaxClockOfPState(handle_t handle, unsigned type, unsigned state,
                                     unsigned *lowest, unsigned *highest)
{
    CALL(handle);
    if (type != 1 || state > 15)
        return INVALID_ARGUMENT;
    char key[32];
    snprintf(key, sizeof key, "sm_clock_max.%u", state);
    *lowest = 210;
    return read_u32(&c, key, highest);
}

struct violation {
    uint64_t reference_us, duration_ns;
};

API nvmlDeviceGetViolationStatus(handle_t handle, unsigned policy, struct violation *violation)
{
    CALL(handle);
    static const int counters[] = {
        VIOLATION_POWER, VIOLATION_THERMAL, VIOLATION_SYNC_BOOST, VIOLATION_BOARD_LIMIT,
        VIOLATION_LOW_UTILIZATION, VIOLATION_RELIABILITY, -1, -1, -1, -1,
        VIOLATION_APP_CLOCKS, VIOLATION_BASE_CLOCKS,
    };
    if (policy >= sizeof counters / sizeof *counters || counters[policy] < 0)
        return INVALID_ARGUMENT;
    violation->reference_us = realtime_us();
    return counter_read(c.device, (enum counter)counters[policy], &violation->duration_ns);
}

/* Windows only, and so refused; monitors ask all the same. */
API nvmlDeviceGetDriverModel_v2(handle_t handle, unsigned *current, unsigned *pending)
{
    (void)current;
    (void)pending;
    CALL(handle);
    return NOT_SUPPORTED;
}

API nvmlDeviceGetDriverModel(handle_t handle, unsigned *current, unsigned *pending)
{
    (void)current;
    (void)pending;
    CALL(handle);
    return NOT_SUPPORTED;
}
