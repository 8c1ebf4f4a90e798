import { logFormats, logLevels } from "../../base/log.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { openHome } from "../../daemon/files/home.js"
import { listDaemons, stopAllDaemons, stopDaemon } from "../../daemon/process/control.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, list, value } from "../command.js"
import type { Context } from "../context.js"
import { chooseInstance } from "../daemon/daemon-choice.js"
import { reportSuccess } from "../exit-status.js"
import { channel, closeChoice, instanceName, nick, role, someText } from "../input/values.js"
import { printTable } from "../output/table.js"

const modes = ["background", "status", "list", "stop", "stop-all"] as const
type Mode = (typeof modes)[number] | "foreground"

export const daemon = defineCommand({
  args: {},
  options: {
    background: flag("run in the background, in one process per directory"),
    isolate: flag("with --background: run in a process of its own"),
    name: value("NAME", 'name of the daemon (for a start: default "default")', instanceName, "daemon"),
    channels: list("CHANNEL", "#channels to join (default: those of its last run)", channel),
    identity: value("FILE", "identity file (default: one in its directory)", someText, "file"),
    ephemeral: flag("use a new id for each session instead of an identity"),
    nick: value("NAME", "name to use on the relay (default: that of the daemon)", nick),
    role: value("ROLE", "role, such as reviewer: receive tasks sent to +ROLE", role),
    card: value("FILE", "agent card in JSON: description, tags, skills, meta", someText, "file"),
    guards: value("FILE", "stricter limits for its circuit breaker, in YAML", someText, "file"),
    "log-format": value("FORM", "of daemon.log: text (default) or json", closeChoice(logFormats), logFormats),
    "log-level": value("LEVEL", "error, warn or info (default)", closeChoice(logLevels), logLevels),
    "on-message": value("CMD", "run a shell command per new line, which is its input", someText),
    webhook: value("URL", "send each new line there, signed: see doc/hooks.md", someText),
    notify: flag("show on the desktop that something needs you"),
    echo: flag('copy own messages to the inbox, marked "self": true'),
    "approve-deals": flag("accept a deal only once a person (+human) has approved it"),
    server: value("URL", "relay to use (same as URL)", someText),
    compat: flag("also accept a relay of the first AgentChat"),
    status: flag("show the status of the daemon"),
    list: flag("list all daemons of this directory"),
    stop: flag("stop this daemon only"),
    "stop-all": flag("stop all daemons of this directory"),
  },
  verbs: {
    start: "background",
    stop: "stop",
    "stop-all": "stop-all",
    status: "status",
    list: "list",
    ls: "list",
  },
  takesUrl: true,
  examples: [
    "agentchat daemon --background",
    "agentchat daemon --channels '#general' '#review' --role reviewer",
  ],
  async run(context, { options, url }) {
    const mode = chooseMode(options)
    if (options.isolate && mode !== "background")
      throw new ChatError("USAGE", "--isolate: only with --background")
    switch (mode) {
      case "status":
        return (await import("../output/status-report.js")).reportStatus(context, options.name)
      case "list":
        return listAll(context)
      case "stop":
        return stopOne(context, options.name)
      case "stop-all":
        return stopAll(context)
      case "background":
        return (await import("../daemon/daemon-launch.js")).runInBackground(context, options, url)
      case "foreground":
        return (await import("../daemon/daemon-launch.js")).runInForeground(context, options, url)
    }
  },
})

function chooseMode(options: Readonly<Record<(typeof modes)[number], boolean>>): Mode {
  const [first, second] = modes.filter((mode) => options[mode])
  if (second !== undefined)
    throw new ChatError("USAGE", `--${String(first)} and --${second} are mutually exclusive`)
  return first ?? "foreground"
}

function listAll({ io, config, clock }: Context): number {
  const entries = listDaemons(openHome(config.home, config.uid), clock.now())
  if (config.json) io.json(entries)
  else if (entries.length === 0)
    io.note("this directory has no daemons; start one: agentchat daemon --background")
  else {
    const rows = entries.map(({ name, running, pid, agent_id, server }) =>
      [name, running ? "runs" : "stopped", String(pid ?? ""), agent_id ?? "", server ?? ""].map(
        formatForTerminal,
      ),
    )
    printTable(io, ["NAME", "STATE", "PID", "AGENT", "RELAY"], rows)
  }
  return 0
}

/** @throws {ChatError} as {@link chooseInstance}; NOT_FOUND if it does not run */
async function stopOne(context: Context, wanted: InstanceName | undefined): Promise<number> {
  const { name } = chooseInstance(context, wanted)
  await stopDaemon(openHome(context.config.home, context.config.uid), name, context)
  return reportSuccess(context, { stopped: [name] }, `stopped ${name}`)
}

async function stopAll(context: Context): Promise<number> {
  const stopped = await stopAllDaemons(openHome(context.config.home, context.config.uid), context)
  if (stopped.length === 0 && !context.config.json) context.io.note("no daemon is running here")
  return reportSuccess(context, { stopped }, stopped.length === 0 ? [] : `stopped ${stopped.join(" ")}`)
}
