import type { Clock, Timer } from "../base/clock.js"
import {
  type AnswerType,
  type ClientFrame,
  clientMessages,
  type RequestType,
} from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import type { RotationClaim } from "../protocol/message-fields.js"
import { type AgentId, agentIdIn } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { errorOfMessage, quoteRelay } from "./relay-error.js"

export type RequestFrame = ClientFrame<RequestType>

export type AnswerTo<F extends RequestFrame> = ServerMessage<AnswerType<F["type"]>>

/** A frame that names an agent. */
type AddressedFrame = Pick<ClientFrame, "type"> & {
  readonly to?: string
  readonly target?: string
  readonly agent?: string
}

/** An answer about another agent than the one the frame named by its id. */
export interface Stranger {
  readonly asked: AgentId
  readonly answered: string
  /** The relay's proof that the agent of the first id has the other one now. */
  readonly rotations: readonly RotationClaim[]
}

/** Returns the agent that an answer is about if it is not the one that the frame names by its id. */
export function strangerIn(
  { to, target, agent }: AddressedFrame,
  answer: ServerMessage,
): Stranger | undefined {
  const asked = agentIdIn(to ?? target ?? agent ?? "")
  if (asked === undefined) return undefined
  const answered = agentsOf(answer).find((id) => id.startsWith("@") && id !== asked)
  if (answered === undefined) return undefined
  return { asked, answered, rotations: ("rotations" in answer ? answer.rotations : undefined) ?? [] }
}

function agentsOf(answer: ServerMessage): readonly string[] {
  switch (answer.type) {
    case "ACK":
      return answer.to === undefined ? [] : [answer.to]
    case "FORECAST":
      return [answer.to]
    case "PENDING":
      return [answer.target]
    case "GUARDS":
      return [answer.agent]
    case "AGENTS":
      return answer.roster.map(({ id }) => id)
    default:
      return []
  }
}

/** The error for an answer about an agent that is not proven to be the one that was asked for. */
export function strangerError({ asked, answered }: Stranger): ChatError {
  return new ChatError(
    "VERIFICATION_FAILED",
    `server: answered for ${quoteRelay(answered)} instead of ${asked}`,
    {
      hint: "if the agent replaced its key, ask it for its new id",
    },
  )
}

interface Pending {
  readonly frame: RequestFrame
  readonly timer: Timer
  readonly resolve: (answer: ServerMessage) => void
  readonly reject: (error: ChatError) => void
}

/** Returns the error of a JOINED that is about another channel than the frame; undefined for any other answer. */
export function otherChannelError(
  { type, channel }: { readonly type: string; readonly channel?: string },
  answer: ServerMessage,
): ChatError | undefined {
  if (answer.type !== "JOINED" || channel === undefined || answer.channel === channel) return undefined
  const problem = `${type}: answered for ${quoteRelay(answer.channel)} instead of ${channel}`
  return new ChatError("VERIFICATION_FAILED", `server: ${problem}`)
}

async function settleAnswered({ frame, resolve, reject }: Pending, answer: ServerMessage): Promise<void> {
  const stranger = strangerIn(frame, answer)
  if (stranger === undefined) {
    const problem = otherChannelError(frame, answer)
    if (problem === undefined) resolve(answer)
    else reject(problem)
    return
  }
  const { isSuccessor } = await import("../identity/succession.js")
  if (isSuccessor(stranger.answered, stranger.asked, stranger.rotations)) resolve(answer)
  else reject(strangerError(stranger))
}

/** The requests that wait for an answer, by the id of their frame. */
export class PendingRequests {
  readonly #clock: Clock
  readonly #pending = new Map<string, Pending>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the answer. @throws {ChatError} the relay's refusal; TIMEOUT; the error of {@link failAll} */
  add(id: string, frame: RequestFrame, timeoutMs: number): Promise<ServerMessage> {
    return new Promise((resolve, reject) => {
      if (this.#pending.has(id)) throw new ChatError("USAGE", `id: ${id} already waits for an answer`)
      const timer = this.#clock.setTimer(() => {
        this.#pending.delete(id)
        reject(new ChatError("TIMEOUT", `${frame.type}: no answer within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#pending.set(id, { frame, timer, resolve, reject })
    })
  }

  /** Settles the request that a message answers. @returns false if it answers none */
  settle(message: ServerMessage): boolean {
    const id = "re" in message ? message.re : undefined
    const pending = id === undefined ? undefined : this.#pending.get(id)
    if (id === undefined || pending === undefined) return false
    this.#pending.delete(id)
    pending.timer.cancel()
    if (message.type === "ERROR") pending.reject(errorOfMessage(message))
    else if (message.type === clientMessages[pending.frame.type].answer) void settleAnswered(pending, message)
    else pending.reject(new ChatError("UNSUPPORTED", `${pending.frame.type}: answered by ${message.type}`))
    return true
  }

  failAll(error: ChatError): void {
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    for (const { timer, reject } of waiting) {
      timer.cancel()
      reject(error)
    }
  }
}
