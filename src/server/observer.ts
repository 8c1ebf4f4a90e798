import type { ClientMessage, ClientType } from "../protocol/client-messages.js"
import type { ErrorCode } from "../protocol/errors.js"

/** The outcome of a request. */
export type Outcome = "accepted" | "duplicate" | ErrorCode | "INTERNAL"

/** Counts what a relay does. No method gets a name, an id or a text. */
export interface RelayObserver {
  message(message: Pick<ClientMessage<"MSG">, "to" | "kind">, outcome: Outcome): void
  /** A request other than a message. */
  request(type: ClientType, outcome: Outcome): void
  /** @param stage - of the delivery of one message */
  stage(stage: string): void
  /** A guard refused a message. @param rule - the guard's */
  stop(rule: string): void
  /** An operation of the storage ended. */
  stored(operation: string, seconds: number, hasFailed: boolean): void
}

/** Counts nothing. */
export const noObserver: RelayObserver = {
  message: () => {},
  request: () => {},
  stage: () => {},
  stop: () => {},
  stored: () => {},
}
