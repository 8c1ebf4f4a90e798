import { HARNESSES } from "../../harness/harness.js"
import { defineCommand, flag, required, value } from "../command.js"
import { answerHook } from "../hooks/hook-words.js"
import { anyText } from "../input/values.js"

export const hook = defineCommand({
  args: { event: required("the harness's own name of the event, such as SessionStart", anyText) },
  options: {
    harness: value("NAME", HARNESSES.join(", "), anyText),
    claims: value(
      "MODE",
      "warn or block: what happens at an edit of a path that another agent has claimed",
      anyText,
    ),
    rewake: flag(
      "claude: wait in the background until the session is rung; exit 2 then, which starts a turn",
    ),
  },
  takesUrl: false,
  examples: [
    "agentchat hook SessionStart --harness claude",
    "agentchat hook beforeSubmitPrompt --harness cursor",
  ],
  notes: [
    "Run by coding harnesses; agentchat install registers it. Reads the event as JSON from standard input. Prints unread",
    "messages and what else the harness takes, in its own form; sets the presence of the session's agent. Exits 0, but",
    "for --rewake.",
  ],
  async run(context, { args, options }) {
    const { harness = "", claims, rewake } = options
    return answerHook(context, { name: args.event, harness, claims, isRewake: rewake })
  },
})
