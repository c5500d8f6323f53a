/* What the keeper keeps where LMDB knows no files: in the simulated world. All of it in memory and
 * in one file, which is written anew for every change and renamed over the old one; pairs of login
 * and value, each a varint length and octets. */
#include "auth/keeping.h"

#include "run/file.h"

enum { FILE_MOST = 1 << 20 };

Err keeper_plain_open(Keeper *k, Slice dir)
{
    Arena a arena_scoped = {0};
    Slice all;
    TRY(path_mkdir(dir));
    k->plain_path = arena_printf(&k->memory, "%.*s/logins", SP(dir));
    Err err = path_read(k->plain_path, FILE_MOST, &a, &all);
    if (!err) buf_add(&k->plain, all);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Its pair with both lengths, and its value; empty: not there. */
static Slice find(const Keeper *k, Slice login, Slice *value)
{
    Reader in = reader(buf_slice(&k->plain));
    while (in.rest.len && !in.bad) {
        const char *begin = in.rest.at;
        Slice name = read_bytes(&in);
        *value = read_bytes(&in);
        if (slice_eq(name, login)) return slice(begin, (size_t)(in.rest.at - begin));
    }
    return (Slice){0};
}

Err keeper_plain_read(Keeper *k, Slice name, Err (*read)(Slice value, void *arg), void *arg)
{
    Slice value;
    if (!find(k, name, &value).len) return fail(ERR_NOT_FOUND, "keeper: no %.*s", SP(name));
    return read(value, arg);
}

/* Helpers take turns: the lock is held over the writing. */
static Err write_locked(Keeper *k, Slice login, Slice value)
{
    Slice old_value, old = find(k, login, &old_value);
    Buf all = {0};
    if (!old.len && !value.len) return fail(ERR_NOT_FOUND, "keeper: no %.*s", SP(login));
    size_t before = old.len ? (size_t)(old.at - k->plain.at) : k->plain.len;
    buf_add(&all, slice_first(buf_slice(&k->plain), before));
    buf_add(&all, slice_from(buf_slice(&k->plain), before + old.len));
    if (value.len) {
        buf_bytes(&all, login);
        buf_bytes(&all, value);
    }
    Err err = path_replace(k->plain_path, buf_slice(&all));
    Buf gone = err ? all : k->plain;
    if (!err) k->plain = all;
    buf_done(&gone);
    return err;
}

Err keeper_plain_write(Keeper *k, Slice login, Slice value)
{
    mutex_lock(&k->plain_lock);
    Err err = write_locked(k, login, value);
    mutex_unlock(&k->plain_lock);
    return err;
}
