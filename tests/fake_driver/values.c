/* Expressions (`wave 20 90 30`) and the counters that integrate them. */
#include "fake.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double monotonic_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t realtime_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- parsing ---------------------------------------------------------------------------- */

/* A number with an optional binary suffix: 80G. */
static bool number(const char **at, double *out)
{
    char *end;
    *out = strtod(*at, &end);
    if (end == *at)
        return false;
    static const char suffixes[] = "KMGT";
    const char *suffix = *end ? strchr(suffixes, *end) : NULL;
    if (suffix) {
        *out *= ldexp(1, 10 * (int)(suffix - suffixes + 1));
        end++;
    }
    *at = end;
    return true;
}

static bool word(const char **at, const char *name)
{
    const char *from = *at + strspn(*at, " \t");
    size_t length = strlen(name);
    if (strncmp(from, name, length) != 0 || (from[length] && !strchr(" \t", from[length])))
        return false;
    *at = from + length;
    return true;
}

static bool name_at(const char **at, char *out, size_t size)
{
    *at += strspn(*at, " \t");
    size_t length = strcspn(*at, " \t");
    if (length == 0 || length >= size)
        return false;
    memcpy(out, *at, length);
    out[length] = '\0';
    *at += length;
    return true;
}

static void constant(struct expression *e, double value)
{
    e->kind = CONSTANT;
    e->low = value;
    e->is_exact = false;
}

/* A repeatable number in 0..1. */
static double scrambled(uint64_t seed)
{
    seed += 0x9E3779B97F4A7C15ull;
    seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9ull;
    seed = (seed ^ (seed >> 27)) * 0x94D049BB133111EBull;
    return (double)((seed ^ (seed >> 31)) >> 11) / 9007199254740992.0;
}

/* `wave`, `ramp` and `square`: low, high, period in seconds and, if given, a phase in turns. */
static bool parse_shape(const char *at, int device, int kind, struct expression *e)
{
    if (!number(&at, &e->low) || !number(&at, &e->high) || !number(&at, &e->period))
        return false;
    e->kind = kind;
    if (!number(&at, &e->phase)) /* spread the devices, so that no two look alike */
        e->phase = device > 0 ? fmod(device * 0.381966, 1) : 0;
    if (kind == STEPS) { /* a square: two steps, all devices together */
        e->period /= 2;
        e->step_count = 2;
        e->steps[0] = e->low;
        e->steps[1] = e->high;
    }
    return e->period > 0;
}

static bool parse_steps(const char *at, struct expression *e)
{
    e->kind = STEPS;
    if (!number(&at, &e->period) || e->period <= 0)
        return false;
    while (e->step_count < 64 && number(&at, &e->steps[e->step_count]))
        e->step_count++;
    return e->step_count > 0;
}

static bool parse_noise(const char *at, int device, struct expression *e)
{
    double low, high;
    if (!number(&at, &low) || !number(&at, &high))
        return false;
    if (!number(&at, &e->period) || e->period <= 0)
        e->period = 0.2;
    e->kind = STEPS;
    e->step_count = 64;
    for (int i = 0; i < 64; i++)
        e->steps[i] = low + (high - low) * scrambled((uint64_t)(device + 1) * 64 + (uint64_t)i);
    return true;
}

static bool parse_number(const char *at, struct expression *e)
{
    at += strspn(at, " \t");
    const char *from = at;
    double value;
    if (!number(&at, &value))
        return false;
    constant(e, value);
    bool hex = from[0] == '0' && (from[1] == 'x' || from[1] == 'X');
    const char *digits = hex ? "xX0123456789abcdefABCDEF" : "+-0123456789";
    if (strspn(from, digits) == strcspn(from, " \t")) { /* keep all 64 bits of a whole number */
        e->exact = *from == '-' ? (uint64_t)strtoll(from, NULL, 0) : strtoull(from, NULL, 0);
        e->is_exact = true;
    }
    return true;
}

static bool parse_within(const struct scenario *s, int device, const char *at,
                         struct expression *e, int depth);

/* `follow key low high`: another value's 0..100 laid onto low..high. */
static bool parse_follow(const struct scenario *s, int device, const char *at,
                         struct expression *e, int depth)
{
    char key[64];
    double low, high;
    if (!name_at(&at, key, sizeof key) || !number(&at, &low) || !number(&at, &high))
        return false;
    const char *followed = device_text(s, device, key);
    if (!followed || !parse_within(s, device, followed, e, depth + 1))
        return false;
    if (e->kind == FAILURE) /* what follows an unreadable value rests at its low end */
        constant(e, 0);
    e->is_exact = false;
    e->offset = low + e->offset * (high - low) / 100;
    e->scale *= (high - low) / 100;
    return true;
}

/* `bit key mask`: 1 while the other value has one of the bits, else 0. */
static bool parse_bit(const struct scenario *s, int device, const char *at, struct expression *e,
                      int depth)
{
    char key[64];
    if (!name_at(&at, key, sizeof key))
        return false;
    uint64_t mask = strtoull(at, NULL, 0);
    const char *source = device_text(s, device, key);
    if (!source || !parse_within(s, device, source, e, depth + 1))
        return false;
    if (e->kind == STEPS)
        for (int i = 0; i < e->step_count; i++)
            e->steps[i] = ((uint64_t)e->steps[i] & mask) != 0;
    else
        constant(e, e->kind == CONSTANT && (expression_integer(e, 0) & mask) != 0);
    e->offset = 0;
    e->scale = 1;
    return true;
}

static bool parse_within(const struct scenario *s, int device, const char *at,
                         struct expression *e, int depth)
{
    const struct expression empty = {.scale = 1};
    *e = empty;
    if (depth > 4) /* two values that follow each other */
        return false;
    if (word(&at, "wave"))
        return parse_shape(at, device, WAVE, e);
    if (word(&at, "ramp"))
        return parse_shape(at, device, RAMP, e);
    if (word(&at, "square"))
        return parse_shape(at, device, STEPS, e);
    if (word(&at, "steps"))
        return parse_steps(at, e);
    if (word(&at, "noise"))
        return parse_noise(at, device, e);
    if (word(&at, "follow"))
        return parse_follow(s, device, at, e, depth);
    if (word(&at, "bit"))
        return parse_bit(s, device, at, e, depth);
    if (word(&at, "unsupported") || word(&at, "error")) {
        e->kind = FAILURE;
        e->failure = *at ? (answer_t)strtoul(at, NULL, 0) : NOT_SUPPORTED;
        return true;
    }
    if (word(&at, "na")) {
        constant(e, 0);
        e->exact = NOT_AVAILABLE_U64;
        e->is_exact = true;
        return true;
    }
    return parse_number(at, e);
}

bool parse_expression(const struct scenario *s, int device, const char *text,
                      struct expression *e)
{
    if (text && parse_within(s, device, text, e, 0))
        return true;
    fprintf(stderr, "fake driver: not a value: %s\n", text ? text : "(none)");
    return false;
}

/* ---- evaluation ------------------------------------------------------------------------- */

static double turns(const struct expression *e, double t)
{
    return t / e->period + e->phase;
}

double expression_at(const struct expression *e, double t)
{
    double value = e->low, turn;
    switch (e->kind) {
    case WAVE:
        value = e->low + (e->high - e->low) * (0.5 - 0.5 * cos(2 * M_PI * turns(e, t)));
        break;
    case RAMP:
        turn = turns(e, t);
        value = e->low + (e->high - e->low) * (turn - floor(turn));
        break;
    case STEPS:
        turn = fmod(floor(t / e->period), e->step_count);
        value = e->steps[turn < 0 ? 0 : (int)turn];
        break;
    case CONSTANT:
    case FAILURE:
        break;
    }
    return e->offset + e->scale * value;
}

uint64_t expression_integer(const struct expression *e, double t)
{
    if (e->kind == CONSTANT && e->is_exact)
        return e->exact;
    double value = expression_at(e, t);
    return value < 0 ? (uint64_t)llround(value) : (uint64_t)(value + 0.5);
}

/* From a fixed point of time to t, before offset and scale. */
static double primitive(const struct expression *e, double t)
{
    double turn, whole, sum;
    switch (e->kind) {
    case WAVE:
        return (e->low + e->high) / 2 * t
               - (e->high - e->low) / 2 * e->period / (2 * M_PI) * sin(2 * M_PI * turns(e, t));
    case RAMP:
        turn = turns(e, t);
        whole = floor(turn);
        return e->period * (e->low * turn
                            + (e->high - e->low) * (whole / 2 + (turn - whole) * (turn - whole) / 2));
    case STEPS:
        sum = 0;
        for (int i = 0; i < e->step_count; i++)
            sum += e->steps[i];
        turn = t / e->period;
        whole = floor(turn / e->step_count);
        sum *= whole;
        turn -= whole * e->step_count;
        for (int i = 0; i < e->step_count && turn > 0; i++, turn--)
            sum += e->steps[i] * (turn < 1 ? turn : 1);
        return sum * e->period;
    case CONSTANT:
        return e->low * t;
    case FAILURE:
        break;
    }
    return 0;
}

double expression_integral(const struct expression *e, double from, double to)
{
    if (e->kind == FAILURE)
        return 0;
    return e->offset * (to - from) + e->scale * (primitive(e, to) - primitive(e, from));
}

/* ---- counters --------------------------------------------------------------------------- */

static const struct {
    const char *key, *rate;
    double scale;
} specifications[COUNTERS] = {
    [ENERGY] = {"energy_mj", "power_mw", 1},
    [VIOLATION_POWER] = {"violation.power", "violation.power.rate", 1e9},
    [VIOLATION_THERMAL] = {"violation.thermal", "violation.thermal.rate", 1e9},
    [VIOLATION_SYNC_BOOST] = {"violation.sync_boost", "violation.sync_boost.rate", 1e9},
    [VIOLATION_BOARD_LIMIT] = {"violation.board_limit", "violation.board_limit.rate", 1e9},
    [VIOLATION_LOW_UTILIZATION] = {"violation.low_utilization", "violation.low_utilization.rate",
                                   1e9},
    [VIOLATION_RELIABILITY] = {"violation.reliability", "violation.reliability.rate", 1e9},
    [VIOLATION_APP_CLOCKS] = {"violation.app_clocks", "violation.app_clocks.rate", 1e9},
    [VIOLATION_BASE_CLOCKS] = {"violation.base_clocks", "violation.base_clocks.rate", 1e9},
    [VIOLATION_SW_THERMAL] = {"violation.sw_thermal", "violation.sw_thermal.rate", 1e9},
    [VIOLATION_HW_THERMAL] = {"violation.hw_thermal", "violation.hw_thermal.rate", 1e9},
    [VIOLATION_POWER_BRAKE] = {"violation.power_brake", "violation.power_brake.rate", 1e9},
    [PCIE_TX] = {"pcie_tx_bytes", "pcie_tx_kb_per_s", 1000},
    [PCIE_RX] = {"pcie_rx_bytes", "pcie_rx_kb_per_s", 1000},
    [NVLINK_TX] = {"nvlink_tx_kib", "nvlink_tx_kib_per_s", 1},
    [NVLINK_RX] = {"nvlink_rx_kib", "nvlink_rx_kib_per_s", 1},
};

/* value = base + grown + (integral of the rate from `since` to now); 0 and 0 mean since boot. */
static struct {
    uint64_t base;
    double grown, since;
} books[MAX_DEVICES][COUNTERS];
static pthread_mutex_t books_lock = PTHREAD_MUTEX_INITIALIZER;

void counters_lock(void)
{
    pthread_mutex_lock(&books_lock);
}

void counters_unlock(void)
{
    pthread_mutex_unlock(&books_lock);
}

static double growth(const struct scenario *s, int device, enum counter counter, double from,
                     double to)
{
    struct expression rate;
    const char *text = device_text(s, device, specifications[counter].rate);
    if (!parse_expression(s, device, text, &rate))
        return 0;
    double sum = expression_integral(&rate, from, to) * specifications[counter].scale;
    return sum > 0 ? sum : 0;
}

void counters_rebase(const struct scenario *before, const struct scenario *after, double now)
{
    int devices = before && before->devices > after->devices ? before->devices : after->devices;
    for (int device = 0; device < devices; device++)
        for (int counter = 0; counter < COUNTERS; counter++) {
            const char *key = specifications[counter].key;
            const char *text = device_text(after, device, key);
            const char *old_text = before ? device_text(before, device, key) : "";
            const char *from = text;
            if (word(&from, "from") && strcmp(text, old_text) != 0) {
                books[device][counter].base = strtoull(from, NULL, 0);
                books[device][counter].grown = 0;
            } else if (before) {
                books[device][counter].grown +=
                    growth(before, device, counter, books[device][counter].since, now);
            } else {
                continue;
            }
            books[device][counter].since = now;
        }
}

answer_t counter_read(int device, enum counter counter, uint64_t *out)
{
    answer_t answer = OK;
    counters_lock();
    struct scenario *s = scenario_current(); /* acquire could reload, which takes the books */
    double now = monotonic_seconds();
    const char *text = device_text(s, device, specifications[counter].key), *at = text;
    if (word(&at, "grows") || word(&at, "from")) {
        double grown = books[device][counter].grown
                       + growth(s, device, counter, books[device][counter].since, now);
        *out = books[device][counter].base + (uint64_t)grown;
    } else {
        struct expression e;
        if (!parse_expression(s, device, text, &e))
            answer = INVALID_ARGUMENT;
        else if (e.kind == FAILURE)
            answer = e.failure;
        else
            *out = expression_integer(&e, now);
    }
    counters_unlock();
    scenario_release(s);
    return answer;
}
