#pragma once
/* Memory that several processes have in common: made by one (memfd_create, sealed against changes
 * of its size), handed over as a descriptor, mapped by each. Whoever reads it believes nothing. */
#include "base/base.h"

Err shared_make(const char *name, size_t octets, int *fd) MUST_USE; /* zeroes */
/* Maps it; the descriptor stays yours. ERR_SYNTAX: it has another size. */
Err shared_map(int fd, size_t octets, void **memory) MUST_USE;
void shared_unmap(void *memory, size_t octets);
