import type { Loss } from "./nats-witness.js"
import type { Evidence, OutcomeLine } from "./storm-agent.js"
import { durableChannel, isRefused, openChannel, type StormLine } from "./storm-plan.js"

/** The result of comparing all files. After a successful storm, the first two lists are empty. */
export interface Verdict {
  /** Things that should be in a file and are not, so far. */
  readonly missing: readonly string[]
  /** Things that are in a file and should not be: duplicates, misplaced or out of order. */
  readonly wrong: readonly string[]
  /** Faults that are explained by an entry that NATS lost. */
  readonly excused: readonly string[]
}

type InboxRecord = Evidence["inbox"][number]

/** An accepted message. */
interface Accepted {
  readonly msgId: string
  readonly author: Evidence
  readonly line: StormLine
}

/**
 * Compares what was written with what was acknowledged and what arrived.
 * @param losses - entries that NATS acknowledged and lost
 */
export function judgeStorm(agents: readonly Evidence[], losses: readonly Loss[] = []): Verdict {
  return new Court(agents, losses).judge()
}

class Court {
  readonly #agents: readonly Evidence[]
  readonly #missing: string[] = []
  readonly #wrong: string[] = []
  readonly #excused: string[] = []
  /** `log/message` of each entry, and `task/message` of each task, that NATS lost. */
  readonly #lost: ReadonlySet<string>
  readonly #accepted = new Map<string, Accepted>()

  constructor(agents: readonly Evidence[], losses: readonly Loss[]) {
    this.#agents = agents
    this.#lost = new Set(losses.map(nameOfLoss))
  }

  judge(): Verdict {
    for (const agent of this.#agents) this.#judgeOutcomes(agent)
    for (const agent of this.#agents) this.#judgeInbox(agent)
    this.#judgeTasks()
    return { missing: this.#missing, wrong: this.#wrong, excused: this.#excused }
  }

  /** @param entries - the entries whose loss would excuse it */
  #miss(what: string, entries: readonly string[]): void {
    if (entries.some((entry) => this.#lost.has(entry))) this.#excused.push(what)
    else this.#missing.push(what)
  }

  /** Notes a fault of a task, which only the loss of its row can excuse. */
  #condemnTask(what: string, task: string): void {
    if (this.#lost.has(`task/${task}`)) this.#excused.push(what)
    else this.#wrong.push(what)
  }

  /** Checks that every line has one outcome, the expected one. */
  #judgeOutcomes(author: Evidence): void {
    const accepted = groupBy(
      author.acks.filter(({ state }) => state === "accepted"),
      ({ id }) => id ?? "",
    )
    const rejected = groupBy(author.rejected, ({ id }) => id ?? "")
    for (const line of author.written) {
      this.#judgeOutcome(author, line, accepted.get(line.id) ?? [], rejected.get(line.id) ?? [])
    }
    for (const { id, code = "" } of author.rejected) {
      const isEnding = author.endings.some((ending) => ending.id === id)
      if (isEnding && code !== "LEASE_LOST" && code !== "TASK_NOT_FOUND") {
        this.#wrong.push(`${String(id)} of ${author.name} was rejected: ${code}`)
      }
    }
    for (const { id, state } of author.acks) {
      if (state === "failed") this.#wrong.push(`the task ${String(id)} was given up`)
    }
  }

  #judgeOutcome(
    author: Evidence,
    line: StormLine,
    taken: readonly OutcomeLine[],
    refused: readonly OutcomeLine[],
  ): void {
    const [first] = taken
    if (taken.length + refused.length === 0) this.#missing.push(`an outcome of ${line.id}`)
    if (taken.length + refused.length > 1) this.#wrong.push(`several outcomes of ${line.id}`)
    if (isRefused(line) && first !== undefined) this.#wrong.push(`${line.id} to nobody was accepted`)
    if (!isRefused(line) && refused.length > 0) {
      this.#wrong.push(`${line.id} to ${line.to} was rejected: ${refused[0]?.code ?? ""}`)
    }
    if (first !== undefined) this.#accept(author, line, first)
  }

  #accept(author: Evidence, line: StormLine, { msg_id: msgId = "" }: OutcomeLine): void {
    if (msgId !== `${author.id.slice(1)}.${line.id}`) this.#wrong.push(`${line.id} is known as ${msgId}`)
    this.#accepted.set(msgId, { msgId, author, line })
  }

  /** Checks that an inbox has every message for its agent once and in order, and nothing else. */
  #judgeInbox(reader: Evidence): void {
    const messages = reader.inbox.filter(({ type }) => type === "MSG")
    const arrived = groupBy(messages, ({ msg_id }) => String(msg_id))
    for (const message of this.#accepted.values()) {
      if (isFor(message, reader) && !arrived.has(message.msgId)) {
        const { msgId, line } = message
        const log = line.to.startsWith("#") ? line.to.slice(1) : reader.id.slice(1)
        this.#miss(`${line.id} to ${line.to} in the inbox of ${reader.name}`, [`${log}/${msgId}`])
      }
    }
    for (const [msgId, copies] of arrived) {
      if (copies.length > 1) this.#wrong.push(`${msgId} is ${copies.length} times in ${reader.name}`)
      const [first] = copies
      if (first?.["in_reply_to"] !== undefined) continue
      const message = this.#accepted.get(msgId)
      if (message === undefined) this.#wrong.push(`${msgId} in ${reader.name} was not accepted`)
      else if (!isFor(message, reader) || !isFaithful(message, first, reader)) {
        this.#wrong.push(`${msgId} is wrong in ${reader.name}`)
      }
    }
    this.#judgeOrder(reader, messages)
  }

  #judgeOrder(reader: Evidence, messages: readonly InboxRecord[]): void {
    const last = new Map<string, number>()
    for (const { from, to, msg_id, in_reply_to } of messages) {
      if (in_reply_to !== undefined) continue
      const way = `${String(from)} to ${String(to)}`
      const { serial } = this.#accepted.get(String(msg_id))?.line ?? { serial: -1 }
      if (serial <= (last.get(way) ?? -1))
        this.#wrong.push(`${String(msg_id)} comes too late in ${reader.name}`)
      last.set(way, Math.max(serial, last.get(way) ?? -1))
    }
    reader.inbox.forEach(({ seq }, index) => {
      if (seq !== index + 1) this.#wrong.push(`line ${index + 1} of ${reader.name} has seq ${seq}`)
    })
  }

  /** Checks that every accepted task has one answer, from a worker whose DONE was accepted, and that no other answers exist. */
  #judgeTasks(): void {
    const offers = this.#agents.flatMap((worker) =>
      worker.inbox.filter(({ type }) => type === "TASK").map((offer) => ({ worker, offer })),
    )
    for (const [id, group] of groupBy(
      offers,
      ({ offer }) => `${String(offer["task"])}/${String(offer["attempt"])}`,
    )) {
      const names = group.map(({ worker }) => worker.name).join(", ")
      if (group.length > 1) this.#condemnTask(`${id} was given to ${names}`, String(group[0]?.offer["task"]))
    }
    for (const { worker, offer } of offers) this.#judgeOffer(worker, String(offer["task"]))
    const answers = this.#agents.flatMap((asker) =>
      asker.inbox.filter((line) => line["in_reply_to"] !== undefined).map((answer) => ({ asker, answer })),
    )
    const byTask = groupBy(answers, ({ answer }) => String(answer["in_reply_to"]))
    for (const { msgId, line, author } of this.#accepted.values()) {
      if (!line.to.startsWith("+")) continue
      const found = byTask.get(msgId) ?? []
      byTask.delete(msgId)
      const entries = [`${author.id.slice(1)}/done/${msgId}`, `task/${msgId}`]
      if (found.length === 0) this.#miss(`the answer to ${line.id} for ${author.name}`, entries)
      if (found.length > 1) this.#condemnTask(`${line.id} has ${found.length} answers`, msgId)
      for (const { asker, answer } of found) this.#judgeAnswer(asker === author, msgId, answer)
    }
    for (const task of byTask.keys()) this.#wrong.push(`an answer to ${task}, which is no accepted task`)
  }

  #judgeOffer(worker: Evidence, task: string): void {
    const accepted = this.#accepted.get(task)
    if (accepted === undefined) this.#missing.push(`the acceptance of the task ${task}`)
    else if (accepted.line.to !== `+${worker.role}` || accepted.author === worker)
      this.#wrong.push(`the task ${task} came to ${worker.name}`)
  }

  #judgeAnswer(isAtAsker: boolean, task: string, { from, content }: InboxRecord): void {
    if (!isAtAsker) this.#wrong.push(`the answer to ${task} went astray`)
    const enders = this.#agents.filter(({ endings, acks }) =>
      endings.some(
        (end) =>
          end.task === task &&
          end.type === "DONE" &&
          acks.some((ack) => ack.id === end.id && ack.state === "accepted"),
      ),
    )
    if (enders.length === 0) this.#missing.push(`the accepted end of ${task}`)
    const names = enders.map(({ name }) => name).join(", ")
    if (enders.length > 1) this.#condemnTask(`${task} was ended by ${names}`, task)
    const [ender] = enders
    if (ender === undefined) return
    const isIts = ender.endings.some((end) => end.task === task && end.content === content)
    if (ender.id !== from || !isIts) this.#condemnTask(`the answer to ${task} is not its worker's`, task)
  }
}

/** Returns the name of a lost entry: the id of an entry of a log is `log:message`, and the row of a task contains its id. */
function nameOfLoss({ stream, id, text }: Loss): string {
  if (!stream.startsWith("KV_")) return id.replace(":", "/")
  return `task/${/^\{"id":"([^"]+)"/.exec(text)?.[1] ?? ""}`
}

function isFor({ author, line }: Accepted, reader: Evidence): boolean {
  if (line.to === durableChannel || line.to === openChannel) return author !== reader
  return line.to === reader.name
}

function isFaithful({ author, line }: Accepted, found: InboxRecord | undefined, reader: Evidence): boolean {
  const to = line.to.startsWith("#") ? line.to : reader.id
  return found?.["from"] === author.id && found["to"] === to && found["content"] === line.id
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
