import { statSync } from "node:fs"
import { dirname, join } from "node:path"
import { type AnswerFacts, Breaker, type BreakerLimits, type BreakerStep } from "../../guards/breaker.js"
import { defaultGuardLimits } from "../../guards/limits.js"
import { ChatError } from "../../protocol/errors.js"
import { daemonLayer, type GuardFacts, type GuardUsage } from "../../protocol/guard-facts.js"
import { isWrittenBy } from "../../protocol/message-id.js"
import { isQuiet } from "../../protocol/message-kinds.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import {
  type ActiveStops,
  type GuardContext,
  outboxScope,
  type RefusedLine,
  reportGuard,
} from "./active-stops.js"

/** Names the stop of this breaker among the active stops, whatever the agent's id is. */
const ownStop = { layer: daemonLayer, scope: "" } as const
/** The stop that ends reports of rejected lines. */
const silence = { layer: daemonLayer, scope: outboxScope, lifted_by: "progress", evidence: [] } as const

const hints = {
  warned:
    "finish what you were asked for before you answer again; a finished task, a deal or a commit counts as work",
  paused: "do not send it again: it waits, and goes out by itself",
  stopped:
    "stop, do not answer; the line is held; a person on this machine lifts it: agentchat guard --reset",
  silent:
    "write no more of these: rejected.jsonl has each of them, with a reason and a hint; single lines are reported again once one is accepted",
} as const

/**
 * The daemon's guard of its own agent: stops an agent that only answers and does no work. It counts independently of
 * the relay's guards, and its counts survive a restart.
 */
export class CircuitBreaker {
  readonly #context: GuardContext
  readonly #stops: ActiveStops
  readonly #limits: BreakerLimits
  readonly #breaker: Breaker
  /** Git's log of the working directory. A commit is work. */
  readonly #commits: string
  #commitMs: number
  /** Operators of the relay: what they ask for is no idle talk. */
  #operators: ReadonlySet<string> = new Set()

  /**
   * @param limits - numbers that differ from the defaults
   * @param home - the directory whose commits are work
   */
  constructor(
    context: GuardContext,
    stops: ActiveStops,
    limits: Partial<BreakerLimits> | undefined,
    home: string,
  ) {
    this.#context = context
    this.#stops = stops
    this.#limits = { ...defaultGuardLimits, ...limits }
    this.#breaker = Breaker.load(this.#limits, context.memory.state.breaker)
    this.#commits = join(home, ".git", "logs", "HEAD")
    this.#commitMs = this.#lastCommitMs()
    const held = this.#breaker.holds(context.clock.now())
    if (held !== undefined) this.#stop(held)
    if (this.#breaker.isSilent) this.#silence()
  }

  get usage(): GuardUsage {
    const now = this.#context.clock.now()
    return {
      layer: daemonLayer,
      scope: this.#context.self(),
      used: Math.ceil(this.#breaker.used(now)),
      limit: this.#limits.breakerStop,
      tripped: this.#breaker.holds(now) !== undefined,
    }
  }

  /** Begins a session. */
  attach({ operators = [] }: Pick<ServerMessage<"WELCOME">, "operators">): void {
    this.#operators = new Set(operators)
  }

  /** Handles a message, which wakes the agent if it is addressed to it. */
  onMessage(message: ServerMessage<"MSG">): void {
    const { from, name, to, msg_id: id, kind, mentions = [], in_reply_to: answered = "", replay } = message
    const self = this.#context.self()
    if (from === self || replay === true || isQuiet(kind) || this.#operators.has(from)) return
    if (to !== self && !mentions.includes(self) && !isWrittenBy(self, answered)) return
    this.#breaker.woken(from, id, to.startsWith("#") ? [`@${name}`, to] : [`@${name}`])
  }

  /** Handles a message of the agent that the relay accepted. */
  onMessageAccepted(message: AnswerFacts): void {
    const isHeld = this.#breaker.holds(this.#context.clock.now()) !== undefined
    if (isHeld && !this.#breaker.isAnswer(message)) return
    // Looking for commits takes longer than everything else here, so it is done only when they matter.
    if (!this.#breaker.isWoken) return
    const commitMs = this.#lastCommitMs()
    if (commitMs !== this.#commitMs) {
      this.#commitMs = commitMs
      this.onWork()
    }
    const step = this.#breaker.answered(this.#context.clock.now())
    this.#save()
    if (step === undefined) return
    this.#context.log(`guard: breaker ${step.state} after ${step.used} answers without other work`)
    if (step.state === "warned" || this.#stop(step)) this.#report(step)
  }

  /** Handles an outbox line that the relay accepted. */
  onLineAccepted(): void {
    if (!this.#breaker.accepted()) return
    this.#stops.lift(silence)
    this.#save()
  }

  /**
   * Handles an outbox line that was rejected and is in rejected.jsonl.
   * @returns whether to report it in the inbox: an agent that answers every report would never stop
   */
  onLineRejected({ at, id, sha256 }: RefusedLine, { code, message }: ChatError): boolean {
    const isReported = this.#breaker.rejected()
    this.#save()
    if (isReported || !this.#silence()) return isReported
    const reason = `${this.#silenceReason}; the last: ${code}: ${message}`
    const facts = { ...silence, reason, id, line_sha256: sha256, hint: hints.silent }
    const ts = this.#context.clock.now()
    reportGuard(this.#context, { state: "tripped", ...facts, ts, msg_id: at }, at)
    return false
  }

  /** Handles work: the agent finished a task or made a statement in a deal. */
  onWork(): void {
    this.#breaker.worked()
    if (this.#breaker.holds(this.#context.clock.now()) === undefined) this.#stops.lift(ownStop)
    this.#save()
  }

  /** Decides whether a message of the agent is sent, waits or is refused. Only answers to those that woke it are held. */
  verdict(message: AnswerFacts): "go" | "wait" | ChatError {
    const held = this.#breaker.holds(this.#context.clock.now())
    if (held === undefined || !this.#breaker.isAnswer(message)) return "go"
    if (held.state !== "stopped") return "wait"
    return new ChatError("GUARDED", reasonOf(held), { guard: this.#factsOf(held), hint: hints.stopped })
  }

  /** Lifts the stop and clears all counts, on behalf of a person. */
  reset(): void {
    const { log, clock } = this.#context
    const held = this.#breaker.holds(clock.now())
    this.#breaker.reset()
    this.#stops.lift(ownStop)
    this.#stops.lift(silence)
    this.#save()
    log("guard: breaker reset")
    if (held === undefined) return
    const facts = { ...this.#factsOf(held), reason: "a person has lifted it" }
    reportGuard(this.#context, { state: "lifted", ...facts, ts: clock.now() })
  }

  #save(): void {
    this.#context.memory.note({ breaker: this.#breaker.save() })
  }

  #report(step: BreakerStep): void {
    const now = this.#context.clock.now()
    const state = step.state === "warned" ? "warned" : "tripped"
    const retryAfterMs = step.state === "paused" ? step.until - now : undefined
    const facts = { ...this.#factsOf(step), reason: reasonOf(step), retry_after_ms: retryAfterMs }
    reportGuard(this.#context, { state, ...facts, hint: hints[step.state], ts: now })
  }

  /** @returns whether the stop is new */
  #stop(step: BreakerStep): boolean {
    const retryAfterMs = step.state === "paused" ? step.until - this.#context.clock.now() : undefined
    if (step.state === "stopped") this.#stops.lift(ownStop)
    return this.#stops.stop(this.#factsOf(step), reasonOf(step), retryAfterMs)
  }

  /** @returns whether the stop is new */
  #silence(): boolean {
    return this.#stops.stop(silence, this.#silenceReason, undefined)
  }

  get #silenceReason(): string {
    return `more than ${this.#limits.breakerRejected} lines were refused in a row`
  }

  #factsOf({ state }: BreakerStep): GuardFacts {
    const lifted_by = state === "stopped" ? "operator" : "time"
    return { layer: daemonLayer, scope: this.#context.self(), lifted_by, evidence: this.#breaker.evidence }
  }

  #lastCommitMs(): number {
    try {
      return statSync(this.#commits, { throwIfNoEntry: false })?.mtimeMs ?? 0
    } catch {
      return 0
    }
  }
}

/** Returns the directory that holds `.agentchat`. @param dir - of a daemon: `.agentchat/daemons/NAME` */
export function workingDirectoryOf(dir: string): string {
  return dirname(dirname(dirname(dir)))
}

function reasonOf({ used }: BreakerStep): string {
  return `woken ${used} times by agents that had woken it before, and only answered`
}
