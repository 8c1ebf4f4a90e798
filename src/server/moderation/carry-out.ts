/** Carries out the actions of operators on the sessions and channels of this relay. */
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Bookmarks } from "../channels/bookmarks.js"
import type { Channel } from "../channels/channel.js"
import type { ChannelDirectory } from "../channels/directory.js"
import type { Membership } from "../channels/membership.js"
import { policyViolation, type Session } from "../sessions/session.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { type Carried, idsOf, type ModerationService } from "./moderation-service.js"

/** The services that actions need. */
interface CarryServices {
  readonly sessions: SessionRegistry
  readonly channels: ChannelDirectory
  readonly membership: Membership
  readonly bookmarks: Bookmarks
  readonly moderation: ModerationService
  /** Takes a line for the log. */
  readonly warn: (line: string) => void
}

/** Notifies those whom an action concerns, and does what it says. @param now - milliseconds since the Unix epoch */
export function carryOut({ statement, by }: Carried, services: CarryServices, now: number): void {
  const { action, reason, until, agent, channel: name, writers } = statement
  const id = agent?.toLowerCase() as AgentId | undefined
  const session = id === undefined ? undefined : services.sessions.find(id)
  const channel = name === undefined ? undefined : services.channels.get(name)
  notify(session, channel, {
    ...{ type: "MODERATION", action, by, reason, ts: now },
    ...omitUndefined({ channel: name, agent, writers, until }),
  })
  if (channel !== undefined && id !== undefined) takeOut(id, session, channel, services)
  else if (channel !== undefined && action === "clear") clear(channel, services)
  else if (session !== undefined) endBanned(session, services)
}

function notify(
  session: Session | undefined,
  channel: Channel | undefined,
  notice: ServerMessage<"MODERATION">,
): void {
  channel?.sendTo(channel.members, notice)
  const isMember = channel !== undefined && session?.channels.has(channel) === true
  if (!isMember) session?.send(notice)
}

function takeOut(
  id: AgentId,
  session: Session | undefined,
  channel: Channel,
  { channels, membership, bookmarks, warn }: CarryServices,
): void {
  if (session?.channels.has(channel) === true) {
    membership.expel(session, channel)
    channels.leave(channel, session.agent)
  }
  report(bookmarks.remove(id, channel.name), `${channel.name}: ${id} stays a member`, warn)
}

function clear(channel: Channel, { warn }: CarryServices): void {
  channel.clear()
  if (channel.history !== undefined) report(channel.history.drop(), `${channel.name}: not cleared`, warn)
}

function endBanned(session: Session, { moderation }: CarryServices): void {
  const ban = moderation.banOf(idsOf(session.agent))
  if (ban === undefined) return
  session.sendError(ban)
  session.close(policyViolation, ban.code)
}

function report(work: Promise<unknown>, failure: string, warn: (line: string) => void): void {
  work.catch((error: unknown) => {
    if (!(error instanceof ChatError)) throw error
    warn(`${failure}: ${error.message}`)
  })
}
