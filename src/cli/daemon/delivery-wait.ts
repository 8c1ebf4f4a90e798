/** Sends a message and stays until it is where its sender wants it: by a daemon's files, or on a session. */
import type { DaemonPaths } from "../../daemon/files/paths.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Address } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Context } from "../context.js"
import { chooseDaemon, requestAsMember, type SenderChoice } from "../relay/relay-request.js"
import { withSession } from "../relay/session.js"
import { Delivery, type Rung } from "./delivery.js"

/** A message, how far it is to get, and how long that may take. */
export interface Errand {
  readonly frame: ClientFrame<"MSG"> & { readonly to: Address }
  readonly wanted: Rung
  readonly timeoutMs: number
}

/** What became of it, whichever way it was told. */
export interface ErrandResult {
  readonly via: "daemon" | "relay"
  readonly delivery: Delivery
}

/**
 * Sends and waits until the wanted rung is reached, nothing more will come, or the time is over.
 * @param report - is given the outcome while the session still stands: an answer counts as read when it returns
 * @returns what `report` returns
 * @throws {ChatError} why the message was refused; TIMEOUT when it was not even accepted; UNREACHABLE
 */
export async function runErrand<T>(
  context: Context,
  choice: SenderChoice,
  errand: Errand,
  report: (result: ErrandResult) => T,
): Promise<T> {
  const paths = chooseDaemon(context, choice)
  if (paths === undefined) return runBySession(context, choice, errand, report)
  return report({ via: "daemon", delivery: await runByDaemon(context, paths, errand) })
}

async function runByDaemon(
  { clock }: Context,
  paths: DaemonPaths,
  { frame, wanted, timeoutMs }: Errand,
): Promise<Delivery> {
  const { DaemonMail } = await import("./daemon-mail.js")
  const delivery = new Delivery(frame.to, wanted)
  const news = wanted === "answered" ? await inboxNews(paths) : () => []
  const mail = new DaemonMail(paths, frame, clock)
  try {
    await mail.until(timeoutMs, () => {
      for (const line of mail.read()) delivery.take(line)
      for (const line of news()) delivery.hear(line)
      return delivery.isOver || undefined
    })
    if (delivery.rungs.length === 0) throw mail.queued(timeoutMs)
    return delivery
  } finally {
    mail.close()
  }
}

/** @returns gives the lines that came since the last call */
async function inboxNews(paths: DaemonPaths): Promise<() => Readonly<Record<string, unknown>>[]> {
  const { readInbox } = await import("../../daemon/inbox/reader.js")
  let seq = 0
  for (const entry of readInbox(paths, { last: 1 })) seq = entry.seq
  return () => {
    const lines = []
    for (const entry of readInbox(paths, { sinceSeq: seq })) {
      seq = entry.seq
      lines.push(entry.fields)
    }
    return lines
  }
}

async function runBySession<T>(
  context: Context,
  choice: SenderChoice,
  { frame, wanted, timeoutMs }: Errand,
  report: (result: ErrandResult) => T,
): Promise<T> {
  const delivery = new Delivery(frame.to, wanted)
  const { clock } = context
  const deadlineMs = clock.monotonic() + timeoutMs
  const session = new SessionNews()
  return withSession(
    context,
    choice,
    async (connection) => {
      if (wanted === "answered" && frame.to.startsWith("#")) {
        await connection.request({ type: "JOIN", channel: frame.to }, timeoutMs)
      }
      delivery.take({ ...(await requestAsMember(connection, frame, timeoutMs)) })
      const timer = clock.setTimer(() => session.end(), Math.max(0, deadlineMs - clock.monotonic()))
      try {
        await session.drain((message) => {
          if (message.type === "DELIVERY") delivery.take({ ...message })
          else delivery.hear({ ...message })
          return delivery.isOver
        }, delivery.isOver)
      } finally {
        timer.cancel()
      }
      const outcome = report({ via: "relay", delivery })
      const { reply } = delivery
      if (reply !== undefined) {
        connection.send({ type: "RECEIVED", ids: [reply.msg_id], retrieved: [reply.msg_id] })
      }
      return outcome
    },
    session,
  )
}

/** What a session is told unasked, in order; what came before anybody drained it is kept. */
class SessionNews {
  readonly #messages: ServerMessage[] = []
  #isEnded = false
  #failure: ChatError | undefined
  #wake: () => void = () => {}

  onMessage(message: ServerMessage): void {
    if (message.type !== "DELIVERY" && message.type !== "MSG") return
    this.#messages.push(message)
    this.#wake()
  }

  onClose(error: ChatError): void {
    this.#failure = error
    this.#wake()
  }

  /** The time is over. */
  end(): void {
    this.#isEnded = true
    this.#wake()
  }

  /** Hands each message to `take` until it returns true, or {@link end}. @throws {ChatError} when the session is lost */
  async drain(take: (message: ServerMessage) => boolean, isOver: boolean): Promise<void> {
    while (!isOver) {
      const message = this.#messages.shift()
      if (message !== undefined) isOver = take(message)
      else if (this.#failure !== undefined) throw this.#failure
      else if (this.#isEnded) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
