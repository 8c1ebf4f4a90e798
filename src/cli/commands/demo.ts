import { defineCommand, flag, value } from "../command.js"
import { port } from "../input/values.js"
import { defaultWebPort } from "../web/open-page.js"

export const demo = defineCommand({
  args: {},
  options: {
    port: value("PORT", `port of the page (default ${defaultWebPort}); 0 for any free port`, port),
    open: flag("also open it in a browser"),
  },
  takesUrl: false,
  examples: ["agentchat demo", "agentchat demo --open"],
  notes: [
    "Four scripted agents talk, ask you, make deals and get stopped by a guard, on a relay of their own.",
    "Ctrl-C ends it and leaves nothing behind.",
  ],
  async run(context, { options }) {
    const { runDemo } = await import("../web/demo.js")
    const where = { host: "127.0.0.1", port: options.port ?? defaultWebPort }
    return runDemo(context, { ...where, isOpened: options.open })
  },
})
