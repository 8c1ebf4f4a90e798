import { ChatError } from "../../protocol/errors.js"
import { type InstanceName, isChannelPattern } from "../../protocol/names.js"
import { defineCommand, required } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { subscription } from "../input/values.js"
import { isLink } from "../relay/link.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

export const join = defineCommand({
  args: {
    channel: required(
      "a #channel, a pattern ('#team.*' for one level, '#team.>' for all), or a link of agentchat invite --link",
      (text, label) => (isLink(text) ? { link: text } : subscription(text, label)),
    ),
  },
  options: daemonOptions,
  takesUrl: false,
  examples: [
    "agentchat join '#review'",
    "agentchat join '#team.>' --name alice",
    "agentchat join agentchat://chat.example.org:6667/eyJ…",
  ],
  notes: [
    "The running daemon of this directory joins, and joins again after each restart. A pattern includes",
    "channels that are created later. A link starts a daemon on the relay that it names, with its grant.",
  ],
  async run(context, { args: { channel }, options }) {
    if (typeof channel !== "string") return joinByLink(context, channel.link, options.name)
    await daemonRequest(context, options, { type: "JOIN", channel })
    return reportSuccess(context, { channel, pattern: isChannelPattern(channel) }, `joined ${channel}`)
  },
})

/**
 * Keeps the grant of a link next to the identity of a daemon, which is created if it is new, and starts the daemon. If the
 * relay refuses the grant, neither stays.
 */
async function joinByLink(context: Context, link: string, name: InstanceName | undefined): Promise<number> {
  const [
    { parseLink },
    { addGrant, createIdentity, removeGrant },
    { ensureHome, openHome },
    { identityFileOf },
    { refuseRunning },
    { existsSync },
  ] = await Promise.all([
    import("../relay/link.js"),
    import("../../identity/identity-file.js"),
    import("../../daemon/files/home.js"),
    import("../../daemon/status.js"),
    import("../../daemon/process/control.js"),
    import("node:fs"),
  ])
  const { runInBackground } = await import("../daemon/daemon-launch.js")
  const { defaultInstance } = await import("../daemon/daemon-choice.js")
  const { config, clock } = context
  const { server, grant, channels } = parseLink(link)
  const root = openHome(config.home, config.uid)
  ensureHome(root)
  const chosen = name ?? config.name ?? defaultInstance
  refuseRunning(root, chosen, clock.now())
  const path = identityFileOf(root.instance(chosen))
  if (!existsSync(path)) createIdentity(path)
  addGrant(path, grant)
  const choice = { name: chosen, channels, ephemeral: false, echo: false, compat: false, isolate: false }
  try {
    return await runInBackground(context, { ...choice, endsIfRefused: true }, server)
  } catch (error) {
    if (error instanceof ChatError && error.code === "FORBIDDEN") removeGrant(path, grant.id)
    throw error
  }
}
