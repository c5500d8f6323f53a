/* "a FETCH 1 ..." or "a UID 1 ...": what is understood does not depend on how the octets come, and
 * what a response would call an item means the same item when it is asked for. */
#include "imap/fetch.h"
#include "imap/parse_fuzz.h"

static void see_section(Buf *out, const FetchItem *item)
{
    const Section *s = &item->section;
    must(s->depth <= MAIL_DEPTH_MOST);
    must(s->text != SECTION_MIME || s->depth);
    must(item->type == ITEM_SECTION || s->text == SECTION_WHOLE);
    buf_printf(out, "%d:%d", (int)item->type, (int)s->text);
    for (size_t i = 0; i < s->depth; i++) {
        must(s->path[i]);
        buf_printf(out, ".%u", s->path[i]);
    }
    for (size_t i = 0; i < s->field_count; i++)
        buf_printf(out, "[%zu]%.*s", s->fields[i].len, SP(s->fields[i]));
    must(!item->partial || item->most);
    if (item->partial)
        buf_printf(out, "<%llu.%llu>", (unsigned long long)item->offset,
                   (unsigned long long)item->most);
    buf_char(out, ';');
}

PARKS_UNCHECKED static void parse(ParseCase *c, Imap *s)
{
    Fetch f = {0};
    c->err = fetch_parse(s, &f);
    buf_printf(&c->seen, "%s", err_name(c->err));
    if (c->err) return;
    must(f.count > 0);
    must(!f.vanished || imap_has(s, ENABLED_QRESYNC));
    must(!s->by_uid || fetch_has(&f, ITEM_UID) || imap_has(s, ENABLED_UIDONLY));
    must(!f.changed_since || (fetch_has(&f, ITEM_MODSEQ) && imap_has(s, ENABLED_CONDSTORE)));
    buf_clear(&c->seen);
    for (size_t i = 0; i < f.count; i++) {
        must(fetch_has(&f, f.items[i].type));
        see_section(&c->seen, &f.items[i]);
    }
}

/* The same again, by the names of the response. */
PARKS_UNCHECKED static void ask_again(ParseCase *c, Imap *s)
{
    Fetch f = {0};
    c->err = fetch_parse(s, &f);
    for (size_t i = 0; !c->err && i < f.count; i++) {
        if (!f.items[i].name.len) continue;
        buf_add(&c->seen, c->seen.len ? S(" ") : S("a FETCH 1 ("));
        buf_add(&c->seen, f.items[i].name);
    }
    if (c->seen.len) buf_add(&c->seen, S(")\r\n"));
}

static void check_names(Slice text)
{
    ParseCase first = {.text = text, .piece = 64 * 1024, .parse = ask_again};
    parse_run(&first);
    ParseCase second = {.text = buf_slice(&first.seen), .piece = 64 * 1024, .parse = ask_again};
    if (first.seen.len && first.seen.len < 4000 && !memchr(first.seen.at, '{', first.seen.len)) {
        parse_run(&second);
        must(slice_eq(buf_slice(&first.seen), buf_slice(&second.seen)));
    }
    buf_done(&first.seen);
    buf_done(&second.seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8 * 1024) return 0;
    Slice text = slice(data + 1, size - 1);
    ParseCase whole = {.text = text, .piece = 64 * 1024, .parse = parse};
    ParseCase cut = {.text = text, .piece = 1 + data[0] % 16, .parse = parse};
    parse_run(&whole);
    parse_run(&cut);
    must(whole.err == cut.err);
    must(slice_eq(buf_slice(&whole.seen), buf_slice(&cut.seen)));
    buf_done(&whole.seen);
    buf_done(&cut.seen);
    check_names(text);
    return 0;
}
