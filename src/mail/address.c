/* RFC 5322 3.4 address lists with the obsolete forms of 4.4, and what mailers make of them.
 *
 *   address-list = address *("," address)          elements; we take ";" for "," outside groups, as
 * some mailers write mailbox      = [phrase] "<" [route ":"] addr-spec ">" / addr-spec group =
 * phrase ":" [mailbox-list] ";"
 *
 * An element is first measured up to the special that ends it (the cursor steps over comments,
 * quoted strings and literals), then read by what that special says it is. */
#include "base/text.h"
#include "mail/cursor.h"
#include "mail/header.h"
#include "mail/mail.h"

typedef struct {
    Arena *a;
    MailAddress *list;
    size_t count, room;
    Cursor c;
    bool in_group;
    bool after_angle; /* no comma since the last ">": words here belong to nothing */
} Addresses;

static Slice keep(Arena *a, const Buf *b)
{
    return b->len ? arena_copy(a, slice_trim(buf_slice(b))) : (Slice){0};
}

static MailAddress *row(Addresses *s)
{
    return s->count < s->room ? &s->list[s->count++] : NULL;
}

/* One quoted string, literal or ordinary octet. */
static void take_piece(Cursor *c, Buf *out)
{
    Slice piece;
    if (cursor_quoted(c, &piece))
        unquote(out, piece);
    else if (cursor_literal(c, &piece))
        unquote(out, piece);
    else
        buf_char(out, c->text.at[c->at++]);
}

/* Words with one SP where there was white space or a comment. */
static Slice phrase(Arena *a, Slice raw)
{
    Buf words buf_scoped = {0};
    Cursor c = {.text = raw};
    for (;;) {
        bool space = cursor_cfws(&c);
        if (cursor_is_done(&c)) break;
        if (space && words.len) buf_char(&words, ' ');
        take_piece(&c, &words);
    }
    return keep(a, &words);
}

static Slice comment_text(Arena *a, Slice inside)
{
    Buf text buf_scoped = {0};
    unquote(&text, inside);
    return keep(a, &text);
}

static bool goes_on(const Buf *b, char next) /* white space around dots is obsolete, not the end */
{
    return next == '.' || (b->len && b->at[b->len - 1] == '.');
}

typedef struct {
    Buf words, local, domain;
    bool has_at;
} AddrSpec;

static void addr_spec_free(AddrSpec *s)
{
    buf_done(&s->words), buf_done(&s->local), buf_done(&s->domain);
}

/* Up to the "@". Words before the last one are a name that somebody left without brackets. */
static void read_local(Cursor *c, AddrSpec *s)
{
    for (;;) {
        bool space = cursor_cfws(c);
        if (cursor_is_done(c) || cursor_peek(c) == '@') return;
        if (space && s->local.len && !goes_on(&s->local, cursor_peek(c))) {
            if (s->words.len) buf_char(&s->words, ' ');
            buf_add(&s->words, buf_slice(&s->local));
            buf_clear(&s->local);
        }
        take_piece(c, &s->local);
    }
}

/* Behind an "@". Of several the last one counts. */
static void read_domain(Cursor *c, AddrSpec *s)
{
    Slice literal;
    s->has_at = true;
    for (;;) {
        bool space = cursor_cfws(c);
        char next = cursor_peek(c);
        if (cursor_is_done(c)) return;
        if (next == '@') {
            buf_char(&s->local, '@');
            buf_add(&s->local, buf_slice(&s->domain));
            buf_clear(&s->domain);
            c->at++;
        } else if (space && s->domain.len && !goes_on(&s->domain, next)) {
            return;
        } else if (cursor_literal(c, &literal)) {
            buf_add(&s->domain, literal);
        } else {
            buf_char(&s->domain, next), c->at++;
        }
    }
}

static Slice or_empty(Slice s) /* a host that is not there must not look like a group */
{
    return s.at ? s : S("");
}

/* Fills mailbox and host; the words in front into *name. */
static void addr_spec(Arena *a, Cursor *c, MailAddress *m, Slice *name)
{
    AddrSpec s = {0};
    read_local(c, &s);
    if (cursor_peek(c) == '@' && !cursor_is_done(c)) {
        c->at++;
        read_domain(c, &s);
    } else if (s.words.len) {
        if (s.local.len) buf_char(&s.words, ' ');
        buf_add(&s.words, buf_slice(&s.local));
        buf_clear(&s.local);
        buf_add(&s.local, buf_slice(&s.words));
        buf_clear(&s.words);
    }
    m->mailbox = or_empty(keep(a, &s.local));
    m->host = or_empty(keep(a, &s.domain));
    *name = keep(a, &s.words);
    addr_spec_free(&s);
}

/* Steps to the special that ends this element; 0: the end. */
static char measure(Addresses *s, bool *has_at)
{
    Cursor *c = &s->c;
    Slice piece;
    *has_at = false;
    while (cursor_cfws(c), !cursor_is_done(c)) {
        char next = cursor_peek(c);
        if (next == ',' || next == ';' || next == '<') return next;
        if (next == ':' && !s->in_group && !*has_at) return next;
        *has_at |= next == '@';
        if (!cursor_quoted(c, &piece) && !cursor_literal(c, &piece)) c->at++;
    }
    return 0;
}

/* Behind "<": up to ">" or, when somebody forgot it, up to what cannot be inside. */
static Slice angle(Cursor *c)
{
    Slice piece;
    size_t start = c->at;
    cursor_cfws(c);
    bool in_route = cursor_peek(c) == '@';
    while (cursor_cfws(c), !cursor_is_done(c)) {
        char next = cursor_peek(c);
        if (next == '>') break;
        if (next == '<' || (!in_route && (next == ',' || next == ';'))) break;
        if (next == ':') in_route = false;
        if (!cursor_quoted(c, &piece) && !cursor_literal(c, &piece)) c->at++;
    }
    Slice inside = slice(c->text.at + start, c->at - start);
    if (cursor_peek(c) == '>') c->at++;
    return inside;
}

/* RFC 5322 4.4: obs-route = "@" domain *("," ["@" domain]) ":" */
static Slice route(Arena *a, Cursor *c)
{
    Buf text buf_scoped = {0};
    Cursor ahead = *c;
    cursor_cfws(&ahead);
    if (cursor_peek(&ahead) != '@') return (Slice){0};
    while (cursor_cfws(&ahead), !cursor_is_done(&ahead) && cursor_peek(&ahead) != ':')
        take_piece(&ahead, &text);
    if (cursor_is_done(&ahead)) return (Slice){0};
    ahead.at++;
    *c = ahead;
    return keep(a, &text);
}

static void name_addr(Addresses *s, Slice before)
{
    s->c.at++;
    Cursor inside = {.text = angle(&s->c)};
    MailAddress *m = row(s);
    if (!m) return;
    Slice ignored;
    m->route = route(s->a, &inside);
    addr_spec(s->a, &inside, m, &ignored);
    m->name = phrase(s->a, before);
    cursor_cfws(&s->c);
    if (!m->name.len && s->c.comment.at) m->name = comment_text(s->a, s->c.comment);
    if (!m->name.len) m->name = (Slice){0};
    s->after_angle = true;
}

static void bare_address(Addresses *s, Slice element, bool has_at)
{
    Cursor c = {.text = element};
    cursor_cfws(&c);
    if (cursor_is_done(&c) || (s->after_angle && !has_at)) return;
    MailAddress *m = row(s);
    if (!m) return;
    c.at = 0;
    addr_spec(s->a, &c, m, &m->name);
    cursor_cfws(&c);
    if (!m->name.len && c.comment.at) m->name = comment_text(s->a, c.comment);
    if (!m->name.len) m->name = (Slice){0};
}

static void group_starts(Addresses *s, Slice name)
{
    MailAddress *m = row(s);
    if (!m) return;
    m->group_start = true;
    m->mailbox = or_empty(phrase(s->a, name));
    s->in_group = true;
    s->after_angle = false;
    s->c.at++;
}

static void group_ends(Addresses *s)
{
    if (!s->in_group) return;
    s->in_group = false;
    s->list[s->count++].group_end = true; /* a row is kept for it */
}

static void element(Addresses *s)
{
    size_t start = s->c.at;
    bool has_at;
    s->c.comment = (Slice){0};
    char end = measure(s, &has_at);
    Slice text = slice(s->c.text.at + start, s->c.at - start);
    if (end == '<') {
        name_addr(s, text);
    } else if (end == ':') {
        group_starts(s, text);
    } else {
        bare_address(s, text, has_at);
        if (end == ';') group_ends(s);
        if (end) s->c.at++;
        s->after_angle = false;
    }
}

static size_t most_rows(Slice value)
{
    size_t n = 1;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        n += c == ',' || c == ';' || c == ':' || c == '<';
    }
    return MIN(n, MAIL_ADDRESSES_MOST);
}

size_t header_addresses(Arena *a, Slice value, MailAddress **list)
{
    Addresses s = {.a = a, .room = most_rows(value), .c = {.text = value}};
    s.list = arena_array(a, MailAddress, s.room + 1);
    while (!cursor_is_done(&s.c) && s.count < s.room)
        element(&s);
    group_ends(&s);
    *list = s.list;
    return s.count;
}
