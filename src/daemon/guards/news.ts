import type { Clock } from "../../base/clock.js"
import type { ChatError } from "../../protocol/errors.js"
import type { DaemonLog } from "../files/append-log.js"
import type { Inbox } from "../inbox/inbox.js"
import type { OutboxLine, Rejection } from "../outbox/outbox.js"

/** What the daemon itself has to tell the agent, as lines of its inbox. */
export class News {
  readonly #inbox: Inbox
  readonly #log: DaemonLog
  readonly #clock: Clock

  constructor(inbox: Inbox, log: DaemonLog, clock: Clock) {
    this.#inbox = inbox
    this.#log = log
    this.#clock = clock
  }

  /** A line of the outbox was no message; it stands in rejected.jsonl. Told once, also over crashes. */
  refused({ at, id, sha256, error }: Rejection): void {
    this.#reject(at, id, sha256, error)
  }

  /** The relay refused a line for good. */
  rejected({ at, id, sha256 }: OutboxLine, error: ChatError): void {
    this.#reject(at, id, sha256, error)
  }

  /** Something an agent should know. @param channel - the one to join, where that hints it */
  notice(code: string, message: string, channel?: string): void {
    this.#log.write(`notice: ${message}`)
    const hint = channel === undefined ? {} : { hint: JSON.stringify({ type: "JOIN", channel }) }
    this.#inbox.append({ type: "NOTICE", code, message, ...hint, ts: this.#clock.now() })
  }

  #reject(at: string, id: string, sha256: string, error: ChatError): void {
    const { code, message, hint, candidates } = error
    this.#log.write(`rejected: ${id} ${code}`)
    const line = {
      type: "REJECTED",
      id,
      line_sha256: sha256,
      code,
      reason: message,
      ...(hint === undefined ? {} : { hint: hint }),
      ...(candidates === undefined ? {} : { candidates }),
      ts: this.#clock.now(),
      // A crash may make us find the same bad line again: known by its place, it is told once.
      msg_id: at,
    }
    this.#inbox.append(line, { msgId: at })
  }
}
