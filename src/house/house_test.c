#include "house/house_world.h"

/* Who gets mail for an address: "u00001 u00002", or the error. */
PARKS static Slice who_gets(HouseWorld *w, const char *address)
{
    Buf out buf_scoped = {0};
    Recipient *list;
    size_t count;
    Err err = auth_resolve(w->house->auth, slice_of(address), &w->arena, &list, &count);
    if (err) return slice_of(err_name(err));
    for (size_t i = 0; i < count; i++)
        buf_printf(&out, "%s%.*s%s%.*s", i ? " " : "", SP(list[i].login),
                   list[i].detail.len ? "/" : "", SP(list[i].detail));
    return arena_copy(&w->arena, buf_slice(&out));
}

PARKS static Err reload(HouseWorld *w, const char *settings)
{
    Slice file = arena_printf(&w->arena, "version = 1\nlog_level = none\n%s", settings);
    house_world_write(w, "posthouse.conf", file);
    w->house->config_path = house_world_path(w, "posthouse.conf");
    return house_reload(w->house);
}

TEST(a_reload_changes_who_gets_mail)
{
    HouseWorld w;
    house_world_open(&w);
    check_slice(who_gets(&w, "u00001@localhost"), S("u00001"));
    check_slice(who_gets(&w, "u00001@a.example"), S("FORBIDDEN"));
    check_ok(reload(&w, "domains = a.example b.example\ncatch_all = u00002\n"));
    check_slice(who_gets(&w, "u00001@localhost"), S("FORBIDDEN"));
    check_slice(who_gets(&w, "u00001+x@b.example"), S("u00001/x"));
    check_slice(who_gets(&w, "nobody@a.example"), S("u00002"));
    check_ok(reload(&w, "domains = a.example\nsubaddress_separator = -\npostmaster = u00003\n"));
    check_slice(who_gets(&w, "nobody@a.example"), S("NOT_FOUND"));
    check_slice(who_gets(&w, "postmaster@a.example"), S("u00003"));
    check_slice(who_gets(&w, "u00001+x@a.example"), S("NOT_FOUND"));
    check_slice(who_gets(&w, "u00001-x@a.example"), S("u00001/x"));
    house_world_close(&w);
}

TEST(domains_are_written_as_people_read_them)
{
    HouseWorld w;
    house_world_open(&w);
    check_ok(reload(&w, "domains = B\u00fccher.example xn--e1afmkfd.example\n"));
    check_slice(who_gets(&w, "u00001@b\u00fccher.example"), S("u00001"));
    check_slice(who_gets(&w, "u00001@XN--bcher-kva.example"), S("u00001"));
    check_slice(who_gets(&w, "u00001@\u043f\u0440\u0438\u043c\u0435\u0440.example"), S("u00001"));
    check_slice(who_gets(&w, "u00001@bucher.example"), S("FORBIDDEN"));
    house_world_close(&w);
}

TEST(a_reload_with_a_mistake_changes_nothing)
{
    HouseWorld w;
    house_world_open(&w);
    check_ok(reload(&w, "domains = a.example\nsmtp_idle = 77\n"));
    check_err(reload(&w, "domains = b.example\nsmtp_idel = 78\n"), ERR_CONFIG);
    check(slice_find_slice(slice_of(err_story()), S("line 4: unknown key \"smtp_idel\"")) <
          strlen(err_story()));
    check_slice(who_gets(&w, "u00001@a.example"), S("u00001"));
    check_u64(house_config(w.house)->smtp_idle, 77);
    check_err(reload(&w, "domains = b.example\ntls_certificate = /nowhere\n"), ERR_NOT_FOUND);
    check_slice(who_gets(&w, "u00001@a.example"), S("u00001"));
    check_ok(path_unlink(house_world_path(&w, "posthouse.conf")));
    check_err(house_reload(w.house), ERR_NOT_FOUND);
    check_u64(house_config(w.house)->smtp_idle, 77);
    house_world_close(&w);
}

TEST(what_the_command_line_said_stays_said)
{
    HouseWorld w;
    Slice option = S("pop3_idle=700");
    house_world_open(&w);
    w.house->options = (Words){&option, 1};
    check_ok(reload(&w, "pop3_idle = 900\nimap_idle = 2000\n"));
    check_u64(house_config(w.house)->pop3_idle, 700);
    check_u64(house_config(w.house)->imap_idle, 2000);
    check_u64(atomic_load(&w.house->now)->pop3.idle_ms, 700000);
    house_world_close(&w);
}

TEST(the_open_store_stays_where_it_is)
{
    HouseWorld w;
    house_world_open(&w);
    Slice before = house_config(w.house)->store;
    check_ok(reload(&w, "store = /somewhere/else\n"));
    check_slice(house_config(w.house)->store, before);
    house_world_close(&w);
}
