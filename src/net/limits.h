#pragma once
/* What a peer may send in a conversation, the same in every protocol (DESIGN.md section 4). 0
 * stands for the usual value. */
#include "base/base.h"

typedef struct {
    uint32_t line_before_login, line;       /* octets */
    uint32_t literal_before_login, literal; /* octets of an IMAP argument; messages are streamed */
    uint32_t octets_before_login;           /* in all */
    uint32_t command_memory;                /* octets that one command may gather */
    uint32_t mistakes_before_login, mistakes;
} Limits;

static inline uint32_t limit_or(uint32_t limit, uint32_t usual)
{
    return limit ? limit : usual;
}

static inline Limits limits_complete(Limits l)
{
    return (Limits){.line_before_login = limit_or(l.line_before_login, 8 << 10),
                    .line = limit_or(l.line, 64 << 10),
                    .literal_before_login = limit_or(l.literal_before_login, 4 << 10),
                    .literal = limit_or(l.literal, 64 << 10),
                    .octets_before_login = limit_or(l.octets_before_login, 64 << 10),
                    .command_memory = limit_or(l.command_memory, 4 << 20),
                    .mistakes_before_login = limit_or(l.mistakes_before_login, 20),
                    .mistakes = limit_or(l.mistakes, 200)};
}
