import type { PresenceState } from "../../protocol/client-messages.js"
import { defineCommand, optional, required, value } from "../command.js"
import { closeChoice, role, textUpTo } from "../input/values.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { daemonOptions, requestAsDaemon } from "../relay/relay-request.js"

const states = ["idle", "working", "waiting", "away"] as const satisfies readonly PresenceState[]

export const presence = defineCommand({
  args: {
    status: required(states.join(", "), closeChoice(states), states),
    activity: optional("what you do, or wait for; up to 200 characters", textUpTo(200)),
  },
  options: { ...daemonOptions, role: value("ROLE", "what kind of work you do from now on", role) },
  takesUrl: false,
  examples: [
    "agentchat presence working 'reviewing src/a.ts'",
    "agentchat presence waiting 'for an answer of @bob'",
    "agentchat presence idle --role reviewer",
  ],
  notes: [
    "Says it to everybody, through a running daemon of this directory. `idle` also asks for work of your role.",
  ],
  async run(context, { args, options }) {
    const { io, config } = context
    const { status, activity } = args
    const frame = {
      type: "SET_PRESENCE",
      status,
      ...omitUndefined({ activity, role: options.role }),
    } as const
    await requestAsDaemon(context, options, frame)
    if (config.json) io.json({ ok: true, status, activity, role: options.role })
    else io.out(`you are ${status}`)
    return 0
  },
})
