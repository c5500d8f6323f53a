#include "store/page.h"

#include "base/text.h"

#include <stdlib.h>

/* ---- keys ---- */

static void key_number(PageKey *k, uint32_t n)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        k->at[k->len++] = (char)(n >> shift);
}

PageKey page_key(char kind)
{
    PageKey k;
    k.at[0] = kind, k.len = 1;
    return k;
}

PageKey page_key_1(char kind, uint32_t a)
{
    PageKey k = page_key(kind);
    key_number(&k, a);
    return k;
}

PageKey page_key_2(char kind, uint32_t a, uint32_t b)
{
    PageKey k = page_key_1(kind, a);
    key_number(&k, b);
    return k;
}

static void key_add(ObjectKey *k, Slice s)
{
    must(s.len <= sizeof k->at - k->len);
    if (s.len) memcpy(k->at + k->len, s.at, s.len);
    k->len = (uint16_t)(k->len + s.len);
}

void object_key(ObjectKey *k, Slice collection, Slice id)
{
    k->len = 0;
    key_add(k, S("o"));
    key_add(k, collection);
    key_add(k, slice("", 1));
    key_add(k, id);
}

void object_chunk_key(ObjectKey *k, Slice of_object, uint32_t chunk)
{
    char number[2] = {(char)(chunk >> 8), (char)chunk};
    k->len = 0;
    key_add(k, S("O"));
    key_add(k, slice_from(of_object, 1));
    key_add(k, slice(number, sizeof number));
}

bool page_key_numbers(Slice key, uint32_t *numbers, size_t count)
{
    if (key.len != 1 + count * 4) return false;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *p = (const unsigned char *)key.at + 1 + i * 4;
        numbers[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return true;
}

/* ---- the envelope ---- */

size_t page_begin(Buf *out)
{
    size_t start = out->len;
    buf_u32(out, 0);
    buf_u8(out, PAGE_VERSION);
    return start;
}

void page_end(Buf *out, size_t start)
{
    uint32_t crc = crc32c(0, slice(out->at + start + 4, out->len - start - 4));
    for (int i = 0; i < 4; i++)
        out->at[start + (size_t)i] = (char)(crc >> (8 * i));
}

Err page_open(Slice value, Reader *payload)
{
    *payload = reader(value);
    uint32_t crc = read_u32(payload);
    if (payload->bad || crc != crc32c(0, payload->rest))
        return fail(ERR_CORRUPT, "an index page of %zu octets does not fit its checksum",
                    value.len);
    uint8_t version = read_u8(payload);
    if (payload->bad || version != PAGE_VERSION)
        return fail(ERR_CORRUPT, "an index page of version %u", version);
    return OK;
}

/* ---- helpers of the decoders ---- */

static uint32_t read_number(Reader *in)
{
    uint64_t n = read_varint(in);
    if (n > UINT32_MAX) in->bad = true;
    return in->bad ? 0 : (uint32_t)n;
}

static Err page_read(const Reader *in, const char *what)
{
    if (in->bad || in->rest.len) return fail(ERR_CORRUPT, "a damaged %s page", what);
    return OK;
}

/* ---- head ---- */

/* The first version knew two limits, and 0 for none; what it did not know follows at the end: the
 * octets of annotations, and all limits plus 1. */
static uint64_t old_limit(uint64_t limit)
{
    return limit == QUOTA_NONE ? 0 : limit;
}

void head_encode(Buf *out, const Head *h)
{
    buf_varint(out, h->seq);
    buf_varint(out, h->next_eid);
    buf_varint(out, h->next_mailbox);
    buf_varint(out, h->next_uid_validity);
    buf_varint(out, h->used[QUOTA_STORAGE]);
    buf_varint(out, h->used[QUOTA_MESSAGE]);
    buf_u8(out, h->has_limit);
    buf_varint(out, old_limit(h->limit[QUOTA_STORAGE]));
    buf_varint(out, old_limit(h->limit[QUOTA_MESSAGE]));
    buf_varint(out, h->last_mail_seq);
    buf_varint(out, h->last_mailbox_seq);
    buf_varint(out, h->last_object_seq);
    buf_varint(out, h->thread_buckets);
    buf_varint(out, h->thread_entries);
    buf_bytes(out, h->login);
    buf_varint(out, h->used[QUOTA_ANNOTATION]);
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        buf_varint(out, h->limit[i] + 1);
}

static uint64_t read_old_limit(Reader *in)
{
    uint64_t limit = read_varint(in);
    return limit ? limit : QUOTA_NONE;
}

static void read_limits(Reader *in, Head *h)
{
    h->used[QUOTA_ANNOTATION] = read_varint(in);
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        h->limit[i] = read_varint(in) - 1;
}

Err head_decode(Reader *in, Head *h)
{
    *h = (Head){0};
    h->seq = read_varint(in);
    h->next_eid = read_number(in);
    h->next_mailbox = read_number(in);
    h->next_uid_validity = read_number(in);
    h->used[QUOTA_STORAGE] = read_varint(in);
    h->used[QUOTA_MESSAGE] = read_varint(in);
    h->has_limit = read_u8(in) != 0;
    h->limit[QUOTA_STORAGE] = read_old_limit(in);
    h->limit[QUOTA_MESSAGE] = read_old_limit(in);
    h->limit[QUOTA_MAILBOX] = h->limit[QUOTA_ANNOTATION] = QUOTA_NONE;
    h->last_mail_seq = read_varint(in);
    h->last_mailbox_seq = read_varint(in);
    h->last_object_seq = read_varint(in);
    h->thread_buckets = read_number(in);
    h->thread_entries = read_number(in);
    h->login = read_bytes(in);
    if (in->rest.len) read_limits(in, h);
    if (!h->next_eid || !h->next_mailbox || !h->thread_buckets) in->bad = true;
    return page_read(in, "head");
}

/* ---- mailbox ---- */

void box_encode(Buf *out, const BoxState *b)
{
    buf_varint(out, b->id);
    buf_varint(out, b->uid_validity);
    buf_varint(out, b->uid_next);
    buf_varint(out, b->recent_from);
    buf_varint(out, b->exists);
    buf_varint(out, b->unseen);
    buf_varint(out, b->deleted);
    buf_varint(out, b->recent);
    buf_varint(out, b->size_octets);
    buf_varint(out, b->highest_modseq);
    buf_varint(out, b->created_modseq);
    buf_varint(out, b->vanished_first);
    buf_varint(out, b->vanished_next);
    buf_varint(out, b->vanished_floor);
    buf_u8(out, b->role);
    buf_bytes(out, b->name);
    buf_bytes(out, b->acl);
    buf_varint(out, b->deleted_octets);
}

bool acl_next(Reader *acl, Slice *identifier, uint32_t *rights)
{
    if (acl->bad || !acl->rest.len) return false;
    *identifier = read_bytes(acl);
    *rights = read_number(acl);
    return !acl->bad;
}

static bool acl_is_sound(Slice acl)
{
    Reader r = reader(acl);
    Slice identifier;
    uint32_t rights;
    while (acl_next(&r, &identifier, &rights))
        ;
    return !r.bad;
}

Err box_decode(Reader *in, BoxState *b)
{
    *b = (BoxState){0};
    b->id = read_number(in);
    b->uid_validity = read_number(in);
    b->uid_next = read_number(in);
    b->recent_from = read_number(in);
    b->exists = read_number(in);
    b->unseen = read_number(in);
    b->deleted = read_number(in);
    b->recent = read_number(in);
    b->size_octets = read_varint(in);
    b->highest_modseq = read_varint(in);
    b->created_modseq = read_varint(in);
    b->vanished_first = read_number(in);
    b->vanished_next = read_number(in);
    b->vanished_floor = read_varint(in);
    b->role = read_u8(in);
    b->name = read_bytes(in);
    b->acl = read_bytes(in);
    if (in->rest.len) b->deleted_octets = read_varint(in);
    if (!b->id || !b->uid_next || !b->name.len || b->vanished_next < b->vanished_first ||
        !acl_is_sound(b->acl))
        in->bad = true;
    return page_read(in, "mailbox");
}

/* ---- slots: fixed 28 octets, so that opening a large mailbox is hardly more than a copy ---- */

static void put_le(char *to, uint64_t v, int octets)
{
    for (int i = 0; i < octets; i++)
        to[i] = (char)(v >> (8 * i));
}

static uint64_t get_le(const char *from, int octets)
{
    uint64_t v = 0;
    for (int i = octets; i-- > 0;)
        v = v << 8 | (unsigned char)from[i];
    return v;
}

static void slot_encode(char *to, const Message *m)
{
    put_le(to, m->uid, 4);
    put_le(to + 4, m->eid, 4);
    put_le(to + 8, m->modseq, 8);
    put_le(to + 16, m->size, 4);
    put_le(to + 20, m->date, 4);
    to[24] = (char)m->flags;
    to[25] = (char)m->marks;
    put_le(to + 26, m->kwset, 2);
}

static Message slot_decode(const char *from)
{
    return (Message){.uid = (uint32_t)get_le(from, 4),
                     .eid = (uint32_t)get_le(from + 4, 4),
                     .modseq = get_le(from + 8, 8),
                     .size = (uint32_t)get_le(from + 16, 4),
                     .date = (uint32_t)get_le(from + 20, 4),
                     .flags = (uint8_t)from[24],
                     .marks = (uint8_t)from[25],
                     .kwset = (uint16_t)get_le(from + 26, 2)};
}

void slots_encode(Buf *out, const Message *messages, size_t count)
{
    char *to = buf_reserve(out, count * SLOT_OCTETS);
    for (size_t i = 0; i < count; i++)
        slot_encode(to + i * SLOT_OCTETS, &messages[i]);
    out->len += count * SLOT_OCTETS;
}

Err slots_decode(Reader *in, uint32_t page, Message *messages, size_t *count)
{
    size_t n = in->rest.len / SLOT_OCTETS;
    if (n > SLOTS || in->rest.len % SLOT_OCTETS) return fail(ERR_CORRUPT, "a damaged slot page");
    uint32_t before = 0;
    for (size_t i = 0; i < n; i++) {
        messages[i] = slot_decode(in->rest.at + i * SLOT_OCTETS);
        const Message *m = &messages[i];
        if (m->uid <= before || m->uid == UINT32_MAX || m->uid / SLOTS != page || !m->eid)
            return fail(ERR_CORRUPT, "a damaged slot page: uid %u in page %u", m->uid, page);
        before = m->uid;
    }
    *count = n;
    return OK;
}

/* ---- emails ---- */

enum { EMAIL_SHARED = 1, EMAIL_BIG = 2, EMAIL_ORIGINS = 4 };

EmailLink *email_links(Email *e, uint32_t index)
{
    must(index < e->link_count);
    return index ? &e->more[index - 1] : &e->link;
}

static uint8_t email_bits(const Email *e)
{
    uint8_t bits = e->shared ? EMAIL_SHARED : 0;
    for (uint32_t i = 0; i < e->link_count; i++)
        if ((i ? &e->more[i - 1] : &e->link)->origin) bits |= EMAIL_ORIGINS;
    return bits;
}

static void link_encode(Buf *out, const EmailLink *l, uint8_t bits)
{
    buf_varint(out, l->mailbox);
    buf_varint(out, l->uid);
    buf_u32(out, l->saved);
    buf_varint(out, l->created_modseq);
    if (bits & EMAIL_ORIGINS) buf_varint(out, l->origin);
}

/* Blobs of neighbours are neighbours: their places are written as differences (zigzag). */
static void email_encode(Buf *out, const Email *e, uint64_t *at)
{
    int64_t step = (int64_t)(e->ref.at - *at);
    uint8_t bits = email_bits(e);
    *at = e->ref.at;
    buf_u8(out, bits);
    buf_varint(out, e->thread);
    buf_varint(out, (uint64_t)step << 1 ^ (uint64_t)(step >> 63));
    buf_varint(out, e->ref.len);
    buf_u32(out, e->ref.crc);
    buf_varint(out, e->header_len);
    buf_varint(out, e->prefix);
    buf_varint(out, e->prefix_len);
    buf_varint(out, e->link_count);
    if (!e->link_count) {
        buf_u32(out, e->dead_time);
        buf_varint(out, e->dead_seq);
    }
    for (uint32_t i = 0; i < e->link_count; i++)
        link_encode(out, i ? &e->more[i - 1] : &e->link, bits);
}

void emails_encode(Buf *out, const Email emails[EMAILS])
{
    uint32_t present = 0;
    for (int i = 0; i < EMAILS; i++)
        if (emails[i].thread) present |= UINT32_C(1) << i;
    buf_u32(out, present);
    uint64_t at = 0;
    for (int i = 0; i < EMAILS; i++)
        if (emails[i].thread) email_encode(out, &emails[i], &at);
}

static void link_decode(Reader *in, EmailLink *l, uint8_t bits)
{
    l->mailbox = read_number(in);
    l->uid = read_number(in);
    l->saved = read_u32(in);
    l->created_modseq = read_varint(in);
    if (bits & EMAIL_ORIGINS) l->origin = read_number(in);
}

static void links_decode(Reader *in, Email *e, uint8_t bits)
{
    enum { LINK_LEAST = 7 };
    uint32_t count = read_number(in);
    if (count > in->rest.len / LINK_LEAST) in->bad = true;
    if (in->bad) return;
    e->link_count = count;
    if (!count) {
        e->dead_time = read_u32(in);
        e->dead_seq = read_varint(in);
        return;
    }
    if (count > 1) e->more = mem_zero(array_bytes(count - 1, sizeof *e->more));
    for (uint32_t i = 0; i < count; i++)
        link_decode(in, email_links(e, i), bits);
}

static void email_decode(Reader *in, Email *e, uint64_t *at)
{
    uint8_t bits = read_u8(in);
    e->shared = bits & EMAIL_SHARED;
    e->thread = read_number(in);
    uint64_t step = read_varint(in);
    *at += step >> 1 ^ (0 - (step & 1));
    e->ref.at = *at;
    e->ref.len = read_number(in);
    e->ref.crc = read_u32(in);
    e->header_len = read_number(in);
    e->prefix = read_number(in);
    e->prefix_len = read_number(in);
    if (bits & ~(EMAIL_SHARED | EMAIL_ORIGINS) || !e->thread) in->bad = true;
    if (e->prefix_len > UINT32_MAX - e->ref.len ||
        e->header_len > (uint64_t)e->ref.len + e->prefix_len)
        in->bad = true;
    links_decode(in, e, bits);
    if (!in->bad && bits != email_bits(e)) in->bad = true; /* origins that are not there */
}

void emails_done(Email emails[EMAILS])
{
    for (int i = 0; i < EMAILS; i++)
        free(emails[i].more), emails[i].more = NULL;
}

Err emails_decode(Reader *in, Email emails[EMAILS])
{
    memset(emails, 0, sizeof(Email) * EMAILS);
    uint32_t present = read_u32(in);
    uint64_t at = 0;
    for (int i = 0; i < EMAILS && !in->bad; i++)
        if (present >> i & 1) email_decode(in, &emails[i], &at);
    Err err = page_read(in, "email");
    if (err) emails_done(emails);
    return err;
}

/* ---- vanished ---- */

void vanished_encode(Buf *out, const Vanished *v, size_t count)
{
    buf_varint(out, count);
    uint64_t seq = 0;
    for (size_t i = 0; i < count; i++) {
        buf_varint(out, v[i].seq - seq);
        buf_varint(out, v[i].uid);
        buf_varint(out, v[i].eid);
        buf_varint(out, v[i].count);
        seq = v[i].seq;
    }
}

Err vanished_decode(Reader *in, Vanished v[VANISHED_MOST], size_t *count)
{
    uint64_t n = read_varint(in), seq = 0;
    if (n > VANISHED_MOST) in->bad = true;
    for (size_t i = 0; i < n && !in->bad; i++) {
        uint64_t step = read_varint(in);
        if (step > UINT64_MAX - seq) in->bad = true;
        seq += step;
        v[i].seq = seq;
        v[i].uid = read_number(in);
        v[i].eid = read_number(in);
        v[i].count = read_number(in);
        if (!v[i].uid || !v[i].count || v[i].count > UINT32_MAX - v[i].uid) in->bad = true;
    }
    TRY(page_read(in, "vanished"));
    *count = (size_t)n;
    return OK;
}

/* ---- threads ---- */

void threads_encode(Buf *out, const ThreadHash *t, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_u32(out, t[i].hash);
        buf_u32(out, t[i].thread);
    }
}

Err threads_decode(Reader *in, ThreadHash **t, size_t *count)
{
    size_t n = in->rest.len / 8;
    if (in->rest.len % 8) return fail(ERR_CORRUPT, "a damaged thread page");
    ThreadHash *list = mem_new(array_bytes(MAX(n, 1), sizeof *list));
    for (size_t i = 0; i < n; i++) {
        list[i].hash = read_u32(in);
        list[i].thread = read_u32(in);
        if (!list[i].thread) in->bad = true;
    }
    Err err = page_read(in, "thread");
    if (err) {
        free(list);
        return err;
    }
    *t = list, *count = n;
    return OK;
}

/* ---- the dead ---- */

void dead_encode(Buf *out, const Dead *d)
{
    buf_u32(out, d->oldest);
    for (size_t i = 0; i < COUNT(d->bits); i++)
        buf_u64(out, d->bits[i]);
}

Err dead_decode(Reader *in, Dead *d)
{
    d->oldest = read_u32(in);
    for (size_t i = 0; i < COUNT(d->bits); i++)
        d->bits[i] = read_u64(in);
    return page_read(in, "drop list");
}

/* ---- texts, ranges ---- */

void texts_encode(Buf *out, const Slice *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_bytes(out, texts[i]);
}

Err texts_next(Reader *in, Slice *text, bool *more)
{
    *more = in->rest.len > 0;
    if (!*more) return OK;
    *text = read_bytes(in);
    if (in->bad) return fail(ERR_CORRUPT, "a damaged list of texts");
    return OK;
}

void ranges_encode(Buf *out, const UidSet *s)
{
    uint32_t last = 0;
    for (size_t i = 0; i < s->count; i++) {
        buf_varint(out, s->ranges[i].first - last);
        buf_varint(out, s->ranges[i].last - s->ranges[i].first);
        last = s->ranges[i].last;
    }
}

Err ranges_decode(Reader *in, Arena *a, UidSet *s)
{
    uint64_t last = 0;
    while (in->rest.len && !in->bad) {
        uint64_t first = last + read_number(in);
        uint64_t end = first + read_number(in);
        if (first <= last || end > UINT32_MAX) in->bad = true;
        if (!in->bad) uidset_add(a, s, (uint32_t)first, (uint32_t)end);
        last = end;
    }
    return page_read(in, "uid");
}
