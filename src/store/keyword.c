#include "store/model.h"

#include <stdlib.h>

/* Keywords have numbers (index + 1 in Account.keywords); a combination that occurs has a number
 * too, the kwset that a message carries. Both are given out as records are applied, so replay gives
 * the same ones. When all 65,535 combinations are taken a message keeps the one it has. */

enum { KWSETS_MOST = UINT16_MAX };

/* ---- tables of texts: keywords, prefixes ---- */

void text_table_add(TextTable *t, Slice text)
{
    if (t->count == t->room) {
        t->room = MAX(t->room * 2, 8u);
        t->texts = mem_grow(t->texts, array_bytes(t->room, sizeof *t->texts));
    }
    char *copy = mem_new(text.len + 1);
    memcpy(copy, text.at, text.len);
    t->texts[t->count++] = slice(copy, text.len);
}

void text_table_cut(TextTable *t, uint32_t count)
{
    while (t->count > count)
        free((char *)t->texts[--t->count].at);
}

void text_table_done(TextTable *t)
{
    text_table_cut(t, 0);
    free(t->texts);
    *t = (TextTable){0};
}

uint32_t text_table_find(const TextTable *t, Slice text, bool nocase)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (nocase ? slice_eq_nocase(t->texts[i], text) : slice_eq(t->texts[i], text)) return i + 1;
    return 0;
}

/* Defined by an applied record: either by one of ours in flight (then it is there), or in replay.
 */
void text_table_define(TextTable *t, uint32_t id, Slice text)
{
    if (id == t->count + 1) text_table_add(t, text);
    if (id <= t->count) t->visible = MAX(t->visible, id);
    t->state |= PAGE_DIRTY;
}

Err texts_load(Account *a, char kind, TextTable *t)
{
    Arena arena arena_scoped = {0};
    PageKey key = page_key(kind);
    Reader in;
    Err err = engine_page(a, &key, &arena, &in);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    for (bool more = true; more;) {
        Slice text;
        TRY(texts_next(&in, &text, &more));
        if (more) text_table_add(t, text);
    }
    t->visible = t->count;
    return OK;
}

/* ---- combinations ---- */

Slice kwset_text(const Account *a, uint16_t kwset)
{
    return kwset && kwset <= a->kwset_count ? a->kwsets[kwset - 1].text : (Slice){0};
}

static int order_ids(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static Slice ids_slice(const uint16_t *ids, size_t count)
{
    return slice(ids, count * sizeof *ids);
}

static uint16_t kwset_define(Account *a, const uint16_t *ids, uint32_t count)
{
    if (a->kwset_count == a->kwset_room) {
        a->kwset_room = MAX(a->kwset_room * 2, 4u);
        a->kwsets = mem_grow(a->kwsets, array_bytes(a->kwset_room, sizeof *a->kwsets));
    }
    KwSet *set = &a->kwsets[a->kwset_count];
    *set = (KwSet){.ids = mem_new(array_bytes(count, sizeof *ids)), .count = count};
    memcpy(set->ids, ids, count * sizeof *ids);
    Buf text = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (i) buf_char(&text, ' ');
        if (ids[i] <= a->keywords.count) buf_add(&text, a->keywords.texts[ids[i] - 1]);
    }
    set->text = buf_slice(&text);
    uintptr_t number = ++a->kwset_count;
    table_put(&a->kwset_numbers, ids_slice(ids, count), (void *)number);
    a->keywords.state |= PAGE_DIRTY;
    return (uint16_t)number;
}

static uint16_t kwset_find(Account *a, uint16_t *ids, uint32_t count, uint16_t old)
{
    if (!count) return 0;
    uintptr_t number = (uintptr_t)table_get(&a->kwset_numbers, ids_slice(ids, count));
    if (number) return (uint16_t)number;
    return a->kwset_count < KWSETS_MOST ? kwset_define(a, ids, count) : old;
}

typedef struct {
    uint16_t *ids;
    uint32_t count;
} Ids;

static void ids_add(Ids *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->ids[i] == id) return;
    s->ids[s->count++] = (uint16_t)id;
}

static void ids_remove(Ids *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->ids[i] == id) s->ids[i--] = s->ids[--s->count];
}

uint16_t kwset_change(Account *a, uint16_t old, OpNumbers add, OpNumbers remove, bool replace)
{
    if (!add.count && !remove.count && !replace) return old;
    if (old > a->kwset_count) old = 0;
    const KwSet *was = old && !replace ? &a->kwsets[old - 1] : NULL;
    uint32_t most = (was ? was->count : 0) + add.count, id;
    Ids s = {.ids = mem_new(array_bytes(MAX(most, 1u), sizeof *s.ids))};
    for (uint32_t i = 0; was && i < was->count; i++)
        ids_add(&s, was->ids[i]);
    while (op_number_next(&add, &id))
        if (id && id <= MIN(a->keywords.count, (uint32_t)UINT16_MAX)) ids_add(&s, id);
    while (op_number_next(&remove, &id))
        ids_remove(&s, id);
    qsort(s.ids, s.count, sizeof *s.ids, order_ids);
    uint16_t set = kwset_find(a, s.ids, s.count, old);
    free(s.ids);
    return set;
}

bool kwset_has(const Account *a, uint16_t kwset, uint32_t id)
{
    if (!kwset || kwset > a->kwset_count) return false;
    const KwSet *s = &a->kwsets[kwset - 1];
    for (uint32_t i = 0; i < s->count; i++)
        if (s->ids[i] == id) return true;
    return false;
}

/* ---- the pages: k (names), K (combinations: count, ids ...) ---- */

void kwsets_encode(Buf *out, const Account *a)
{
    for (uint32_t i = 0; i < a->kwset_count; i++) {
        buf_varint(out, a->kwsets[i].count);
        for (uint32_t j = 0; j < a->kwsets[i].count; j++)
            buf_varint(out, a->kwsets[i].ids[j]);
    }
}

static Err kwset_decode(Account *a, Reader *in)
{
    uint64_t count = read_varint(in);
    if (!count || count > in->rest.len || a->kwset_count >= KWSETS_MOST) in->bad = true;
    uint16_t *ids = mem_new(array_bytes(in->bad ? 1 : (size_t)count, sizeof *ids));
    uint64_t before = 0;
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        uint64_t id = read_varint(in);
        if (id <= before || id > a->keywords.count) in->bad = true;
        ids[i] = (uint16_t)id;
        before = id;
    }
    if (!in->bad) kwset_define(a, ids, (uint32_t)count);
    free(ids);
    return in->bad ? fail(ERR_CORRUPT, "a damaged keyword page") : OK;
}

Err kwsets_load(Account *a)
{
    Arena arena arena_scoped = {0};
    PageKey key = page_key('K');
    Reader in;
    Err err = engine_page(a, &key, &arena, &in);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    while (in.rest.len)
        TRY(kwset_decode(a, &in));
    a->keywords.state = 0;
    return OK;
}

void kwsets_done(Account *a)
{
    for (uint32_t i = 0; i < a->kwset_count; i++) {
        free(a->kwsets[i].ids);
        free((char *)a->kwsets[i].text.at);
    }
    free(a->kwsets);
    table_done(&a->kwset_numbers);
}

/* ---- public ---- */

Slice account_keywords(const Account *a, uint16_t kwset)
{
    return kwset_text(a, kwset);
}

Slice mailbox_keywords(Mailbox *box, Arena *arena)
{
    const Account *a = box->account;
    const Box *b = box->box;
    bool *used = arena_array(arena, bool, a->keywords.count + 1);
    for (uint32_t i = 1; i <= a->kwset_count && i / 64 < b->kwset_words; i++)
        for (uint32_t j = 0; b->kwsets[i / 64] >> i % 64 & 1 && j < a->kwsets[i - 1].count; j++)
            used[a->kwsets[i - 1].ids[j]] = true;
    Buf text buf_scoped = {0};
    for (uint32_t id = 1; id <= a->keywords.count; id++) {
        if (!used[id]) continue;
        if (text.len) buf_char(&text, ' ');
        buf_add(&text, a->keywords.texts[id - 1]);
    }
    return arena_copy(arena, buf_slice(&text));
}

uint32_t mailbox_keywords_version(const Mailbox *box)
{
    return box->box->kwset_news;
}
