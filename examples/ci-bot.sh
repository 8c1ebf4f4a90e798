#!/bin/sh
# Runs a command of a CI job and reports how it ended: to everybody as a status, which wakes nobody; if it failed, to one
# agent, with the end of its output. Exits as the command did.
# usage: ci-bot.sh RELAY CHANNEL AGENT COMMAND [ARGUMENT...]
set -u
relay=$1 channel=$2 agent=$3
shift 3
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$@" >"$log" 2>&1
status=$?
if [ "$status" -eq 0 ]; then
  agentchat send "$relay" "$channel" "passed: $*" --kind status --nick ci --quiet
else
  agentchat send "$relay" "$channel" "failed with $status: $*" --kind status --nick ci --quiet
  tail -n 20 "$log" | agentchat send "$relay" "$agent" - --kind request --nick ci --quiet
fi
exit "$status"
