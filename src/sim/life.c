/* One life of the server: it recovers, is verified, and is used until it ends. */
#include "house/control.h"
#include "run/file.h"
#include "run/log.h"
#include "sim/cast.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { QUIET_MS = 5000, WORK_MOST_MS = 60 * 60 * 1000, DAY_MS = 24 * 60 * 60 * 1000 };

static void doing(World *w, const char *what)
{
    snprintf(w->doing, sizeof w->doing, "%s", what);
}

/* ---- opening ---- */

static void set(Config *c, const char *key, const char *value)
{
    must(!config_set(c, slice_of(key), slice_of(value)));
}

static void configure(const World *w, Config *c)
{
    static const char *const settings[][2] = {
        {"store",                   "store"          },
        {"hostname",                "sim.example.org"},
        {"listen_imap",             "127.0.0.1:143"  },
        {"listen_imaps",            ""               },
        {"listen_pop3",             "127.0.0.1:110"  },
        {"listen_pop3s",            ""               },
        {"listen_lmtp",             "127.0.0.1:24"   },
        {"listen_smtp",             "127.0.0.1:25"   },
        {"control",                 "/control"       },
        {"plain_without_tls",       "yes"            },
        {"domains",                 "localhost"      },
        {"subaddress_creates",      "yes"            },
        {"throttle",                "no"             },
        {"log_level",               "none"           },
        {"connections_per_address", "1000000"        },
        {"segment_size",            "256K"           },
        {"administrators",          "u00004"         },
    };
    uint64_t seed = w->plan.seed;
    config_defaults(c);
    for (size_t i = 0; i < COUNT(settings); i++)
        set(c, settings[i][0], settings[i][1]);
    set(c, "checkpoint_milliseconds", seed % 3 ? "20" : "500");
    set(c, "zero_ahead", seed % 5 ? "no" : "yes");
    set(c, "undelete", world_keeps(w) ? "7d" : "0");
}

PARKS_UNCHECKED bool world_in_house(World *w, void (*fn)(House *house, void *arg), void *arg)
{
    if (w->cast) return cast_in_house(w->cast, fn, arg);
    fn(w->house, arg);
    return true;
}

PARKS static void prepare_house(House *house, void *arg)
{
    World *w = arg;
    Slice both[] = {S("u00001"), S("u00002")};
    uint32_t acct;
    for (unsigned i = 1; i <= ACCOUNTS + 1; i++) {
        char login[8];
        snprintf(login, sizeof login, "u%05u", i);
        Err err = auth_account(house->auth, slice_of(login), &acct);
        if (err) world_failed(w, "account %u: %s (%s)", i, err_name(err), err_story());
    }
    Err err = alias_put(house->auth, S("team@localhost"), both, COUNT(both));
    if (err) world_failed(w, "alias: %s (%s)", err_name(err), err_story());
}

PARKS static void open_house(World *w, Config *config)
{
    static const Demo demo = {
        ACCOUNTS + 1, {"secret", 6}
    };
    configure(w, config);
    if (w->apart) {
        cast_open(w, config, &demo, &w->cast);
        return;
    }
    HouseStart start = {.config = config, .demo = &demo};
    Err err = house_open(&start, &w->house);
    if (!err) err = house_listen(w->house);
    if (!err) err = control_listen(w->house);
    if (err) world_failed(w, "open: %s (%s)", err_name(err), err_story());
}

/* ---- clients ---- */

uint32_t client_below(Client *c, uint32_t n)
{
    uint64_t z = (c->random += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return n ? (uint32_t)((z ^ (z >> 31)) % n) : 0;
}

bool client_one_in(Client *c, uint32_t n)
{
    return client_below(c, n) == 0;
}

static const struct {
    void (*run)(Client *);
    unsigned count;
} kinds[CLIENT_KINDS] = {
#define CLIENT(name, function, count, what) {function, count},
#include "sim/clients.def"
#undef CLIENT
};

PARKS_UNCHECKED static void client_runs(void *arg)
{
    Client *c = arg;
    World *w = c->w;
    kinds[c->kind].run(c);
    free(c);
    w->waiting--;
}

static void start(World *w, ClientKind kind, unsigned number)
{
    Client *c = NEW(Client);
    *c = (Client){w, kind, number, 0};
    c->random = ((w->plan.seed * 64 + w->life) * 64 + kind) * 64 + number;
    w->waiting++;
    fiber_start_on(loop_at((kind + number) % loop_count()), client_names[kind], client_runs, c);
}

/* ---- what befalls them ---- */

PARKS static void clock_jumps(void *arg)
{
    World *w = arg;
    (void)fiber_sleep((int64_t)(sim_random() % 200));
    sim_wall_jump(sim_random() % 2 ? DAY_MS : -DAY_MS);
    w->waiting--;
}

PARKS static void disk_fills(void *arg)
{
    World *w = arg;
    uint64_t room;
    (void)fiber_sleep((int64_t)(sim_random() % 100));
    must(!path_free_space(S("store"), &room));
    SimDiskPlan *plan = sim_disk_plan(w->disk);
    plan->capacity_bytes = ((uint64_t)1 << 40) - room + sim_random() % (512 << 10);
    (void)fiber_sleep((int64_t)(sim_random() % 400));
    plan->capacity_bytes = 0;
    w->waiting--;
}

static void befall(World *w, const char *name, void (*what)(void *))
{
    w->waiting++;
    fiber_start(name, what, w);
}

PARKS static void houses_come(void *arg)
{
    World *w = arg;
    for (uint64_t n = 1 + sim_random() % 3; n; n--) {
        bool dies = plan_has(&w->plan, TROUBLE_dies);
        (void)fiber_sleep((int64_t)(sim_random() % 120));
        if (plan_has(&w->plan, TROUBLE_links) && sim_random() % 2) dies = false;
        cast_new_house(w->cast, dies);
    }
    w->waiting--;
}

PARKS static void work(World *w)
{
    SimDiskPlan *plan = sim_disk_plan(w->disk);
    doing(w, "work");
    w->waiting = 0;
    for (unsigned kind = 0; kind < CLIENT_KINDS; kind++)
        for (unsigned i = 0; w->plan.clients >> kind & 1 && i < kinds[kind].count; i++)
            start(w, (ClientKind)kind, i);
    if (plan_has(&w->plan, TROUBLE_clock)) befall(w, "clock", clock_jumps);
    if (w->fills) befall(w, "filling", disk_fills);
    if (w->replaces) befall(w, "replacing", houses_come);
    if (w->crash_after) plan->crash_at = plan->operations + w->crash_after;
    if (w->fails_after) plan->fail_at = plan->operations + w->fails_after;
    if (w->read_fails_after) plan->fail_read_at = plan->reads + w->read_fails_after;
    int64_t end = now_ms() + WORK_MOST_MS;
    while (w->waiting && now_ms() < end)
        (void)fiber_sleep(5);
    if (w->waiting) world_failed(w, "somebody never ends");
    plan->fail_at = plan->fail_read_at = 0;
}

PARKS_UNCHECKED void life(void *arg)
{
    World *w = arg;
    Config config;
    log_set_level(w->traced ? LOG_LEVEL_WARN : LOG_LEVEL_NONE);
    doing(w, "open");
    if (w->plan.plant[0]) fault_set(w->plan.plant, FAULT_ALWAYS);
    w->house = NULL;
    w->cast = NULL;
    open_house(w, &config);
    doing(w, "prepare");
    if (!world_in_house(w, prepare_house, w)) world_failed(w, "there is no house");
    if (w->flips)
        verify_damaged(w);
    else
        verify(w);
    if (!w->last) {
        work(w);
        (void)fiber_sleep(QUIET_MS); /* what clients left behind comes to its end */
        if (!w->unsure && !w->fills) verify(w);
    }
    w->digest = w->digest * 31 + (uint64_t)now_us() + sim_random();
    if (w->killed_at_rest) {
        fflush(NULL);
        _exit(SIM_CRASHED);
    }
    doing(w, "close");
    run_cancel();
    if (w->cast) {
        cast_close(w->cast);
    } else {
        house_drain(w->house, 10000);
        house_close(w->house);
    }
    config_done(&config);
}
