/* nvmlDeviceGetFieldValues: many readings in one call, each with an answer of its own. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum value_type { DOUBLE, UINT, ULONG, ULONGLONG, LONGLONG, INT, USHORT };

union value {
    double d;
    unsigned u;
    unsigned long long ull;
    long long sll;
    int i;
    unsigned short us;
};

struct field_value {
    uint32_t field, scope;
    int64_t stamp_us, latency_us;
    unsigned type;
    answer_t answer;
    union value value;
};

/* Fields that read a key, with the type the driver gives their value. */
static const struct {
    uint32_t field;
    const char *key;
    enum value_type type;
} by_key[] = {
    {1, "ecc_mode", UINT},
    {2, "ecc_mode_pending", UINT},
    {3, "ecc.volatile.corrected", ULONGLONG},
    {4, "ecc.volatile.uncorrected", ULONGLONG},
    {5, "ecc.aggregate.corrected", ULONGLONG},
    {6, "ecc.aggregate.uncorrected", ULONGLONG},
    {29, "retired_pages.sbe", UINT},
    {30, "retired_pages.dbe", UINT},
    {31, "retired_pages.pending", UINT},
    {38, "nvlink_errors", ULONGLONG}, /* CRC of flits, CRC of data, replay, recovery: totals */
    {45, "nvlink_errors", ULONGLONG},
    {52, "nvlink_errors", ULONGLONG},
    {59, "nvlink_errors", ULONGLONG},
    {82, "memory_temperature", UINT},
    {90, "nvlink_speed_mbps", UINT},
    {91, "nvlink_count", UINT},
    {94, "pcie_replays", UINT},
    {142, "remapped.correctable", UINT},
    {143, "remapped.uncorrectable", UINT},
    {144, "remapped.pending", UINT},
    {145, "remapped.failure", UINT},
    {161, "nvlink_errors", ULONGLONG},
    {162, "nvlink_errors", ULONGLONG},
    {163, "nvlink_errors", ULONGLONG},
    {164, "nvlink_speed_mbps", UINT},
    {165, "nvlink_state", UINT},
    {166, "nvlink_version", UINT},
    {186, "power_mw", UINT},
    {187, "power_limit_min_mw", UINT},
    {188, "power_limit_max_mw", UINT},
    {189, "power_limit_default_mw", UINT},
    {190, "power_limit_enforced_mw", UINT},
    {192, "power_limit_mw", UINT},
    {193, "tlimit_shutdown", INT},
    {194, "tlimit_slowdown", INT},
    {195, "tlimit_memory_max", INT},
    {196, "tlimit_gpu_max", INT},
    {230, "recovery_action", UINT},
};

/* Fields that read a counter. */
static const struct {
    uint32_t field;
    enum counter counter;
} by_counter[] = {
    {74, VIOLATION_POWER},
    {75, VIOLATION_THERMAL},
    {76, VIOLATION_SYNC_BOOST},
    {77, VIOLATION_BOARD_LIMIT},
    {78, VIOLATION_LOW_UTILIZATION},
    {79, VIOLATION_RELIABILITY},
    {80, VIOLATION_APP_CLOCKS},
    {81, VIOLATION_BASE_CLOCKS},
    {83, ENERGY},
    {191, ENERGY},
    {138, NVLINK_TX},
    {139, NVLINK_RX},
    {140, NVLINK_TX},
    {141, NVLINK_RX},
    {197, PCIE_TX},
    {198, PCIE_RX},
    {202, NVLINK_TX}, /* 201 to 204 are NVLink 5: packets and bytes */
    {204, NVLINK_RX},
    {201, NVLINK_TX},
    {203, NVLINK_RX},
    {269, VIOLATION_SW_THERMAL},
    {270, VIOLATION_HW_THERMAL},
    {271, VIOLATION_POWER_BRAKE},
};

static void store(struct field_value *out, enum value_type type, uint64_t bits, double number)
{
    out->type = type;
    memset(&out->value, 0, sizeof out->value);
    switch (type) {
    case DOUBLE:
        out->value.d = number;
        break;
    case UINT:
    case INT:
        out->value.u = (unsigned)bits;
        break;
    case USHORT:
        out->value.us = (unsigned short)bits;
        break;
    case ULONG:
    case ULONGLONG:
    case LONGLONG:
        out->value.ull = bits;
        break;
    }
}

/* A counter of all links becomes that of one link where a link is named. */
static answer_t nvlink_share(const struct call *c, const struct field_value *out, uint64_t *count)
{
    unsigned links = 0, version = 0;
    answer_t answer = read_u32(c, "nvlink_count", &links);
    if (answer != OK || links == 0)
        return answer != OK ? answer : NOT_SUPPORTED;
    bool fifth = out->field >= 201;
    if (fifth && (read_u32(c, "nvlink_version", &version) != OK || version < 7))
        return NOT_SUPPORTED;
    if (fifth) /* bytes, or packets of 128 of them */
        *count *= out->field % 2 == 0 ? 1024 : 8;
    if (out->scope == NOT_AVAILABLE_U32)
        return OK;
    *count /= links;
    return out->scope < links ? OK : INVALID_ARGUMENT;
}

static bool read_counter_field(const struct call *c, struct field_value *out)
{
    for (size_t i = 0; i < sizeof by_counter / sizeof *by_counter; i++) {
        if (by_counter[i].field != out->field)
            continue;
        enum counter counter = by_counter[i].counter;
        uint64_t count = 0, bits = 64;
        out->answer = counter_read(c->device, counter, &count);
        if (out->answer == OK && (counter == NVLINK_TX || counter == NVLINK_RX))
            out->answer = nvlink_share(c, out, &count);
        if (counter == PCIE_TX || counter == PCIE_RX)
            read_u64(c, "pcie_counter_bits", &bits);
        store(out, bits == 32 ? UINT : ULONGLONG, count, (double)count);
        return true;
    }
    return false;
}

static bool read_key_field(const struct call *c, struct field_value *out)
{
    for (size_t i = 0; i < sizeof by_key / sizeof *by_key; i++) {
        if (by_key[i].field != out->field)
            continue;
        const char *key = by_key[i].key;
        char of_link[48];
        uint64_t bits = 0;
        unsigned mode = 1;
        if (out->field >= 164 && out->field <= 166) { /* per link: the scope is the link */
            snprintf(of_link, sizeof of_link, "nvlink.%u.%s", out->scope, key + 7);
            if (device_text(c->scenario, c->device, of_link))
                key = of_link;
        }
        if (out->field >= 3 && out->field <= 6)
            out->answer = read_u32(c, "ecc_mode", &mode);
        if (out->answer == OK)
            out->answer = mode == 0 ? NOT_SUPPORTED : read_u64(c, key, &bits);
        if (strncmp(key, "nvlink", 6) == 0 && out->field != 91 && out->answer == OK) {
            uint64_t ignored = 0;
            struct field_value link = {.field = 0, .scope = out->scope};
            out->answer = nvlink_share(c, &link, &ignored);
        }
        store(out, by_key[i].type, bits, (double)bits);
        return true;
    }
    return false;
}

/* `field.<id> = value type=ull return=0 latency=20`, or `field.<id>.<scope>` of one link. */
static bool read_override(const struct call *c, struct field_value *out)
{
    static const char *const types[] = {"double", "uint", "ulong", "ull", "sll", "int", "ushort"};
    char key[48], name[24], word[64];
    snprintf(key, sizeof key, "field.%u.%u", out->field, out->scope);
    const char *text = device_text(c->scenario, c->device, key);
    if (!text) {
        snprintf(key, sizeof key, "field.%u", out->field);
        text = device_text(c->scenario, c->device, key);
    }
    if (!text)
        return false;
    struct expression e;
    if (!parse_expression(c->scenario, c->device, text, &e)) {
        out->answer = INVALID_ARGUMENT;
        return true;
    }
    unsigned type = ULONGLONG;
    if (option(text, "type", name, sizeof name)) {
        type = (unsigned)strtoul(name, NULL, 0); /* a number may be a type that does not exist */
        for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
            if (strcmp(types[i], name) == 0)
                type = i;
    }
    out->answer = e.kind == FAILURE ? e.failure : OK;
    if (option(text, "return", word, sizeof word))
        out->answer = (answer_t)strtoul(word, NULL, 0);
    if (option(text, "latency", word, sizeof word))
        out->latency_us = strtoll(word, NULL, 0);
    store(out, type <= USHORT ? (enum value_type)type : ULONGLONG,
          expression_integer(&e, c->now), expression_at(&e, c->now));
    out->type = type;
    return true;
}

static void read_field(const struct call *c, struct field_value *out)
{
    out->stamp_us = (int64_t)realtime_us();
    out->latency_us = 3;
    out->answer = OK;
    memset(&out->value, 0, sizeof out->value);
    if (read_override(c, out))
        return;
    if (c->mig != NO_MIG) {
        out->answer = NOT_SUPPORTED;
    } else if (out->field == 185) {
        uint64_t average = 0;
        out->answer = read_averaged(c, "power_mw", 1, &average);
        store(out, UINT, average, (double)average);
    } else if (!read_counter_field(c, out) && !read_key_field(c, out)) {
        out->answer = NOT_SUPPORTED;
    }
}

API nvmlDeviceGetFieldValues(handle_t handle, int count, struct field_value *values)
{
    CALL_OR_MIG(handle);
    if (count < 1 || !values)
        return INVALID_ARGUMENT;
    for (int i = 0; i < count; i++)
        read_field(&c, &values[i]);
    return OK;
}
