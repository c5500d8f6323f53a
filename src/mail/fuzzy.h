#pragma once
/* How well words fit a text, for SEARCH FUZZY (RFC 6203). Both sides are folded (casemap.h).
 *
 * The words of the needle may stand anywhere, in any order; a word also fits another one that
 * begins like it, holds it, or differs by a typing mistake. Half of the words have to fit. */
#include "base/base.h"

enum { FUZZY_TEXT_MOST = 128 * 1024 }; /* octets of a text that are taken apart into words */

/* 0: it does not fit; 1 to 100, the whole needle as it stands: 90 or more. */
unsigned fuzzy_score(Slice text, Slice needle);

/* Pieces of the needle of which every text that fits holds one at least: for an index. 0: nothing
 * can be said, or they are more than `most`. */
size_t fuzzy_pieces(Slice needle, Slice *pieces, size_t most);
