import { createHash } from "node:crypto"
import { appendPlain } from "../../base/files.js"
import { isPlain, omitUndefined } from "../../base/plain.js"
import { formatJsonLine } from "../../base/visible-text.js"
import type { Deal } from "../../proposals/deal.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import { formatMessageId } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import { humanRole } from "../../protocol/questions.js"
import type { Draft } from "../../protocol/statements.js"
import type { FileProblems } from "../files/file-problems.js"
import type { DaemonMemory } from "../session/daemon-memory.js"

/** Most deals that wait for a person, or were approved. */
const maxApprovals = 1_000
/** The longest life of a question, in seconds. */
const maxTtl = 604_800
/** Characters of a task and of its terms in the question. */
const shownCharacters = 2_000

/** The approval of one deal, in memory.json. */
interface Approval {
  /** The outbox line of the question. */
  readonly question: { readonly id: string }
  readonly payment_code?: string
  /** The answer of the person; absent while nobody has answered. */
  readonly answer?: string
  /** True once the outbox has the line that follows from the answer. */
  readonly isWritten?: true
}

/** The parts of a daemon that approvals use. */
interface ApprovalsOptions {
  readonly memory: DaemonMemory
  /** Path of outbox.jsonl. */
  readonly outbox: string
  readonly problems: FileProblems
  readonly now: () => number
  readonly self: () => string
  readonly dealOf: (proposalId: string) => Deal | undefined
  /** True to ask before every ACCEPT. */
  readonly isRequired: boolean
}

/**
 * Asks people before a deal is accepted. memory.json has the question before the outbox does, and the answer before the
 * line that follows from it, so that a crash in between repeats a line of the same id and content.
 */
export class Approvals {
  readonly #options: ApprovalsOptions

  constructor(options: ApprovalsOptions) {
    this.#options = options
  }

  /**
   * Asks people about an ACCEPT instead of sending it.
   * @returns the facts for its ack; undefined for a draft to be sent now
   * @throws {ChatError} PROPOSAL_NOT_FOUND, FILE_FAILED
   */
  gate(draft: Draft): Readonly<Record<string, unknown>> | undefined {
    if (draft.type !== "ACCEPT" || !(this.#options.isRequired || draft.ask === true)) return undefined
    const { proposal_id: id } = draft
    const known = this.#approvals[id]
    if (known?.answer === "yes") return undefined
    const deal = this.#options.dealOf(id)
    if (deal === undefined)
      throw new ChatError("PROPOSAL_NOT_FOUND", "proposal_id: no proposal that a person could be asked about")
    if (deal.state !== "pending") return undefined
    const question = known?.question ?? this.#questionAbout(deal)
    if (known === undefined)
      this.#note(id, { question, ...omitUndefined({ payment_code: draft.payment_code }) })
    this.#save()
    if (!this.#write(question)) throw new ChatError("FILE_FAILED", "outbox: the question cannot be written")
    const to = agentIdOfDid(deal.chain[0].from)
    const approval = formatMessageId(this.#options.self() as AgentId, question.id)
    return { proposal_id: id, state: deal.state, to, approval }
  }

  /** Takes the answer to a question, or undefined if it expired. Other questions are left alone. */
  onAnswer(task: string, answer: string | undefined): void {
    const self = this.#options.self() as AgentId
    const found = Object.entries(this.#approvals).find(
      ([, { question }]) => formatMessageId(self, question.id) === task,
    )
    const [id, approval] = found ?? []
    if (id === undefined || approval === undefined || approval.answer !== undefined) return
    this.#note(id, { ...approval, answer: answer ?? "expired" })
    this.sweep()
  }

  /** Writes the lines that follow from answers, as soon as the disk allows it. */
  sweep(): void {
    for (const [id, approval] of Object.entries(this.#approvals)) {
      const { answer, isWritten, payment_code } = approval
      if (answer === undefined || isWritten === true) continue
      this.#save()
      const key = keyOf(id)
      const line =
        answer === "yes"
          ? { type: "ACCEPT", id: `approved.${key}`, proposal_id: id, ...omitUndefined({ payment_code }) }
          : { type: "REJECT", id: `refused.${key}`, proposal_id: id, reason: reasonOf(answer) }
      if (this.#write(line)) this.#note(id, { ...approval, isWritten: true })
    }
  }

  get #approvals(): Readonly<Record<string, Approval>> {
    const { approvals } = this.#options.memory.state
    return isPlain(approvals) ? (approvals as Record<string, Approval>) : {}
  }

  #note(id: string, approval: Approval): void {
    const { [id]: _before, ...others } = this.#approvals
    const entries = Object.entries(others).slice(-maxApprovals + 1)
    this.#options.memory.note({ approvals: { ...Object.fromEntries(entries), [id]: approval } })
  }

  /** @throws {ChatError} FILE_FAILED */
  #save(): void {
    const problem = this.#options.memory.save()
    if (problem !== undefined) throw problem
  }

  /** @returns false if the file system refused */
  #write(line: object): boolean {
    const { problems, outbox } = this.#options
    return problems.attempt("outbox.jsonl", "written", () => appendPlain(outbox, `${formatJsonLine(line)}\n`))
  }

  #questionAbout({ id, chain: [{ from, task, amount, currency, terms, ts, expires }] }: Deal) {
    const price = amount === undefined ? "" : `\nprice: ${[amount, currency].filter(Boolean).join(" ")}`
    const conditions = terms === undefined ? "" : `\nterms: ${terms.slice(0, shownCharacters)}`
    const leftS = Math.floor((ts + expires * 1_000 - this.#options.now()) / 1_000)
    return {
      type: "MSG",
      id: `approve.${keyOf(id)}`,
      to: `+${humanRole}`,
      content: `Accept the deal ${id} with ${agentIdOfDid(from)}?\ntask: ${task.slice(0, shownCharacters)}${price}${conditions}`,
      choices: ["yes", "no"],
      default: "no",
      // A rejection after the expiry of the deal would be refused.
      ttl_s: Math.max(1, Math.min(Math.floor(leftS * 0.9), maxTtl)),
    }
  }
}

function reasonOf(answer: string): string {
  return answer === "expired" ? "no person approved it in time" : "a person did not approve it"
}

/** Returns a text for ids that names a deal; the id of a proposal may be too long for that. */
function keyOf(proposalId: string): string {
  return createHash("sha256").update(proposalId).digest("base64url").slice(0, 22)
}
