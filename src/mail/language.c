#include "mail/language.h"

#include "base/text.h"

static const struct {
    Slice tag, name;
} languages[LANGUAGE_COUNT] = {
    [LANGUAGE_DEFAULT] = {{"i-default", 9}, {"English, for everybody", 22}},
    [LANGUAGE_EN] = {{"en", 2},        {"English", 7}                },
    [LANGUAGE_DE] = {{"de", 2},        {"Deutsch", 7}                },
    [LANGUAGE_ES] = {{"es", 2},        {"Español", 8}               },
    [LANGUAGE_FR] = {{"fr", 2},        {"Français", 9}              },
    [LANGUAGE_RU] = {{"ru", 2},        {"Русский", 14}        },
    [LANGUAGE_ZH] = {{"zh", 2},        {"中文", 6}                 },
};

/* clang-format off */
static const struct {
    const char *english, *said[LANGUAGE_COUNT - LANGUAGE_DE];
} words[] = {
#define SAY(english, de, es, fr, ru, zh) {english, {de, es, fr, ru, zh}},
#include "mail/language.def"
#undef SAY
};
/* clang-format on */

Slice language_tag(Language l)
{
    return languages[l].tag;
}

Slice language_name(Language l)
{
    return languages[l].name;
}

/* RFC 4647 3.4: the range loses its last subtag until it fits; a single letter goes with the one
 * behind it. */
bool language_find(Slice range, Language *l)
{
    *l = LANGUAGE_DEFAULT;
    if (slice_eq(range, S("*")) || slice_eq_nocase(range, S("default"))) return true;
    while (range.len) {
        for (int i = 0; i < LANGUAGE_COUNT; i++) {
            if (!slice_eq_nocase(languages[i].tag, range)) continue;
            *l = (Language)i;
            return true;
        }
        size_t dash = slice_find_last(range, '-');
        if (dash == range.len) break;
        if (dash >= 2 && range.at[dash - 2] == '-') dash -= 2;
        range.len = dash;
    }
    return false;
}

/* The row "%s completed", with whatever was. */
static Slice say_completed(Language l, Slice english, Arena *a)
{
    Slice form = slice_of(words[0].said[l - LANGUAGE_DE]), what = english;
    size_t at = slice_find_slice(form, S("%s"));
    what.len -= sizeof " completed" - 1;
    return arena_printf(a, "%.*s%.*s%.*s", SP(slice_first(form, at)), SP(what),
                        SP(slice_from(form, at + 2)));
}

static Slice look_up(Language l, Slice english)
{
    for (size_t i = 1; i < COUNT(words); i++)
        if (slice_eq(slice_of(words[i].english), english))
            return slice_of(words[i].said[l - LANGUAGE_DE]);
    return (Slice){0};
}

static Slice with(Arena *a, Slice form, Slice what)
{
    size_t at = slice_find_slice(form, S("%u"));
    return arena_printf(a, "%.*s%.*s%.*s", SP(slice_first(form, at)), SP(what),
                        SP(slice_from(form, at + 2)));
}

/* A row with %u: the text without its first number. */
static Slice say_number(Language l, Slice english, Arena *a)
{
    size_t at = 0, end;
    while (at < english.len && !is_digit((unsigned char)english.at[at]))
        at++;
    for (end = at; end < english.len && is_digit((unsigned char)english.at[end]);)
        end++;
    if (at == end) return (Slice){0};
    Slice form =
        arena_printf(a, "%.*s%%u%.*s", SP(slice_first(english, at)), SP(slice_from(english, end)));
    Slice said = look_up(l, form);
    return said.at ? with(a, said, slice(english.at + at, end - at)) : said;
}

Slice language_say(Language l, Slice english, Arena *a)
{
    if (l < LANGUAGE_DE) return english;
    Slice said = look_up(l, english);
    if (!said.at) said = say_number(l, english, a);
    if (said.at) return said;
    if (slice_ends(english, S(" completed"))) return say_completed(l, english, a);
    return (Slice){0};
}
