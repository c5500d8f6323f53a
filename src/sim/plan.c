/* What happens in a world, from its seed; as options, so that it can be asked for again; and made
 * smaller while it still fails. */
#include "sim/sim.h"

#include <stdio.h>

const char *const client_names[CLIENT_KINDS] = {
#define CLIENT(name, function, count, what) #name,
#include "sim/clients.def"
#undef CLIENT
};
const char *const trouble_names[TROUBLES] = {
#define TROUBLE(name, share, what) #name,
#include "sim/troubles.def"
#undef TROUBLE
};
static const unsigned shares[TROUBLES] = {
#define TROUBLE(name, share, what) share,
#include "sim/troubles.def"
#undef TROUBLE
};

void plan_make(Plan *p, uint64_t seed)
{
    uint64_t r = (seed + 1) * 0x9e3779b97f4a7c15;
    r = (r ^ (r >> 30)) * 0xbf58476d1ce4e5b9;
    *p = (Plan){.seed = seed, .lives = 4, .steps = 12, .clients = (1u << CLIENT_KINDS) - 1};
    for (unsigned i = 0; i < TROUBLES; i++, r = (r ^ (r >> 27)) * 0x94d049bb133111eb)
        if ((r >> 33) % 16 < shares[i]) p->troubles |= 1u << i;
}

/* ---- options ---- */

static void print_set(Buf *out, const char *option, unsigned set, const char *const *names,
                      unsigned count)
{
    const char *comma = "";
    buf_printf(out, " --%s ", option);
    for (unsigned i = 0; i < count; i++) {
        if (!(set >> i & 1)) continue;
        buf_printf(out, "%s%s", comma, names[i]);
        comma = ",";
    }
    if (!*comma) buf_add(out, S("none"));
}

void plan_print(const Plan *p, Buf *out)
{
    buf_printf(out, "--seed %llu --lives %u --steps %u", (unsigned long long)p->seed, p->lives,
               p->steps);
    if (p->chance) buf_printf(out, " --chance %u", p->chance);
    print_set(out, "clients", p->clients, client_names, CLIENT_KINDS);
    print_set(out, "troubles", p->troubles, trouble_names, TROUBLES);
    if (p->plant[0]) buf_printf(out, " --plant %s", p->plant + sizeof "plant." - 1);
}

static bool read_set(unsigned *set, Slice value, const char *const *names, unsigned count)
{
    *set = 0;
    if (slice_eq(value, S("none"))) return true;
    for (Slice name; slice_cut(&value, ',', &name);) {
        unsigned i = 0;
        while (i < count && !slice_eq(name, slice_of(names[i])))
            i++;
        if (i == count) return false;
        *set |= 1u << i;
    }
    return true;
}

bool plan_option(Plan *p, Slice name, Slice value)
{
    uint64_t n = 0;
    if (slice_eq(name, S("--clients")))
        return read_set(&p->clients, value, client_names, CLIENT_KINDS);
    if (slice_eq(name, S("--troubles")))
        return read_set(&p->troubles, value, trouble_names, TROUBLES);
    if (slice_eq(name, S("--plant")))
        return snprintf(p->plant, sizeof p->plant, "plant.%.*s", SP(value)) < (int)sizeof p->plant;
    if (!slice_to_u64(value, &n)) return false;
    if (slice_eq(name, S("--lives")) && n >= 1 && n <= LIVES_MOST)
        p->lives = (unsigned)n;
    else if (slice_eq(name, S("--chance")) && n < 1000)
        p->chance = (unsigned)n;
    else if (slice_eq(name, S("--steps")) && n <= 10000)
        p->steps = (unsigned)n;
    else
        return false;
    return true;
}

/* ---- smaller ---- */

enum { CHANCES = 12 };

static bool try(Plan *p, Plan smaller, bool (*fails)(const Plan *))
{
    for (unsigned i = 0; i < CHANCES; i++) { /* with less to do, a crash comes at another moment */
        smaller.chance = i ? i : p->chance;
        if (!fails(&smaller)) continue;
        *p = smaller;
        return true;
    }
    return false;
}

static bool without(Plan *p, unsigned bit, bool troubles, bool (*fails)(const Plan *))
{
    Plan smaller = *p;
    unsigned *set = troubles ? &smaller.troubles : &smaller.clients;
    if (!(*set & bit)) return false;
    *set &= ~bit;
    return try(p, smaller, fails);
}

void plan_shrink(Plan *p, bool (*fails)(const Plan *p))
{
    for (bool better = true; better;) {
        better = false;
        for (unsigned i = 0; i < TROUBLES; i++)
            better |= without(p, 1u << i, true, fails);
        for (unsigned i = 0; i < CLIENT_KINDS; i++)
            better |= without(p, 1u << i, false, fails);
        for (unsigned lives = 1; lives < p->lives; lives++) {
            Plan smaller = *p;
            smaller.lives = lives;
            if (try(p, smaller, fails)) better = true;
        }
        for (unsigned half = p->steps / 2; half; half /= 2) {
            Plan smaller = *p;
            smaller.steps = p->steps - half;
            if (try(p, smaller, fails)) better = true;
        }
    }
}
