/** Actions of a daemon on lines of its inbox besides writing them: a command, a webhook, a notice on the desktop. */
import { resolve } from "node:path"
import type { Clock } from "../../base/clock.js"
import type { DaemonPaths } from "../files/paths.js"
import { writeStateFile } from "../files/state-file.js"
import { isAddressed, isNews } from "../inbox/line.js"
import type { InboxEntry } from "../inbox/reader.js"
import type { DaemonStart } from "../options.js"
import { noticeHandler } from "./desktop-notice.js"
import { type ConsumerOptions, InboxConsumer } from "./inbox-consumer.js"
import { commandHandler } from "./message-command.js"
import { webhookHandler, webhookSecret } from "./webhook.js"

/** The options of a daemon that name hooks. */
export type HookOptions = Pick<DaemonStart, "on_message" | "webhook" | "notify">

export interface HookHost {
  readonly paths: DaemonPaths
  readonly clock: Clock
  readonly lastSeq: number
  /** The agent's id. */
  readonly self: () => string
  readonly log: (line: string) => void
}

/** Opens the hooks that were asked for. @throws {ChatError} FILE_FAILED; BAD_IDENTITY for the secret of a webhook */
export function openHooks(
  options: HookOptions,
  { paths, clock, lastSeq, self, log }: HookHost,
): InboxConsumer[] {
  const base = { files: paths, clock, lastSeq, log }
  const isNew = (fields: InboxEntry["fields"]) =>
    fields["replay"] !== true && fields["self"] !== true && isNews(fields)
  const consumers: ConsumerOptions[] = []
  const { on_message: command, webhook: url, notify } = options
  if (command !== undefined)
    consumers.push({
      ...base,
      reader: "on-message",
      isWanted: isNew,
      handle: commandHandler(command, resolve(paths.dir, "../../.."), log),
    })
  if (url !== undefined) {
    // For `agentchat webhooks`; what is in an address may be secret.
    const problem = writeStateFile(paths.webhook, { url })
    if (problem !== undefined) throw problem
    const webhook = { url, secret: webhookSecret(paths.webhookSecret), clock }
    const handle = webhookHandler(webhook, paths.webhookDead, log)
    consumers.push({ ...base, reader: "webhook", isWanted: isNew, handle })
  }
  if (notify === true) {
    const isWanted = (fields: InboxEntry["fields"]) => isAddressed(fields, self())
    consumers.push({ ...base, reader: "notify", isWanted, handle: noticeHandler(clock, log) })
  }
  return consumers.map((consumer) => new InboxConsumer(consumer))
}
