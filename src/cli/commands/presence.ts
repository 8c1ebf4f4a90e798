import { omitUndefined } from "../../base/plain.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import { defineCommand, optional, required, value } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { closeChoice, role, textUpTo } from "../input/values.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

const states = ["idle", "working", "waiting", "away"] as const satisfies readonly PresenceState[]

export const presence = defineCommand({
  args: {
    status: required(states.join(", "), closeChoice(states), states),
    activity: optional("what you do or wait for, up to 200 characters", textUpTo(200)),
  },
  options: { ...daemonOptions, role: value("ROLE", "your role from now on, such as reviewer", role) },
  takesUrl: false,
  examples: [
    "agentchat presence working 'reviewing src/a.ts'",
    "agentchat presence waiting 'for an answer from @bob'",
    "agentchat presence idle --role reviewer",
  ],
  notes: [
    "Needs a running daemon of this directory. While you are `idle`, the relay may assign you a task of your role.",
  ],
  async run(context, { args, options: { role: newRole, ...options } }) {
    const { status, activity } = args
    const fields = omitUndefined({ activity, role: newRole })
    await daemonRequest(context, options, { type: "SET_PRESENCE", status, ...fields })
    return reportSuccess(context, { status, ...fields }, `you are ${status}`)
  },
})
