/* What POP3, which has no words for it, says behind the login: a folder, and which device asks. */
#include "auth/state.h"

/* Where `text` stands for the last time; s.len: nowhere. */
static size_t find_last(Slice s, Slice text)
{
    for (size_t at = s.len; text.len && at-- > 0;)
        if (slice_starts(slice_from(s, at), text)) return at;
    return s.len;
}

Slice auth_split_login(const Auth *auth, Slice given, LoginSuffix *suffix)
{
    const AuthConfig *c = auth_config(auth);
    *suffix = (LoginSuffix){0};
    size_t at = find_last(given, c->device_separator);
    if (at < given.len) {
        suffix->device = slice_from(given, at + c->device_separator.len);
        given = slice_first(given, at);
    } else if (c->device_separator.len && slice_starts(given, S("recent:"))) {
        suffix->device = S("recent");
        given = slice_from(given, 7);
    }
    if (!c->folder_separator.len) return given;
    at = slice_find_slice(given, c->folder_separator);
    suffix->folder = slice_from(given, at + c->folder_separator.len);
    return slice_first(given, at);
}
