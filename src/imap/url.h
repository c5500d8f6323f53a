#pragma once
/* IMAP URLs, RFC 5092 (which replaced RFC 2192), with the URLAUTH of RFC 4467 and the access
 * identifiers of RFC 5593. Pure: text in, values out. */
#include "base/base.h"

enum { IMAP_URL_MOST = 8 * 1024 }; /* octets */

typedef enum {
    URL_NOBODY, /* no URLAUTH */
    URL_ANONYMOUS,
    URL_AUTHUSER,
    URL_USER,        /* "user+" access_user */
    URL_SUBMIT,      /* "submit+" access_user */
    URL_APPLICATION, /* of RFC 5593, with or without a user: "stream" */
} UrlAccess;

typedef struct {
    bool has_server;       /* "imap://" or "//"; the next four are of it */
    Slice user;            /* decoded; at is NULL when there is none */
    Slice auth;            /* ";AUTH=", decoded; at is NULL */
    Slice host;            /* as written */
    Slice port;            /* as written, perhaps empty */
    Slice mailbox;         /* UTF-8; at is NULL: that of the base URL */
    uint32_t uid_validity; /* 0: not given */
    bool is_search;        /* "?" program */
    uint32_t uid;          /* 0: not given; it is no message then */
    Slice section;         /* section-spec, decoded; at is NULL: the whole message */
    bool partial;
    uint64_t offset, most; /* most 0: to the end */
    bool expires;
    int64_t expire; /* Unix seconds: the last moment */
    UrlAccess access;
    Slice application; /* URL_APPLICATION: its name */
    Slice access_user; /* decoded */
    Slice rump;        /* up to and with the access identifier; empty without URLAUTH */
    Slice mechanism;   /* empty: it is a rump URL */
    Slice token;       /* hexadecimal */
} ImapUrl;

/* An absolute URL, or a relative one: "/mailbox/;UID=1", or ";UID=1" in the mailbox of the base.
 * Slices are borrowed from `text` or in the arena. ERR_SYNTAX. */
Err imap_url_parse(Slice text, Arena *a, ImapUrl *out) MUST_USE;
/* RFC 3339 5.6 date-time: Unix seconds. */
bool imap_url_date_time(Slice text, int64_t *seconds) MUST_USE;
