#pragma once
#include "mail/fields.h"
#include "mail/mail.h"

/* What a summary takes from the message header: Date, the columns for SEARCH, ids for threading. */
void columns(MailSummary *m, Arena *a, const Fields *f);
