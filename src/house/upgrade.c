/* posthouse upgrade */
#include "house/role.h"
#include "house/verbs.h"

PARKS int verb_upgrade(Talk *t)
{
    if (t->arg_count > 1) return talk_usage(t);
    if (!t->house->actor) {
        talk_err(t, "posthouse upgrade: no server of several processes is running; start it again "
                    "instead\n");
        return EXIT_UNAVAILABLE;
    }
    talk_progress(t, "starting keeper, runner and fronts again");
    Err err = actor_upgrade(t->house->actor);
    if (err) return talk_fail(t, err);
    talk_out(t, "The new program serves; the house is started again now.\n");
    return EXIT_OK;
}
