#pragma once
/* What is whole in a damaged store is kept, with the UIDs it had; what is broken is named. */
#include "store/store.h"

/* Nobody serves the store meanwhile (ERR_IN_USE). One line to report for each finding and each
 * step.
 *
 * The index is read without trusting it. When it is damaged it is set aside (idx/data.mdb.damaged)
 * and made again: from a copy that is whole and the log behind it, from the log alone if that is
 * there from its beginning, else from those of its entries that are good. Then the store is opened,
 * compared with a recount and put right (store_check), and everything in it read (engine_scrub). A
 * message whose octets are damaged stays listed and answers with an error; nothing that is whole
 * goes. */
PARKS Err store_salvage(Slice dir, const StoreOptions *options, void (*report)(void *arg, Slice),
                        void *arg) MUST_USE;
