import { omitUndefined } from "../../base/plain.js"
import { defineCommand, required, value } from "../command.js"
import { proofText, proposalId } from "../deals/deal-values.js"
import { requestOptions } from "../relay/relay-request.js"

export const complete = defineCommand({
  args: { id: required("id of the proposal", proposalId) },
  options: {
    proof: value("TEXT", "evidence such as a commit or a transaction, up to 2,000 characters", proofText),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat complete prop_k3v5mq2a7xw4tz6b --proof 'commit 1a2b3c'",
    "agentchat complete prop_k3v5mq2a7xw4tz6b",
  ],
  notes: [
    "Either party can complete an accepted proposal; then there is a receipt. The other party confirms with the same",
    "command, or disputes it.",
  ],
  run: async (context, input) => {
    const { sendDraft } = await import("../deals/deal-request.js")
    return sendDraft(context, input, {
      type: "COMPLETE",
      proposal_id: input.args.id,
      ...omitUndefined({ proof: input.options.proof }),
    })
  },
})
