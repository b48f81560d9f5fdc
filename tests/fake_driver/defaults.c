/* A healthy H100 SXM, in the scenario language itself: the user's lines come after these. */
#include "fake.h"

#include <fnmatch.h>
#include <string.h>

const char default_scenario[] =
    "driver_version = 570.86.15\n"
    "nvml_version = 12.570.86.15\n"
    "cuda_version = 12080\n"
    "count = 1\n"
    "generation = 1\n"
    "uninitialized = 0\n"
    "topology = 40\n"
    "p2p = 0\n"
    "samples.clock = realtime\n"
    "samples.offset_us = 0\n"
    "samples.duplicates = 0\n"
    "gpm.bad_samples = error\n"
    "call.nvmlDeviceGetPcieThroughput.delay_ms = 20\n" /* it measures for that long */
    "device.*.lost = 0\n"

    "device.*.name = NVIDIA H100 80GB HBM3\n"
    "device.*.uuid = GPU-8a7c5e00-1f2d-4b3a-9c00-0000000000{hex}\n"
    "device.*.serial = 16531230000{n}\n"
    "device.*.part_number = 692-2G520-0200-000\n"
    "device.*.vbios_version = 96.00.74.00.0D\n"
    "device.*.pci_bus_id = 00000000:{hex+16}:00.0\n"
    "device.*.pci_device_id = 0x233010DE\n"
    "device.*.pci_subsystem_id = 0x16C110DE\n"
    "device.*.architecture = 9\n"
    "device.*.compute_capability = 9.0\n"
    "device.*.brand = 14\n"
    "device.*.numa_node = 0\n"
    "device.*.cpu_affinity = 0xFFFF\n"
    "device.*.board_id = 256\n"
    "device.*.cores = 16896\n"
    "device.*.memory_bus_width = 5120\n"

    "device.*.gpu_utilization = wave 35 99 20\n"
    "device.*.memory_utilization = follow gpu_utilization 2 60\n"
    "device.*.encoder_utilization = 0\n"
    "device.*.decoder_utilization = 0\n"
    "device.*.jpg_utilization = 0\n"
    "device.*.ofa_utilization = 0\n"
    "device.*.memory_total = 85520809984\n"
    "device.*.memory_reserved = 501219328\n"
    "device.*.memory_used = wave 40G 62G 90\n"
    "device.*.bar1_total = 128G\n"
    "device.*.bar1_used = 8M\n"

    "device.*.power_mw = follow gpu_utilization 110000 660000\n"
    "device.*.power_limit_mw = 700000\n"
    "device.*.power_limit_enforced_mw = 700000\n"
    "device.*.power_limit_default_mw = 700000\n"
    "device.*.power_limit_min_mw = 200000\n"
    "device.*.power_limit_max_mw = 700000\n"
    "device.*.energy_mj = grows\n"

    "device.*.temperature = follow gpu_utilization 33 68\n"
    "device.*.memory_temperature = follow gpu_utilization 38 82\n"
    "device.*.temperature_margin = follow gpu_utilization 54 19\n"
    "device.*.temperature_shutdown = 92\n"
    "device.*.temperature_slowdown = 89\n"
    "device.*.temperature_memory_max = 95\n"
    "device.*.temperature_gpu_max = 87\n"
    "device.*.tlimit_shutdown = -8\n"
    "device.*.tlimit_slowdown = -2\n"
    "device.*.tlimit_memory_max = 0\n"
    "device.*.tlimit_gpu_max = 0\n"

    "device.*.fans = 0\n"
    "device.*.fan_speed = unsupported\n"
    "device.*.fan_rpm = unsupported\n"

    "device.*.graphics_clock = follow gpu_utilization 1200 1980\n"
    "device.*.sm_clock = follow gpu_utilization 1200 1980\n"
    "device.*.memory_clock = 2619\n"
    "device.*.video_clock = follow gpu_utilization 900 1545\n"
    "device.*.graphics_clock_max = 1980\n"
    "device.*.sm_clock_max = 1980\n"
    "device.*.sm_clock_max.0 = 1980\n"
    "device.*.sm_clock_max.2 = 1755\n"
    "device.*.memory_clock_max = 2619\n"
    "device.*.video_clock_max = 1545\n"
    "device.*.performance_state = 0\n"
    "device.*.clocks_event_reasons = 0\n"
    "device.*.clocks_event_reasons_supported = 0x1FF\n"
    "device.*.violation.power = grows\n"
    "device.*.violation.power.rate = bit clocks_event_reasons 0x4\n"
    "device.*.violation.thermal = grows\n"
    "device.*.violation.thermal.rate = bit clocks_event_reasons 0x60\n"
    "device.*.violation.sync_boost = grows\n"
    "device.*.violation.sync_boost.rate = bit clocks_event_reasons 0x10\n"
    "device.*.violation.board_limit = grows\n"
    "device.*.violation.board_limit.rate = bit clocks_event_reasons 0x200\n"
    "device.*.violation.low_utilization = grows\n"
    "device.*.violation.low_utilization.rate = bit clocks_event_reasons 0x1\n"
    "device.*.violation.reliability = grows\n"
    "device.*.violation.reliability.rate = bit clocks_event_reasons 0x400\n"
    "device.*.violation.app_clocks = grows\n"
    "device.*.violation.app_clocks.rate = bit clocks_event_reasons 0x2\n"
    "device.*.violation.base_clocks = grows\n"
    "device.*.violation.base_clocks.rate = 0\n"
    "device.*.violation.sw_thermal = grows\n"
    "device.*.violation.sw_thermal.rate = bit clocks_event_reasons 0x20\n"
    "device.*.violation.hw_thermal = grows\n"
    "device.*.violation.hw_thermal.rate = bit clocks_event_reasons 0x40\n"
    "device.*.violation.power_brake = grows\n"
    "device.*.violation.power_brake.rate = bit clocks_event_reasons 0x80\n"

    "device.*.pcie_generation = 5\n"
    "device.*.pcie_width = 16\n"
    "device.*.pcie_generation_max = 5\n"
    "device.*.pcie_width_max = 16\n"
    "device.*.pcie_generation_gpu_max = 5\n"
    "device.*.pcie_speed_mbps = 32000\n"
    "device.*.pcie_tx_kb_per_s = follow gpu_utilization 20000 900000\n"
    "device.*.pcie_rx_kb_per_s = follow gpu_utilization 40000 2600000\n"
    "device.*.pcie_tx_bytes = grows\n"
    "device.*.pcie_rx_bytes = grows\n"
    "device.*.pcie_counter_bits = 32\n"
    "device.*.pcie_replays = 0\n"

    "device.*.nvlink_count = 18\n"
    "device.*.nvlink_state = 1\n"
    "device.*.nvlink_version = 6\n"
    "device.*.nvlink_capability = 1\n"
    "device.*.nvlink_speed_mbps = 26562\n"
    "device.*.nvlink_tx_kib_per_s = follow gpu_utilization 0 90000000\n"
    "device.*.nvlink_rx_kib_per_s = follow gpu_utilization 0 90000000\n"
    "device.*.nvlink_tx_kib = grows\n"
    "device.*.nvlink_rx_kib = grows\n"
    "device.*.nvlink_errors = 0\n"
    "device.*.fabric.state = 3\n"
    "device.*.fabric.status = 0\n"
    "device.*.fabric.clique = 0\n"
    "device.*.fabric.health_mask = 0\n"
    "device.*.fabric.health_summary = 1\n"

    "device.*.ecc_mode = 1\n"
    "device.*.ecc_mode_pending = 1\n"
    "device.*.ecc.volatile.corrected = 0\n"
    "device.*.ecc.volatile.uncorrected = 0\n"
    "device.*.ecc.aggregate.corrected = 0\n"
    "device.*.ecc.aggregate.uncorrected = 0\n"
    "device.*.remapped.correctable = 0\n"
    "device.*.remapped.uncorrectable = 0\n"
    "device.*.remapped.pending = 0\n"
    "device.*.remapped.failure = 0\n"
    "device.*.remapped.histogram = 640 0 0 0 0\n"
    "device.*.retired_pages.sbe = unsupported\n"
    "device.*.retired_pages.dbe = unsupported\n"
    "device.*.retired_pages.pending = unsupported\n"
    "device.*.recovery_action = 0\n"

    "device.*.compute_mode = 0\n"
    "device.*.persistence_mode = 1\n"
    "device.*.display_active = 0\n"
    "device.*.display_mode = 0\n"
    "device.*.virtualization_mode = 0\n"
    "device.*.accounting_mode = 0\n"
    "device.*.mig_max = 7\n"
    "device.*.supported_event_types = 0x1F\n"

    "device.*.processes.size_query = 7\n"
    "device.*.processes.struct_bytes = 24\n"
    "device.*.process_utilization.idle = 6\n"

    "device.*.samples.power.hz = 50\n"
    "device.*.samples.power.count = 120\n"
    "device.*.samples.utilization.hz = 6\n"
    "device.*.samples.utilization.count = 100\n"
    "device.*.samples.clock_mhz.hz = 50\n"
    "device.*.samples.clock_mhz.count = 100\n"

    "device.*.gpm.1 = follow gpu_utilization 0 100\n"  /* graphics */
    "device.*.gpm.2 = follow gpu_utilization 0 92\n"   /* SM active */
    "device.*.gpm.3 = follow gpu_utilization 0 38\n"   /* occupancy */
    "device.*.gpm.4 = follow gpu_utilization 0 12\n"   /* integer */
    "device.*.gpm.5 = follow gpu_utilization 0 61\n"   /* any tensor */
    "device.*.gpm.6 = 0\n"                             /* DFMA tensor */
    "device.*.gpm.7 = follow gpu_utilization 0 61\n"   /* HMMA tensor */
    "device.*.gpm.9 = 0\n"                             /* IMMA tensor */
    "device.*.gpm.10 = follow gpu_utilization 0 55\n"  /* DRAM bandwidth */
    "device.*.gpm.11 = 0\n"                            /* FP64 */
    "device.*.gpm.12 = follow gpu_utilization 0 14\n"  /* FP32 */
    "device.*.gpm.13 = follow gpu_utilization 0 4\n";  /* FP16 */

/* Keys that have no default, and so would otherwise look like a misspelling. */
static const char *const other_keys[] = {
    "order", "init.*", "call.*", "crash", "topology.*.*", "p2p.*.*",
    "device.*.call.*", "device.*.crash", "device.*.generation", "device.*.minor",
    "device.*.process.*", "device.*.mig.*", "device.*.xid.*",
    "device.*.mig_mode", "device.*.mig_mode_pending",
    "device.*.field.*", "device.*.gpm.*", "device.*.samples.*",
    "device.*.fan.*.speed", "device.*.fan.*.rpm",
    "device.*.nvlink.*.*",
    "device.*.ecc.*.*.*",
};

bool known_key(const char *key)
{
    for (size_t i = 0; i < sizeof other_keys / sizeof *other_keys; i++)
        if (fnmatch(other_keys[i], key, 0) == 0)
            return true;
    /* A default covers the same key of one device: `device.3.power_mw`. */
    char whole[160];
    const char *rest = strncmp(key, "device.", 7) == 0 ? strchr(key + 7, '.') : NULL;
    int length = rest ? __builtin_snprintf(whole, sizeof whole, "\ndevice.*%s = ", rest)
                      : __builtin_snprintf(whole, sizeof whole, "\n%s = ", key);
    if (length >= (int)sizeof whole)
        return false;
    /* The very first default line has no newline before it. */
    return strstr(default_scenario, whole) != NULL
           || strncmp(default_scenario, whole + 1, (size_t)length - 1) == 0;
}
