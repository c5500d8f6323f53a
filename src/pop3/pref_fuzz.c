/* What an account wants of POP3: whatever the words are, days are days, and the same words once
 * more change nothing. */
#include "base/fuzz.h"
#include "pop3/pref.h"

static bool same(const Pop3Pref *a, const Pop3Pref *b)
{
    return a->delete_to_trash == b->delete_to_trash && a->keep_retrieved == b->keep_retrieved &&
           a->expire_days == b->expire_days;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Pop3Pref once = pop3_pref_default(), twice;
    pop3_pref_parse(slice(data, size), &once);
    must(once.expire_days == POP3_NEVER || once.expire_days > 0);
    twice = once;
    pop3_pref_parse(slice(data, size), &twice);
    must(same(&once, &twice));
    return 0;
}
