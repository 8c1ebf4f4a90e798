// Agents that react to what they hear, on a clock that only they move. The same seed, the same night.

/** @typedef {import("../../src/guards/guard-message.js").GuardMessage & { readonly recipients: number }} Said */
/** @typedef {import("../../src/protocol/message-kinds.js").Kind} Kind */
/** @typedef {Readonly<{ ok: true } | { ok: false, layer: string, retryAfterMs: number | undefined }>} Verdict */

/**
 * Decides whether a message is accepted, like a relay.
 * @typedef {object} Rule
 * @property {(said: Said & { readonly deal?: string | undefined }) => Verdict} take - `deal`: it is a proposal, of that id
 * @property {(step: { id: string, verb: Answer, deal: string, from: string, to: string }, ts: number) => void} step - an
 *   answer in a deal, which always passes
 * @property {(channel: string) => void} spoke - an operator said something there
 * @property {(agents: readonly string[], ts: number) => void} done - their work is done
 * @property {() => void} restart - the relay ends and begins anew, with what it had saved
 */

/**
 * @typedef {object} Draft
 * @property {string} to - `#channel`, `+role` or `@agent`
 * @property {string} text
 * @property {readonly string[]} [mentions]
 * @property {string} [answers] - as in_reply_to
 * @property {Kind | undefined} [kind]
 * @property {boolean} [isProposal] - of a deal with `to`, an agent
 */

/** @typedef {"ACCEPT" | "REJECT" | "COMPLETE"} Answer */
/**
 * A message that reaches an agent. `target` is `to` of the draft; a statement of a deal has `deal` and `verb`.
 * @typedef {Said & { readonly target: string, readonly deal?: string | undefined, readonly verb?: "PROPOSAL" | Answer | undefined }} Heard
 */
/** @typedef {(heard: Heard) => void} Ear */
/** @typedef {{ ear: Ear, isOperator: boolean, isBystander: boolean, waiting: number }} Agent */
/** @typedef {{ from: string, layer: string, ts: number, text: string, isBystander: boolean }} Refusal */

/** How agents react to a refusal: they try once more when they may, or again and again. */
/** @typedef {"polite" | "stubborn"} Manner */

/** The beginning of every night, a time like any other. */
const startTs = 1_800_000_000_000
/** Bytes of a frame besides its text. */
const frameBytes = 160
const stubbornMs = 15_000
/** Messages a stubborn agent keeps trying at once. */
const stubbornMost = 3

/** Numbers from 0 to 1, the same for the same seed. @param {number} seed */
export function chance(seed) {
  let state = (seed * 2_654_435_761 + 1) >>> 0
  // Numerical Recipes' generator; its high bits are random enough.
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Agents, their channels, and the rule that decides about their messages. */
export class World {
  /** Messages that were taken, those of bystanders and operators left out. */
  messages = 0
  /** Estimated tokens of those, for everybody they went to. */
  tokens = 0
  /** Messages of bystanders and operators that were taken. */
  others = 0
  /** Milliseconds since the beginning, of the last that was taken. */
  lastMs = 0
  /** Of what was said first, not of what was tried again. @type {Refusal[]} */
  refusals = []
  nowMs = 0
  #order = 0
  /** @type {{ ms: number, order: number, act: () => void }[]} */
  #heap = []
  /** @type {Map<string, Agent>} */
  #agents = new Map()
  /** @type {Map<string, Set<string>>} */
  #rooms = new Map()
  #rule
  #manner
  random

  /** @param {{ rule: Rule, manner?: Manner, seed?: number }} options */
  constructor({ rule, manner = "polite", seed = 1 }) {
    this.#rule = rule
    this.#manner = manner
    this.random = chance(seed)
  }

  /**
   * @param {string} id @param {Ear} [ear] @param {{ rooms?: readonly string[], isOperator?: boolean, isBystander?: boolean }} [options]
   */
  add(id, ear = () => {}, { rooms = [], isOperator = false, isBystander = false } = {}) {
    this.#agents.set(id, { ear, isOperator, isBystander, waiting: 0 })
    for (const room of rooms) this.join(room, id)
    return id
  }

  /** It dies: it neither hears nor tries anything any more. @param {string} id */
  end(id) {
    this.#agents.delete(id)
    for (const members of this.#rooms.values()) members.delete(id)
  }

  /** @param {string} room @param {string} id */
  join(room, id) {
    this.#rooms.set(room, (this.#rooms.get(room) ?? new Set()).add(id))
  }

  /** A delay between two, in milliseconds. @param {number} leastS @param {number} mostS */
  between(leastS, mostS) {
    return Math.round((leastS + this.random() * (mostS - leastS)) * 1_000)
  }

  /** @param {number} n - a whole number below it */
  below(n) {
    return Math.floor(this.random() * n)
  }

  /** @param {number} delayMs @param {() => void} act */
  after(delayMs, act) {
    push(this.#heap, { ms: this.nowMs + Math.max(0, delayMs), order: this.#order++, act })
  }

  /** @param {string} from @param {Draft} draft @param {number} [delayMs] */
  say(from, draft, delayMs = 0) {
    this.after(delayMs, () => this.#attempt(from, draft, 0))
  }

  /** A proposal that somebody heard is answered. @param {string} from @param {Heard} heard @param {Answer} verb @param {number} [delayMs] */
  answer(from, heard, verb, delayMs = 0) {
    this.after(delayMs, () => {
      const said = this.#saidOf(from, { to: heard.from, text: verb })
      const { deal } = heard
      const agent = this.#agents.get(from)
      if (deal === undefined || agent === undefined) throw new Error(`${from} answers no deal`)
      this.#rule.step({ id: said.id, verb, deal, from, to: heard.from }, said.ts)
      this.#deliver(agent, { ...said, target: heard.from, deal, verb })
      if (verb === "COMPLETE") this.done([from, heard.from])
    })
  }

  /** Work of these agents is done. @param {readonly string[]} agents */
  done(agents) {
    this.#rule.done(agents, startTs + this.nowMs)
  }

  restart() {
    this.#rule.restart()
  }

  /** Runs until nothing is left to happen, the time is up, or so much was said that nobody will stop it. */
  run(/** @type {number} */ untilMs, mostMessages = Number.POSITIVE_INFINITY) {
    while (this.messages < mostMessages) {
      const next = pop(this.#heap)
      if (next === undefined || next.ms > untilMs) return
      this.nowMs = next.ms
      next.act()
    }
  }

  /** @param {string} from @param {Draft} draft @param {number} tries - before this one */
  #attempt(from, draft, tries) {
    const agent = this.#agents.get(from)
    if (agent === undefined) return
    const plain = this.#saidOf(from, draft)
    const said = draft.isProposal === true ? { ...plain, deal: plain.id } : plain
    if (agent.isOperator) this.#rule.spoke(said.channel)
    /** @type {Verdict} */
    const verdict = agent.isOperator ? { ok: true } : this.#rule.take(said)
    if (verdict.ok) {
      if (tries > 1) agent.waiting -= 1
      const verb = draft.isProposal === true ? "PROPOSAL" : undefined
      this.#deliver(agent, { ...said, target: draft.to, verb })
      return
    }
    if (tries === 0) this.#keepRefusal(from, draft, verdict.layer, agent)
    this.#comeBack(agent, from, draft, tries, verdict)
  }

  /** @param {string} from @param {Draft} draft @param {string} layer @param {Agent} agent */
  #keepRefusal(from, draft, layer, { isBystander }) {
    this.refusals.push({ from, layer, ts: this.nowMs, text: draft.text.slice(0, 80), isBystander })
  }

  /** @param {Agent} agent @param {string} from @param {Draft} draft @param {number} tries @param {{ retryAfterMs: number | undefined }} verdict */
  #comeBack(agent, from, draft, tries, { retryAfterMs }) {
    if (this.#manner === "stubborn" && !agent.isBystander) {
      if (tries === 0 && agent.waiting >= stubbornMost) return
      if (tries === 0) agent.waiting += 1
      this.after(stubbornMs, () => this.#attempt(from, draft, 2))
      return
    }
    if (tries > 0 || retryAfterMs === undefined) return
    this.after(retryAfterMs, () => this.#attempt(from, draft, 1))
  }

  /** @param {Agent} author @param {Heard} heard */
  #deliver({ isOperator, isBystander }, heard) {
    if (isOperator || isBystander) this.others += 1
    else {
      this.messages += 1
      this.tokens += Math.ceil((heard.bytes + frameBytes) / 4) * heard.recipients
      this.lastMs = this.nowMs
    }
    for (const id of this.#hearers(heard.from, heard.target)) this.#agentOf(id).ear(heard)
  }

  /** @param {string} from @param {string} target */
  #hearers(from, target) {
    if (target.startsWith("@")) return [target]
    return [...(this.#rooms.get(target) ?? [])].filter((id) => id !== from)
  }

  /** @param {string} from @param {Draft} draft @returns {Said} */
  #saidOf(from, { to, text, mentions = [], answers, kind }) {
    const isDirect = to.startsWith("@")
    this.#order += 1
    return {
      id: `${from.slice(1)}.${this.#order}`,
      ts: startTs + this.nowMs,
      from,
      channel: isDirect ? [from, to].sort().join(" ") : to,
      to: isDirect ? [to] : mentions,
      recipients: this.#hearers(from, to).length,
      kind,
      answers,
      text,
      bytes: Buffer.byteLength(text),
    }
  }

  /** @param {string} id */
  #agentOf(id) {
    const agent = this.#agents.get(id)
    if (agent === undefined) throw new Error(`nobody is ${id}`)
    return agent
  }
}

/** @typedef {{ ms: number, order: number, act: () => void }} Event */

/** @param {Event} a @param {Event} b */
const isBefore = (a, b) => a.ms < b.ms || (a.ms === b.ms && a.order < b.order)

/** @param {Event[]} heap @param {Event} event */
function push(heap, event) {
  let at = heap.push(event) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent]
    if (above === undefined || isBefore(above, event)) break
    heap[at] = above
    at = parent
  }
  heap[at] = event
}

/** @param {Event[]} heap @returns {Event | undefined} */
function pop(heap) {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    const [left, right] = [heap[child], heap[child + 1]]
    if (left !== undefined && right !== undefined && isBefore(right, left)) child += 1
    const below = heap[child]
    if (below === undefined || isBefore(last, below)) break
    heap[at] = below
    at = child
  }
  heap[at] = last
  return first
}
