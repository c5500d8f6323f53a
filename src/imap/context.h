#pragma once
/* Live results, RFC 5267: SEARCH and SORT with RETURN (UPDATE). A context keeps its program and
 * what it has found. When news are told it learns which messages have changed, come or gone, asks
 * those only, and tells the difference. It lasts until CANCELUPDATE or until the mailbox is left.
 */
#include "imap/sort.h"

/* Before the search is run. ERR_SYNTAX: the tag belongs to a context already (RFC 5267 4.3). */
Err context_check(Imap *s, Search *search) MUST_USE;
/* Keeps what was found; correlated: its updates name the mailbox (RFC 7377). Too many of them:
 * "* NO [NOUPDATE tag]". */
void context_begin(Imap *s, const Search *search, const SortProgram *sort, const SearchResult *r,
                   bool correlated);
void context_refuse(Imap *s, const char *why); /* "* NO [NOUPDATE tag] why" */
/* Before view_sync: tells what was expunged, by the numbers it still has. */
void context_tell_gone(Imap *s);
/* When all other news are told: tells what came, and what fits now or does not any more. */
PARKS void context_tell_changed(Imap *s);
/* Time alone has changed results (OLDER, YOUNGER): tell_changed has something to do. */
bool context_is_due(const Imap *s);
void context_end_all(Imap *s);
