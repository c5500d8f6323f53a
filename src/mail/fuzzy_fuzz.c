/* The first line is looked for in the rest: a whole needle is found, a score is a score, and a text
 * that fits holds one of the pieces. */
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/casemap.h"
#include "mail/fuzzy.h"

static void check_pieces(Slice text, Slice needle, unsigned score)
{
    Slice pieces[24];
    size_t count = fuzzy_pieces(needle, pieces, COUNT(pieces));
    must(count <= COUNT(pieces));
    bool holds = !count || !score;
    for (size_t i = 0; i < count; i++) {
        must(pieces[i].len && pieces[i].at >= needle.at);
        holds |= casemap_contains(text, pieces[i]);
    }
    must(holds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf text buf_scoped = {0}, needle buf_scoped = {0};
    Slice rest = slice(data, size), line;
    if (!slice_cut(&rest, '\n', &line) || !utf8_is_valid(slice(data, size))) return 0;
    casemap(&text, rest);
    casemap(&needle, line);
    unsigned score = fuzzy_score(buf_slice(&text), buf_slice(&needle));
    must(score <= 100);
    if (casemap_contains(buf_slice(&text), buf_slice(&needle))) must(score >= 90);
    check_pieces(buf_slice(&text), buf_slice(&needle), score);
    return 0;
}
