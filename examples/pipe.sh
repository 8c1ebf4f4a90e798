#!/bin/sh
# Listens to a channel and sends lines with "urgent" on to an agent, until it is stopped. Needs jq.
# usage: pipe.sh RELAY CHANNEL AGENT
set -eu
relay=$1 channel=$2 agent=$3

# The text goes through standard input, so that no shell ever sees it as a command.
agentchat listen "$relay" "$channel" --nick filter |
  jq --unbuffered -rc 'select(.type == "MSG" and (.content | test("urgent"; "i"))) | "\(.name): \(.content)" | @json' |
  while IFS= read -r text; do
    printf '%s' "$text" | jq -r . | agentchat send "$relay" "$agent" - --nick filter-out --quiet
  done
