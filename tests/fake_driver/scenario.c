/* Reading the scenario file: a table of key and value, the lines that act on calls, the lists. */
#include "fake.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const double CHECK_EVERY_S = 0.005;

/* Guards `current` and every `references`; held for a few instructions only. */
static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;
static struct scenario *current;

struct signature {
    bool exists;
    ino_t inode;
    off_t size;
    struct timespec modified;
};
static struct signature loaded; /* touched only by the thread that holds `reloading` */
static atomic_flag reloading = ATOMIC_FLAG_INIT;
static _Atomic int64_t next_check_us;

static uint64_t hash(const char *key)
{
    uint64_t h = 14695981039346656037ull;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211ull;
    return h;
}

static struct entry *slot_for(const struct scenario *s, const char *key)
{
    size_t i = hash(key) & (s->capacity - 1);
    while (s->table[i].key && strcmp(s->table[i].key, key) != 0)
        i = (i + 1) & (s->capacity - 1);
    return &s->table[i];
}

const char *scenario_text(const struct scenario *s, const char *key)
{
    return slot_for(s, key)->value;
}

const char *device_text(const struct scenario *s, int device, const char *key)
{
    char whole[128];
    if (device >= 0) {
        snprintf(whole, sizeof whole, "device.%d.%s", device, key);
        const char *value = scenario_text(s, whole);
        if (value)
            return value;
    }
    snprintf(whole, sizeof whole, "device.*.%s", key);
    return scenario_text(s, whole);
}

bool option(const char *line, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    for (const char *at = line; *at;) {
        at += strspn(at, " \t");
        size_t token = strcspn(at, " \t");
        if (token > length && at[length] == '=' && strncmp(at, name, length) == 0) {
            size_t n = token - length - 1 < size - 1 ? token - length - 1 : size - 1;
            memcpy(out, at + length + 1, n);
            out[n] = '\0';
            return true;
        }
        at += token;
    }
    return false;
}

static unsigned count_option(const char *line, const char *name)
{
    char text[24];
    return option(line, name, text, sizeof text) ? (unsigned)strtoul(text, NULL, 0) : 0;
}

/* ---- lines that act on calls ---------------------------------------------------------- */

static void add_rule(struct scenario *s, enum rule_kind kind, int device, const char *symbol,
                     size_t length, const struct entry *entry)
{
    struct rule rule = {.kind = kind, .key = entry->key, .value = entry->value, .device = device};
    if (length >= sizeof rule.symbol)
        length = sizeof rule.symbol - 1;
    rule.prefix = length > 0 && symbol[length - 1] == '*';
    memcpy(rule.symbol, symbol, length - rule.prefix);
    rule.amount = strncmp(entry->value, "forever", 7) == 0 ? -1 : strtod(entry->value, NULL);
    if (kind == RULE_DELAY)
        rule.amount /= 1000;
    rule.after = count_option(entry->value, "after");
    rule.times = count_option(entry->value, "times");
    rule.every = count_option(entry->value, "every");
    if (rule.after || rule.times || rule.every)
        rule.seen = calloc(MAX_DEVICES + 1, sizeof *rule.seen);
    s->rules = realloc(s->rules, (size_t)(s->rule_count + 1) * sizeof *s->rules);
    s->rules[s->rule_count++] = rule;
}

/* `<symbol>.<what>`, the end of a `call.` key. */
static bool add_call_rule(struct scenario *s, int device, const char *rest,
                          const struct entry *entry)
{
    static const struct {
        const char *what;
        enum rule_kind kind;
    } kinds[] = {{"error", RULE_ERROR}, {"delay_ms", RULE_DELAY}, {"hang", RULE_HANG}};
    const char *dot = strrchr(rest, '.');
    for (size_t i = 0; dot && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(dot + 1, kinds[i].what) == 0) {
            add_rule(s, kinds[i].kind, device, rest, (size_t)(dot - rest), entry);
            return true;
        }
    return false;
}

/* Calls counted so far survive a rewrite that left the line alone. */
static void keep_counts(struct scenario *after, const struct scenario *before)
{
    for (int i = 0; before && i < after->rule_count; i++)
        for (int j = 0; after->rules[i].seen && j < before->rule_count; j++)
            if (before->rules[j].seen && strcmp(after->rules[i].key, before->rules[j].key) == 0
                && strcmp(after->rules[i].value, before->rules[j].value) == 0)
                memcpy(after->rules[i].seen, before->rules[j].seen,
                       (MAX_DEVICES + 1) * sizeof *after->rules[i].seen);
}

/* ---- numbered lines -------------------------------------------------------------------- */

static int by_slot(const void *a, const void *b)
{
    return ((const struct item *)a)->slot - ((const struct item *)b)->slot;
}

static void add_item(struct list *list, int slot, const char *text, bool replace)
{
    for (int i = 0; i < list->count; i++)
        if (list->items[i].slot == slot) {
            if (replace)
                list->items[i].text = text;
            return;
        }
    list->items = realloc(list->items, (size_t)(list->count + 1) * sizeof *list->items);
    list->items[list->count++] = (struct item){slot, text};
}

static bool add_listed(struct scenario *s, int device, const char *rest, const char *text)
{
    static const char *const prefixes[LISTS] = {"process.", "mig.", "xid."};
    for (int kind = 0; kind < LISTS; kind++) {
        size_t length = strlen(prefixes[kind]);
        if (strncmp(rest, prefixes[kind], length) != 0)
            continue;
        int slot = atoi(rest + length);
        for (int n = 0; n < MAX_DEVICES; n++)
            if (device == n || (device == ANY_DEVICE && n < s->devices))
                add_item(&s->lists[kind][n], slot, text, device == n);
        return true;
    }
    return false;
}

/* ---- the whole file -------------------------------------------------------------------- */

static char *trimmed(char *from, char *to)
{
    while (from < to && strchr(" \t\r", *from))
        from++;
    while (to > from && strchr(" \t\r", to[-1]))
        to--;
    *to = '\0';
    return from;
}

static void parse_lines(struct scenario *s, size_t default_length)
{
    int number = 0;
    for (char *line = s->text, *next; line; line = next) {
        if (line == s->text + default_length)
            number = 0;
        number++;
        next = strchr(line, '\n');
        char *end = next ? next++ : line + strlen(line);
        for (char *hash_sign = line; hash_sign < end; hash_sign++)
            if (*hash_sign == '#' && (hash_sign == line || strchr(" \t", hash_sign[-1]))) {
                end = hash_sign;
                break;
            }
        char *equals = memchr(line, '=', (size_t)(end - line));
        bool from_user = line >= s->text + default_length;
        if (!equals) {
            char *left = trimmed(line, end);
            if (*left)
                fprintf(stderr, "fake driver: scenario line %d has no '=': %s\n", number, left);
            continue;
        }
        char *value = trimmed(equals + 1, end);
        char *key = trimmed(line, equals);
        if (from_user && !known_key(key))
            fprintf(stderr, "fake driver: scenario line %d: unknown key %s\n", number, key);
        struct entry *entry = slot_for(s, key);
        if (!entry->key)
            s->entries++;
        *entry = (struct entry){key, value};
    }
}

static long number_or(const char *text, long otherwise)
{
    return text ? strtol(text, NULL, 0) : otherwise;
}

static void interpret(struct scenario *s)
{
    const char *order = scenario_text(s, "order");
    for (int i = 0; i < MAX_DEVICES; i++)
        s->order[i] = i;
    for (int i = 0; order && *order && i < MAX_DEVICES; i++) {
        char *end;
        long device = strtol(order, &end, 10);
        if (end == order)
            break;
        s->order[i] = device >= 0 && device < MAX_DEVICES ? (int)device : 0;
        order = end;
    }
    long count = number_or(scenario_text(s, "count"), 1);
    s->says_count = count < 0 ? 0 : (unsigned)count;
    s->count = count < 0 ? 0 : count > MAX_DEVICES ? MAX_DEVICES : (int)count;
    for (int i = 0; i < s->count; i++)
        if (s->order[i] >= s->devices)
            s->devices = s->order[i] + 1;
    s->uninitialized = number_or(scenario_text(s, "uninitialized"), 0) != 0;
    long generation = number_or(scenario_text(s, "generation"), 1);
    for (int n = 0; n < MAX_DEVICES; n++) {
        s->lost[n] = number_or(device_text(s, n, "lost"), 0) != 0;
        s->generation[n] = (unsigned)number_or(device_text(s, n, "generation"), generation) & 0xFF;
    }
    for (size_t i = 0; i < s->capacity; i++) {
        const struct entry *entry = &s->table[i];
        if (!entry->key)
            continue;
        if (strncmp(entry->key, "init.", 5) == 0) {
            char rest[48];
            snprintf(rest, sizeof rest, "nvmlInit*.%s", entry->key + 5);
            add_call_rule(s, NO_DEVICE, rest, entry);
        } else if (strncmp(entry->key, "call.", 5) == 0) {
            add_call_rule(s, NO_DEVICE, entry->key + 5, entry);
        } else if (strcmp(entry->key, "crash") == 0) {
            add_rule(s, RULE_CRASH, NO_DEVICE, entry->value, strcspn(entry->value, " \t"), entry);
        } else if (strncmp(entry->key, "device.", 7) == 0) {
            const char *rest = strchr(entry->key + 7, '.');
            int device = entry->key[7] == '*' ? ANY_DEVICE : atoi(entry->key + 7);
            if (!rest++)
                continue;
            if (strncmp(rest, "call.", 5) == 0)
                add_call_rule(s, device, rest + 5, entry);
            else if (strcmp(rest, "crash") == 0)
                add_rule(s, RULE_CRASH, device, entry->value, strcspn(entry->value, " \t"), entry);
            else
                add_listed(s, device, rest, entry->value);
        }
    }
    for (int kind = 0; kind < LISTS; kind++)
        for (int n = 0; n < MAX_DEVICES; n++)
            if (s->lists[kind][n].count)
                qsort(s->lists[kind][n].items, (size_t)s->lists[kind][n].count,
                      sizeof(struct item), by_slot);
}

/* `fd` may be -1: then the defaults alone. */
static struct scenario *load(int fd, off_t size)
{
    size_t default_length = strlen(default_scenario), length = default_length;
    struct scenario *s = calloc(1, sizeof *s);
    s->references = 1;
    s->text = malloc(default_length + (size_t)size + 1);
    memcpy(s->text, default_scenario, default_length);
    while (fd >= 0 && length < default_length + (size_t)size) {
        ssize_t n = read(fd, s->text + length, default_length + (size_t)size - length);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    s->text[length] = '\0';
    size_t lines = 1;
    for (const char *at = s->text; (at = strchr(at, '\n')); at++)
        lines++;
    for (s->capacity = 64; s->capacity < lines * 2; s->capacity *= 2)
        ;
    s->table = calloc(s->capacity, sizeof *s->table);
    parse_lines(s, default_length);
    interpret(s);
    return s;
}

static void unload(struct scenario *s)
{
    for (int i = 0; i < s->rule_count; i++)
        free(s->rules[i].seen);
    for (int kind = 0; kind < LISTS; kind++)
        for (int n = 0; n < MAX_DEVICES; n++)
            free(s->lists[kind][n].items);
    free(s->rules);
    free(s->table);
    free(s->text);
    free(s);
}

static bool same_file(const struct signature *a, const struct signature *b)
{
    return a->exists == b->exists && a->inode == b->inode && a->size == b->size
           && a->modified.tv_sec == b->modified.tv_sec
           && a->modified.tv_nsec == b->modified.tv_nsec;
}

static void reload(void)
{
    const char *path = getenv("FAKE_NVML_SCENARIO");
    struct stat status;
    struct signature found = {0};
    if (path && stat(path, &status) == 0)
        found = (struct signature){true, status.st_ino, status.st_size, status.st_mtim};
    if (current && same_file(&found, &loaded))
        return;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    found = (struct signature){0};
    if (fd >= 0 && fstat(fd, &status) == 0)
        found = (struct signature){true, status.st_ino, status.st_size, status.st_mtim};
    struct scenario *fresh = load(fd, found.size);
    if (fd >= 0)
        close(fd);

    /* Books and scenario change together, so that no counter mixes two scenarios' rates. */
    counters_lock();
    counters_rebase(current, fresh, monotonic_seconds());
    keep_counts(fresh, current);
    pthread_mutex_lock(&current_lock);
    struct scenario *before = current;
    current = fresh;
    pthread_mutex_unlock(&current_lock);
    counters_unlock();
    loaded = found;
    if (before)
        scenario_release(before);
}

struct scenario *scenario_current(void)
{
    pthread_mutex_lock(&current_lock);
    struct scenario *s = current;
    if (s)
        s->references++;
    pthread_mutex_unlock(&current_lock);
    return s;
}

/* Look at the file; with `reloading` held, which this lets go. */
static void check(int64_t now_us)
{
    reload();
    atomic_store(&next_check_us, now_us + (int64_t)(CHECK_EVERY_S * 1e6));
    atomic_flag_clear(&reloading);
}

struct scenario *scenario_acquire(void)
{
    for (;;) {
        int64_t now_us = (int64_t)(monotonic_seconds() * 1e6);
        if (now_us >= atomic_load(&next_check_us) && !atomic_flag_test_and_set(&reloading))
            check(now_us);
        struct scenario *s = scenario_current();
        if (s)
            return s;
        sleep_seconds(0.001); /* another thread is loading the very first one */
    }
}

struct scenario *scenario_acquire_newest(void)
{
    while (atomic_flag_test_and_set(&reloading))
        sleep_seconds(0.001);
    check((int64_t)(monotonic_seconds() * 1e6));
    return scenario_current();
}

int scenario_watch(void)
{
    int fd = inotify_init1(IN_CLOEXEC);
    const char *path = getenv("FAKE_NVML_SCENARIO");
    char *copy = path ? strdup(path) : NULL;
    if (copy)
        inotify_add_watch(fd, dirname(copy), IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE);
    free(copy);
    return fd;
}

void scenario_await_change(int watch, double seconds)
{
    char news[4096];
    struct pollfd one = {.fd = watch, .events = POLLIN};
    if (poll(&one, 1, (int)(seconds * 1000) + 1) > 0 && read(watch, news, sizeof news) < 0)
        sleep_seconds(CHECK_EVERY_S); /* not again and again */
}

void scenario_release(struct scenario *s)
{
    pthread_mutex_lock(&current_lock);
    bool last = --s->references == 0;
    pthread_mutex_unlock(&current_lock);
    if (last)
        unload(s);
}
