#include "base/memo.h"

enum { ANYONE = CAST_COUNT };

typedef struct {
    const char *name;
    uint8_t from, to;
    const char *layout;
    uint32_t most;
} Row;

static const Row rows[MEMO_COUNT] = {
#define WARDEN                                      CAST_WARDEN
#define FRONT                                       CAST_FRONT
#define KEEPER                                      CAST_KEEPER
#define HOUSE                                       CAST_HOUSE
#define RUNNER                                      CAST_RUNNER
#define MEMO(name, from, to, layout, most, meaning) {#name, from, to, layout, most},
#include "base/memos.def"
#undef MEMO
};

const char *const cast_names[CAST_COUNT] = {"warden", "front", "keeper", "house", "runner"};

const char *memo_name(MemoKind kind)
{
    return kind < MEMO_COUNT ? rows[kind].name : "unknown";
}

/* ---- reading ---- */

static bool is_said_by(const Row *row, CastRole from, CastRole to)
{
    return from != to && (row->from == ANYONE || row->from == from) &&
           (row->to == ANYONE || row->to == to);
}

static uint64_t read_number(Reader *r, char width)
{
    switch (width) {
    case '1':
        return read_u8(r);
    case '2':
        return read_u16(r);
    case '4':
        return read_u32(r);
    default:
        return read_u64(r);
    }
}

static Slice read_text(Reader *r, char kind)
{
    return read_raw(r, kind == 's' ? read_u16(r) : r->rest.len);
}

Err memo_read(CastRole from, CastRole to, uint8_t kind, Slice octets, Memo *memo)
{
    const Row *row = kind < MEMO_COUNT ? &rows[kind] : NULL;
    if (!row || !is_said_by(row, from, to))
        return fail(ERR_SYNTAX, "%s may not say %s (%u) to %s", cast_names[from],
                    memo_name((MemoKind)kind), kind, cast_names[to]);
    if (octets.len > row->most) return fail(ERR_SYNTAX, "%s of %zu octets", row->name, octets.len);
    Reader r = reader(octets);
    size_t numbers = 0, texts = 0;
    memo->kind = (MemoKind)kind;
    for (const char *field = row->layout; *field; field++)
        if (*field == 's' || *field == 'b')
            memo->text[texts++] = read_text(&r, *field);
        else
            memo->number[numbers++] = read_number(&r, *field);
    return r.bad || r.rest.len ? fail(ERR_SYNTAX, "%s is not sound", row->name) : OK;
}

/* ---- writing ---- */

static void put_number(Buf *out, char width, uint64_t n)
{
    switch (width) {
    case '1':
        must(n <= UINT8_MAX);
        buf_u8(out, (uint8_t)n);
        break;
    case '2':
        must(n <= UINT16_MAX);
        buf_u16(out, (uint16_t)n);
        break;
    case '4':
        must(n <= UINT32_MAX);
        buf_u32(out, (uint32_t)n);
        break;
    default:
        buf_u64(out, n);
    }
}

void memo_put(Buf *out, const Memo *memo)
{
    size_t numbers = 0, texts = 0, before = out->len;
    must(memo->kind < MEMO_COUNT);
    for (const char *field = rows[memo->kind].layout; *field; field++) {
        if (*field == 's') put_number(out, '2', memo->text[texts].len);
        if (*field == 's' || *field == 'b')
            buf_add(out, memo->text[texts++]);
        else
            put_number(out, *field, memo->number[numbers++]);
    }
    must(out->len - before <= rows[memo->kind].most);
}
