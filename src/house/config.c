#include "house/config.h"

#include "base/text.h"
#include "pop3/pop3.h"
#include "run/file.h"
#include "run/sock.h"

typedef enum { IS_SECTION, IS_TEXT, IS_LIST, IS_FLAG, IS_NUMBER, IS_SIZE, IS_SPAN } SettingType;
typedef struct {
    SettingType type;
    const char *name; /* or the section's title */
    size_t offset;
    const char *text; /* initial value of TEXT and LIST */
    uint64_t number;  /* of the others */
    const char *help;
} Setting;

static const Setting settings[] = {
#define SECTION(title)              {IS_SECTION, title, 0, NULL, 0, NULL},
#define TEXT(name, initial, help)   {IS_TEXT, #name, offsetof(Config, name), initial, 0, help},
#define LIST(name, initial, help)   {IS_LIST, #name, offsetof(Config, name), initial, 0, help},
#define FLAG(name, initial, help)   {IS_FLAG, #name, offsetof(Config, name), NULL, initial, help},
#define NUMBER(name, initial, help) {IS_NUMBER, #name, offsetof(Config, name), NULL, initial, help},
#define SIZE(name, initial, help)   {IS_SIZE, #name, offsetof(Config, name), NULL, initial, help},
#define SPAN(name, initial, help)   {IS_SPAN, #name, offsetof(Config, name), NULL, initial, help},
#include "house/settings.def"
};

#define NUMBER_MOST ((uint64_t)1 << 40) /* nothing wants more, and milliseconds of it still fit */

/* ---- values ---- */

static void put_words(Config *c, Words *out, Slice value)
{
    Words words = {arena_array(&c->memory, Slice, value.len / 2 + 1), 0};
    for (size_t at = 0, end; at < value.len; at = end + 1) {
        for (end = at; end < value.len && value.at[end] != ' ' && value.at[end] != '\t'; end++)
            continue;
        Slice word = slice(value.at + at, end - at);
        if (word.len) words.items[words.count++] = arena_copy(&c->memory, word);
    }
    *out = words;
}

static bool put_number(Slice value, const char *units, const uint64_t *factors, uint64_t *out)
{
    uint64_t factor = 1, number, product;
    if (value.len && !is_digit((unsigned char)value.at[value.len - 1])) {
        char last = ascii_lower(value.at[value.len - 1]);
        const char *unit = memchr(units, last, strlen(units)); /* strchr would find a NUL */
        if (!unit) return false;
        factor = factors[unit - units];
        value.len--;
    }
    if (!slice_to_u64(value, &number) || __builtin_mul_overflow(number, factor, &product) ||
        product > NUMBER_MOST)
        return false;
    *out = product;
    return true;
}

static Err put_value(Config *c, const Setting *s, Slice value)
{
    static const uint64_t sizes[] = {1 << 10, 1 << 20, 1 << 30}, spans[] = {1, 60, 3600, 86400},
                          none[] = {1};
    void *field = (char *)c + s->offset;
    bool fits = true;
    switch (s->type) {
    case IS_SECTION:
        break;
    case IS_TEXT:
        *(Slice *)field = arena_copy(&c->memory, value);
        break;
    case IS_LIST:
        put_words(c, field, value);
        break;
    case IS_FLAG:
        fits = slice_eq_nocase(value, S("yes")) || slice_eq_nocase(value, S("no"));
        if (fits) *(bool *)field = slice_eq_nocase(value, S("yes"));
        break;
    case IS_NUMBER:
        fits = put_number(value, "", none, field);
        break;
    case IS_SIZE:
        fits = put_number(value, "kmg", sizes, field);
        break;
    case IS_SPAN:
        fits = put_number(value, "smhd", spans, field);
        break;
    }
    static const char *const wants[] = {
        "", "text", "a list", "yes or no", "a number", "a size like 100M", "a time like 30m"};
    return fits ? OK
                : fail(ERR_CONFIG, "%s wants %s, not \"%.*s\"", s->name, wants[s->type], SP(value));
}

void config_defaults(Config *c)
{
    *c = (Config){0};
    for (size_t i = 0; i < COUNT(settings); i++) {
        const Setting *s = &settings[i];
        void *field = (char *)c + s->offset;
        if (s->type == IS_SECTION) continue;
        if (s->type == IS_TEXT || s->type == IS_LIST)
            must(put_value(c, s, slice_of(s->text)) == OK);
        else if (s->type == IS_FLAG)
            *(bool *)field = s->number != 0;
        else
            *(uint64_t *)field = s->number;
    }
}

/* ---- values that not every text or number is good for ---- */

static bool is_log_level(Slice value)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", "none"};
    for (size_t i = 0; i < COUNT(levels); i++)
        if (slice_eq(value, slice_of(levels[i]))) return true;
    return false;
}

static Err check_addresses(const char *name, const Words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        Address at;
        if (address_parse(words->items[i], &at))
            return fail(ERR_CONFIG,
                        "%s wants addresses like 127.0.0.1:143, [::1]:143, *:143 or unix:/PATH, "
                        "not \"%.*s\"",
                        name, SP(words->items[i]));
    }
    return OK;
}

/* One of two words. */
static Err check_choice(const char *name, Slice value, const char *one, const char *other)
{
    if (slice_eq(value, slice_of(one)) || slice_eq(value, slice_of(other))) return OK;
    return fail(ERR_CONFIG, "%s wants %s or %s, not \"%.*s\"", name, one, other, SP(value));
}

/* The field has its new value already: a configuration with a mistake is thrown away whole. */
static Err check_value(const Config *c, const Setting *s)
{
    const void *field = (const char *)c + s->offset;
    if (field == &c->log_level && !is_log_level(c->log_level))
        return fail(ERR_CONFIG, "log_level wants debug, info, warn, error or none, not \"%.*s\"",
                    SP(c->log_level));
    if (field == &c->pop3_uidl) return uidl_format_check(c->pop3_uidl);
    if (field == &c->expunge_means) return check_choice(s->name, c->expunge_means, "gone", "trash");
    if (field == &c->deleted_means) return check_choice(s->name, c->deleted_means, "mark", "trash");
    if (field == &c->subaddress_separator && c->subaddress_separator.len > 1)
        return fail(ERR_CONFIG, "subaddress_separator wants one character, or nothing");
    if (field == &c->loops && c->loops > 1024)
        return fail(ERR_CONFIG, "loops wants a number up to 1024");
    if (field == &c->message_most && !c->message_most)
        return fail(ERR_CONFIG, "message_most wants a size above 0");
    if (field == &c->store && !c->store.len) return fail(ERR_CONFIG, "store wants a directory");
    if (s->type == IS_LIST && slice_starts(slice_of(s->name), S("listen_")))
        return check_addresses(s->name, field);
    return OK;
}

/* ---- keys ---- */

/* How many letters must be changed to make one of the other (Levenshtein). */
static size_t distance(Slice a, Slice b)
{
    size_t row[64];
    if (b.len >= COUNT(row)) return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = corner + (a.at[i - 1] != b.at[j - 1]);
            corner = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

static const char *nearest(Slice key)
{
    const char *best = settings[1].name;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < COUNT(settings); i++) {
        if (settings[i].type == IS_SECTION) continue;
        size_t d = distance(key, slice_of(settings[i].name));
        if (d < least) least = d, best = settings[i].name;
    }
    return best;
}

Err config_set(Config *c, Slice key, Slice value)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        if (settings[i].type == IS_SECTION || !slice_eq(key, slice_of(settings[i].name))) continue;
        TRY(put_value(c, &settings[i], value));
        return check_value(c, &settings[i]);
    }
    return fail(ERR_CONFIG, "unknown key \"%.*s\"; did you mean \"%s\"?", SP(key), nearest(key));
}

Err config_options(Config *c, const Words *options)
{
    for (size_t i = 0; i < options->count; i++) {
        Slice option = options->items[i];
        size_t at = slice_find(option, '=');
        if (at == option.len)
            return fail(ERR_CONFIG, "-o wants KEY=VALUE, not \"%.*s\"", SP(option));
        TRY(config_set(c, slice_first(option, at), slice_from(option, at + 1)));
    }
    return OK;
}

static Err parse_line(Config *c, Slice line, bool *version_seen)
{
    line = slice_trim(line);
    if (!line.len || line.at[0] == '#') return OK;
    size_t at = slice_find(line, '=');
    if (at == line.len) return fail(ERR_CONFIG, "not \"key = value\"");
    Slice key = slice_trim(slice_first(line, at)), value = slice_trim(slice_from(line, at + 1));
    if (slice_eq(key, S("version"))) {
        *version_seen = true;
        return slice_eq(value, S("1"))
                   ? OK
                   : fail(ERR_CONFIG, "this server reads version 1, not %.*s", SP(value));
    }
    if (!*version_seen) return fail(ERR_CONFIG, "the first line has to be \"version = 1\"");
    return config_set(c, key, value);
}

Err config_parse(Config *c, Slice text)
{
    bool version_seen = false;
    Slice line;
    for (unsigned number = 1; slice_cut(&text, '\n', &line); number++) {
        Err err = parse_line(c, line, &version_seen);
        if (!err) continue;
        Arena a arena_scoped = {0};
        Slice story = arena_copy(&a, slice_of(err_story()));
        return fail(err, "line %u: %.*s", number, SP(story));
    }
    return OK;
}

Err config_load(Config *c, Slice path)
{
    Arena a arena_scoped = {0};
    Slice text;
    config_defaults(c);
    TRY(path_read(path, 1 << 20, &a, &text));
    Err err = config_parse(c, text);
    if (!err) return OK;
    Slice story = arena_copy(&a, slice_of(err_story()));
    return fail(err, "%.*s: %.*s", SP(path), SP(story));
}

void config_done(Config *c)
{
    arena_done(&c->memory);
}

/* ---- what a reload cannot change ---- */

bool config_wants_restart(Slice key)
{
    static const char *const keys[] = {
        "store",
        "store_on_network",
        "segment_size",
        "control",
        "throttle",
        "quota",
        "quota_messages",
        "quota_mailboxes",
        "quota_annotations",
        "annotation_most",
        "annotations_most",
        "message_most",
        "undelete",
        "expunge_means",
        "deleted_means",
        "deleted_view",
        "zero_ahead",
        "loops",
        "checkpoint_milliseconds",
        "oauth_introspection",
        "oauth_client",
        "oauth_client_secret",
        "oauth_introspection_authority",
        "sandbox",
        "single_process",
        "user",
        "watchdog",
        "cores",
        "pop3_apop"}; /* the keeper learns at its start what to keep */
    for (size_t i = 0; i < COUNT(keys); i++)
        if (slice_eq(key, slice_of(keys[i]))) return true;
    return slice_starts(key, S("listen_"));
}

/* ---- printing ---- */

static void print_number(Buf *out, SettingType type, uint64_t n)
{
    static const struct {
        SettingType type;
        uint64_t factor;
        char unit;
    } units[] = {
        {IS_SIZE, 1 << 30, 'G'},
        {IS_SIZE, 1 << 20, 'M'},
        {IS_SIZE, 1 << 10, 'K'},
        {IS_SPAN, 86400,   'd'},
        {IS_SPAN, 3600,    'h'},
        {IS_SPAN, 60,      'm'}
    };
    for (size_t i = 0; i < COUNT(units); i++) {
        if (units[i].type != type || !n || n % units[i].factor) continue;
        buf_printf(out, "%llu%c", (unsigned long long)(n / units[i].factor), units[i].unit);
        return;
    }
    buf_number(out, n);
}

static void print_value(const Config *c, const Setting *s, Buf *out)
{
    const void *field = (const char *)c + s->offset;
    switch (s->type) {
    case IS_SECTION:
        break;
    case IS_TEXT:
        buf_add(out, *(const Slice *)field);
        break;
    case IS_FLAG:
        buf_add(out, *(const bool *)field ? S("yes") : S("no"));
        break;
    case IS_LIST:
        for (size_t i = 0; i < ((const Words *)field)->count; i++) {
            if (i) buf_char(out, ' ');
            buf_add(out, ((const Words *)field)->items[i]);
        }
        break;
    case IS_NUMBER:
    case IS_SIZE:
    case IS_SPAN:
        print_number(out, s->type, *(const uint64_t *)field);
        break;
    }
}

static void print_all(const Config *c, Buf *out, bool help)
{
    buf_add(out, S("version = 1\n"));
    for (size_t i = 0; i < COUNT(settings); i++) {
        const Setting *s = &settings[i];
        if (s->type == IS_SECTION) {
            if (help) buf_printf(out, "\n# ---- %s ----\n", s->name);
            continue;
        }
        const char *restart =
            config_wants_restart(slice_of(s->name)) ? " A change wants a restart." : "";
        if (help) buf_printf(out, "\n# %s%s\n", s->help, restart);
        buf_printf(out, "%s = ", s->name);
        print_value(c, s, out);
        buf_char(out, '\n');
    }
}

void config_print(const Config *c, Buf *out)
{
    print_all(c, out, false);
}

void config_print_defaults(Buf *out)
{
    Config c;
    config_defaults(&c);
    print_all(&c, out, true);
    config_done(&c);
}

void config_compare(const Config *a, const Config *b, void (*tell)(void *arg, Slice key), void *arg)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        Buf x buf_scoped = {0}, y buf_scoped = {0};
        print_value(a, &settings[i], &x);
        print_value(b, &settings[i], &y);
        if (!slice_eq(buf_slice(&x), buf_slice(&y))) tell(arg, slice_of(settings[i].name));
    }
}
