#!/bin/bash
# posthouse that remembers no password: every login is an Argon2id.
BASE=${BASE:-21600} SETTINGS="-o password_remember=0"
. "$(dirname "$0")/posthouse.sh"
