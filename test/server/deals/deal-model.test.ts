import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Table } from "../../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../../src/backbone/memory/memory-backbone.js"
import { dealOf } from "../../../src/proposals/deal.js"
import { agentIdOfDid } from "../../../src/proposals/statement.js"
import { ChatError } from "../../../src/protocol/errors.js"
import { defaultLimits } from "../../../src/protocol/limits.js"
import type { Nick } from "../../../src/protocol/names.js"
import { dealStates } from "../../../src/protocol/server-messages.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { type Verb, verbs } from "../../../src/protocol/verbs.js"
import { DealService } from "../../../src/server/deals/deal-service.js"
import { Signer } from "../../kit/deal-room.js"
import { FakeClock } from "../../kit/fake-clock.js"

const [ann, bob, eve] = [new Signer(), new Signer(), new Signer()]
const people = { ann, bob, eve }
type Who = keyof typeof people
const expires = 100
const window = 200

const agentOf = (signer: Signer) => ({
  id: agentIdOfDid(signer.did),
  did: signer.did,
  name: "n" as Nick,
  markAnswered: () => {},
})

type State = (typeof dealStates)[number]

/** The table of legal steps once more: what it leads to, who may say it, and until when. */
const legal: Readonly<
  Record<string, readonly [State, "bob" | "each" | "each once", ("expires" | "window")?]>
> = {
  "pending ACCEPT": ["accepted", "bob", "expires"],
  "pending REJECT": ["rejected", "bob", "expires"],
  "accepted COMPLETE": ["completed", "each"],
  "accepted DISPUTE": ["disputed", "each"],
  "completed COMPLETE": ["completed", "each once"],
  "completed DISPUTE": ["disputed", "each", "window"],
  "disputed DISPUTE": ["disputed", "each once"],
}

/** A model of a deal between ann and bob, by the table above. */
class Model {
  state: State = "pending"
  readonly #said = new Set<string>()
  readonly #untilMs = { expires: expires * 1_000, window: Infinity }

  /** @returns whether it is legal at a time, in milliseconds since the proposal; then it is said */
  say(by: Who, verb: Verb, ms: number): boolean {
    const [next, who, until] = legal[`${this.state} ${verb}`] ?? []
    if (next === undefined || by === "eve" || (who === "bob" && by !== "bob")) return false
    if (who === "each once" && this.#said.has(`${by} ${verb}`)) return false
    if (until !== undefined && ms > this.#untilMs[until]) return false
    if (verb === "COMPLETE") this.#untilMs.window = Math.min(this.#untilMs.window, ms + window * 1_000)
    this.state = next
    this.#said.add(`${by} ${verb}`)
    return true
  }
}

/** The services of two relays on one backbone, and a deal that ann proposed to bob. */
class Run {
  readonly clock = new FakeClock()
  readonly #services: DealService[] = []
  readonly #table: Table
  readonly chain: Statement[] = []
  /** Ids of what was posted, with whom to. */
  readonly mail = new Set<string>()

  private constructor(table: Table) {
    this.#table = table
  }

  static async open(): Promise<Run> {
    const clock = new FakeClock()
    const backbone = await openMemoryBackbone({ clock })
    const run = new Run(await backbone.table("proposal"))
    for (let i = 0; i < 2; i++) {
      const post = (to: string, id: string) => {
        run.mail.add(`${to} ${id}`)
        return Promise.resolve({ seq: 1, ts: 1, isDuplicate: false })
      }
      const options = {
        limits: defaultLimits,
        clock: run.clock,
        log: () => {},
        mailboxes: { post },
        guards: { admitProposal: () => {}, noteStep: () => {}, refill: () => {} },
      }
      run.#services.push(await DealService.open(backbone, options))
    }
    const proposal = ann.propose(bob, {
      ...{ aud: backbone.id, now: run.clock.now() },
      ...{ expires, dispute_window: window },
    })
    expect(await run.say(ann, proposal, 0)).toBe("PROPOSAL")
    run.chain.push(proposal)
    return run
  }

  /** @returns the type of the answer, or the code of the refusal */
  async say(by: Signer, statement: Statement, desk: number): Promise<string> {
    try {
      return (await this.#services[desk]?.record(agentOf(by), statement))?.type ?? ""
    } catch (error) {
      if (error instanceof ChatError) return error.code
      throw error
    }
  }

  /** The next statement of the chain, legal or not. */
  sign(by: Signer, verb: Verb): Statement {
    const ts = this.clock.now()
    const [proposal] = this.chain
    if (verb !== "PROPOSAL") return by.force(this.chain, verb, { ts })
    if (proposal === undefined) throw new Error("no proposal")
    return by.resign(proposal, { ts, task: "other work", to: (by === bob ? ann : bob).did })
  }

  async stored(): Promise<readonly Statement[]> {
    const [row] = await this.#table.rows()
    return (JSON.parse(row?.value ?? "{}") as { statements: Statement[] }).statements
  }

  close(): void {
    for (const desk of this.#services) desk.close()
  }
}

const step = fc.record({
  by: fc.constantFrom<Who>("ann", "bob", "bob", "eve"),
  verb: fc.constantFrom(...verbs),
  desk: fc.nat(1),
  waitMs: fc.constantFrom(0, 0, 1, 1_000, 60_000, 150_000),
})

/** The shortest way to each state. */
const ways: Readonly<Partial<Record<State, readonly (readonly [Who, Verb])[]>>> = {
  pending: [],
  accepted: [["bob", "ACCEPT"]],
  rejected: [["bob", "REJECT"]],
  completed: [
    ["bob", "ACCEPT"],
    ["ann", "COMPLETE"],
  ],
  disputed: [
    ["bob", "ACCEPT"],
    ["ann", "DISPUTE"],
  ],
}

/** Every verb in every state, first by a stranger and then by both parties: chance alone does not try them all. */
const everyPair = Object.values(ways).flatMap((way) =>
  verbs.map((verb): [{ by: Who; verb: Verb; desk: number; waitMs: number }[]] => {
    const last = (["eve", "bob", "ann", "bob"] as const).map((by) => [by, verb] as const)
    return [[...way, ...last].map(([by, said], i) => ({ by, verb: said, desk: i % 2, waitMs: 0 }))]
  }),
)

describe("the deal service of two relays", () => {
  it("agrees with a table written anew, whatever two parties and a stranger say", async () => {
    const met = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        const run = await Run.open()
        const model = new Model()
        const startMs = run.clock.now()
        for (const { by, verb, desk, waitMs } of steps) {
          run.clock.advance(waitMs)
          const statement = run.sign(people[by], verb)
          const mail = run.mail.size
          const before = model.state
          const isLegal = model.say(by, verb, run.clock.now() - startMs)
          const said = await run.say(people[by], statement, desk)
          met.add(`${before} ${verb} ${isLegal}`)
          expect(said === verb, `${by}: ${verb} while ${before}, answered ${said}`).toBe(isLegal)
          if (isLegal) run.chain.push(statement)
          expect(await run.stored()).toEqual(run.chain)
          expect(run.mail.size - mail).toBe(isLegal ? 2 : 0)
        }
        expect(dealOf(run.chain).state).toBe(model.state)
        run.close()
      }),
      { numRuns: 400, examples: everyPair },
    )
    // Every pair of state and act was tried, and each legal one was taken too.
    for (const state of dealStates.filter((name) => name !== "expired")) {
      for (const verb of verbs)
        expect([...met].some((pair) => pair.startsWith(`${state} ${verb} `))).toBe(true)
    }
    expect([...met].filter((pair) => pair.endsWith(" true"))).toHaveLength(Object.keys(legal).length)
  }, 120_000)

  it("keeps one chain, each link signed and legal, when everybody speaks at once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
        async (rounds) => {
          const run = await Run.open()
          for (const round of rounds) {
            const statements = round.map(({ by, verb }) => run.sign(people[by], verb))
            const said = await Promise.all(
              statements.map((statement, i) => {
                const { by = "eve", desk = 0 } = round[i] ?? {}
                return run.say(people[by], statement, desk)
              }),
            )
            const stored = await run.stored()
            const taken = statements.filter((statement, i) => said[i] === statement.type)
            expect(taken.length, said.join()).toBeLessThanOrEqual(1)
            expect(stored).toEqual([...run.chain, ...taken])
            expect(dealOf(stored).chain).toHaveLength(stored.length)
            run.chain.push(...taken)
          }
          expect(run.mail.size).toBe(2 * run.chain.length)
          run.close()
        },
      ),
      { numRuns: 200 },
    )
  }, 120_000)
})
