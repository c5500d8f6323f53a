#pragma once
/* The certificate everybody is served with: made at the first start, loaded again when its files
 * change. */
#include "house/house.h"

Err certificate_load(const Config *config) MUST_USE;
/* Looks at the files every ten seconds, for as long as the house serves (a fiber). */
PARKS void certificate_watch(House *house);
