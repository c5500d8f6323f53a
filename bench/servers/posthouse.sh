#!/bin/bash
# posthouse: the demo door, durability as in production. The seeding run is the same: there is no way to switch syncs off.
BASE=${BASE:-21500}
. "${BENCH_COMMON:-$(dirname "$0")/common.sh}"

srv_start() {
    setsid "${POSTHOUSE:?path of the program}" demo "$DATA" --base-port "$BASE" --accounts 10000 --password "$PASSWORD" \
        >"$RUN/ready" 2>"$RUN/log" </dev/null &
    echo $! >"$RUN/pid"
}
main "$@"
