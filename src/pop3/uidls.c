/* The unique-ids of a maildrop: what imports have kept, else as the format has it. No two messages
 * have one, and none ever changes: of two that were kept the same the one with the smaller uid has
 * it for good, even when it has gone, and one that would be made like a kept one is made otherwise.
 */
#include "base/table.h"
#include "base/text.h"
#include "pop3/session.h"
#include "pop3/uidl.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Uidls {
    Arena arena;
    NumberTable kept; /* uid -> KeptUidl */
    Table taken;      /* id -> uid as a pointer */
} Uidls;

void uidls_free(Uidls *u)
{
    if (!u) return;
    number_table_done(&u->kept);
    table_done(&u->taken);
    arena_done(&u->arena);
    free(u);
}

static void reserve(Uidls *u, Slice id, uint32_t uid)
{
    if (id.len && !table_get(&u->taken, id)) table_put(&u->taken, id, (void *)(uintptr_t)uid);
}

static bool is_taken(const Uidls *u, Slice id, uint32_t uid)
{
    uintptr_t by = (uintptr_t)table_get(&u->taken, id);
    return by && by != uid;
}

/* "MAILBOX UID" in hexadecimal, without the blank. */
static bool uid_of(Slice id, uint32_t *uid)
{
    Buf bytes buf_scoped = {0};
    if (id.len != 16 || !hex_decode(&bytes, slice_from(id, 8)) || bytes.len != 4) return false;
    *uid = (uint32_t)(uint8_t)bytes.at[0] << 24 | (uint32_t)(uint8_t)bytes.at[1] << 16 |
           (uint32_t)(uint8_t)bytes.at[2] << 8 | (uint8_t)bytes.at[3];
    return true;
}

PARKS static Err load_one(Pop3 *s, Uidls *u, Slice id)
{
    Slice value;
    KeptUidl *k = arena_new(&u->arena, KeptUidl);
    uint32_t uid;
    TRY(object_get(s->account, S("pop3-uidl"), id, &u->arena, &value, NULL));
    if (!uid_of(id, &uid) || !uidl_kept(value, k)) return OK; /* of a later version */
    number_table_put(&u->kept, uid, k);
    reserve(u, k->id, uid);
    if (uidl_wants_file(s->config->uidl)) reserve(u, k->file, uid);
    return OK;
}

PARKS static Err load_all(Pop3 *s, Uidls *u)
{
    enum { AT_ONCE = 1000 };
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%08x", mailbox_status(s->inbox).id);
    Slice after = slice_of(prefix), *ids;
    size_t count;
    do {
        TRY(object_list(s->account, S("pop3-uidl"), after, AT_ONCE, &u->arena, &ids, &count));
        for (size_t i = 0; i < count; i++) {
            if (!slice_starts(ids[i], slice_of(prefix))) return OK;
            TRY(load_one(s, u, ids[i]));
        }
        if (count) after = ids[count - 1];
        breathe();
    } while (count == AT_ONCE);
    return OK;
}

PARKS Err uidls_load(Pop3 *s)
{
    if (s->uidls) return OK;
    Uidls *u = NEW(Uidls);
    Err err = load_all(s, u);
    if (err)
        uidls_free(u);
    else
        s->uidls = u;
    return err;
}

static void put_hex(char *to, uint32_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
}

/* UIDVALIDITY and UID of IMAP, which never come again for another message. */
static void put_own(Pop3 *s, Buf *out, uint32_t uid)
{
    char id[16];
    put_hex(id, s->uid_validity);
    put_hex(id + 8, uid);
    buf_add(out, slice(id, sizeof id));
}

static Slice made_since(const Buf *out, size_t start)
{
    return slice_from(buf_slice(out), start);
}

void uidls_put(Pop3 *s, Buf *out, const Message *m)
{
    const Uidls *u = s->uidls;
    if (!u->kept.count && uidl_format_is_default(s->config->uidl)) {
        put_own(s, out, m->uid);
        return;
    }
    const KeptUidl *k = number_table_get(&u->kept, m->uid);
    size_t start = out->len;
    if (k && k->id.len && !is_taken(u, k->id, m->uid)) {
        buf_add(out, k->id);
        return;
    }
    Slice file = k ? k->file : (Slice){0};
    bool made = uidl_make(out, s->config->uidl, s->uid_validity, m->uid, file);
    if (!made && (!k || !k->file.len)) put_own(s, out, m->uid);
    if (!is_taken(u, made_since(out, start), m->uid) && out->len > start) return;
    out->len = start;
    do { /* whoever had it meant another message */
        buf_add(out, S("p-"));
        put_own(s, out, m->uid);
    } while (is_taken(u, made_since(out, start), m->uid));
}
