import { formatForTerminal } from "../../base/visible-text.js"
import { agentIdOf, parsePublicKey } from "../../identity/keys.js"
import { auditFaults } from "../../identity/moderation.js"
import { ChatError } from "../../protocol/errors.js"
import type { AuditEntry } from "../../protocol/moderation.js"
import { defineCommand, flag } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { printTable } from "../output/table.js"
import { asOperator } from "../relay/moderate.js"
import { requestOptions } from "../relay/relay-request.js"

export const audit = defineCommand({
  args: {},
  options: { verify: flag("check every signature and that no entry is missing"), ...requestOptions },
  takesUrl: true,
  examples: [
    "agentchat audit --identity operator.json",
    "agentchat audit --verify --identity operator.json",
    "agentchat audit --json --identity operator.json > audit.json",
  ],
  notes: [
    "Only for an operator of the relay. Each entry is signed by its operator and has the hash of the entry before it.",
    "A relay can leave out the newest entries: compare the last number with what you saw before.",
  ],
  async run(context, input) {
    const { io, config } = context
    const entries = await asOperator(context, input, async ({ ask }) => {
      const all: AuditEntry[] = []
      for (let hasMore = true; hasMore; ) {
        const { list, more } = await ask({ type: "LIST_AUDIT", after: all.at(-1)?.seq ?? 0 })
        const page = list as readonly AuditEntry[]
        all.push(...page)
        hasMore = more === true && page.length > 0
      }
      return all
    })
    const faults = input.options.verify ? auditFaults(entries) : []
    if (faults.length > 0) {
      throw new ChatError("VERIFICATION_FAILED", `audit log: ${faults.slice(0, 5).join("; ")}`)
    }
    const verdict = input.options.verify ? { verified: true } : {}
    if (config.json) return reportSuccess(context, { list: entries, ...verdict }, [])
    printTable(io, ["NO", "TIME", "OPERATOR", "ACTION", "TARGET", { text: "REASON" }], entries.map(rowOf))
    if (input.options.verify) io.note(`${entries.length} entries, every signature and hash is right`)
    return 0
  },
})

function rowOf({ seq, ts, statement }: AuditEntry): string[] {
  const { from, action, agent, channel, grant, writers = [], reason } = statement
  const target = [channel, agent, grant, ...writers].flatMap((name) => name ?? []).join(" ")
  const by = agentIdOf(parsePublicKey(from))
  return [String(seq), new Date(ts).toISOString(), by, action, ...[target, reason].map(formatForTerminal)]
}
