#include "store/model.h"

#include <stdlib.h>

/* ---- counters. They come from pages that may be wrong: they never wrap. ---- */

static void less(uint32_t *n)
{
    if (*n) --*n;
}

static void less_octets(uint64_t *n, uint64_t octets)
{
    *n -= MIN(octets, *n);
}

static void count_deleted(Box *b, const Message *m, bool deleted)
{
    if (deleted) {
        b->s.deleted++;
        b->s.deleted_octets += m->size;
    } else {
        less(&b->s.deleted);
        less_octets(&b->s.deleted_octets, m->size);
    }
}

static void count_in(Box *b, const Message *m)
{
    b->s.exists++;
    b->s.unseen += !(m->flags & FLAG_SEEN);
    if (m->flags & FLAG_DELETED) count_deleted(b, m, true);
    b->s.recent += m->uid >= b->s.recent_from;
    b->s.size_octets += m->size;
}

static void count_out(Box *b, const Message *m)
{
    less(&b->s.exists);
    if (!(m->flags & FLAG_SEEN)) less(&b->s.unseen);
    if (m->flags & FLAG_DELETED) count_deleted(b, m, false);
    if (m->uid >= b->s.recent_from) less(&b->s.recent);
    less_octets(&b->s.size_octets, m->size);
}

void box_note_kwset(Box *b, uint16_t kwset)
{
    if (!kwset) return;
    uint32_t word = kwset / 64;
    if (word >= b->kwset_words) {
        b->kwsets = mem_grow(b->kwsets, (word + 1) * sizeof *b->kwsets);
        memset(b->kwsets + b->kwset_words, 0, (word + 1 - b->kwset_words) * sizeof *b->kwsets);
        b->kwset_words = word + 1;
    }
    uint64_t bit = UINT64_C(1) << kwset % 64;
    b->kwset_news += !(b->kwsets[word] & bit);
    b->kwsets[word] |= bit;
}

/* ---- pages ---- */

/* UIDs are mostly dense, so the guess mostly hits. */
uint32_t box_page_place(const Box *b, uint32_t number)
{
    if (!b->page_count || b->pages[b->page_count - 1].number < number) return b->page_count;
    if (number <= b->pages[0].number) return 0;
    uint32_t guess = number - b->pages[0].number;
    if (guess < b->page_count && b->pages[guess].number == number) return guess;
    uint32_t low = 0, high = MIN(guess, b->page_count - 1);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (b->pages[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static SlotPage *page_insert(Box *b, uint32_t index, uint32_t number)
{
    if (b->page_count == b->page_room) {
        b->page_room = MAX(b->page_room + b->page_room / 2, 2u);
        b->pages = mem_grow(b->pages, array_bytes(b->page_room, sizeof *b->pages));
    }
    memmove(&b->pages[index + 1], &b->pages[index], (b->page_count - index) * sizeof *b->pages);
    b->page_count++;
    b->before_valid = MIN(b->before_valid, index);
    b->pages[index] = (SlotPage){.number = number};
    return &b->pages[index];
}

/* A stored page; its messages are counted in the mailbox record already. */
static Err page_decode(Reader *in, uint32_t number, SlotPage *page)
{
    size_t count = in->rest.len / SLOT_OCTETS;
    Message *messages = mem_new(array_bytes(MIN(MAX(count, 1), SLOTS), sizeof *messages));
    Err err = slots_decode(in, number, messages, &count);
    if (err) {
        free(messages);
        return err;
    }
    *page = (SlotPage){
        .number = number, .messages = messages, .count = (uint8_t)count, .room = (uint8_t)count};
    for (size_t i = 0; i < count; i++) {
        page->max_modseq = MAX(page->max_modseq, messages[i].modseq);
        if (!(messages[i].flags & FLAG_SEEN)) page->unseen++;
        if (messages[i].flags & FLAG_DELETED) page->deleted++;
    }
    return OK;
}

static SlotPage *page_file(Box *b, uint32_t index, const SlotPage *page)
{
    SlotPage *p = page_insert(b, index, page->number);
    *p = *page;
    for (uint32_t i = 0; i < p->count; i++)
        box_note_kwset(b, p->messages[i].kwset);
    return p;
}

static Err page_fetch(Box *b, uint32_t index, uint32_t number, bool make, SlotPage **page)
{
    Arena arena arena_scoped = {0};
    SlotPage fetched = {.number = number};
    PageKey key = page_key_2('s', b->s.id, number);
    Reader in;
    Err err = b->loaded ? ERR_NOT_FOUND : engine_page(b->account, &key, &arena, &in);
    if (!err) err = page_decode(&in, number, &fetched);
    if (err && err != ERR_NOT_FOUND) return err;
    if (!err || make) *page = page_file(b, index, &fetched);
    return OK;
}

Err box_page(Box *b, uint32_t number, bool make, SlotPage **page)
{
    uint32_t index = box_page_place(b, number);
    *page = NULL;
    if (index < b->page_count && b->pages[index].number == number) {
        *page = &b->pages[index];
        return OK;
    }
    return page_fetch(b, index, number, make, page);
}

static void page_dirty(Box *b, SlotPage *p)
{
    p->state |= PAGE_DIRTY;
    b->slots_state |= PAGE_DIRTY;
    b->state |= PAGE_DIRTY;
    account_touch(b->account);
}

/* ---- loading ---- */

enum { LOAD_AT_ONCE = 128 }; /* pages */

typedef struct {
    Box *box;
    Err err;
    uint32_t left, next; /* how many more this time; where the others begin */
    bool more;
} Loading;

static Err load_one(Box *b, uint32_t number, Slice value)
{
    SlotPage page;
    Reader in;
    uint32_t index = box_page_place(b, number);
    if (index < b->page_count && b->pages[index].number == number) return OK; /* is newer */
    TRY(page_open(value, &in));
    TRY(page_decode(&in, number, &page));
    page_file(b, index, &page);
    return OK;
}

static bool load_page(void *arg, Slice key, Slice value)
{
    Loading *l = arg;
    uint32_t numbers[2];
    if (!page_key_numbers(key, numbers, 2))
        l->err = fail(ERR_CORRUPT, "the key of a slot page");
    else if (!l->left--)
        l->more = true, l->next = numbers[1];
    else
        l->err = load_one(l->box, numbers[1], value);
    return !l->err && !l->more;
}

/* Counters are derived too: when they are not what the slots say, the slots are right. */
static void recount(Box *b)
{
    BoxState was = b->s;
    b->s.exists = b->s.unseen = b->s.deleted = b->s.recent = 0;
    b->s.size_octets = b->s.deleted_octets = 0;
    for (uint32_t i = 0; i < b->page_count; i++)
        for (uint32_t j = 0; j < b->pages[i].count; j++)
            count_in(b, &b->pages[i].messages[j]);
    b->was_wrong = was.exists != b->s.exists || was.unseen != b->s.unseen ||
                   was.deleted != b->s.deleted || was.size_octets != b->s.size_octets;
    if (!b->was_wrong && was.recent == b->s.recent && was.deleted_octets == b->s.deleted_octets)
        return;
    b->state |= PAGE_DIRTY;
    account_touch(b->account);
}

/* The next ones, at most `most`. */
static Err load_some(Box *b, Loading *l, uint32_t most)
{
    PageKey prefix = page_key_1('s', b->s.id), from = page_key_2('s', b->s.id, l->next);
    l->left = most;
    l->more = false;
    TRY(engine_scan(b->account->store->engine, b->account->number, page_key_slice(&prefix),
                    page_key_slice(&from), load_page, l));
    return l->err;
}

static Err loaded(Box *b)
{
    b->loaded = true;
    recount(b);
    return OK;
}

Err box_load(Box *b)
{
    if (b->loaded) return OK;
    Loading l = {.box = b};
    TRY(load_some(b, &l, UINT32_MAX));
    return loaded(b);
}

/* What is in memory already is newer than its page, so others may change the mailbox meanwhile, or
 * load what is left. */
static PARKS Err load_pieces(Box *b)
{
    Loading l = {.box = b};
    while (!b->loaded && !b->gone) {
        TRY(load_some(b, &l, piece_of(LOAD_AT_ONCE)));
        if (!l.more) return loaded(b);
        breathe();
    }
    return OK;
}

PARKS Err box_load_calmly(Box *b)
{
    b->handles++; /* what is loaded already stays */
    Err err = load_pieces(b);
    b->handles--;
    return err;
}

void box_unload(Box *b)
{
    must(!b->slots_state && !b->vanished_state);
    for (uint32_t i = 0; i < b->page_count; i++)
        free(b->pages[i].messages);
    free(b->pages), b->pages = NULL;
    b->page_count = b->page_room = b->before_valid = 0;
    free(b->kwsets), b->kwsets = NULL, b->kwset_words = 0;
    vanished_trim(b, true);
    b->loaded = false;
}

void box_free(Box *b)
{
    if (!b) return;
    b->slots_state = b->vanished_state = 0;
    box_unload(b);
    name_free(b->s.name);
    free((char *)b->s.acl.at);
    free(b);
}

/* ---- finding ---- */

/* The first message of the page whose uid is not smaller. It stands where it would if none were
 * missing, or before. */
static uint32_t slot_index(const SlotPage *p, uint32_t uid)
{
    uint32_t guess = uid > p->number * SLOTS ? uid - p->number * SLOTS : 0;
    uint32_t low = 0, high = MIN(guess, p->count);
    if (high < p->count && p->messages[high].uid == uid) return high;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (p->messages[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

Message *box_next(Box *b, uint32_t uid)
{
    for (uint32_t i = box_page_place(b, uid / SLOTS); i < b->page_count; i++) {
        uint32_t slot = slot_index(&b->pages[i], uid);
        if (slot < b->pages[i].count) return &b->pages[i].messages[slot];
    }
    return NULL;
}

Message *box_message(Box *b, uint32_t uid)
{
    uint32_t i = box_page_place(b, uid / SLOTS);
    if (i == b->page_count || b->pages[i].number != uid / SLOTS) return NULL;
    uint32_t slot = slot_index(&b->pages[i], uid);
    bool found = slot < b->pages[i].count && b->pages[i].messages[slot].uid == uid;
    return found ? &b->pages[i].messages[slot] : NULL;
}

Message *box_next_changed(Box *b, uint32_t uid, uint64_t modseq)
{
    if (b->s.highest_modseq <= modseq) return NULL;
    for (uint32_t i = box_page_place(b, uid / SLOTS); i < b->page_count; i++) {
        SlotPage *p = &b->pages[i];
        if (p->max_modseq <= modseq) continue;
        for (uint32_t slot = slot_index(p, uid); slot < p->count; slot++)
            if (p->messages[slot].modseq > modseq) return &p->messages[slot];
    }
    return NULL;
}

Message *box_next_unseen(Box *b, uint32_t uid)
{
    for (uint32_t i = box_page_place(b, uid / SLOTS); i < b->page_count; i++) {
        SlotPage *p = &b->pages[i];
        if (!p->unseen) continue;
        for (uint32_t slot = slot_index(p, uid); slot < p->count; slot++)
            if (!(p->messages[slot].flags & FLAG_SEEN)) return &p->messages[slot];
    }
    return NULL;
}

Message *box_next_deleted(Box *b, uint32_t uid)
{
    for (uint32_t i = box_page_place(b, uid / SLOTS); i < b->page_count; i++) {
        SlotPage *p = &b->pages[i];
        if (!p->deleted) continue;
        for (uint32_t slot = slot_index(p, uid); slot < p->count; slot++)
            if (p->messages[slot].flags & FLAG_DELETED) return &p->messages[slot];
    }
    return NULL;
}

/* Makes `before` right for pages[0 .. count). */
static void count_before(Box *b, uint32_t count)
{
    for (uint32_t i = b->before_valid; i < count; i++)
        b->pages[i].before = i ? b->pages[i - 1].before + b->pages[i - 1].count : 0;
    b->before_valid = MAX(b->before_valid, count);
}

uint32_t box_rank(Box *b, uint32_t uid)
{
    if (!b->page_count) return 0;
    uint32_t i = box_page_place(b, uid / SLOTS);
    if (i == b->page_count) {
        count_before(b, i);
        return b->pages[i - 1].before + b->pages[i - 1].count;
    }
    count_before(b, i + 1);
    bool inside = b->pages[i].number == uid / SLOTS;
    return b->pages[i].before + (inside ? slot_index(&b->pages[i], uid) : 0);
}

Message *box_nth(Box *b, uint32_t index)
{
    count_before(b, b->page_count);
    uint32_t low = 0, high = b->page_count; /* the last page with before <= index */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b->pages[middle].before <= index)
            low = middle;
        else
            high = middle;
    }
    if (low == b->page_count || index - b->pages[low].before >= b->pages[low].count) return NULL;
    return &b->pages[low].messages[index - b->pages[low].before];
}

/* ---- changing: apply.c only ---- */

static void page_room(SlotPage *p)
{
    if (p->count < p->room) return;
    p->room = (uint8_t)MIN(MAX(p->room * 2, 4), SLOTS);
    p->messages = mem_grow(p->messages, p->room * sizeof *p->messages);
}

Err box_insert(Box *b, const Message *m)
{
    SlotPage *p;
    TRY(box_page(b, m->uid / SLOTS, true, &p));
    uint32_t slot = slot_index(p, m->uid);
    if (slot < p->count && p->messages[slot].uid == m->uid)
        return fail(ERR_CORRUPT, "uid %u of mailbox %u twice", m->uid, b->s.id);
    page_room(p);
    memmove(&p->messages[slot + 1], &p->messages[slot], (p->count - slot) * sizeof *m);
    p->messages[slot] = *m;
    p->count++;
    if (!(m->flags & FLAG_SEEN)) p->unseen++;
    if (m->flags & FLAG_DELETED) p->deleted++;
    p->max_modseq = MAX(p->max_modseq, m->modseq);
    b->before_valid = MIN(b->before_valid, (uint32_t)(p - b->pages) + 1);
    count_in(b, m);
    box_note_kwset(b, m->kwset);
    b->s.uid_next = MAX(b->s.uid_next, m->uid + 1);
    b->next_uid = MAX(b->next_uid, b->s.uid_next);
    page_dirty(b, p);
    return OK;
}

/* Moves the messages of one page with first <= uid <= last out; the rest closes up. */
static size_t page_take(Box *b, SlotPage *p, UidRange range, Message *out)
{
    uint32_t from = slot_index(p, range.first), to = from;
    for (; to < p->count && p->messages[to].uid <= range.last; to++) {
        count_out(b, &p->messages[to]);
        if (!(p->messages[to].flags & FLAG_SEEN)) p->unseen--;
        if (p->messages[to].flags & FLAG_DELETED) p->deleted--;
    }
    size_t n = to - from;
    if (!n) return 0;
    memcpy(out, &p->messages[from], n * sizeof *out);
    memmove(&p->messages[from], &p->messages[to], (p->count - to) * sizeof *out);
    p->count = (uint8_t)(p->count - n);
    b->before_valid = MIN(b->before_valid, (uint32_t)(p - b->pages) + 1);
    page_dirty(b, p);
    return n;
}

size_t box_take(Box *b, UidRange range, Message *out)
{
    size_t n = 0;
    for (uint32_t i = box_page_place(b, range.first / SLOTS); i < b->page_count; i++) {
        if (b->pages[i].number > range.last / SLOTS) break;
        n += page_take(b, &b->pages[i], range, out + n);
    }
    return n;
}

void box_flag(Box *b, Message *m, uint8_t flags, uint16_t kwset, uint64_t modseq)
{
    SlotPage *p = &b->pages[box_page_place(b, m->uid / SLOTS)];
    bool was_unseen = !(m->flags & FLAG_SEEN), unseen = !(flags & FLAG_SEEN);
    if (was_unseen && !unseen) less(&b->s.unseen), p->unseen--;
    if (!was_unseen && unseen) b->s.unseen++, p->unseen++;
    bool was_deleted = m->flags & FLAG_DELETED, deleted = flags & FLAG_DELETED;
    if (was_deleted != deleted) {
        count_deleted(b, m, deleted);
        p->deleted = (uint8_t)(p->deleted + (deleted ? 1 : -1));
    }
    m->flags = flags;
    m->kwset = kwset;
    m->modseq = modseq;
    p->max_modseq = MAX(p->max_modseq, modseq);
    box_note_kwset(b, kwset);
    page_dirty(b, p);
}

/* ---- by name ---- */

/* The first mailbox whose name is not smaller. */
uint32_t box_position(const Account *a, Slice name)
{
    uint32_t low = 0, high = a->box_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_order(a->boxes[middle]->s.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

Box *box_by_name(const Account *a, Slice name)
{
    uint32_t i = box_position(a, name);
    return i < a->box_count && slice_eq(a->boxes[i]->s.name, name) ? a->boxes[i] : NULL;
}

Box *box_by_id(Account *a, uint32_t id)
{
    for (uint32_t i = 0; i < a->box_count; i++)
        if (a->boxes[i]->s.id == id) return a->boxes[i];
    return NULL;
}

void box_file(Account *a, Box *b)
{
    uint32_t at = box_position(a, b->s.name);
    if (a->box_count == a->box_room) {
        a->box_room = MAX(a->box_room * 2, 8u);
        a->boxes = mem_grow(a->boxes, array_bytes(a->box_room, sizeof *a->boxes));
    }
    memmove(&a->boxes[at + 1], &a->boxes[at], (a->box_count - at) * sizeof(Box *));
    a->boxes[at] = b;
    a->box_count++;
}

void box_unfile(Account *a, Box *b)
{
    for (uint32_t i = 0; i < a->box_count; i++) {
        if (a->boxes[i] != b) continue;
        memmove(&a->boxes[i], &a->boxes[i + 1], (a->box_count - i - 1) * sizeof(Box *));
        a->box_count--;
        return;
    }
}
