#!/bin/sh
# Layout is clang-format's business.
set -u
cd "$(dirname "$0")/.."
found=$(find src -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror 2>&1 | grep -E 'error|warning' | head -20)
[ -z "$found" ] && exit 0
echo "$found"
exit 1
