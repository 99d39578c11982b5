#!/bin/sh
# An MCP server that keeps notes: one line each in notes.txt, the newest last, in the folder that
# NOTES_DIR names.
. ./mcp.sh

server_name=notes
folder=${NOTES_DIR:-${XDG_STATE_HOME:-${HOME:-/tmp}/.local/state}/pilothouse-notes}

tools() {
    cat <<'END' | tr -d '\n'
[{"name":"add","description":"Appends a note; it is kept with the time of this moment.",
"inputSchema":{"type":"object","properties":{"text":{"type":"string","description":"The note; line breaks become spaces."}},
"required":["text"],"additionalProperties":false},
"annotations":{"title":"Add a note","readOnlyHint":false,"destructiveHint":false,"idempotentHint":false,"openWorldHint":false}},
{"name":"list","description":"The newest notes, oldest of them first.",
"inputSchema":{"type":"object","properties":{"limit":{"type":"integer","minimum":1,"maximum":1000,"description":"How many; default 20."}},
"additionalProperties":false},
"annotations":{"title":"List notes","readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false}}]
END
}

add() {
    text=$(argument text | tr '\n\r' '  ')
    if [ -z "$text" ]; then
        echo 'text is missing: say what to note'
        return 1
    fi
    { mkdir -p "$folder" && printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$text" >>"$folder/notes.txt"; } 2>&1 ||
        return 1
    echo 'noted'
}

list() {
    limit=$(argument limit)
    case ${limit:=20} in
        *[!0-9]* | 0* | ?????*)
            printf 'limit must be a number from 1 to 1000, not %s\n' "$limit"
            return 1
            ;;
    esac
    if [ -s "$folder/notes.txt" ]; then
        tail -n "$limit" "$folder/notes.txt" 2>&1
    else
        echo 'there are no notes yet'
    fi
}

call_tool() {
    case $1 in
        add) add ;;
        list) list ;;
        *) return 2 ;;
    esac
}

serve
