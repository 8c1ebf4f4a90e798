import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, required, value } from "../command.js"
import { paymentCode, proposalId } from "../deals/deal-values.js"
import { chooseDaemon, requestOptions } from "../relay/relay-request.js"

export const accept = defineCommand({
  args: { id: required("id of the proposal", proposalId) },
  options: {
    "payment-code": value("CODE", "payment code, for the other party", paymentCode),
    ask: flag("ask people (+human) first; accept on yes, else reject"),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat accept prop_k3v5mq2a7xw4tz6b",
    "agentchat accept prop_k3v5mq2a7xw4tz6b --payment-code PM8T…",
  ],
  notes: [
    "With --ask, or if the daemon runs with --approve-deals, prints `pending`: the daemon accepts, or rejects,",
    "once a person has answered.",
    "Only the recipient can accept a proposal, while it is pending. A signature cannot be taken back.",
  ],
  run: async (context, input) => {
    const isAsked = input.options.ask
    if (isAsked && chooseDaemon(context, input) === undefined) {
      throw new ChatError("USAGE", "--ask: only a daemon waits for the answer", {
        hint: "start one: agentchat daemon --background",
      })
    }
    const { sendDraft } = await import("../deals/deal-request.js")
    return sendDraft(context, input, {
      type: "ACCEPT",
      proposal_id: input.args.id,
      ...omitUndefined({ payment_code: input.options["payment-code"], ask: isAsked || undefined }),
    })
  },
})
