/* Entry names of RFC 5464 and RFC 5257, and the lists of FETCH and STORE ANNOTATION: what is taken
 * keeps the rules, and said again means the same. */
#include "imap/annotate.h"
#include "imap/metadata.h"
#include "imap/parse_fuzz.h"
#include "imap/pattern.h"

static void check_name(Slice entry, bool wild)
{
    must(entry.len && entry.len <= ANNOTATION_NAME_MOST);
    must(entry.at[entry.len - 1] != '/');
    must(slice_find_slice(entry, S("//")) == entry.len);
    if (wild) return;
    must(entry.at[0] == '/');
    must(slice_find(entry, '*') == entry.len && slice_find(entry, '%') == entry.len);
    must(imap_pattern_matches(S("*"), entry));
    must(annotate_entry_fits(entry, true));
}

static void check_metadata(Slice text, Arena *a)
{
    MetadataEntry entry, again;
    if (!metadata_entry_parse(a, text, true, &entry)) return;
    Slice whole = arena_printf(a, "%s%.*s", entry.shared ? "/SHARED" : "/Private", SP(entry.entry));
    must(metadata_entry_parse(a, whole, true, &again));
    must(again.shared == entry.shared && slice_eq(again.entry, entry.entry));
    must(!entry.entry.len || entry.entry.at[0] == '/');
    must(slice_find_slice(entry.entry, S("//")) == entry.entry.len);
    if (metadata_entry_parse(a, text, false, &again)) must(entry.entry.len > 1);
}

static void put_literal(Buf *out, Slice s)
{
    buf_printf(out, "~{%zu+}\r\n", s.len);
    buf_add(out, s);
}

static void put_values(Buf *out, const Annotations *set)
{
    buf_add(out, S("a STORE ("));
    for (size_t i = 0; i < set->count; i++) {
        const Annotation *one = &set->list[i];
        check_name(one->entry, false);
        if (i) buf_char(out, ' ');
        imap_put_string(out, one->entry);
        buf_printf(out, " (value.%s ", one->shared ? "shared" : "priv");
        if (one->value.at)
            put_literal(out, one->value);
        else
            buf_add(out, S("NIL"));
        buf_char(out, ')');
    }
    buf_add(out, S(")\r\n"));
}

static void put_item(Buf *out, const AnnotateItem *item)
{
    static const char *const scopes[] = {"", ".priv", ".shared", ""};
    buf_add(out, S("a FETCH (("));
    for (size_t i = 0; i < item->entry_count; i++) {
        check_name(item->entries[i], true);
        if (i) buf_char(out, ' ');
        imap_put_string(out, item->entries[i]);
    }
    buf_add(out, S(") ("));
    for (size_t i = 0; i < item->attribute_count; i++)
        buf_printf(out, "%s%s%s", i ? " " : "", item->attributes[i].size ? "size" : "value",
                   scopes[item->attributes[i].scope]);
    buf_add(out, S("))\r\n"));
}

/* "a STORE (...)" or "a FETCH (...)": parse_fuzz.h has read the word. */
PARKS_UNCHECKED static void parse(ParseCase *c, Imap *s)
{
    bool fetch = imap_see(s->in, " (("); /* else the values of STORE */
    if (fetch) s->in->scan.at -= 2;
    if (fetch) {
        const AnnotateItem *item = annotate_item(s->in);
        c->err = imap_end(s->in);
        if (!c->err) put_item(&c->seen, item);
        return;
    }
    Annotations set = annotate_values(s->in);
    c->err = imap_end(s->in);
    if (!c->err) put_values(&c->seen, &set);
}

static void check_again(Slice said)
{
    ParseCase again = {.text = said, .piece = 64 * 1024, .parse = parse};
    parse_run(&again);
    must(!again.err);
    must(slice_eq(buf_slice(&again.seen), said));
    buf_done(&again.seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice text = slice(data, size);
    Arena a = {0};
    for (int wild = 0; wild < 2; wild++)
        if (annotate_entry_fits(text, wild)) check_name(text, wild);
    check_metadata(text, &a);
    arena_done(&a);

    ParseCase whole = {.text = text, .piece = 64 * 1024, .parse = parse};
    ParseCase pieces = {.text = text, .piece = 1, .parse = parse};
    if (size > 4096) return 0;
    parse_run(&whole);
    parse_run(&pieces);
    must(whole.err == pieces.err);
    must(slice_eq(buf_slice(&whole.seen), buf_slice(&pieces.seen)));
    if (!whole.err && whole.seen.len < 4000) check_again(buf_slice(&whole.seen));
    buf_done(&whole.seen);
    buf_done(&pieces.seen);
    return 0;
}
