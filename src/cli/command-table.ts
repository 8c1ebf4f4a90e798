import { type Command, globalOptions } from "./command.js"
import type { CommandOutline, OptionOutline } from "./completion/outline.js"

/** A row of the table: all that the list of commands needs, and how to load the command. */
interface CommandEntry {
  readonly group: keyof typeof groups
  readonly summary: string
  load(): Promise<Command>
}

/** Headings of the list of commands, in order. */
export const groups = {
  start: "Start and stop",
  talk: "Messages and tasks",
  deal: "Deals",
  look: "Channels, agents, status",
  self: "Identity and shell",
} as const

/** All commands. The module of a command is loaded only when the command is called. */
export const commandTable = {
  up: {
    group: "start",
    summary: "start a relay and a daemon for this directory",
    load: async () => (await import("./commands/up.js")).up,
  },
  down: {
    group: "start",
    summary: "stop what `up` started",
    load: async () => (await import("./commands/down.js")).down,
  },
  serve: {
    group: "start",
    summary: "run a relay",
    load: async () => (await import("./commands/serve.js")).serve,
  },
  store: {
    group: "start",
    summary: "verify, compact or export a relay's data directory",
    load: async () => (await import("./commands/store.js")).store,
  },
  daemon: {
    group: "start",
    summary: "run, list or stop daemons",
    load: async () => (await import("./commands/daemon.js")).daemon,
  },
  send: {
    group: "talk",
    summary: "send text to a #channel, an @agent or a +role",
    load: async () => (await import("./commands/send.js")).send,
  },
  ask: {
    group: "talk",
    summary: "ask an @agent or a +role and wait for the answer",
    load: async () => (await import("./commands/ask.js")).ask,
  },
  inbox: {
    group: "talk",
    summary: "read messages that a daemon received",
    load: async () => (await import("./commands/inbox.js")).inbox,
  },
  listen: {
    group: "talk",
    summary: "print messages as they arrive, without a daemon",
    load: async () => (await import("./commands/listen.js")).listen,
  },
  connect: {
    group: "talk",
    summary: "chat at an interactive prompt",
    load: async () => (await import("./commands/connect.js")).connect,
  },
  task: {
    group: "talk",
    summary: "list, claim, finish or return tasks of a role",
    load: async () => (await import("./commands/task.js")).task,
  },
  propose: {
    group: "deal",
    summary: "propose a deal to an agent, signed",
    load: async () => (await import("./commands/propose.js")).propose,
  },
  accept: {
    group: "deal",
    summary: "accept a proposal",
    load: async () => (await import("./commands/accept.js")).accept,
  },
  reject: {
    group: "deal",
    summary: "reject a proposal",
    load: async () => (await import("./commands/reject.js")).reject,
  },
  complete: {
    group: "deal",
    summary: "state that a deal is completed",
    load: async () => (await import("./commands/complete.js")).complete,
  },
  dispute: {
    group: "deal",
    summary: "state that a deal was not carried out as agreed",
    load: async () => (await import("./commands/dispute.js")).dispute,
  },
  proposals: {
    group: "deal",
    summary: "list your proposals and their states",
    load: async () => (await import("./commands/proposals.js")).proposals,
  },
  receipts: {
    group: "deal",
    summary: "list, sum up, export or verify receipts of deals",
    load: async () => (await import("./commands/receipts.js")).receipts,
  },
  ratings: {
    group: "deal",
    summary: "show ratings computed from receipts",
    load: async () => (await import("./commands/ratings.js")).ratings,
  },
  status: {
    group: "look",
    summary: "show the status of this directory's daemon",
    load: async () => (await import("./commands/status.js")).status,
  },
  guard: {
    group: "look",
    summary: "show guard limits, release held messages, lift stops",
    load: async () => (await import("./commands/guard.js")).guard,
  },
  presence: {
    group: "look",
    summary: "set your status and activity",
    load: async () => (await import("./commands/presence.js")).presence,
  },
  pending: {
    group: "look",
    summary: "list messages and tasks that wait for an agent or role",
    load: async () => (await import("./commands/pending.js")).pending,
  },
  channels: {
    group: "look",
    summary: "list channels, show or change their settings",
    load: async () => (await import("./commands/channels.js")).channels,
  },
  agents: {
    group: "look",
    summary: "list agents and their status",
    load: async () => (await import("./commands/agents.js")).agents,
  },
  create: {
    group: "look",
    summary: "create a channel",
    load: async () => (await import("./commands/create.js")).create,
  },
  join: {
    group: "look",
    summary: "join a channel, or all channels of a pattern",
    load: async () => (await import("./commands/join.js")).join,
  },
  leave: {
    group: "look",
    summary: "leave a channel",
    load: async () => (await import("./commands/leave.js")).leave,
  },
  invite: {
    group: "look",
    summary: "invite an agent to an invite-only channel",
    load: async () => (await import("./commands/invite.js")).invite,
  },
  identity: {
    group: "self",
    summary: "create, show, export, rotate or revoke a key",
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

export function isCommandName(text: string): text is CommandName {
  return Object.hasOwn(commandTable, text)
}

/** Options of every command. */
const everywhere: readonly OptionOutline[] = [
  { flag: "json", summary: globalOptions.json.summary, completion: undefined },
  { flag: "home", summary: globalOptions.home.summary, completion: "directory" },
  { flag: "help", summary: "print the help", completion: undefined },
]

/** Lists all commands with their options. Loads every command. */
export function outlineCommands(): Promise<CommandOutline[]> {
  return Promise.all(
    commandNames.map(async (name) => {
      const { load, summary } = commandTable[name]
      const command: Command = await load()
      const own = Object.entries(command.options).map(([flag, option]) => ({
        flag,
        summary: option.summary,
        completion: option.kind === "flag" || option.kind === "flagOr" ? undefined : option.completion,
      }))
      const [first] = Object.values(command.args)
      return { name, summary, options: [...own, ...everywhere], argument: first?.completion ?? "nothing" }
    }),
  )
}
