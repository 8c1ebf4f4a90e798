/** Sends a request to the relay, through this directory's daemon or on a session of its own ({@link chooseDaemon}). */
import { existsSync } from "node:fs"
import type { Connection } from "../../client/connection.js"
import type { AnswerTo, RequestFrame } from "../../client/pending.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import { type InstanceName, persistentIdPattern } from "../../protocol/names.js"
import { value } from "../command.js"
import type { Context } from "../context.js"
import { chooseInstance, daemonName, startCommand } from "../daemon/daemon-choice.js"
import { instanceName, seconds } from "../input/values.js"
import { isSameServer, type SessionChoice, sessionOptions, withSession } from "./session.js"

/** Milliseconds to wait for an answer, without `--timeout`. */
export const answerMs = 10_000

/** Options of commands that send a request through a daemon or on a session of their own. */
export const requestOptions = {
  ...sessionOptions,
  name: value("NAME", "daemon to send through (default: the only one here)", instanceName, "daemon"),
  timeout: value("S", `seconds to wait for the answer (default ${answerMs / 1_000})`, seconds),
}

/** Options of commands that need a daemon, because their effect ends with the session. */
export const daemonOptions = {
  name: daemonName,
  timeout: requestOptions.timeout,
}

/** Values of {@link requestOptions} that choose the sender. */
export interface SenderChoice extends SessionChoice {
  readonly options: SessionChoice["options"] & { readonly name: InstanceName | undefined }
}

/** Values of {@link requestOptions}. */
export interface RequestOptions extends SenderChoice {
  readonly options: SenderChoice["options"] & { readonly timeout: number | undefined }
}

/** The answer of the relay. */
export interface RelayAnswer {
  readonly via: "daemon" | "relay"
  /** Agent id of the session; undefined for a request through a daemon. */
  readonly self: string | undefined
  /** Fields of the relay's message, or those of them that the daemon's files report. */
  readonly answer: Readonly<Record<string, unknown>>
}

/**
 * Sends a request and waits for the answer.
 * @throws {ChatError} the error of the relay; TIMEOUT; UNREACHABLE; NOT_FOUND if the daemon of `--name` does not run
 */
export async function relayRequest(
  context: Context,
  choice: RequestOptions,
  frame: RequestFrame,
): Promise<RelayAnswer> {
  const timeoutMs = choice.options.timeout ?? answerMs
  const paths = chooseDaemon(context, choice)
  if (paths !== undefined) {
    if (frame.type !== "MSG") requireConnected(paths)
    const answer = await askDaemon(context, paths, frame, timeoutMs)
    return { via: "daemon", self: undefined, answer }
  }
  return withSession(context, choice, async (connection) => {
    refuseLostTask(frame, connection)
    const answer = await requestAsMember(connection, frame, timeoutMs)
    return { via: "relay", self: connection.welcome.agent_id, answer }
  })
}

/**
 * Chooses the sender of a request: the daemon of this directory, unless the command line names a relay, an identity or
 * a nick. A directory that has a daemon never sends as somebody else without being asked to.
 * @returns the paths of the daemon; undefined for a session of the command's own
 * @throws {ChatError} as {@link chooseInstance}; USAGE if `AGENTCHAT_SERVER` names another relay than the daemon's;
 * NOT_FOUND if the daemon does not run
 */
export function chooseDaemon(context: Context, { url, options }: SenderChoice): DaemonPaths | undefined {
  if (usesOwnSession({ url, options })) return undefined
  const { config, clock } = context
  const paths = chooseInstance(context, options.name)
  const holder = readHolder(paths.record, clock.now())
  const isNamed = (options.name ?? config.name ?? config.sessionAgent) !== undefined
  if (holder === undefined && !isNamed && !existsSync(paths.status)) return undefined
  if (holder === undefined) {
    throw new ChatError("NOT_FOUND", `daemon ${paths.name} is not running`, {
      hint: `start it: ${startCommand(paths)}; to send as somebody else, give URL, --identity or --nick`,
    })
  }
  const { server = "" } = holder
  if (isNamed || config.server === undefined || isSameServer(config.server, server)) return paths
  throw new ChatError("USAGE", `AGENTCHAT_SERVER: daemon ${paths.name} of this directory is on ${server}`, {
    hint: `to send through it, add --name ${paths.name}; to send as somebody else, add ${config.server}`,
  })
}

/**
 * Tests whether the command line asks for a session of the command's own.
 * @throws {ChatError} USAGE if it also names a daemon
 */
export function usesOwnSession({ url, options }: SenderChoice): boolean {
  const option = ownSessionOption(url, options)
  if (option === undefined || options.name === undefined) return option !== undefined
  throw new ChatError(
    "USAGE",
    `--name: a daemon sends as itself to its own relay; --name and ${option} are mutually exclusive`,
  )
}

function ownSessionOption(url: string | undefined, options: SenderChoice["options"]): string | undefined {
  if (url !== undefined) return "URL"
  if (options.identity !== undefined) return "--identity"
  if (options.nick !== undefined) return "--nick"
  return options.compat ? "--compat" : undefined
}

/**
 * Sends a request through a running daemon and waits for the answer.
 * @throws {ChatError} as {@link requireDaemon}; the error of the relay; TIMEOUT; UNREACHABLE
 */
export async function daemonRequest(
  context: Context,
  { name, timeout }: { readonly name: InstanceName | undefined; readonly timeout: number | undefined },
  frame: RequestFrame,
): Promise<RelayAnswer["answer"]> {
  const paths = requireDaemon(context, name)
  requireConnected(paths)
  return askDaemon(context, paths, frame, timeout ?? answerMs)
}

/** Sends a frame through a daemon and returns the answer. @throws {ChatError} as `requestThroughDaemon` */
export async function askDaemon(
  { clock, system }: Context,
  paths: DaemonPaths,
  frame: RequestFrame,
  timeoutMs: number,
): Promise<RelayAnswer["answer"]> {
  const { newLineId, requestThroughDaemon } = await import("../daemon/daemon-request.js")
  return requestThroughDaemon(paths, frame, { clock, timeoutMs, id: newLineId(system) })
}

/**
 * Returns the paths of a running daemon of this directory.
 * @throws {ChatError} as {@link chooseDaemon}; USAGE if the directory has none
 */
export function requireDaemon(context: Context, name: InstanceName | undefined): DaemonPaths {
  const options = { identity: undefined, nick: undefined, compat: false, name }
  const paths = chooseDaemon(context, { url: undefined, options })
  if (paths !== undefined) return paths
  throw new ChatError("USAGE", "no daemon of this directory is running; this command needs one", {
    hint: "start one: agentchat daemon --background, or with a relay of its own: agentchat up",
  })
}

/** Sends a request on a session. If it fails because the session is not in the channel, joins it and tries again. */
export async function requestAsMember(
  connection: Connection,
  frame: RequestFrame,
  timeoutMs: number,
): Promise<AnswerTo<RequestFrame>> {
  try {
    return await connection.request(frame, timeoutMs)
  } catch (error) {
    const channel = channelOf(frame)
    const isOutside = error instanceof ChatError && error.code === "NOT_IN_CHANNEL"
    if (!isOutside || channel === undefined) throw error
    await connection.request({ type: "JOIN", channel }, timeoutMs)
    return connection.request(frame, timeoutMs)
  }
}

/** The relay ends the task of an agent without a key with its session, which is the end of this command. */
function refuseLostTask(frame: RequestFrame, { welcome }: Connection): void {
  if (frame.type !== "MSG" || !frame.to.startsWith("+") || persistentIdPattern.test(welcome.agent_id)) return
  throw new ChatError(
    "IDENTITY_REQUIRED",
    `to: a task for ${frame.to} from a sender without a key ends at once`,
    {
      hint: "send through a daemon: agentchat daemon --background; or wait for the answer: agentchat help ask",
    },
  )
}

function channelOf(frame: RequestFrame): string | undefined {
  if (frame.type === "MSG" || frame.type === "FORECAST")
    return frame.to.startsWith("#") ? frame.to : undefined
  return "channel" in frame && frame.channel !== "*" ? frame.channel : undefined
}

/** Refuses a query while the daemon is offline: unlike a message, it would wait in the outbox for nobody. */
function requireConnected({ status, name }: DaemonPaths): void {
  const { connected = true, reason } = readStatus(status) ?? {}
  if (connected) return
  throw new ChatError(
    "UNREACHABLE",
    `daemon ${name} is not connected: ${reason?.message ?? "no relay answers yet"}`,
    { hint: reason?.hint ?? `see: agentchat status --name ${name}` },
  )
}
