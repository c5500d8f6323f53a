/* RETURN: RFC 4731 3.1, RFC 5182, RFC 5267 4, RFC 6203 4, RFC 9394. */
#include "imap/fetch.h"
#include "imap/thread.h"

/* partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number (RFC 9394 4). 500:400
 * is the same as 400:500. */
SearchPartial search_partial_range(In *in)
{
    SearchPartial p = {0};
    p.from_end = imap_see(in, "-");
    uint32_t a = imap_nz_number(in);
    imap_need(in, p.from_end ? ":-" : ":");
    uint32_t b = imap_nz_number(in);
    const char *sign = p.from_end ? "-" : "";
    p.first = MIN(a, b), p.last = MAX(a, b);
    p.range = arena_printf(in->arena, "%s%u:%s%u", sign, p.first, sign, p.last);
    return p;
}

bool search_partial_of(const SearchPartial *p, uint64_t n, uint64_t *first, uint64_t *last)
{
    if (p->first > n) return false;
    uint64_t end = MIN(p->last, n);
    *first = p->from_end ? n - end + 1 : p->first;
    *last = p->from_end ? n - p->first + 1 : end;
    return true;
}

UidSet search_places(Arena *a, const UidSet *uids, uint64_t first, uint64_t last)
{
    UidSet out = {0};
    uint64_t before = 0;
    for (size_t i = 0; i < uids->count && before < last; i++) {
        UidRange r = uids->ranges[i];
        uint64_t n = (uint64_t)r.last - r.first + 1;
        uint64_t from = MAX(first, before + 1) - before, to = MIN(last - before, n);
        if (from <= to)
            uidset_add(a, &out, r.first + (uint32_t)(from - 1), r.first + (uint32_t)(to - 1));
        before += n;
    }
    return out;
}

/* "A single command MUST NOT contain more than one PARTIAL or ALL" (RFC 9394 3.1); ALL twice does
 * no harm. */
static void partial(In *in, Search *search)
{
    imap_space(in);
    if (search->wants & RETURN_PARTIAL) imap_mistake(in, "PARTIAL twice");
    search->partial = search_partial_range(in);
}

/* draft-ietf-morg-inthread 3.5: which threads INTHREAD and its like are about. */
static void algorithm(In *in, Search *search)
{
    ThreadAlgorithm which;
    if (!thread_algorithm_of(imap_label(in), &which))
        imap_mistake(in, "Unknown threading algorithm");
    else
        search->algorithm = (uint8_t)which;
}

/* RFC 5465 7: "UPDATE" ["(" fetch-att *(SP fetch-att) ")"], told of new messages. */
PARKS static void update(Imap *s, Search *search)
{
    Scan ahead = s->in->scan;
    if (imap_syntax(s->in) || !scan_see_word(&ahead, S(" ("))) return;
    imap_space(s->in);
    search->update = arena_new(&s->arena, Fetch);
    fetch_atts(s, search->update);
}

PARKS static void option(Imap *s, Search *search)
{
    In *in = s->in;
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"MIN",       RETURN_MIN      },
        {"MAX",       RETURN_MAX      },
        {"ALL",       RETURN_ALL      },
        {"COUNT",     RETURN_COUNT    },
        {"SAVE",      RETURN_SAVE     },
        {"PARTIAL",   RETURN_PARTIAL  },
        {"CONTEXT",   RETURN_CONTEXT  },
        {"UPDATE",    RETURN_UPDATE   },
        {"RELEVANCY", RETURN_RELEVANCY},
    };
    if (imap_see(in, "THREAD=")) {
        algorithm(in, search);
        return;
    }
    size_t i = 0;
    while (i < COUNT(words) && !imap_see(in, words[i].word))
        i++;
    if (i == COUNT(words)) {
        imap_mistake(in, "Unknown return option");
        return;
    }
    if (words[i].bit == RETURN_PARTIAL) partial(in, search);
    if (words[i].bit == RETURN_UPDATE) update(s, search);
    search->wants |= words[i].bit;
}

/* RFC 4731 3.1: "If the list of result options is empty, that ... is equivalent to (ALL)"; SAVE
 * alone tells nothing (RFC 5182 1). */
PARKS void search_parse_return(Imap *s, Search *search)
{
    In *in = s->in;
    if (!imap_see(in, "RETURN (")) return;
    search->extended = true;
    while (!imap_see(in, ")") && !imap_syntax(in)) {
        option(s, search);
        if (imap_peek(in) == ')') continue;
        imap_space(in);
        if (imap_peek(in) == ')') imap_mistake(in, "A return option is missing");
    }
    imap_space(in);
    if ((search->wants & RETURN_ALL) && (search->wants & RETURN_PARTIAL))
        imap_mistake(in, "Either ALL or PARTIAL");
    if (!(search->wants & (RETURN_TOLD | RETURN_SAVE))) search->wants |= RETURN_ALL;
}
