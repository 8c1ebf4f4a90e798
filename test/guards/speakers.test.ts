import { describe, expect, it } from "vitest"
import type { GuardMessage } from "../../src/guards/guard-message.js"
import { defaultGuardLimits } from "../../src/guards/limits.js"
import { Speakers } from "../../src/guards/speakers.js"

const opening = ["@a", "@b", "@a", "@b", "@b", "@b"]
const idleMs = 2 * defaultGuardLimits.conversationRegainMs

/** The speakers of one channel, asked and told about each message as the conversation rule does. */
class Talk {
  speakers = new Speakers(defaultGuardLimits, idleMs)
  /** Somebody is stopped here. */
  isPaused = false
  #seq = 0

  isFeed(at: number, from: string): boolean {
    const me = this.speakers.find(from, this.#moment(at))
    return me !== undefined && this.speakers.isFeeding(me, at)
  }

  /** Says something. @returns whether it is a return */
  say(at: number, from: string): boolean {
    const moment = this.#moment(at)
    const me = this.speakers.find(from, moment)
    const isReturn = me !== undefined && !this.isFeed(at, from) && this.speakers.isReturn(me, moment)
    this.#note(at, from)
    return isReturn
  }

  /** Sends a status. @returns whether it is part of a loop */
  sayStatus(at: number, from: string): boolean {
    const me = this.speakers.find(from, this.#moment(at))
    const isLoop = me !== undefined && this.speakers.isStatusLoop(me)
    this.#note(at, from)
    return isLoop
  }

  restart(): void {
    const saved = JSON.parse(JSON.stringify(this.speakers)) as ReturnType<Speakers["toJSON"]>
    this.speakers = Speakers.load(defaultGuardLimits, idleMs, saved)
  }

  #note(ts: number, from: string): void {
    const message: GuardMessage = { id: "m", ts, from, channel: "#room", to: [], text: "", bytes: 0 }
    this.speakers.note(message, ++this.#seq, this.#moment(ts))
  }

  #moment(ts: number) {
    return { ts, isPaused: this.isPaused }
  }
}

describe("a speaker that comes back", () => {
  it("has as many returns in a row as others said before", () => {
    const talk = new Talk()
    const first = opening.map((from, n) => talk.say(n * 1_000, from))
    expect(first).toEqual([false, false, false, true, false, false])
    const answers = [8, 9, 10, 11, 12].map((s) => talk.say(s * 1_000, "@a"))
    expect(answers).toEqual([true, true, true, false, false])
  })

  it("has one return when it took its time, however much it says then", () => {
    const talk = new Talk()
    for (const [n, from] of opening.entries()) talk.say(n * 1_000, from)
    expect([90, 91, 92].map((s) => talk.say(s * 1_000, "@a"))).toEqual([true, false, false])
  })

  it("is no feed, however long its bursts are, if it only ever answers", () => {
    const talk = new Talk()
    const isFeed = [0, 1, 2, 3, 4, 5].flatMap((turn) =>
      [0, 1, 2].map((n) => {
        const [at, from] = [turn * 30_000 + n * 3_000, turn % 2 === 0 ? "@a" : "@b"]
        const found = talk.isFeed(at, from)
        talk.say(at, from)
        return found
      }),
    )
    expect(isFeed).not.toContain(true)
  })

  it("is a feed if it breaks the silence after itself as well, also after a restart", () => {
    const talk = new Talk()
    for (let s = 0; s < 300; s += 12) talk.say(s * 1_000, "@ci")
    talk.say(301_000, "@a")
    for (let s = 312; s < 600; s += 12) talk.say(s * 1_000, "@ci")
    talk.restart()
    talk.say(601_000, "@a")
    expect(talk.isFeed(602_000, "@ci")).toBe(true)
  })

  it("comes back after the longest pause if it waited because agents were stopped", () => {
    for (const isPaused of [true, false]) {
      const talk = new Talk()
      opening.forEach((from, n) => talk.say(n * 1_000, from))
      talk.isPaused = isPaused
      expect(talk.say(10 * idleMs, "@a")).toBe(isPaused)
    }
  })

  it("earns nothing by breaking the silence of agents that are stopped", () => {
    for (const isPaused of [true, false]) {
      const talk = new Talk()
      opening.slice(0, 4).forEach((from, n) => talk.say(n * 20_000, from))
      talk.isPaused = isPaused
      for (let n = 4; n < 8; n++) talk.say(n * 20_000, "@b")
      expect(talk.isFeed(160_000, "@b")).toBe(!isPaused)
    }
  })

  it("loops with statuses only if two send them faster than anybody reads", () => {
    const heartbeats = new Talk()
    const slow = Array.from({ length: 40 }, (_, n) =>
      heartbeats.sayStatus(n * 15_000, n % 2 === 0 ? "@a" : "@b"),
    )
    expect(slow).not.toContain(true)
    const loop = new Talk()
    const fast = Array.from({ length: 40 }, (_, n) => loop.sayStatus(n * 3_000, n % 2 === 0 ? "@a" : "@b"))
    expect(fast.slice(4)).not.toContain(false)
  })
})
