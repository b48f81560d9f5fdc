/* What every call passes through: the log, the scenario's rules, handles, reading a key. */
#define _GNU_SOURCE
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void sleep_seconds(double seconds)
{
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

/* ---- the log ---------------------------------------------------------------------------- */

static int log_fd = -1;

static void open_log(void)
{
    const char *path = getenv("FAKE_NVML_CALLS");
    if (path)
        log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void log_call(const char *symbol, int device)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_log);
    if (log_fd < 0)
        return;
    char line[160];
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int length = snprintf(line, sizeof line, "%lld %d %s %d\n",
                          (long long)t.tv_sec * 1000000000 + t.tv_nsec, gettid(), symbol, device);
    if (write(log_fd, line, (size_t)length) != length)
        log_fd = -1; /* a full disk: better no log than a broken one */
}

/* ---- rules ------------------------------------------------------------------------------ */

/* The most particular rule wins: a device before all devices, a symbol before a pattern. */
static struct rule *matching_rule(const struct call *c, enum rule_kind kind)
{
    struct rule *best = NULL;
    size_t best_score = 0;
    for (int i = 0; i < c->scenario->rule_count; i++) {
        struct rule *rule = &c->scenario->rules[i];
        size_t length = strlen(rule->symbol);
        if (rule->kind != kind
            || (rule->device == ANY_DEVICE && c->device == NO_DEVICE)
            || (rule->device >= 0 && rule->device != c->device)
            || (rule->prefix ? strncmp(rule->symbol, c->symbol, length)
                             : strcmp(rule->symbol, c->symbol)) != 0)
            continue;
        size_t score = 1 + length + (rule->prefix ? 0 : 1000)
                       + (rule->device >= 0 ? 4000 : rule->device == ANY_DEVICE ? 2000 : 0);
        if (score > best_score) {
            best = rule;
            best_score = score;
        }
    }
    return best;
}

static struct rule *rule_for_this_call(const struct call *c, enum rule_kind kind)
{
    struct rule *rule = matching_rule(c, kind);
    if (!rule || !rule->seen)
        return rule;
    unsigned seen = __atomic_add_fetch(&rule->seen[c->device + 1], 1, __ATOMIC_RELAXED);
    if (seen <= rule->after)
        return NULL;
    seen -= rule->after;
    if (rule->every && seen % rule->every != 0)
        return NULL;
    return rule->times && seen > rule->times * (rule->every ? rule->every : 1) ? NULL : rule;
}

/* Wait as long as the scenario says, with no lock held; a hang ends when its line goes away. */
static void wait_as_told(struct call *c)
{
    struct rule *rule = rule_for_this_call(c, RULE_DELAY);
    if (rule)
        sleep_seconds(rule->amount);
    double from = monotonic_seconds();
    for (rule = rule_for_this_call(c, RULE_HANG); rule; rule = matching_rule(c, RULE_HANG)) {
        double left = rule->amount < 0 ? 1e9 : rule->amount - (monotonic_seconds() - from);
        if (left <= 0)
            break;
        sleep_seconds(left < 0.02 ? left : 0.02);
        struct scenario *newer = scenario_acquire();
        scenario_release(c->scenario);
        c->scenario = newer;
    }
}

/* ---- library state ---------------------------------------------------------------------- */

static atomic_int initialisations;

bool initialised(void)
{
    return atomic_load(&initialisations) > 0;
}

void initialised_add(int change)
{
    atomic_fetch_add(&initialisations, change);
}

static bool in_use(const struct scenario *s, int device)
{
    for (int i = 0; i < s->count; i++)
        if (s->order[i] == device)
            return true;
    return false;
}

static answer_t begin(struct call *c, const char *symbol, int device, bool is_init)
{
    c->scenario = scenario_acquire();
    c->symbol = symbol;
    c->device = device;
    log_call(symbol, device);
    wait_as_told(c);
    c->now = monotonic_seconds();
    if (rule_for_this_call(c, RULE_CRASH))
        raise(SIGSEGV);
    struct rule *error = rule_for_this_call(c, RULE_ERROR);
    if (!is_init && (!initialised() || c->scenario->uninitialized))
        return UNINITIALIZED;
    if (device >= 0 && (c->scenario->lost[device] || !in_use(c->scenario, device)))
        return GPU_IS_LOST;
    return error ? (answer_t)error->amount : OK;
}

void call_end(struct call *c)
{
    if (c->scenario)
        scenario_release(c->scenario);
}

answer_t begin_init(struct call *c, const char *symbol)
{
    return begin(c, symbol, NO_DEVICE, true);
}

answer_t begin_library(struct call *c, const char *symbol)
{
    return begin(c, symbol, NO_DEVICE, false);
}

answer_t begin_index(struct call *c, const char *symbol, int device)
{
    return begin(c, symbol, device, false);
}

/* ---- handles: 'NV', generation, MIG slot + 1, device number ------------------------------- */

enum { HANDLE_MARK = 0x4E56 };

handle_t handle_of(const struct scenario *s, int device, int mig)
{
    return (handle_t)((uintptr_t)HANDLE_MARK << 32 | (uintptr_t)s->generation[device] << 24
                      | (uintptr_t)(mig + 1) << 16 | (uintptr_t)device);
}

static bool parse_handle(handle_t handle, int *device, int *mig, unsigned *generation)
{
    uintptr_t bits = (uintptr_t)handle;
    *device = (int)(bits & 0xFFFF);
    *mig = (int)(bits >> 16 & 0xFF) - 1;
    *generation = (unsigned)(bits >> 24 & 0xFF);
    return bits >> 32 == HANDLE_MARK && *device < MAX_DEVICES;
}

answer_t begin_device(struct call *c, const char *symbol, handle_t handle, bool mig_allowed)
{
    int device, mig;
    unsigned generation;
    if (!parse_handle(handle, &device, &mig, &generation)) {
        answer_t answer = begin(c, symbol, NO_DEVICE, false);
        return answer != OK ? answer : INVALID_ARGUMENT;
    }
    answer_t answer = begin(c, symbol, device, false);
    if (answer != OK)
        return answer;
    c->mig = mig;
    if (generation != c->scenario->generation[device])
        return INVALID_ARGUMENT;
    if (mig != NO_MIG && (!device_has_mig(c) || !mig_text(c->scenario, device, mig)))
        return INVALID_ARGUMENT;
    return mig != NO_MIG && !mig_allowed ? NOT_SUPPORTED : OK;
}

answer_t device_of(handle_t handle, int *device)
{
    int mig;
    unsigned generation;
    return parse_handle(handle, device, &mig, &generation) ? OK : INVALID_ARGUMENT;
}

/* ---- reading keys ------------------------------------------------------------------------ */

answer_t read_expression(const struct call *c, const char *key, struct expression *e)
{
    const char *text = device_text(c->scenario, c->device, key);
    if (!text)
        return NOT_SUPPORTED;
    if (!parse_expression(c->scenario, c->device, text, e))
        return INVALID_ARGUMENT;
    return e->kind == FAILURE ? e->failure : OK;
}

answer_t read_u64(const struct call *c, const char *key, uint64_t *out)
{
    struct expression e;
    answer_t answer = read_expression(c, key, &e);
    if (answer == OK)
        *out = expression_integer(&e, c->now);
    return answer;
}

answer_t read_u32(const struct call *c, const char *key, unsigned *out)
{
    uint64_t value = 0;
    answer_t answer = out ? read_u64(c, key, &value) : INVALID_ARGUMENT;
    if (answer == OK)
        *out = (unsigned)value;
    return answer;
}

answer_t read_averaged(const struct call *c, const char *key, double seconds, uint64_t *out)
{
    struct expression e;
    answer_t answer = read_expression(c, key, &e);
    if (answer == OK && e.kind == CONSTANT)
        *out = expression_integer(&e, c->now);
    else if (answer == OK)
        *out = (uint64_t)(expression_integral(&e, c->now - seconds, c->now) / seconds);
    return answer;
}

uint64_t option_number(const struct call *c, const char *line, const char *name, uint64_t otherwise)
{
    char text[96];
    struct expression e;
    if (!option(line, name, text, sizeof text))
        return otherwise;
    for (char *at = text; *at; at++) /* wave:20:90:30, since a blank ends an option */
        if (*at == ':')
            *at = ' ';
    if (!parse_expression(c->scenario, c->device, text, &e) || e.kind == FAILURE)
        return otherwise;
    return expression_integer(&e, c->now);
}

/* Copy with \x41, \n, \s (blank) and \\ resolved, {n} and {hex} or {hex+16} filled in. */
answer_t copy_text(const char *text, int device, char *out, unsigned size)
{
    unsigned length = 0;
    for (const char *at = text; *at; at++) {
        char piece[24];
        int more = 0, used = 0;
        snprintf(piece, sizeof piece, "%c", *at);
        if (*at == '\\' && at[1] == 'x') {
            piece[0] = (char)strtoul((char[]){at[2], at[2] ? at[3] : 0, 0}, NULL, 16);
            at += at[2] && at[3] ? 3 : 1;
        } else if (*at == '\\' && at[1]) {
            at++;
            piece[0] = *at == 'n' ? '\n' : *at == 's' ? ' ' : *at;
        } else if (strncmp(at, "{n}", 3) == 0) {
            snprintf(piece, sizeof piece, "%d", device);
            at += 2;
        } else if (strncmp(at, "{hex}", 5) == 0
                   || (sscanf(at, "{hex+%d}%n", &more, &used) == 1 && used > 0)) {
            snprintf(piece, sizeof piece, "%02X", (device + more) & 0xFF);
            at += (used ? used : 5) - 1;
        }
        size_t add = piece[0] ? strlen(piece) : 1;
        if (!out || length + add >= size)
            return out ? INSUFFICIENT_SIZE : INVALID_ARGUMENT;
        memcpy(out + length, piece, add);
        length += (unsigned)add;
    }
    if (!out || size == 0)
        return INVALID_ARGUMENT;
    out[length] = '\0';
    return OK;
}

static answer_t text_or_failure(const struct call *c, const char *text, char *out, unsigned size)
{
    struct expression e;
    if (!text)
        return NOT_SUPPORTED;
    if (strcmp(text, "unsupported") == 0 || strncmp(text, "error ", 6) == 0)
        return parse_expression(c->scenario, c->device, text, &e) ? e.failure : NOT_SUPPORTED;
    return copy_text(text, c->device, out, size);
}

answer_t read_text(const struct call *c, const char *key, char *out, unsigned size)
{
    return text_or_failure(c, device_text(c->scenario, c->device, key), out, size);
}

answer_t read_global_text(const struct call *c, const char *key, char *out, unsigned size)
{
    return text_or_failure(c, scenario_text(c->scenario, key), out, size);
}
