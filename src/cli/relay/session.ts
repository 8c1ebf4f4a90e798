/** Opens a session of the command's own with a relay. */

import { omitUndefined } from "../../base/plain.js"
import type { AgentChatClient } from "../../client/client.js"
import type { Connection, ConnectionEvents } from "../../client/connection.js"
import { readStatus } from "../../daemon/status.js"
import type { Identity } from "../../identity/identity-file.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultServer } from "../../protocol/limits.js"
import type { Nick } from "../../protocol/names.js"
import { flag, value } from "../command.js"
import type { Context } from "../context.js"
import { defaultNick, eligibleInstances } from "../daemon/daemon-choice.js"
import { nick, someText } from "../input/values.js"

/** Options of commands that open a session. */
export const sessionOptions = {
  server: value("URL", "relay to use (same as URL)", someText),
  identity: value("FILE", "identity to connect as (default: a random id)", someText, "file"),
  nick: value("NAME", "name to use on the relay", nick),
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

const ignoreEvents: ConnectionEvents = { onMessage: () => {}, onClose: () => {} }

/**
 * Runs `use` with a connection to the chosen relay, and closes it.
 * @param events - receives messages that answer no request
 */
export async function withSession<T>(
  context: Context,
  choice: SessionChoice,
  use: (connection: Connection, identity: Identity | undefined) => T | Promise<T>,
  events: ConnectionEvents = ignoreEvents,
): Promise<T> {
  const { Connection } = await import("../../client/connection.js")
  const { server: url, ...options } = await clientOptions(context, choice)
  const connection = await Connection.open({ url, ...options }, events)
  try {
    return await use(connection, options.identity)
  } finally {
    await connection.close()
  }
}

/** Creates a client that is not connected yet. @throws {ChatError} if the address or the identity file is invalid */
export async function makeClient(
  context: Context,
  choice: SessionChoice,
  others: { readonly reconnect: boolean; readonly role?: string },
): Promise<AgentChatClient> {
  const { AgentChatClient } = await import("../../client/client.js")
  return new AgentChatClient({
    ...(await clientOptions(context, choice)),
    ...others,
    random: context.system.random,
  })
}

/**
 * Returns the relay for a session of the command's own: as given, else `AGENTCHAT_SERVER`, else that of this directory's
 * daemons, else the default address.
 * @throws {ChatError} USAGE if the daemons are on several relays
 */
function chooseServer(context: Context, url: string | undefined): string {
  const [only = defaultServer, ...others] = knownServers(context, url)
  if (others.length === 0) return only
  throw new ChatError(
    "USAGE",
    `the daemons of this directory are on several relays: ${[only, ...others].join(", ")}`,
    {
      hint: `say which, such as: --server ${only}`,
    },
  )
}

/** Returns the relay that was given, in the command or in `AGENTCHAT_SERVER`, else those of this directory's daemons. */
export function knownServers(context: Context, url: string | undefined): string[] {
  const given = url ?? context.config.server
  if (given !== undefined) return [given]
  const { name } = context.config
  const eligible = eligibleInstances(context).filter((paths) => name === undefined || paths.name === name)
  return [...new Set(eligible.flatMap(({ status }) => readStatus(status)?.server ?? []))]
}

/** Reports whether a daemon of this directory was started with `--compat` for a relay. */
function isCompat(context: Context, server: string): boolean {
  return eligibleInstances(context).some(({ status: path }) => {
    const status = readStatus(path)
    return status?.compat === true && isSameServer(status.server, server)
  })
}

/** Tests whether two addresses name the same relay. */
export function isSameServer(a: string, b: string): boolean {
  return normalUrl(a) === normalUrl(b)
}

function normalUrl(text: string): string {
  return URL.canParse(text) ? new URL(text).href.replace(/\/(?=$|#)/, "") : text
}

/** Returns the options of a client for a session of the command's own. @throws {ChatError} as {@link makeClient} */
export async function clientOptions(context: Context, { url, options }: SessionChoice) {
  const { config, clock } = context
  const server = chooseServer(context, url)
  const identity =
    options.identity === undefined
      ? undefined
      : (await import("../../identity/identity-file.js")).readIdentity(options.identity)
  return {
    server,
    name: options.nick ?? identity?.nick ?? defaultNick(config),
    clock,
    compat: options.compat || isCompat(context, server),
    ...omitUndefined({ identity }),
  }
}
