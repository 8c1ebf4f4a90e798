/** The lists that a person asks for in a chat: what waits for people, history, threads, deals and tasks. */
import { formatForTerminal } from "../../base/visible-text.js"
import type { AgentChatClient } from "../../client/client.js"
import { ChatError } from "../../protocol/errors.js"
import { humanRole } from "../../protocol/questions.js"
import type { ServerMessage, TaskEntry } from "../../protocol/server-messages.js"
import { proposalIdOf } from "../../protocol/verbs.js"
import { formatMinute } from "../output/time.js"

const pageMessages = 20
const maxText = 300
const maxThreadSearch = 200

/** The parts of a chat that its lists use. */
interface ViewsOptions {
  readonly client: () => AgentChatClient
  readonly nowMs: () => number
  readonly print: (line: string) => void
  readonly note: (text: string) => void
  /** Prints a message as it is printed when it arrives. */
  readonly printMessage: (message: ServerMessage<"MSG">) => void
}

/** The lists of one chat. A number in a list stands for its entry until the next list of its kind. */
export class ChatViews {
  readonly #options: ViewsOptions
  /** The questions of the last {@link needs}, and those that arrived since; undefined for one that has ended. */
  #needs: (TaskEntry | undefined)[] = []
  /** Where the next older page of a channel's history ends. */
  readonly #before = new Map<string, number>()

  constructor(options: ViewsOptions) {
    this.#options = options
  }

  /** Prints a question that was just asked. */
  showNeed(task: TaskEntry): void {
    if (this.#needs.some((known) => known?.task === task.task)) return
    const number = this.#needs.push(task)
    this.#options.note(`needs you: ${this.#describe(task, number)}; /answer ${number} TEXT`)
  }

  /** Forgets a question that was answered by somebody else, or expired. */
  dropNeed(task: string, reason: string): void {
    const number = this.#forget(task)
    if (number > 0) this.#options.note(`no longer needs you: ${number}: ${formatForTerminal(reason)}`)
  }

  /** @returns the number of the question; 0 if it is not known */
  #forget(task: string): number {
    const index = this.#needs.findIndex((known) => known?.task === task)
    if (index >= 0) this.#needs[index] = undefined
    return index + 1
  }

  /** Lists the questions to people and the agents that wait, the oldest first. */
  async needs(): Promise<void> {
    const client = this.#options.client()
    const { list } = await client.request({ type: "LIST_TASKS", role: humanRole })
    const open = list.filter(({ from }) => from !== client.agentId)
    this.#needs = open
    for (const [index, task] of open.entries()) this.#options.print(`  ${this.#describe(task, index + 1)}`)
    const waiting = (await client.listAgents()).filter(({ status }) => status === "waiting")
    for (const { name, id, activity = "" } of waiting)
      this.#options.print(`  waiting: ${cut(name)} ${id}  ${cut(activity)}`.trimEnd())
    if (open.length + waiting.length === 0) this.#options.note("nothing needs you")
  }

  /** Answers a question of {@link needs}. @param which - its number; with one question, also the beginning of the answer */
  async answer(which: string, others: string): Promise<void> {
    const isNumber = /^\d{1,4}$/.test(which) && others !== ""
    const open = this.#needs.filter((need) => need !== undefined)
    const task = isNumber ? this.#needs[Number(which) - 1] : open.length === 1 ? open[0] : undefined
    if (task === undefined) {
      throw new ChatError("USAGE", "/answer: which question?", {
        hint: "see /needs; then: /answer NUMBER TEXT",
      })
    }
    await this.#options.client().answer(task.task, isNumber ? others : `${which} ${others}`.trim())
    this.#forget(task.task)
    this.#options.note(`answered ${formatForTerminal(task.name)}`)
  }

  /** Prints the page of history before the one printed last. */
  async history(channel: string): Promise<void> {
    const before = this.#before.get(channel)
    const query = before === undefined ? {} : { before }
    const page = await this.#options.client().listMessages({ channel, limit: pageMessages, ...query })
    if (page.list.length === 0) this.#options.note("no earlier messages")
    else this.#printAll(page)
    this.#before.set(channel, page.next)
    if (page.more === true) this.#options.note("earlier messages: /history")
  }

  /** Finds messages by words, in all channels. */
  async search(text: string): Promise<void> {
    if (text === "")
      throw new ChatError("USAGE", "/search: name the words", { hint: "such as: /search release date" })
    const page = await this.#options.client().listMessages({ text, limit: pageMessages })
    if (page.list.length === 0) this.#options.note("nothing found")
    else this.#printAll(page)
    if (page.partial === true) this.#options.note("not everything was searched: the relay has no index")
  }

  /** Prints the conversation around a message. */
  async thread(messageId: string): Promise<void> {
    this.#printAll(await this.#options.client().listMessages({ thread: messageId, limit: maxThreadSearch }))
  }

  /** Lists the open deals, or makes a step in one: accept, reject, complete or dispute. */
  async deal(id: string, step: string, text: string): Promise<void> {
    const client = this.#options.client()
    const said = text === "" ? undefined : text
    if (step === "accept") await client.accept(id)
    else if (step === "reject") await client.reject(id, said)
    else if (step === "complete") await client.complete(id, said)
    else if (step === "dispute") await client.dispute(id, text)
    else if (step !== "")
      throw new ChatError("USAGE", "/deal: accept, reject, complete or dispute", { hint: "/deal ID accept" })
    if (step !== "") {
      this.#options.note(`${step}: ${formatForTerminal(id)}`)
      return
    }
    const deals = (await client.proposals()).filter((deal) => id === "" || proposalIdOf(deal) === id)
    for (const deal of deals.slice(-pageMessages)) {
      const texts = [proposalIdOf(deal), deal.state, deal.from, deal["task"]]
      this.#options.print(`  ${texts.map(cut).join("  ")}`)
    }
    if (deals.length === 0) this.#options.note("no deals")
  }

  /** Lists the tasks that are not finished. */
  async tasks(): Promise<void> {
    const { list } = await this.#options.client().request({ type: "LIST_TASKS" })
    for (const { task, role, name, content, worker = "waits" } of list)
      this.#options.print(`  ${[`+${role}`, worker, name, content, task].map(cut).join("  ")}`)
    if (list.length === 0) this.#options.note("no tasks")
  }

  #printAll({ list }: ServerMessage<"MESSAGES">): void {
    for (const message of list) this.#options.printMessage(message as unknown as ServerMessage<"MSG">)
  }

  #describe(
    { name, from, content, choices, schema, expires_ts: end, default: fallback }: TaskEntry,
    number: number,
  ): string {
    const nowMs = this.#options.nowMs()
    const form =
      choices === undefined ? (schema === undefined ? "" : " [JSON]") : ` [${choices.map(cut).join(" | ")}]`
    const otherwise = fallback === undefined ? "" : `, else ${cut(fallback)}`
    const expiry = end === undefined ? "" : ` (until ${formatMinute(end, nowMs)}${otherwise})`
    return `${number}  ${cut(name)} ${from}: ${cut(content)}${form}${expiry}`
  }
}

/** Returns a text of another agent on one line, not too long. */
function cut(text: string): string {
  const shown = formatForTerminal(text.slice(0, maxText).replaceAll(/\s+/g, " "))
  return text.length > maxText ? `${shown}…` : shown
}
