#!/usr/bin/env bash
# An MCP server that misbehaves on cue: server.bash MODE LOG. MODE says how it begins; the name of a tool says what
# happens when it is called. Every line that it gets is appended to LOG.
mode=$1 log=$2 changed=

say() { printf '%s\n' "$1"; }
result() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$1}"; }
error() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":$1,\"message\":\"$2\"}}"; }
text() { result "{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}"; }
tool() { printf '{"name":"%s","inputSchema":{"type":"object"}%s}' "$1" "${2:-}"; }

printf 'started\n' >>"$log"
case $mode in
  dies)
    echo 'fatal: the config is missing; the key is sk-very-secret' >&2
    exit 3
    ;;
  speaks) echo 'usage: not a server at all' && exit 0 ;;
  dies-again) [[ $(grep -c '^started$' "$log") -gt 1 ]] && echo 'fatal: the lock is held' >&2 && exit 4 ;;
esac

while IFS= read -r line; do
  printf '%s\n' "$line" >>"$log"
  method= id= name=
  [[ $line =~ \"method\":\"([^\"]+)\" ]] && method=${BASH_REMATCH[1]}
  [[ $line =~ \"id\":([0-9]+) ]] && id=${BASH_REMATCH[1]}
  [[ $line =~ \"name\":\"([a-z_]+)\" ]] && name=${BASH_REMATCH[1]}
  case $mode:$method in
    silent:*) ;;
    refuses:initialize) error -32000 'no seats left' ;;
    *:server/discover) error -32601 'Method not found' ;;
    *:initialize)
      version=2025-06-18
      [[ $mode == version ]] && version=1999-12-31
      result "{\"protocolVersion\":\"$version\",\"capabilities\":{\"tools\":{\"listChanged\":true}},\"serverInfo\":{\"name\":\"scripted\",\"version\":\"7\"}}"
      ;;
    no-list:tools/list) error -32603 'the list is gone' ;;
    circles:tools/list) result '{"tools":[],"nextCursor":"again"}' ;;
    twice:tools/list) result "{\"tools\":[$(tool echo),$(tool echo)]}" ;;
    pages:tools/list)
      case $line in
        *'"cursor":"p2"'*) result "{\"tools\":[$(tool two)],\"nextCursor\":\"p3\"}" ;;
        *'"cursor":"p3"'*) result "{\"tools\":[$(tool three)]}" ;;
        *) result "{\"tools\":[$(tool one)],\"nextCursor\":\"p2\"}" ;;
      esac
      ;;
    *:tools/list)
      all=
      for known in echo die die_idle garbage long slow wrong_id change fail internal input sample roots hang odd twice json picture big $changed; do
        all+=$(tool "$known"),
      done
      all+=$(tool look ',"annotations":{"readOnlyHint":true}'),
      all+=$(tool put ',"annotations":{"idempotentHint":true,"destructiveHint":true}'),
      all+=$(tool described ",\"description\":\"$(printf 'é%.0s' {1..100})\"")
      result "{\"tools\":[$all]}"
      ;;
    *:tools/call)
      case $name in
        echo | look | put | added) text "$name" ;;
        die) echo 'fatal: out of cheese' >&2 && exit 3 ;;
        die_idle) text last && exit 0 ;;
        garbage)
          say 'Listening on port 3000' && say '{"jsonrpc":' && say '' && say '[1,2,3]' && say '{"a":1}'
          text 'after the garbage'
          ;;
        long) printf -v spaces '%100000s' '' && text "$spaces" ;;
        big) printf -v spaces '%20000s' '' && text "$spaces" ;;
        slow) (sleep 0.04 && text slow) & ;;
        wrong_id) id=$((id + 1000)) && text wrong ;;
        change) changed=added && say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}' && text changed ;;
        fail) result '{"content":[{"type":"text","text":"no such row"},{"type":"text","text":"in table t"}],"isError":true}' ;;
        internal) error -32603 'the disk is full' ;;
        input) result '{"resultType":"input_required","inputRequests":{}}' ;;
        odd) say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":\"plain text\"}" ;;
        twice) text once && text again ;;
        json) result '{"content":[{"type":"text","text":"{\"rows\":[{\"id\":7}]}"}]}' ;;
        picture) result '{"content":[{"type":"text","text":"A picture."},{"type":"image","data":"aGk=","mimeType":"image/png"},{"type":"hologram","depth":3}]}' ;;
        sample) waiting=$id && say '{"jsonrpc":"2.0","id":900,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}' ;;
        roots) waiting=$id && say '{"jsonrpc":"2.0","id":901,"method":"roots/list"}' ;;
        hang) ;;
      esac
      ;;
    *:) # An answer to a question of ours is handed on as the answer to the call.
      id=$waiting && line=${line//\\/\\\\} && text "${line//\"/\\\"}"
      ;;
  esac
done
