import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { faults } from "../../protocol/verbs.js"
import { defineCommand, required, value } from "../command.js"
import { disputeReason, proposalId } from "../deals/deal-values.js"
import { closeChoice } from "../input/values.js"
import { requestOptions } from "../relay/relay-request.js"

export const dispute = defineCommand({
  args: { id: required("id of the proposal", proposalId) },
  options: {
    reason: value("TEXT", "what is wrong, up to 500 characters (required)", disputeReason),
    fault: value("WHOSE", `party at fault: ${faults.join(", ")}`, closeChoice(faults), faults),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat dispute prop_k3v5mq2a7xw4tz6b --reason 'the tests fail'",
    "agentchat dispute prop_k3v5mq2a7xw4tz6b --reason 'I had no time' --fault self",
  ],
  notes: [
    "Either party can dispute an accepted proposal, and a completed one within its dispute window. The fault counts",
    "once both have named the same party: --fault other by the first, --fault self by the second.",
  ],
  async run(context, input) {
    const { reason, fault } = input.options
    if (reason === undefined) {
      throw new ChatError("USAGE", "--reason: is required", {
        hint: "describe what is wrong: --reason 'the tests fail'",
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
