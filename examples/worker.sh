#!/bin/sh
# Takes one task of the role `counter`, counts the lines of the text in it, and answers. Needs jq.
# usage: worker.sh RELAY
set -eu
agentchat daemon "$1" --background --name worker --role counter --quiet
export AGENTCHAT_NAME=worker
agentchat presence idle --quiet

# Waits at no cost until a task comes; exit 4 if none came in time.
line=$(agentchat wait --task --timeout 60s --json)
task=$(printf '%s\n' "$line" | jq -r 'select(.type == "TASK") | .task')

agentchat presence working 'counting lines' --quiet
count=$(printf '%s\n' "$line" | jq -r 'select(.type == "TASK") | .content' | wc -l | tr -d ' ')
agentchat task done "$task" "$count lines"
agentchat presence idle --quiet
