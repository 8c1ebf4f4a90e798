// The rules a world may have: none, the rate limit of the first AgentChat, and the guards, one or all of them.

/** @typedef {import("./loop-world.mjs").Rule} Rule */
/** @typedef {import("../../src/guards/guard.js").Guard} Guard */
/** @typedef {import("../../src/guards/limits.js").GuardLimits} GuardLimits */
/** @typedef {import("../../src/guards/guard-message.js").RuleName} LayerName */
/** @typedef {typeof import("../../src/guards/guard.js").Guard} GuardClass */

/** Everything passes. @returns {Rule} */
export function noRule() {
  const nothing = () => {}
  return {
    take: () => ({ ok: true }),
    step: nothing,
    spoke: nothing,
    done: nothing,
    restart: nothing,
  }
}

/** One message a second of each agent, and nothing else. @returns {Rule} */
export function seedRule() {
  /** @type {Map<string, number>} */
  const freeAt = new Map()
  return {
    ...noRule(),
    take({ from, ts }) {
      const free = freeAt.get(from) ?? 0
      if (ts < free) return { ok: false, layer: "rate", retryAfterMs: free - ts }
      freeAt.set(from, ts + 1_000)
      return { ok: true }
    },
    // It forgot.
    restart: () => freeAt.clear(),
  }
}

/**
 * The guards, used as a relay uses them.
 * @param {GuardClass} Guard - of the source or of what was built
 * @param {GuardLimits} limits
 * @param {readonly LayerName[]} [only] - these layers; all
 * @returns {Rule}
 */
export function guardRule(Guard, limits, only) {
  let guard = new Guard(limits, only)
  return {
    take(said) {
      if (said.deal !== undefined) return propose(guard, { ...said, deal: said.deal })
      const trip = guard.check(said)
      if (trip === undefined) {
        guard.note(said)
        return { ok: true }
      }
      guard.refuse(said, trip)
      return { ok: false, layer: trip.layer, retryAfterMs: trip.retryAfterMs }
    },
    step({ verb, ...step }, ts) {
      if (verb !== "ACCEPT") guard.noteStep({ ...step, verb }, ts)
    },
    spoke: (channel) => guard.operatorSpoke(channel),
    done: (agents, ts) => guard.refill(agents, ts),
    restart() {
      /** @type {unknown} */
      const saved = JSON.parse(guard.save())
      guard = Guard.load(limits, saved, only)
    },
  }
}

/** @param {Guard} guard @param {import("../../src/guards/guard-message.js").GuardMessage & { deal: string }} said @returns {import("./loop-world.mjs").Verdict} */
function propose(guard, { id, deal, from, to: [to = ""], channel, ts }) {
  const trip = guard.checkProposal({ from, to }, ts)
  if (trip !== undefined) {
    guard.refuse({ channel, ts }, trip)
    return { ok: false, layer: trip.layer, retryAfterMs: trip.retryAfterMs }
  }
  guard.noteStep({ id, verb: "PROPOSAL", deal, from, to }, ts)
  return { ok: true }
}
