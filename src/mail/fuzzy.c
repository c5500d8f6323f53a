#include "mail/fuzzy.h"

#include "base/text.h"
#include "mail/casemap.h"

enum {
    WORDS_MOST = 8,
    LETTERS_MOST = 32, /* of a word that are looked at */
    ONE_MISTAKE = 4,   /* letters from which on one is forgiven */
    TWO_MISTAKES = 8,
};

typedef struct {
    uint32_t letters[LETTERS_MOST];
    size_t count;
    Slice text;
} Word;

static bool is_letter(uint32_t c)
{
    return c >= 0x80 || is_alnum((unsigned char)c);
}

static uint32_t next_letter(Slice *rest)
{
    uint32_t c;
    size_t n = utf8_decode(*rest, &c);
    if (!n) n = 1, c = 0xfffd;
    *rest = slice_from(*rest, n);
    return c;
}

/* The next run of letters and digits. */
static bool next_word(Slice *rest, Word *w)
{
    Slice before = *rest;
    w->count = 0;
    while (rest->len) {
        Slice here = *rest;
        uint32_t c = next_letter(rest);
        if (!is_letter(c)) {
            if (w->count) {
                *rest = here;
                break;
            }
            before = *rest;
            continue;
        }
        if (w->count < LETTERS_MOST) w->letters[w->count++] = c;
    }
    w->text = slice_first(before, before.len - rest->len);
    return w->count > 0;
}

static size_t common_prefix(const Word *a, const Word *b)
{
    size_t n = 0;
    while (n < a->count && n < b->count && a->letters[n] == b->letters[n])
        n++;
    return n;
}

/* Insertions, deletions, changes, and swaps of neighbours; above `most`: most + 1. Three rows of
 * the usual table. */
static unsigned distance(const Word *a, const Word *b, unsigned most)
{
    uint8_t rows[3][LETTERS_MOST + 1];
    uint8_t *two = rows[0], *one = rows[1], *now = rows[2];
    size_t longer = MAX(a->count, b->count), shorter = MIN(a->count, b->count);
    if (longer - shorter > most) return most + 1;
    for (size_t j = 0; j <= b->count; j++)
        one[j] = (uint8_t)j;
    for (size_t i = 1; i <= a->count; i++) {
        unsigned least = now[0] = (uint8_t)i;
        for (size_t j = 1; j <= b->count; j++) {
            bool same = a->letters[i - 1] == b->letters[j - 1];
            unsigned d = MIN(one[j], now[j - 1]) + 1u;
            d = MIN(d, one[j - 1] + (same ? 0u : 1u));
            bool swapped = i > 1 && j > 1 && a->letters[i - 1] == b->letters[j - 2] &&
                           a->letters[i - 2] == b->letters[j - 1];
            if (swapped) d = MIN(d, two[j - 2] + 1u);
            now[j] = (uint8_t)d;
            least = MIN(least, d);
        }
        if (least > most) return most + 1;
        uint8_t *free_row = two;
        two = one, one = now, now = free_row;
    }
    return MIN((unsigned)one[b->count], most + 1);
}

static unsigned forgiven(const Word *w)
{
    return w->count >= TWO_MISTAKES ? 2 : w->count >= ONE_MISTAKE ? 1 : 0;
}

/* How well a word of the text fits one that is looked for. */
static unsigned word_score(const Word *wanted, const Word *w)
{
    size_t same = common_prefix(wanted, w);
    if (same == wanted->count) return same == w->count ? 100 : 80;
    bool most_of_it = w->text.len >= wanted->text.len / 2; /* holds the first piece, see cut */
    if (same == w->count && same >= ONE_MISTAKE && most_of_it)
        return 70; /* "messages" finds "message" */
    unsigned most = forgiven(wanted), d = most ? distance(wanted, w, most) : 1;
    if (d <= most) return d == 1 ? 60 : 40;
    return 0;
}

unsigned fuzzy_score(Slice text, Slice needle)
{
    Word wanted[WORDS_MOST], w;
    unsigned best[WORDS_MOST] = {0}, sum = 0;
    size_t count = 0, fit = 0;
    if (!needle.len || casemap_contains(text, needle)) return 100;
    for (Slice rest = needle; count < WORDS_MOST && next_word(&rest, &wanted[count]);)
        count++;
    if (!count) return 0;
    for (Slice rest = slice_first(text, FUZZY_TEXT_MOST); next_word(&rest, &w);)
        for (size_t i = 0; i < count; i++)
            if (best[i] < 100) best[i] = MAX(best[i], word_score(&wanted[i], &w));
    for (size_t i = 0; i < count; i++) {
        if (!best[i] && casemap_contains(text, wanted[i].text)) best[i] = 50; /* within a word */
        sum += best[i], fit += best[i] > 0;
    }
    return fit * 2 < count || !fit ? 0 : sum * 9 / 10 / (unsigned)count;
}

static size_t last_letter(Slice s)
{
    size_t n = s.len;
    while (n && ((unsigned char)s.at[n - 1] & 0xc0) == 0x80)
        n--;
    return n ? n - 1 : 0;
}

static size_t first_letter(Slice s)
{
    size_t n = s.len > 0;
    while (n < s.len && ((unsigned char)s.at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* One more piece than mistakes that are forgiven: one of them is without a mistake. The letters at
 * the seams are left out, as two that are swapped there would be a mistake in both. */
static size_t cut(const Word *w, Slice *pieces, size_t most)
{
    size_t parts = forgiven(w) + 1u, n = 0;
    Slice rest = w->text;
    if (w->count == LETTERS_MOST) return 0; /* what comes behind may be anything */
    for (size_t i = 0; i < parts && rest.len; i++) {
        bool last = i + 1 == parts;
        size_t len = last ? rest.len : utf8_cut(rest, rest.len / (parts - i));
        Slice piece = slice_first(rest, len);
        if (i) piece = slice_from(piece, first_letter(piece));
        if (!last) piece = slice_first(piece, last_letter(piece));
        if (!piece.len || n == most) return 0; /* too short to be cut, or too many */
        pieces[n++] = piece;
        rest = slice_from(rest, len);
    }
    return n;
}

size_t fuzzy_pieces(Slice needle, Slice *pieces, size_t most)
{
    size_t n = 0, words = 0;
    Word w;
    for (Slice rest = needle; words < WORDS_MOST && next_word(&rest, &w); words++) {
        size_t more = cut(&w, pieces + n, most - n);
        if (!more) return 0;
        n += more;
    }
    return n;
}
