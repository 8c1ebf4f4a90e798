import type { ClaimEntry } from "../protocol/claims.js"
import { type ChannelFacts, Conversations } from "./conversations.js"
import { needsOf } from "./needs.js"
import type {
  AgentRow,
  Change,
  ClaimRow,
  DealRow,
  GuardRow,
  MeRow,
  MessageRow,
  PageState,
  RatingRow,
  RelayRow,
  StageRow,
  TaskRow,
} from "./shapes.js"
import { Traffic } from "./traffic.js"

/** Most agents, and most messages to the person that wait for its answer. */
const maxAgents = 1_000
const maxAsked = 100
const maxClaims = 500
/** Changed messages above which the page asks for those that it shows. */
const manyMessages = 300

/** An agent as the roster has it: a row without what is counted here. */
export type AgentFacts = Omit<AgentRow, "unanswered" | "tokens" | "unread" | "oldestTs" | "wakeLostTs">

type Section = "relay" | "me" | "needs" | "tasks" | "deals" | "guards" | "claims" | "traffic" | "ratings"

interface Known {
  facts: AgentFacts
  unread: number | undefined
  oldestTs: number | undefined
  wakeLostTs: number | undefined
  unanswered: number
}

/** The state of the page, folded from what the relay sends. Everything in it has a bound. */
export class Model {
  readonly conversations: Conversations
  readonly #now: () => number
  readonly #onChange: () => void
  #relay: RelayRow
  #me: MeRow
  readonly #agents = new Map<string, Known>()
  #tasks: readonly TaskRow[] = []
  #deals: readonly DealRow[] = []
  #guards: readonly GuardRow[] = []
  /** Since when each stop is known. */
  readonly #stoppedTs = new Map<string, number>()
  #claims: readonly ClaimEntry[] = []
  #ratings: readonly RatingRow[] = []
  /** Messages to the person without its answer, by id. */
  readonly #asked = new Map<string, MessageRow>()
  readonly #traffic = new Traffic()
  readonly #sections = new Set<Section>()
  readonly #changedAgents = new Set<string>()
  readonly #changedConversations = new Set<string>()
  readonly #changedMessages = new Set<string>()
  readonly #goneAgents = new Set<string>()
  readonly #goneConversations = new Set<string>()
  #lastNeeds = ""
  #isDirty = false

  /** @param onChange - called at the first change after {@link take} */
  constructor(start: Pick<PageState, "relay" | "me">, now: () => number, onChange: () => void = () => {}) {
    this.#relay = start.relay
    this.#me = start.me
    this.#now = now
    this.#onChange = onChange
    this.conversations = new Conversations(now())
  }

  get me(): MeRow {
    return this.#me
  }

  get agents(): Iterable<string> {
    return this.#agents.keys()
  }

  agent(id: string): AgentRow | undefined {
    const known = this.#agents.get(id)
    return known && this.#rowOf(known)
  }

  setMe(me: MeRow): void {
    this.#me = me
    this.#touch("me", "needs")
  }

  setRelay(relay: RelayRow): void {
    this.#relay = relay
    this.#touch("relay")
  }

  /** Replaces the roster. */
  setAgents(list: readonly AgentFacts[]): void {
    const listed = new Set(list.map(({ id }) => id))
    for (const id of this.#agents.keys()) {
      if (listed.has(id)) continue
      this.#agents.delete(id)
      this.#changedAgents.delete(id)
      this.#goneAgents.add(id)
    }
    for (const facts of list.slice(0, maxAgents)) this.#setAgent(facts)
    this.#touch("needs")
  }

  /** Notes a new status of an agent. */
  setPresence(id: string, change: Pick<AgentFacts, "state"> & Partial<AgentFacts>): void {
    const known = this.#agents.get(id)
    if (known === undefined) return
    const { activity: _activity, ...facts } = known.facts
    this.#setAgent({ ...facts, ...change, id })
    this.#touch("needs")
  }

  setMail(id: string, unread: number, oldestTs: number | undefined): void {
    const known = this.#agents.get(id)
    if (known === undefined || (known.unread === unread && known.oldestTs === oldestTs)) return
    known.unread = unread
    known.oldestTs = oldestTs
    this.#changedAgents.add(id)
    this.#touch("needs")
  }

  /** Adds a message. @param to - ids of the agents that it addresses @returns false if it is known */
  addMessage(message: MessageRow, title: string, to: readonly string[]): boolean {
    if (!this.conversations.add(message, title)) return false
    this.#changedMessages.add(message.id)
    this.#changedConversations.add(message.conversation)
    this.#traffic.add(message, to)
    for (const id of to) {
      const known = this.#agents.get(id)
      if (known === undefined || (known.facts.answeredTs ?? 0) >= message.ts) continue
      known.unanswered++
      this.#changedAgents.add(id)
    }
    const sender = this.#agents.get(message.from)
    if (sender !== undefined) {
      sender.unanswered = 0
      const answeredTs = Math.max(sender.facts.answeredTs ?? 0, message.ts)
      sender.facts = { ...sender.facts, answeredTs }
      this.#changedAgents.add(message.from)
    }
    this.#noteAsked(message)
    this.#touch("needs", "traffic")
    return true
  }

  addStage(id: string, stage: StageRow): void {
    if (!this.conversations.addStage(id, stage)) return
    this.#changedMessages.add(id)
    this.#touch()
  }

  setChannel(name: string, facts: ChannelFacts): void {
    if (!this.conversations.setChannel(name, facts)) return
    this.#changedConversations.add(name)
    this.#touch()
  }

  /** Opens the thread with an agent. */
  openThread(agent: string, title: string): void {
    this.conversations.open(agent, title)
    this.#changedConversations.add(agent)
    this.#touch()
  }

  removeChannel(name: string): void {
    this.conversations.remove(name)
    this.#changedConversations.delete(name)
    this.#goneConversations.add(name)
    this.#touch()
  }

  /** Notes that the person has read a conversation up to a time. */
  markRead(key: string, ts: number): boolean {
    if (!this.conversations.markRead(key, ts)) return false
    this.#changedConversations.add(key)
    this.#touch()
    return true
  }

  /** Takes a message that the person has seen to, without an answer, off the list. */
  settle(message: string): void {
    if (this.#asked.delete(message)) this.#touch("needs")
  }

  setTasks(tasks: readonly TaskRow[]): void {
    this.#replace("tasks", this.#tasks, tasks, () => (this.#tasks = tasks))
  }

  setDeals(deals: readonly DealRow[]): void {
    this.#replace("deals", this.#deals, deals, () => (this.#deals = deals))
  }

  setRatings(ratings: readonly RatingRow[]): void {
    this.#replace("ratings", this.#ratings, ratings, () => (this.#ratings = ratings))
  }

  setClaims(claims: readonly ClaimEntry[]): void {
    const some = claims.slice(0, maxClaims)
    this.#replace("claims", this.#claims, some, () => (this.#claims = some))
  }

  setGuards(guards: readonly GuardRow[]): void {
    const stops = new Set(guards.filter(({ tripped }) => tripped).map(stopKey))
    for (const key of this.#stoppedTs.keys()) if (!stops.has(key)) this.#stoppedTs.delete(key)
    for (const key of stops) if (!this.#stoppedTs.has(key)) this.#stoppedTs.set(key, this.#now())
    this.#replace("guards", this.#guards, guards, () => (this.#guards = guards))
  }

  /** Returns everything. */
  snapshot(): PageState {
    const conversations = [...this.conversations.keys()].flatMap((key) => this.conversations.row(key) ?? [])
    return {
      relay: this.#relay,
      me: this.#me,
      agents: Array.from(this.#agents.values(), (known) => this.#rowOf(known)),
      conversations,
      needs: this.#needs(),
      tasks: this.#tasks,
      deals: this.#deals,
      guards: this.#guards,
      claims: this.#claims.map(claimRowOf),
      traffic: this.#traffic.edges(),
      ratings: this.#ratings,
    }
  }

  /** Returns what changed since the last call; undefined if nothing did. */
  take(): Change | undefined {
    this.#isDirty = false
    const change: { -readonly [K in keyof Change]: Change[K] } = { now: this.#now() }
    const agents = [...this.#changedAgents].flatMap((id) => this.agent(id) ?? [])
    const conversations = [...this.#changedConversations].flatMap((key) => this.conversations.row(key) ?? [])
    if (agents.length > 0) change.agents = agents
    if (conversations.length > 0) change.conversations = conversations
    if (this.#goneAgents.size > 0) change.goneAgents = [...this.#goneAgents]
    if (this.#goneConversations.size > 0) change.goneConversations = [...this.#goneConversations]
    if (this.#changedMessages.size > manyMessages) change.manyMessages = true
    else if (this.#changedMessages.size > 0)
      change.messages = [...this.#changedMessages].flatMap((id) => this.conversations.find(id) ?? [])
    this.#takeSections(change)
    for (const set of [this.#changedAgents, this.#changedConversations, this.#changedMessages]) set.clear()
    for (const set of [this.#sections, this.#goneAgents, this.#goneConversations]) set.clear()
    return Object.keys(change).length > 1 ? change : undefined
  }

  #takeSections(change: { -readonly [K in keyof Change]: Change[K] }): void {
    const sections = this.#sections
    if (sections.has("relay")) change.relay = this.#relay
    if (sections.has("me")) change.me = this.#me
    if (sections.has("tasks")) change.tasks = this.#tasks
    if (sections.has("deals")) change.deals = this.#deals
    if (sections.has("guards")) change.guards = this.#guards
    if (sections.has("claims")) change.claims = this.#claims.map(claimRowOf)
    if (sections.has("traffic")) change.traffic = this.#traffic.edges()
    if (sections.has("ratings")) change.ratings = this.#ratings
    if (!sections.has("needs")) return
    const needs = this.#needs()
    const text = JSON.stringify(needs)
    if (text === this.#lastNeeds) return
    this.#lastNeeds = text
    change.needs = needs
  }

  #needs() {
    return needsOf({
      me: this.#me,
      agents: Array.from(this.#agents.values(), (known) => this.#rowOf(known)),
      tasks: this.#tasks,
      deals: this.#deals,
      guards: this.#guards,
      stoppedTs: this.#stoppedTs,
      claims: this.#claims,
      asked: this.#asked.values(),
      now: this.#now(),
    })
  }

  #setAgent(facts: AgentFacts): void {
    const known = this.#agents.get(facts.id)
    this.#goneAgents.delete(facts.id)
    if (known === undefined) {
      const none = { unread: undefined, oldestTs: undefined, wakeLostTs: undefined, unanswered: 0 }
      this.#agents.set(facts.id, { facts, ...none })
      this.#changedAgents.add(facts.id)
      return
    }
    const before = JSON.stringify(this.#rowOf(known))
    const hadProof = known.facts.wake !== undefined || known.wakeLostTs !== undefined
    const answeredTs = Math.max(known.facts.answeredTs ?? 0, facts.answeredTs ?? 0)
    known.facts = answeredTs > 0 ? { ...facts, answeredTs } : facts
    if (facts.wake !== undefined) known.wakeLostTs = undefined
    else if (hadProof) known.wakeLostTs ??= this.#now()
    if (JSON.stringify(this.#rowOf(known)) !== before) this.#changedAgents.add(facts.id)
  }

  #rowOf({ facts, unread, oldestTs, wakeLostTs, unanswered }: Known): AgentRow {
    return {
      ...facts,
      unanswered,
      tokens: this.#traffic.tokensOf(facts.id, this.#now()),
      ...(unread !== undefined && { unread }),
      ...(oldestTs !== undefined && { oldestTs }),
      ...(wakeLostTs !== undefined && { wakeLostTs }),
    }
  }

  /** A message to the person waits for its answer: the next thing that it says to that agent or in that channel. */
  #noteAsked(message: MessageRow): void {
    if (message.isMine) {
      for (const [id, asked] of this.#asked) if (isAnswerTo(asked, message)) this.#asked.delete(id)
      return
    }
    if (!this.#isQuestion(message) || message.ts <= this.#readTsOf(message.conversation)) return
    this.#asked.set(message.id, message)
    const [oldest] = this.#asked.keys()
    if (this.#asked.size > maxAsked && oldest !== undefined) this.#asked.delete(oldest)
  }

  /** An answer to the person, and what is only told, asks nothing. */
  #isQuestion({ isForMe, kind, re }: MessageRow): boolean {
    if (!isForMe || (kind !== undefined && kind !== "request")) return false
    const isAnswer = re !== undefined && this.conversations.find(re)?.isMine === true
    return kind === "request" || !isAnswer
  }

  /** A message that was there before the person came is no question any more, unless it has never seen the thread. */
  #readTsOf(conversation: string): number {
    return conversation.startsWith("@") ? 0 : (this.conversations.row(conversation)?.readTs ?? 0)
  }

  #replace<T>(section: Section, before: T, after: T, set: () => void): void {
    if (JSON.stringify(before) === JSON.stringify(after)) return
    set()
    this.#touch(section, "needs")
  }

  #touch(...sections: readonly Section[]): void {
    for (const section of sections) this.#sections.add(section)
    if (this.#isDirty) return
    this.#isDirty = true
    this.#onChange()
  }
}

function isAnswerTo(asked: MessageRow, { re, conversation, ts }: MessageRow): boolean {
  return asked.id === re || (asked.conversation === conversation && asked.ts <= ts)
}

function stopKey({ layer, scope }: GuardRow): string {
  return `${layer} ${scope}`
}

function claimRowOf({ owner, name, repo, paths, note, expires_ts }: ClaimEntry): ClaimRow {
  return { owner, name, repo, paths, ...(note !== undefined && { note }), expiresTs: expires_ts }
}
