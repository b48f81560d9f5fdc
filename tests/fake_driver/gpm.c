/* GPM: two samples taken by the caller, and the metrics between them. */
#include "fake.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_MARK = 0x47504D53 };

struct gpm_sample {
    unsigned mark;
    bool taken;
    int device, mig; /* mig: a GPU instance id, or NO_MIG */
    double when;
};

struct gpm_support {
    unsigned version, supported;
};

struct gpm_metric {
    unsigned id;
    answer_t answer;
    double value;
    const char *short_name, *long_name, *unit;
};

struct gpm_metrics {
    unsigned version, count;
    struct gpm_sample *older, *newer;
    struct gpm_metric metrics[]; /* as many as the caller's header knows */
};

static bool supported(const struct call *c)
{
    unsigned value = 0;
    if (device_text(c->scenario, c->device, "gpm.supported"))
        return read_u32(c, "gpm.supported", &value) == OK && value;
    return read_u32(c, "architecture", &value) == OK && value >= 9; /* Hopper and later */
}

API nvmlGpmQueryDeviceSupport(handle_t handle, struct gpm_support *support)
{
    CALL_OR_MIG(handle);
    if (support->version != 1)
        return VERSION_MISMATCH;
    support->supported = supported(&c);
    return OK;
}

API nvmlGpmSampleAlloc(struct gpm_sample **sample)
{
    CALL_LIBRARY();
    if (!sample)
        return INVALID_ARGUMENT;
    *sample = calloc(1, sizeof **sample);
    if (!*sample)
        return MEMORY;
    (*sample)->mark = SAMPLE_MARK;
    return OK;
}

API nvmlGpmSampleFree(struct gpm_sample *sample)
{
    CALL_LIBRARY();
    if (!sample || sample->mark != SAMPLE_MARK)
        return INVALID_ARGUMENT;
    sample->mark = 0;
    free(sample);
    return OK;
}

/* When a sample was taken, or says it was. */
static double sample_time(const struct call *c)
{
    const char *how = device_text(c->scenario, c->device, "gpm.samples");
    if (how && strcmp(how, "identical") == 0)
        return 1;
    if (how && strcmp(how, "reversed") == 0)
        return -c->now;
    return c->now;
}

static answer_t take(const struct call *c, int instance, struct gpm_sample *sample)
{
    if (!sample || sample->mark != SAMPLE_MARK)
        return INVALID_ARGUMENT;
    if (!supported(c))
        return NOT_SUPPORTED;
    sample->taken = true;
    sample->device = c->device;
    sample->mig = instance;
    sample->when = sample_time(c);
    return OK;
}

API nvmlGpmSampleGet(handle_t handle, struct gpm_sample *sample)
{
    CALL_OR_MIG(handle);
    return take(&c, c.mig, sample);
}

API nvmlGpmMigSampleGet(handle_t handle, unsigned instance, struct gpm_sample *sample)
{
    CALL(handle);
    return device_has_mig(&c) ? take(&c, (int)instance, sample) : NOT_SUPPORTED;
}

/* Traffic metrics come from the same rates as the counters, in MiB/s. */
static const char *rate_key(unsigned id, double *scale)
{
    double mib = 1024 * 1024;
    *scale = id <= 21 ? 1000 / mib : 1024 / mib;
    switch (id) {
    case 20:
        return "pcie_tx_kb_per_s";
    case 21:
        return "pcie_rx_kb_per_s";
    case 60:
        return "nvlink_rx_kib_per_s";
    case 61:
        return "nvlink_tx_kib_per_s";
    default:
        return NULL;
    }
}

static void measure(const struct call *c, const struct gpm_metrics *get, struct gpm_metric *metric)
{
    char own[24];
    double scale = 1, from = get->older->when, to = get->newer->when;
    struct expression e;
    const char *key = own;
    snprintf(own, sizeof own, "gpm.%u", metric->id);
    if (!device_text(c->scenario, c->device, own)) {
        key = rate_key(metric->id, &scale);
        if (!key) {
            metric->answer = NOT_SUPPORTED;
            return;
        }
    }
    metric->answer = read_expression(c, key, &e);
    if (metric->answer == OK)
        metric->value = scale * expression_integral(&e, from, to) / (to - from);
    metric->short_name = metric->long_name = key == own ? "fake" : key;
    metric->unit = key == own ? "%" : "MiB/s";
}

static bool usable(const struct gpm_sample *sample)
{
    return sample && sample->mark == SAMPLE_MARK && sample->taken;
}

API nvmlGpmMetricsGet(struct gpm_metrics *get)
{
    /* The device is the samples', so that rules for a device apply here too. */
    int device = usable(get->older) ? get->older->device : NO_DEVICE;
    CALL_INDEX(device);
    if (get->version != 1)
        return VERSION_MISMATCH;
    if (!usable(get->older) || !usable(get->newer))
        return INVALID_ARGUMENT;
    bool in_order = get->newer->when > get->older->when;
    const char *bad = scenario_text(c.scenario, "gpm.bad_samples");
    bool answer_nan = !in_order && bad && strcmp(bad, "nan") == 0;
    if (get->older->device != get->newer->device || get->older->mig != get->newer->mig
        || (!in_order && !answer_nan))
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < get->count; i++) {
        get->metrics[i].value = 0;
        measure(&c, get, &get->metrics[i]);
        if (answer_nan)
            get->metrics[i].value = NAN;
    }
    return OK;
}
