# Shared by the scripts of this folder: what to build, servers to start, and ending exactly those.

work=$(mktemp -d)
bin=.build/release
children=()

# Ends what this script started, by process id.
finish() {
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${children[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*" >&2; }

# Builds one product of this package, optimised.
build() {
    say "building $1 (release)"
    swift build -c release --product "$1" >"$work/build.log" 2>&1 || { tail -30 "$work/build.log" >&2; exit 1; }
}

# Sets `busbar` to the server that is measured: $BUSBAR when set, else the one built here.
ensure_busbar() {
    busbar=${BUSBAR:-$bin/busbar}
    [ -n "${BUSBAR:-}" ] || build busbar
}

# Debian's nginx module; never the system service.
ensure_nchan() {
    [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] && return
    say "installing libnginx-mod-nchan"
    # Why: without this answer the package would start a system service.
    printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        install -m 755 "$work/policy-rc.d" /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d; finish' EXIT
    fi
    apt-get install -y --no-install-recommends nginx-light libnginx-mod-nchan >"$work/apt.log" 2>&1 ||
        { tail -5 "$work/apt.log" >&2; exit 1; }
}

free_port() {
    local port
    for ((port = $1; port < $1 + 200; port++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    say "no free port from $1"; exit 1
}

# Waits at most ten seconds until something listens on a port.
wait_for_port() {
    for _ in {1..100}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    say "nothing listens on port $1"; cat "$work"/*.log >&2; exit 1
}

# One worker, memory storage, no access log. Sets nchan_port and nchan_pid (the worker's).
start_nchan() {
    nchan_port=$(free_port 18800)
    sed -e "s#@WORK@#$work#g" -e "s#@PORT@#$nchan_port#" nchan.conf >"$work/nchan.conf"
    nginx -c "$work/nchan.conf" -p "$work" 2>"$work/nchan.log" &
    local master=$!
    children+=("$master")
    wait_for_port "$nchan_port"
    nchan_pid=$(pgrep -P "$master" | head -1)
}

# One event loop, memory driver. Sets busbar_port and busbar_pid.
start_busbar() {
    busbar_port=$(free_port 18400)
    "$busbar" serve --port "$busbar_port" --loops 1 --connections 20000 >"$work/busbar.log" 2>&1 &
    busbar_pid=$!
    children+=("$busbar_pid")
    wait_for_port "$busbar_port"
}

# The middle value of field $3 over the results of peer $1 with window $2.
median() {
    sed -n "s/^peer=$1 .*window=$2 .* $3=\([0-9.]*\).*/\1/p" "$work/results" | sort -g |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# Bare NIO with the given handlers. Sets bare_port and bare_pid.
start_bare() {
    rm -f "$work/bare.log"
    "$bin/bareserver" "$1" >"$work/bare.log" 2>&1 &
    bare_pid=$!
    children+=("$bare_pid")
    for _ in {1..100}; do
        bare_port=$(sed -n 's/^port=//p' "$work/bare.log" 2>/dev/null || true)
        [ -n "$bare_port" ] && return
        sleep 0.1
    done
    say "the bare server did not start"; exit 1
}

ensure_descriptors() {
    ulimit -n "$(ulimit -H -n)"
    [ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge "$1" ] && return
    say "only $(ulimit -n) descriptors per process are allowed, $1 are needed"; exit 1
}
