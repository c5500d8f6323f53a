/* What RFC 5256 THREAD and SORT look at: message ids and base subjects. */
#include "mail/header.h"
#include "mail/octets.h"

/* RFC 5256 3: <"a b"@c> and <a\ b@c> are the same id, so quoting goes, and folding with it. */
static Slice normalised(Arena *a, Slice id)
{
    char *to = arena_alloc(a, id.len ? id.len : 1);
    size_t n = 0;
    for (size_t i = 0; i < id.len; i++) {
        if (id.at[i] == '"' || is_folding_white(id.at[i])) continue;
        if (id.at[i] == '\\' && i + 1 < id.len) i++;
        to[n++] = id.at[i];
    }
    return slice(to, n);
}

/* The next "<...>" with an "@" inside; both brackets included. */
static bool next_id(Slice *s, Slice *id)
{
    for (;;) {
        size_t open = slice_find(*s, '<');
        if (open == s->len) return false;
        *s = slice_from(*s, open);
        size_t end = 1;
        while (end < s->len && s->at[end] != '>' && s->at[end] != '<')
            end++;
        bool closed = end < s->len && s->at[end] == '>';
        *id = slice_first(*s, end + closed);
        *s = slice_from(*s, end + closed);
        if (closed && slice_find(*id, '@') < id->len) return true;
    }
}

size_t header_message_ids(Arena *a, Slice value, Slice **ids)
{
    size_t room = 0, count = 0;
    for (size_t i = 0; i < value.len; i++)
        room += value.at[i] == '<';
    *ids = arena_array(a, Slice, room ? room : 1);
    for (Slice id; count < room && next_id(&value, &id);)
        (*ids)[count++] = normalised(a, id);
    return count;
}

/* ---- base subject: the steps are those of RFC 5256 2.1, the names those of its grammar ---- */

/* (1) One SP for every run of white space. */
static Slice single_spaced(Arena *a, Slice subject)
{
    char *to = arena_alloc(a, subject.len ? subject.len : 1);
    size_t n = 0;
    for (size_t i = 0; i < subject.len; i++) {
        bool white = is_folding_white(subject.at[i]);
        if (white && n && to[n - 1] == ' ') continue;
        to[n++] = white ? ' ' : subject.at[i];
    }
    return slice(to, n);
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP; 0: none here */
static size_t blob(Slice s)
{
    if (!s.len || s.at[0] != '[') return 0;
    size_t i = 1;
    while (i < s.len && s.at[i] != '[' && s.at[i] != ']')
        i++;
    if (i == s.len || s.at[i] != ']') return 0;
    i++;
    while (i < s.len && s.at[i] == ' ')
        i++;
    return i;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t refwd(Slice s)
{
    static const Slice words[] = {
        {"re",  2},
        {"fwd", 3},
        {"fw",  2}
    };
    for (size_t w = 0; w < COUNT(words); w++) {
        if (!slice_starts_nocase(s, words[w])) continue;
        size_t i = words[w].len;
        while (i < s.len && s.at[i] == ' ')
            i++;
        i += blob(slice_from(s, i));
        if (i < s.len && s.at[i] == ':') return i + 1;
    }
    return 0;
}

/* (2) subj-trailer = "(fwd)" / WSP */
static Slice without_trailers(Slice s, bool *is_reply)
{
    for (;;) {
        size_t before = s.len;
        while (s.len && s.at[s.len - 1] == ' ')
            s.len--;
        if (s.len >= 5 && slice_eq_nocase(slice_from(s, s.len - 5), S("(fwd)")))
            s.len -= 5, *is_reply = true;
        if (s.len == before) return s;
    }
}

/* (3) subj-leader = (*subj-blob subj-refwd) / WSP; 0: none. The blobs are counted into *blobs, so
 * that a subject of many blobs is not walked once per blob. */
static size_t leader(Slice s, size_t *blobs)
{
    *blobs = 0;
    if (s.len && s.at[0] == ' ') return 1;
    for (size_t n; (n = blob(slice_from(s, *blobs)));)
        *blobs += n;
    size_t n = refwd(slice_from(s, *blobs));
    return n ? *blobs + n : 0;
}

/* (4) Blobs in front go too, as long as something is left behind them. */
static Slice without_blobs(Slice s)
{
    for (size_t n; (n = blob(s)) && n < s.len;)
        s = slice_from(s, n);
    return s;
}

/* (3) to (5) */
static Slice without_leaders(Slice s, bool *is_reply)
{
    for (;;) {
        size_t blobs, n = leader(s, &blobs);
        if (!n) break;
        *is_reply |= s.at[0] != ' ';
        s = slice_from(s, n);
    }
    return without_blobs(s); /* no leader follows them: leader() looked behind all blobs */
}

Slice header_base_subject(Arena *a, Slice subject, bool *is_reply)
{
    Slice s = single_spaced(a, subject);
    *is_reply = false;
    for (;;) {
        s = without_trailers(s, is_reply);
        s = without_leaders(s, is_reply);
        if (!slice_starts_nocase(s, S("[fwd:")) || !slice_ends(s, S("]"))) return s; /* (6) */
        *is_reply = true;
        s = slice(s.at + 5, s.len - 6);
    }
}
