/* What NOTIFY asks for: RFC 5465 8. */
#include "imap/notify.h"

enum { GROUPS_MOST = 100, NAMES_MOST = 1000 };

static const struct {
    const char *name;
    NotifyEvent event;
} events[] = {
    {"MessageNew",            EVENT_MESSAGE_NEW            },
    {"MessageExpunge",        EVENT_MESSAGE_EXPUNGE        },
    {"FlagChange",            EVENT_FLAG_CHANGE            },
    {"AnnotationChange",      EVENT_ANNOTATION_CHANGE      },
    {"MailboxName",           EVENT_MAILBOX_NAME           },
    {"SubscriptionChange",    EVENT_SUBSCRIPTION_CHANGE    },
    {"MailboxMetadataChange", EVENT_MAILBOX_METADATA_CHANGE},
    {"ServerMetadataChange",  EVENT_SERVER_METADATA_CHANGE },
};

void notify_put_events(Buf *out)
{
    for (size_t i = 0; i < COUNT(events); i++) {
        if (i) buf_char(out, ' ');
        buf_add(out, slice_of(events[i].name));
    }
}

/* ---- filter-mailboxes ---- */

static const struct {
    const char *name;
    NotifyFilter filter;
} filters[] = {
    {"SELECTED-DELAYED", FILTER_SELECTED_DELAYED},
    {"SELECTED",         FILTER_SELECTED        },
    {"INBOXES",          FILTER_INBOXES         },
    {"PERSONAL",         FILTER_PERSONAL        },
    {"SUBSCRIBED",       FILTER_SUBSCRIBED      },
    {"SUBTREE",          FILTER_SUBTREE         },
    {"SUBTREE-ONE",      FILTER_SUBTREE_ONE     },
    {"MAILBOXES",        FILTER_MAILBOXES       },
};

static NotifyFilter filter(In *in)
{
    Slice word = imap_atom(in);
    for (size_t i = 0; i < COUNT(filters); i++)
        if (slice_eq_nocase(word, slice_of(filters[i].name))) return filters[i].filter;
    imap_mistake(in, "unknown mailbox filter");
    return FILTER_PERSONAL;
}

/* one-or-more-mailbox = mailbox / many-mailboxes */
PARKS static void names(Imap *s, NotifyArgs *args, NotifyGroup *group, size_t *all)
{
    In *in = s->in;
    size_t room = 0;
    imap_space(in);
    bool many = imap_see(in, "(");
    do {
        if (++*all > NAMES_MOST) {
            args->too_many = true;
            imap_mistake(in, "too many names");
            return;
        }
        if (group->name_count == room) {
            room = MAX(room * 2, (size_t)4);
            Slice *more = arena_array(&s->arena, Slice, room);
            if (group->name_count) memcpy(more, group->names, group->name_count * sizeof *more);
            group->names = more;
        }
        group->names[group->name_count++] = imap_mailbox(in, NULL);
    } while (many && imap_see(in, " "));
    if (many) imap_need(in, ")");
}

/* ---- events ---- */

/* message-event, mailbox-event, user-event; event-ext is an atom that we do not know (it may have
 * arguments in parentheses then, which nobody can read). */
PARKS static void event(Imap *s, NotifyArgs *args, NotifyGroup *group, bool selected)
{
    Slice word = imap_atom(s->in);
    for (size_t i = 0; i < COUNT(events); i++) {
        if (!slice_eq_nocase(word, slice_of(events[i].name))) continue;
        group->events |= events[i].event;
        if (events[i].event != EVENT_MESSAGE_NEW || !imap_see(s->in, " (")) return;
        s->in->scan.at--; /* fetch_atts wants its parenthesis */
        if (!selected) imap_mistake(s->in, "data items are for the selected mailbox only");
        fetch_atts(s, &args->fetch);
        return;
    }
    if (word.len) args->unknown++;
}

/* events = ( "(" event *(SP event) ")" ) / "NONE". The first example of RFC 5465 3.1 has them
 * without parentheses, so we take that too. */
PARKS static void event_list(Imap *s, NotifyArgs *args, NotifyGroup *group, bool selected)
{
    In *in = s->in;
    imap_space(in);
    if (imap_see(in, "NONE")) return;
    bool list = imap_see(in, "(");
    do
        event(s, args, group, selected);
    while (imap_see(in, " "));
    if (list) imap_need(in, ")");
}

/* RFC 5465 5: MessageNew and MessageExpunge come together; FlagChange and AnnotationChange need
 * them. 6.1: the selected mailbox has message events only. */
static void check_events(In *in, const NotifyGroup *group, bool selected)
{
    unsigned both = EVENT_MESSAGE_NEW | EVENT_MESSAGE_EXPUNGE;
    if ((group->events & EVENTS_OF_MESSAGES) && (group->events & both) != both)
        imap_mistake(in, "MessageNew and MessageExpunge have to be there both");
    if (selected && (group->events & ~(unsigned)EVENTS_OF_MESSAGES))
        imap_mistake(in, "the selected mailbox has message events only");
}

/* event-group = "(" filter-mailboxes SP events ")" */
PARKS static void group(Imap *s, NotifyArgs *args, size_t *all_names)
{
    In *in = s->in;
    NotifyGroup group = {0};
    imap_need(in, "(");
    group.filter = filter(in);
    bool selected = group.filter == FILTER_SELECTED || group.filter == FILTER_SELECTED_DELAYED;
    if (selected && args->has_selected) imap_mistake(in, "the selected mailbox comes only once");
    if (group.filter >= FILTER_SUBTREE) names(s, args, &group, all_names);
    event_list(s, args, &group, selected);
    imap_need(in, ")");
    if (!args->unknown) check_events(in, &group, selected);
    if (selected) {
        args->has_selected = true;
        args->delayed = group.filter == FILTER_SELECTED_DELAYED;
        args->selected = group.events;
    } else {
        args->groups[args->group_count++] = group;
    }
}

/* notify = "NOTIFY" SP (notify-set / notify-none); notify-set = "SET" [status-indicator] SP
 * event-groups */
Err notify_parse(Imap *s, NotifyArgs *args)
{
    In *in = s->in;
    size_t all_names = 0, groups = 0;
    imap_space(in);
    if (imap_see(in, "NONE")) {
        args->none = true;
        return imap_end(in);
    }
    imap_need(in, "SET");
    imap_space(in);
    if (imap_see(in, "STATUS")) {
        args->status = true;
        imap_space(in);
    }
    args->groups = arena_array(&s->arena, NotifyGroup, GROUPS_MOST);
    do {
        if (++groups > GROUPS_MOST) {
            args->too_many = true;
            imap_mistake(in, "too many groups");
        } else {
            group(s, args, &all_names);
        }
    } while (imap_see(in, " "));
    return imap_end(in);
}
