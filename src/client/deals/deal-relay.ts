import type { Clock } from "../../base/clock.js"
import type { Identity } from "../../identity/identity-file.js"
import type { AnswerTo, RequestFrame } from "../pending.js"

/** The relay as someone sees it who makes deals there. */
export interface DealRelay {
  /** Who makes them. */
  readonly identity: Identity
  readonly clock: Clock
  /** `server_id` of the relay that will answer the next request. @throws {ChatError} UNREACHABLE */
  serverId(): string
  /** @throws {ChatError} the relay's refusal; TIMEOUT; UNREACHABLE */
  request<F extends RequestFrame>(frame: F): Promise<AnswerTo<F>>
}
