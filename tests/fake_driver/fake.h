/* The fake NVIDIA driver: what its parts share.
 *
 * A call goes: API function -> CALL (calls.c: log, delay, hang, crash, error) ->
 * a value looked up in the scenario (scenario.c) and worked out for now (values.c).
 * README.md beside this file documents the scenario language.
 */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned int answer_t; /* nvmlReturn_t */
typedef void *handle_t;        /* nvmlDevice_t; see handle_of() for what is in it */

enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NO_PERMISSION = 4,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    TIMEOUT = 10,
    GPU_IS_LOST = 15,
    MEMORY = 20,
    VERSION_MISMATCH = 25,
};

enum { MAX_DEVICES = 128, NO_DEVICE = -1, ANY_DEVICE = -2, NO_MIG = -1 };

#define NOT_AVAILABLE_U32 0xFFFFFFFFu
#define NOT_AVAILABLE_U64 0xFFFFFFFFFFFFFFFFull

/* Only API functions are visible. They are compiled with -DnvmlX=absent_nvmlX to leave one out. */
#define API __attribute__((visibility("default"))) answer_t

/* ---- scenario.c: the parsed file, immutable and counted ------------------------------- */

enum rule_kind { RULE_ERROR, RULE_DELAY, RULE_HANG, RULE_CRASH };

/* What happens to calls of some symbol, before they answer. */
struct rule {
    enum rule_kind kind;
    const char *key, *value;
    int device; /* a number, ANY_DEVICE (calls on a device) or NO_DEVICE (every call) */
    char symbol[64];
    bool prefix;          /* symbol ended in `*` */
    double amount;        /* code, or seconds (negative: forever) */
    unsigned after, times, every;
    unsigned *seen;       /* calls counted per device, where one of the three above is given */
};

enum list_kind { PROCESSES, MIGS, XIDS, LISTS };

/* One numbered line of a device: `device.0.process.7 = text`. */
struct item {
    int slot;
    const char *text;
};

struct list {
    struct item *items;
    int count;
};

struct scenario {
    unsigned references;
    char *text; /* every key and value below points into it */
    struct entry {
        const char *key, *value;
    } *table;
    size_t capacity, entries;
    struct rule *rules;
    int rule_count;
    int count;
    unsigned says_count;    /* what the call for it answers, however absurd */
    int order[MAX_DEVICES]; /* index -> device number */
    int devices;            /* one more than the highest device number in use */
    bool uninitialized;
    bool lost[MAX_DEVICES];
    unsigned generation[MAX_DEVICES];
    struct list lists[LISTS][MAX_DEVICES];
};

/* Acquire looks at the file again when that is due; current only counts a reference. */
struct scenario *scenario_acquire(void);
struct scenario *scenario_current(void);
/* As the file is now, not as it was a few milliseconds ago: no news is missed behind a watch. */
struct scenario *scenario_acquire_newest(void);
void scenario_release(struct scenario *scenario);
/* A descriptor to await changes of the file with; close it afterwards. */
int scenario_watch(void);
/* Sleep until the file changes or so many seconds are over. */
void scenario_await_change(int watch, double seconds);
/* The value of a whole key, or NULL. */
const char *scenario_text(const struct scenario *scenario, const char *key);
/* `device.<n>.<key>`, else `device.*.<key>`, else NULL. */
const char *device_text(const struct scenario *scenario, int device, const char *key);
/* The option `name=` of a line such as "pid=1 type=C"; false where it has none. */
bool option(const char *line, const char *name, char *out, size_t size);

extern const char default_scenario[];
bool known_key(const char *key);

/* ---- values.c: numbers that move with time ------------------------------------------- */

struct expression {
    enum { CONSTANT, WAVE, RAMP, STEPS, FAILURE } kind;
    answer_t failure;     /* FAILURE: what the call answers */
    uint64_t exact;       /* CONSTANT: the number with all its bits */
    bool is_exact;
    double low, high, period, phase;
    double steps[64];
    int step_count;
    double offset, scale; /* applied to the result; `follow` sets them */
};

double monotonic_seconds(void);
uint64_t realtime_us(void);
bool parse_expression(const struct scenario *s, int device, const char *text, struct expression *e);
double expression_at(const struct expression *e, double t);
double expression_integral(const struct expression *e, double from, double to);
uint64_t expression_integer(const struct expression *e, double t);

enum counter {
    ENERGY,
    VIOLATION_POWER,
    VIOLATION_THERMAL,
    VIOLATION_SYNC_BOOST,
    VIOLATION_BOARD_LIMIT,
    VIOLATION_LOW_UTILIZATION,
    VIOLATION_RELIABILITY,
    VIOLATION_APP_CLOCKS,
    VIOLATION_BASE_CLOCKS,
    VIOLATION_SW_THERMAL,
    VIOLATION_HW_THERMAL,
    VIOLATION_POWER_BRAKE,
    PCIE_TX,
    PCIE_RX,
    NVLINK_TX,
    NVLINK_RX,
    COUNTERS,
};

/* The counter now, continuous over scenario rewrites. */
answer_t counter_read(int device, enum counter counter, uint64_t *out);
/* Close the books of `before` and open those of `after`; between lock and unlock. */
void counters_lock(void);
void counters_unlock(void);
void counters_rebase(const struct scenario *before, const struct scenario *after, double now);

/* ---- calls.c: what every call passes through ------------------------------------------ */

struct call {
    struct scenario *scenario;
    const char *symbol;
    int device;
    int mig;    /* slot of the MIG instance the handle means, or NO_MIG */
    double now; /* seconds of CLOCK_MONOTONIC */
};

void call_end(struct call *call);
answer_t begin_init(struct call *call, const char *symbol);
answer_t begin_library(struct call *call, const char *symbol);
answer_t begin_index(struct call *call, const char *symbol, int device);
answer_t begin_device(struct call *call, const char *symbol, handle_t handle, bool mig_allowed);

#define BEGIN(function, ...)                                                                   \
    __attribute__((cleanup(call_end))) struct call c = {.device = NO_DEVICE, .mig = NO_MIG};   \
    {                                                                                          \
        answer_t begun = function(&c, __func__, ##__VA_ARGS__);                                \
        if (begun != OK)                                                                       \
            return begun;                                                                      \
    }
#define CALL_INIT() BEGIN(begin_init)
#define CALL_LIBRARY() BEGIN(begin_library)
#define CALL_INDEX(device) BEGIN(begin_index, device)
#define CALL(handle) BEGIN(begin_device, handle, false)
#define CALL_OR_MIG(handle) BEGIN(begin_device, handle, true)

bool initialised(void);
void initialised_add(int change);
handle_t handle_of(const struct scenario *scenario, int device, int mig);
void sleep_seconds(double seconds);
bool device_has_mig(const struct call *call);
const char *mig_text(const struct scenario *scenario, int device, int slot);

/* Read one key of the call's device. Each answers what the scenario says the call answers. */
answer_t read_expression(const struct call *call, const char *key, struct expression *e);
answer_t read_u64(const struct call *call, const char *key, uint64_t *out);
answer_t read_u32(const struct call *call, const char *key, unsigned *out);
answer_t read_text(const struct call *call, const char *key, char *out, unsigned size);
answer_t read_global_text(const struct call *call, const char *key, char *out, unsigned size);
/* Mean over the second before now, as the driver averages power. */
answer_t read_averaged(const struct call *call, const char *key, double seconds, uint64_t *out);
uint64_t option_number(const struct call *call, const char *line, const char *name, uint64_t otherwise);
answer_t copy_text(const char *text, int device, char *out, unsigned size);
answer_t device_of(handle_t handle, int *device);

#endif
