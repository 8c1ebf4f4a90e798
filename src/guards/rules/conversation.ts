import { LruMap } from "../../base/lru-map.js"
import type { GuardMessage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries, loadEntries } from "../saved.js"
import { authorIn, channelOf, classIn, isDirect, isUnder } from "../scopes.js"
import { type Drain, type Moment, type SavedCount, SharedCount } from "../shared-count.js"
import { type Speaker, Speakers } from "../speakers.js"
import { type Count, noCounts, Rule, type Used } from "./rule.js"

/** The talk of one channel, of one role, or of two agents. */
interface Talk {
  readonly speakers: Speakers
  /** The speakers of statuses that are addressed to nobody; absent until there is one. */
  statuses: Speakers | undefined
}

/** A channel: strangers must not make a conversation of what its other agents say, but not escape it either. */
interface Channel {
  /** The talk of those that count by themselves. */
  readonly known: Talk
  /** The talk of everybody since the first message of somebody with a shared origin. */
  mixed: Talk | undefined
}

interface SavedSpeakers {
  readonly speakers: readonly Speaker[]
  readonly statuses?: readonly Speaker[]
}

/** State that the rule saves. */
interface SavedTalk {
  readonly seq: number
  readonly read: unknown
  readonly channels: readonly [
    name: string,
    channel: { readonly known: SavedSpeakers; readonly mixed?: SavedSpeakers },
  ][]
  readonly returns: readonly [scope: string, count: SavedCount][]
}

/** How a message continues the talk of its channel. */
interface Standing {
  /** Returns it counts as: 1 if the author comes back after others, 2 if its own words came back to it. */
  readonly returns: number
  /** The author speaks without regard to others. */
  readonly isFeed: boolean
  /** Nobody else has spoken since the author did, which was not just now. */
  readonly isAlone: boolean
}

const stranger: Standing = { returns: 0, isFeed: false, isAlone: false }

const channelsKept = 2_048
const savedCharacters = 160_000
const savedReturns = 50_000

/**
 * Limits how often agents come back to speak in one channel: `conversationTurns` times together and `conversationOwn` times
 * each. A return is a message whose author has spoken before, after another agent that has spoken before as well; a feed,
 * which speaks without regard to others, has none. Finished work or an operator's word clears the count, and an author that
 * only drops in is never stopped.
 */
export class ConversationRule extends Rule {
  readonly name = "conversation"
  readonly liftedBy = "progress"
  readonly #drain: Drain = drainOf(this.limits)
  readonly #channels = new LruMap<string, Channel>(channelsKept)
  /** The returns in each channel, and those of each shared origin there. */
  readonly #returns = new LruMap<string, SharedCount>(channelsKept)
  readonly #readState = new ReadState()
  #seq = 0
  /** How the message checked last continues its channel. */
  #standing = stranger

  override refill(agents: readonly string[], ts: number): void {
    for (const [scope, returns] of this.#returns) {
      if (!returns.refill(agents, this.#momentOf(scope, ts))) continue
      if (returns.agents.length === 0) this.stops.lift(this.name, scope)
      else for (const agent of agents) this.stops.lift(this.name, authorIn(agent, channelOf(scope)))
    }
  }

  save(): string {
    const channels = formatEntries(this.#channels, savedCharacters)
    const returns = formatEntries(this.#returns, savedReturns)
    return `{"seq":${this.#seq},"channels":${channels},"returns":${returns},"read":${this.#readState.save()}}`
  }

  load(state: unknown): void {
    const { seq, channels, returns, read } = state as SavedTalk
    this.#seq = seq
    this.#readState.load(read)
    for (const [name, { known, mixed }] of channels)
      this.#channels.set(name, { known: this.#makeTalk(known), mixed: mixed && this.#makeTalk(mixed) })
    for (const [scope, count] of returns) this.#returns.set(scope, SharedCount.load(this.#drain, count))
  }

  count(message: GuardMessage): readonly Count[] {
    const { ts } = message
    const channel = this.#channels.peek(message.channel)
    const talk = message.sharedOrigin === undefined ? channel?.known : channel?.mixed
    this.#standing = talk === undefined ? stranger : this.#standingOf(message, talk)
    const isReturn = this.#standing.returns > 0
    // A plain status passes also where others are stopped, as long as it is no return.
    if (talk === undefined || (!isReturn && isPlainStatus(message))) return noCounts
    const returns =
      this.#returns.peek(classIn(message)) ?? (isReturn ? new SharedCount(this.#drain, ts) : undefined)
    return returns === undefined ? noCounts : this.#countReturns(returns, message)
  }

  take(message: GuardMessage): void {
    const { channel: name, from, ts, to, sharedOrigin } = message
    const seq = ++this.#seq
    for (const agent of to) this.#readState.pass(from, agent, seq)
    const isStatus = isPlainStatus(message)
    this.#takeReturns(message, isStatus, ts)
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      channel = { known: this.#makeTalk(), mixed: undefined }
      this.#channels.set(name, channel)
    }
    if (sharedOrigin !== undefined) channel.mixed ??= this.#makeTalk()
    const moment = this.#momentOf(classIn(message), ts)
    for (const talk of [sharedOrigin === undefined ? channel.known : undefined, channel.mixed]) {
      if (talk === undefined) continue
      if (!isStatus) talk.speakers.note(message, seq, moment)
      else if (!isDirect(name)) {
        talk.statuses ??= this.#makeStatuses()
        talk.statuses.note(message, seq, moment)
      }
    }
  }

  #countReturns(returns: SharedCount, message: GuardMessage): readonly Count[] {
    const { from, channel: name, ts } = message
    const scope = classIn(message)
    const moment = this.#momentOf(scope, ts)
    const cost = this.#costOf(from, returns, moment)
    const { conversationTurns, conversationOwn, conversationEach } = this.limits
    const own = returns.ownAt(from, moment)
    const used = returns.usedAt(moment)
    const isOwnLow = own + cost < conversationOwn * this.warnShare
    if (this.stops.isEmpty && isOwnLow && used + cost < conversationTurns * this.warnShare) return noCounts
    const counts: Count[] = []
    const evidence = returns.ids
    const ownScope = authorIn(from, name)
    if (!this.isQuiet(ownScope, own + cost, conversationOwn, ts))
      counts.push({ scope: ownScope, used: own, cost, limit: conversationOwn, evidence })
    if (this.isQuiet(scope, used + cost, conversationTurns, ts)) return counts
    // Those of one origin count as one, so a new one that comes back has taken what all took.
    const isShared = scope !== name
    const agents = isShared ? 1 : returns.agentsAt(moment)
    const limit = Math.max(conversationTurns, conversationEach * agents)
    const isNew = isShared && own === 0 && cost > 0
    if (isNew || returns.isHeavy(from, moment, cost, limit, this.limits))
      counts.push({ scope, shown: name, used, cost, limit, evidence })
    return counts
  }

  #takeReturns(message: GuardMessage, isStatus: boolean, ts: number): void {
    const { from, id } = message
    const scope = classIn(message)
    let returns = this.#returns.get(scope)
    if (returns === undefined) {
      if (this.#standing.returns === 0) return
      returns = new SharedCount(this.#drain, ts)
      this.#returns.set(scope, returns)
    }
    const moment = this.#momentOf(scope, ts)
    // An agent that turns out to be a feed, before anybody is stopped, never came back to speak.
    if (this.#standing.isFeed && !isStatus && !moment.isPaused && returns.ownAt(from, moment) > 0)
      returns.remove(from, moment)
    const cost = this.#costOf(from, returns, moment)
    if (cost > 0) returns.add(from, cost, id, moment)
  }

  reasonFor({ used }: Pick<Count, "used">): string {
    return `agents came back to speak here ${Math.ceil(used)} times and no work was finished: finish something, or let an operator decide`
  }

  usedBy(agent: string, ts: number): Used[] {
    const { conversationTurns, conversationOwn, conversationRegainMs } = this.limits
    return [...this.#returns].flatMap(([scope, returns]) => {
      const moment = this.#momentOf(scope, ts)
      const own = Math.ceil(returns.ownAt(agent, moment))
      if (own === 0) return []
      const used = Math.ceil(returns.usedAt(moment))
      const ownMs = Math.ceil(1 / this.#drain.own)
      const ownScope = authorIn(agent, channelOf(scope))
      return [
        { scope, used, limit: conversationTurns, freeInMs: conversationRegainMs },
        { scope: ownScope, used: own, limit: conversationOwn, freeInMs: ownMs },
      ]
    })
  }

  forget(scope: string | undefined): void {
    deleteWhere(this.#channels, (name) => isUnder(name, scope))
    deleteWhere(this.#returns, (key) => isUnder(key, scope))
    const [agent = "", channel] = scope?.split(" in ") ?? []
    if (!agent.startsWith("@") || agent.includes(" ")) return
    for (const [key, returns] of this.#returns)
      if (channel === undefined || channelOf(key) === channel)
        returns.remove(agent, { ts: 0, isPaused: true })
  }

  #standingOf(message: GuardMessage, { speakers, statuses }: Talk): Standing {
    const { from, ts, to, answers, channel } = message
    const moment = this.#momentOf(classIn(message), ts)
    if (isPlainStatus(message))
      return statuses === undefined ? stranger : statusStanding(from, statuses, moment)
    const me = speakers.find(from, moment)
    if (me === undefined) return stranger
    const isAlone = speakers.isAlone(me, ts)
    const isFeed = answers === undefined && to.length === 0 && speakers.isFeeding(me, ts)
    if (isFeed) return { returns: 0, isFeed, isAlone }
    if (speakers.isReturn(me, moment)) return { returns: 1, isFeed, isAlone }
    const isCircle = isDirect(channel) && this.#readState.hasReached(to, from, me.last)
    return { returns: isCircle ? 2 : 0, isFeed, isAlone }
  }

  /** Where somebody is stopped, an author that took little and goes on alone answers nobody any more. */
  #costOf(from: string, count: SharedCount, moment: Moment): number {
    const { returns, isAlone } = this.#standing
    if (!isAlone || returns === 0 || !moment.isPaused) return returns
    return count.isLight(from, moment, this.limits) ? 0 : returns
  }

  /** A count does not drain while somebody it counts is stopped and still tries. */
  #momentOf(scope: string, ts: number): Moment {
    return { ts, isPaused: !this.stops.isEmpty && this.#isStuck(scope, ts) }
  }

  #isStuck(scope: string, ts: number): boolean {
    const isStopped = (stopped: string) => this.stops.find(this.name, stopped, ts) !== undefined
    if (isStopped(scope)) return true
    const agents = this.#returns.peek(scope)?.agents ?? []
    return agents.some((agent) => isStopped(authorIn(agent, channelOf(scope))))
  }

  #makeTalk({ speakers, statuses }: SavedSpeakers = { speakers: [] }): Talk {
    return { speakers: this.#makeSpeakers(speakers), statuses: statuses && this.#makeStatuses(statuses) }
  }

  /** By twice the time of one return the count has regained what a forgotten speaker's return would cost. */
  #makeSpeakers(state: readonly Speaker[] = []): Speakers {
    return Speakers.load(this.limits, 2 * this.limits.conversationRegainMs, state)
  }

  #makeStatuses(state: readonly Speaker[] = []): Speakers {
    return Speakers.load(this.limits, this.limits.slowWindowMs, state)
  }
}

function drainOf({ conversationRegainMs, conversationOwn, conversationTurns }: GuardLimits): Drain {
  const perMs = 1 / conversationRegainMs
  return { used: perMs, own: (perMs * conversationOwn) / conversationTurns, addsUp: true }
}

function statusStanding(from: string, statuses: Speakers, moment: Moment): Standing {
  const me = statuses.find(from, moment)
  if (me === undefined) return stranger
  return {
    returns: statuses.isStatusLoop(me) ? 1 : 0,
    isFeed: true,
    isAlone: statuses.isAlone(me, moment.ts),
  }
}

/** Reports whether a message only says how things are, to nobody, and answers nothing. */
function isPlainStatus({ kind, to, answers }: GuardMessage): boolean {
  return kind === "status" && to.length === 0 && answers === undefined
}

/** The authors whose words have reached an agent, and the sequence number of each author's last message. */
interface Words {
  readonly ids: string[]
  readonly seqs: number[]
}

const readersKept = 4_096
/** Authors followed on their way to one agent. */
const authorsKept = 16
const savedReaders = 30_000

/** Whose words have reached whom by direct messages and mentions, through however many other agents. */
class ReadState {
  readonly #words = new LruMap<string, Words>(readersKept)

  /** Everything that has reached `from` goes on to `to` with its message. */
  pass(from: string, to: string, seq: number): void {
    if (from === to) return
    let words = this.#words.get(to)
    if (words === undefined) {
      words = { ids: [], seqs: [] }
      this.#words.set(to, words)
    }
    addWord(words, from, seq)
    const theirs = this.#words.peek(from)
    if (theirs === undefined) return
    for (let n = 0; n < theirs.ids.length; n++) {
      const id = theirs.ids[n] ?? ""
      if (id !== to) addWord(words, id, theirs.seqs[n] ?? 0)
    }
  }

  /** Reports whether a message that one of `authors` sent after `seq` has reached an agent. */
  hasReached(authors: readonly string[], agent: string, seq: number): boolean {
    const words = this.#words.peek(agent)
    return words !== undefined && authors.some((author) => (words.seqs[words.ids.indexOf(author)] ?? 0) > seq)
  }

  save(): string {
    return formatEntries(this.#words, savedReaders)
  }

  load(state: unknown): void {
    loadEntries(this.#words, state)
  }
}

/** Adds an author's message, in the place of the oldest one if there are too many. */
function addWord({ ids, seqs }: Words, author: string, seq: number): void {
  const known = ids.indexOf(author)
  const place = known >= 0 || ids.length < authorsKept ? known : seqs.indexOf(Math.min(...seqs))
  if (place < 0) {
    ids.push(author)
    seqs.push(seq)
  } else if (seq > (seqs[place] ?? 0)) {
    ids[place] = author
    seqs[place] = seq
  }
}
