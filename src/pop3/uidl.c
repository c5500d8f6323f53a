#include "pop3/uidl.h"

#include <stdio.h>

/* Facts: Cyrus names the same in its option uidl_format; Courier's pop3d writes UID%u-%v, with
 * numbers of its own, which is why an import reads its courierpop3dsizelist. */
static const struct {
    Slice name, format;
} formats[] = {
    {S(""),          S("%08Xv%08Xu")},
    {S("posthouse"), S("%08Xv%08Xu")},
    {S("dovecot"),   S("%08Xu%08Xv")},
    {S("cyrus"),     S("%v.%u")     },
    {S("courier"),   S("UID%u-%v")  },
    {S("uid"),       S("%u")        },
    {S("filename"),  S("%f")        },
};

static Slice expand(Slice format)
{
    for (size_t i = 0; i < COUNT(formats); i++)
        if (slice_eq(format, formats[i].name)) return formats[i].format;
    return format;
}

/* ---- grammar ---- */

typedef struct {
    char what; /* u, v, f, or '%': the character itself */
    uint32_t width;
    bool zeros; /* what they would be without makes no difference: blanks end an id */
    bool hex;
} Variable;

static bool see(Slice *rest, Slice word)
{
    if (!slice_starts(*rest, word)) return false;
    *rest = slice_from(*rest, word.len);
    return true;
}

static char take(Slice *rest)
{
    char c = rest->len ? rest->at[0] : 0;
    *rest = slice_from(*rest, 1);
    return c;
}

static uint32_t read_width(Slice *rest)
{
    uint32_t width = 0;
    while (rest->len && rest->at[0] >= '0' && rest->at[0] <= '9' && width < 100)
        width = width * 10 + (uint32_t)(take(rest) - '0');
    return width;
}

/* "{" name [" | hex(" width ")"] "}": Dovecot 2.4. */
static bool read_named(Slice *rest, Variable *v)
{
    static const struct {
        Slice name;
        char what;
    } names[] = {
        {S("uidvalidity"), 'v'},
        {S("uid"),         'u'},
        {S("filename"),    'f'}
    };
    for (size_t i = 0; i < COUNT(names) && !v->what; i++)
        if (see(rest, names[i].name)) v->what = names[i].what;
    if (see(rest, S(" | hex("))) {
        v->hex = v->zeros = true;
        v->width = read_width(rest);
        if (!see(rest, S(")")) || v->what == 'f') return false;
    }
    return see(rest, S("}")) && v->what;
}

/* Behind the "%". */
static bool read_variable(Slice *rest, Variable *v)
{
    *v = (Variable){0};
    if (see(rest, S("{"))) return read_named(rest, v) && v->width <= 20;
    v->zeros = see(rest, S("0"));
    v->width = read_width(rest);
    v->hex = see(rest, S("X"));
    v->what = take(rest);
    bool plain = !v->zeros && !v->width && !v->hex;
    if (v->what == '%' || v->what == 'f') return plain;
    return (v->what == 'u' || v->what == 'v') && v->width <= 20;
}

/* *unique: it has %u or %f. */
static bool walk(Slice format, void (*put)(void *arg, const Variable *v, char plain), void *arg,
                 bool *unique)
{
    *unique = false;
    while (format.len) {
        Variable v = {0};
        char c = take(&format);
        if (c == '%' && !read_variable(&format, &v)) return false;
        if (c < 0x21 || c > 0x7e) return false;
        if (v.what == 'u' || v.what == 'f') *unique = true;
        if (put) put(arg, v.what && v.what != '%' ? &v : NULL, c);
    }
    return true;
}

Err uidl_format_check(Slice format)
{
    bool unique;
    if (!walk(expand(format), NULL, NULL, &unique) || format.len > 60)
        return fail(ERR_CONFIG,
                    "pop3_uidl %.*s: not posthouse, dovecot, cyrus, courier, uid, "
                    "filename, nor a format of %%u, %%v, %%f",
                    SP(format));
    if (!unique) return fail(ERR_CONFIG, "pop3_uidl %.*s: without %%u or %%f", SP(format));
    return OK;
}

bool uidl_format_is_default(Slice format)
{
    return slice_eq(expand(format), formats[0].format);
}

/* ---- making ---- */

typedef struct {
    Buf *out;
    uint32_t validity, uid;
    Slice file;
    bool wants_file;
} Making;

static void put_variable(void *arg, const Variable *v, char plain)
{
    Making *m = arg;
    if (!v) {
        buf_char(m->out, plain);
        return;
    }
    if (v->what == 'f') {
        m->wants_file = true;
        buf_add(m->out, m->file);
        return;
    }
    uint32_t n = v->what == 'u' ? m->uid : m->validity;
    char digits[40];
    int len = snprintf(digits, sizeof digits, v->hex ? "%x" : "%u", n);
    for (uint32_t i = (uint32_t)len; i < v->width; i++)
        buf_char(m->out, '0'); /* a blank would end the id */
    buf_add(m->out, slice(digits, (size_t)len));
}

bool uidl_make(Buf *out, Slice format, uint32_t validity, uint32_t uid, Slice file)
{
    Making m = {.out = out, .validity = validity, .uid = uid, .file = file};
    size_t start = out->len;
    bool unique;
    bool good = walk(expand(format), put_variable, &m, &unique);
    if (good && (!m.wants_file || file.len)) return true;
    out->len = start;
    return false;
}

bool uidl_wants_file(Slice format)
{
    Buf scratch buf_scoped = {0};
    return !uidl_make(&scratch, format, 1, 1, (Slice){0});
}

bool uidl_is_sound(Slice id)
{
    if (!id.len || id.len > POP3_UIDL_MOST) return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.at[i] < 0x21 || id.at[i] > 0x7e) return false;
    return true;
}

/* ---- kept ---- */

void uidl_keep(Buf *out, const KeptUidl *k)
{
    buf_bytes(out, k->id);
    buf_bytes(out, k->file);
}

bool uidl_kept(Slice value, KeptUidl *k)
{
    Reader in = reader(value);
    k->id = read_bytes(&in);
    k->file = read_bytes(&in);
    if (in.bad || in.rest.len) return false;
    if (!uidl_is_sound(k->id)) k->id = (Slice){0};
    if (!uidl_is_sound(k->file)) k->file = (Slice){0};
    return k->id.len || k->file.len;
}
