/* PCIe, NVLink, the fabric, and how devices reach each other. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

#define NUMBER(symbol, key)                                                                    \
    API symbol(handle_t handle, unsigned *out)                                                 \
    {                                                                                          \
        CALL(handle);                                                                          \
        return read_u32(&c, key, out);                                                         \
    }

NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie_generation_gpu_max")
NUMBER(nvmlDeviceGetPcieReplayCounter, "pcie_replays")
NUMBER(nvmlDeviceGetPcieSpeed, "pcie_speed_mbps")

API nvmlDeviceGetPcieThroughput(handle_t handle, unsigned direction, unsigned *kb_per_s)
{
    CALL(handle);
    if (direction > 1)
        return INVALID_ARGUMENT;
    return read_u32(&c, direction == 0 ? "pcie_tx_kb_per_s" : "pcie_rx_kb_per_s", kb_per_s);
}

/* ---- NVLink ------------------------------------------------------------------------------ */

/* `nvlink.<i>.<what>` of one link, else `nvlink_<what>` of them all. */
static answer_t link_value(const struct call *c, unsigned link, const char *what, unsigned *out)
{
    char key[48];
    unsigned links = 0;
    answer_t answer = read_u32(c, "nvlink_count", &links);
    if (answer != OK)
        return answer;
    if (links == 0)
        return NOT_SUPPORTED;
    if (link >= links)
        return INVALID_ARGUMENT;
    snprintf(key, sizeof key, "nvlink.%u.%s", link, what);
    if (!device_text(c->scenario, c->device, key))
        snprintf(key, sizeof key, "nvlink_%s", what);
    return read_u32(c, key, out);
}

API nvmlDeviceGetNvLinkState(handle_t handle, unsigned link, unsigned *active)
{
    CALL(handle);
    return link_value(&c, link, "state", active);
}

API nvmlDeviceGetNvLinkVersion(handle_t handle, unsigned link, unsigned *version)
{
    CALL(handle);
    return link_value(&c, link, "version", version);
}

API nvmlDeviceGetNvLinkCapability(handle_t handle, unsigned link, unsigned what, unsigned *capable)
{
    CALL(handle);
    return what < 6 ? link_value(&c, link, "capability", capable) : INVALID_ARGUMENT;
}

API nvmlDeviceGetNvLinkErrorCounter(handle_t handle, unsigned link, unsigned what, uint64_t *count)
{
    CALL(handle);
    unsigned value = 0;
    answer_t answer = what < 5 ? link_value(&c, link, "errors", &value) : INVALID_ARGUMENT;
    *count = value;
    return answer;
}

/* ---- fabric ------------------------------------------------------------------------------ */

struct fabric {
    uint8_t cluster[16];
    unsigned status, clique, state;
};

static answer_t read_fabric(const struct call *c, struct fabric *fabric)
{
    memset(fabric->cluster, 0xFA, sizeof fabric->cluster);
    answer_t answer = read_u32(c, "fabric.state", &fabric->state);
    if (answer == OK)
        answer = read_u32(c, "fabric.status", &fabric->status);
    return answer == OK ? read_u32(c, "fabric.clique", &fabric->clique) : answer;
}

API nvmlDeviceGetGpuFabricInfo(handle_t handle, struct fabric *fabric)
{
    CALL(handle);
    return read_fabric(&c, fabric);
}

struct fabric_v {
    unsigned version;
    struct fabric fabric;
    unsigned health_mask; /* version 2 ends here */
    uint8_t health_summary;
};

API nvmlDeviceGetGpuFabricInfoV(handle_t handle, struct fabric_v *info)
{
    CALL(handle);
    bool third = info->version == (3u << 24 | sizeof *info);
    if (!third && info->version != (2u << 24 | offsetof(struct fabric_v, health_summary)))
        return VERSION_MISMATCH;
    answer_t answer = read_fabric(&c, &info->fabric);
    if (answer == OK)
        answer = read_u32(&c, "fabric.health_mask", &info->health_mask);
    unsigned summary = 0;
    if (answer == OK && third) {
        answer = read_u32(&c, "fabric.health_summary", &summary);
        info->health_summary = (uint8_t)summary;
    }
    return answer;
}

/* ---- between two devices ------------------------------------------------------------------ */

/* `topology.0.3` of a pair (the lower number first), else `topology` of all. */
static answer_t pair_value(const struct call *c, handle_t other, const char *what, unsigned *out)
{
    char key[48];
    int a = c->device, b;
    if (device_of(other, &b) != OK)
        return INVALID_ARGUMENT;
    snprintf(key, sizeof key, "%s.%d.%d", what, a < b ? a : b, a < b ? b : a);
    const char *text = scenario_text(c->scenario, key);
    struct expression e;
    if (!parse_expression(c->scenario, a, text ? text : scenario_text(c->scenario, what), &e))
        return INVALID_ARGUMENT;
    *out = (unsigned)expression_integer(&e, c->now);
    return e.kind == FAILURE ? e.failure : OK;
}

API nvmlDeviceGetTopologyCommonAncestor(handle_t handle, handle_t other, unsigned *level)
{
    CALL(handle);
    return pair_value(&c, other, "topology", level);
}

API nvmlDeviceGetP2PStatus(handle_t handle, handle_t other, unsigned what, unsigned *status)
{
    CALL(handle);
    return what <= 5 ? pair_value(&c, other, "p2p", status) : INVALID_ARGUMENT;
}
