#pragma once
/* mail: what a message says. Pure: bytes in, values out; no clock, no files, no sockets.
 *
 * Broken mail is the normal case: nothing here fails on a message. Whatever the bytes are, and
 * however they are cut into pieces, the answer is the same, and every offset refers to the original
 * bytes, which nobody changes.
 *
 * Vocabulary: a MailScan reads a message once, in pieces, and makes its MailSummary: the parts with
 * exact offsets, ENVELOPE and BODYSTRUCTURE ready to send (RFC 9051 7.5.2), decoded columns for
 * SEARCH, a preview, ids for threading. What a summary does not hold is read from the header with
 * mail/header.h. Begin reading with MailSummary. */
#include "base/base.h"

/* ---- limits: a message beyond them is still stored and read; what lies beyond is seen as plain
 * octets ---- */
enum {
    MAIL_HEADER_MOST = 256 * 1024, /* octets of one header block that are looked at */
    MAIL_FIELDS_MOST = 1000,       /* header fields per block */
    MAIL_PARTS_MOST = 1000,        /* parts per message; the rest belongs to the last one */
    MAIL_DEPTH_MOST = 100,         /* nesting; deeper parts are application/octet-stream leaves */
    MAIL_BOUNDARY_MOST = 200,
    MAIL_ADDRESSES_MOST = 2000,   /* per field */
    MAIL_TEXT_MOST = 1024 * 1024, /* octets of decoded text per message for SEARCH */
    MAIL_PREVIEW_MOST = 256,      /* characters, RFC 8970 */
};

/* ---- parts ---- */
typedef enum {
    PART_BASIC,
    PART_TEXT,
    PART_MULTIPART,
    PART_MESSAGE /* message/rfc822, message/global */
} PartKind;
typedef enum {
    CTE_7BIT,
    CTE_8BIT,
    CTE_BINARY,
    CTE_QUOTED_PRINTABLE,
    CTE_BASE64,
    CTE_UNKNOWN
} PartEncoding;

/* Parts are listed in the order in which they begin; number 0 is the message itself. Offsets are
 * octets from the message's first. For a PART_MESSAGE the body is the embedded message, and its
 * only child is that message's own body structure (header_at .. is the embedded header). For part 0
 * the header is the message header. */
typedef struct {
    uint32_t header_at, header_len; /* the MIME header including the empty line */
    uint32_t body_at, body_len;     /* body_at == header_at + header_len */
    uint32_t lines;                 /* line ends in the body */
    uint16_t parent;                /* of part 0: 0 */
    uint16_t first_child, next;     /* 0: none */
    uint8_t depth;
    uint8_t kind;     /* PartKind */
    uint8_t encoding; /* PartEncoding */
    Slice charset;    /* as the message says, lower case; "us-ascii" when missing */
} MailPart;

/* RFC 9051 6.4.5 section-part: "1.2.3". *number is the part; ERR_NOT_FOUND. path has `depth`
 * numbers. A non-multipart message has a part 1, its body. Inside a message/rfc822 part numbers go
 * on with the embedded message's parts. */
typedef struct MailSummary MailSummary;
Err mail_part_find(const MailSummary *m, const uint32_t *path, size_t depth,
                   uint16_t *number) MUST_USE;

/* ---- summary ---- */
struct MailSummary {
    uint32_t size; /* octets of the whole message */
    uint32_t lines;
    uint32_t header_len; /* including the empty line */
    int64_t sent; /* Date:, seconds since 1970 UTC; 0 with sent_zone == INT16_MIN when missing or
                     unreadable */
    int16_t sent_zone; /* minutes east of UTC */
    MailPart *parts;
    uint16_t part_count;
    Slice
        envelope; /* "(...)" as RFC 9051 7.5.2 ENVELOPE: 7-bit strings quoted, others as literals */
    Slice body_structure; /* "(...)" BODYSTRUCTURE with extension data; BODY is derived by
                             mail_body_of_structure */
    Slice preview;        /* UTF-8, one line, RFC 8970 */
    /* Columns for SEARCH, SORT and THREAD: decoded to UTF-8 and folded by casemap (mail/casemap.h),
     * fields of several occurrences joined by '\n'. */
    Slice from, to, cc, bcc, subject;
    Slice base_subject;  /* RFC 5256 2.1, of the decoded subject, folded */
    Slice message_id;    /* with the angle brackets; the first of the field; empty: none */
    Slice references;    /* message ids joined by ' ': References, or else In-Reply-To's first (RFC
                            5256 THREAD) */
    bool has_attachment; /* a part with disposition attachment, or a basic part with a file name */
};

/* The stored form: what mail_summary_encode writes, mail_summary_decode reads back, borrowing from
 * `stored` and taking part tables from the arena. Untrusted: ERR_CORRUPT. Versioned by its first
 * octet. */
void mail_summary_encode(Buf *out, const MailSummary *m);
Err mail_summary_decode(Slice stored, Arena *a, MailSummary *out) MUST_USE;
/* Only what FETCH ENVELOPE BODYSTRUCTURE and the SEARCH columns need: no part table, nothing
 * allocated. */
Err mail_summary_peek(Slice stored, MailSummary *out) MUST_USE;
/* BODY from BODYSTRUCTURE: the same without extension data (RFC 9051 7.5.2). */
void mail_body_of_structure(Buf *out, Slice body_structure);

/* ---- scanning ---- */
typedef struct MailScan MailScan;
/* text, if not NULL, gets the decoded, folded text of the body's text parts (HTML without its tags)
 * and of the headers of parts and embedded messages, at most MAIL_TEXT_MOST octets: what SEARCH
 * TEXT looks at besides the message header. It outlives the scan. */
MailScan *mail_scan_new(Buf *text);
/* How the text is folded; without this, by i;unicode-casemap (mail/casemap.h). Text is folded in
 * pieces of whole characters. */
typedef void MailFold(Buf *out, Slice utf8);
void mail_scan_fold_with(MailScan *s, MailFold *fold);
typedef enum {
    MAIL_TEXT_ALL,
    MAIL_TEXT_BODIES,      /* no headers: SEARCH BODY */
    MAIL_TEXT_FILE_NAMES,  /* only the names of parts, decoded, one a line */
    MAIL_TEXT_ATTACHMENTS, /* only the bodies of attachments that are text, HTML or messages */
} MailTextOf;
void mail_scan_text_of(MailScan *s, MailTextOf what); /* before the first piece */
void mail_scan_free(MailScan *s);
SCOPED(MailScan, mail_scan, mail_scan_free)
void mail_scan_feed(MailScan *s, Slice piece);
/* No more pieces: the summary, its slices in the arena. Once. */
void mail_scan_end(MailScan *s, Arena *a, MailSummary *out);
/* Both at once, for a message in memory. */
void mail_summarise(Slice message, Arena *a, Buf *text, MailSummary *out);
