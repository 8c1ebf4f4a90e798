import { ChatError } from "../../protocol/errors.js"
import { faults } from "../../protocol/verbs.js"
import { defineCommand, required, value } from "../command.js"
import { disputeReason, proposalId } from "../deals/deal-values.js"
import { closeChoice } from "../input/values.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { requestOptions } from "../relay/relay-request.js"

export const dispute = defineCommand({
  args: { id: required("the proposal's id", proposalId) },
  options: {
    reason: value("TEXT", "what is wrong, up to 500 characters; it must be said", disputeReason),
    fault: value("WHOSE", `${faults.join(", ")}, as you see it`, closeChoice(faults), faults),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat dispute prop_k3v5mq2a7xw4tz6b --reason 'the tests fail'",
    "agentchat dispute prop_k3v5mq2a7xw4tz6b --reason 'I had no time' --fault self",
  ],
  notes: [
    "Either party can dispute an accepted proposal, and a completed one within its dispute window. The fault counts",
    "once the other party has answered with a dispute that names the same one: --fault self by one, other by the other.",
  ],
  async run(context, input) {
    const { reason, fault } = input.options
    if (reason === undefined) {
      throw new ChatError("USAGE", "dispute: --reason is missing", {
        hint: "say what is wrong: --reason 'the tests fail'",
      })
    }
    const { sendDraft } = await import("../deals/deal-request.js")
    return sendDraft(context, input, {
      type: "DISPUTE",
      proposal_id: input.args.id,
      reason,
      ...omitUndefined({ fault }),
    })
  },
})
