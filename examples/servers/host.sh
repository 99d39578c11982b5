#!/bin/sh
# An MCP server that tells how this machine is: uptime, load, memory and disk space.
. ./mcp.sh

server_name=host

tools() {
    hints='"readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false'
    cat <<END | tr -d '\n'
[{"name":"load","description":"How long this machine is up, its load averages and its memory.",
"inputSchema":{"type":"object","additionalProperties":false},"annotations":{"title":"Load",$hints}},
{"name":"disk","description":"Size and free space of the file system that holds a path.",
"inputSchema":{"type":"object","properties":{"path":{"type":"string","description":"Absolute path; default /."}},
"additionalProperties":false},"annotations":{"title":"Disk space",$hints}}]
END
}

load() {
    read -r seconds _ </proc/uptime && read -r one five fifteen _ </proc/loadavg || {
        echo 'this machine has no /proc/uptime and /proc/loadavg'
        return 1
    }
    seconds=${seconds%.*}
    printf 'up %d days %02d:%02d\n' $((seconds / 86400)) $((seconds / 3600 % 24)) $((seconds / 60 % 60))
    printf 'load averages %s (1 min) %s (5 min) %s (15 min), %s processors\n' "$one" "$five" "$fifteen" "$(nproc)"
    while read -r key kilobytes _; do
        case $key in
            MemTotal:) printf 'memory %d MiB' $((kilobytes / 1024)) ;;
            MemAvailable:) printf ', %d MiB available\n' $((kilobytes / 1024)) ;;
        esac
    done </proc/meminfo
}

disk() {
    path=$(argument path)
    case ${path:=/} in
        /*) df -Pk -- "$path" 2>&1 ;;
        *)
            printf 'path must be absolute, not %s\n' "$path"
            return 1
            ;;
    esac
}

call_tool() {
    case $1 in
        load) load ;;
        disk) disk || return 1 ;;
        *) return 2 ;;
    esac
}

serve
