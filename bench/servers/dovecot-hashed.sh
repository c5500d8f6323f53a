#!/bin/bash
# dovecot-mdbox of the harness with its password ("secret") as Argon2id of the same cost as ours: 19 MiB, two passes. No auth_cache:
# every login is hashed.
BASE=${BASE:-21800}
HASH='{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$b9NdWWRr1VovkgMdDL8xzg$upD2rF6AdqHMJXgB+LEb46DxmtYfUOLfjrwTTpGbk3I'
setsid() {
    sed -i "s|^  args = password=.*|  args = password=$HASH|" "$RUN/dovecot.conf"
    exec setsid "$@"
}
. "$(dirname "$0")/dovecot-mdbox.sh"
