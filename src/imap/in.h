#pragma once
/* The grammar of RFC 9051 9 (and RFC 3501 9) as a cursor over a Stream.
 *
 * A command is read line by line into the command's arena, so what the words below return stays
 * good until the command ends. Mistakes stick: after the first octet that does not fit, every word
 * returns something empty, nothing is asked of the client any more, and imap_syntax says what was
 * wrong. Read all the grammar, then ask once. A word that may meet a literal PARKS: it tells the
 * client to go ahead ("+ ...") and reads on behind the literal. Begin reading with imap_next,
 * imap_astring, imap_end. */
#include "base/scan.h"
#include "net/stream.h"
#include "store/store.h"

enum {
    IMAP_TAG_MOST = 256,
    IMAP_FLAGS_MOST = 256, /* per command */
};

typedef struct {
    uint64_t size;
    bool is_there; /* false: there was none, that is a mistake */
    bool waits;    /* the client waits for imap_go_ahead (a synchronising one) */
    bool binary;   /* ~{n}: literal8, may hold NUL */
} ImapLiteral;

typedef struct {
    Stream *stream;
    Arena *arena; /* of the command; its budget bounds what a command may gather */
    size_t line_most;
    uint64_t literal_most;
    uint64_t skip_most; /* a literal nobody wants is thrown away up to this size; beyond: the end */
    bool utf8;          /* mailbox names are UTF-8, not modified UTF-7 (rev2 or UTF8=ACCEPT) */
    Scan scan;          /* the line being read */
    Slice tag;          /* of the command; empty: it had none that fits */
    Err err;            /* the first mistake that the scan does not know: limits, the stream */
    Slice why;          /* what imap_mistake said */
    bool blank;         /* an empty line behind a command that ended with a literal */
    bool literal_open;  /* imap_literal gave one whose octets have not been read */
    ImapLiteral literal;
} In;

/* ---- a command ---- */
/* The next line, into the arena, and its tag with the SP behind it. ERR_SYNTAX: no tag (in->tag is
 * empty) or a line too long (ERR_LIMIT; the tag is there if it could be read); the stream's error:
 * it is over. */
PARKS Err imap_next(In *in) MUST_USE;
/* Mistakes so far: ERR_SYNTAX, ERR_LIMIT or the stream's error. */
Err imap_syntax(const In *in) MUST_USE;
/* The same, and the line has to be at its end. */
Err imap_end(In *in) MUST_USE;
/* After a mistake: throws away what belongs to the command but was not read (non-synchronising
 * literals and the lines behind them, RFC 7888 4). False: it was too much, the connection has to
 * end. */
PARKS bool imap_skip_command(In *in);
/* A line that is no command: AUTHENTICATE's and IDLE's. In the arena; ERR_LIMIT, or the stream's
 * error. */
PARKS Err imap_line(In *in, Slice *line) MUST_USE;
/* A mistake here, in words. */
void imap_mistake(In *in, const char *why);

/* ---- words that fit or not ---- */
int imap_peek(const In *in);              /* the next octet; -1: end of line or a mistake */
bool imap_see(In *in, const char *word);  /* is this next (case ignored)? then step over it */
void imap_need(In *in, const char *word); /* this has to be next */
void imap_space(In *in);                  /* exactly one SP */
bool imap_at_end(const In *in);           /* nothing is left on the line, or a mistake */

/* ---- words with a value ---- */
Slice imap_atom(In *in);          /* 1*ATOM-CHAR */
Slice imap_label(In *in);         /* 1*(ALPHA / DIGIT / "-" / "_" / "." ...): stops at [ < ( ) SP */
uint32_t imap_number(In *in);     /* number */
uint32_t imap_nz_number(In *in);  /* nz-number */
uint64_t imap_number64(In *in);   /* number64: 63 bits */
PARKS Slice imap_astring(In *in); /* octets as sent, without NUL; a literal up to literal_most */
bool imap_is_at_string(const In *in); /* does a string begin here? */
PARKS Slice imap_string(In *in);      /* quoted / literal */
PARKS Slice imap_nstring(In *in);     /* string / NIL (at is NULL) */
PARKS Slice imap_value(In *in);       /* nstring / literal8, which may hold NUL (RFC 5464 5) */
/* mailbox: UTF-8 in NFC, INBOX in capitals at its first level. A name that cannot be decoded sticks
 * as ERR_FORBIDDEN: the grammar allows it, we cannot. One separator at its end is dropped.
 * *as_sent, if not NULL: the same name as the client wrote it, decoded but not normalised.
 */
PARKS Slice imap_mailbox(In *in, Slice *as_sent);
/* The same as LIST's reference: separators at its beginning are dropped, none at its end. */
PARKS Slice imap_reference(In *in);
/* list-mailbox: a pattern with % and *, decoded to UTF-8 in NFC. */
PARKS Slice imap_list_mailbox(In *in);
/* [flag-list]: "(" flags ")" ; flag by flag with imap_flag. Unknown \Flags and \Recent are dropped:
 * they are in no PERMANENTFLAGS. */
typedef struct {
    uint8_t flags; /* Flag */
    Slice *names;
    size_t count;
} ImapFlags;
ImapFlags imap_flag_list(In *in); /* "(" [flag *(SP flag)] ")" */
ImapFlags imap_flags(In *in);     /* flag-list / (flag *(SP flag)) */
int64_t imap_date_time(In *in);   /* date-time: Unix seconds */
int64_t imap_date(In *in);        /* date, quoted or not: days since 1970-01-01 */
/* sequence-set, message numbers or UIDs. In ranges 0 stands for "*"; first and last in any order.
 * "$" (RFC 5182) is `saved` and has no ranges. */
typedef struct {
    UidRange *ranges;
    size_t count;
    bool saved;
} ImapSet;
ImapSet imap_sequence_set(In *in);

/* ---- a literal that is streamed ---- */
/* The announcement "{n}", "{n+}", "~{n}" at the end of the line; nothing is read yet. */
ImapLiteral imap_literal(In *in);
/* Tells the client to send it, if it waits. */
PARKS Err imap_go_ahead(In *in) MUST_USE;
/* The next octets of it, at most `most`; borrowed. Empty: none are left, or the stream failed. */
PARKS Slice imap_literal_some(In *in, size_t most);
/* Behind the literal: the next line of the command. */
PARKS Err imap_literal_end(In *in) MUST_USE;
/* The command goes on in another arena, and takes the line under way along: what it has gathered so
 * far may be given back. */
void imap_go_on_in(In *in, Arena *a);

/* ---- the same, for others who meet these forms ---- */
bool imap_is_atom_char(unsigned char c);
bool imap_is_astring_char(unsigned char c);
