#include "store/backup.h"

#include "base/text.h"
#include "store/digest.h"

#include <stdlib.h>

BackupFile *backup_file_add(BackupFiles *f)
{
    if (f->count == f->room) {
        f->room = MAX(16, f->room * 2);
        f->items = (BackupFile *)mem_grow(f->items, array_bytes(f->room, sizeof *f->items));
    }
    f->items[f->count] = (BackupFile){0};
    return &f->items[f->count++];
}

void manifest_done(Manifest *m)
{
    free(m->segments.items);
    free(m->big.items);
    *m = (Manifest){0};
}

/* ---- writing ---- */
static void put_hash(Buf *out, const uint8_t sha256[32])
{
    hex_encode(out, slice(sha256, 32));
}

void backup_line(Buf *out, const char *word, const BackupFile *f)
{
    bool big = *word == 'b';
    buf_printf(out, big ? "%s %016llx %llu " : "%s %llu %llu ", word, (unsigned long long)f->id,
               (unsigned long long)f->size);
    put_hash(out, f->sha256);
    buf_char(out, '\n');
}

/* The last line, as it must be. */
static void put_seal(Buf *out, Slice body)
{
    uint8_t sha256[32];
    digest_of(body, sha256);
    buf_add(out, S("sha256 "));
    put_hash(out, sha256);
    buf_char(out, '\n');
}

void manifest_encode(Buf *out, const Manifest *m)
{
    buf_add(out, S("posthouse backup 1\nstore "));
    hex_encode(out, slice(m->uuid, sizeof m->uuid));
    buf_printf(out, "\ngeneration %u\nposition %llu\nend %llu\nlast %llu\nchain %u\nmoment %lld\n",
               m->generation, (unsigned long long)m->position, (unsigned long long)m->end,
               (unsigned long long)m->last, m->chain, (long long)m->moment);
    backup_line(out, "index", &m->index);
    backup_line(out, "keeper", &m->keeper);
    for (size_t i = 0; i < m->segments.count; i++)
        backup_line(out, "segment", &m->segments.items[i]);
    for (size_t i = 0; i < m->big.count; i++)
        backup_line(out, "big", &m->big.items[i]);
    put_seal(out, buf_slice(out));
}

/* ---- reading ---- */
static bool take_hash(Slice text, uint8_t sha256[32])
{
    Buf bytes buf_scoped = {0};
    if (text.len != 64 || !hex_decode(&bytes, text)) return false;
    memcpy(sha256, bytes.at, 32);
    return true;
}

bool backup_id_decode(Slice text, uint64_t *id)
{
    Buf bytes buf_scoped = {0};
    if (text.len != 16 || !hex_decode(&bytes, text)) return false;
    *id = 0;
    for (size_t i = 0; i < 8; i++)
        *id = *id << 8 | (uint8_t)bytes.at[i];
    return true;
}

bool backup_line_decode(Slice line, const char *word, BackupFile *f)
{
    Slice name, id, size;

    if (!slice_cut(&line, ' ', &name) || !slice_eq(name, slice_of(word))) return false;
    if (!slice_cut(&line, ' ', &id) || !slice_cut(&line, ' ', &size)) return false;
    if (!(*word == 'b' ? backup_id_decode(id, &f->id) : slice_to_u64(id, &f->id))) return false;
    return slice_to_u64(size, &f->size) && take_hash(line, f->sha256);
}

static bool take_number(Slice *text, const char *word, uint64_t most, uint64_t *value)
{
    Slice line, name;
    if (!slice_cut(text, '\n', &line) || !slice_cut(&line, ' ', &name)) return false;
    return slice_eq(name, slice_of(word)) && slice_to_u64(line, value) && *value <= most;
}

static bool take_file(Slice *text, const char *word, BackupFile *f)
{
    Slice line;
    return slice_cut(text, '\n', &line) && backup_line_decode(line, word, f);
}

static bool take_store(Slice *text, uint8_t uuid[16])
{
    Slice line;
    Buf bytes buf_scoped = {0};
    if (!slice_cut(text, '\n', &line) || !slice_eq(line, S("posthouse backup 1"))) return false;
    if (!slice_cut(text, '\n', &line) || !slice_starts(line, S("store "))) return false;
    if (!hex_decode(&bytes, slice_from(line, 6)) || bytes.len != 16) return false;
    memcpy(uuid, bytes.at, 16);
    return true;
}

static bool take_head(Slice *text, Manifest *m)
{
    uint64_t generation, chain, moment;
    if (!take_store(text, m->uuid)) return false;
    if (!take_number(text, "generation", 999999, &generation)) return false;
    if (!take_number(text, "position", UINT64_MAX, &m->position)) return false;
    if (!take_number(text, "end", UINT64_MAX, &m->end)) return false;
    if (!take_number(text, "last", UINT64_MAX, &m->last)) return false;
    if (!take_number(text, "chain", UINT32_MAX, &chain)) return false;
    if (!take_number(text, "moment", UINT32_MAX, &moment)) return false;
    m->generation = (uint32_t)generation;
    m->chain = (uint32_t)chain;
    m->moment = (int64_t)moment;
    return take_file(text, "index", &m->index) && take_file(text, "keeper", &m->keeper);
}

static bool take_files(Slice text, Manifest *m)
{
    Slice line;
    while (slice_cut(&text, '\n', &line)) {
        bool big = slice_starts(line, S("big "));
        BackupFile f;
        if (!backup_line_decode(line, big ? "big" : "segment", &f)) return false;
        if (!big && (!f.id || f.id > UINT32_MAX || f.size > UINT32_MAX)) return false;
        *backup_file_add(big ? &m->big : &m->segments) = f;
    }
    for (size_t i = 1; i < m->segments.count; i++)
        if (m->segments.items[i].id <= m->segments.items[i - 1].id) return false;
    return true;
}

Err manifest_decode(Slice text, Manifest *m)
{
    enum { SEAL = 7 + 64 + 1 };
    Buf seal buf_scoped = {0};
    *m = (Manifest){0};
    if (text.len < SEAL) return fail(ERR_CORRUPT, "a manifest that is cut short");
    Slice body = slice_first(text, text.len - SEAL);
    put_seal(&seal, body);
    if (!slice_eq(slice_from(text, body.len), buf_slice(&seal)))
        return fail(ERR_CORRUPT, "a manifest whose checksum does not hold");
    if (take_head(&body, m) && take_files(body, m)) return OK;
    manifest_done(m);
    return fail(ERR_CORRUPT, "a manifest that has no sense");
}
