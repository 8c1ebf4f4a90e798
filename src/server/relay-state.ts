import { randomBytes } from "node:crypto"
import type { Backbone, LogEntry } from "../backbone/backbone.js"
import type { Clock } from "../base/clock.js"
import { Gcra } from "../guards/gcra.js"
import type { GuardLimits } from "../guards/limits.js"
import { ChatError } from "../protocol/errors.js"
import type { Limits } from "../protocol/limits.js"
import { unnamedFrameId } from "../protocol/message-id.js"
import type { AgentId, ChannelPattern } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { Bookmarks } from "./channels/bookmarks.js"
import type { Channel } from "./channels/channel.js"
import { ChannelDirectory } from "./channels/directory.js"
import { joinChannel } from "./channels/join-channel.js"
import { ChannelPatterns } from "./channels/patterns.js"
import { ChannelStore } from "./channels/store.js"
import { DealService } from "./deals/deal-service.js"
import { overheardStep } from "./deals/deal-steps.js"
import { DirectDelivery } from "./delivery/direct-delivery.js"
import { Mailboxes } from "./delivery/mailboxes.js"
import { formatStored, parseStored, type Stored } from "./delivery/message-json.js"
import { RelayBus } from "./delivery/relay-bus.js"
import { replicatedInput } from "./guards/guard-input.js"
import { GuardService } from "./guards/guard-service.js"
import type { Operators } from "./operators.js"
import { KnownAgents } from "./roster/known-agents.js"
import { broadcastPresence } from "./roster/presence-broadcast.js"
import { Roster } from "./roster/roster.js"
import { RosterSync } from "./roster/roster-sync.js"
import type { Agent, AgentMemory } from "./sessions/agent.js"
import { Heartbeat } from "./sessions/heartbeat.js"
import { SentIds } from "./sessions/sent-ids.js"
import type { Session } from "./sessions/session.js"
import { SessionRegistry } from "./sessions/session-registry.js"
import { WriteSequencer } from "./sessions/write-sequencer.js"
import { TaskService } from "./tasks/task-service.js"
import { payloadOf } from "./wire/payload.js"
import { WriteScheduler } from "./wire/write-scheduler.js"

/** What an operator decides. */
export interface RelayStateOptions {
  /** What the relay calls itself. */
  readonly name: string
  readonly limits: Limits
  readonly guards: GuardLimits
  readonly operators: Operators
  /** Take the first AgentChat's handshake too. */
  readonly isCompat: boolean
  /** Write what is said to the log; never without being asked. */
  readonly logMessages: boolean
  readonly clock: Clock
  readonly log: (line: string) => void
}

const bootNonceBytes = 4

/** What a house is made of beside those who are in it. */
interface Rooms {
  readonly hub: SessionRegistry
  readonly roster: Roster
  readonly keeper: RosterSync
  readonly residents: KnownAgents
  readonly mail: Mailboxes
  readonly courier: DirectDelivery
  readonly bookmarks: Bookmarks
  readonly channels: ChannelDirectory
  readonly tasks: TaskService
  readonly deals: DealService
  readonly guards: GuardService
}

/** Everything the handlers share: who is here, what is said where, and the rules of the house. */
export class RelayState {
  readonly options: RelayStateOptions
  readonly backbone: Backbone
  readonly tick: WriteScheduler
  readonly hub: SessionRegistry
  readonly roster: Roster
  readonly keeper: RosterSync
  readonly heartbeat: Heartbeat
  readonly residents: KnownAgents
  readonly mail: Mailboxes
  readonly courier: DirectDelivery
  readonly bookmarks: Bookmarks
  readonly channels: ChannelDirectory
  readonly tasks: TaskService
  readonly deals: DealService
  readonly guards: GuardService
  readonly patterns = new ChannelPatterns()
  readonly #bootNonce = randomBytes(bootNonceBytes).toString("hex")
  #unnamedFrames = 0

  private constructor(options: RelayStateOptions, backbone: Backbone, tick: WriteScheduler, rooms: Rooms) {
    const { limits, clock, log } = options
    this.options = options
    this.backbone = backbone
    this.tick = tick
    this.hub = rooms.hub
    this.roster = rooms.roster
    this.mail = rooms.mail
    this.courier = rooms.courier
    this.bookmarks = rooms.bookmarks
    this.channels = rooms.channels
    this.tasks = rooms.tasks
    this.deals = rooms.deals
    this.guards = rooms.guards
    this.residents = rooms.residents
    this.keeper = rooms.keeper
    this.heartbeat = new Heartbeat(this.hub, clock, limits, { onShown: (session) => this.show(session) })
    backbone.onReachabilityChange((isReachable) => {
      log(isReachable ? "store: can be reached again" : "store: cannot be reached")
      if (isReachable) this.mail.readOn()
    })
  }

  /** Takes in what the engine keeps. @throws {ChatError} UNAVAILABLE */
  static async open(options: RelayStateOptions, backbone: Backbone): Promise<RelayState> {
    const { limits, clock, log } = options
    const tick = new WriteScheduler()
    const hub = new SessionRegistry()
    const roster = new Roster(hub)
    const bus = await RelayBus.open(backbone, hub, log)
    // What other relays do until it is made is taken in with the rooms, and concerns nobody here.
    const made: RelayState[] = []
    const inHouse = (act: (house: RelayState) => void) => made.forEach(act)
    const mail = await Mailboxes.open(backbone, limits, {
      onPosted: (message) => inHouse((house) => house.#overhear(message)),
      log,
    })
    const courier = new DirectDelivery({ hub, roster, bus, mail, clock })
    const { guards: numbers, operators } = options
    const guards = await GuardService.open(
      backbone,
      { guards: numbers, operators, clock },
      { tell: (to, news) => inHouse((house) => house.#tellGuard(to, news)), log },
    )
    const bookmarks = await Bookmarks.open(backbone, {
      isHere: (id) => hub.find(id) !== undefined,
      ...{ clock, log },
    })
    const channels = await ChannelDirectory.open({
      limits,
      clock,
      tick,
      store: await ChannelStore.open(backbone, limits),
      events: {
        onOpened: (channel) => inHouse((house) => house.#bringIn(channel)),
        onChanged: (channel) => tellChange(channel, clock.now()),
        onSaid: (channel, entry) => inHouse((house) => house.#publish(channel, entry)),
        hasMembersElsewhere: ({ name }) => roster.countRemoteMembers(name) > 0,
        log,
      },
    })
    const tasks = await TaskService.open(backbone, { limits, clock, log, delivery: courier, guards })
    const knownAgents = new KnownAgents(clock, limits.identities, () => makeMemory(limits, clock))
    const keeper = await RosterSync.open(backbone, {
      ...{ roster, sessions: hub, knownAgents, channels, tick, clock, limits, log },
    })
    const deals = await DealService.open(
      backbone,
      { limits, clock },
      {
        knows: (id) => keeper.knows(id),
        post: (to, id, text) => mail.post(to, id, text),
        guards,
        log,
      },
    )
    const house = new RelayState(options, backbone, tick, {
      ...{ hub, roster, keeper, residents: knownAgents },
      ...{ mail, courier, bookmarks, channels, tasks, deals, guards },
    })
    made.push(house)
    return house
  }

  /** Everything that was promised is safe afterwards. */
  async close(): Promise<void> {
    this.tasks.close()
    this.deals.close()
    await this.guards.close()
    await this.keeper.close()
    await this.bookmarks.save()
    await this.backbone.close()
  }

  /** Names what is kept, and so the chat: proofs and numbers mean nothing to another. */
  get serverId(): string {
    return this.backbone.id
  }

  /** The memory of somebody who is not remembered. */
  makeMemory(): AgentMemory {
    return makeMemory(this.options.limits, this.options.clock)
  }

  /** An id for a message whose frame has none; no sender can have used it in an earlier boot. */
  nextFrameId(): string {
    return unnamedFrameId(this.#bootNonce, this.#unnamedFrames++)
  }

  /** Somebody said who it is: from now on it gets what is for it. */
  arrive(session: Session): void {
    const { agent } = session
    if (agent.isPersistent) {
      this.mail.open(agent, session.confirmsMail, (id) => this.courier.tellAuthor(id, "mirrored", agent.id))
    }
    this.tasks.enter(agent)
  }

  /** Takes a session out of everything it was in. */
  depart(session: Session): void {
    const agent = session.admitted
    if (agent === undefined) return
    for (const channel of session.channels) this.channels.abandon(channel, agent)
    session.channels.clear()
    this.patterns.drop(session)
    this.hub.remove(session)
    this.tasks.leave(agent)
    if (agent.isPersistent) {
      this.mail.close(agent)
      void this.bookmarks.forget(agent.id)
      this.residents.leave(agent.id)
    }
    this.keeper.departed(agent)
    this.options.log(`left: ${agent.id} ${agent.name}`)
  }

  /** Sessions a message of `author` in `channel` goes to. */
  recipientsOf(channel: Channel, author: Agent): number {
    return channel.recipientsOf(author) + this.roster.countRemoteMembers(channel.name)
  }

  /** Tells everybody who shares a channel what the agent of `session` does now. */
  show(session: Session): void {
    const { agent, channels } = session
    broadcastPresence(this.tick, channels, agent, this.options.clock.now())
    this.keeper.changed(session)
    this.tasks.update(agent)
  }

  /** Tells an agent that is online, or a channel, what a guard did. */
  #tellGuard(to: string, news: ServerMessage<"GUARD">): void {
    const channel = to.startsWith("#") ? this.channels.get(to) : undefined
    if (channel !== undefined) channel.deliver(news, channel.members)
    else if (this.roster.find(to) !== undefined) {
      this.courier.hand(to as AgentId, payloadOf(JSON.stringify(news)))
    }
  }

  /** Another relay of the same store let something pass: the guards of this one count it too. */
  #overhear(message: Stored): void {
    if (!this.backbone.isShared) return
    const saying = replicatedInput(message, (name) => this.channels.get(name))
    if (saying !== undefined) {
      this.guards.overhear(saying)
      return
    }
    const step = overheardStep(message)
    if (step !== undefined) this.guards.overhearStep(step)
  }

  /** What was said in a channel with a history goes to everybody in it but its author. */
  #publish(channel: Channel, entry: LogEntry): void {
    const message = parseStored<"MSG">(entry)
    this.#overhear(message)
    channel.publishKept(this.hub.find(message.from)?.agent, payloadOf(formatStored(entry)))
  }

  #bringIn(channel: Channel): void {
    for (const [session, pattern] of this.patterns.wanting(channel.name)) {
      if (channel.isVisibleTo(session.agent.id)) this.#enter(session, channel, pattern)
    }
  }

  #enter(session: Session, channel: Channel, pattern: ChannelPattern): void {
    joinChannel(this, session, channel, { pattern })?.catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      session.refuse(error)
    })
  }
}

function tellChange(channel: Channel, ts: number): void {
  const { by, settings } = channel.record
  if (by === undefined) return
  channel.deliver({ type: "CHANNEL_CHANGED", channel: channel.name, by, settings, ts }, channel.members)
}

function makeMemory({ ratePerSecond, rateBurst, rememberedIds }: Limits, clock: Clock): AgentMemory {
  return {
    meter: new Gcra({ ratePerSecond, burst: rateBurst }),
    sent: new SentIds(rememberedIds),
    lane: new WriteSequencer(clock),
  }
}
