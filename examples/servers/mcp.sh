# A stdio MCP server in POSIX sh: the protocol, for servers that define their tools.
#
# A server sources this file and defines
#   server_name        what it is called
#   tools              prints its tools as a JSON array
#   call_tool NAME     does the work and prints the answer as text; arguments are read with `argument NAME`;
#                      returns 0 done, 1 failed (the text says why), 2 no such tool
# and then calls `serve`. JSON values stay the text they came in; only what is needed is decoded.

# Bytes, not characters: JSON's own signs are single bytes in UTF-8.
LC_ALL=C
export LC_ALL

skip_space() {
    while :; do
        case $rest in
            [[:space:]]*) rest=${rest#?} ;;
            *) return 0 ;;
        esac
    done
}

# Takes a string from $rest, which begins after its opening quote; $value is its content, still escaped.
take_string() {
    value=
    while :; do
        part=${rest%%[\"\\]*}
        [ "$part" != "$rest" ] || return 1
        value=$value$part
        rest=${rest#"$part"}
        case $rest in
            \"*)
                rest=${rest#?}
                return 0
                ;;
            \\?*)
                part=${rest#??}
                value=$value${rest%"$part"}
                rest=$part
                ;;
            *) return 1 ;;
        esac
    done
}

# Takes any JSON value from $rest; $value is its text.
take_value() {
    skip_space
    case $rest in
        \"*)
            rest=${rest#?}
            take_string || return 1
            value=\"$value\"
            ;;
        [\{\[]*)
            taken=
            depth=0
            while :; do
                part=${rest%%[\"\{\}\[\]]*}
                [ "$part" != "$rest" ] || return 1
                taken=$taken$part
                rest=${rest#"$part"}
                sign=${rest%"${rest#?}"}
                rest=${rest#?}
                case $sign in
                    \")
                        take_string || return 1
                        taken=$taken\"$value\"
                        continue
                        ;;
                    [\{\[]) depth=$((depth + 1)) ;;
                    *) depth=$((depth - 1)) ;;
                esac
                taken=$taken$sign
                [ "$depth" -gt 0 ] || break
            done
            value=$taken
            ;;
        *)
            value=${rest%%[],\}[:space:]]*}
            rest=${rest#"$value"}
            case $value in
                true | false | null | -[0-9]* | [0-9]*) ;;
                *) return 1 ;;
            esac
            ;;
    esac
}

# member OBJECT NAME: $found is the text of the member, empty when there is none. 1: OBJECT is no JSON object.
member() {
    rest=$1
    found=
    skip_space
    case $rest in
        \{*) rest=${rest#?} ;;
        *) return 1 ;;
    esac
    skip_space
    case $rest in
        \}*) rest=${rest#?} ;;
        *)
            while :; do
                skip_space
                case $rest in \"*) rest=${rest#?} ;; *) return 1 ;; esac
                take_string || return 1
                key=$value
                skip_space
                case $rest in :*) rest=${rest#?} ;; *) return 1 ;; esac
                take_value || return 1
                [ "$key" != "$2" ] || found=$value
                skip_space
                case $rest in
                    ,*) rest=${rest#?} ;;
                    \}*) rest=${rest#?}; break ;;
                    *) return 1 ;;
                esac
            done
            ;;
    esac
    skip_space
    [ -z "$rest" ]
}

# Prints the bytes of one Unicode code point.
utf8() {
    if [ "$1" -lt 128 ]; then
        set -- "$1"
    elif [ "$1" -lt 2048 ]; then
        set -- $((192 + $1 / 64)) $((128 + $1 % 64))
    elif [ "$1" -lt 65536 ]; then
        set -- $((224 + $1 / 4096)) $((128 + $1 / 64 % 64)) $((128 + $1 % 64))
    else
        set -- $((240 + $1 / 262144)) $((128 + $1 / 4096 % 64)) $((128 + $1 / 64 % 64)) $((128 + $1 % 64))
    fi
    for byte in "$@"; do
        printf "\\$(printf '%03o' "$byte")"
    done
}

# Prints the text of a JSON string.
decode() {
    rest=${1#\"}
    rest=${rest%\"}
    high=0
    while :; do
        part=${rest%%\\*}
        printf '%s' "$part"
        [ "$part" != "$rest" ] || return 0
        rest=${rest#"$part"?}
        sign=${rest%"${rest#?}"}
        rest=${rest#?}
        case $sign in
            n) printf '\n' ;;
            t) printf '\t' ;;
            r) printf '\r' ;;
            b) printf '\b' ;;
            f) printf '\f' ;;
            u)
                part=${rest#????}
                code=${rest%"$part"}
                rest=$part
                case $code in
                    *[!0-9a-fA-F]* | '') continue ;;
                esac
                code=$((0x$code))
                # Two halves make one code point beyond the first 65536. A string here cannot hold a zero byte.
                if [ "$code" -ge 55296 ] && [ "$code" -lt 56320 ]; then
                    high=$code
                elif [ "$code" -ge 56320 ] && [ "$code" -lt 57344 ]; then
                    [ "$high" -eq 0 ] || utf8 $((65536 + (high - 55296) * 1024 + code - 56320))
                    high=0
                elif [ "$code" -ne 0 ]; then
                    utf8 "$code"
                fi
                ;;
            *) printf '%s' "$sign" ;;
        esac
    done
}

# Prints a text as a JSON string.
encode() {
    tab=$(printf '\t')
    printf '"'
    printf '%s' "$1" | tr -d '\000-\010\013-\037' |
        sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e "s/$tab/\\\\t/g" -e '$!s/$/\\n/' | tr -d '\n'
    printf '"'
}

# argument NAME: prints an argument of the call: the text of a string, the JSON of anything else, or nothing.
argument() {
    member "$arguments" "$1" || return 0
    case $found in
        \"*) decode "$found" ;;
        null) ;;
        *) printf '%s' "$found" ;;
    esac
}

result() {
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"
}

error() {
    printf '{"jsonrpc":"2.0","id":%s,"error":{"code":%s,"message":%s}}\n' "$id" "$1" "$(encode "$2")"
}

initialize() {
    member "$params" protocolVersion || found=
    case $found in
        '"2024-11-05"' | '"2025-03-26"' | '"2025-06-18"' | '"2025-11-25"') version=$found ;;
        *) version='"2025-11-25"' ;;
    esac
    info=$(printf '{"name":%s,"version":"1"}' "$(encode "$server_name")")
    result "{\"protocolVersion\":$version,\"capabilities\":{\"tools\":{}},\"serverInfo\":$info}"
}

tools_call() {
    member "$params" name || found=
    name=$(decode "$found")
    member "$params" arguments || found=
    arguments=${found:-\{\}}
    failed=false
    text=$(call_tool "$name")
    case $? in
        0) ;;
        2)
            error -32602 "there is no tool $name: ask tools/list for those that are"
            return
            ;;
        *) failed=true ;;
    esac
    result "{\"content\":[{\"type\":\"text\",\"text\":$(encode "$text")}],\"isError\":$failed}"
}

serve() {
    while IFS= read -r line || [ -n "$line" ]; do
        id=null
        if ! member "$line" id; then
            error -32700 'the line is not one JSON-RPC message'
            continue
        fi
        request_id=$found
        member "$line" method
        method=$(decode "$found")
        # Notifications and answers want nothing.
        if [ -z "$request_id" ] || [ -z "$method" ]; then
            continue
        fi
        id=$request_id
        member "$line" params
        params=${found:-\{\}}
        case $method in
            initialize) initialize ;;
            ping) result '{}' ;;
            tools/list) result "{\"tools\":$(tools)}" ;;
            tools/call) tools_call ;;
            *) error -32601 "there is no method $method" ;;
        esac
    done
}
