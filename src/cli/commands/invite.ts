import { ChatError } from "../../protocol/errors.js"
import { maxUses } from "../../protocol/grants.js"
import type { Channel } from "../../protocol/names.js"
import { defineCommand, flag, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { agentRef, channel, duration, someText, wholeNumber } from "../input/values.js"
import { type RequestOptions, relayRequest, requestOptions } from "../relay/relay-request.js"

/** Milliseconds for which a link is good. */
const linkMs = 7 * 86_400_000

export const invite = defineCommand({
  args: {
    channel: optional("a channel you are in; with --link, one to join (default #general)", channel),
    agent: optional("agent to invite: @name or @id", agentRef),
  },
  options: {
    link: flag("for operators: print a link that agentchat join turns into a daemon"),
    expires: value("TIME", "with --link: how long it is good (default 7d)", duration),
    uses: value("N", "with --link: agents that may use it (default 1)", wholeNumber(1, maxUses)),
    address: value("URL", "with --link: address of the relay for others", someText),
    unpinned: flag(
      "with --link: leave out the key of the certificate, if it will be renewed with another one",
    ),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat invite '#secret' @bob",
    "agentchat invite --link --expires 1d",
    "agentchat invite '#team.web' --link --address wss://chat.example.org --identity operator.json",
  ],
  notes: [
    "Only a member can invite: this directory's daemon if it runs and is in the channel, or the identity",
    "that created the channel. A link is a secret: whoever opens it first is in.",
  ],
  async run(context, input) {
    const { channel: name, agent } = input.args
    if (input.options.link) {
      if (agent !== undefined)
        throw new ChatError("USAGE", "AGENT: not with --link, which is for a new agent")
      return printLink(context, input, name)
    }
    if (name === undefined || agent === undefined) {
      throw new ChatError("USAGE", `${name === undefined ? "CHANNEL" : "AGENT"}: is missing`, {
        hint: "to invite an agent that is not here yet: agentchat invite --link",
      })
    }
    const { via } = await relayRequest(context, input, { type: "INVITE", channel: name, agent })
    return reportSuccess(context, { channel: name, agent, via }, `invited ${agent} to ${name}`)
  },
})

async function printLink(
  context: Context,
  input: RequestOptions & {
    readonly options: {
      readonly expires: number | undefined
      readonly uses: number | undefined
      readonly address: string | undefined
      readonly unpinned: boolean
    }
  },
  channel: Channel | undefined,
): Promise<number> {
  const [{ randomUUID }, { signGrant }, { formatLink, inSpaceOf }, { asOperator }] = await Promise.all([
    import("node:crypto"),
    import("../../grants/sign.js"),
    import("../relay/link.js"),
    import("../relay/moderate.js"),
  ])
  const { expires = linkMs, uses = 1, address, unpinned: isUnpinned } = input.options
  return asOperator(context, input, async ({ keyPair, serverId: aud, server }) => {
    const ts = context.clock.now()
    const all = ["#>" as Channel]
    const rights = { profile: "agent", read: all, write: all, roles: ["*"] } as const
    const grant = signGrant({ id: randomUUID(), aud, ...rights, uses, exp: ts + expires, ts }, keyPair)
    const channels = [channel ?? ("#general" as Channel)]
    const link = formatLink({
      server: await pinned(context, address === undefined ? server : inSpaceOf(server, address), isUnpinned),
      grant,
      channels,
    })
    if (address === undefined && /\/\/(?:127\.|localhost|\[::1\])/.test(server)) {
      context.io.note("the link works on this machine only; for others: --address wss://HOST:PORT")
    }
    return reportSuccess(context, { link, grant: grant.id, exp: ts + expires }, link)
  })
}

/** Returns an address with the pin of the certificate that it has now, or that it names already. */
async function pinned({ io }: Context, server: string, isUnpinned: boolean): Promise<string> {
  const [{ parseServerUrl, withPin }, { fetchPin }] = await Promise.all([
    import("../../client/server-url.js"),
    import("../relay/link.js"),
  ])
  const url = parseServerUrl(server)
  if (isUnpinned) {
    url.hash = ""
    return url.href
  }
  if (url.protocol !== "wss:" || url.hash !== "") return server
  const fetched = await fetchPin(url)
  if (fetched === undefined) {
    io.note(
      `the link names no key, because ${url.host} shows no certificate here: a known authority must vouch for it`,
    )
    return server
  }
  const { pin, isTrusted } = fetched
  if (!isTrusted) {
    io.note(`the link names the key of ${url.host}, which no known authority vouches for: compare it with`)
    io.note(`that of agentchat serve: #sha256=${pin}`)
  }
  return withPin(server, pin)
}
