import { isNumber, isPlain } from "../../base/plain.js"
import type { Rule, Traced, Trip, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { authorIn, isUnder } from "../scopes.js"

/** A question to nobody in particular, in a channel. */
interface Question {
  readonly id: string
  readonly asker: string
  readonly ts: number
  /** Who answered first, and with what. */
  readonly holder?: string | undefined
  readonly answer?: string | undefined
  readonly untilMs: number
}

/** Questions open at once in a room that are told apart. */
const questionsKept = 4
const noQuestions: readonly Question[] = []

/**
 * Not everybody answers at once: who answers a question to nobody in particular first has the floor for a while, in which
 * the others read the answer. A question to all of them is for all, a status needs no floor, and who is in the
 * conversation anyhow may speak.
 */
export class FloorRule implements Rule {
  readonly name = "floor"
  readonly #floorMs: number
  readonly #activeMs: number
  readonly #questions = new SavedMap<readonly Question[]>(1_024, 40_000)
  /** By `agent in room`: when it last spoke. */
  readonly #spoke = new SavedMap<number>(8_192, 50_000)

  constructor(limits: GuardLimits) {
    this.#floorMs = limits.floorMs
    this.#activeMs = limits.conversationRegainMs
  }

  check(said: Traced): Trip | undefined {
    const question = this.#answered(said)
    if (question?.holder === undefined || question.holder === said.from || said.ts >= question.untilMs)
      return undefined
    return {
      layer: this.name,
      scope: said.room,
      reason: `${question.holder} answers that question: read it first, and speak if anything is missing`,
      retryAfterMs: question.untilMs - said.ts,
      liftedBy: "time",
      evidence: [question.id, ...(question.answer === undefined ? [] : [question.answer])],
    }
  }

  note(said: Traced): undefined {
    const { id, from, room, ts } = said
    if (!room.startsWith("#")) return
    const answered = this.#answered(said)
    let questions = this.#openTo(from, room, ts)
    if (answered !== undefined && answered.holder === undefined) {
      const held = { ...answered, holder: from, answer: id, untilMs: ts + this.#floorMs }
      questions = questions.map((question) => (question.id === answered.id ? held : question))
    }
    if (isOpenQuestion(said)) questions = [...questions, { id, asker: from, ts, untilMs: ts + this.#floorMs }]
    if (questions.length === 0) this.#questions.delete(room)
    else this.#questions.set(room, questions.slice(-questionsKept))
    this.#spoke.set(authorIn(from, room), ts)
  }

  spoke(room: string): void {
    this.#questions.delete(room)
  }

  reset(scope: string | undefined): void {
    for (const [room] of this.#questions.entries()) if (isUnder(room, scope)) this.#questions.delete(room)
  }

  usage(agent: string, ts: number): Usage[] {
    return this.#questions.entries().flatMap(([scope]) => {
      const held = this.#openTo(agent, scope, ts).filter(({ holder }) => holder !== undefined)
      const freeInMs = Math.max(0, ...held.map(({ untilMs }) => untilMs - ts))
      const isTripped = held.some(({ holder }) => holder !== agent)
      return held.length === 0 ? [] : [{ layer: this.name, scope, used: 1, limit: 1, freeInMs, isTripped }]
    })
  }

  prepare(): boolean {
    return this.#questions.prepare() && this.#spoke.prepare()
  }

  save(): unknown {
    return { questions: this.#questions.save(), spoke: this.#spoke.save() }
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.#questions.load(state["questions"], isQuestions)
    this.#spoke.load(state["spoke"], isNumber)
  }

  /** The open questions of others. */
  #openTo(agent: string, room: string, ts: number): readonly Question[] {
    const questions = this.#questions.get(room)
    return questions?.filter(({ untilMs, asker }) => ts < untilMs && asker !== agent) ?? noQuestions
  }

  /** The open question that a message answers. */
  #answered(said: Traced): Question | undefined {
    if (said.kind === "status" || said.kind === "ack" || said.isFeed) return undefined
    const open = this.#openTo(said.from, said.room, said.ts)
    if (open.length === 0) return undefined
    const named = open.find(({ id }) => id === said.answers)
    if (named !== undefined || said.answers !== undefined) return named
    const question = open.at(-1)
    if (question === undefined || said.to.some((target) => target !== question.asker)) return undefined
    if (question.holder === said.from) return question
    const spoke = this.#spoke.get(authorIn(said.from, said.room))
    return spoke !== undefined && said.ts - spoke < this.#activeMs ? undefined : question
  }
}

const forOne = /\b(?:any|some)\s?(?:body|one)\b|\bwho\b/iu
const forAll = /\b(?:every(?:body|one)|all|each|you|your|team|folks)\b/iu

function isOpenQuestion({ text, to, answers, kind, room }: Traced): boolean {
  if (!room.startsWith("#") || to.length > 0 || answers !== undefined) return false
  if (kind !== undefined && kind !== "request") return false
  const end = text.slice(-1_000).trimEnd()
  if (!end.includes("?")) return false
  return /\?["'”’)\]*_]*$/u.test(end) && (forOne.test(end) || !forAll.test(end))
}

function isQuestions(value: unknown): value is Question[] {
  return (
    Array.isArray(value) &&
    value.every(
      (item) =>
        isPlain(item) &&
        typeof item["id"] === "string" &&
        typeof item["asker"] === "string" &&
        isNumber(item["ts"]) &&
        isNumber(item["untilMs"]),
    )
  )
}
