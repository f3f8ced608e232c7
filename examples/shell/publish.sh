#!/usr/bin/env bash
# Publishes one message: ./publish.sh PIPE EVENT MESSAGE
set -euo pipefail

[ $# = 3 ] || { echo "./publish.sh PIPE EVENT MESSAGE" >&2; exit 2; }

# A text as SQL writes it.
literal() {
    local text=${1//\\/\\\\} quote="'"
    printf "'%s'" "${text//$quote/$quote$quote}"
}

# In the environment, because everybody sees the arguments of a program.
export MYSQL_PWD=${COMET_PASSWORD:-$(cat "${COMET_PASSWORD_FILE:-data/cometql.password}")}
exec mysql --host="${COMET_HOST:-127.0.0.1}" --port="${COMET_PORT:-3300}" --user=root --default-character-set=utf8mb4 CometQL_v1 \
    --execute="INSERT INTO pipes_messages (name, event, message) VALUES ($(literal "$1"), $(literal "$2"), $(literal "$3"))"
