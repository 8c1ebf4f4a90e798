import type { Backbone } from "../backbone/backbone.js"
import type { Clock } from "../base/clock.js"
import type { Log } from "../base/log.js"
import type { Tracer } from "../base/tracer.js"
import type { GuardLimits } from "../guards/limits.js"
import { ChatError } from "../protocol/errors.js"
import type { Limits } from "../protocol/limits.js"
import type { AgentId, Channel as ChannelName } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { isVerb, type Verb } from "../protocol/verbs.js"
import { Bookmarks } from "./channels/bookmarks.js"
import { ChannelDirectory } from "./channels/directory.js"
import { Membership } from "./channels/membership.js"
import { ClaimService } from "./claims/claim-service.js"
import { CoordinationService } from "./coordination/coordination-service.js"
import { countRepeats } from "./counted-log.js"
import { DealService, guardStepOf } from "./deals/deal-service.js"
import { DirectDelivery, RelayBus } from "./delivery/direct-delivery.js"
import { Mailboxes } from "./delivery/mailboxes.js"
import type { Stored } from "./delivery/message-json.js"
import { Router } from "./delivery/route.js"
import { GrantService } from "./grants/grant-service.js"
import { replicatedInput } from "./guards/guard-input.js"
import { GuardService } from "./guards/guard-service.js"
import { carryOut } from "./moderation/carry-out.js"
import { type Carried, idsOf, ModerationService } from "./moderation/moderation-service.js"
import type { RelayObserver } from "./observer.js"
import type { Operators } from "./operators.js"
import { EndedKeys } from "./roster/ended-keys.js"
import { KnownAgents } from "./roster/known-agents.js"
import { broadcastPresence, PresencePacer } from "./roster/presence-broadcast.js"
import { Roster } from "./roster/roster.js"
import { RosterSync } from "./roster/roster-sync.js"
import { type Agent, makeAgentMemory } from "./sessions/agent.js"
import { Heartbeat } from "./sessions/heartbeat.js"
import { IdBudget } from "./sessions/id-budget.js"
import { policyViolation } from "./sessions/session.js"
import { SessionRegistry } from "./sessions/session-registry.js"
import { TaskService } from "./tasks/task-service.js"
import { WriteScheduler } from "./wire/write-scheduler.js"

/** How a relay is configured, with all defaults filled in. */
export interface RelaySettings {
  /** The name in WELCOME. */
  readonly name: string
  readonly limits: Limits
  readonly guards: GuardLimits
  readonly operators: Operators
  /** True if the handshake of the first AgentChat is accepted too. */
  readonly isCompat: boolean
  /** True if the contents of messages are logged. */
  readonly logMessages: boolean
  /** True if two operators have to agree on deleting the history of a channel. */
  readonly isTwoPerson: boolean
  /** True if only agents with a grant may enter. */
  readonly isClosed: boolean
  /** The start of the URLs of coordination channels; known when the relay listens. */
  httpBase: string
  readonly clock: Clock
  /** Takes one line without its newline. */
  readonly log: Log
  readonly observer: RelayObserver
  readonly tracer: Tracer
}

/** The services of a relay. A handler takes those it uses. */
export type Services = Awaited<ReturnType<typeof openServices>>

/**
 * Constructs all services of a relay, each after those it is built on, and connects their events.
 * @throws {ChatError} UNAVAILABLE if the backbone cannot be read
 */
export async function openServices(settings: RelaySettings, backbone: Backbone) {
  const { limits, operators, clock } = settings
  const log = countRepeats((line) => settings.log(line, "warn"), clock)
  const writes = new WriteScheduler()
  const sessions = new SessionRegistry()
  const heartbeat = new Heartbeat(sessions, clock, limits)
  const roster = new Roster(sessions, limits.identities, clock)
  const { isTwoPerson, isClosed } = settings
  const moderation = await ModerationService.open(backbone, { operators, clock, isTwoPerson })
  const endedKeys = await EndedKeys.open(backbone, roster)
  const grants = await GrantService.open(backbone, { operators, moderation, roster, clock, isClosed })
  const mayRead = (id: AgentId, name: ChannelName, isInvited: boolean) =>
    grants.mayRead(sessions.find(id)?.agent ?? { id }, name, isInvited)
  const ids = new IdBudget(limits.rememberedIdBytes)
  const makeMemory = () => makeAgentMemory(limits, clock, ids)
  const knownAgents = new KnownAgents(clock, limits.identities, makeMemory)
  const bus = await RelayBus.open(backbone, sessions, log)
  const mailboxes = await Mailboxes.open(backbone, { sessions, roster, limits, clock, log })
  const onStage = (stage: string) => settings.observer.stage(stage)
  const direct = new DirectDelivery({ sessions, bus, mailboxes, clock, onStage })
  const bookmarks = await Bookmarks.open(backbone, { sessions, clock, log })
  const channels = await ChannelDirectory.open(backbone, {
    ...{ sessions, roster, writes, limits, clock, log, mayRead },
  })
  const router = new Router(channels, roster, sessions)
  const guards = await GuardService.open(backbone, { guards: settings.guards, operators, clock, log })
  const tasks = await TaskService.open(backbone, { limits, clock, log, delivery: direct, guards })
  const rosterSync = await RosterSync.open(backbone, {
    ...{ roster, sessions, knownAgents, channels, writes, clock, limits, log },
  })
  const membership = new Membership({ channels, moderation, bookmarks, roster, rosterSync, limits, clock })
  const deals = await DealService.open(backbone, {
    ...{ limits, clock, log, mailboxes, guards },
  })

  const authority = { endedKeys, moderation, grants, roster }
  const claims = await ClaimService.open(backbone, {
    ...{ roster, isGone: (id) => isGone(id, authority), limits, clock, log },
  })

  const baseUrl = () => settings.httpBase
  const coordination = await CoordinationService.open(backbone, { channels, guards, clock, baseUrl })

  const services = {
    ...{ backbone, writes, sessions, heartbeat, roster, rosterSync, endedKeys, knownAgents },
    ...{ mailboxes, direct, moderation, grants, bookmarks, channels, membership },
    ...{ router, guards, tasks, deals, claims, coordination },
    makeMemory,
    /** Takes a line that somebody else may cause again and again. */
    warn: log,
  }
  connectEvents(services, settings)
  connectAuthority(services, settings)
  makeRoom(services)
  return services
}

/** Forgets agents, if the relay knows too many. */
function makeRoom({
  knownAgents,
  roster,
  rosterSync,
  tasks,
  deals,
  mailboxes,
  bookmarks,
  warn,
}: Services): void {
  if (!knownAgents.isFull) return
  const workers = tasks.parties()
  const eviction = {
    ageOf: (id: AgentId) => {
      const { seenTs = 0, metTs = seenTs } = roster.recordOf(id) ?? {}
      return seenTs - metTs
    },
    isNeeded: async (id: AgentId) =>
      workers.has(id) || deals.isParty(id) || (await mailboxes.hasMail(id)) || (await bookmarks.isMember(id)),
    forget: (id: AgentId) => rosterSync.forget(id),
  }
  knownAgents.makeRoom(eviction).catch((error: unknown) => {
    if (!(error instanceof ChatError)) throw error
    warn(`roster: nobody can be forgotten now: ${error.code}`)
  })
}

/** Subscribes services to the events of those they are not built on. */
function connectEvents(services: Services, { clock, log }: RelaySettings): void {
  const { backbone, writes, sessions, rosterSync, endedKeys, knownAgents, mailboxes } = services
  const { bookmarks, channels, membership, guards, tasks, roster, direct, claims } = services

  guards.on("notice", (to, notice) => sendGuardNotice(to, notice, { channels, roster, direct }))
  sessions.on("opened", (session) => {
    const { agent } = session
    rosterSync.began(session)
    if (agent.isPersistent && !agent.isHidden) mailboxes.open(session)
    tasks.enter(agent)
  })
  sessions.on("closed", (session) => {
    const { agent } = session
    membership.onClosed(session)
    claims.unfollow(session)
    tasks.leave(agent)
    if (agent.isPersistent) {
      mailboxes.close(agent)
      void bookmarks.release(agent.id)
      knownAgents.leave(agent.id)
    } else {
      agent.memory.sentIds.clear()
      agent.memory.delivered.clear()
    }
    const end = endedKeys.find(agent.id)
    if (end === undefined || end.to !== undefined) {
      rosterSync.departed(agent)
      if (isShutOut(agent, services)) void giveTasksBack(agent.id, services)
    } else void giveUp(end.id, services)
    makeRoom(services)
    log(`left: ${agent.id} ${agent.name}`)
  })
  const presence = new PresencePacer(clock, ({ channels: joined, agent }) => {
    if (!agent.isHidden) broadcastPresence(writes, joined, agent, clock.now())
  })
  sessions.on("presence", (session, isVisible) => {
    if (isVisible) presence.note(session)
    rosterSync.changed(session)
    tasks.update(session.agent)
  })
  channels.on("opened", (channel) => membership.onOpened(channel))
  channels.on("removed", (channel) => {
    for (const session of sessions.all()) membership.expel(session, channel)
  })
  if (backbone.isShared) {
    // The guards of this relay count the messages that other relays accept.
    const count = (message: Stored) => countReplicated(message, guards)
    channels.on("message", count)
    mailboxes.on("posted", count)
  }
  backbone.onReachabilityChange((isReachable) => {
    log(
      isReachable ? "store: can be reached again" : "store: cannot be reached",
      isReachable ? "info" : "error",
    )
    if (isReachable) mailboxes.resume()
  })
}

/** Makes the end of keys and the actions of operators take effect. */
function connectAuthority(services: Services, { clock, log, operators }: RelaySettings): void {
  const { endedKeys, moderation, sessions, roster, claims } = services
  endedKeys.on("ended", (end) => {
    log(`ended: the key of ${end.id}`)
    if (end.to === undefined) operators.withdraw(end.id)
    else operators.succeed(end.id, end.to)
    const session = sessions.find(end.id)
    endUngranted(services)
    if (session !== undefined) session.endKey(end)
    else if (end.to === undefined) void giveUp(end.id, services)
    claims.sweep()
  })
  moderation.on("carried", (action) => {
    log(
      `${action.by}: ${action.statement.action} ${action.statement.channel ?? ""} ${action.statement.agent ?? ""}`,
    )
    carryOut(action, services, clock.now())
    endUngranted(services)
    // An agent that is connected to this relay gives them back when its session has ended.
    for (const id of concerned(action, services)) {
      if (sessions.find(id) !== undefined || !isShutOut(holderOf(id, roster), services)) continue
      void giveTasksBack(id, services)
    }
    claims.sweep()
  })
}

/** In a closed relay, ends the sessions whose grants have ended, and takes others out of what they may no longer read. */
export function endUngranted({ grants, sessions, membership, channels }: Services): void {
  if (!grants.isClosed) return
  for (const session of [...sessions.all()]) {
    const { agent } = session
    if (!grants.mayStay(agent)) {
      session.sendError(new ChatError("FORBIDDEN", "the relay is closed: your grant has ended"))
      session.close(policyViolation, "FORBIDDEN")
      continue
    }
    for (const channel of [...session.channels]) {
      if (channel.isVisibleTo(agent.id)) continue
      membership.expel(session, channel)
      channels.leave(channel, agent)
    }
  }
}

/** Reports whether an agent will not come back: its key has ended, it is banned, or it has no grant any more. */
export function isGone(
  id: AgentId,
  services: Pick<Services, "endedKeys" | "moderation" | "grants" | "roster">,
): boolean {
  return services.endedKeys.find(id) !== undefined || isShutOut(holderOf(id, services.roster), services)
}

/** Reports whether an agent is banned, or has no grant for a closed relay any more. */
function isShutOut(
  agent: Pick<Agent, "id" | "formerly">,
  { moderation, grants }: Pick<Services, "moderation" | "grants">,
): boolean {
  return moderation.banOf(idsOf(agent)) !== undefined || !grants.mayStay(agent)
}

function holderOf(id: AgentId, roster: Roster): Pick<Agent, "id" | "formerly"> {
  return { id, formerly: roster.find(id)?.formerly }
}

/** Returns the agents that an action may shut out. */
function concerned({ statement }: Carried, { grants, roster }: Services): readonly AgentId[] {
  const { agent, grant } = statement
  const used = grants.rows().find((row) => row.grant.id === grant)
  const ids = agent === undefined ? (used?.keys ?? []) : [agent.toLowerCase() as AgentId]
  return ids.map((id) => roster.currentId(id))
}

/** Gives back the name and the tasks of an agent whose key was revoked. */
async function giveUp(id: AgentId, services: Services): Promise<void> {
  services.rosterSync.forget(id)
  await giveTasksBack(id, services)
}

async function giveTasksBack(id: AgentId, { tasks, warn }: Services): Promise<void> {
  try {
    await tasks.giveUp(id)
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    warn(`the tasks of ${id} wait for the end of their leases: ${error.message}`)
  }
}

/** Stops all services. Everything that was acknowledged is stored when it resolves. */
export async function closeServices({
  channels,
  tasks,
  deals,
  claims,
  coordination,
  mailboxes,
  guards,
  rosterSync,
  bookmarks,
  backbone,
}: Services): Promise<void> {
  channels.close()
  tasks.close()
  deals.close()
  claims.close()
  coordination.close()
  mailboxes.stop()
  await guards.close()
  await rosterSync.close()
  await bookmarks.save()
  await backbone.close()
}

/** Sends a notice of a guard to a channel, or to an agent if it is online. */
function sendGuardNotice(
  to: string,
  notice: ServerMessage<"GUARD">,
  { channels, roster, direct }: { channels: ChannelDirectory; roster: Roster; direct: DirectDelivery },
): void {
  const channel = to.startsWith("#") ? channels.get(to) : undefined
  if (channel !== undefined) channel.sendTo(channel.members, notice)
  else if (roster.find(to) !== undefined) direct.send(to as AgentId, JSON.stringify(notice))
}

/** Counts a message or a statement that may come from another relay. */
function countReplicated(message: Stored, guards: GuardService): void {
  const input = replicatedInput(message)
  if (input !== undefined) {
    guards.noteReplicated(input)
    return
  }
  const step = isVerb(message.type) ? guardStepOf(message as ServerMessage<Verb>) : undefined
  if (step !== undefined) guards.noteReplicatedStep(step)
}
