/** Starts a daemon, in the background or in this process. */
import { existsSync, mkdirSync } from "node:fs"
import { basename, resolve } from "node:path"
import type { LogStyle } from "../../base/log.js"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { parseServerUrl } from "../../client/server-url.js"
import { FileTail, watchDirectory } from "../../daemon/files/file-tail.js"
import { openHome } from "../../daemon/files/home.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import type { DaemonStart } from "../../daemon/options.js"
import { startDaemon, waitForStatus } from "../../daemon/process/control.js"
import { openHostProcess } from "../../daemon/process/host.js"
import { type DaemonStatus, identityFileOf, readStatus } from "../../daemon/status.js"
import { inspectIdentity } from "../../identity/identity-file.js"
import { ChatError, isErrorCode } from "../../protocol/errors.js"
import { defaultServer } from "../../protocol/limits.js"
import type { AgentCard } from "../../protocol/message-fields.js"
import type { Channel, InstanceName, Nick } from "../../protocol/names.js"
import { openTracer } from "../../tracing/open-tracer.js"
import { type Config, shownPath } from "../config.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { isSameServer } from "../relay/session.js"
import { defaultInstance, defaultNick } from "./daemon-choice.js"

/** Milliseconds a start waits for the relay before it reports that the daemon keeps trying. */
const connectMs = 5_000

/** Options of a daemon to start. */
export interface DaemonChoice {
  readonly name?: InstanceName | undefined
  readonly identity?: string | undefined
  readonly channels?: readonly Channel[] | undefined
  readonly role?: string | undefined
  /** Path of a file. */
  readonly card?: string | undefined
  /** Path of a file. */
  readonly guards?: string | undefined
  readonly nick?: Nick | undefined
  readonly ephemeral: boolean
  readonly echo: boolean
  readonly "approve-deals"?: boolean
  readonly compat: boolean
  readonly "on-message"?: string | undefined
  readonly webhook?: string | undefined
  readonly notify?: boolean
  readonly "log-format"?: LogStyle["format"]
  readonly "log-level"?: LogStyle["level"]
}

/**
 * Builds the complete start message of a daemon. Its paths are absolute, because the process that hosts the daemon may
 * run in another directory. Relay, `compat` and identity file are those of its last run unless they are given.
 * @throws {ChatError} USAGE for an invalid address, options that exclude each other, or an invalid card; NOT_FOUND;
 * BAD_IDENTITY
 */
export async function daemonStart(
  context: Context,
  choice: DaemonChoice,
  url: string | undefined,
): Promise<DaemonStart> {
  const { config, system } = context
  const {
    name = config.name ?? config.sessionAgent ?? defaultInstance,
    role,
    channels,
    ephemeral,
    echo,
  } = choice
  if (ephemeral && choice.identity !== undefined) {
    throw new ChatError("USAGE", "--ephemeral and --identity are mutually exclusive")
  }
  const paths = openHome(config.home, config.uid).instance(name)
  const identity = chooseIdentity(context, choice, paths)
  const nick = chooseNick(config, choice, paths, identity)
  const card = choice.card === undefined ? undefined : await readCard(resolve(system.cwd, choice.card))
  const guards = await readGuards(context, choice.guards)
  const { "log-format": format, "log-level": level } = choice
  const webhook =
    choice.webhook === undefined
      ? undefined
      : (await import("../../daemon/hooks/webhook.js")).checkWebhookUrl(choice.webhook)
  const log = (format ?? level) === undefined ? undefined : omitUndefined({ format, level })
  return {
    name,
    ...chooseRelay(config, choice, paths, url),
    nick,
    ephemeral,
    echo,
    ...(choice["approve-deals"] === true && { approve_deals: true }),
    ...omitUndefined({
      identity,
      channels,
      role,
      card,
      guards,
      log,
      on_message: choice["on-message"],
      webhook,
    }),
    ...(choice.notify === true && { notify: true }),
  }
}

/**
 * Returns the identity file of a start; undefined for the daemon's own. A missing file is created only if it was named
 * now: a file of an earlier run that is gone must not become another agent.
 */
function chooseIdentity(
  { system }: Context,
  { identity, ephemeral }: DaemonChoice,
  paths: DaemonPaths,
): string | undefined {
  if (identity !== undefined) return resolve(system.cwd, identity)
  const last = identityFileOf(paths)
  if (last === paths.identity) return undefined
  if (ephemeral || existsSync(last)) return last
  throw new ChatError("NOT_FOUND", `${last}: the identity file of daemon ${paths.name} is gone`, {
    hint: "restore it from a copy, or name another one: --identity FILE, which becomes another agent",
  })
}

/** Accepting a relay of the first AgentChat belongs to the address it was given for. */
function chooseRelay(
  config: Config,
  { compat }: DaemonChoice,
  { status }: DaemonPaths,
  url: string | undefined,
): Pick<DaemonStart, "server" | "compat"> {
  const last = readStatus(status)
  const server = url ?? config.server ?? last?.server ?? defaultServer
  parseServerUrl(server)
  return { server, compat: compat || (last?.compat === true && isSameServer(server, last.server)) }
}

function chooseNick(
  config: Config,
  { nick, ephemeral }: DaemonChoice,
  { name, identity: ownFile }: DaemonPaths,
  identity = ownFile,
): string {
  if (nick !== undefined) return nick
  const known = !ephemeral && existsSync(identity) ? inspectIdentity(identity).name : undefined
  return known ?? (name === defaultInstance ? defaultNick(config) : name)
}

/**
 * Reads an agent card from a file. Unknown fields, such as those of an A2A AgentCard, are ignored.
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE, naming the first invalid field
 */
async function readCard(path: string): Promise<AgentCard> {
  const { parseJsonText, readSmallText } = await import("../input/text-source.js")
  const card = parseJsonText(readSmallText(path, "--card"), `--card: ${path}`)
  const { validateClientMessage } = await import("../../protocol/parse-message.js")
  const read = validateClientMessage({ type: "IDENTIFY", name: "card", card })
  if ("message" in read && read.message.type === "IDENTIFY") return read.message.card ?? {}
  const problem = "refused" in read ? read.refused.error.message : "is not a card"
  throw new ChatError("USAGE", `--card: ${path}: ${problem.replace(/^IDENTIFY\./, "")}`, {
    hint: 'write it like {"description":"reads patches","tags":["typescript"],"skills":[{"id":"review","name":"Review"}]}',
  })
}

async function readGuards({ system }: Context, path: string | undefined): Promise<DaemonStart["guards"]> {
  if (path === undefined) return undefined
  const { readBreakerFile } = await import("../input/guard-file.js")
  return readBreakerFile(resolve(system.cwd, path))
}

/**
 * Starts a daemon in the background, waits until it is connected or cannot connect, and prints the result.
 * @param choice - with `endsIfRefused`, a daemon that the relay does not let in is stopped again
 * @throws {ChatError} if it cannot start, or the relay refuses it for good
 */
export async function runInBackground(
  context: Context,
  choice: DaemonChoice & { readonly isolate: boolean; readonly endsIfRefused?: boolean },
  url: string | undefined,
): Promise<number> {
  const start = await daemonStart(context, choice, url)
  const created = newIdentityFile(start)
  const status = await startInBackground(context, start, choice.isolate)
  if (choice.endsIfRefused === true) await endIfRefused(context, start, status)
  return reportStarted(context, start, created, status)
}

/** @throws {ChatError} FORBIDDEN if the relay does not let the daemon in, which then has stopped */
async function endIfRefused(
  { config, clock, system }: Context,
  { name }: DaemonStart,
  status: DaemonStatus | undefined,
): Promise<void> {
  const { code, message = "", hint } = status?.reason ?? {}
  if (code !== "FORBIDDEN") return
  const { stopDaemon } = await import("../../daemon/process/control.js")
  await stopDaemon(openHome(config.home, config.uid), name as InstanceName, { clock, system })
  throw new ChatError("FORBIDDEN", message, omitUndefined({ hint }))
}

/** Does the same as {@link runInBackground} without printing. @returns the status of the daemon */
export async function startInBackground(
  { config, clock, system, io }: Context,
  start: DaemonStart,
  isolate: boolean,
): Promise<DaemonStatus | undefined> {
  const root = openHome(config.home, config.uid)
  const notices = await startDaemon(root, start, { clock, isolate, nodePath: system.nodePath })
  for (const notice of notices) io.err(notice)
  const status = await waitForStatus(root, start.name as InstanceName, { clock, timeoutMs: connectMs })
  const { reason, state } = status ?? {}
  if (state !== "stopped" || reason === undefined || reason === null) return status
  throw new ChatError(isErrorCode(reason.code) ? reason.code : "UNSUPPORTED", reason.message, {
    ...omitUndefined({ hint: reason.hint }),
  })
}

/**
 * Runs a daemon in this process until it is interrupted or stops.
 * @returns exit status 0 if it was interrupted
 * @throws {ChatError} the reason if it stopped
 */
export async function runInForeground(
  context: Context,
  choice: DaemonChoice,
  url: string | undefined,
): Promise<number> {
  const { config, clock, system, io, env } = context
  const start = await daemonStart(context, choice, url)
  const created = newIdentityFile(start)
  const interruption = system.interruption()
  const root = openHome(config.home, config.uid)
  const { sessionFinder } = await import("../../harness/wake/find-session.js")
  const findSession = sessionFinder(root, { clock, env, uid: config.uid })
  const log = (line: string) => io.err(line)
  const tracer = await openTracer(env, "agentchat-daemon")
  const host = await openHostProcess({ ...system, root, shared: false, clock, findSession, tracer, log })
  system.onUncaught((error) => host.onUncaught(error))
  const endLog = showLog(context, root.instance(start.name as InstanceName))
  try {
    await host.start(start)
    interruption.addEventListener("abort", () => void host.stopAll())
    const settled = waitForStatus(root, start.name as InstanceName, { clock, timeoutMs: connectMs })
    const first = await Promise.race([settled, host.ended.then(() => undefined)])
    if (first !== undefined) reportStarted(context, start, created, first)
    const reason = await host.ended
    if (reason !== undefined) throw reason
    return 0
  } finally {
    endLog()
    await host.close()
    await tracer.close()
  }
}

/** Copies new lines of the daemon's log to standard error. @returns a function that copies the rest and ends */
function showLog({ io }: Context, { dir, log }: DaemonPaths): () => void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const tail = new FileTail(log)
  const show = () => {
    for (const line of tail.read()) io.err(line)
  }
  const unwatch = watchDirectory(dir, (name) => {
    if (name === null || name === basename(log)) show()
  })
  return () => {
    unwatch()
    show()
    tail.close()
  }
}

/** Returns the identity file that the start will create; undefined if it exists or is the daemon's own. */
function newIdentityFile({ identity }: DaemonStart): string | undefined {
  return identity === undefined || existsSync(identity) ? undefined : identity
}

function reportStarted(
  context: Context,
  start: DaemonStart,
  identityCreated: string | undefined,
  status: Partial<DaemonStatus> = {},
): number {
  const { name, server } = start
  const { connected = false, agent_id = null, pid = null, reason } = status
  const paths = openHome(context.config.home, context.config.uid).instance(name as InstanceName)
  const created = omitUndefined({ identity_created: identityCreated })
  reportSuccess(context, { name, agent_id, server, connected, pid, ...created }, [
    `daemon ${name}: ${connected ? `on ${server} as ${String(agent_id)}` : `not on ${server} yet`}`,
    `inbox:  ${shownPath(context.config, paths.inbox)}`,
    `outbox: ${shownPath(context.config, paths.outbox)}`,
    ...Object.values(created).map((path) => `created the identity ${formatForTerminal(path)}`),
  ])
  sayNewAddress(context, start, paths)
  if (!connected && !context.config.json) noteRetrying(context, reason ?? null)
  return 0
}

function noteRetrying({ io }: Context, reason: DaemonStatus["reason"]): void {
  io.note(`${reason?.message ?? "the relay has not answered yet"}; the daemon keeps trying`)
  if (reason?.hint !== undefined) io.note(`hint: ${reason.hint}`)
}

/** A key of the first AgentChat has another agent id there, which others may still write to. */
function sayNewAddress({ io }: Context, { ephemeral, identity }: DaemonStart, paths: DaemonPaths): void {
  if (ephemeral) return
  const { agent_id, older_agent_id } = inspectIdentity(identity ?? paths.identity)
  if (older_agent_id === undefined) return
  io.note(`the address of this key has changed: ${older_agent_id} in the first AgentChat, ${agent_id} here`)
}
