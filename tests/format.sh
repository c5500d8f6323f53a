#!/bin/sh
# Layout is clang-format's business.
set -eu
cd "$(dirname "$0")/.."
find src -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror 2>&1 | grep -E 'error|warning' | head -20 && exit 1
exit 0
