#pragma once
/* The fields of one header block that a summary is made of, found in one walk. */
#include "base/base.h"

typedef enum {
    FIELD_DATE,
    FIELD_SUBJECT,
    FIELD_FROM,
    FIELD_SENDER,
    FIELD_REPLY_TO,
    FIELD_TO,
    FIELD_CC,
    FIELD_BCC,
    FIELD_IN_REPLY_TO,
    FIELD_MESSAGE_ID,
    FIELD_REFERENCES,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_TRANSFER_ENCODING,
    FIELD_CONTENT_ID,
    FIELD_CONTENT_DESCRIPTION,
    FIELD_CONTENT_DISPOSITION,
    FIELD_CONTENT_LANGUAGE,
    FIELD_CONTENT_LOCATION,
    FIELD_CONTENT_MD5,
    FIELD_COUNT
} Field;

typedef struct {
    Slice header;             /* the fields that were looked at: MAIL_FIELDS_MOST */
    Slice first[FIELD_COUNT]; /* raw value of the first of each; .at NULL: none */
    uint16_t count[FIELD_COUNT];
} Fields;
void fields_read(Slice header, Fields *f);
/* Each raw value of that field in turn; start with *next = 0. */
bool fields_each(const Fields *f, Field field, size_t *next, Slice *value);
/* Unfolded, without white space around; .at NULL when there is none. */
Slice fields_text(Arena *a, const Fields *f, Field field);
