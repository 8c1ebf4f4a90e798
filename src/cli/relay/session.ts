import type { AgentChatClient } from "../../client/client.js"
import type { Connection, ConnectionEvents } from "../../client/connection.js"
import type { Identity } from "../../identity/identity-file.js"
import { ChatError } from "../../protocol/errors.js"
import type { Nick } from "../../protocol/names.js"
import { flag, value } from "../command.js"
import type { Context } from "../context.js"
import { defaultNick } from "../input/instance-choice.js"
import { nick, someText } from "../input/values.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { chooseServer } from "./server-choice.js"

/** Options of every command that speaks with a relay itself. */
export const sessionOptions = {
  server: value("URL", "relay to use; the same as URL", someText),
  identity: value(
    "FILE",
    "speak as the identity in FILE; else under an id for this session",
    someText,
    "file",
  ),
  nick: value("NAME", "call yourself NAME", nick),
  compat: flag("also accept a relay of the first AgentChat"),
}

/** Values of {@link sessionOptions}. */
export interface SessionChoice {
  readonly url: string | undefined
  readonly options: {
    readonly identity: string | undefined
    readonly nick: Nick | undefined
    readonly compat: boolean
  }
}

/** Whoever asks is not interested in what comes unasked. */
const deaf: ConnectionEvents = { onMessage: () => {}, onClose: () => {} }

/** Runs `ask` on a session of its own. */
export async function withSession<T>(
  context: Context,
  choice: SessionChoice,
  ask: (connection: Connection, identity: Identity | undefined) => Promise<T>,
  unasked: ConnectionEvents = deaf,
): Promise<T> {
  const { Connection } = await import("../../client/connection.js")
  const { server: url, ...who } = await whoSpeaks(context, choice)
  const connection = await explained(Connection.open({ url, ...who }, unasked))
  try {
    return await ask(connection, who.identity)
  } finally {
    await connection.close()
  }
}

/** A client that is not connected yet. @throws {ChatError} what is wrong with the address or the identity file */
export async function makeClient(
  context: Context,
  choice: SessionChoice,
  { reconnect }: { reconnect: boolean },
): Promise<AgentChatClient> {
  const { AgentChatClient } = await import("../../client/client.js")
  return new AgentChatClient({
    ...(await whoSpeaks(context, choice)),
    reconnect,
    random: context.system.random,
  })
}

/** Adds what a person can do when no relay answers. */
export async function explained<T>(opening: Promise<T>): Promise<T> {
  try {
    return await opening
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "UNREACHABLE" || error.hint !== undefined) throw error
    const hint = "start a relay on this machine with: agentchat up"
    throw new ChatError(error.code, error.message, { cause: error, hint })
  }
}

async function whoSpeaks({ config, clock }: Context, { url, options }: SessionChoice) {
  const identity =
    options.identity === undefined
      ? undefined
      : (await import("../../identity/identity-file.js")).readIdentity(options.identity)
  return {
    server: chooseServer(config, url),
    name: options.nick ?? identity?.nick ?? defaultNick(config),
    clock,
    compat: options.compat,
    ...omitUndefined({ identity }),
  }
}
