#pragma once
/* What an account wants of POP3: "delete=expunge|trash expire=DAYS|never leave=yes|no", words
 * separated by blanks, in any order; a word that is missing or not understood leaves the default.
 * Pure. */
#include "base/base.h"

enum { POP3_NEVER = -1 };
typedef struct {
    bool delete_to_trash; /* what a DELE means */
    bool keep_retrieved;  /* false (leave=no, expire=0): QUIT removes what was retrieved */
    int32_t expire_days;  /* QUIT removes what is older; POP3_NEVER */
} Pop3Pref;
Pop3Pref pop3_pref_default(void);
void pop3_pref_parse(Slice text, Pop3Pref *p); /* over what is there */
