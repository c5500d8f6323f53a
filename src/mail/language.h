#pragma once
/* Languages people read (RFC 5255 3, RFC 6856 3): what we say to them, translated from one table,
 * language.def. Pure. */
#include "base/base.h"

typedef enum {
    LANGUAGE_DEFAULT, /* "i-default", RFC 2277 4.5: English that everybody may be shown */
    LANGUAGE_EN,
    LANGUAGE_DE,
    LANGUAGE_ES,
    LANGUAGE_FR,
    LANGUAGE_RU,
    LANGUAGE_ZH,
    LANGUAGE_COUNT
} Language;

Slice language_tag(Language l);  /* "de" */
Slice language_name(Language l); /* "Deutsch", in itself */
/* RFC 4647 3.4, lookup: "de-AT" finds "de". "*" and "default" find i-default. */
bool language_find(Slice range, Language *l);
/* What this English text is in that language; .at NULL: there is no such text in the table. "NOOP
 * completed" and its like are one row. In the arena, or static. */
Slice language_say(Language l, Slice english, Arena *a);
