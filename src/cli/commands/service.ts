import { defineCommand, flag, required, rest } from "../command.js"
import { anyText, choice } from "../input/values.js"

const actions = ["install", "uninstall", "status", "print"] as const

export const service = defineCommand({
  args: {
    action: required(actions.join(", "), choice(actions), actions),
    words: rest("relay (the default), or daemon NAME; then `--` and its options", anyText),
  },
  options: {
    user: flag("a service of yours, not of the machine"),
  },
  takesUrl: false,
  examples: [
    "agentchat service install --user",
    "agentchat service install relay -- --port 7000 --operators /etc/agentchat/operators.txt",
    "agentchat service install --user daemon mybot -- --server wss://chat.example.org",
    "agentchat service status --user",
    "agentchat service print relay",
  ],
  notes: [
    "Writes a hardened unit for systemd, or a property list for launchd on macOS, and starts the service. A relay has",
    "its store in the state directory of the service, unless an option says otherwise. A daemon works in the current",
    "directory. print shows the file only. uninstall stops the service and removes the file; data stays.",
  ],
  async run(context, input) {
    const { runService } = await import("../service/service-run.js")
    return runService(context, { ...input.args, isUser: input.options.user })
  },
})
