import { formatForTerminal } from "../../base/visible-text.js"
import { addGrant, readIdentity } from "../../identity/identity-file.js"
import { ChatError } from "../../protocol/errors.js"
import { type Grant, grant } from "../../protocol/grants.js"
import type { AgentRef } from "../../protocol/names.js"
import { parseAs } from "../../protocol/schema.js"
import { defineCommand, optional } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { readSmallText } from "../input/text-source.js"
import { closeChoice, someText } from "../input/values.js"
import { printTable } from "../output/table.js"
import { asOperator, moderate, moderationOptions } from "../relay/moderate.js"
import { ownIdentityFile } from "../relay/own-identity.js"
import type { RequestOptions } from "../relay/relay-request.js"

const verbs = ["list", "revoke", "add"] as const

interface UsedGrant {
  readonly grant: Grant
  readonly keys: readonly AgentRef[]
  readonly revoked?: boolean
}

export const grants = defineCommand({
  args: {
    verb: optional(`${verbs.join(", ")} (default list)`, closeChoice(verbs), verbs),
    target: optional("id of a grant, or @id of an agent, to revoke; FILE to add", someText),
  },
  options: moderationOptions,
  takesUrl: true,
  examples: [
    "agentchat grants --identity operator.json",
    "agentchat grants revoke @7f3a9c0e1b2d4f56 --reason 'left the team' --identity operator.json",
    "agentchat grants add bob.grant.json",
  ],
  notes: [
    "list and revoke are for operators: list shows the grants that were used; revoke ends the sessions that have no other",
    "one, within a second. add keeps a grant next to the identity of this directory, or of --identity, which shows it to its relay.",
  ],
  async run(context, input) {
    const { verb = "list", target } = input.args
    if ((target !== undefined) !== (verb !== "list")) {
      const problem = verb === "list" ? "is not allowed" : "is missing"
      throw new ChatError("USAGE", `grants ${verb}: TARGET ${problem}`)
    }
    if (target === undefined) return listGrants(context, input)
    return verb === "add" ? add(context, input, target) : revoke(context, input, target)
  },
})

function readGrants(context: Context, choice: RequestOptions): Promise<readonly UsedGrant[]> {
  return asOperator(context, choice, async ({ ask }) => {
    const { list } = await ask({ type: "LIST_GRANTS" })
    return list as readonly UsedGrant[]
  })
}

async function listGrants(context: Context, choice: RequestOptions): Promise<number> {
  const { io, config, clock } = context
  const list = await readGrants(context, choice)
  if (config.json) return reportSuccess(context, { list }, [])
  const rows = list.map(({ grant: { id, name = "", profile, read, write, exp }, keys, revoked }) => {
    const end = exp === undefined ? "never" : new Date(exp).toISOString()
    const state = revoked === true ? "revoked" : exp !== undefined && exp <= clock.now() ? "expired" : end
    return [id, name, profile, read.join(" "), write.join(" "), keys.join(" "), state].map(formatForTerminal)
  })
  printTable(io, ["GRANT", "NAME", "PROFILE", "READ", "WRITE", "USED BY", { text: "ENDS" }], rows)
  return 0
}

async function revoke(
  context: Context,
  input: RequestOptions & { readonly options: { readonly reason: string | undefined } },
  target: string,
): Promise<number> {
  const { reason } = input.options
  if (!target.startsWith("@")) return moderate(context, input, { action: "revoke", grant: target, reason })
  const list = await readGrants(context, input)
  const own = list.filter(
    ({ keys, revoked }) => revoked !== true && keys.includes(target.toLowerCase() as AgentRef),
  )
  if (own.length === 0) throw new ChatError("NOT_FOUND", `grants: ${target} uses none`)
  for (const { grant: found } of own) {
    await moderate(context, input, { action: "revoke", grant: found.id, reason })
  }
  return 0
}

function add(context: Context, { options }: RequestOptions, file: string): number {
  const added = parseAs(grant, readSmallText(file, "TARGET"))
  if (added === undefined) throw new ChatError("USAGE", `TARGET: ${file}: is not a grant`)
  const path = ownIdentityFile(context, options)
  const { agentId } = readIdentity(path)
  addGrant(path, added)
  return reportSuccess(
    context,
    { file: path, id: added.id },
    `${agentId} has the grant ${formatForTerminal(added.id)} now`,
  )
}
