import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, list, value } from "../command.js"
import { channel, instanceName, nick, role, someText } from "../input/values.js"

const modes = ["background", "status", "list", "stop", "stop-all"] as const
type Mode = (typeof modes)[number] | "foreground"

export const daemon = defineCommand({
  args: {},
  options: {
    background: flag("run in the background, in the process of this directory's other daemons"),
    isolate: flag("with --background: in a process of its own"),
    name: value("NAME", "the daemon's name here; default unless given", instanceName, "daemon"),
    channels: list("CHANNEL", "#channels to be in; those of the last run unless given", channel),
    identity: value("FILE", "identity to use; made in the daemon's directory unless given", someText, "file"),
    ephemeral: flag("no identity: an id for each session, and no mail while offline"),
    nick: value("NAME", "what it calls itself on the relay; its name unless given", nick),
    role: value("ROLE", "what kind of work it does", role),
    card: value(
      "FILE",
      "what it tells of itself, as JSON: description, tags, skills, meta",
      someText,
      "file",
    ),
    guards: value("FILE", "stricter numbers of its own breaker, as YAML", someText, "file"),
    echo: flag('own messages stand in the inbox too, marked "self": true'),
    server: value("URL", "relay to use; the same as URL", someText),
    compat: flag("also accept a relay of the first AgentChat"),
    status: flag("how the daemon is"),
    list: flag("all daemons of this directory"),
    stop: flag("stop the daemon, and leave the others running"),
    "stop-all": flag("stop all daemons of this directory"),
  },
  takesUrl: true,
  examples: [
    "agentchat daemon --background",
    "agentchat daemon wss://chat.example.org:6667 --name alice --background",
    "agentchat daemon --channels '#general' '#review' --role reviewer --card card.json",
    "agentchat daemon --stop --name alice",
  ],
  async run(context, { options, url }) {
    const mode = chooseMode(options)
    if (options.isolate && mode !== "background")
      throw new ChatError("USAGE", "--isolate: only with --background")
    switch (mode) {
      case "status":
        return (await import("../output/status-report.js")).reportStatus(context, options.name)
      case "list":
        return (await import("../daemon/care.js")).listAll(context)
      case "stop":
        return (await import("../daemon/care.js")).stopOne(context, options.name)
      case "stop-all":
        return (await import("../daemon/care.js")).stopAll(context)
      case "background":
        return (await import("../daemon/runs.js")).runInBackground(context, options, url)
      case "foreground":
        return (await import("../daemon/runs.js")).runInForeground(context, options, url)
    }
  },
})

function chooseMode(options: Readonly<Record<(typeof modes)[number], boolean>>): Mode {
  const chosen = modes.filter((mode) => options[mode])
  if (chosen.length > 1)
    throw new ChatError("USAGE", `--${String(chosen[1])}: not together with --${String(chosen[0])}`)
  return chosen[0] ?? "foreground"
}
