#include "pop3/record.h"

#include "base/test.h"

static Pop3Record full(Arena *a)
{
    Pop3Record r = {.timestamp = S("<1.2@example.org>"),
                    .folder = S("Work"),
                    .device = S("phone"),
                    .view = S("a view"),
                    .utf8 = true,
                    .mistakes = 2,
                    .mailbox_id = 1,
                    .count = 9,
                    .octets = 12345,
                    .deleted = 3,
                    .deleted_octets = 345,
                    .last = 7,
                    .last_at_login = 2,
                    .turn = 4,
                    .current = 5};
    uidset_add(a, &r.fetched, 1, 100);
    uidset_add(a, &r.marked[0], 2, 4);
    uidset_add(a, &r.marked[1], 1, 7);
    return r;
}

TEST(a_maildrop_is_read_as_it_was_written)
{
    Arena arena arena_scoped = {0};
    Pop3Record r = full(&arena), back;
    for (int kind = HANDOVER_STRANGER; kind <= HANDOVER_AT_REST; kind++) {
        Buf octets buf_scoped = {0}, again buf_scoped = {0};
        pop3_record_write(&octets, (HandoverKind)kind, &r);
        check_ok(pop3_record_read(buf_slice(&octets), (HandoverKind)kind, &arena, &back));
        pop3_record_write(&again, (HandoverKind)kind, &back);
        check_slice(buf_slice(&again), buf_slice(&octets));
        check_slice(back.timestamp, r.timestamp);
        if (kind != HANDOVER_STRANGER) check_slice(back.device, r.device);
        if (kind == HANDOVER_AT_REST) check_slice(back.view, r.view);
        for (size_t i = 0; i < octets.len; i++)
            check_err(pop3_record_read(slice_first(buf_slice(&octets), i), (HandoverKind)kind,
                                       &arena, &back),
                      ERR_SYNTAX);
    }
}

TEST(marks_are_of_messages_that_there_are)
{
    Arena arena arena_scoped = {0};
    for (int i = 0; i < 4; i++) {
        Buf octets buf_scoped = {0};
        Pop3Record r = full(&arena), back;
        if (i == 0) r.count = 3;
        if (i == 1) r.deleted = 4;
        if (i == 2) r.last = 10;
        if (i == 3) r.deleted_octets = r.octets + 1;
        pop3_record_write(&octets, HANDOVER_AT_REST, &r);
        check_err(pop3_record_read(buf_slice(&octets), HANDOVER_AT_REST, &arena, &back),
                  ERR_SYNTAX);
    }
}
