/* Event sets: Xid lines of the scenario, each told once to every set that asked. */
#include "fake.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { SET_MARK = 0x45565453, XID_EVENT = 8 };

struct delivered {
    int device, slot;
    uint64_t sequence;
};

struct event_set {
    unsigned mark;
    pthread_mutex_t lock; /* guards what follows; never held while sleeping */
    uint64_t types[MAX_DEVICES];
    struct delivered *delivered;
    int delivered_count;
};

struct event_data {
    handle_t device;
    uint64_t type, data;
    unsigned gpu_instance, compute_instance;
};

/* Mark a line as told; false where this sequence number of it was told before. */
static bool first_time(struct event_set *set, int device, int slot, uint64_t sequence)
{
    for (int i = 0; i < set->delivered_count; i++) {
        struct delivered *d = &set->delivered[i];
        if (d->device != device || d->slot != slot)
            continue;
        if (d->sequence == sequence)
            return false;
        d->sequence = sequence;
        return true;
    }
    size_t count = (size_t)set->delivered_count + 1;
    set->delivered = realloc(set->delivered, count * sizeof *set->delivered);
    set->delivered[set->delivered_count++] = (struct delivered){device, slot, sequence};
    return true;
}

/* What happened before there was a set is told to nobody. */
static void pass_over_what_was(struct call *c, struct event_set *set)
{
    for (int i = 0; i < c->scenario->count; i++) {
        int device = c->device = c->scenario->order[i];
        const struct list *xids = &c->scenario->lists[XIDS][device];
        for (int j = 0; j < xids->count; j++)
            first_time(set, device, xids->items[j].slot,
                       option_number(c, xids->items[j].text, "seq", 0));
    }
    c->device = NO_DEVICE;
}

API nvmlEventSetCreate(struct event_set **set)
{
    CALL_LIBRARY();
    *set = calloc(1, sizeof **set);
    if (!*set)
        return MEMORY;
    (*set)->mark = SET_MARK;
    pthread_mutex_init(&(*set)->lock, NULL);
    pass_over_what_was(&c, *set);
    return OK;
}

API nvmlEventSetFree(struct event_set *set)
{
    CALL_LIBRARY();
    if (!set || set->mark != SET_MARK)
        return INVALID_ARGUMENT;
    set->mark = 0;
    free(set->delivered);
    free(set);
    return OK;
}

API nvmlDeviceGetSupportedEventTypes(handle_t handle, uint64_t *types)
{
    CALL(handle);
    return read_u64(&c, "supported_event_types", types);
}

API nvmlDeviceRegisterEvents(handle_t handle, unsigned long long types, struct event_set *set)
{
    CALL(handle);
    if (!set || set->mark != SET_MARK)
        return INVALID_ARGUMENT;
    uint64_t known = 0;
    answer_t answer = read_u64(&c, "supported_event_types", &known);
    if (answer != OK || (types & ~known))
        return answer != OK ? answer : NOT_SUPPORTED;
    pthread_mutex_lock(&set->lock);
    set->types[c.device] |= types;
    pthread_mutex_unlock(&set->lock);
    return OK;
}

/* `xid.0 = 79 seq=1 type=8 gi=.. ci=..`, the first that is new to the set. */
static bool next_event(struct call *c, struct event_set *set, struct event_data *data)
{
    bool found = false;
    pthread_mutex_lock(&set->lock);
    for (int i = 0; !found && i < c->scenario->count; i++) {
        int device = c->device = c->scenario->order[i];
        const struct list *xids = &c->scenario->lists[XIDS][device];
        for (int j = 0; !found && j < xids->count; j++) {
            const char *line = xids->items[j].text;
            uint64_t type = option_number(c, line, "type", XID_EVENT);
            uint64_t sequence = option_number(c, line, "seq", 0);
            if (!(set->types[device] & type)
                || !first_time(set, device, xids->items[j].slot, sequence))
                continue;
            found = true;
            *data = (struct event_data){
                .device = handle_of(c->scenario, device, NO_MIG),
                .type = type,
                .data = strtoull(line, NULL, 0),
                .gpu_instance = (unsigned)option_number(c, line, "gi", NOT_AVAILABLE_U32),
                .compute_instance = (unsigned)option_number(c, line, "ci", NOT_AVAILABLE_U32),
            };
        }
    }
    pthread_mutex_unlock(&set->lock);
    c->device = NO_DEVICE;
    return found;
}

static answer_t wait_for_event(struct call *c, struct event_set *set, struct event_data *data,
                               unsigned timeout_ms)
{
    if (!set || set->mark != SET_MARK || !data)
        return INVALID_ARGUMENT;
    int watch = scenario_watch(); /* a real one sleeps in the kernel, and so does this */
    double until = c->now + timeout_ms / 1000.0;
    answer_t answer = TIMEOUT;
    for (;;) {
        struct scenario *newer = scenario_acquire_newest();
        scenario_release(c->scenario);
        c->scenario = newer;
        if (!initialised())
            answer = UNINITIALIZED;
        else if (next_event(c, set, data))
            answer = OK;
        double left = until - monotonic_seconds();
        if (answer != TIMEOUT || left <= 0)
            break;
        scenario_await_change(watch, left);
    }
    close(watch);
    return answer;
}

API nvmlEventSetWait_v2(struct event_set *set, struct event_data *data, unsigned timeout_ms)
{
    CALL_LIBRARY();
    return wait_for_event(&c, set, data, timeout_ms);
}

API nvmlEventSetWait(struct event_set *set, struct event_data *data, unsigned timeout_ms)
{
    CALL_LIBRARY();
    return wait_for_event(&c, set, data, timeout_ms);
}
