#pragma once
/* Internal to record.c and record_payload.c: what stands in an operation behind its length, for
 * each kind; record.h draws it. */
#include "store/record.h"

typedef struct {
    void (*write)(Buf *out, const Op *op, const OpLists *lists);
    void (*read)(Reader *in, Op *op); /* untrusted; in->bad: it does not fit */
} OpPayload;
extern const OpPayload op_payloads[OP_END]; /* none for OP_NONE */
