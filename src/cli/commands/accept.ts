import { omitUndefined } from "../../base/plain.js"
import { defineCommand, required, value } from "../command.js"
import { paymentCode, proposalId } from "../deals/deal-values.js"
import { requestOptions } from "../relay/relay-request.js"

export const accept = defineCommand({
  args: { id: required("id of the proposal", proposalId) },
  options: {
    "payment-code": value("CODE", "payment code, for the other party", paymentCode),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat accept prop_k3v5mq2a7xw4tz6b",
    "agentchat accept prop_k3v5mq2a7xw4tz6b --payment-code PM8T…",
  ],
  notes: ["Only the recipient can accept a proposal, while it is pending. A signature cannot be taken back."],
  run: async (context, input) => {
    const { sendDraft } = await import("../deals/deal-request.js")
    return sendDraft(context, input, {
      type: "ACCEPT",
      proposal_id: input.args.id,
      ...omitUndefined({ payment_code: input.options["payment-code"] }),
    })
  },
})
