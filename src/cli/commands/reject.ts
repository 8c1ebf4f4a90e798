import { omitUndefined } from "../../base/plain.js"
import { defineCommand, required, value } from "../command.js"
import { proposalId, rejectReason } from "../deals/deal-values.js"
import { requestOptions } from "../relay/relay-request.js"

export const reject = defineCommand({
  args: { id: required("id of the proposal", proposalId) },
  options: { reason: value("TEXT", "reason, up to 500 characters", rejectReason), ...requestOptions },
  takesUrl: true,
  examples: [
    "agentchat reject prop_k3v5mq2a7xw4tz6b --reason 'no time'",
    "agentchat reject prop_k3v5mq2a7xw4tz6b --identity bob.json",
  ],
  notes: ["Only the recipient can reject a proposal, while it is pending."],
  run: async (context, input) => {
    const { sendDraft } = await import("../deals/deal-request.js")
    return sendDraft(context, input, {
      type: "REJECT",
      proposal_id: input.args.id,
      ...omitUndefined({ reason: input.options.reason }),
    })
  },
})
