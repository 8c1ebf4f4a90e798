import type { Command } from "./command.js"

/** A row of the table: enough for the overview, and where the rest is. */
interface CommandEntry {
  readonly group: keyof typeof groups
  readonly summary: string
  load(): Promise<Command>
}

/** Headings of the overview, in order. */
export const groups = {
  start: "Start and stop",
  talk: "Talk",
  deal: "Agree and prove",
  look: "Look around",
  self: "Yourself and your shell",
} as const

/** Every command. A module is loaded when its command is called, and not before. */
export const commandTable = {
  up: {
    group: "start",
    summary: "start a relay and a daemon for this directory",
    load: async () => (await import("./commands/up.js")).up,
  },
  down: {
    group: "start",
    summary: "end what `up` started",
    load: async () => (await import("./commands/down.js")).down,
  },
  serve: {
    group: "start",
    summary: "run a relay",
    load: async () => (await import("./commands/serve.js")).serve,
  },
  store: {
    group: "start",
    summary: "verify, compact or export what a relay keeps on disk",
    load: async () => (await import("./commands/store.js")).store,
  },
  daemon: {
    group: "start",
    summary: "run a daemon, or see, list and stop daemons",
    load: async () => (await import("./commands/daemon.js")).daemon,
  },
  send: {
    group: "talk",
    summary: "send text to a #channel, an @agent or a +role",
    load: async () => (await import("./commands/send.js")).send,
  },
  ask: {
    group: "talk",
    summary: "ask a +role or an @agent, and wait for the answer",
    load: async () => (await import("./commands/ask.js")).ask,
  },
  inbox: {
    group: "talk",
    summary: "read what a daemon received",
    load: async () => (await import("./commands/inbox.js")).inbox,
  },
  listen: {
    group: "talk",
    summary: "print messages as they come, without a daemon",
    load: async () => (await import("./commands/listen.js")).listen,
  },
  connect: {
    group: "talk",
    summary: "talk as a person, at a prompt",
    load: async () => (await import("./commands/connect.js")).connect,
  },
  task: {
    group: "talk",
    summary: "see, take, end or give back work for a role",
    load: async () => (await import("./commands/task.js")).task,
  },
  propose: {
    group: "deal",
    summary: "propose work to an agent, signed",
    load: async () => (await import("./commands/propose.js")).propose,
  },
  accept: {
    group: "deal",
    summary: "accept a proposal",
    load: async () => (await import("./commands/accept.js")).accept,
  },
  reject: {
    group: "deal",
    summary: "turn a proposal down",
    load: async () => (await import("./commands/reject.js")).reject,
  },
  complete: {
    group: "deal",
    summary: "say that a deal is carried out",
    load: async () => (await import("./commands/complete.js")).complete,
  },
  dispute: {
    group: "deal",
    summary: "say that a deal is not carried out as agreed",
    load: async () => (await import("./commands/dispute.js")).dispute,
  },
  proposals: {
    group: "deal",
    summary: "see your proposals and their states",
    load: async () => (await import("./commands/proposals.js")).proposals,
  },
  receipts: {
    group: "deal",
    summary: "list, sum up, export or verify what proves deals",
    load: async () => (await import("./commands/receipts.js")).receipts,
  },
  ratings: {
    group: "deal",
    summary: "tell what receipts make of an agent, or of all",
    load: async () => (await import("./commands/ratings.js")).ratings,
  },
  status: {
    group: "look",
    summary: "tell how this directory's daemon is",
    load: async () => (await import("./commands/status.js")).status,
  },
  guard: {
    group: "look",
    summary: "see what the guards count, release what they kept, lift them",
    load: async () => (await import("./commands/guard.js")).guard,
  },
  presence: {
    group: "look",
    summary: "say what you are doing",
    load: async () => (await import("./commands/presence.js")).presence,
  },
  pending: {
    group: "look",
    summary: "tell what waits for somebody",
    load: async () => (await import("./commands/pending.js")).pending,
  },
  channels: {
    group: "look",
    summary: "list channels, see and change what they tell",
    load: async () => (await import("./commands/channels.js")).channels,
  },
  agents: {
    group: "look",
    summary: "list who is there",
    load: async () => (await import("./commands/agents.js")).agents,
  },
  create: {
    group: "look",
    summary: "make a channel",
    load: async () => (await import("./commands/create.js")).create,
  },
  join: {
    group: "look",
    summary: "enter a channel, or all of a pattern",
    load: async () => (await import("./commands/join.js")).join,
  },
  leave: {
    group: "look",
    summary: "leave a channel",
    load: async () => (await import("./commands/leave.js")).leave,
  },
  invite: {
    group: "look",
    summary: "let an agent into an invite-only channel",
    load: async () => (await import("./commands/invite.js")).invite,
  },
  identity: {
    group: "self",
    summary: "make, show, export, rotate or revoke a key",
    load: async () => (await import("./commands/identity.js")).identity,
  },
  completion: {
    group: "self",
    summary: "print a completion script for your shell",
    load: async () => (await import("./commands/completion.js")).completion,
  },
  version: {
    group: "self",
    summary: "print the version",
    load: async () => (await import("./commands/version.js")).version,
  },
} as const satisfies Record<string, CommandEntry>

/** Name of a command. */
export type CommandName = keyof typeof commandTable

export const commandNames = Object.keys(commandTable) as CommandName[]

/** Whether `text` names a command. */
export function isCommandName(text: string): text is CommandName {
  return Object.hasOwn(commandTable, text)
}
