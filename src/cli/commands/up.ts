import { existsSync } from "node:fs"
import { shellWord } from "../../base/command-hint.js"
import { ensureHome, openHome } from "../../daemon/files/home.js"
import type { DaemonPaths, RootPaths } from "../../daemon/files/paths.js"
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
import { askHealth, ensureRelay, localUrl, readLaunch, recordLaunch } from "../relay/relay-launch.js"
import { isSameServer } from "../relay/session.js"
import { ownInvocation } from "../shell-words.js"

/** Milliseconds to wait for a daemon that another `up` has just started. */
const settleMs = 5_000

export const up = defineCommand({
  args: {},
  options: {
    port: value("PORT", `port of the relay (default ${defaultPort})`, wholeNumber(1, 65_535)),
    durable: flag("store channels, messages and tasks in ./.agentchat/relay-data, from now on"),
  },
  takesUrl: false,
  examples: ["agentchat up", "agentchat up --port 7000", "agentchat up --durable", "agentchat up --json"],
  notes: [
    "Starts a relay on 127.0.0.1 and the daemon `default` of this directory, both in the background, and",
    "prints the paths of inbox and outbox. Uses what already runs. `agentchat down` stops what this started.",
    "After --durable, each later relay of this directory uses the store, until you delete it.",
  ],
  async run(context, { options }) {
    const { config, clock } = context
    const root = openHome(config.home, config.uid)
    const port = options.port ?? defaultPort
    const url = localUrl(port)
    const paths = root.instance(config.name ?? config.sessionAgent ?? defaultInstance)
    refuseOtherRelay(root, paths, url, clock.now())
    ensureHome(root)
    const relay = await ensureRelay(context, root, port, options.durable || existsSync(root.relayData))
    if (relay !== undefined) recordLaunch(root.relay, { relay, port })
    const daemon = await ensureDaemon(context, root, paths, url)
    if (daemon !== undefined) recordLaunch(root.relay, { daemon, name: paths.name })
    const hasStore = (await askHealth(port))?.hasStore ?? false
    if (options.durable && !hasStore) {
      context.io.note("the relay that runs has no store, and --durable does not give it one")
      context.io.note("hint: end that relay, then run agentchat up --durable")
    }
    return report(context, root, paths, {
      url,
      hasStore,
      relayStarted: relay !== undefined,
      daemonStarted: daemon !== undefined,
    })
  },
})

/** @throws {ChatError} ALREADY_RUNNING if the daemon, or the relay that `up` started here, runs at another address */
function refuseOtherRelay(root: RootPaths, { record, name }: DaemonPaths, url: string, nowMs: number): void {
  const launch = readLaunch(root.relay)
  const relay = launch.relay === undefined || launch.port === undefined ? undefined : localUrl(launch.port)
  const daemon = readHolder(record, nowMs)?.server
  if (daemon !== undefined && !isSameServer(daemon, url)) {
    throw otherRelay(`daemon ${name}`, daemon, url, `agentchat daemon --stop --name ${name}`)
  }
  if (relay !== undefined && !isSameServer(relay, url)) {
    throw otherRelay("the relay of this directory", relay, url, "agentchat down")
  }
}

function otherRelay(subject: string, current: string, wanted: string, stop: string): ChatError {
  const port = URL.canParse(current) ? Number(new URL(current).port) : 0
  const isLocal = port !== 0 && isSameServer(current, localUrl(port))
  const stay = isLocal ? `to use ${current}: agentchat up --port ${port}; ` : ""
  return new ChatError("ALREADY_RUNNING", `${subject} runs on ${current}, not on ${wanted}`, {
    hint: `${stay}to use ${wanted}, stop it first: ${stop}`,
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

interface Outcome {
  readonly url: string
  /** True if the relay has a store that outlives it. */
  readonly hasStore: boolean
  readonly relayStarted: boolean
  readonly daemonStarted: boolean
}

function report(
  context: Context,
  root: RootPaths,
  paths: DaemonPaths,
  { url, hasStore, relayStarted, daemonStarted }: Outcome,
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
    { server: url, durable: hasStore, ...started, name: paths.name, agent_id, connected, ...shown },
    [
      `# relay on ${url}, ${relayStarted ? "started" : "was running"}${hasStore ? ", with a store on disk" : ""}`,
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
