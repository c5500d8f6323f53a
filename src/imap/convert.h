#pragma once
/* CONVERT and CONVERSIONS, RFC 5259: parts of messages in another type or charset. What is stored
 * stays as it is. Texts only: plain to plain, HTML to plain, plain to HTML, each in any charset we
 * can write, and headers in another charset. */
#include "imap/fetch.h"
#include "mail/convert.h"

enum {
    CONVERT_MESSAGES_MOST = 100,       /* of one command; more: MAXCONVERTMESSAGES */
    CONVERT_ITEMS_MOST = 20,           /* MAXCONVERTPARTS */
    CONVERT_OCTETS_MOST = 1024 * 1024, /* of a part as it is stored: 30 ms at worst */
    CONVERT_PARAMS_MOST = 20,
};

typedef enum {
    CONVERT_UID,
    CONVERT_BINARY,
    CONVERT_SIZE,
    CONVERT_STRUCTURE,
    CONVERT_HEADER, /* BODY[HEADER], BODY[1.HEADER], BODY[1.MIME] */
    CONVERT_AVAILABLE,
} ConvertType;

typedef struct {
    ConvertType type;
    Section section;
    Slice name;      /* "BINARY[1]" */
    FetchItem range; /* BINARY: its partial */
} ConvertItem;

typedef struct {
    ImapSet set;
    Slice to; /* lower case; at is NULL: the default conversion */
    struct {
        Slice name, value;
    } params[CONVERT_PARAMS_MOST];
    size_t param_count;
    ConvertItem items[CONVERT_ITEMS_MOST + 1];
    size_t count; /* CONVERT_ITEMS_MOST + 1: too many */
} Convert;
PARKS Err convert_parse(Imap *s, Convert *c) MUST_USE;

/* ---- what there is (convert_types.c) ---- */
typedef struct {
    Slice from, to;
} Conversion;
extern const Conversion conversions[];
extern const size_t conversion_count;
/* The target for a part of type `from`; empty: none. */
Slice convert_target(const Convert *c, Slice from);
typedef enum { CONVERT_OK, CONVERT_BAD, CONVERT_MISSING, CONVERT_TEMPFAIL } ConvertState;
/* How the parameters want it. */
typedef struct {
    const Charset *charset;
    Slice replacement;
} ConvertHow;
ConvertState convert_how(const Convert *c, ConvertHow *how, const char **why);

/* ---- one part of one message (convert.c) ---- */
typedef struct {
    ConvertState state;
    const char *why; /* when it failed */
    Slice from, to;  /* media types; from.at NULL: there is no such part */
    Slice charset;   /* its name */
    Slice octets;    /* in the arena */
    uint32_t lines;
} Converted;
/* only_type: what it would become, without doing it. */
PARKS void convert_part(Account *account, const Message *m, const Convert *c,
                        const Section *section, bool only_type, Arena *a, Converted *out);
PARKS void convert_header_of(Account *account, const Message *m, const Convert *c,
                             const Section *section, Arena *a, Converted *out);
