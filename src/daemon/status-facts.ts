import type { DaemonGuards } from "./guards/daemon-guards.js"
import type { Inbox } from "./inbox/inbox.js"
import type { Outbox } from "./outbox/outbox.js"
import type { LeasedTasks } from "./session/leased-tasks.js"
import type { Memberships } from "./session/memberships.js"
import type { Presence } from "./session/presence.js"
import type { RelaySession } from "./session/relay-session.js"
import type { DaemonStatus } from "./status.js"

/** What status.json tells of a daemon's parts; the rest is what the board itself remembers. */
export type DaemonFacts = Omit<DaemonStatus, "v" | "reason" | "started" | "updated" | "since" | "problems">

/** Whom a status is of, and the parts that know. */
interface Reported extends DaemonGuards, Pick<DaemonStatus, "name" | "nick" | "server" | "pid"> {
  readonly agentId: string | undefined
  readonly link: Pick<RelaySession, "state" | "connection">
  readonly memberships: Pick<Memberships, "channels" | "durable" | "patterns">
  readonly presence: Pick<Presence, "said">
  readonly tasks: Pick<LeasedTasks, "ids">
  readonly outbox: Pick<Outbox, "pending">
  readonly inbox: Pick<Inbox, "lastSeq" | "lines" | "heldBytes">
}

/** How it stands with a daemon now. Asks its parts and changes none of them. */
export function factsOf(reported: Reported): DaemonFacts {
  const { name, nick, server, pid, link, memberships, inbox } = reported
  return {
    name,
    nick,
    agent_id: reported.agentId ?? null,
    server,
    server_id: link.connection?.welcome.server_id ?? null,
    state: link.state,
    connected: link.connection !== undefined,
    pid,
    channels: memberships.channels,
    durable: memberships.durable,
    patterns: memberships.patterns,
    presence: reported.presence.said ?? null,
    tasks: reported.tasks.ids,
    guards: reported.stops.list,
    breaker: reported.breaker.usage,
    outbox: { pending: reported.outbox.pending },
    inbox: { seq: inbox.lastSeq, lines: inbox.lines, held_bytes: inbox.heldBytes },
  }
}
