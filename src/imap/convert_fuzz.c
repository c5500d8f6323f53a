/* CONVERT's grammar, whole and cut into pieces: the same is understood, within its limits. */
#include "imap/convert.h"
#include "imap/parse_fuzz.h"

PARKS static void parse(ParseCase *c, Imap *s)
{
    Convert *convert = arena_new(&s->arena, Convert);
    if (convert_parse(s, convert)) return;
    must(convert->param_count <= CONVERT_PARAMS_MOST && convert->count <= CONVERT_ITEMS_MOST + 1);
    buf_printf(&c->seen, "%.*s %zu ", SP(convert->to), convert->set.count);
    for (size_t i = 0; i < convert->param_count; i++) {
        buf_add(&c->seen, convert->params[i].name);
        buf_add(&c->seen, convert->params[i].value);
    }
    for (size_t i = 0; i < MIN(convert->count, (size_t)CONVERT_ITEMS_MOST); i++)
        buf_add(&c->seen, convert->items[i].name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8 * 1024) return 0;
    Slice text = slice((const char *)data + 1, size - 1);
    ParseCase whole = {.text = text, .piece = 64 * 1024, .parse = parse};
    ParseCase cut = {.text = text, .piece = 1 + data[0] % 16, .parse = parse};
    parse_run(&whole);
    parse_run(&cut);
    must(whole.err == cut.err);
    must(slice_eq(buf_slice(&whole.seen), buf_slice(&cut.seen)));
    buf_done(&whole.seen);
    buf_done(&cut.seen);
    return 0;
}
