import { shellWord } from "../../base/command-hint.js"
import { type DaemonPaths, ensureHome, type RootPaths, rootPaths } from "../../daemon/files/paths.js"
import type { ProcessRecord } from "../../daemon/files/process-record.js"
import { waitForStatus } from "../../daemon/process/control.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultPort } from "../../protocol/limits.js"
import { defineCommand, flag, value } from "../command.js"
import { defaultHome, shownPath } from "../config.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../daemon/daemon-choice.js"
import { daemonStart, startInBackground } from "../daemon/daemon-launch.js"
import { reportSuccess } from "../exit-status.js"
import { wholeNumber } from "../input/values.js"
import { ensureRelay, recordLaunch } from "../relay/relay-launch.js"
import { isSameServer } from "../relay/session.js"
import { ownInvocation } from "../shell-words.js"

/** Milliseconds to wait for a daemon that another `up` has just started. */
const settleMs = 5_000

export const up = defineCommand({
  args: {},
  options: {
    port: value("PORT", `port of the relay (default ${defaultPort})`, wholeNumber(1, 65_535)),
    durable: flag("store channels, messages and tasks on disk, in ./.agentchat/relay-data"),
  },
  takesUrl: false,
  examples: ["agentchat up", "agentchat up --port 7000", "agentchat up --durable", "agentchat up --json"],
  notes: [
    "Starts a relay on 127.0.0.1 and the daemon `default` of this directory, both in the background, and",
    "prints the paths of inbox and outbox. Uses what already runs. `agentchat down` stops what this started.",
  ],
  async run(context, { options }) {
    const { config, clock } = context
    const root = rootPaths(config.home)
    const port = options.port ?? defaultPort
    const url = `ws://127.0.0.1:${port}`
    const paths = root.instance(config.name ?? defaultInstance)
    refuseOtherRelay(paths, url, clock.now())
    ensureHome(root)
    const relay = await ensureRelay(context, root, port, options.durable)
    if (relay !== undefined) recordLaunch(root.relay, { relay })
    const daemon = await ensureDaemon(context, root, paths, url)
    if (daemon !== undefined) recordLaunch(root.relay, { daemon, name: paths.name })
    return report(context, root, paths, {
      url,
      relayStarted: relay !== undefined,
      daemonStarted: daemon !== undefined,
    })
  },
})

/** @throws {ChatError} ALREADY_RUNNING if the daemon runs on another relay */
function refuseOtherRelay({ record, name }: DaemonPaths, url: string, nowMs: number): void {
  const holder = readHolder(record, nowMs)
  if (holder?.server === undefined || isSameServer(holder.server, url)) return
  throw new ChatError("ALREADY_RUNNING", `daemon ${name} runs on ${holder.server}`, {
    hint: `stop it first: agentchat daemon --stop --name ${name}`,
  })
}

/** Starts the daemon unless it runs. @returns the process that hosts it if it was started */
async function ensureDaemon(
  context: Context,
  root: RootPaths,
  { record, name }: DaemonPaths,
  url: string,
): Promise<ProcessRecord | undefined> {
  const holder = () => readHolder(record, context.clock.now())?.process
  if (holder() !== undefined) return undefined
  const request = await daemonStart(context, { name, ephemeral: false, echo: false, compat: false }, url)
  try {
    await startInBackground(context, request, false)
    return holder()
  } catch (error) {
    // Another `up` has started the daemon at the same time.
    if (!(error instanceof ChatError) || error.code !== "ALREADY_RUNNING") throw error
    await waitForStatus(root, name, { clock: context.clock, timeoutMs: settleMs })
    return undefined
  }
}

function report(
  context: Context,
  root: RootPaths,
  paths: DaemonPaths,
  { url, relayStarted, daemonStarted }: { url: string; relayStarted: boolean; daemonStarted: boolean },
): number {
  const { config, system } = context
  const show = (path: string) => shellWord(shownPath(config, path))
  const home = config.shownHome === defaultHome ? "" : ` --home ${shellWord(config.shownHome)}`
  const { agent_id = null, connected = false } = readStatus(paths.status) ?? {}
  const shown = {
    inbox: show(paths.inbox),
    outbox: show(paths.outbox),
    logs: [show(root.relayLog), show(paths.log)],
    stop: `${ownInvocation(system)} down${home}`,
  }
  const started = { relay_started: relayStarted, daemon_started: daemonStarted }
  return reportSuccess(
    context,
    { server: url, ...started, name: paths.name, agent_id, connected, ...shown },
    [
      `# relay on ${url}, ${relayStarted ? "started" : "was running"}`,
      `# daemon ${paths.name} ${daemonStarted ? "started" : "was running"}, ${connected ? `online as ${agent_id ?? "?"}` : "not online yet"}`,
      "# read:",
      `tail -f ${shown.inbox}`,
      "# write:",
      `echo '{"to":"#general","content":"hello"}' >> ${shown.outbox}`,
      "# logs:",
      `tail ${shown.logs.join(" ")}`,
      "# stop:",
      shown.stop,
    ],
  )
}
