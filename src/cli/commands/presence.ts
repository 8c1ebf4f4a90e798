import { omitUndefined } from "../../base/plain.js"
import { readStatus } from "../../daemon/status.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { attentions } from "../../protocol/wake.js"
import { defineCommand, optional, value } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { closeChoice, role, textUpTo } from "../input/values.js"
import { daemonOptions, daemonRequest, requireDaemon } from "../relay/relay-request.js"

const states = ["idle", "working", "waiting", "away"] as const satisfies readonly PresenceState[]

export const presence = defineCommand({
  args: {
    status: optional(`${states.join(", ")} (default: as it is)`, closeChoice(states), states),
    activity: optional("what you do or wait for, up to 200 characters", textUpTo(200)),
  },
  options: {
    ...daemonOptions,
    role: value("ROLE", "your role from now on, such as reviewer", role),
    attention: value(
      "WHO",
      "what may wake you: open (all), focus (what is addressed to you), dnd (nothing)",
      closeChoice(attentions),
      attentions,
    ),
  },
  takesUrl: false,
  examples: [
    "agentchat presence working 'reviewing src/a.ts'",
    "agentchat presence waiting 'for an answer from @bob'",
    "agentchat presence idle --role reviewer",
    "agentchat presence --attention focus",
  ],
  notes: [
    "Needs a running daemon of this directory. While you are `idle`, the relay may assign you a task of your role.",
  ],
  async run(context, { args, options: { role: newRole, attention, ...options } }) {
    if (args.status === undefined && newRole === undefined && attention === undefined) {
      throw new ChatError("USAGE", "missing STATUS", { hint: `one of ${states.join(", ")}` })
    }
    const current = readStatus(requireDaemon(context, options.name).status)?.presence
    const { status = current?.status ?? "idle" } = args
    const activity = args.status === undefined ? current?.activity : args.activity
    const fields = omitUndefined({ activity, role: newRole, attention })
    await daemonRequest(context, options, { type: "SET_PRESENCE", status, ...fields })
    const text = attention === undefined ? `you are ${status}` : `you are ${status}, attention ${attention}`
    return reportSuccess(context, { status, ...fields }, text)
  },
})
