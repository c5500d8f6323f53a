#pragma once
/* Internal to workload*.c: one operation of one unit, on the account's home loop. It says what the
 * model will be (`s`), that it begins, does it, and says how it ended. */
#include "store/workload.h"

typedef struct {
    WorkWorld *w;
    Client *c;
    Store *store;
    Unit *u;
    WorkState *s; /* u->pending */
    Account *account;
    Arena arena;
    WorkOp op;
} Step;

Step step_of(WorkWorld *w, Client *c, Store *store, unsigned unit);
void step_begins(Step *t, const char *fmt, ...) PRINTF(2, 3);
PARKS void step_ends(Step *t, Err err);
bool work_may_fail(const WorkWorld *w, Err err);

/* ---- choices ---- */
uint32_t client_below(Client *c, uint32_t n); /* 0 .. n-1 */
unsigned step_any_box(Step *t);               /* one that exists */
/* Some of the messages; now and then a uid that is not there. */
UidSet step_some_uids(Step *t, const WorkBox *b, unsigned one_in);
uint32_t step_any_body(Step *t);
WorkMessage step_any_message(Step *t, Slice body, uint32_t number);

/* ---- what the store is given ---- */
/* NULL: the disk failed, as it may, and the client has stopped. */
PARKS Mailbox *step_open(Step *t, unsigned box);
PARKS Draft *step_draft(Step *t, Slice body);
Keywords step_keywords(Step *t, uint8_t set);
Annotations step_notes(Step *t, unsigned note);
DraftPlace step_place(Step *t, const WorkMessage *m);
void step_check_set(Step *t, const char *what, const UidSet *got, const UidSet *wanted);

/* ---- what operations do to the model ---- */
WorkMessage *model_add(WorkBox *b, const WorkMessage *like);
void model_remove(WorkBox *b, uint32_t uid);
void model_expunge(Step *t, WorkBox *b, const UidSet *doomed, bool to_place);
void model_create(WorkBox *b);
void model_names(const Unit *u, WorkState *s);
bool step_place_is_full(const Step *t, const WorkBox *b);

/* ---- the operations ---- */
/* clang-format off */
#define WORK_OP_TABLE                                  \
    WORK_OP(APPEND,           op_append,           5) \
    WORK_OP(APPEND_MANY,      op_append_many,      1) \
    WORK_OP(APPEND_ABANDONED, op_append_abandoned, 1) \
    WORK_OP(REPLACE,          op_replace,          1) \
    WORK_OP(CHANGE,           op_change,           4) \
    WORK_OP(COPY,             op_copy,             2) \
    WORK_OP(MOVE,             op_move,             2) \
    WORK_OP(EXPUNGE,          op_expunge,          2) \
    WORK_OP(CREATE_DELETE,    op_create_delete,    1) \
    WORK_OP(RENAME,           op_rename,           1) \
    WORK_OP(SUBSCRIBE,        op_subscribe,        1) \
    WORK_OP(SHARE,            op_share,            1) \
    WORK_OP(OBJECT,           op_object,           1) \
    WORK_OP(PLACE,            op_place,            1) \
    WORK_OP(NOTE,             op_note,             2) \
    WORK_OP(BOX_NOTE,         op_box_note,         1) \
    WORK_OP(QUOTA,            op_quota,            1) \
    WORK_OP(DELIVER,          NULL,                4)
/* clang-format on */
PARKS void op_append(Step *t);
PARKS void op_append_many(Step *t);
PARKS void op_append_abandoned(Step *t); /* given up: nothing has changed */
PARKS void op_replace(Step *t);
PARKS void op_change(Step *t);
PARKS void op_copy(Step *t);
PARKS void op_move(Step *t);
PARKS void op_expunge(Step *t);
PARKS void op_create_delete(Step *t);
PARKS void op_rename(Step *t);
PARKS void op_subscribe(Step *t);
PARKS void op_share(Step *t);
PARKS void op_object(Step *t);
PARKS void op_place(Step *t);
PARKS void op_note(Step *t);
PARKS void op_box_note(Step *t);
PARKS void op_quota(Step *t);
/* One message to the first mailbox of some units: several steps at once. */
PARKS void op_deliver(WorkWorld *w, Client *c, Store *store);
