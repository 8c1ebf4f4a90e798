#!/bin/sh
# Hands a file to one free worker of the role `counter`, whichever agent that is, and prints its answer.
# usage: asker.sh RELAY FILE
set -eu
agentchat daemon "$1" --background --name asker --quiet
agentchat ask +counter - --wait 60 --name asker <"$2"
