/* backup at the command line: copies what the house holds still. */
#include "auth/keeper_copy.h"
#include "house/backup.h"
#include "run/file.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    ControlClient client;
    BackupJob job;
    EngineBackup plan;
    Arena arena;
    bool planned; /* all of the plan is here */
    Cond plan_known;
    Meter meter;
    Err (*step)(BackupJob *j);
    size_t segment;
    Err err;
    Buf story;
    bool done;
} Copying;

static Err keep_story(Copying *c, Err err)
{
    if (!err || c->story.len) return err;
    buf_add(&c->story, slice_of(*err_story() ? err_story() : err_meaning(err)));
    return err;
}

/* ---- steps, aside ---- */

static void step_aside(void *arg)
{
    Copying *c = arg;
    c->err = keep_story(c, c->step(&c->job));
}

static void begin_aside(void *arg)
{
    Copying *c = arg;
    c->err = keep_story(c, job_begin(&c->job, &c->plan));
    if (!c->err) c->meter.total = job_octets(&c->job);
}

static void segment_aside(void *arg)
{
    Copying *c = arg;
    c->err = keep_story(c, job_segment(&c->job, c->segment));
}

PARKS static Err take(Copying *c, Err (*step)(BackupJob *j))
{
    c->step = step;
    aside(step_aside, c);
    return c->err;
}

PARKS static Err say_passed(Copying *c, uint32_t number)
{
    Buf frame buf_scoped = {0};
    buf_char(&frame, 'p');
    buf_u32(&frame, number);
    return control_send(&c->client, buf_slice(&frame));
}

PARKS static Err copy_all(Copying *c)
{
    aside(begin_aside, c);
    TRY(c->err);
    TRY(take(c, job_index));
    TRY(take(c, job_big));
    for (c->segment = 0; c->segment < c->plan.segment_count; c->segment++) {
        aside(segment_aside, c);
        TRY(c->err);
        TRY(say_passed(c, c->plan.segments[c->segment].number));
    }
    TRY(stream_error(c->client.stream)); /* the house is still holding */
    return take(c, job_finish);
}

/* ---- the conversation ---- */

PARKS static Err take_frame(ControlClient *client, Slice data)
{
    Copying *c = CONTAINER(client, Copying, client);
    if (!slice_eq(data, S("R"))) return backup_plan_decode(data, &c->arena, &c->plan);
    c->planned = true;
    cond_broadcast(&c->plan_known);
    return OK;
}

PARKS static Err send_all(ControlClient *client)
{
    Copying *c = CONTAINER(client, Copying, client);
    while (!c->planned && !stream_error(client->stream))
        cond_wait(&c->plan_known, now_ms() + 100);
    if (!c->planned) return OK; /* it has said why */
    Err err = keep_story(c, copy_all(c));
    meter_end(&c->meter);
    c->err = err;
    c->done = !err;
    return err ? OK : control_send(client, S("c"));
}

/* ---- arguments ---- */

typedef struct {
    Slice dir;
    bool full, verify, list;
    uint64_t keep_days; /* 0: all */
} BackupArgs;

static Err take_args(CommandLine *c, BackupArgs *a)
{
    for (int i = 1; i < c->argc; i++) {
        Slice arg = slice_of(c->argv[i]);
        if (slice_eq(arg, S("--full")))
            a->full = true;
        else if (slice_eq(arg, S("--verify")))
            a->verify = true;
        else if (slice_eq(arg, S("--list")))
            a->list = true;
        else if (slice_eq(arg, S("--keep")) && i + 1 < c->argc) {
            Slice days = slice_of(c->argv[++i]);
            if (slice_ends(days, S("d"))) days.len--;
            if (!slice_to_u64(days, &a->keep_days) || !a->keep_days || a->keep_days > 36500)
                return fail(ERR_SYNTAX, "--keep %s: not a number of days", c->argv[i]);
        } else if (slice_starts(arg, S("-")) || a->dir.len)
            return fail(ERR_SYNTAX, "%.*s: not understood", SP(arg));
        else
            a->dir = arg;
    }
    if (!a->dir.len || a->full + a->verify + a->list > 1)
        return fail(ERR_SYNTAX, "usage: posthouse %s", verb_find(S("backup"))->synopsis);
    return OK;
}

static void complain(CommandLine *c, Err err, Slice story)
{
    fprintf(stderr, "posthouse backup: %.*s\n", SP(story));
    c->exit_code = err == ERR_SYNTAX ? EXIT_USAGE : exit_code_of(err);
}

static void complain_of(CommandLine *c, Err err)
{
    complain(c, err, slice_of(*err_story() ? err_story() : err_meaning(err)));
}

/* ---- backup DIR ---- */

typedef struct {
    Copying *copying;
    Slice keeper; /* its directory */
    Err err;
} Opening;

static void open_aside(void *arg)
{
    Opening *o = arg;
    Copying *c = o->copying;
    BackupJob *j = &c->job;
    Slice copy = arena_printf(&c->arena, "%.*s/keeper.new", SP(j->dir));
    o->err = job_open(j);
    if (!o->err) o->err = path_unlink(copy);
    if (o->err == ERR_NOT_FOUND) o->err = OK;
    if (!o->err) o->err = keeper_copy(o->keeper, copy);
    if (!o->err) j->keeper = copy;
    if (o->err == ERR_NOT_FOUND) o->err = OK; /* no users were ever made here */
    keep_story(c, o->err);
}

static void say_result(const Copying *c)
{
    Buf moment buf_scoped = {0};
    moment_put(&moment, c->plan.moment);
    printf("%s backup of %.*s: %llu octets copied, %zu segments, %zu large messages\n",
           c->job.is_full ? "full" : "incremental", SP(buf_slice(&moment)),
           (unsigned long long)c->job.copied, c->job.now.segments.count, c->job.now.big.count);
}

PARKS static void prune(CommandLine *c, const BackupArgs *a)
{
    unsigned gone;
    Err err = backup_prune(a->dir, wall_seconds() - (int64_t)a->keep_days * 86400, &gone);
    if (err)
        complain_of(c, err);
    else if (gone)
        printf("%u older ones removed\n", gone);
}

/* The keeper's part is copied before the house is asked: what is opened here to be asked has it
 * open, too. */
PARKS static void make_backup(CommandLine *c, const BackupArgs *a)
{
    static const Slice args[] = {S("backup")};
    Copying *copying = NEW(Copying);
    Opening o = {.copying = copying, .keeper = house_path(c->config, &copying->arena, "keeper")};
    copying->client = (ControlClient){.source = send_all, .sink = take_frame};
    meter_begin(&copying->meter, "backup");
    copying->job = (BackupJob){.store = c->config->store,
                               .dir = a->dir,
                               .full = a->full,
                               .told = meter_told,
                               .told_arg = &copying->meter};
    aside(open_aside, &o);
    copying->err = o.err;
    if (!o.err) verb_ask(c, args, COUNT(args), &copying->client);
    if (!c->exit_code && copying->err) complain(c, copying->err, buf_slice(&copying->story));
    if (copying->err == ERR_CORRUPT)
        fputs("posthouse backup: --full begins anew, beside what is there\n", stderr);
    if (copying->done) say_result(copying);
    if (copying->job.keeper.len && path_unlink(copying->job.keeper)) complain_of(c, ERR_IO);
    if (copying->done && !c->exit_code && a->keep_days) prune(c, a);
    job_close(&copying->job);
    arena_done(&copying->arena);
    buf_done(&copying->story);
    free(copying);
}

/* ---- the other two ---- */

static void say_line(void *arg, Slice line)
{
    Meter *m = arg;
    meter_end(m);
    printf("%.*s\n", SP(line));
}

typedef struct {
    Slice dir;
    Meter meter;
    uint64_t files, bad;
    Err err;
} Verifying;

static void verify_aside(void *arg)
{
    Verifying *v = arg;
    v->err = backup_verify(v->dir, say_line, &v->meter, meter_told, &v->meter, &v->files, &v->bad);
}

PARKS static void verify(CommandLine *c, Slice dir)
{
    Verifying v = {.dir = dir};
    meter_begin(&v.meter, "verify");
    aside(verify_aside, &v);
    meter_end(&v.meter);
    if (v.err) complain_of(c, v.err);
    printf("%llu files read, %llu octets, %llu damaged\n", (unsigned long long)v.files,
           (unsigned long long)v.meter.done, (unsigned long long)v.bad);
    if (v.bad && !c->exit_code) c->exit_code = EXIT_DATA;
}

static void list(CommandLine *c, Slice dir)
{
    Generations g = {0};
    Err err = generations_read(dir, &g);
    if (err) complain_of(c, err);
    for (size_t i = 0; i < g.count; i++) {
        const Manifest *m = &g.items[i].m;
        Buf moment buf_scoped = {0};
        uint64_t octets = m->index.size + m->keeper.size;
        for (size_t k = 0; k < m->segments.count; k++)
            octets += m->segments.items[k].size;
        for (size_t k = 0; k < m->big.count; k++)
            octets += m->big.items[k].size;
        moment_put(&moment, m->moment);
        printf("%.*s  %-11s  %llu octets\n", SP(buf_slice(&moment)),
               m->generation == 1 ? "full" : "incremental", (unsigned long long)octets);
    }
    if (g.damaged) printf("%zu damaged manifests\n", g.damaged);
    if (g.damaged && !c->exit_code) c->exit_code = EXIT_DATA;
    generations_done(&g);
}

PARKS void backup_at_terminal(CommandLine *c)
{
    BackupArgs a = {0};
    Err err = take_args(c, &a);
    if (err)
        complain_of(c, err);
    else if (a.verify)
        verify(c, a.dir);
    else if (a.list)
        list(c, a.dir);
    else
        make_backup(c, &a);
}
