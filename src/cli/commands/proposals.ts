import { ChatError } from "../../protocol/errors.js"
import { dealStates } from "../../protocol/server-messages.js"
import { defineCommand, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { instancePathsOf, otherDaemonsHint } from "../daemon/daemon-choice.js"
import { proposalId } from "../deals/deal-values.js"
import type { ProposalView } from "../deals/proposal-view.js"
import { closeChoice } from "../input/values.js"
import { type RequestOptions, requestOptions, usesOwnSession } from "../relay/relay-request.js"

export const proposals = defineCommand({
  args: { id: optional("one of them, with all that was said in it", proposalId) },
  options: {
    state: value(
      "STATE",
      `only those that are ${dealStates.join(", ")}`,
      closeChoice(dealStates),
      dealStates,
    ),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat proposals",
    "agentchat proposals --state pending",
    "agentchat proposals prop_k3v5mq2a7xw4tz6b --json",
  ],
  notes: [
    "Those of this directory's daemon (--name chooses which), out of its proposals.jsonl, also when it does not run;",
    "with URL or --identity those that the relay keeps for that identity.",
  ],
  async run(context, { args: { id }, options, url }) {
    const { io, config } = context
    const all = await readViews(context, { options, url }, id)
    if (id !== undefined) return showOne(context, { options, url }, { id, all })
    const list = all.filter(({ state }) => options.state === undefined || state === options.state)
    if (config.json) io.json({ ok: true, list })
    else {
      const { formatProposalTable } = await import("../deals/proposal-view.js")
      for (const line of formatProposalTable(list, io.columns)) io.out(line)
      if (list.length === 0) {
        const { state } = options
        io.err(`no ${state === undefined ? "" : `${state} `}proposals`)
        const hint = await whoseElse(context, { options, url })
        if (hint !== undefined) io.err(hint)
      }
    }
    return 0
  },
})

/** Who nothing is known of may be another than who was meant. */
async function whoseElse(context: Context, choice: RequestOptions): Promise<string | undefined> {
  if (choice.options.name !== undefined || usesOwnSession(choice)) return undefined
  return otherDaemonsHint(context, "all")
}

async function showOne(
  context: Context,
  choice: RequestOptions,
  { id, all }: { readonly id: string; readonly all: readonly ProposalView[] },
): Promise<number> {
  const { io, config } = context
  const found = all.find((view) => view.id === id)
  if (found === undefined) {
    throw new ChatError("PROPOSAL_NOT_FOUND", `ID: ${id} is none of your proposals`, {
      hint: (await whoseElse(context, choice)) ?? "see: agentchat proposals",
    })
  }
  if (config.json) io.json({ ok: true, proposal: found })
  else for (const line of (await import("../deals/proposal-view.js")).formatProposal(found)) io.out(line)
  return 0
}

/** @throws {ChatError} NOT_FOUND when `--name` is no daemon of this directory; what the relay refuses */
async function readViews(
  context: Context,
  choice: RequestOptions,
  id: string | undefined,
): Promise<ProposalView[]> {
  const { viewOf, viewOfDeal } = await import("../deals/proposal-view.js")
  if (usesOwnSession(choice)) {
    if (choice.options.identity === undefined) {
      throw new ChatError("IDENTITY_REQUIRED", "a relay tells an identity its deals, and none is named", {
        hint: "say --identity FILE, or leave out what asks for a session of its own: this directory's daemon knows its deals",
      })
    }
    const { withDealCalls } = await import("../deals/deal-request.js")
    const listed = await withDealCalls(context, choice, (calls) =>
      calls.proposals(id === undefined ? {} : { id }),
    )
    return listed.map(viewOf)
  }
  const { name } = choice.options
  const { dir, proposals: path } = instancePathsOf(context.config, name)
  const { existsSync } = await import("node:fs")
  if (name !== undefined && !existsSync(dir)) {
    throw new ChatError("NOT_FOUND", `--name: ${name} is no daemon of this directory`, {
      hint: "see: agentchat daemon --list",
    })
  }
  const { readDealLog } = await import("../../daemon/deals/proposals-file.js")
  const now = context.clock.now()
  return readDealLog(path).map(({ deal, names }) => viewOfDeal(deal, names, now))
}
