import { type Command, globalOptions } from "./command.js"
import type { CommandOutline, OptionOutline } from "./completion/outline.js"

/** The summary of a command, and its module, which exports the command under its own name. */
type Row<Name extends PropertyKey> = readonly [
  summary: string,
  load: () => Promise<Readonly<Record<Name, Command>>>,
]

/** All commands, under the headings of the list. The module of a command is loaded only when the command is called. */
const sections = {
  "Start and stop": section({
    up: ["start a relay and a daemon for this directory", () => import("./commands/up.js")],
    down: ["stop what `up` started", () => import("./commands/down.js")],
    serve: ["run a relay", () => import("./commands/serve.js")],
    demo: ["show the web page with four scripted agents", () => import("./commands/demo.js")],
    store: ["back up, restore, verify or export a relay's data", () => import("./commands/store.js")],
    service: ["run a relay or a daemon with systemd or launchd", () => import("./commands/service.js")],
    webhooks: ["show or deliver again what a webhook did not take", () => import("./commands/webhooks.js")],
    daemon: ["run, list or stop daemons", () => import("./commands/daemon.js")],
  }),
  "Messages and tasks": section({
    send: ["send text to a #channel, an @agent or a +role", () => import("./commands/send.js")],
    ask: ["ask an @agent or a +role and wait for the answer", () => import("./commands/ask.js")],
    reply: ["answer a message of the inbox", () => import("./commands/reply.js")],
    inbox: ["read messages that a daemon received", () => import("./commands/inbox.js")],
    log: ["search, export or verify messages", () => import("./commands/log.js")],
    wait: ["wait until something new arrives, and print it", () => import("./commands/wait.js")],
    watch: ["print one short line per new message, for monitors", () => import("./commands/watch.js")],
    listen: ["print messages as they arrive, without a daemon", () => import("./commands/listen.js")],
    connect: ["chat at an interactive prompt", () => import("./commands/connect.js")],
    web: ["see and steer everything on a web page", () => import("./commands/web.js")],
    task: ["list, claim, finish or return tasks of a role", () => import("./commands/task.js")],
  }),
  Deals: section({
    propose: ["propose a deal to an agent, signed", () => import("./commands/propose.js")],
    accept: ["accept a proposal", () => import("./commands/accept.js")],
    reject: ["reject a proposal", () => import("./commands/reject.js")],
    complete: ["state that a deal is completed", () => import("./commands/complete.js")],
    dispute: ["state that a deal was not carried out as agreed", () => import("./commands/dispute.js")],
    proposals: ["list your proposals and their states", () => import("./commands/proposals.js")],
    receipts: ["list, sum up, export or verify receipts of deals", () => import("./commands/receipts.js")],
    ratings: ["show ratings computed from receipts", () => import("./commands/ratings.js")],
  }),
  "Channels, agents, status": section({
    whoami: ["show who you are, what you may do, what is unread", () => import("./commands/whoami.js")],
    status: ["show the status of this directory's daemon", () => import("./commands/status.js")],
    guard: ["show guard limits, release held messages, lift stops", () => import("./commands/guard.js")],
    presence: ["set your status and activity", () => import("./commands/presence.js")],
    wake: ["show or test how your session is woken", () => import("./commands/wake.js")],
    pending: [
      "list messages and tasks that wait for an agent or role",
      () => import("./commands/pending.js"),
    ],
    claim: ["claim files that you edit, so that others keep off", () => import("./commands/claim.js")],
    release: ["end claims of files", () => import("./commands/release.js")],
    claims: ["list which agent has claimed which files", () => import("./commands/claims.js")],
    channels: ["list channels, show or change their settings", () => import("./commands/channels.js")],
    agents: ["list agents and their status", () => import("./commands/agents.js")],
    create: ["create a channel", () => import("./commands/create.js")],
    join: ["join a channel, or all channels of a pattern", () => import("./commands/join.js")],
    leave: ["leave a channel", () => import("./commands/leave.js")],
    invite: ["invite an agent to an invite-only channel", () => import("./commands/invite.js")],
  }),
  "Coding harnesses": section({
    install: ["join the coding harnesses that are here", () => import("./commands/install.js")],
    uninstall: ["remove what `install` added", () => import("./commands/uninstall.js")],
    doctor: ["find out what keeps agents from being reached", () => import("./commands/doctor.js")],
    hook: ["answer an event of a coding harness", () => import("./commands/hook.js")],
  }),
  "For operators": section({
    kick: ["take an agent out of a channel", () => import("./commands/kick.js")],
    ban: ["refuse an agent, or lift that", () => import("./commands/ban.js")],
    mute: ["refuse what an agent says, or lift that", () => import("./commands/mute.js")],
    history: ["delete what the relay keeps of a channel", () => import("./commands/history.js")],
    mint: ["make a grant for a closed relay", () => import("./commands/mint.js")],
    grants: ["list, revoke or add grants", () => import("./commands/grants.js")],
    audit: ["list what operators have done, and verify it", () => import("./commands/audit.js")],
  }),
  "Identity and shell": section({
    identity: ["create, show, export, rotate or revoke a key", () => import("./commands/identity.js")],
    mcp: ["serve an MCP client on standard input and output", () => import("./commands/mcp.js")],
    schema: ["print the messages of the protocol as JSON Schema", () => import("./commands/schema.js")],
    completion: ["print a completion script for your shell", () => import("./commands/completion.js")],
    version: ["print the version", () => import("./commands/version.js")],
  }),
}

function section<T extends { readonly [Name in keyof T]: Row<Name> }>(rows: T): T {
  return rows
}

/** A command as the list shows it, and how to load it. */
export interface CommandEntry {
  readonly name: string
  readonly heading: string
  readonly summary: string
  readonly load: () => Promise<Command>
}

/** All commands by name, in the order of the list. */
export const commandTable: ReadonlyMap<string, CommandEntry> = new Map(
  Object.entries(sections).flatMap(([heading, rows]) =>
    Object.entries<Row<string>>(rows).map(([name, [summary, load]]) => {
      return [name, { name, heading, summary, load: async () => Reflect.get(await load(), name) }]
    }),
  ),
)

/** Words of other programs, and the commands that do what they do. */
export const aliases: ReadonlyMap<string, string> = new Map([
  ["start", "up"],
  ["stop", "down"],
  ["ls", "channels"],
  ["list", "channels"],
  ["who", "agents"],
  ["read", "inbox"],
  ["dm", "send"],
  ["anycast", "send"],
  ["msg", "send"],
  ["backup", "store backup"],
  ["restore", "store restore"],
])

/** Returns the words that an alias stands for. */
export function spellOut(word: string): readonly [name: string, ...args: string[]] {
  const [name = word, ...args] = (aliases.get(word) ?? word).split(" ")
  return [name, ...args]
}

/** Returns the command of a name or of an alias. */
export function findCommand(word: string): CommandEntry | undefined {
  return commandTable.get(spellOut(word)[0])
}

/** Options of every command. */
const everywhere: readonly OptionOutline[] = [
  { flag: "quiet", summary: globalOptions.quiet.summary, completion: undefined },
  { flag: "json", summary: globalOptions.json.summary, completion: undefined },
  { flag: "home", summary: globalOptions.home.summary, completion: "directory" },
  { flag: "help", summary: "print the help", completion: undefined },
]

/** Lists all commands with their options. Loads every command. */
export function outlineCommands(): Promise<CommandOutline[]> {
  return Promise.all(
    Array.from(commandTable.values(), async ({ name, summary, load }) => {
      const command = await load()
      const own = Object.entries(command.options).map(([flag, option]) => ({
        flag,
        summary: option.summary,
        completion: option.kind === "flag" || option.kind === "flagOr" ? undefined : option.completion,
      }))
      const [first] = Object.values(command.args)
      const verbs = command.verbs === undefined ? undefined : Object.keys(command.verbs)
      const argument = verbs ?? first?.completion ?? "nothing"
      return { name, summary, options: [...own, ...everywhere], argument }
    }),
  )
}
