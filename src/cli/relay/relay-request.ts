import type { Connection } from "../../client/connection.js"
import type { AnswerTo, RequestFrame } from "../../client/pending.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { value } from "../command.js"
import type { Context } from "../context.js"
import { instancePathsOf } from "../input/instance-choice.js"
import { instanceName, seconds } from "../input/values.js"
import { isSameServer } from "./server-choice.js"
import { type SessionChoice, sessionOptions, withSession } from "./session.js"

/** Options of commands that say one thing: through this directory's daemon, or on a session of their own. */
export const requestOptions = {
  ...sessionOptions,
  name: value("NAME", "speak through the daemon NAME", instanceName, "daemon"),
  timeout: value("S", "wait S seconds for the answer; 10 unless given", seconds),
}

/** Options of commands that only a daemon can carry out: what they say lasts no longer than the session. */
export const daemonOptions = {
  name: value("NAME", "the daemon NAME instead of default", instanceName, "daemon"),
  timeout: requestOptions.timeout,
}

/** Whose voice it is: values of {@link requestOptions} without the time to wait. */
export interface SenderChoice extends SessionChoice {
  readonly options: SessionChoice["options"] & { readonly name: InstanceName | undefined }
}

/** Values of {@link requestOptions}. */
export interface RequestOptions extends SenderChoice {
  readonly options: SenderChoice["options"] & { readonly timeout: number | undefined }
}

/** What was answered, whichever way it came. */
export interface RelayAnswer {
  readonly via: "daemon" | "relay"
  /** Who asked: the daemon leaves it out. */
  readonly self: string | undefined
  /** Fields of the answer: of the relay's message, or as far as the daemon's files tell them. */
  readonly answer: Readonly<Record<string, unknown>>
}

/** Milliseconds an answer may take, unless told. */
export const answerMs = 10_000

/**
 * Says `frame` and waits for its answer. Without a URL, an identity or a name of one's own, a running daemon
 * of this directory is the one who speaks; `AGENTCHAT_SERVER` must not name another relay than its own.
 * @throws {ChatError} what the relay refuses; TIMEOUT; UNREACHABLE; NOT_FOUND when `--name` does not run
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
    const { askDaemon } = await import("../daemon/daemon-mail.js")
    const answer = await askDaemon(paths, frame, { clock: context.clock, timeoutMs })
    return { via: "daemon", self: undefined, answer }
  }
  return withSession(context, choice, async (connection) => {
    const answer = await requestAsMember(connection, frame, timeoutMs)
    return { via: "relay", self: connection.welcome.agent_id, answer }
  })
}

/**
 * Says `frame` through a running daemon and waits for its answer.
 * @throws {ChatError} USAGE when none runs; NOT_FOUND when `--name` does not; what the relay refuses; TIMEOUT
 */
export async function requestAsDaemon(
  context: Context,
  { name, timeout }: { readonly name: InstanceName | undefined; readonly timeout: number | undefined },
  frame: RequestFrame,
): Promise<RelayAnswer["answer"]> {
  const paths = await requireDaemon(context, name)
  requireConnected(paths)
  const { askDaemon } = await import("../daemon/daemon-mail.js")
  return askDaemon(paths, frame, { clock: context.clock, timeoutMs: timeout ?? answerMs })
}

/**
 * A daemon of this directory that runs.
 * @throws {ChatError} USAGE when none does; NOT_FOUND when `--name` does not
 */
export async function requireDaemon(context: Context, name: InstanceName | undefined): Promise<DaemonPaths> {
  const options = { identity: undefined, nick: undefined, compat: false, name }
  const paths = chooseDaemon(context, { url: undefined, options })
  if (paths !== undefined) return paths
  const { otherDaemonsHint } = await import("../daemon/other-daemons.js")
  const hint = otherDaemonsHint(context, "running")
  const which = hint === undefined ? "no daemon of this directory runs" : "daemon default does not run"
  throw new ChatError("USAGE", `${which}, and this needs a session that lasts`, {
    hint: hint ?? "start one: agentchat daemon --background, or with a relay of its own: agentchat up",
  })
}

/** Enters the channel in question first, when that is what is missing: a new session is in none. */
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

function channelOf(frame: RequestFrame): string | undefined {
  if (frame.type === "MSG" || frame.type === "FORECAST")
    return frame.to.startsWith("#") ? frame.to : undefined
  return "channel" in frame && frame.channel !== "*" ? frame.channel : undefined
}

/** A message waits in the outbox; whoever asks a question waits in vain. */
function requireConnected({ status, name }: DaemonPaths): void {
  const { connected = true, reason } = readStatus(status) ?? {}
  if (connected) return
  throw new ChatError(
    "UNREACHABLE",
    `daemon ${name} is not connected: ${reason?.message ?? "no relay answers yet"}`,
    {
      hint: `see: agentchat status --name ${name}`,
    },
  )
}

/**
 * The daemon that is to speak.
 * @returns undefined when a session of one's own is to
 * @throws {ChatError} USAGE; NOT_FOUND when `--name` does not run
 */
export function chooseDaemon(
  { config, clock }: Context,
  { url, options }: SenderChoice,
): DaemonPaths | undefined {
  const { name } = options
  if (hasOwnIdentity({ url, options })) return undefined
  const paths = instancePathsOf(config, name)
  const holder = readHolder(paths.pid, clock.now())
  if (name !== undefined && holder === undefined) {
    throw new ChatError("NOT_FOUND", `daemon ${name} does not run`, {
      hint: `start it: agentchat daemon --background --name ${name}`,
    })
  }
  if (holder === undefined) return undefined
  const isItsRelay = config.server === undefined || isSameServer(config.server, holder.server ?? "")
  return isItsRelay || name !== undefined ? paths : undefined
}

/**
 * Whether the command line asks for a session of one's own.
 * @throws {ChatError} USAGE when it names a daemon too
 */
export function hasOwnIdentity({ url, options }: SenderChoice): boolean {
  const ownVoice = nameOwnVoice(url, options)
  if (ownVoice === undefined || options.name === undefined) return ownVoice !== undefined
  throw new ChatError("USAGE", `--name: a daemon speaks as itself to its own relay; leave out ${ownVoice}`)
}

/** What on the command line asks for a session of one's own. */
function nameOwnVoice(url: string | undefined, options: SenderChoice["options"]): string | undefined {
  if (url !== undefined) return "URL"
  if (options.identity !== undefined) return "--identity"
  if (options.nick !== undefined) return "--nick"
  return options.compat ? "--compat" : undefined
}
