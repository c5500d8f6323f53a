#include "store/local.h"

#include <endian.h>

static Slice key_of(Arena *a, char kind, const void *number, size_t len, Slice rest)
{
    char *at = (char *)arena_alloc(a, 1 + len + rest.len);
    at[0] = kind;
    memcpy(at + 1, number, len);
    if (rest.len) memcpy(at + 1 + len, rest.at, rest.len);
    return slice(at, 1 + len + rest.len);
}

Slice key_page(Arena *a, uint32_t acct, Slice key)
{
    uint32_t be = htobe32(acct);
    return key_of(a, 'p', &be, sizeof be, key);
}

Slice key_u32(Arena *a, char kind, uint32_t number)
{
    uint32_t be = htobe32(number);
    return key_of(a, kind, &be, sizeof be, (Slice){0});
}

Slice key_u64(Arena *a, char kind, uint64_t number)
{
    uint64_t be = htobe64(number);
    return key_of(a, kind, &be, sizeof be, (Slice){0});
}

uint32_t be_u32(const char *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return be32toh(v);
}

uint64_t be_u64(const char *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return be64toh(v);
}

Slice key_share(Arena *a, uint64_t at, uint32_t acct, uint32_t eid)
{
    uint64_t be = htobe64(at);
    uint32_t owner[2] = {htobe32(acct), htobe32(eid)};
    return key_of(a, 's', &be, sizeof be, slice(owner, sizeof owner));
}

bool key_share_owner(Slice key, uint32_t *acct, uint32_t *eid)
{
    if (key.len != 1 + 8 + 8) return false;
    *acct = be_u32(key.at + 9);
    *eid = be_u32(key.at + 13);
    return true;
}

/* ---- position ---- */
/* version u8, uuid, lsn u64, last u64, chain u32, epoch u32 (of the record before), epoch u32 (the
 * newest ever used) */
enum { POSITION_VERSION = 3 };

Slice position_encode(Arena *a, const Engine *e, const LogPosition *at)
{
    Buf buf_scoped b = {0};
    buf_u8(&b, POSITION_VERSION);
    buf_add(&b, slice(e->uuid, sizeof e->uuid));
    buf_u64(&b, at->lsn);
    buf_u64(&b, at->last);
    buf_u32(&b, at->chain);
    buf_u32(&b, at->epoch);
    buf_u32(&b, MAX(e->log.epoch, e->epoch));
    return arena_copy(a, buf_slice(&b));
}

Err position_decode(Slice value, const uint8_t uuid[16], LogPosition *at, uint32_t *epoch)
{
    Reader r = reader(value);
    uint8_t version = read_u8(&r);
    Slice whose = read_raw(&r, 16);
    LogPosition p = {.lsn = read_u64(&r), .last = read_u64(&r), .chain = read_u32(&r)};
    p.epoch = read_u32(&r);
    uint32_t newest = read_u32(&r);
    if (r.bad || version != POSITION_VERSION) return fail(ERR_CORRUPT, "the index has no position");
    if (memcmp(whose.at, uuid, 16) != 0)
        return fail(ERR_CORRUPT, "the index belongs to another store");
    *at = p;
    *epoch = newest;
    return OK;
}
