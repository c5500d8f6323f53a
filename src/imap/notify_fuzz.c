/* "a NOTIFY ...": what is understood does not depend on how the octets come, and obeys RFC 5465 5
 * and 6.1. */
#include "imap/notify.h"
#include "imap/parse_fuzz.h"

static void see_group(Buf *out, const NotifyGroup *g)
{
    unsigned both = EVENT_MESSAGE_NEW | EVENT_MESSAGE_EXPUNGE;
    must(g->filter != FILTER_SELECTED && g->filter != FILTER_SELECTED_DELAYED);
    must((g->filter >= FILTER_SUBTREE) == (g->name_count > 0));
    must(!(g->events & EVENTS_OF_MESSAGES) || (g->events & both) == both);
    buf_printf(out, "%d:%x", (int)g->filter, g->events);
    for (size_t i = 0; i < g->name_count; i++)
        buf_printf(out, "[%zu]%.*s", g->names[i].len, SP(g->names[i]));
    buf_char(out, ';');
}

PARKS_UNCHECKED static void parse(ParseCase *c, Imap *s)
{
    NotifyArgs args = {0};
    c->err = notify_parse(s, &args);
    buf_printf(&c->seen, "%s %u", err_name(c->err), args.unknown);
    if (c->err || args.unknown) return;
    must(args.none || args.group_count || args.has_selected);
    must(!(args.selected & ~(unsigned)EVENTS_OF_MESSAGES));
    must(!args.fetch.count || (args.selected & EVENT_MESSAGE_NEW));
    must(!args.fetch.sets_seen);
    buf_printf(&c->seen, " %d%d%d%x %zu ", args.none, args.status, args.delayed, args.selected,
               args.fetch.count);
    for (size_t i = 0; i < args.group_count; i++)
        see_group(&c->seen, &args.groups[i]);
    Arena kept arena_scoped = {0};
    fetch_keep(&args.fetch, &kept);
    for (size_t i = 0; i < args.fetch.count; i++)
        buf_printf(&c->seen, "%d%.*s,", (int)args.fetch.items[i].type,
                   SP(args.fetch.items[i].name));
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
    return 0;
}
