import { defineCommand } from "../command.js"
import { daemonName } from "../daemon/daemon-choice.js"
import { readerOption } from "../daemon/inbox-wait.js"

export const mcp = defineCommand({
  args: {},
  options: { name: daemonName, reader: readerOption },
  takesUrl: false,
  examples: ["agentchat mcp", "agentchat mcp --name alice"],
  notes: [
    "Tools: send, inbox, who, status, task, deal. They use the daemon of this directory, so start it first: agentchat up.",
    "Without one each tool answers with the command that starts it. Ends when standard input ends.",
  ],
  async run(context, { options }) {
    const { serveMcp } = await import("../mcp/tool-calls.js")
    await serveMcp(context, options)
    return 0
  },
})
