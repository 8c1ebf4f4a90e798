import { resolve } from "node:path"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ensureHome, openHome } from "../../daemon/files/home.js"
import type { PublicIdentity } from "../../identity/identity-file.js"
import type { KeyStatement } from "../../identity/succession.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, value } from "../command.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../daemon/daemon-choice.js"
import { reportSuccess } from "../exit-status.js"
import { instanceName, nick, someText, textUpTo } from "../input/values.js"
import { type OwnChoice, ownIdentityFile } from "../relay/own-identity.js"

const actions = ["generate", "show", "export", "rotate", "revoke", "publish"] as const
type Action = (typeof actions)[number]
/** Characters of a reason; relays take no longer one. */
const maxReason = 1024

export const identity = defineCommand({
  args: {},
  options: {
    generate: flag("create an identity file; never overwrites one"),
    show: flag("show the identity (the default)"),
    export: flag("print the public part as one JSON object"),
    rotate: flag("replace the key, signed by both keys; this changes the agent id"),
    revoke: flag("revoke the identity for good and delete its private key"),
    publish: flag("tell the relay which keys of the identity have ended"),
    identity: value("FILE", "identity file (default: that of the daemon)", someText, "file"),
    name: value("NAME", "daemon that has the identity (default: the only one here)", instanceName, "daemon"),
    nick: value("NAME", "with --generate: name of the agent", nick),
    server: value(
      "URL",
      "with --publish, --rotate and --revoke: relay to tell (default: those of the daemons)",
      someText,
    ),
    keys: value("FILE", "with --publish: tell of the keys in FILE, as in receipts", someText, "file"),
    yes: flag("with --rotate and --revoke: do not ask"),
    reason: value("TEXT", "with --revoke: reason, part of the signed statement", textUpTo(maxReason)),
  },
  verbs: { ...Object.fromEntries(actions.map((action) => [action, action])), create: "generate" },
  takesUrl: false,
  examples: [
    "agentchat identity --generate",
    "agentchat identity --show --identity ./.agentchat/alice.json",
    "agentchat identity --export > alice.public.json",
    "agentchat identity --rotate --yes",
    "agentchat identity --revoke --reason 'the laptop is lost'",
    "agentchat identity --publish --keys alice.public.json",
  ],
  async run(context, { options }) {
    const action = chooseAction(options)
    const { io, config, system } = context
    if (action === "publish") {
      return (await publish(context, await endedKeys(context, options), options)) ? 0 : 8
    }
    const root = openHome(config.home, config.uid)
    const path = action === "generate" ? newIdentityFile(context, options) : ownIdentityFile(context, options)
    // ensureHome adds a .gitignore, so that a key in the home directory is never committed.
    if (action === "generate" && resolve(system.cwd, path).startsWith(root.root)) ensureHome(root)
    const before =
      action === "rotate" || action === "revoke"
        ? await confirm(context, action, path, options.yes)
        : undefined
    const shown = await act(action, path, omitUndefined({ nick: options.nick, reason: options.reason }))
    if (action === "export") io.json(shown)
    else reportSuccess(context, { file: path, ...shown }, describe(shown, path))
    if (before !== undefined) await spread(context, shown, before, options)
    return 0
  },
})

/** Tells relays and daemons that a key has ended. @param before - the identity with that key */
async function spread(
  context: Context,
  { rotations, revocation }: PublicIdentity,
  before: PublicIdentity,
  options: { readonly server: string | undefined },
): Promise<void> {
  // With its new key, a daemon proves itself that it replaced the old one; a revoked key must end at once.
  if (revocation !== undefined) await publish(context, [...rotations, revocation], options)
  await restartDaemons(context, before)
  if (revocation === undefined) await publish(context, rotations, options)
}

/**
 * Asks before a key is destroyed.
 * @returns the identity as it is now
 * @throws {ChatError} USAGE if nobody can be asked; CANCELLED if the answer is not yes
 */
async function confirm(
  context: Context,
  action: "rotate" | "revoke",
  path: string,
  isConfirmed: boolean,
): Promise<PublicIdentity> {
  const { inspectIdentity } = await import("../../identity/identity-file.js")
  const identity = inspectIdentity(path)
  const effect =
    action === "revoke"
      ? "nobody can ever speak as it again"
      : "its agent id changes, and it can sign nothing more for its open deals"
  const { requireConfirmation } = await import("../input/confirmation.js")
  await requireConfirmation(context, isConfirmed, {
    asker: `--${action}`,
    loss: "destroys a private key",
    question: `${action} ${identity.agent_id} (${path})? ${effect}.`,
  })
  return identity
}

/** Returns the statements of `--keys`, or those about the keys of the identity. */
async function endedKeys(
  context: Context,
  { keys, ...choice }: OwnChoice & { readonly keys: string | undefined },
): Promise<readonly KeyStatement[]> {
  const { addIdentityKeys, addKeysFile, KeyRing } = await import("../receipts/key-statements.js")
  const ring = new KeyRing()
  if (keys === undefined) addIdentityKeys(ring, ownIdentityFile(context, choice))
  else addKeysFile(ring, keys)
  if (ring.size > 0) return ring.values()
  throw new ChatError("NOT_FOUND", "--publish: no key of the identity has ended", {
    hint: "a key ends with: agentchat identity --rotate, or --revoke",
  })
}

/** Tells relays which keys have ended. @returns false if one of them does not know it now */
async function publish(
  context: Context,
  statements: readonly KeyStatement[],
  { server }: { readonly server: string | undefined },
): Promise<boolean> {
  const { io } = context
  const { knownServers, withSession } = await import("../relay/session.js")
  const servers = knownServers(context, server)
  const command = "agentchat identity --publish"
  if (servers.length === 0) io.note(`no relay knows it yet; tell one with: ${command} --server URL`)
  let isKnown = servers.length > 0
  for (const url of servers) {
    const choice = { url, options: { identity: undefined, nick: undefined, compat: false } }
    try {
      try {
        await withSession(context, choice, async (connection) => {
          for (const statement of statements) await connection.request({ type: "KEY_STATEMENT", statement })
        })
      } catch (error) {
        // A closed relay has no session for an agent without a key.
        if (!(error instanceof ChatError) || error.code !== "IDENTITY_REQUIRED") throw error
        const { askWithoutSession } = await import("../../client/connection.js")
        for (const statement of statements) {
          await askWithoutSession(url, { type: "KEY_STATEMENT", statement }, context.clock)
        }
      }
      io.note(`${url} knows that the key has ended`)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      isKnown = false
      io.note(`${url} does not know it yet: ${error.message}; tell it with: ${command}`)
    }
  }
  return isKnown
}

/** Makes the running daemons of an identity use its changed file at once. */
async function restartDaemons(context: Context, { agent_id: id }: PublicIdentity): Promise<void> {
  const { io, clock, system, config } = context
  const root = openHome(config.home, config.uid)
  const { listDaemons, restartDaemon } = await import("../../daemon/process/control.js")
  const affected = listDaemons(root, clock.now()).filter(
    ({ running, agent_id }) => running && agent_id === id,
  )
  for (const { name } of affected) {
    try {
      await restartDaemon(root, name as InstanceName, { clock, system })
      io.note(`daemon ${name} uses the new key now`)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      io.note(`daemon ${name} has stopped: ${error.message}`)
    }
  }
}

function newIdentityFile({ config }: Context, { identity, name = config.name }: OwnChoice): string {
  return identity ?? openHome(config.home, config.uid).instance(name ?? defaultInstance).identity
}

/** Options that belong to some actions only. */
const onlyWith = {
  nick: ["generate"],
  yes: ["rotate", "revoke"],
  reason: ["revoke"],
  keys: ["publish"],
  server: ["publish", "rotate", "revoke"],
} as const satisfies Record<string, readonly Action[]>

interface ActionFlags extends Readonly<Record<Action, boolean>> {
  readonly yes: boolean
  readonly nick: string | undefined
  readonly reason: string | undefined
  readonly server: string | undefined
  readonly keys: string | undefined
}

function chooseAction(options: ActionFlags): Action {
  const chosen = actions.filter((action) => options[action])
  if (chosen.length > 1)
    throw new ChatError("USAGE", `--${String(chosen[1])}: only one of --${actions.join(", --")} is allowed`)
  const action = chosen[0] ?? "show"
  for (const [option, allowed] of Object.entries<readonly Action[]>(onlyWith)) {
    const value = options[option as keyof typeof onlyWith]
    if (value === undefined || value === false || allowed.includes(action)) continue
    throw new ChatError(
      "USAGE",
      `--${option}: only with --${allowed.join(", --").replace(/, (?=[^,]*$)/, " or ")}`,
    )
  }
  return action
}

async function act(
  action: Exclude<Action, "publish">,
  path: string,
  options: import("../../identity/identity-file.js").IdentityFileOptions,
): Promise<PublicIdentity> {
  const files = await import("../../identity/identity-file.js")
  switch (action) {
    case "generate":
      return files.exportIdentity(files.createIdentity(path, options))
    case "rotate":
      return files.exportIdentity(files.rotateIdentity(path, options))
    case "revoke":
      return files.revokeIdentity(path, options)
    case "show":
    case "export":
      return files.inspectIdentity(path)
  }
}

function describe(
  { agent_id, older_agent_id, did, name, created_ts, rotations, revocation }: PublicIdentity,
  path: string,
): string[] {
  const rows: (readonly [string, string | undefined])[] = [
    ["agent id", agent_id],
    ["formerly", older_agent_id && `${older_agent_id} in the first AgentChat`],
    ["key", did],
    ["name", name],
    ["created", new Date(created_ts).toISOString()],
    [
      "rotated",
      rotations.length === 0 ? undefined : `${rotations.length} times, last ${isoOfLast(rotations)}`,
    ],
    [
      "revoked",
      revocation && `${new Date(revocation.ts).toISOString()} ${revocation.reason ?? ""}`.trimEnd(),
    ],
    ["file", path],
  ]
  return rows.flatMap(([label, text]) =>
    text === undefined ? [] : `${label.padEnd(8)}  ${formatForTerminal(text)}`,
  )
}

function isoOfLast(rotations: PublicIdentity["rotations"]): string {
  return new Date(rotations.at(-1)?.ts ?? 0).toISOString()
}
