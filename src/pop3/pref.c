#include "pop3/pref.h"

#define DAYS_MOST 36500

Pop3Pref pop3_pref_default(void)
{
    return (Pop3Pref){.keep_retrieved = true, .expire_days = POP3_NEVER};
}

static void parse_expire(Pop3Pref *p, Slice days)
{
    uint64_t n;
    if (slice_eq_nocase(days, S("never"))) {
        p->expire_days = POP3_NEVER;
    } else if (slice_to_u64(days, &n) && n <= DAYS_MOST) {
        p->expire_days = n ? (int32_t)n : POP3_NEVER;
        if (!n) p->keep_retrieved = false;
    }
}

static void parse_word(Pop3Pref *p, Slice word)
{
    if (slice_eq_nocase(word, S("delete=trash"))) p->delete_to_trash = true;
    if (slice_eq_nocase(word, S("delete=expunge"))) p->delete_to_trash = false;
    if (slice_eq_nocase(word, S("leave=no"))) p->keep_retrieved = false;
    if (slice_eq_nocase(word, S("leave=yes"))) p->keep_retrieved = true;
    if (slice_starts_nocase(word, S("expire="))) parse_expire(p, slice_from(word, 7));
}

void pop3_pref_parse(Slice text, Pop3Pref *p)
{
    for (Slice word; slice_cut(&text, ' ', &word);)
        parse_word(p, word);
}
