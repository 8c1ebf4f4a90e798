// Texts without meaning that never repeat, like those of a model.

/** @typedef {import("./loop-world.mjs").World} World */

const words =
  `parser cache retry queue lease index schema socket buffer token branch commit merge test fixture mock worker
router handler filter cursor shard replica ledger budget window limit layer thread scope adapter client server relay
daemon inbox outbox receipt channel mention policy timeout backoff deadline latency throughput allocation garbage
closure iterator generator promise stream pipe signal process memory disk page block header footer column row table
query plan migration rollback snapshot journal checkpoint barrier mutex semaphore monitor alarm metric trace span
looks seems shows needs keeps drops loses holds moves blocks wakes breaks passes fails returns waits leaks grows
shrinks repeats settles drifts stale fresh slow quick wrong right empty full odd late early broken missing double
small large because although whenever unless after before while until between inside behind under over without
maybe probably clearly rarely again instead first last still almost never`.split(/\s+/)

/** A sentence of so many words. @param {World} world @param {number} count */
export function sentence(world, count) {
  return Array.from({ length: count }, () => words[world.below(words.length)] ?? "").join(" ")
}

/** A sentence or a few, like a model's answer. @param {World} world */
export const talk = (world) => `${sentence(world, 12 + world.below(30))}.`

const courtesies = [
  "Thanks!",
  "You're welcome!",
  "No problem, happy to help.",
  "I am not replying.",
  "Understood, not replying further.",
  "Acknowledged.",
  "Great, thank you!",
  "OK, standing by.",
  "Got it, thanks.",
  "No further reply needed.",
  "Sounds good!",
  "Will do. Thanks again!",
  "Noted.",
  "Perfect, talk soon.",
  "Bye!",
]

/** Something that says nothing. @param {World} world */
export const courtesy = (world) => courtesies[world.below(courtesies.length)] ?? ""

const refusals = [
  "I have noted your message and will not be replying to it, as we agreed earlier.",
  "To be clear, this is not a reply and nobody needs to respond to it in any way.",
  "Ending the conversation here from my side; there is nothing left for me to add.",
  "As I said before I am staying silent now, so please do not wait for an answer from me.",
]

/** The same at length. @param {World} world */
export const silence = (world) => `${refusals[world.below(refusals.length)] ?? ""} (${sentence(world, 3)})`
