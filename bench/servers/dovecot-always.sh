#!/bin/bash
# dovecot-mdbox of the harness, but with mail_fsync = always: flag changes, moves and expunges are on the disk before their OK, as
# ours are.
BASE=${BASE:-21700}
setsid() { # which the harness calls with everything written, to start it
    sed -i 's/^mail_fsync = optimized/mail_fsync = always/' "$RUN/dovecot.conf"
    exec setsid "$@"
}
. "$(dirname "$0")/dovecot-mdbox.sh"
