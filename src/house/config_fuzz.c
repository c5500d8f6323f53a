/* A file of settings: accepted or refused with the line named; what was accepted is printed as a
 * file that says the same. */
#include "base/fuzz.h"
#include "house/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Config c, again;
    Buf said buf_scoped = {0}, said_again buf_scoped = {0};
    config_defaults(&c);
    Err err = config_parse(&c, slice(data, size));
    must(!err || (err == ERR_CONFIG && slice_starts(slice_of(err_story()), S("line "))));
    if (!err) {
        config_print(&c, &said);
        config_defaults(&again);
        must(config_parse(&again, buf_slice(&said)) == OK);
        config_print(&again, &said_again);
        must(slice_eq(buf_slice(&said), buf_slice(&said_again)));
        config_done(&again);
    }
    config_done(&c);
    return 0;
}
