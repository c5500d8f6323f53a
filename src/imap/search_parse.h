#pragma once
/* For the files that make search keys: search_parse.c, search_key.c. */
#include "imap/search.h"
#include "mail/charset.h"

typedef struct {
    Imap *s;
    In *in; /* the command's */
    Search *search;
    const Charset *charset; /* NULL: UTF-8 (or US-ASCII) */
    size_t keys;
    size_t depth, in_threads; /* of keys around this place; those that are INTHREAD */
    unsigned passes;          /* FILTERs around this text */
} KeyParser;

/* KEY_ALL at first; too many stick as a mistake. */
SearchKey *search_new_key(KeyParser *p, KeyType type);
/* The child goes behind those that cost as much or less. */
void search_add_child(SearchKey *parent, SearchKey *child);
SearchKey *search_negate(KeyParser *p, SearchKey *key);
/* What is known of this text: in the arena, as UTF-8, folded. */
Slice search_fold(KeyParser *p, Slice given);

/* KEY_ATTACHMENT_NAME, KEY_ATTACHMENT_TEXT: with the cheaper question in front. */
SearchKey *search_attachment(KeyParser *p, KeyType type, Slice folded);
/* Keys to the end of the text, as one. */
PARKS SearchKey *search_program(KeyParser *p);
/* Behind "FILTER ". */
PARKS SearchKey *search_filter_key(KeyParser *p);
/* What Gmail's users type, behind "X-GM-RAW " (gmail_query.c). */
SearchKey *search_gmail_query(KeyParser *p, Slice query);
/* A key without children of its own: everything but "(", NOT, OR. */
PARKS SearchKey *search_simple_key(KeyParser *p);
