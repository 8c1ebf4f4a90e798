import { statSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Clock } from "../../base/clock.js"
import { Breaker, type BreakerLimits, type BreakerStep } from "../../guards/breaker.js"
import { ChatError } from "../../protocol/errors.js"
import { daemonLayer, type GuardFacts, type GuardUsage } from "../../protocol/guard-facts.js"
import { isWrittenBy } from "../../protocol/message-id.js"
import { isQuiet } from "../../protocol/message-kinds.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import { type ActiveStops, outboxScope, type RefusedLine } from "./active-stops.js"

/** What a breaker needs of its daemon. */
export interface BreakerPorts {
  readonly clock: Clock
  readonly memory: DaemonMemory
  readonly stops: ActiveStops
  /** Own agent id. */
  readonly self: () => string
  /** Puts a line into the inbox. */
  tell(line: Readonly<Record<string, unknown>> & { readonly type: string }, msgId?: string): void
  readonly log: (line: string) => void
}

/** A relay has none of that name. */
const ownGuard = { layer: daemonLayer, scope: "" } as const
/** Lines that are refused, one after the other. */
const rejections = { layer: daemonLayer, scope: outboxScope } as const
const silence = { lifted_by: "progress", evidence: [] } as const

const hints = {
  warned:
    "finish what you were asked for before you answer again; a task done, a deal or a commit counts as work",
  paused: "do not send it again: it waits, and goes out by itself",
  stopped:
    "stop, do not answer; the line is kept; a person on this machine lifts it: agentchat guard --reset",
  silent:
    "write no more of these: rejected.jsonl has each of them, with a reason and a hint; you are told of single lines again once one is accepted",
} as const

/**
 * The daemon's own guard: whether its agent does anything but answer. It counts in the same way whatever the relay
 * does, and outlasts a restart.
 */
export class CircuitBreaker {
  readonly #ports: BreakerPorts
  readonly #limits: BreakerLimits
  readonly #breaker: Breaker
  readonly #commits: string
  #commitMs: number

  /** @param home - the directory whose commits are work: the one that holds `.agentchat` */
  constructor(limits: BreakerLimits, home: string, ports: BreakerPorts) {
    this.#ports = ports
    this.#limits = limits
    this.#breaker = Breaker.load(limits, ports.memory.state.breaker)
    this.#commits = join(home, ".git", "logs", "HEAD")
    this.#commitMs = this.#lastCommitMs()
    const held = this.#breaker.holds(ports.clock.now())
    if (held !== undefined) this.#stop(held)
    if (this.#breaker.isSilent) this.#stopTelling()
  }

  /** What it has counted. */
  get usage(): GuardUsage {
    const now = this.#ports.clock.now()
    return {
      layer: daemonLayer,
      scope: this.#ports.self(),
      used: Math.ceil(this.#breaker.used(now)),
      limit: this.#limits.breakerStop,
      tripped: this.#breaker.holds(now) !== undefined,
    }
  }

  /** A message came. It wakes the agent when it is put to it. */
  heard(message: ServerMessage<"MSG">): void {
    const { from, to, msg_id: id, kind, mentions = [], in_reply_to: answered = "", replay } = message
    const self = this.#ports.self()
    if (from === self || replay === true || isQuiet(kind)) return
    const isPut = to === self || mentions.includes(self) || isWrittenBy(self, answered)
    if (isPut) this.#breaker.woken(from, id)
  }

  /** The relay took a message of the agent. */
  said(): void {
    // Work is asked for only when it matters: a look at a file for each line takes longer than all the rest.
    if (!this.#breaker.isWoken) return
    const commitMs = this.#lastCommitMs()
    if (commitMs !== this.#commitMs) {
      this.#commitMs = commitMs
      this.worked()
    }
    const step = this.#breaker.said(this.#ports.clock.now())
    this.#keep()
    if (step === undefined) return
    const { state, used } = step
    this.#ports.log(`guard: breaker ${state} after ${used} answers without other work`)
    if (state === "warned" || this.#stop(step)) this.#tellOf(step)
  }

  /** The relay carried a line of the agent out. */
  accepted(): void {
    if (!this.#breaker.accepted()) return
    this.#ports.stops.lift(rejections)
    this.#keep()
  }

  /**
   * A line was refused for good, and stands in rejected.jsonl.
   * @returns whether the inbox is to have a line about it: an agent that answers each such line with another that is
   * refused would be kept going by them
   */
  rejected({ at, id, sha256 }: RefusedLine, { code, message }: ChatError): boolean {
    const isTold = this.#breaker.rejected()
    this.#keep()
    if (isTold || !this.#stopTelling()) return isTold
    const reason = `${rejectedReason(this.#limits)}; the last: ${code}: ${message}`
    const facts = { ...rejections, ...silence, reason, id, line_sha256: sha256, hint: hints.silent }
    const ts = this.#ports.clock.now()
    this.#ports.tell({ type: "GUARD", state: "tripped", ...facts, ts, msg_id: at }, at)
    return false
  }

  /** A task was ended, a deal went a step on. */
  worked(): void {
    this.#breaker.worked()
    if (this.#breaker.holds(this.#ports.clock.now()) === undefined) this.#lift()
    this.#keep()
  }

  /** What is to become of a message of the agent: it may go, it waits, or it is refused. */
  verdict(): "go" | "wait" | ChatError {
    const held = this.#breaker.holds(this.#ports.clock.now())
    if (held === undefined) return "go"
    if (held.state !== "stopped") return "wait"
    return new ChatError("GUARDED", reasonOf(held), { guard: this.#facts(held), hint: hints.stopped })
  }

  /** A person lifts it. */
  reset(): void {
    const wasHeld = this.#breaker.holds(this.#ports.clock.now())
    this.#breaker.reset()
    this.#lift()
    this.#ports.stops.lift(rejections)
    this.#keep()
    this.#ports.log("guard: breaker reset")
    if (wasHeld === undefined) return
    const line = { type: "GUARD", state: "lifted", ...this.#facts(wasHeld), reason: "a person has lifted it" }
    this.#ports.tell({ ...line, ts: this.#ports.clock.now() })
  }

  #keep(): void {
    this.#ports.memory.note({ breaker: this.#breaker.save() })
  }

  #tellOf(step: BreakerStep): void {
    const now = this.#ports.clock.now()
    const state = step.state === "warned" ? "warned" : "tripped"
    const wait = step.state === "paused" ? { retry_after_ms: step.until - now } : {}
    const line = { type: "GUARD", state, ...this.#facts(step), reason: reasonOf(step), ...wait }
    this.#ports.tell({ ...line, hint: hints[step.state], ts: now })
  }

  /** @returns whether it is news */
  #stop(step: BreakerStep): boolean {
    const retryAfterMs = step.state === "paused" ? step.until - this.#ports.clock.now() : undefined
    if (step.state === "stopped") this.#lift()
    return this.#ports.stops.stop(this.#facts(step), reasonOf(step), retryAfterMs)
  }

  /** @returns whether it is news */
  #stopTelling(): boolean {
    return this.#ports.stops.stop({ ...rejections, ...silence }, rejectedReason(this.#limits), undefined)
  }

  #lift(): void {
    this.#ports.stops.lift(ownGuard)
  }

  #facts({ state }: BreakerStep): GuardFacts {
    const lifted_by = state === "stopped" ? "operator" : "time"
    return { layer: daemonLayer, scope: this.#ports.self(), lifted_by, evidence: this.#breaker.evidence }
  }

  #lastCommitMs(): number {
    try {
      return statSync(this.#commits, { throwIfNoEntry: false })?.mtimeMs ?? 0
    } catch {
      return 0
    }
  }
}

/** The daemon's directory is `.agentchat/daemons/NAME`. */
export function workingDirectoryOf(dir: string): string {
  return dirname(dirname(dirname(dir)))
}

function reasonOf({ used }: BreakerStep): string {
  return `woken ${used} times by agents that had woken it before, and nothing done but answer`
}

function rejectedReason({ breakerRejected }: BreakerLimits): string {
  return `more than ${breakerRejected} lines were refused one after the other, and none accepted`
}
