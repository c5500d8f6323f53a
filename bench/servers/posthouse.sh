#!/bin/bash
# posthouse: accounts and ports of the demo, durability as in production (there is no other), the harness' certificate and key.
# The seeding run is the same: there is no way to switch syncs off. SETTINGS: more settings, as -o KEY=VALUE.
BASE=${BASE:-21500}
. "$(dirname "$0")/common.sh"

srv_start() {
    # In a directory of their own: the keeper may read what lies beside its key, and theirs is above our store.
    mkdir -p "$RUN/tls"
    cp "$CERT" "$KEY" "$RUN/tls/"
    rm -f "$RUN/ready"
    # shellcheck disable=SC2086
    setsid "${POSTHOUSE:?path of the program}" -o "tls_certificate=$RUN/tls/cert.pem" -o "tls_key=$RUN/tls/key.pem" ${SETTINGS:-} \
        demo "$DATA" --base-port "$BASE" --accounts "$USERS" --password "$PASSWORD" \
        >"$RUN/ready" 2>"$RUN/log" </dev/null &
    echo $! >"$RUN/pid"
    for _ in $(seq 600); do
        grep -qs ready "$RUN/ready" && return
        sleep 0.05
    done
}

# For our own rows: what makes it print its counters, and where the signatures are that it can lose and make again.
srv_info() {
    echo "SETTLE=8" # until fibers at rest have given their stacks back
    echo "METRICS=$POSTHOUSE -o store=$DATA metrics"
    echo "SIGNATURES=$DATA/search"
}
main "$@"
